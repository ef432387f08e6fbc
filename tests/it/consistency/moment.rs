//! One moment for all collections, while somebody writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bson::{Document, doc};
use mongodb::Client;
use mongotar::archive::{Compression, ConsistencyLevel};
use mongotar::backup::{BackupRequest, ConsistencyDemand, RunStatus, backup, backup_several};
use mongotar::config::Environment;
use mongotar::failure::FailureKind;
use mongotar::store::{Location, Store};

use super::entries;
use crate::rig::{self, Mongod, ScratchDir};
use crate::support::{eventually, insert, insert_mebibytes, job, tools, tools_for, visible};

/// Puts pair after pair into two collections, each in one transaction with a counter that both have.
async fn write_pairs(client: Client, database: String, written: Arc<AtomicI64>, stop: Arc<AtomicBool>) {
    let database = client.database(&database);
    let sides = ["a_left", "z_right"].map(|name| database.collection::<Document>(name));
    while !stop.load(Ordering::Relaxed) {
        let number = written.load(Ordering::Relaxed) + 1;
        let mut session = client.start_session().await.expect("a session");
        session.start_transaction().await.expect("a transaction");
        for side in &sides {
            let pair = doc! {"_id": number};
            side.insert_one(pair).session(&mut session).await.expect("inserted");
            let count = doc! {"$set": {"last": number}};
            side.update_one(doc! {"_id": -1}, count)
                .session(&mut session)
                .await
                .expect("updated");
        }
        session.commit_transaction().await.expect("committed");
        written.store(number, Ordering::Relaxed);
    }
}

/// The numbers of the pairs in an entry, and what its counter says.
fn pairs(entries: &BTreeMap<String, Vec<u8>>, collection: &str) -> (Vec<i64>, i64) {
    let mut numbers = Vec::new();
    let mut last = 0;
    let number = |value: &serde_json::Value| -> i64 {
        let text = value["$numberLong"].as_str().or(value["$numberInt"].as_str());
        text.and_then(|text| text.parse().ok()).expect("a number")
    };
    for line in entries[&format!("{collection}.jsonl")].split_inclusive(|&byte| byte == b'\n') {
        let document: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        match number(&document["_id"]) {
            -1 => last = number(&document["last"]),
            pair => numbers.push(pair),
        }
    }
    numbers.sort_unstable();
    (numbers, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_written_in_transactions_during_the_backup_are_whole() {
    let tools = tools().await;
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("it");
    for side in ["a_left", "z_right"] {
        insert(&client, &database, side, vec![doc! {"_id": -1, "last": 0_i64}]).await;
    }
    // Time passes between the two sides.
    insert_mebibytes(&client, &database, "m_ballast", 64).await;
    let (written, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = write_pairs(client.clone(), database.clone(), written.clone(), stop.clone());
    let writer = tokio::spawn(writer);
    eventually("some pairs are written", || written.load(Ordering::Relaxed) > 20).await;

    let scratch = ScratchDir::new("pairs");
    let mut job = job(&database, &Location::Local(scratch.path().to_owned()));
    job.compression = Compression::None;
    job.consistency = ConsistencyDemand::Require;
    let report = backup(&job, &tools).await.expect("a backup");
    let written_by_the_end = written.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("no panic");

    assert_eq!(report.status, RunStatus::Complete);
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
    assert!(report.consistency.cluster_time.is_some() && report.consistency.exceptions.is_empty());
    let entries = entries(&report.archive);
    let left = pairs(&entries, "a_left");
    assert_eq!(left, pairs(&entries, "z_right"));
    let (numbers, last) = left;
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "every pair up to the moment");
    assert!(
        20 < last && last < written_by_the_end,
        "the writer went on during the backup: {last} of {written_by_the_end}"
    );
}

/// What a server refuses at a time before all history shows that it heeds the time. So must it where the only thing to
/// ask for is one of these.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_believed_whatever_the_only_collection_is() {
    let (tools, client) = (tools().await, rig::shared_replica_set().client().await);
    for create in [
        doc! {"create": "empty"},
        doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true}},
        doc! {"create": "measured", "timeseries": {"timeField": "t"}},
        doc! {"create": "collated", "collation": {"locale": "de"}},
    ] {
        let database = rig::fresh_database_name("alone");
        client
            .database(&database)
            .run_command(create.clone())
            .await
            .expect("created");
        let folder = ScratchDir::new("alone");
        let saved = backup(&job(&database, &Location::Local(folder.path().to_owned())), &tools).await;
        let saved = saved.expect("an archive");
        assert_eq!(
            saved.consistency.level,
            ConsistencyLevel::Snapshot,
            "{create}: {:?}",
            saved.consistency
        );
    }
}

