//! A store that takes `If-None-Match` and writes all the same is found out, and nothing is written over meanwhile.

use mongotar::archive::Part;
use mongotar::failure::{Failure, FailureKind};
use mongotar::store::{Location, StoreError};

use crate::cli::{Shell, numbered, text};
use crate::rig::{self, Proxy};
use crate::support::{bucket, store_through, unfinished};

async fn forgetful() -> Proxy {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    proxy.forget_conditions(rig::shared_s3().client().await);
    proxy
}

/// Everything in the bucket of a folder.
async fn keys(folder: &Location) -> Vec<String> {
    let Location::S3 { bucket, .. } = folder else {
        panic!("a place in S3");
    };
    let listed = rig::shared_s3().client().await.list_objects_v2().bucket(bucket).send();
    let listed = listed.await.expect("a listing");
    let keys = listed.contents().iter().filter_map(|object| object.key());
    keys.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_run_by_a_store_that_ignores_conditions_says_what_to_set_before_it_reads_anything() {
    let (shell, _) = Shell::with_orders(numbered(0..50)).await;
    let folder = bucket().await;
    let proxy = forgetful().await;
    let shell = shell.set("AWS_ENDPOINT_URL", &proxy.endpoint());
    let to = folder.to_string();
    let nightly = ["backup", "--to", &to, "--run", "nightly"];
    let refused = shell.json(2, &nightly);
    let message = text(&refused["message"]);
    assert_eq!(refused["error_type"], "InvalidRequest");
    for part in [
        "ignores If-None-Match",
        "MONGOTAR_S3_CONDITIONAL_WRITES=no",
        "may still replace",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // Whoever follows the advice need not wait for what is left of this one.
    assert_eq!(keys(&folder).await, Vec::<String>::new());
    let told = shell.copy().set("MONGOTAR_S3_CONDITIONAL_WRITES", "no");
    assert_eq!(told.json(0, &nightly)["status"], "complete");

    // Without a run there is no state, and the archive is whole: a warning is enough.
    let said = shell.run(&["backup", "--to", &to]).expect(0);
    assert!(said.err.contains("ignores If-None-Match"), "{}", said.err);
}

#[tokio::test]
async fn a_store_that_ignores_conditions_does_not_make_an_archive_disappear() {
    let (straight, proxy) = (Proxy::start(rig::shared_s3().endpoint()), forgetful().await);
    let (honest, store) = (store_through(&straight), store_through(&proxy));
    let folder = bucket().await;
    let (archive, note) = (folder.join("a.tar"), folder.join("a.json"));
    let mut upload = store.upload(&archive, 2).await.expect("begun");
    let part = Part {
        number: 1,
        offset: 0,
        bytes: b"late".to_vec(),
    };
    upload.send(part).await.expect("sent");
    for location in [&archive, &note] {
        honest.put(location, "first".into(), "text/plain").await.expect("put");
    }
    let late = upload.commit().await.expect_err("it is there");
    assert!(matches!(late, StoreError::Exists(..)), "{late}");
    upload.abort().await.expect("aborted");
    let late = store.put(&note, "late".into(), "text/plain").await;
    assert!(matches!(late, Err(StoreError::Exists(..))), "{late:?}");
    for location in [&archive, &note] {
        let (content, _) = honest.load(location).await.expect("a look").expect("an object");
        assert_eq!(content, "first");
    }
    let state = folder.join("state");
    let taken = store.swap(&state, "1".into(), None).await;
    let failure = Failure::from(taken.expect_err("it is found out"));
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
    assert_eq!(honest.load(&state).await.expect("a look"), None);
    assert_eq!(unfinished(&folder).await, Vec::<String>::new());
}

#[tokio::test]
async fn one_request_proves_for_a_process_that_conditions_hold() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let store = store_through(&proxy);
    let folder = bucket().await;
    let (state, other) = (folder.join("state"), folder.join("other"));
    proxy.reset();
    let etag = store.swap(&state, "1".into(), None).await.expect("there was none");
    let writes: Vec<_> = proxy.matching("PUT", "").iter().map(|seen| seen.status).collect();
    assert_eq!(writes, [Some(200), Some(412)]);
    proxy.reset();
    store.swap(&state, "2".into(), Some(&etag)).await.expect("nobody else");
    store.put(&other, "3".into(), "text/plain").await.expect("put");
    let seen: Vec<_> = proxy
        .exchanges()
        .into_iter()
        .map(|seen| (seen.method, seen.status))
        .collect();
    assert_eq!(seen, [("PUT".to_owned(), Some(200)), ("PUT".to_owned(), Some(200))]);
    let (content, _) = store.load(&state).await.expect("a look").expect("an object");
    assert_eq!(content, "2");
}
