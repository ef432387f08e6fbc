//! S3, or what speaks its protocol.
//!
//! Every part and the whole object carry our own CRC64NVME, so bodies need no second checksum from the client library,
//! and are not hashed again for the signature if the connection is encrypted anyway.

mod answer;
mod conditions;
mod dialect;
mod limits;
mod multipart;
mod permission;
mod refusal;
mod regions;
pub(super) mod state;

use aws_config::retry::RetryConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::receipt::crc64;
use super::{Location, Object, Said, StoreError, Tags};
use crate::archive::Extent;
use crate::aws;

use answer::InBody;
pub(super) use conditions::Conditions;
use dialect::Dialect;
use limits::AnswerLimits;
pub(super) use multipart::Multipart;
use refusal::Refusal;
pub(super) use regions::Regions;

/// How often a request is tried: a nightly backup should outlive a minute of throttling.
const ATTEMPTS: u32 = 6;

/// A client, and what is known of the store that it speaks to.
pub(super) async fn client_from_environment(
    conditions: &Conditions,
    cancel: &CancellationToken,
) -> Result<Client, StoreError> {
    let environment = aws::from_environment().await.map_err(StoreError::Misconfigured)?;
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let dialect = Dialect::of_environment();
    if let Some(fault) = dialect.fault() {
        return Err(StoreError::Misconfigured(fault.to_owned()));
    }
    if !dialect.has_conditions() {
        tracing::warn!(
            "this store is said to lack conditional writes: if two runs write the same name at the same moment, one may replace what the other wrote"
        );
    }
    let is_aws = !aws::has_own_s3(&environment);
    if is_aws && dialect.has_conditions() {
        conditions.believe();
    }
    let mut config = aws_sdk_s3::config::Builder::from(&environment)
        .region(aws::region_of(&environment))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        // Stores that are not AWS have no host name for each bucket.
        .force_path_style(!is_aws)
        .interceptor(dialect.clone());
    if !is_set("AWS_REQUEST_CHECKSUM_CALCULATION") || !dialect.has_checksums() {
        config = config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    }
    if !is_set("AWS_RESPONSE_CHECKSUM_VALIDATION") || !dialect.has_checksums() {
        config = config.response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(AnswerLimits::until(cancel).of(config).build()))
}

pub(super) fn equal_parts() -> Option<u64> {
    Dialect::of_environment().equal_parts()
}

pub(super) async fn find(client: &Client, bucket: &str, key: &str) -> Result<Object, StoreError> {
    const ACTION: &str = "HeadObject";
    let head = match client.head_object().bucket(bucket).key(key).send().await {
        Ok(head) => head,
        Err(error) => {
            let is_answer = error.raw_response().is_some();
            let error = failed(bucket, key, ACTION, &error);
            if !is_answer {
                return Err(error);
            }
            return Err(match (why_not_found(client, bucket, key, ACTION).await, &error) {
                (Some(told @ StoreError::NotFound(..)), StoreError::NotFound(..)) => told,
                // Whoever may not read is told nothing, also where there is nothing.
                (None | Some(StoreError::NotFound(..)), _) => error,
                (Some(told), _) => told,
            });
        }
    };
    Ok(Object {
        location: location(bucket, key),
        bytes: head
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or(0),
        etag: etag_of(head.e_tag(), (bucket, key), ACTION)?,
    })
}

/// What every answer of S3 about an object has. A server that answers everything, with a page, has none.
fn etag_of(said: Option<&str>, (bucket, key): (&str, &str), action: &'static str) -> Result<String, StoreError> {
    let no_answer = Refusal {
        status: 200,
        ..Refusal::default()
    };
    said.map(str::to_owned)
        .ok_or_else(|| refused(location(bucket, key), action, &no_answer))
}

