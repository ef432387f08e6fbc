//! An S3 that takes everything and keeps nothing, within the program that sends: what a backup costs without the
//! network and without a store, as `mongodump --archive > /dev/null` does.
//!
//! Requests are made, signed and sent as to AWS (over TLS, as far as the client library knows, so bodies are not hashed
//! for the signature), and end where the connection would begin.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;

/// A client of it.
pub fn client() -> aws_sdk_s3::Client {
    let http = http_client_fn(|_, _| SharedHttpConnector::new(Discard));
    let config = aws_sdk_s3::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("nobody", "nothing", None, None, "discard"))
        .request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired)
        .http_client(http);
    aws_sdk_s3::Client::from_conf(config.build())
}

#[derive(Debug)]
struct Discard;

impl HttpConnector for Discard {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Ok(answer(&request)))
    }
}

fn answer(request: &HttpRequest) -> HttpResponse {
    let query = request.uri().split_once('?').map_or("", |(_, query)| query);
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let (status, body) = match (request.method(), has("uploads"), has("uploadId")) {
        ("POST", true, _) => (
            200,
            "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>",
        ),
        ("POST", _, true) => (
            200,
            "<CompleteMultipartUploadResult><ETag>\"1\"</ETag></CompleteMultipartUploadResult>",
        ),
        ("GET", true, _) => (200, "<ListMultipartUploadsResult></ListMultipartUploadsResult>"),
        ("PUT", _, _) => (200, ""),
        // Nothing is there.
        _ => (404, ""),
    };
    let status = StatusCode::try_from(status).expect("a status");
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("etag", "\"1\"");
    response
}
