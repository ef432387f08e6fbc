//! Tags, by which lifecycle rules tell objects apart.

use bytes::Bytes;
use mongotar::archive::Part;
use mongotar::store::{Location, Store, Tags};

use crate::{rig, support};

#[tokio::test]
async fn what_a_tagged_store_writes_has_its_tags_and_what_others_write_has_none() {
    let plain = Store::with_client(rig::shared_s3().client().await);
    let folder = support::bucket().await;
    for (store, name, expected) in [
        (plain.clone(), "plain", vec![]),
        (
            plain.tagged(Tags::in_progress()),
            "state",
            vec![("mongotar-in-progress".to_owned(), "true".to_owned())],
        ),
        (
            plain.tagged(Tags::new("mongotar-retention", "weekly")),
            "kept",
            vec![("mongotar-retention".to_owned(), "weekly".to_owned())],
        ),
        (
            plain.tagged(Tags::in_progress()).tagged(Tags::default()),
            "again",
            vec![],
        ),
    ] {
        let (small, large) = (folder.join(name), folder.join(&format!("{name}.tar")));
        store
            .put(&small, Bytes::from_static(b"x"), "text/plain")
            .await
            .expect("put");
        let mut upload = store.upload(&large, 1).await.expect("begun");
        let part = Part {
            number: 1,
            offset: 0,
            bytes: vec![b'y'],
        };
        upload.send(part).await.expect("sent");
        upload.commit().await.expect("committed");
        for location in [small, large] {
            assert_eq!(support::tags(&location).await, expected, "{location}");
        }
    }
}

/// A folder has no tags: what is in progress there is written all the same.
#[tokio::test]
async fn a_tagged_store_writes_to_a_local_folder_as_any_other() {
    let scratch = rig::ScratchDir::new("tags");
    let location = Location::Local(scratch.path().join("state"));
    let store = Store::new().tagged(Tags::in_progress());
    store
        .put(&location, Bytes::from_static(b"x"), "text/plain")
        .await
        .expect("put");
    assert_eq!(std::fs::read(scratch.path().join("state")).expect("it is there"), b"x");
}
