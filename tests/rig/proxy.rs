//! A reverse proxy before an S3 endpoint that counts what passes and breaks what it is told to break.
//!
//! It forwards the `Host` header as it came: the signature covers it, and the server verifies against the `Host`
//! it receives. Bodies are streamed. Every request goes over a connection of its own to the server, so that a
//! fault in one cannot touch another.

mod counted_body;
mod exchange;
mod fault;
mod forgetful;

pub use exchange::Exchange;
pub use fault::{Fault, Refused, Rule};

use super::background::background;
use super::http_server::{Answer, BoxError, HttpServer, answer};
use counted_body::CountedBody;
use exchange::Record;
use fault::Rules;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

#[derive(Debug)]
struct Shared {
    upstream: String,
    records: Mutex<Vec<Arc<Record>>>,
    rules: Rules,
    latency: Mutex<Duration>,
    /// Whether it refuses what S3 has had since 2024 only: conditional writes, checksums of whole objects.
    is_old: AtomicBool,
    /// Set where it ignores conditions of writes; the client removes what is in the way.
    forgets: OnceLock<aws_sdk_s3::Client>,
    /// Whether what is held may go on.
    released: watch::Sender<bool>,
}

/// A proxy on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct Proxy {
    server: HttpServer,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy before `endpoint` (`http://host:port`).
    pub fn start(endpoint: &str) -> Proxy {
        let upstream = endpoint
            .strip_prefix("http://")
            .expect("the proxy speaks plain http")
            .trim_end_matches('/');
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            records: Mutex::default(),
            rules: Rules::default(),
            latency: Mutex::default(),
            is_old: AtomicBool::new(false),
            forgets: OnceLock::new(),
            released: watch::Sender::new(false),
        });
        let serving = shared.clone();
        let server = HttpServer::start(move |request| serving.clone().forward(request));
        Proxy { server, shared }
    }

    /// From now on it is like a store of another vendor, without conditional writes and the newer checksums.
    pub fn grow_old(&self) {
        self.shared.is_old.store(true, Ordering::Release);
    }

    /// From now on it is like a store that takes `If-None-Match` and writes all the same. `client` is one of the server
    /// behind it.
    pub fn forget_conditions(&self, client: aws_sdk_s3::Client) {
        let _ = self.shared.forgets.set(client); // once is enough
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Adds a rule; the first rule that strikes a request decides its fate.
    pub fn inject(&self, rule: Rule) {
        self.shared.rules.add(rule);
    }

    /// Lets requests go on that are held, and holds none from now on.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Delays every request from now on.
    pub fn set_latency(&self, latency: Duration) {
        *self.shared.latency.lock().unwrap_or_else(PoisonError::into_inner) = latency;
    }

    /// Forgets all rules, the latency and everything counted.
    pub fn reset(&self) {
        self.shared.rules.clear();
        self.shared.released.send_replace(false);
        self.set_latency(Duration::ZERO);
        self.shared
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// All requests so far, in the order of their arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|record| record.seen())
            .collect()
    }

    /// The requests with this method (`*` for any) whose `path?query` contains the text.
    pub fn matching(&self, method: &str, contains: &str) -> Vec<Exchange> {
        let mut exchanges = self.exchanges();
        exchanges.retain(|seen| fault::matches(method, contains, &seen.method, &seen.path, &seen.query));
        exchanges
    }

    /// How many requests match.
    pub fn count(&self, method: &str, contains: &str) -> usize {
        self.matching(method, contains).len()
    }

    /// Body bytes sent by clients in matching requests.
    pub fn request_bytes(&self, method: &str, contains: &str) -> u64 {
        self.matching(method, contains)
            .iter()
            .map(|seen| seen.request_bytes)
            .sum()
    }

    /// Body bytes sent to clients in answer to matching requests.
    pub fn response_bytes(&self, method: &str, contains: &str) -> u64 {
        self.matching(method, contains)
            .iter()
            .map(|seen| seen.response_bytes)
            .sum()
    }
}

