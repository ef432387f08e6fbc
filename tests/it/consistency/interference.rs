//! Collections that come and go while a backup runs.
//!
//! At a cluster time, a collection that was dropped later gives no documents and no error: the trap of snapshot reads.

use bson::{Document, doc};
use mongodb::Database;
use mongodb::options::TimeseriesOptions;
use mongotar::archive::{ConsistencyLevel, SavedStatus};
use mongotar::backup::{ConsistencyDemand, RunStatus};
use mongotar::failure::FailureKind;

use super::{Halted, many};
use crate::rig::{self, Mongod};
use crate::support::{insert, unfinished, visible};

/// What is done to each is in its name.
const INTERFERED: [&str; 5] = [
    "z_dropped",
    "z_made_anew_empty",
    "z_made_anew_full",
    "z_renamed",
    "z_series_made_anew",
];

async fn create_series(database: &Database) {
    let options = TimeseriesOptions::builder().time_field("ts").build();
    let created = database
        .create_collection("z_series_made_anew")
        .timeseries(options)
        .await;
    created.expect("created");
}

async fn fill(database: &Database) {
    create_series(database).await;
    for name in many().chain(INTERFERED.map(str::to_owned)) {
        let document = doc! {"_id": 1, "ts": bson::DateTime::from_millis(0), "old": true};
        let collection = database.collection::<Document>(&name);
        collection.insert_one(document).await.expect("inserted");
    }
}

async fn interfere(database: &Database, admin: &Database) {
    let new = || doc! {"_id": 2, "ts": bson::DateTime::from_millis(0), "new": true};
    for name in INTERFERED {
        let collection = database.collection::<Document>(name);
        if name == "z_renamed" {
            let (from, to) = (
                format!("{}.{name}", database.name()),
                format!("{}.zz_new_name", database.name()),
            );
            let renamed = admin.run_command(doc! {"renameCollection": from, "to": to}).await;
            renamed.expect("renamed");
            continue;
        }
        collection.drop().await.expect("dropped");
        match name {
            "z_made_anew_empty" => database.create_collection(name).await.expect("created"),
            "z_made_anew_full" => _ = collection.insert_one(new()).await.expect("inserted"),
            "z_series_made_anew" => {
                create_series(database).await;
                collection.insert_one(new()).await.expect("inserted");
            }
            _ => {}
        }
    }
    database
        .collection::<Document>("zz_created")
        .insert_one(new())
        .await
        .expect("inserted");
}

async fn what_went_away_is_reported_failed(mongod: &Mongod, level: ConsistencyLevel) {
    let client = mongod.client().await;
    let name = rig::fresh_database_name("it");
    let database = client.database(&name);
    fill(&database).await;
    let halted = Halted::new(mongod, &name).await;
    let interfered = async {
        interfere(&database, &client.database("admin")).await;
        halted.expect_no_progress();
    };
    let report = halted.run(interfered).await.expect("a backup");

    assert_eq!(report.status, RunStatus::Partial);
    let failed: Vec<&str> = report.failed.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, INTERFERED, "neither empty nor complete, each of them");
    for failed in &report.failed {
        assert!(failed.error.contains("dropped, renamed or recreated"), "{failed:?}");
    }
    assert_eq!(report.consistency.level, level, "{:?}", report.consistency.exceptions);
    let manifest = halted.manifest(&report.archive).await;
    for saved in &manifest.collections {
        let interfered = INTERFERED.contains(&saved.name.as_str());
        let expected = match interfered {
            true => (SavedStatus::Failed, 0, false),
            false if saved.name == "a_large" => (SavedStatus::Complete, super::MEBIBYTES, true),
            false => (SavedStatus::Complete, 1, true),
        };
        let found = (saved.status, saved.documents, saved.entry.is_some());
        assert_eq!(found, expected, "{}", saved.name);
    }
    let names: Vec<&str> = manifest.collections.iter().map(|saved| saved.name.as_str()).collect();
    assert!(!names.contains(&"zz_created"), "it was not there at that moment");
    assert!(!names.contains(&"zz_new_name"), "nor was this");
}

/// One that was made anew was called complete, with its successor's documents and its own indexes.
#[tokio::test(flavor = "multi_thread")]
async fn at_a_snapshot_a_collection_that_went_away_is_reported_failed() {
    what_went_away_is_reported_failed(rig::shared_replica_set(), ConsistencyLevel::Snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_snapshot_a_collection_that_went_away_is_reported_failed() {
    what_went_away_is_reported_failed(&Mongod::standalone(), ConsistencyLevel::None).await;
}

/// It gave a partial archive, though one moment for all was demanded.
#[tokio::test(flavor = "multi_thread")]
async fn a_demanded_moment_is_not_reached_when_a_collection_went_away() {
    let mongod = rig::shared_replica_set();
    let client = mongod.client().await;
    let name = rig::fresh_database_name("it");
    let database = client.database(&name);
    for collection in many().chain(["z_dropped".to_owned()]) {
        insert(&client, &name, &collection, vec![doc! {"_id": 1}]).await;
    }
    let mut halted = Halted::new(mongod, &name).await;
    halted.job.consistency = ConsistencyDemand::Require;
    let dropped = async {
        let dropped = database.collection::<Document>("z_dropped").drop().await;
        dropped.expect("dropped");
        halted.expect_no_progress();
    };
    let failure = halted.run(dropped).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::ConsistencyNotReached, "{failure}");
    assert!(failure.message.contains("z_dropped"), "{failure}");
    assert_eq!(visible(&halted.tools.store, &halted.job.destination).await, [""; 0]);
    assert_eq!(unfinished(&halted.job.destination).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_created_during_the_backup_is_not_in_it_and_is_no_error() {
    let mongod = rig::shared_replica_set();
    let client = mongod.client().await;
    let name = rig::fresh_database_name("it");
    let halted = Halted::new(mongod, &name).await;
    let created = async {
        insert(&client, &name, "b_created", vec![doc! {"_id": 1}]).await;
        halted.expect_no_progress();
    };
    let report = halted.run(created).await.expect("a backup");
    assert_eq!(report.status, RunStatus::Complete);
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
    let names: Vec<&str> = report.collections.iter().map(|saved| saved.name.as_str()).collect();
    assert_eq!(names, ["a_large"]);
}
