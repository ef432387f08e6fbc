//! A snapshot that gets too old while the backup runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongotar::archive::{ConsistencyLevel, SavedStatus};
use mongotar::backup::RunStatus;

use super::{Halted, many};
use crate::rig::Mongod;
use crate::support::insert;

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_gets_too_old_is_never_claimed() {
    let mongod = Mongod::builder()
        .parameter("minSnapshotHistoryWindowInSeconds", "1")
        .start();
    let client = mongod.client().await;
    for collection in many().chain(["z_late".to_owned()]) {
        insert(&client, "shop", &collection, vec![doc! {"_id": 1}]).await;
    }
    let halted = Halted::new(&mongod, "shop", Duration::from_secs(8)).await;
    // The history moves on only while somebody writes.
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (client, stop) = (client.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                let noise = client.database("noise").collection::<Document>("noise");
                noise.insert_one(doc! {}).await.expect("inserted");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let report = halted.run(async {}).await.expect("a backup");
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("no panic");

    // The one in the middle is gone on with from where it was: whole, and said to be of two moments.
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    let manifest = halted.manifest(&report.archive).await;
    let large = manifest.get("a_large").expect("it is there");
    assert_eq!(
        (large.status, large.documents),
        (SavedStatus::Complete, super::MEBIBYTES)
    );

    assert_eq!(manifest.consistency.level, ConsistencyLevel::Mixed);
    let exceptions = &manifest.consistency.exceptions;
    let late = exceptions.iter().find(|exception| exception.collection == "z_late");
    let reason = &late.expect("it was read without the snapshot").reason;
    assert!(reason.contains("snapshot"), "{reason}");
    let in_the_middle = exceptions.iter().find(|exception| exception.collection == "a_large");
    let reason = &in_the_middle.expect("it was not read at one moment").reason;
    assert!(reason.contains("had been read of it by then"), "{reason}");
    for saved in manifest.collections.iter().filter(|saved| saved.name != "a_large") {
        assert_eq!(
            (saved.status, saved.documents),
            (SavedStatus::Complete, 1),
            "{}",
            saved.name
        );
    }
}
