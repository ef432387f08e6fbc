//! Somebody who is told: an HTTP server that keeps what it hears, and answers as it is made to.

use super::http_server::{HttpServer, answer};
use http_body_util::BodyExt;
use hyper::StatusCode;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The method and the path with its query.
    pub request: String,
    /// The body as JSON; `null` for none.
    pub body: Value,
}

/// A listener on a free port.
#[derive(Debug)]
pub struct Listener {
    server: HttpServer,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Listener {
    /// Answers the first requests with these statuses, and then with 200.
    pub fn start(statuses: &[u16]) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let statuses: Arc<Mutex<VecDeque<u16>>> = Arc::new(Mutex::new(statuses.iter().copied().collect()));
        let kept = Arc::clone(&heard);
        let server = HttpServer::start(move |request| {
            let (kept, statuses) = (Arc::clone(&kept), Arc::clone(&statuses));
            async move {
                let asked = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect().await?.to_bytes();
                let body = match body.is_empty() {
                    true => Value::Null,
                    false => serde_json::from_slice(&body)?,
                };
                kept.lock().expect("no panic").push(Heard { request: asked, body });
                let status = statuses.lock().expect("no panic").pop_front().unwrap_or(200);
                let status = StatusCode::from_u16(status).expect("a status");
                Ok(answer(status, "text/plain", "ok"))
            }
        });
        Listener { server, heard }
    }

    /// The address of a path here, with its kind before it.
    pub fn address(&self, kind: &str, path: &str) -> String {
        format!("{kind}+http://{}{path}", self.server.address())
    }

    /// What was heard so far, in its order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }
}