impl Shared {
    async fn forward(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, BoxError> {
        let record = Record::of(&request);
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record.clone());
        let latency = *self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let fault = self.rules.strike(&record.method, &record.path, &record.query);
        if let Some(fault) = fault {
            let _ = record.fault.set(fault); // this request's own cell, set once
        }
        let newer = |(name, _): &(String, String)| {
            let is_write = record.method != "GET" && record.method != "HEAD";
            name.starts_with("x-amz-checksum") || name == "x-amz-mp-object-size" || name.starts_with("if-") && is_write
        };
        if self.is_old.load(Ordering::Acquire) && record.headers.iter().any(newer) {
            let refused = Refused {
                status: 501,
                code: "NotImplemented",
                message: "A header you provided implies functionality that is not implemented",
                region: None,
            };
            return refuse(request, &record, refused).await;
        }
        let mut allowed = u64::MAX;
        match fault {
            Some(Fault::Status(code)) => return refuse(request, &record, Refused::with(code)).await,
            Some(Fault::Refused(refused)) => return refuse(request, &record, refused).await,
            Some(Fault::CutBeforeForwarding) => return Err("cut before forwarding, as told".into()),
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::Hold) => {
                let mut released = self.released.subscribe();
                let _ = released.wait_for(|released| *released).await; // an error means that the proxy has gone
            }
            Some(Fault::CutAnswerAfter(bytes)) => allowed = bytes,
            Some(Fault::CutAfterForwarding | Fault::FlipAnswer) | None => {}
        }
        let (head, body) = request.into_parts();
        let body = CountedBody::new(body, record.request_bytes.clone(), u64::MAX);
        let answer = match self.forgets.get() {
            Some(client) if record.is_conditional_write() => self.write_over(head, body, client).await?,
            _ => self.exchange(head, body).await?,
        };
        let (parts, body) = answer.into_parts();
        if fault == Some(Fault::CutAfterForwarding) {
            body.collect().await?;
            return Err("cut after forwarding, as told".into());
        }
        record.status.store(parts.status.as_u16(), Ordering::Release);
        let mut body = CountedBody::new(body, record.response_bytes.clone(), allowed);
        body.flips_first = fault == Some(Fault::FlipAnswer);
        let mut answer = Answer::new(body.boxed());
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = end_to_end(parts.headers);
        Ok(answer)
    }

    async fn exchange<B>(&self, mut parts: Parts, body: B) -> Result<hyper::Response<Incoming>, BoxError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        parts.headers = end_to_end(parts.headers);
        let stream = TcpStream::connect(&self.upstream).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        background().spawn(connection); // ends with the sender and the answer's body
        Ok(sender.send_request(Request::from_parts(parts, body)).await?)
    }
}

/// Answers with an S3 error. The body is read first: a client still sending would see a broken pipe instead.
async fn refuse(request: Request<Incoming>, record: &Record, refused: Refused) -> Result<Answer, BoxError> {
    CountedBody::new(request.into_body(), record.request_bytes.clone(), u64::MAX)
        .collect()
        .await?;
    let Refused {
        status,
        code,
        message,
        region,
    } = refused;
    record.status.store(status, Ordering::Release);
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut answer = answer(StatusCode::from_u16(status)?, "application/xml", xml);
    answer
        .headers_mut()
        .insert("x-amz-request-id", "4442587FB7D0A2F9".parse()?);
    if let Some(region) = region {
        answer.headers_mut().insert("x-amz-bucket-region", region.parse()?);
    }
    Ok(answer)
}

impl Refused {
    fn with(status: u16) -> Self {
        Self {
            status,
            code: match status {
                500 => "InternalError",
                503 => "SlowDown",
                403 => "AccessDenied",
                404 => "NoSuchKey",
                _ => "InjectedFault",
            },
            message: "injected by the rig",
            region: None,
        }
    }
}

/// Without the headers that concern one connection only (RFC 9110, 7.6.1).
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        headers.remove(name);
    }
    headers
}
