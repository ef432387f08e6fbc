//! S3, or what speaks its protocol.
//!
//! Every part and the whole object carry a CRC64NVME of our own, so bodies need no second checksum from the client
//! library and are not hashed once more for the signature where the connection is encrypted anyway.

mod multipart;
pub(super) mod state;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::receipt::crc64;
use super::{Location, Object, StoreError, Tags};
use crate::archive::Extent;
use crate::aws;

pub(super) use multipart::Multipart;

/// How often a request is tried: a nightly backup should outlive a minute of throttling.
const ATTEMPTS: u32 = 6;

/// A store that does not answer is an error, and no backup that hangs for ever. An answer comes when the last byte of a
/// part has arrived, so there must be time for a large one on a slow line; a body that stalls on its way is found out
/// much sooner, by the client's own stalled stream protection.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(300))
        .build()
}

pub(super) async fn client_from_environment() -> Client {
    let environment = aws::from_environment().await;
    let custom_endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let config = aws_sdk_s3::config::Builder::from(&environment)
        .region(aws::region_of(&environment))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts())
        // Stores that are not AWS have no host name for each bucket.
        .force_path_style(custom_endpoint)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    Client::from_conf(config.build())
}

pub(super) async fn find(client: &Client, bucket: &str, key: &str) -> Result<Object, StoreError> {
    let head = client
        .head_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .map_err(|error| failed(bucket, key, "s3:GetObject (HeadObject)", &error))?;
    Ok(Object {
        location: location(bucket, key),
        bytes: head
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or(0),
        etag: head.e_tag().unwrap_or_default().to_owned(),
    })
}

/// A body of an expected length, which is not held twice.
async fn body(mut body: ByteStream, length: u64) -> Result<Bytes, aws_sdk_s3::primitives::ByteStreamError> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    while let Some(next) = body.try_next().await? {
        bytes.extend_from_slice(&next);
    }
    Ok(bytes.into())
}

pub(super) async fn read(
    client: &Client,
    bucket: &str,
    key: &str,
    etag: &str,
    extent: Extent,
) -> Result<Bytes, StoreError> {
    const ACTION: &str = "s3:GetObject";
    let last = extent.offset.saturating_add(extent.length) - 1;
    let mut tries = 0;
    loop {
        let response = client
            .get_object()
            .bucket(bucket)
            .key(key)
            .if_match(etag)
            .range(format!("bytes={}-{last}", extent.offset))
            .send()
            .await
            .map_err(|error| failed(bucket, key, ACTION, &error))?;
        tries += 1;
        // The library retries a request, not a body that breaks off half-way.
        let reason = match body(response.body, extent.length).await {
            Ok(bytes) => {
                if bytes.len() as u64 == extent.length {
                    return Ok(bytes);
                }
                format!(
                    "{} bytes came of {} at offset {}",
                    bytes.len(),
                    extent.length,
                    extent.offset
                )
            }
            Err(error) => chain(&error),
        };
        if tries == ATTEMPTS {
            return Err(StoreError::Failed {
                location: location(bucket, key),
                action: ACTION,
                reason,
            });
        }
    }
}

pub(super) async fn list(
    client: &Client,
    bucket: &str,
    folder: &str,
    name_prefix: &str,
) -> Result<Vec<Object>, StoreError> {
    const ACTION: &str = "s3:ListBucket";
    let slash = if folder.is_empty() || folder.ends_with('/') {
        ""
    } else {
        "/"
    };
    let mut pages = client
        .list_objects_v2()
        .bucket(bucket)
        .prefix(format!("{folder}{slash}{name_prefix}"))
        .delimiter("/")
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed(bucket, folder, ACTION, &error))?;
        found.extend(page.contents().iter().filter_map(|object| {
            // A key that ends in a slash is a console's idea of a folder.
            let key = object.key().filter(|key| !key.ends_with('/'))?;
            Some(Object {
                location: location(bucket, key),
                bytes: u64::try_from(object.size()?).ok()?,
                etag: object.e_tag().unwrap_or_default().to_owned(),
            })
        }));
    }
    found.sort_unstable_by_key(|object| object.location.file_name());
    Ok(found)
}

pub(super) async fn put(
    client: &Client,
    bucket: &str,
    key: &str,
    bytes: Bytes,
    content_type: &str,
    tags: &Tags,
) -> Result<(), StoreError> {
    let checksum = base64_of(crc64(&bytes));
    client
        .put_object()
        .bucket(bucket)
        .key(key)
        .content_type(content_type)
        .set_tagging(tags.header())
        .checksum_crc64_nvme(checksum)
        .if_none_match("*")
        .body(ByteStream::from(bytes))
        .send()
        .await
        .map_err(|error| failed(bucket, key, "s3:PutObject", &error))?;
    Ok(())
}

fn location(bucket: &str, key: &str) -> Location {
    Location::S3 {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    }
}

fn base64_of(checksum: u64) -> String {
    STANDARD.encode(checksum.to_be_bytes())
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn is_denied<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> bool {
    error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 403)
}

fn failed<E>(bucket: &str, key: &str, action: &'static str, error: &SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let location = location(bucket, key);
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (code(error), status) {
        (Some("NoSuchKey" | "NotFound" | "NoSuchBucket"), _) | (None, Some(404)) => StoreError::NotFound(location),
        (Some("InvalidObjectState"), _) => StoreError::Archived(location),
        (Some("PreconditionFailed"), _) | (_, Some(412)) if action == "s3:GetObject" => StoreError::Changed(location),
        (Some("PreconditionFailed" | "ConditionalRequestConflict"), _) | (_, Some(409 | 412)) => {
            StoreError::Exists(location)
        }
        (Some("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch"), _) | (_, Some(403)) => {
            StoreError::Denied { location, action }
        }
        _ => StoreError::Failed {
            location,
            action,
            reason: chain(error),
        },
    }
}

/// An error with its causes, each once, and without the request that it belongs to.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
