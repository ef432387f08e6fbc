//! Moments between the archives of a chain, while the database is written to.
//!
//! Some writers change documents in every way; increments are made meanwhile. Now and then a cluster time is drawn, and
//! what the server's snapshot reads show at it is kept: the driver's own reads, of whole collections. Afterwards each
//! of those moments is restored. A collection is then byte for byte what was kept, or the plan names it and why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Bson, Document, Timestamp, doc};
use mongodb::options::TimeseriesOptions;
use mongodb::{Client, Database};
use mongotar::backup::{BackupJob, RunStatus, backup};
use mongotar::store::{Location, Store};
use serde_json::json;

use super::{Campaign, Draw};
use crate::rig::{self, ScratchDir};
use crate::support;

pub const CAMPAIGN: Campaign = Campaign {
    name: "moments",
    promise: "any moment between two archives of a chain comes back as the server showed it, or the plan names what does not",
    sample: &[3],
    trial: |seed| Box::pin(trial(seed)),
};

/// How many moments a seed tries.
const MOMENTS: usize = 10;
/// How many increments are made meanwhile.
const INCREMENTS: usize = 3;
/// Collections that keep their names.
const KEPT: [&str; 3] = ["orders", "people", "readings"];

/// Documents of collections, sorted.
type Kept = BTreeMap<&'static str, Vec<Vec<u8>>>;

