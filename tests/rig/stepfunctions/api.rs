//! The engine's interfaces, as plain HTTP.

use super::super::background::background;
use super::super::http_server::BoxError;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Where the engine answers.
#[derive(Clone, Debug)]
pub struct Api {
    address: String,
}

impl Api {
    pub fn new(endpoint: &str) -> Self {
        Api {
            address: endpoint.trim_start_matches("http://").to_owned(),
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An action of Step Functions.
    pub async fn states(&self, action: &str, request: Value) -> Value {
        self.json("states", &format!("AWSStepFunctions.{action}"), request)
            .await
    }

    /// An action of SQS.
    pub async fn sqs(&self, action: &str, request: Value) -> Value {
        self.json("sqs", &format!("AmazonSQS.{action}"), request).await
    }

    /// An action of SNS.
    pub async fn sns(&self, fields: &[(&str, &str)]) -> String {
        self.query("sns", fields).await
    }

    /// An action of a service that takes forms, and answers in XML.
    pub async fn query(&self, service: &str, fields: &[(&str, &str)]) -> String {
        let form: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.succeed(service, "POST", "/", &headers, form.join("&")).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request to Lambda.
    pub async fn lambda(&self, method: &str, path: &str, request: &Value) -> Value {
        let path = format!("/2015-03-31/functions{path}");
        let headers = [("content-type", "application/json")];
        let answer = self
            .succeed("lambda", method, &path, &headers, request.to_string())
            .await;
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// Whether the engine is up.
    pub async fn is_healthy(&self) -> bool {
        let answer = self
            .send("states", "GET", "/_ministack/health", &[], String::new())
            .await;
        answer.is_ok_and(|(status, _)| status == StatusCode::OK)
    }

    async fn json(&self, service: &str, target: &str, request: Value) -> Value {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        let answer = self.succeed(service, "POST", "/", &headers, request.to_string()).await;
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// The body of a good answer, or a panic with the bad one.
    async fn succeed(&self, service: &str, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Bytes {
        let shown: String = body.chars().take(2000).collect();
        match self.send(service, method, path, headers, body).await {
            Ok((status, answer)) if status.is_success() => answer,
            Ok((status, answer)) => panic!(
                "{service} answers {status} {} to {method} {path} {headers:?} {shown}",
                String::from_utf8_lossy(&answer)
            ),
            Err(error) => panic!("{service} at {} does not answer {method} {path}: {error}", self.address),
        }
    }

    pub async fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(StatusCode, Bytes), BoxError> {
        // Nothing checks the signature, but its scope says which service and region is meant.
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", scope);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        background().spawn(connection); // ends with the sender and the answer's body
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

/// A value within a form.
fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value
        .bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
