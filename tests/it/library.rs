//! The library from outside: its examples are what they claim to be, and an archive is read without a database.

use bson::{RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use mongotar::backup::RunStatus;
use mongotar::failure::{Failure, FailureKind};
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};

use crate::rig::{self, ScratchDir, shared_replica_set};
use crate::support;

#[path = "../../examples/backup.rs"]
#[expect(dead_code, reason = "it is a program, too")]
mod backup;
#[path = "../../examples/restore.rs"]
#[expect(dead_code, reason = "it is a program, too")]
mod restore;

#[tokio::test(flavor = "multi_thread")]
async fn what_one_example_backs_up_the_other_restores_and_a_stream_reads() {
    let (uri, client) = (shared_replica_set().uri(), shared_replica_set().client().await);
    let database = rig::fresh_database_name("library");
    let orders: Vec<_> = (0..3_000).map(|n| doc! {"_id": n, "text": "x".repeat(300)}).collect();
    support::insert(&client, &database, "orders", orders).await;
    support::insert(&client, &database, "users", vec![doc! {"_id": 1}]).await;
    let scratch = ScratchDir::new("library");

    let folder = scratch.path().to_string_lossy().into_owned();
    let saved = backup::back_up(&uri, &database, &folder).await.expect("a backup");
    assert_eq!((saved.status, saved.totals.documents), (RunStatus::Complete, 3_001));
    let archive = saved.archive.to_string();
    let again = rig::fresh_database_name("library");
    let restored = restore::restore(&uri, &archive, &again).await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete);

    let location: Location = archive.parse().expect("a path");
    let file = open(&Store::new(), &location, Memory::default())
        .await
        .expect("it opens");
    let read: Vec<RawDocumentBuf> = file
        .collection("orders")
        .expect("it is there")
        .try_collect()
        .await
        .expect("documents");
    let mut read: Vec<Vec<u8>> = read.into_iter().map(RawDocumentBuf::into_bytes).collect();
    read.sort_unstable();
    assert_eq!(read, support::raw_documents(&client, &again, "orders").await);
    let refused = file.collection("order").expect_err("there is none");
    assert_eq!(refused.kind, FailureKind::InvalidRequest);
    assert!(refused.message.contains("orders, users"), "{refused}");
}

/// What was read before the damage comes, then the error, then nothing more.
#[tokio::test]
async fn a_stream_ends_after_its_first_error() {
    let client = shared_replica_set().client().await;
    let database = rig::fresh_database_name("library");
    support::insert_mebibytes(&client, &database, "large", 9).await;
    let scratch = ScratchDir::new("library_damaged");
    let folder = scratch.path().to_string_lossy().into_owned();
    let saved = backup::back_up(&shared_replica_set().uri(), &database, &folder)
        .await
        .expect("a backup");
    let Location::Local(path) = &saved.archive else {
        panic!("{}", saved.archive)
    };
    let mut bytes = std::fs::read(path).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).expect("it can be written");

    let file = open(&Store::new(), &saved.archive, Memory::default())
        .await
        .expect("it opens");
    let mut large = file.collection("large").expect("it is there");
    let mut came = Vec::<Result<RawDocumentBuf, Failure>>::new();
    loop {
        match large.try_next().await {
            Ok(Some(document)) => came.push(Ok(document)),
            Ok(None) => break,
            Err(failure) => came.push(Err(failure)),
        }
    }
    let last = came.pop().expect("something came").expect_err("it is damaged");
    assert_eq!(last.kind, FailureKind::ArchiveDamaged);
    assert!(came.iter().all(Result::is_ok) && came.len() < 9, "{}", came.len());
}
