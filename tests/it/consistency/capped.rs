//! Capped collections cannot be read at a snapshot.

use bson::doc;
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{ConsistencyDemand, RunStatus, backup};
use mongotar::failure::FailureKind;

use crate::rig;
use crate::support::{bucket, insert, job, tools, unfinished, visible};

async fn with_a_capped_collection() -> String {
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("it");
    let shop = client.database(&database);
    let capped = shop.create_collection("b_capped").capped(true).size(1 << 20);
    capped.await.expect("created");
    for collection in ["a_orders", "b_capped", "c_users"] {
        insert(&client, &database, collection, vec![doc! {"_id": 1}, doc! {"_id": 2}]).await;
    }
    database
}

#[tokio::test]
async fn a_capped_collection_is_an_exception_with_its_reason() {
    let tools = tools().await;
    let job = job(&with_a_capped_collection().await, &bucket().await);
    let report = backup(&job, &tools).await.expect("a backup");
    assert_eq!((report.status, report.totals.documents), (RunStatus::Complete, 6));
    assert_eq!(report.consistency.level, ConsistencyLevel::Mixed);
    assert!(report.consistency.cluster_time.is_some());
    let [exception] = &report.consistency.exceptions[..] else {
        panic!("{:?}", report.consistency.exceptions);
    };
    assert_eq!(exception.collection, "b_capped");
    assert!(exception.reason.contains("capped"), "{}", exception.reason);
}

#[tokio::test]
async fn a_demanded_moment_that_a_capped_collection_prevents_gives_no_archive() {
    let tools = tools().await;
    let mut job = job(&with_a_capped_collection().await, &bucket().await);
    job.consistency = ConsistencyDemand::Require;
    let failure = backup(&job, &tools).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::ConsistencyNotReached, "{failure}");
    assert!(failure.message.contains("b_capped"), "{failure}");
    assert_eq!(visible(&tools.store, &job.destination).await, [""; 0]);
    assert_eq!(unfinished(&job.destination).await, [""; 0]);

    job.selection.exclude = vec!["*_capped".to_owned()];
    let report = backup(&job, &tools).await.expect("the rest can be had");
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
}
