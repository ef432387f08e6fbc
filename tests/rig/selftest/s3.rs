//! What the tests rely on in the S3 server: that it is as strict as AWS where an upload can go wrong.

use super::super::shared_s3;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};

const MIB: usize = 1024 * 1024;

fn crc64nvme(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes())
}

async fn begin(client: &Client, bucket: &str, key: &str) -> String {
    let create = client.create_multipart_upload().bucket(bucket).key(key);
    let create = create
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::FullObject);
    create.send().await.expect("create upload").upload_id.expect("an id")
}

async fn put(client: &Client, bucket: &str, key: &str, upload: &str, number: i32, body: Bytes) -> CompletedPart {
    let part = client
        .upload_part()
        .bucket(bucket)
        .key(key)
        .upload_id(upload)
        .part_number(number);
    let crc = crc64nvme(&body);
    let sent = part
        .checksum_crc64_nvme(&crc)
        .body(ByteStream::from(body))
        .send()
        .await
        .expect("part");
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .checksum_crc64_nvme(crc)
        .build()
}

/// `Ok`, or the error's code.
async fn complete(
    client: &Client,
    bucket: &str,
    key: &str,
    upload: &str,
    parts: Vec<CompletedPart>,
    crc: &str,
) -> Result<(), String> {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(upload)
        .multipart_upload(parts);
    let complete = complete
        .checksum_type(ChecksumType::FullObject)
        .checksum_crc64_nvme(crc)
        .if_none_match("*");
    complete
        .send()
        .await
        .map(drop)
        .map_err(|e| e.code().unwrap_or("no code").to_owned())
}

async fn unfinished(client: &Client, bucket: &str) -> Vec<String> {
    let listing = client
        .list_multipart_uploads()
        .bucket(bucket)
        .send()
        .await
        .expect("list uploads");
    listing
        .uploads()
        .iter()
        .filter_map(|upload| upload.key().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_full_object_checksum_is_kept_and_a_second_completion_refused() {
    let (s3, client) = (shared_s3(), shared_s3().client().await);
    let bucket = s3.fresh_bucket("rig").await;
    let object: Vec<u8> = (0..5 * MIB + 100).map(|i| (i / 7) as u8).collect();
    let (head, tail) = object.split_at(5 * MIB);
    for expected in [Ok(()), Err("PreconditionFailed".to_owned())] {
        let upload = begin(&client, &bucket, "backups/a.tar").await;
        // The last part first: the archive's writer relies on any order.
        let second = put(
            &client,
            &bucket,
            "backups/a.tar",
            &upload,
            2,
            Bytes::copy_from_slice(tail),
        )
        .await;
        let first = put(
            &client,
            &bucket,
            "backups/a.tar",
            &upload,
            1,
            Bytes::copy_from_slice(head),
        )
        .await;
        let outcome = complete(
            &client,
            &bucket,
            "backups/a.tar",
            &upload,
            vec![first, second],
            &crc64nvme(&object),
        )
        .await;
        assert_eq!(outcome, expected);
    }
    let kept = client.head_object().bucket(&bucket).key("backups/a.tar");
    let kept = kept
        .checksum_mode(aws_sdk_s3::types::ChecksumMode::Enabled)
        .send()
        .await
        .expect("head");
    assert_eq!(kept.checksum_crc64_nvme(), Some(crc64nvme(&object).as_str()));
    let got = client
        .get_object()
        .bucket(&bucket)
        .key("backups/a.tar")
        .send()
        .await
        .expect("get");
    assert_eq!(got.body.collect().await.expect("body").into_bytes(), object);
}

#[tokio::test]
async fn an_unfinished_upload_is_listed_until_it_is_aborted() {
    let (s3, client) = (shared_s3(), shared_s3().client().await);
    let bucket = s3.fresh_bucket("rig").await;
    let upload = begin(&client, &bucket, "backups/b.tar").await;
    put(
        &client,
        &bucket,
        "backups/b.tar",
        &upload,
        1,
        Bytes::from_static(b"abandoned"),
    )
    .await;
    assert_eq!(unfinished(&client, &bucket).await, ["backups/b.tar"]);
    let abort = client
        .abort_multipart_upload()
        .bucket(&bucket)
        .key("backups/b.tar")
        .upload_id(&upload);
    abort.send().await.expect("abort");
    assert!(unfinished(&client, &bucket).await.is_empty());
}

#[tokio::test]
async fn a_wrong_checksum_and_wrong_credentials_are_refused() {
    let (s3, client) = (shared_s3(), shared_s3().client().await);
    let bucket = s3.fresh_bucket("rig").await;
    let body = ByteStream::from_static(b"contents");
    let wrong = client
        .put_object()
        .bucket(&bucket)
        .key("c")
        .checksum_crc64_nvme(crc64nvme(b"other"))
        .body(body);
    assert_eq!(
        wrong.send().await.expect_err("a wrong checksum").code(),
        Some("BadDigest")
    );

    let stranger = aws_sdk_s3::config::Credentials::new("NOBODY", s3.secret_key(), None, None, "rig");
    let config = client.config().to_builder().credentials_provider(stranger).build();
    let refused = Client::from_conf(config).list_objects_v2().bucket(&bucket).send().await;
    assert_eq!(
        refused.expect_err("unknown credentials").code(),
        Some("InvalidAccessKeyId")
    );
}
