//! Reading where something happens meanwhile: an S3 whose answers break off, a folder that is written to.

use bytes::Bytes;
use mongotar::archive::Extent;
use mongotar::store::{Location, Store};

use crate::rig::{self, Fault, Proxy, Rule, ScratchDir};
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

/// Files that get their names while a folder is listed made it "does not exist".
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_listed_while_files_get_their_names() {
    let scratch = ScratchDir::new("listed");
    let folder: Location = scratch.path().to_str().expect("UTF-8").parse().expect("a location");
    std::fs::write(scratch.path().join("backup_a"), "there all along").expect("written");
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (path, is_over) = (scratch.path().to_owned(), std::sync::Arc::clone(&ended));
    let writer = std::thread::spawn(move || {
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            for name in ["x", "y", "z"] {
                let (before, after) = (path.join(format!(".{name}")), path.join(name));
                std::fs::write(&before, name).expect("written");
                std::fs::rename(&before, &after).expect("renamed");
                std::fs::remove_file(&after).expect("removed");
            }
        }
    });
    let store = Store::new();
    for _ in 0..2_000 {
        let listed = store.list(&folder, "backup_").await.expect("a listing");
        assert_eq!(listed.len(), 1);
    }
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().expect("it ends");
}