#[tokio::test]
async fn a_standalone_server_gives_a_complete_archive_without_a_common_moment() {
    let mongod = Mongod::standalone();
    let tools = tools_for(&mongod.uri(), Store::new()).await;
    insert(&mongod.client().await, "shop", "orders", vec![doc! {"_id": 1}]).await;
    let scratch = ScratchDir::new("standalone");
    let folder = Location::Local(scratch.path().join("a"));
    let mut job = job("shop", &folder);
    let report = backup(&job, &tools).await.expect("a backup");
    assert_eq!((report.status, report.totals.documents), (RunStatus::Complete, 1));
    assert_eq!(report.consistency.level, ConsistencyLevel::None);
    assert_eq!(report.consistency.cluster_time, None);
    let reason = report.consistency.reason.expect("a reason");
    assert!(reason.contains("standalone"), "{reason}");

    job.consistency = ConsistencyDemand::Require;
    job.destination = Location::Local(scratch.path().join("b"));
    let failure = backup(&job, &tools).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::ConsistencyNotReached, "{failure}");
    assert!(failure.message.contains("standalone"), "{failure}");
    assert_eq!(visible(&tools.store, &job.destination).await, [""; 0]);
}

/// An archive of nothing was called complete, which hides a mistyped name for as long as nobody restores.
#[tokio::test]
async fn a_database_that_is_not_there_is_refused_and_those_that_are_are_named() {
    let tools = tools().await;
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("it");
    insert(&client, &database, "orders", vec![doc! {"_id": 1}]).await;
    let scratch = ScratchDir::new("nothing");
    let folder = Location::Local(scratch.path().join("a"));
    let mistyped = format!("{database}x");
    let failure = backup(&job(&mistyped, &folder), &tools).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
    assert!(
        failure.message.contains(&format!("{mistyped:?}")) && failure.message.contains(&database),
        "{failure}"
    );

    // Emptied: to the server, that is the same.
    client
        .database(&database)
        .collection::<Document>("orders")
        .drop()
        .await
        .expect("dropped");
    let failure = backup(&job(&database, &folder), &tools).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");

    // A collection without documents is something.
    let created = client.database(&database).create_collection("orders").await;
    created.expect("created");
    let mut job = job(&database, &folder);
    job.selection.exclude = vec!["*".to_owned()];
    let failure = backup(&job, &tools).await.expect_err("refused");
    assert!(failure.message.contains("orders"), "{failure}");
    assert_eq!(visible(&tools.store, &folder).await, [""; 0]);
    job.selection.exclude.clear();
    let report = backup(&job, &tools).await.expect("a backup");
    assert_eq!((report.status, report.totals.collections), (RunStatus::Complete, 1));
}

/// It was asked for by its name, and told as not backed up, every night.
#[tokio::test(flavor = "multi_thread")]
async fn of_all_databases_one_that_lost_its_only_view_is_none() {
    let server = Mongod::replica_set();
    let client = server.client().await;
    insert(&client, "shop", "orders", vec![doc! {"_id": 1}]).await;
    let view = doc! {"create": "view", "viewOn": "orders", "pipeline": []};
    let lost = client.database("lost");
    lost.run_command(view).await.expect("created");
    lost.run_command(doc! {"drop": "view"}).await.expect("dropped");
    let names = client.list_database_names().await.expect("names");
    assert!(names.contains(&"lost".to_owned()), "{names:?}");
    let folder = ScratchDir::new("all");
    let event = serde_json::json!({"database": "*", "destination": folder.path()});
    let order = BackupRequest::from_event(event).expect("a request");
    let order = order.into_order(&Environment::default()).expect("an order");
    let tools = tools_for(&server.uri(), Store::new()).await;
    let report = backup_several(&order, None, &tools).await.expect("a backup");
    assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
    assert_eq!(report.databases.len(), 1, "{}", report.summary);
}
