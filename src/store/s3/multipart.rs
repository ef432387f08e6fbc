//! Objects that are sent in parts, and appear once all have come.
//!
//! Parts may come in any order. The commit names each with its checksum, and the whole with one that follows from
//! theirs. It takes no key that is in use.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::create_multipart_upload::{CreateMultipartUploadError, CreateMultipartUploadOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;

use super::dialect::Dialect;
use super::{Conditions, base64_of, code, etag_of, failed, is_denied, list, location, look};
use crate::archive::{Extent, Part};
use crate::store::receipt::{Receipt, crc64, full_crc64};
use crate::store::{Location, Object, Said, StoreError, Tags};

/// A multipart upload that was begun.
#[derive(Clone, Debug)]
pub(in crate::store) struct Multipart {
    client: Client,
    bucket: String,
    key: String,
    id: String,
    location: Location,
    conditions: Conditions,
}

/// What begins an upload. Put together here, so that what that takes of the stack is given back before it is sent.
fn create(
    client: &Client,
    bucket: &str,
    key: &str,
    tags: &Tags,
) -> BoxFuture<'static, Result<CreateMultipartUploadOutput, SdkError<CreateMultipartUploadError>>> {
    let create = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .content_type(content_type(key))
        .set_tagging(tags.header())
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::FullObject);
    Box::pin(create.send())
}

impl Multipart {
    pub(in crate::store) async fn begin(
        client: &Client,
        bucket: &str,
        key: &str,
        tags: &Tags,
        conditions: &Conditions,
    ) -> Result<Self, StoreError> {
        const ACTION: &str = "CreateMultipartUpload";
        let created = create(client, bucket, key, tags)
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
        let upload = Self::resume(client, bucket, key, id, conditions);
        if upload.has_rival().await {
            upload.abort().await?;
            return Err(StoreError::Exists(upload.location, Said::NOTHING));
        }
        Ok(upload)
    }

    /// One that was begun by another invocation.
    pub(in crate::store) fn resume(
        client: &Client,
        bucket: &str,
        key: &str,
        id: String,
        conditions: &Conditions,
    ) -> Self {
        Self {
            client: client.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id,
            location: location(bucket, key),
            conditions: conditions.clone(),
        }
    }

    pub(in crate::store) fn id(&self) -> &str {
        &self.id
    }

    /// Whether somebody else is writing to the same key. Of two who begin at once each may see the other, and both give
    /// way; but never do both go on and find out at the commit, when the work of one of them is lost. A role that may
    /// not list uploads does find out then.
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

    pub(in crate::store) fn location(&self) -> &Location {
        &self.location
    }

    pub(in crate::store) async fn send(&self, part: Part) -> Result<Receipt, StoreError> {
        const ACTION: &str = "UploadPart";
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
            etag: etag_of(sent.e_tag(), (&self.bucket, &self.key), ACTION)?,
            crc64: Some(sum),
            bytes: length,
        })
    }

    /// Makes a part of an extent of another object in S3, of the version with that ETag, without its bytes coming here.
    pub(in crate::store) async fn copy(
        &self,
        number: u32,
        (bucket, key, etag): (&str, &str, &str),
        extent: Extent,
    ) -> Result<Receipt, StoreError> {
        const ACTION: &str = "UploadPartCopy";
        let last = extent.offset.saturating_add(extent.length).saturating_sub(1);
        let copied = self
            .client
            .upload_part_copy()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .copy_source(format!("{bucket}/{}", escaped(key)))
            .copy_source_if_match(etag)
            .copy_source_range(format!("bytes={}-{last}", extent.offset))
            .send()
            .await
            .map_err(|error| match failed(&self.bucket, &self.key, ACTION, &error) {
                // The precondition is about the source.
                StoreError::Exists(_, said) => StoreError::Changed(location(bucket, key), said),
                other => other,
            })?;
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

    pub(in crate::store) async fn commit(&self, receipts: &[Receipt]) -> Result<Object, StoreError> {
        const ACTION: &str = "CompleteMultipartUpload";
        let has_checksums = Dialect::of_environment().has_checksums();
        let sum_of = |receipt: &Receipt| receipt.crc64.filter(|_| has_checksums).map(base64_of);
        let parts = receipts
            .iter()
            .map(|receipt| {
                CompletedPart::builder()
                    .part_number(i32::try_from(receipt.number).unwrap_or(i32::MAX))
                    .e_tag(&receipt.etag)
                    .set_checksum_crc64_nvme(sum_of(receipt))
                    .build()
            })
            .collect();
        let bytes: u64 = receipts.iter().map(|receipt| receipt.bytes).sum();
        let checksum = full_crc64(receipts).filter(|_| has_checksums).map(base64_of);
        if let Err(error) = look(&self.client, &self.bucket, &self.key, &self.conditions).await {
            let ours = self.already_committed(bytes, receipts.len(), checksum.as_deref()).await;
            return ours.ok_or(error);
        }
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
                let same_length = head.content_length() == i64::try_from(bytes).ok();
                match checksum.zip(head.checksum_crc64_nvme()) {
                    Some((ours, there)) => {
                        (same_length && ours == there).then(|| head.e_tag().unwrap_or_default().to_owned())
                    }
                    // By its length alone it may be another's.
                    None => self.listed(bytes, parts).await,
                }
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

    /// A role that may write archives and not read them can still list: an object of that length and of that many parts
    /// under a name that nobody else was writing to, while the upload is gone that would have made it.
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

    pub(in crate::store) async fn abort(&self) -> Result<(), StoreError> {
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
                Err(failed(&self.bucket, &self.key, "AbortMultipartUpload", &error))
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
