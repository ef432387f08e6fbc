//! Reading from an S3 whose answers break off.

use bytes::Bytes;
use mongotar::archive::Extent;

use crate::rig::{self, Fault, Proxy, Rule};
use crate::support::{bucket, incompressible, store_through};

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let store = store_through(&proxy);
    let location = bucket().await.join("a");
    let content = Bytes::from(incompressible(3, 1 << 20));
    store.put(&location, content.clone(), "text/plain").await.expect("put");
    let object = store.find(&location).await.expect("it is there");
    let extent = Extent {
        offset: 1000,
        length: 900_000,
    };

    let cut = |fault| Rule::on("GET", "/a").times(2).then(fault);
    for fault in [
        Fault::CutAnswerAfter(400_000),
        Fault::CutBeforeForwarding,
        Fault::Status(503),
    ] {
        proxy.reset();
        proxy.inject(cut(fault));
        let read = store.read(&object, extent).await.expect("read in the end");
        assert!(read == content[1000..901_000], "{fault:?}");
        assert_eq!(proxy.count("GET", "/a"), 3, "{fault:?}");
    }

    proxy.inject(Rule::on("GET", "/a").times(usize::MAX).then(Fault::CutAnswerAfter(10)));
    let error = store.read(&object, extent).await.expect_err("it never ends");
    assert!(error.to_string().contains("GetObject s3://"), "{error}");
}

/// The state of a run is small, and was given up at the first answer that broke off.
#[tokio::test]
async fn so_is_a_state_whose_answer_breaks_off() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let store = store_through(&proxy);
    let location = bucket().await.join("state");
    let state = Bytes::from(vec![7; 1000]);
    store.save(&location, state.clone()).await.expect("saved");
    let cut = || Rule::on("GET", "/state").then(Fault::CutAnswerAfter(400));
    proxy.inject(cut().times(2));
    let loaded = store.load(&location).await.expect("loaded in the end");
    assert!(loaded.is_some_and(|(bytes, _)| bytes == state));
    assert_eq!(proxy.count("GET", "/state"), 3);
    proxy.inject(cut().times(usize::MAX));
    let error = store.load(&location).await.expect_err("it never ends");
    assert!(error.to_string().contains("GetObject s3://"), "{error}");
}
