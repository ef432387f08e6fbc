//! The contract of a store, run on S3 and on a local folder.

use std::os::unix::fs::PermissionsExt as _;

use aws_sdk_s3::types::ChecksumMode;
use base64::Engine as _;
use bytes::Bytes;
use mongotar::archive::{Extent, Part};
use mongotar::store::{Location, Store, StoreError};

use crate::rig::{self, ScratchDir};
use crate::support::{incompressible, unfinished, visible};

/// S3's smallest part but the last.
const PART: usize = 5 << 20;

/// A store and a folder that nobody else uses.
struct Place {
    store: Store,
    folder: Location,
    _scratch: Option<ScratchDir>,
}

impl Place {
    async fn s3() -> Self {
        Self {
            store: Store::with_client(rig::shared_s3().client().await),
            folder: crate::support::bucket().await,
            _scratch: None,
        }
    }

    async fn local() -> Self {
        let scratch = ScratchDir::new("store");
        Self {
            store: Store::new(),
            folder: Location::Local(scratch.path().join("nightly")),
            _scratch: Some(scratch),
        }
    }

    async fn put(&self, name: &str, content: &'static [u8]) -> Result<(), StoreError> {
        let location = self.folder.join(name);
        self.store
            .put(&location, Bytes::from_static(content), "text/plain")
            .await
    }

    async fn content(&self, name: &str) -> Bytes {
        let object = self.store.find(&self.folder.join(name)).await.expect("it is there");
        let whole = Extent {
            offset: 0,
            length: object.bytes,
        };
        self.store.read(&object, whole).await.expect("it can be read")
    }

    /// Puts other bytes of the same length where an object is, as only a stranger would.
    async fn replace(&self, name: &str, content: &'static [u8]) {
        match self.folder.join(name) {
            Location::S3 { bucket, key } => {
                let client = rig::shared_s3().client().await;
                let put = client
                    .put_object()
                    .bucket(bucket)
                    .key(key)
                    .body(content.to_vec().into());
                put.send().await.expect("replaced");
            }
            Location::Local(path) => {
                let beside = path.with_extension("new");
                std::fs::write(&beside, content).expect("written");
                std::fs::rename(beside, path).expect("replaced");
            }
        }
    }
}

/// Two whole parts and a small one, and all of it in one piece.
fn three_parts() -> ([Part; 3], Vec<u8>) {
    let whole = incompressible(7, 2 * PART + 1234);
    let part = |number: u32, from: usize, to: usize| Part {
        number,
        offset: from as u64,
        bytes: whole[from..to].to_vec(),
    };
    let parts = [
        part(1, 0, PART),
        part(2, PART, 2 * PART),
        part(3, 2 * PART, whole.len()),
    ];
    (parts, whole)
}

