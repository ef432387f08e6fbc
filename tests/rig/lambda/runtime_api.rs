//! The Lambda Runtime API, version 2018-06-01, for one execution environment.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use super::super::http_server::{Answer, BoxError, HttpServer, answer};
use super::FunctionError;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

/// Lambda's limit for a buffered answer.
const LARGEST_ANSWER: usize = 6 * 1024 * 1024 + 100;

/// An event on its way to the function.
#[derive(Debug)]
pub struct Invocation {
    pub id: String,
    pub event: Bytes,
    pub timeout: Duration,
    pub reports: UnboundedSender<Report>,
}

/// What becomes of an invocation.
#[derive(Debug)]
pub enum Report {
    /// The function has fetched the event; its time runs from here.
    Delivered,
    Answered(Result<Value, FunctionError>),
    InitFailed(FunctionError),
    Exited(ExitStatus),
}

#[derive(Debug, Default)]
struct State {
    waiting: Option<Invocation>,
    running: Option<Invocation>,
}

#[derive(Debug)]
struct Shared {
    arn: String,
    state: Mutex<State>,
    queued: Notify,
}

/// The API's server. One for each process, so that a process being killed cannot take its successor's event.
#[derive(Debug)]
pub struct RuntimeApi {
    server: HttpServer,
    shared: Arc<Shared>,
}

impl RuntimeApi {
    pub fn start(arn: String) -> Self {
        let shared = Arc::new(Shared {
            arn,
            state: Mutex::default(),
            queued: Notify::new(),
        });
        let serving = shared.clone();
        let server = HttpServer::start(move |request| serving.clone().serve(request));
        RuntimeApi { server, shared }
    }

    /// `127.0.0.1:PORT`, the form of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Offers an event to the function.
    pub fn queue(&self, invocation: Invocation) {
        self.shared.state().waiting = Some(invocation);
        self.shared.queued.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, BoxError> {
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix("/2018-06-01/runtime/") else {
            return Ok(not_found(&path));
        };
        let steps: Vec<&str> = path.split('/').collect();
        match (request.method(), &steps[..]) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => {
                let body = request.into_body().collect().await?.to_bytes();
                Ok(self.finish(id, body.len() > LARGEST_ANSWER, || answered(&body)))
            }
            (&Method::POST, ["invocation", id, "error"]) => {
                let body = request.into_body().collect().await?.to_bytes();
                Ok(self.finish(id, false, || Err(FunctionError::of_function(document(&body)))))
            }
            (&Method::POST, ["init", "error"]) => {
                let body = request.into_body().collect().await?.to_bytes();
                if let Some(waiting) = self.state().waiting.take() {
                    let error = FunctionError::of_function(document(&body));
                    let _ = waiting.reports.send(Report::InitFailed(error)); // nobody waits any more: fine
                }
                Ok(accepted())
            }
            _ => Ok(not_found(path)),
        }
    }

    /// Waits for an event, however long, as the real one does.
    async fn next(&self) -> Result<Answer, BoxError> {
        let invocation = loop {
            if let Some(invocation) = self.state().waiting.take() {
                break invocation;
            }
            self.queued.notified().await;
        };
        let deadline = (SystemTime::now() + invocation.timeout)
            .duration_since(UNIX_EPOCH)?
            .as_millis();
        let mut event = answer(StatusCode::OK, "application/json", invocation.event.clone());
        let headers = [
            ("lambda-runtime-aws-request-id", invocation.id.clone()),
            ("lambda-runtime-deadline-ms", deadline.to_string()),
            ("lambda-runtime-invoked-function-arn", self.arn.clone()),
            (
                "lambda-runtime-trace-id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".to_owned(),
            ),
        ];
        for (name, value) in headers {
            event.headers_mut().insert(name, HeaderValue::from_str(&value)?);
        }
        let _ = invocation.reports.send(Report::Delivered);
        self.state().running = Some(invocation);
        Ok(event)
    }

    /// Takes the answer for the running invocation; any other id is refused, as is a payload that is too large.
    fn finish(&self, id: &str, too_large: bool, outcome: impl FnOnce() -> Result<Value, FunctionError>) -> Answer {
        let mut state = self.state();
        let Some(running) = state.running.take_if(|running| running.id == id) else {
            return refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID");
        };
        let too_large_message =
            format!("Response payload size exceeded maximum allowed payload size ({LARGEST_ANSWER} bytes).");
        let (outcome, reply) = if too_large {
            let error = FunctionError::of_lambda("Function.ResponseSizeTooLarge", too_large_message.clone());
            (
                Err(error),
                refused(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "RequestEntityTooLarge",
                    &too_large_message,
                ),
            )
        } else {
            (outcome(), accepted())
        };
        let _ = running.reports.send(Report::Answered(outcome));
        reply
    }
}

fn answered(body: &Bytes) -> Result<Value, FunctionError> {
    serde_json::from_slice(body).map_err(|e| {
        let text = String::from_utf8_lossy(body);
        FunctionError::of_lambda(
            "Runtime.InvalidResponse",
            format!("the answer is no JSON ({e}): {text}"),
        )
    })
}

/// An error document; what is no JSON becomes its message.
fn document(body: &Bytes) -> Value {
    let text = || json!({"errorType": "Unknown", "errorMessage": String::from_utf8_lossy(body)});
    serde_json::from_slice(body).unwrap_or_else(|_| text())
}

fn accepted() -> Answer {
    answer(StatusCode::ACCEPTED, "application/json", r#"{"status":"OK"}"#)
}

fn not_found(path: &str) -> Answer {
    refused(
        StatusCode::NOT_FOUND,
        "InvalidPath",
        &format!("the Runtime API has no {path}"),
    )
}

fn refused(status: StatusCode, error_type: &str, message: &str) -> Answer {
    let document = json!({"errorType": error_type, "errorMessage": message});
    answer(status, "application/json", document.to_string())
}
