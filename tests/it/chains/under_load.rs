//! Increments while somebody writes: each is compared with what an independent client reads at its cluster time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Document, RawDocumentBuf, doc};
use mongodb::Client;
use mongotar::archive::ClusterTime;
use mongotar::backup::RunStatus;
use serde_json::json;

use super::boundaries::{Dice, change, transact};
use super::{base, increment};
use crate::rig;
use crate::support::{bucket, insert, raw_database, restore, tools};

const COLLECTIONS: [&str; 2] = ["orders", "people"];

/// What is in a collection at a cluster time, sorted.
async fn at(client: &Client, database: &str, collection: &str, time: ClusterTime) -> Vec<Vec<u8>> {
    let time = bson::Timestamp::from(time);
    let find =
        doc! {"find": collection, "readConcern": {"level": "snapshot", "atClusterTime": time}, "batchSize": 100_000};
    let mut cursor = client
        .database(database)
        .run_cursor_command(find)
        .await
        .expect("a cursor");
    let mut found = Vec::new();
    while cursor.advance().await.expect("documents") {
        found.push(
            RawDocumentBuf::from_bytes(cursor.current().as_bytes().to_vec())
                .expect("BSON")
                .into_bytes(),
        );
    }
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_beside_a_writer_is_of_one_moment() {
    let (tools, name) = (tools().await, rig::fresh_database_name("it"));
    let (client, destination) = (rig::shared_replica_set().client().await, bucket().await);
    for collection in COLLECTIONS {
        insert(
            &client,
            &name,
            collection,
            (0..300).map(|id| doc! {"_id": id}).collect(),
        )
        .await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..3).map(|writer| {
        let (client, name, stop) = (client.clone(), name.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let (database, mut dice) = (client.database(&name), Dice(writer));
            while !stop.load(Ordering::Acquire) {
                match writer {
                    0 => transact(&mut dice, &client, &database).await,
                    _ => {
                        change(
                            &mut dice,
                            &database.collection::<Document>(COLLECTIONS[writer as usize - 1]),
                        )
                        .await
                    }
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut boundaries = Vec::new();
    let mut report = base(&tools, &name, &destination).await;
    for _ in 0..5 {
        let time = report.consistency.cluster_time.expect("a moment");
        let mut then = BTreeMap::new();
        for collection in COLLECTIONS {
            then.insert(collection.to_owned(), at(&client, &name, collection, time).await);
        }
        boundaries.push((report.archive.clone(), then));
        report = increment(&tools, &name, &destination).await;
    }
    stop.store(true, Ordering::Release);
    for writer in writers {
        writer.await.expect("it wrote to the end");
    }
    for (archive, then) in &boundaries {
        let target = rig::fresh_database_name("it");
        let restored = restore(&tools, json!({"archive": archive, "database": target}))
            .await
            .expect("a restore");
        assert_eq!(restored.status, RunStatus::Complete, "{}", restored.summary);
        assert!(
            raw_database(&client, &tools, &target).await == *then,
            "{archive} is not what was there then"
        );
        client.database(&target).drop().await.expect("dropped");
    }
}
