//! What the proxy knows of a request.

use super::fault::Fault;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::RANGE;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// One request that came through, as seen so far: bytes grow while bodies stream.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    /// Percent-encoded, with the leading slash.
    pub path: String,
    /// Without the question mark; empty if there is none.
    pub query: String,
    /// The `Range` header of the request.
    pub range: Option<String>,
    /// Headers of the request that are the protocol's own.
    pub headers: Vec<(String, String)>,
    /// The status answered; `None` while there is none, and for ever when the connection was cut before it.
    pub status: Option<u16>,
    /// Body bytes from the client as on the wire, including any aws-chunked framing.
    pub request_bytes: u64,
    /// Body bytes that reached the client's connection.
    pub response_bytes: u64,
    /// The fault a rule put in.
    pub fault: Option<Fault>,
}

/// The same while it is under way.
#[derive(Debug)]
pub struct Record {
    pub method: String,
    pub path: String,
    pub query: String,
    pub range: Option<String>,
    pub headers: Vec<(String, String)>,
    pub status: AtomicU16,
    pub request_bytes: Arc<AtomicU64>,
    pub response_bytes: Arc<AtomicU64>,
    pub fault: OnceLock<Fault>,
}

impl Record {
    pub fn of(request: &Request<Incoming>) -> Arc<Record> {
        Arc::new(Record {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            range: request
                .headers()
                .get(RANGE)
                .map(|range| String::from_utf8_lossy(range.as_bytes()).into_owned()),
            headers: request
                .headers()
                .iter()
                .filter(|(name, _)| is_told(name.as_str()))
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            status: AtomicU16::new(0),
            request_bytes: Arc::default(),
            response_bytes: Arc::default(),
            fault: OnceLock::new(),
        })
    }

    /// Whether it writes, and only if something is so.
    pub fn is_conditional_write(&self) -> bool {
        let is_write = self.method == "PUT" || self.method == "POST";
        is_write && self.headers.iter().any(|(name, _)| name.starts_with("if-"))
    }

    pub fn seen(&self) -> Exchange {
        let status = self.status.load(Ordering::Acquire);
        Exchange {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            range: self.range.clone(),
            headers: self.headers.clone(),
            status: (status != 0).then_some(status),
            request_bytes: self.request_bytes.load(Ordering::Acquire),
            response_bytes: self.response_bytes.load(Ordering::Acquire),
            fault: self.fault.get().copied(),
        }
    }
}

/// What of a request's headers is kept: what S3 goes by.
fn is_told(name: &str) -> bool {
    name.starts_with("x-amz-") || name.starts_with("if-") || name == "authorization"
}