macro_rules! contract {
    ($($name:ident)*) => {
        mod s3 {
            $(#[tokio::test] async fn $name() { super::$name(super::Place::s3().await).await; })*
        }
        mod local {
            $(#[tokio::test] async fn $name() { super::$name(super::Place::local().await).await; })*
        }
    };
}

contract! {
    parts_sent_in_any_order_become_one_object_at_the_commit
    a_commit_does_not_overwrite_what_appeared_meanwhile
    a_commit_that_another_process_has_made_is_found_done
    an_upload_to_a_name_that_is_taken_does_not_begin
    of_two_uploads_to_one_name_the_second_does_not_begin
    an_aborted_upload_leaves_nothing
    a_part_is_copied_of_the_object_that_was_found_or_not_at_all
    put_does_not_overwrite
    an_extent_is_read_exactly_and_never_past_the_end
    an_object_that_was_replaced_is_not_read
    a_listing_shows_direct_children_with_the_name_prefix
    what_is_not_there_is_not_found
}

async fn parts_sent_in_any_order_become_one_object_at_the_commit(place: Place) {
    let goal = place.folder.join("a.tar");
    let mut upload = place.store.upload(&goal, 2).await.expect("begun");
    assert_eq!(upload.location(), &goal);
    let ([first, second, third], whole) = three_parts();
    for part in [second, third, first] {
        upload.send(part).await.expect("sent");
        assert!(matches!(place.store.find(&goal).await, Err(StoreError::NotFound(..))));
    }
    assert_eq!(visible(&place.store, &place.folder).await, [""; 0]);
    assert_eq!(unfinished(&place.folder).await.len(), 1);

    let object = upload.commit().await.expect("committed");
    assert_eq!(object, place.store.find(&goal).await.expect("it is there"));
    assert_eq!((object.location, object.bytes), (goal, whole.len() as u64));
    assert!(
        place.content("a.tar").await == whole,
        "the parts stand in the order of their numbers"
    );
    assert_eq!(visible(&place.store, &place.folder).await, ["a.tar"]);
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

async fn a_commit_does_not_overwrite_what_appeared_meanwhile(place: Place) {
    let mut upload = place.store.upload(&place.folder.join("a"), 2).await.expect("begun");
    upload.send(three_parts().0[0].clone()).await.expect("sent");
    place.replace("a", b"another's").await;
    let error = upload.commit().await.expect_err("refused");
    assert!(
        matches!(&error, StoreError::Exists(at, _) if *at == place.folder.join("a")),
        "{error}"
    );
    upload.abort().await.expect("aborted");
    assert_eq!(place.content("a").await, "another's");
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

async fn a_commit_that_another_process_has_made_is_found_done(place: Place) {
    let goal = place.folder.join("a.tar");
    let mut upload = place.store.upload(&goal, 2).await.expect("begun");
    let (parts, whole) = three_parts();
    for part in parts {
        upload.send(part).await.expect("sent");
    }
    upload.settle().await.expect("all sent");
    let state = upload.state().await.expect("a state");
    let first = upload.commit().await.expect("committed");
    // That process was killed before it could say so.
    drop(upload);
    let mut again = place.store.resume_upload(state, 2).await.expect("gone on with");
    let object = again.commit().await.expect("it is found done");
    assert_eq!(object, first);
    assert!(place.content("a.tar").await == whole);
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

async fn an_upload_to_a_name_that_is_taken_does_not_begin(place: Place) {
    place.put("a", b"first").await.expect("put");
    let error = place
        .store
        .upload(&place.folder.join("a"), 2)
        .await
        .expect_err("refused");
    assert!(matches!(error, StoreError::Exists(..)), "{error}");
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

/// Both went on, and the work of one was lost at the commit.
async fn of_two_uploads_to_one_name_the_second_does_not_begin(place: Place) {
    let goal = place.folder.join("a");
    let mut first = place.store.upload(&goal, 2).await.expect("begun");
    let error = place.store.upload(&goal, 2).await.expect_err("refused");
    assert!(matches!(error, StoreError::Exists(..)), "{error}");
    // A name that merely begins the same is another name.
    let longer = place.store.upload(&place.folder.join("a.gz"), 2).await;
    longer.expect("begun").abort().await.expect("aborted");

    first.send(three_parts().0[0].clone()).await.expect("sent");
    first.commit().await.expect("the first is not disturbed");
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

async fn an_aborted_upload_leaves_nothing(place: Place) {
    let goal = place.folder.join("a");
    let mut upload = place.store.upload(&goal, 3).await.expect("begun");
    for part in three_parts().0 {
        upload.send(part).await.expect("sent");
    }
    // Parts are still on their way.
    upload.abort().await.expect("aborted");
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
    assert_eq!(visible(&place.store, &place.folder).await, [""; 0]);
    let again = place.store.upload(&goal, 3).await.expect("the name is free again");
    again.abort().await.expect("aborted");
}

async fn a_part_is_copied_of_the_object_that_was_found_or_not_at_all(place: Place) {
    place.put("source", b"one two three").await.expect("put");
    let source = place
        .store
        .find(&place.folder.join("source"))
        .await
        .expect("it is there");
    let two = Extent { offset: 4, length: 3 };
    let mut upload = place.store.upload(&place.folder.join("a"), 2).await.expect("begun");
    upload.copy(1, 0, &source, two).await.expect("begun");
    upload.commit().await.expect("committed");
    assert_eq!(place.content("a").await, "two");

    place.replace("source", b"ONE TWO THREE").await;
    let mut upload = place.store.upload(&place.folder.join("b"), 2).await.expect("begun");
    upload.copy(1, 0, &source, two).await.expect("begun");
    let error = upload.commit().await.expect_err("refused");
    assert!(
        matches!(&error, StoreError::Changed(at, _) if *at == source.location),
        "{error}"
    );
    upload.abort().await.expect("aborted");
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

async fn put_does_not_overwrite(place: Place) {
    place.put("a", b"first").await.expect("put");
    let error = place.put("a", b"second").await.expect_err("refused");
    assert!(matches!(error, StoreError::Exists(..)), "{error}");
    assert_eq!(place.content("a").await, "first");
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

/// A table of contents with an absurd extent took memory for it locally, and six downloads from S3.
async fn an_extent_is_read_exactly_and_never_past_the_end(place: Place) {
    place.put("a", b"0123456789").await.expect("put");
    let object = place.store.find(&place.folder.join("a")).await.expect("it is there");
    let read = async |offset, length| place.store.read(&object, Extent { offset, length }).await;
    for (offset, length, expected) in [(0, 10, "0123456789"), (3, 4, "3456"), (9, 1, "9"), (10, 0, "")] {
        assert_eq!(read(offset, length).await.expect("read"), expected, "{offset} {length}");
    }
    for (offset, length) in [(0, 11), (10, 1), (8, 3), (1 << 40, 1), (0, u64::MAX), (u64::MAX, 2)] {
        let error = read(offset, length).await.expect_err("refused").to_string();
        assert!(error.contains("beyond its end"), "{error}");
    }
}

async fn an_object_that_was_replaced_is_not_read(place: Place) {
    place.put("a", b"first").await.expect("put");
    let object = place.store.find(&place.folder.join("a")).await.expect("it is there");
    place.replace("a", b"other").await;
    let extent = Extent { offset: 1, length: 2 };
    let error = place.store.read(&object, extent).await.expect_err("refused");
    assert!(matches!(error, StoreError::Changed(..)), "{error}");
    let error = place
        .store
        .stream(&object, 2)
        .next()
        .await
        .expect("an answer")
        .expect_err("refused");
    assert!(matches!(error, StoreError::Changed(..)), "{error}");
}

async fn a_listing_shows_direct_children_with_the_name_prefix(place: Place) {
    for name in ["backup_b", "backup_a", "other", "backup_c/inner", "deeper/backup_d"] {
        place.put(name, b"x").await.expect("put");
    }
    let names = async |prefix| {
        let objects = place.store.list(&place.folder, prefix).await.expect("a listing");
        objects
            .iter()
            .map(|object| object.location.file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("backup_").await, ["backup_a", "backup_b"]);
    assert_eq!(names("").await, ["backup_a", "backup_b", "other"]);
    assert_eq!(names("nothing").await, [""; 0]);
    assert_eq!(visible(&place.store, &place.folder.join("nowhere")).await, [""; 0]);
    let inner = place.folder.join("backup_c");
    assert_eq!(
        visible(&place.store, &inner).await,
        ["inner"],
        "a folder without its slash"
    );
    let folders = async |prefix| place.store.folders(&place.folder, prefix).await.expect("a listing");
    assert_eq!(folders("backup_").await, ["backup_c"]);
    assert_eq!(folders("").await, ["backup_c", "deeper"]);
    assert_eq!(folders("nothing").await, [""; 0]);
    let listed = place.store.list(&place.folder, "other").await.expect("a listing");
    let found = place
        .store
        .find(&place.folder.join("other"))
        .await
        .expect("it is there");
    assert_eq!(listed, [found], "a listing says what a look says");
}

async fn what_is_not_there_is_not_found(place: Place) {
    let nothing = place.folder.join("nothing");
    assert!(matches!(place.store.find(&nothing).await, Err(StoreError::NotFound(at, _)) if at == nothing));
    place.put("a", b"gone").await.expect("put");
    let object = place.store.find(&place.folder.join("a")).await.expect("it is there");
    match place.folder.join("a") {
        Location::S3 { bucket, key } => {
            let client = rig::shared_s3().client().await;
            let deleted = client.delete_object().bucket(bucket).key(key).send().await;
            deleted.expect("deleted");
        }
        Location::Local(path) => std::fs::remove_file(path).expect("removed"),
    }
    let read = place.store.read(&object, Extent { offset: 0, length: 4 }).await;
    assert!(matches!(read, Err(StoreError::NotFound(..))), "{read:?}");
    assert!(matches!(
        place.store.stream(&object, 2).next().await,
        Some(Err(StoreError::NotFound(..)))
    ));
}

#[tokio::test]
async fn local_files_are_for_their_owner_only() {
    let place = Place::local().await;
    place.put("put", b"x").await.expect("put");
    let mut upload = place
        .store
        .upload(&place.folder.join("uploaded"), 2)
        .await
        .expect("begun");
    upload.send(three_parts().0[0].clone()).await.expect("sent");
    upload.commit().await.expect("committed");
    for name in ["put", "uploaded"] {
        let Location::Local(path) = place.folder.join(name) else {
            unreachable!("a local place");
        };
        let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// A process that is killed may hold its file for a moment more. Whoever went on in that folder left the file there.
#[tokio::test]
async fn what_a_dying_process_still_held_at_the_beginning_is_gone_at_the_end() {
    let place = Place::local().await;
    place.put("earlier", b"x").await.expect("put");
    let Location::Local(left) = place.folder.join(".backup_20261121_020000.tar.zst.unfinished") else {
        unreachable!("a local place");
    };
    let dying = std::fs::File::create(&left).expect("created");
    dying.lock().expect("locked");
    let goal = place.folder.join("backup_20261121_020001.tar.zst");
    let mut upload = place.store.upload(&goal, 2).await.expect("begun");
    upload.send(three_parts().0[0].clone()).await.expect("sent");
    assert_eq!(unfinished(&place.folder).await.len(), 2, "nobody takes what is held");
    drop(dying);
    upload.commit().await.expect("committed");
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

/// A process may be killed when its file has its name, and the temporary one, too.
#[tokio::test]
async fn a_file_that_has_two_names_is_committed() {
    let place = Place::local().await;
    let goal = place.folder.join("a.tar");
    let mut upload = place.store.upload(&goal, 2).await.expect("begun");
    upload.send(three_parts().0[0].clone()).await.expect("sent");
    let names = unfinished(&place.folder).await;
    let (Location::Local(temporary), Location::Local(named)) = (place.folder.join(&names[0]), &goal) else {
        unreachable!("a local place");
    };
    std::fs::hard_link(temporary, named).expect("linked");
    upload.commit().await.expect("committed");
    assert_eq!(visible(&place.store, &place.folder).await, ["a.tar"]);
    assert_eq!(unfinished(&place.folder).await, [""; 0]);
}

#[tokio::test]
async fn a_folder_that_is_a_file_is_refused_as_that() {
    let place = Place::local().await;
    place.put("file", b"x").await.expect("put");
    let under = place.folder.join("file").join("a");
    let error = place.store.upload(&under, 2).await.expect_err("refused");
    assert!(
        matches!(&error, StoreError::Failed { .. }) && error.to_string().contains("directory"),
        "{error}"
    );
}

#[tokio::test]
async fn s3_keeps_a_checksum_of_the_whole_object() {
    let place = Place::s3().await;
    let goal = place.folder.join("a");
    let mut upload = place.store.upload(&goal, 2).await.expect("begun");
    let (parts, whole) = three_parts();
    for part in parts {
        upload.send(part).await.expect("sent");
    }
    upload.commit().await.expect("committed");
    let Location::S3 { bucket, key } = goal else {
        unreachable!("a place in S3");
    };
    let client = rig::shared_s3().client().await;
    let head = client.head_object().bucket(bucket).key(key);
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .expect("it is there");
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &whole);
    let expected = base64::engine::general_purpose::STANDARD.encode(sum.to_be_bytes());
    assert_eq!(head.checksum_crc64_nvme(), Some(expected.as_str()));
}
