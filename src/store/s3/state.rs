//! Small objects that change: the state of runs. They say of themselves that they may be removed, so that a lifecycle
//! rule finds them in any folder.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::conditions::{Conditions, ignored};
use super::dialect::Dialect;
use super::{ATTEMPTS, Said, StoreError, base64_of, crc64, etag_of, failed};
use crate::aws;

/// The tag of objects that are only there while a run goes on; `template.yaml` has the lifecycle rule.
const IN_PROGRESS: &str = "mongotar-in-progress=true";
/// How long a write takes that was begun before ours: a second look comes after that.
const SETTLING: Duration = Duration::from_secs(1);
const GET: &str = "GetObject";
const PUT: &str = "PutObject";

pub(in super::super) async fn load(
    client: &Client,
    bucket: &str,
    key: &str,
) -> Result<Option<(Bytes, String)>, StoreError> {
    let mut tries = 0;
    loop {
        let response = match client.get_object().bucket(bucket).key(key).send().await {
            Ok(response) => response,
            Err(error) => {
                return match failed(bucket, key, GET, &error) {
                    StoreError::NotFound(..) | StoreError::NoBucket(..) => Ok(None),
                    other => Err(other),
                };
            }
        };
        let etag = etag_of(response.e_tag(), (bucket, key), GET)?;
        tries += 1;
        // The library retries a request, not a body that breaks off half-way.
        match response.body.collect().await {
            Ok(body) => return Ok(Some((body.into_bytes(), etag))),
            Err(error) if tries == ATTEMPTS => {
                return Err(StoreError::Failed {
                    location: super::location(bucket, key),
                    action: GET,
                    reason: aws::chain(&error),
                });
            }
            Err(_) => {}
        }
    }
}

fn write(client: &Client, bucket: &str, key: &str, bytes: Bytes) -> PutObjectFluentBuilder {
    client
        .put_object()
        .bucket(bucket)
        .key(key)
        .tagging(IN_PROGRESS)
        .checksum_crc64_nvme(base64_of(crc64(&bytes)))
        .body(ByteStream::from(bytes))
}

pub(in super::super) async fn save(client: &Client, bucket: &str, key: &str, bytes: Bytes) -> Result<(), StoreError> {
    let done = write(client, bucket, key, bytes).send().await;
    let done = done.map_err(|error| failed(bucket, key, PUT, &error))?;
    etag_of(done.e_tag(), (bucket, key), PUT).map(|_| ())
}

pub(in super::super) async fn swap(
    client: &Client,
    bucket: &str,
    key: &str,
    bytes: Bytes,
    expected: Option<&str>,
    conditions: &Conditions,
) -> Result<String, StoreError> {
    if !Dialect::of_environment().has_conditions() {
        return swap_by_looking(client, bucket, key, bytes, expected).await;
    }
    let put = write(client, bucket, key, bytes.clone());
    let put = match expected {
        None => put.if_none_match("*"),
        Some(etag) => put.if_match(etag),
    };
    match put.send().await {
        Ok(_) if conditions.are_ignored(write(client, bucket, key, bytes.clone())).await => {
            if expected.is_none() {
                // Nobody holds what was only tried.
                let _ = remove(client, bucket, key).await;
            }
            Err(StoreError::Misconfigured(ignored(&super::location(bucket, key))))
        }
        Ok(done) => etag_of(done.e_tag(), (bucket, key), PUT),
        Err(error) => match failed(bucket, key, PUT, &error) {
            // The answer was lost, the request repeated, and it met its own object.
            StoreError::Exists(location, said) => match load(client, bucket, key).await? {
                Some((there, etag)) if there == bytes => Ok(etag),
                _ => Err(StoreError::Exists(location, said)),
            },
            other => Err(other),
        },
    }
}

/// The same where the store compares nothing: a look before, and one after, when whoever wrote at the same moment has
/// written, too. What is there then counts, for both.
async fn swap_by_looking(
    client: &Client,
    bucket: &str,
    key: &str,
    bytes: Bytes,
    expected: Option<&str>,
) -> Result<String, StoreError> {
    let exists = || StoreError::Exists(super::location(bucket, key), Said::NOTHING);
    let before = load(client, bucket, key).await?;
    if before.as_ref().map(|(_, etag)| etag.as_str()) != expected {
        return Err(exists());
    }
    save(client, bucket, key, bytes.clone()).await?;
    tokio::time::sleep(SETTLING).await;
    match load(client, bucket, key).await? {
        Some((there, etag)) if there == bytes => Ok(etag),
        _ => Err(exists()),
    }
}

pub(in super::super) async fn remove(client: &Client, bucket: &str, key: &str) -> Result<(), StoreError> {
    let removed = client.delete_object().bucket(bucket).key(key).send().await;
    removed
        .map(|_| ())
        .map_err(|error| failed(bucket, key, "DeleteObject", &error))
}
