//! S3 as other vendors have it: what it lacks, what it wants, and what it says when it refuses.

use mongotar::failure::{Failure, FailureKind};
use mongotar::store::Location;
use serde_json::json;

use crate::cli::{Shell, numbered, text};
use crate::rig::{self, Fault, Proxy, Refused, Rule};
use crate::support::{bucket, store_through};

#[tokio::test]
async fn a_refusal_is_told_with_its_likely_cause_also_where_only_a_head_was_refused() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let store = store_through(&proxy);
    let location = bucket().await.join("a");
    store.put(&location, "a".into(), "text/plain").await.expect("put");
    for (status, code, region, part) in [
        (301, "PermanentRedirect", Some("eu-west-1"), "AWS_REGION=eu-west-1"),
        (400, "ExpiredToken", None, "AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", None, "clock"),
        (403, "SignatureDoesNotMatch", None, "AWS_SECRET_ACCESS_KEY"),
        (403, "InvalidAccessKeyId", None, "AWS_ACCESS_KEY_ID"),
        (400, "KMS.DisabledException", None, "KMS key"),
        (403, "AccessDenied", None, "Allow s3:GetObject"),
    ] {
        let refused = Refused {
            status,
            code,
            message: "as the vendor words it",
            region,
        };
        proxy.reset();
        proxy.inject(Rule::on("*", "/a").times(usize::MAX).then(Fault::Refused(refused)));
        let failure = Failure::from(store.find(&location).await.expect_err(code));
        assert_eq!(failure.kind, FailureKind::StoreDenied, "{failure}");
        for part in [part, code, "as the vendor words it", "4442587FB7D0A2F9"] {
            assert!(failure.message.contains(part), "{part}: {failure}");
        }
    }
    proxy.reset();
    let Location::S3 { bucket, .. } = &location else {
        panic!("a place in S3");
    };
    let nowhere: Location = format!("s3://{bucket}-there-is-none/a").parse().expect("a place");
    let error = store.find(&nowhere).await.expect_err("no bucket").to_string();
    assert!(error.contains("no such bucket"), "{error}");
    let error = store
        .find(&location.join("b"))
        .await
        .expect_err("no object")
        .to_string();
    assert!(error.contains("does not exist"), "{error}");
}

/// Everything that a command does, by a store without conditional writes and the newer checksums.
#[tokio::test]
async fn a_store_without_conditional_writes_and_checksums_holds_archives_and_runs() {
    let (shell, database) = Shell::with_orders(numbered(0..50)).await;
    let folder = bucket().await.to_string();
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    proxy.grow_old();
    let shell = shell.set("AWS_ENDPOINT_URL", &proxy.endpoint());
    let refused = shell.json(1, &["backup", "--to", &folder]);
    let message = text(&refused["message"]);
    assert!(message.contains("MONGOTAR_S3_CONDITIONAL_WRITES"), "{refused}");

    let shell = shell
        .set("MONGOTAR_S3_CHECKSUMS", "none")
        .set("MONGOTAR_S3_CONDITIONAL_WRITES", "no");
    let said = shell
        .run(&["backup", "--to", &folder, "--run", "nightly", "--json"])
        .expect(0);
    let report = said.json();
    assert_eq!(report["status"], "complete", "{report}");
    let archive = text(&report["archive"]).to_owned();
    shell.json(0, &["verify", &archive]);
    let into = rig::fresh_database_name("vendor");
    let restored = shell.json(0, &["restore", &archive, "--mongo-db", &into, "--yes", "--run", "back"]);
    assert_eq!(restored["status"], "complete", "{restored}");
    assert_eq!(shell.json(0, &["list", &folder]).as_array().map(Vec::len), Some(1));
    assert!(
        proxy
            .exchanges()
            .iter()
            .all(|seen| seen.status != Some(501) || seen.query.contains("uploads"))
    );
    drop(database);
}

#[tokio::test]
async fn every_write_has_the_encryption_and_every_request_the_owner_that_were_asked_for() {
    let (shell, _) = Shell::with_orders(numbered(0..5)).await;
    let folder = bucket().await.to_string();
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    // What the rig's store makes of these headers is not what this is about: they are taken for granted by AWS.
    let shell = shell
        .set("AWS_ENDPOINT_URL", &proxy.endpoint())
        .set("MONGOTAR_S3_ENCRYPTION", "AES256")
        .set("MONGOTAR_S3_STORAGE_CLASS", "STANDARD_IA")
        .set("MONGOTAR_S3_BUCKET_OWNER", "123456789012");
    shell.run(&["backup", "--to", &folder, "--run", "nightly", "--json"]);
    let seen = proxy.exchanges();
    let has = |headers: &[(String, String)], name: &str| headers.iter().any(|(known, _)| known == name);
    let mut writes = 0;
    for one in &seen {
        assert!(has(&one.headers, "x-amz-expected-bucket-owner"), "{one:?}");
        let begins = one.method == "POST" && one.query.starts_with("uploads");
        let makes = begins || one.method == "PUT" && !one.query.contains("partNumber");
        assert_eq!(has(&one.headers, "x-amz-server-side-encryption"), makes, "{one:?}");
        let in_progress = one.headers.iter().any(|(_, value)| value.contains("in-progress"));
        assert_eq!(
            has(&one.headers, "x-amz-storage-class"),
            begins && !in_progress,
            "{one:?}"
        );
        writes += u32::from(makes);
    }
    assert!(writes > 1, "{seen:?}");
    let wrong = shell.set("MONGOTAR_S3_ENCRYPTION", "aes").json(1, &["list", &folder]);
    assert!(
        text(&wrong["message"]).contains("MONGOTAR_S3_ENCRYPTION may be AES256"),
        "{wrong}"
    );
    assert_eq!(wrong["error_type"], json!("Store"));
}
