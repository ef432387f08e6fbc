//! What a store does that ignores conditions: it writes, whatever is there.
//!
//! The headers cannot be taken away, since the signature covers them. So what is in the way is removed, and the same
//! request sent again.

use super::super::http_server::BoxError;
use super::Shared;
use super::counted_body::CountedBody;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;

impl Shared {
    pub(super) async fn write_over(
        &self,
        parts: Parts,
        body: CountedBody,
        client: &aws_sdk_s3::Client,
    ) -> Result<hyper::Response<Incoming>, BoxError> {
        let bytes = body.collect().await?.to_bytes();
        let answer = self.exchange(parts.clone(), Full::new(bytes.clone())).await?;
        if answer.status() != StatusCode::PRECONDITION_FAILED {
            return Ok(answer);
        }
        let path = parts.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').ok_or("an object has a bucket and a key")?;
        client.delete_object().bucket(bucket).key(key).send().await?;
        self.exchange(parts, Full::new(bytes)).await
    }
}