async fn trial(seed: u64) -> String {
    let server = rig::shared_replica_set();
    let (client, name) = (server.client().await, rig::fresh_database_name("moments"));
    let tools = support::tools_for(&server.uri(), Store::new()).await;
    let folder = ScratchDir::new("moments");
    let destination = Location::Local(folder.path().join("archives"));
    let database = client.database(&name);
    let series = TimeseriesOptions::builder().time_field("at").build();
    let created = database.create_collection("readings").timeseries(series).await;
    created.expect("a time series");
    support::insert(
        &client,
        &name,
        "orders",
        (0..40).map(|id| doc! {"_id": id, "n": id}).collect(),
    )
    .await;
    support::insert(&client, &name, "people", (0..40).map(|id| doc! {"_id": id}).collect()).await;
    let job = BackupJob {
        incremental: true,
        ..support::job(&name, &destination)
    };
    backup(&job, &tools).await.expect("a full backup");

    let is_over = Arc::new(AtomicBool::new(false));
    let writers = (0..3).map(|writer| {
        let (client, name, is_over) = (client.clone(), name.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut draw = Draw::of(seed * 16 + writer);
            while !is_over.load(Ordering::Relaxed) {
                write(&mut draw, &client, &client.database(&name)).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut draw = Draw::of(seed * 16 + 15);
    let mut moments: Vec<(Timestamp, Kept)> = Vec::new();
    for round in 0..INCREMENTS {
        for _ in round * MOMENTS / INCREMENTS..(round + 1) * MOMENTS / INCREMENTS {
            let from = now(&client).await;
            for _ in 0..=draw.below(6) {
                write(&mut draw, &client, &database).await;
            }
            let at = between(&mut draw, from, now(&client).await);
            moments.push((at, kept(&database, at).await));
        }
        // A collection that is dropped meanwhile may keep one from being written, and it says so.
        while let Err(failure) = backup(&job, &tools).await {
            assert!(failure.passes(), "{failure}");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("written");
    }
    let (mut compared, mut named) = (0, 0);
    for (at, expected) in moments {
        let target = rig::fresh_database_name("moments");
        let at = format!("{}.{}", at.time, at.increment);
        let event = json!({"archive": {"latest": destination, "at": at}, "database": target});
        let report = support::restore(&tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
        for (collection, expected) in expected {
            let is_named = |warning: &String| warning.starts_with(&format!("{collection:?} is not as of the moment"));
            if report.plan.warnings.iter().any(is_named) {
                named += 1;
                continue;
            }
            let found = documents(&client.database(&target), collection, None).await;
            assert!(
                found == expected,
                "{collection} at {at} has {} documents, and had {}; {:?}",
                found.len(),
                expected.len(),
                report.plan.warnings
            );
            compared += 1;
        }
        client.database(&target).drop().await.expect("dropped");
    }
    database.drop().await.expect("dropped");
    assert!(
        compared >= MOMENTS,
        "of {MOMENTS} moments, only {compared} collections could be compared"
    );
    format!("{compared} collections compared, {named} named")
}

/// The server's cluster time.
async fn now(client: &Client) -> Timestamp {
    let hello = client.database("admin").run_command(doc! {"hello": 1}).await;
    hello
        .expect("an answer")
        .get_timestamp("operationTime")
        .expect("a time")
}

/// A time from one to another.
fn between(draw: &mut Draw, from: Timestamp, to: Timestamp) -> Timestamp {
    if from.time == to.time {
        let more = u64::from(to.increment - from.increment);
        let increment = from.increment + u32::try_from(draw.below(more + 1)).expect("small");
        return Timestamp {
            time: to.time,
            increment,
        };
    }
    Timestamp {
        time: to.time,
        increment: u32::try_from(draw.below(u64::from(to.increment) + 1)).expect("small"),
    }
}

async fn kept(database: &Database, at: Timestamp) -> Kept {
    let mut kept = Kept::new();
    for collection in KEPT {
        kept.insert(collection, documents(database, collection, Some(at)).await);
    }
    kept
}

/// The documents of a collection, as the driver reads them, now or at a cluster time.
async fn documents(database: &Database, collection: &str, at: Option<Timestamp>) -> Vec<Vec<u8>> {
    let mut find = doc! {"find": collection, "batchSize": 1_000_000};
    if let Some(at) = at {
        find.insert("readConcern", doc! {"level": "snapshot", "atClusterTime": at});
    }
    let reply = database.run_command(find).await;
    let reply = reply.unwrap_or_else(|error| panic!("reading {collection} at {at:?}: {error}"));
    let batch = reply
        .get_document("cursor")
        .and_then(|cursor| cursor.get_array("firstBatch"));
    let documents = batch.expect("a batch").iter();
    let bytes = |document: &Bson| {
        let mut fields: Vec<_> = document.as_document().expect("a document").iter().collect();
        // A server may reorder those of measurements.
        if collection == "readings" {
            fields.sort_unstable_by_key(|(name, _)| name.as_str());
        }
        let fields = fields.into_iter().map(|(name, value)| (name.clone(), value.clone()));
        bson::serialize_to_vec(&Document::from_iter(fields)).expect("BSON")
    };
    let mut documents: Vec<Vec<u8>> = documents.map(bytes).collect();
    documents.sort_unstable();
    documents
}

fn id(draw: &mut Draw) -> Bson {
    let number = i32::try_from(draw.below(50)).expect("small");
    match draw.below(5) {
        0 => Bson::Int64(number.into()),
        1 => Bson::String(number.to_string()),
        2 => Bson::Document(doc! {"n": number}),
        _ => Bson::Int32(number),
    }
}

/// One change. Where writers are in each other's way, it is none.
pub(super) async fn write(draw: &mut Draw, client: &Client, database: &Database) {
    let name = draw.one_of(&["orders", "people"]);
    let collection = database.collection::<Document>(name);
    let (one, value) = (doc! {"_id": id(draw)}, i32::try_from(draw.below(1_000)).expect("small"));
    let done = match draw.below(16) {
        0..=2 => collection
            .replace_one(one, doc! {"n": value, "list": [1, 2, 3]})
            .upsert(true)
            .await
            .map(drop),
        3 | 4 => collection
            .update_one(one, doc! {"$inc": {"n": 1}, "$push": {"list": value}})
            .await
            .map(drop),
        5 => collection
            .update_one(one, doc! {"$set": {"a.b": value, "list.1": value}})
            .await
            .map(drop),
        6 => collection
            .update_one(one, doc! {"$pop": {"list": 1}, "$unset": {"a": ""}})
            .await
            .map(drop),
        7 => {
            let pipeline = vec![doc! {"$set": {"dotted": {"$literal": value}}}, doc! {"$unset": "n"}];
            collection.update_one(one, pipeline).await.map(drop)
        }
        8 => collection
            .update_many(doc! {"n": {"$lt": 20}}, doc! {"$mul": {"n": 3}})
            .await
            .map(drop),
        9..=11 => collection.delete_one(one).await.map(drop),
        12 => {
            let reading = doc! {"at": bson::DateTime::now(), "v": value};
            database
                .collection::<Document>("readings")
                .insert_one(reading)
                .await
                .map(drop)
        }
        13 | 14 => transact(draw, client, database).await,
        _ => redefine(draw, database).await,
    };
    drop(done);
}

async fn transact(draw: &mut Draw, client: &Client, database: &Database) -> mongodb::error::Result<()> {
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    for _ in 0..=draw.below(4) {
        for name in ["orders", "people"] {
            let collection = database.collection::<Document>(name);
            let value = i32::try_from(draw.below(100)).expect("small");
            let replace = collection.replace_one(doc! {"_id": id(draw)}, doc! {"of": "a transaction", "n": value});
            if let Err(error) = replace.upsert(true).session(&mut session).await {
                session.abort_transaction().await?;
                return Err(error);
            }
        }
    }
    match draw.below(4) {
        0 => session.abort_transaction().await,
        _ => session.commit_transaction().await,
    }
}

/// Collections that come, go and are renamed, and indexes.
async fn redefine(draw: &mut Draw, database: &Database) -> mongodb::error::Result<()> {
    let passing = database.collection::<Document>("passing");
    match draw.below(4) {
        0 => passing.drop().await,
        1 => passing.insert_one(doc! {"n": 1}).await.map(drop),
        2 => {
            let to = format!("{}.passed", database.name());
            let from = format!("{}.passing", database.name());
            let command = doc! {"renameCollection": from, "to": to, "dropTarget": true};
            database.client().database("admin").run_command(command).await.map(drop)
        }
        _ => {
            let index = doc! {"createIndexes": "passing", "indexes": [{"key": {"n": 1}, "name": "by_n"}]};
            database.run_command(index).await.map(drop)
        }
    }
}
