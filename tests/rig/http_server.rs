//! A small HTTP/1.1 server on the rig's runtime, under the proxy and the Lambda emulator.

use super::background::background;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Answer = Response<BoxBody<Bytes, BoxError>>;

/// A server on a free port of 127.0.0.1. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    acceptor: AbortHandle,
}

impl HttpServer {
    /// Serves every request with `handler`. When that fails, the connection is cut without an answer.
    pub fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Answer, BoxError>> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let acceptor = background().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("the rig's runtime has I/O enabled");
            let mut connections = JoinSet::new(); // aborted together with this task
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let _ = stream.set_nodelay(true);
                while connections.try_join_next().is_some() {}
                let service = service_fn(handler.clone());
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        HttpServer {
            address,
            acceptor: acceptor.abort_handle(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// A whole answer from memory.
pub fn answer(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(body)
        .expect("status and header are valid")
}
