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

    assert_eq!(report.status, RunStatus::Partial);
    let failed: Vec<&str> = report.failed.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, ["a_large"], "the one in the middle cannot be finished");
    let manifest = halted.manifest(&report.archive).await;
    let large = manifest.get("a_large").expect("it is named");
    assert_eq!(large.status, SavedStatus::Partial);
    assert!((1..super::MEBIBYTES).contains(&large.documents), "{}", large.documents);
    let path = &large.entry.as_ref().expect("what was read").path;
    assert!(path.ends_with("/a_large.jsonl.partial"), "{path}");

    assert_eq!(manifest.consistency.level, ConsistencyLevel::Mixed);
    let exceptions = &manifest.consistency.exceptions;
    let late = exceptions.iter().find(|exception| exception.collection == "z_late");
    let reason = &late.expect("it was read without the snapshot").reason;
    assert!(reason.contains("snapshot"), "{reason}");
    for saved in manifest.collections.iter().filter(|saved| saved.name != "a_large") {
        assert_eq!(
            (saved.status, saved.documents),
            (SavedStatus::Complete, 1),
            "{}",
            saved.name
        );
    }
}
