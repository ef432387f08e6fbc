//! S3, or what speaks its protocol.
//!
//! Every part and the whole object carry a CRC64NVME of our own, so bodies need no second checksum from the client library and are not hashed once more for
//! the signature where the connection is encrypted anyway.

pub(super) mod state;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::io::AsyncRead;

use super::upload::{Receipt, crc64, full_crc64};
use super::{Location, Object, StoreError, Tags};
use crate::archive::{Extent, Part};

/// How often a request is tried: a nightly backup should outlive a minute of throttling.
const ATTEMPTS: u32 = 6;

/// A store that does not answer is an error, and no backup that hangs for ever. An answer comes when the last byte of a part has arrived, so there must be time for a
/// large one on a slow line; a body that stalls on its way is found out much sooner, by the client's own stalled stream protection.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(300))
        .build()
}

pub(super) async fn client_from_environment() -> Client {
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts())
        .load()
        .await;
    let custom_endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        // Stores that are not AWS have no host name for each bucket.
        .force_path_style(custom_endpoint)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if shared.region().is_none() {
        config = config.region(Region::new("us-east-1"));
    }
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
        let reason = match response.body.collect().await {
            Ok(body) => {
                let bytes = body.into_bytes();
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

pub(super) async fn stream(
    client: &Client,
    bucket: &str,
    key: &str,
    etag: &str,
) -> Result<Box<dyn AsyncRead + Send + Unpin>, StoreError> {
    let response = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .if_match(etag)
        .send()
        .await
        .map_err(|error| failed(bucket, key, "s3:GetObject", &error))?;
    Ok(Box::new(response.body.into_async_read()))
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
    found.sort_by_key(|object| object.location.file_name());
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

/// A multipart upload that was begun.
#[derive(Clone, Debug)]
pub(super) struct Multipart {
    client: Client,
    bucket: String,
    key: String,
    id: String,
    location: Location,
}

impl Multipart {
    pub(super) async fn begin(client: &Client, bucket: &str, key: &str, tags: &Tags) -> Result<Self, StoreError> {
        const ACTION: &str = "s3:PutObject (CreateMultipartUpload)";
        let created = client
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .content_type(content_type(key))
            .set_tagging(tags.header())
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .send()
            .await
            .map_err(|error| failed(bucket, key, ACTION, &error))?;
        let id = created
            .upload_id()
            .map(str::to_owned)
            .ok_or_else(|| StoreError::Failed {
                location: location(bucket, key),
                action: ACTION,
                reason: "the answer has no upload id".to_owned(),
            })?;
        let upload = Self::resume(client, bucket, key, id);
        if upload.has_rival().await {
            upload.abort().await?;
            return Err(StoreError::Exists(upload.location));
        }
        Ok(upload)
    }

    /// One that was begun by another invocation.
    pub(super) fn resume(client: &Client, bucket: &str, key: &str, id: String) -> Self {
        Self {
            client: client.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id,
            location: location(bucket, key),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether somebody else is writing to the same key. Of two who begin at once each may see the other, and both give way; but never do both go on and
    /// find out at the commit, when the work of one of them is lost. A role that may not list uploads does find out then.
    async fn has_rival(&self) -> bool {
        let listed = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(&self.key)
            .send()
            .await;
        listed.is_ok_and(|page| {
            page.uploads().iter().any(|upload| {
                upload.key() == Some(self.key.as_str()) && upload.upload_id().is_some_and(|id| id != self.id)
            })
        })
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    pub(super) async fn send(&self, part: Part) -> Result<Receipt, StoreError> {
        const ACTION: &str = "s3:PutObject (UploadPart)";
        let (number, length, sum) = (part.number, part.bytes.len() as u64, crc64(&part.bytes));
        let sent = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_crc64_nvme(base64_of(sum))
            .body(ByteStream::from(part.bytes))
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .map_err(|error| failed(&self.bucket, &self.key, ACTION, &error))?;
        Ok(Receipt {
            number,
            etag: sent.e_tag().unwrap_or_default().to_owned(),
            crc64: Some(sum),
            bytes: length,
        })
    }

    /// Makes a part of an extent of another object in S3, without its bytes coming here.
    pub(super) async fn copy(
        &self,
        number: u32,
        (bucket, key): (&str, &str),
        extent: Extent,
    ) -> Result<Receipt, StoreError> {
        const ACTION: &str = "s3:PutObject (UploadPartCopy)";
        let last = extent.offset.saturating_add(extent.length).saturating_sub(1);
        let copied = self
            .client
            .upload_part_copy()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .copy_source(format!("{bucket}/{}", escaped(key)))
            .copy_source_range(format!("bytes={}-{last}", extent.offset))
            .send()
            .await
            .map_err(|error| failed(&self.bucket, &self.key, ACTION, &error))?;
        let result = copied.copy_part_result();
        Ok(Receipt {
            number,
            etag: result.and_then(|result| result.e_tag()).unwrap_or_default().to_owned(),
            crc64: result
                .and_then(|result| result.checksum_crc64_nvme())
                .and_then(|checksum| STANDARD.decode(checksum).ok())
                .and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?))),
            bytes: extent.length,
        })
    }

    pub(super) async fn commit(&self, receipts: &[Receipt]) -> Result<Object, StoreError> {
        const ACTION: &str = "s3:PutObject (CompleteMultipartUpload)";
        let parts = receipts
            .iter()
            .map(|receipt| {
                CompletedPart::builder()
                    .part_number(i32::try_from(receipt.number).unwrap_or(i32::MAX))
                    .e_tag(&receipt.etag)
                    .set_checksum_crc64_nvme(receipt.crc64.map(base64_of))
                    .build()
            })
            .collect();
        let bytes: u64 = receipts.iter().map(|receipt| receipt.bytes).sum();
        let checksum = full_crc64(receipts).map(base64_of);
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .set_checksum_crc64_nvme(checksum.clone())
            .checksum_type(ChecksumType::FullObject)
            .mpu_object_size(i64::try_from(bytes).unwrap_or(i64::MAX))
            .if_none_match("*")
            .send()
            .await;
        match completed {
            Ok(completed) => Ok(Object {
                location: self.location.clone(),
                bytes,
                etag: completed.e_tag().unwrap_or_default().to_owned(),
            }),
            // A completion whose answer was lost is retried, and then finds its own object.
            Err(error) => match self.already_committed(bytes, receipts.len(), checksum.as_deref()).await {
                Some(object) => Ok(object),
                None => Err(failed(&self.bucket, &self.key, ACTION, &error)),
            },
        }
    }

    async fn already_committed(&self, bytes: u64, parts: usize, checksum: Option<&str>) -> Option<Object> {
        let head = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        let etag = match head {
            Ok(head) => {
                let same = checksum.is_none_or(|sum| head.checksum_crc64_nvme() == Some(sum))
                    && head.content_length() == i64::try_from(bytes).ok();
                same.then(|| head.e_tag().unwrap_or_default().to_owned())
            }
            Err(error) if is_denied(&error) => self.listed(bytes, parts).await,
            Err(_) => None,
        };
        Some(Object {
            location: self.location.clone(),
            bytes,
            etag: etag?,
        })
    }

    /// A role that may write archives and not read them can still list: an object of that length and of that many parts under a name that nobody else was
    /// writing to, while the upload is gone that would have made it.
    async fn listed(&self, bytes: u64, parts: usize) -> Option<String> {
        let listed = list(&self.client, &self.bucket, "", &self.key).await.ok()?;
        let found = listed.into_iter().find(|found| found.location == self.location)?;
        let of_parts = format!("-{parts}");
        let same = found.bytes == bytes && found.etag.trim_matches('"').ends_with(&of_parts);
        let sent = self
            .client
            .list_parts()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .max_parts(1)
            .send()
            .await;
        let gone = sent.is_err_and(|error| code(&error) == Some("NoSuchUpload"));
        (same && gone).then_some(found.etag)
    }

    pub(super) async fn abort(&self) -> Result<(), StoreError> {
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .send()
            .await;
        match aborted {
            Err(error) if code(&error) != Some("NoSuchUpload") => {
                Err(failed(&self.bucket, &self.key, "s3:AbortMultipartUpload", &error))
            }
            _ => Ok(()),
        }
    }
}

/// A key as it stands in a header: what is no plain character is written as its bytes.
fn escaped(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn content_type(key: &str) -> &'static str {
    if key.ends_with(".gz") {
        "application/gzip"
    } else if key.ends_with(".zst") {
        "application/zstd"
    } else {
        "application/x-tar"
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