/// The answer to a HEAD has no body, which alone would tell why. A GET has one. Nothing where it says nothing more.
async fn why_not_found(client: &Client, bucket: &str, key: &str, action: &'static str) -> Option<StoreError> {
    let got = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .range("bytes=0-0")
        .send()
        .await;
    let error = got.err()?;
    let is_told = code(&error).is_some() || error.raw_response().is_some_and(|answer| !InBody::is_silent(answer));
    is_told.then(|| failed(bucket, key, action, &error))
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
    const ACTION: &str = "GetObject";
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
        etag_of(response.e_tag(), (bucket, key), ACTION)?;
        tries += 1;
        // The library retries a request, not a body that breaks off half-way.
        let reason = match body(response.body, extent.length).await {
            Ok(bytes) => {
                if bytes.len() as u64 == extent.length {
                    return Ok(bytes);
                }
                format!(
                    "{} of {} bytes came at offset {}",
                    bytes.len(),
                    extent.length,
                    extent.offset
                )
            }
            Err(error) => aws::chain(&error),
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

/// The pages of a listing of what lies directly below a prefix.
async fn pages(
    client: &Client,
    bucket: &str,
    folder: &str,
    name_prefix: &str,
) -> Result<Vec<ListObjectsV2Output>, StoreError> {
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
        found.push(page.map_err(|error| failed(bucket, folder, "ListObjectsV2", &error))?);
    }
    Ok(found)
}

pub(super) async fn folders(
    client: &Client,
    bucket: &str,
    folder: &str,
    name_prefix: &str,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for page in pages(client, bucket, folder, name_prefix).await? {
        let prefixes = page.common_prefixes().iter().filter_map(|found| found.prefix());
        found.extend(prefixes.filter_map(|prefix| Some(prefix.trim_end_matches('/').rsplit('/').next()?.to_owned())));
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) async fn list(
    client: &Client,
    bucket: &str,
    folder: &str,
    name_prefix: &str,
) -> Result<Vec<Object>, StoreError> {
    let mut found = Vec::new();
    for page in pages(client, bucket, folder, name_prefix).await? {
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
    conditions: &Conditions,
) -> Result<(), StoreError> {
    const ACTION: &str = "PutObject";
    let checksum = base64_of(crc64(&bytes));
    look(client, bucket, key, conditions).await?;
    let put = || {
        client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .set_tagging(tags.header())
            .checksum_crc64_nvme(&checksum)
            .body(ByteStream::from(bytes.clone()))
    };
    let done = put().if_none_match("*").send().await;
    let done = done.map_err(|error| failed(bucket, key, ACTION, &error))?;
    etag_of(done.e_tag(), (bucket, key), ACTION)?;
    if conditions.are_ignored(put()).await {
        tracing::warn!("{}", conditions::ignored(&location(bucket, key)));
    }
    Ok(())
}

/// A look before a write, where the store may not refuse by itself. A role that may not look relies on the store, unless
/// that is known to write over everything.
async fn look(client: &Client, bucket: &str, key: &str, conditions: &Conditions) -> Result<(), StoreError> {
    if conditions.are_proven() {
        return Ok(());
    }
    match find(client, bucket, key).await {
        Ok(found) => Err(StoreError::Exists(found.location, Said::NOTHING)),
        Err(StoreError::NotFound(..)) => Ok(()),
        Err(_) if Dialect::of_environment().has_conditions() => Ok(()),
        Err(error) => Err(error),
    }
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

fn is_denied<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 403)
}

fn failed<E>(bucket: &str, key: &str, action: &'static str, error: &SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let location = location(bucket, key);
    match error.raw_response() {
        Some(answer) => {
            let said = error.as_service_error().map(ProvideErrorMetadata::meta);
            answered(location, action, answer, said)
        }
        None => StoreError::Failed {
            location,
            action,
            reason: aws::why_unreached(error, aws::Service::S3),
        },
    }
}

/// Apart from [`failed`], which is compiled for each operation.
fn answered(
    location: Location,
    action: &'static str,
    answer: &HttpResponse,
    said: Option<&ErrorMetadata>,
) -> StoreError {
    let (status, body) = (answer.status().as_u16(), answer.body().bytes().unwrap_or_default());
    let in_body = InBody::of(body, status);
    // The SDK's own word for a 404 without a body.
    let code = said.and_then(|said| said.code()).filter(|code| *code != "NotFound");
    let message = said
        .and_then(|said| said.message())
        .filter(|message| !message.is_empty());
    let request = answer.headers().get("x-amz-request-id");
    let code = code.or(in_body.code.as_deref());
    // A store says of a list what is not there.
    let is_mute = code.is_none() && status == 404 && action == "ListObjectsV2";
    let refusal = Refusal {
        status,
        code,
        message: message.or(in_body.message.as_deref()),
        request: request.or(in_body.request.as_deref()),
        region: answer.headers().get("x-amz-bucket-region"),
        is_page: is_mute || !body.is_empty() && answer::is_of_no_store(answer),
    };
    refused(location, action, &refusal)
}

fn refused(location: Location, action: &'static str, refusal: &Refusal<'_>) -> StoreError {
    let said = || Said::from(refusal.said());
    match (refusal.code, refusal.status) {
        (None, 404 | 409 | 412) if refusal.is_page => StoreError::Failed {
            location,
            action,
            reason: refusal.told(action),
        },
        (Some("NoSuchBucket"), _) => StoreError::NoBucket(location, said()),
        (Some("NoSuchKey"), _) | (None, 404) => StoreError::NotFound(location, said()),
        (Some("InvalidObjectState"), _) => StoreError::Archived(location, said()),
        (Some("PreconditionFailed"), _) | (None, 412) if action == "GetObject" => StoreError::Changed(location, said()),
        (Some("PreconditionFailed" | "ConditionalRequestConflict"), _) | (None, 409 | 412) => {
            StoreError::Exists(location, said())
        }
        _ if refusal.is_unknown() => {
            StoreError::Misconfigured(format!("{action} {location}: {}", refusal.told(action)))
        }
        _ if refusal.is_denial() => StoreError::Denied {
            location,
            action,
            reason: refusal.told(action),
            elsewhere: refusal.other_region().map(str::to_owned),
        },
        _ => StoreError::Failed {
            location,
            action,
            reason: refusal.told(action),
        },
    }
}
