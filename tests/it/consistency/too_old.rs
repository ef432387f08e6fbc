//! A snapshot that gets too old while the backup runs.

use bson::doc;
use mongotar::archive::{ConsistencyLevel, SavedStatus};
use mongotar::backup::RunStatus;

use super::{Halted, forget, many};
use crate::rig::Mongod;
use crate::support::insert;

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_gets_too_old_is_never_claimed() {
    let mongod = Mongod::replica_set();
    let client = mongod.client().await;
    for collection in many().chain(["z_late".to_owned()]) {
        insert(&client, "shop", &collection, vec![doc! {"_id": 1}]).await;
    }
    let halted = Halted::new(&mongod, "shop").await;
    let report = halted.run(forget(&client)).await.expect("a backup");

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
    assert!(reason.contains("had been read by then"), "{reason}");
    for saved in manifest.collections.iter().filter(|saved| saved.name != "a_large") {
        assert_eq!(
            (saved.status, saved.documents),
            (SavedStatus::Complete, 1),
            "{}",
            saved.name
        );
    }
}
