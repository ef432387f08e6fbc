//! The database that campaigns save and restore, and what is to be in the target then.

use std::ops::Deref;

use bson::{DateTime, Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::config::Environment;
use mongotar::drill::{DrillRequest, DrillVerdict};
use serde_json::Value;

use super::Campaign;
use crate::rig::{self, Mongod, WireCommand};
use crate::support;

/// Documents and definitions.
pub type State = (Vec<(String, Vec<Vec<u8>>)>, Vec<String>);

/// The server of a trial. Those of the sample share that of the tests. What was dropped stays open for as long as a
/// server remembers it, and after some hundred seeds a shared one would have no files left: the others have their own.
pub enum Server {
    Shared(&'static Mongod),
    Own(Box<Mongod>),
}

impl Server {
    pub fn for_trial(campaign: &Campaign, seed: u64) -> Self {
        match campaign.sample.contains(&seed) {
            true => Self::Shared(rig::shared_replica_set()),
            false => Self::Own(Box::new(Mongod::builder().cache_gb("0.25").start())),
        }
    }
}

impl Deref for Server {
    type Target = Mongod;

    fn deref(&self) -> &Mongod {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }
}

/// The target as it is before: what is replaced or merged into, what is dropped.
pub async fn before(client: &mongodb::Client, database: &str) {
    for (collection, documents) in [
        (
            "orders",
            vec![doc! {"_id": 1, "old": true}, doc! {"_id": 1_000, "old": true}],
        ),
        ("gone", vec![doc! {"_id": 1}]),
    ] {
        support::insert(client, database, collection, documents).await;
    }
}

/// Adds what a merge leaves of [`before`] where collections that were not saved are left out.
pub fn keep(expected: &mut State) {
    let orders = expected.0.iter_mut().find(|(name, _)| name == "orders");
    let kept = bson::serialize_to_vec(&doc! {"_id": 1_000, "old": true}).expect("BSON");
    let documents = &mut orders.expect("it is saved").1;
    documents.push(kept);
    documents.sort_unstable();
}

pub fn differences(is: &State, expected: &State) -> String {
    let counts = |state: &State| -> Vec<String> {
        state
            .0
            .iter()
            .map(|(name, documents)| format!("{name}: {}", documents.len()))
            .collect()
    };
    format!("{:?}\n{:?}\n{:?}\n{:?}", counts(is), counts(expected), is.1, expected.1)
}

/// The target must be what was saved; of a merge, with what was there before.
///
/// # Panics
/// Where it is not.
pub async fn check(client: &mongodb::Client, tools: &Tools, (source, target): (&str, &str), is_merged: bool) {
    let (is, mut expected) = (state(client, tools, target).await, state(client, tools, source).await);
    if is_merged {
        keep(&mut expected);
    }
    assert!(
        is == expected,
        "the database is another\n{}",
        differences(&is, &expected)
    );
}

/// A drill, which must pass.
///
/// # Panics
/// Where it does not.
pub async fn drill(tools: &Tools, event: Value) {
    let job = DrillRequest::from_event(event).expect("an event");
    let report = mongotar::drill::drill(&job.into_job(&Environment::default()).expect("a job"), tools).await;
    let report = report.expect("a drill");
    assert_eq!(
        (report.status, report.verdict),
        (RunStatus::Complete, DrillVerdict::Passed),
        "{report:#?}"
    );
}

/// What a database has.
pub async fn state(client: &mongodb::Client, tools: &Tools, database: &str) -> State {
    let mut catalog = tools.mongo.survey(database).await.expect("a survey");
    for collection in &mut catalog.collections {
        collection.indexes.sort_by_key(|index| index.to_json());
    }
    let mut documents = support::raw_database(client, tools, database).await;
    // The order of a time series' fields is the server's.
    for document in documents.get_mut("readings").into_iter().flatten() {
        *document = sorted(document);
    }
    documents.values_mut().for_each(|documents| documents.sort_unstable());
    (documents.into_iter().collect(), support::definitions(&catalog))
}

/// What is saved.
pub async fn fill(client: &mongodb::Client, database: &str) {
    let shop = client.database(database);
    let run = async |command: Document| shop.run_command(command).await.expect("the command succeeds");
    run(doc! {"create": "readings", "timeseries": {"timeField": "ts", "metaField": "meta"}}).await;
    run(doc! {"create": "recent", "viewOn": "orders", "pipeline": [{"$match": {"n": {"$gt": 5}}}]}).await;
    run(doc! {"create": "empty"}).await;
    let orders = (0..40)
        .map(|n| doc! {"_id": n, "n": n, "at": DateTime::from_millis(0)})
        .collect();
    support::insert(client, database, "orders", orders).await;
    let users = (0..10).map(|n| doc! {"_id": n, "name": format!("u{n}")}).collect();
    support::insert(client, database, "users", users).await;
    let measured = |n: i32| doc! {"_id": n, "ts": DateTime::from_millis(i64::from(n) * 1_000), "meta": 1, "value": n};
    support::insert(client, database, "readings", (0..20).map(measured).collect()).await;
    run(doc! {"createIndexes": "orders", "indexes": [{"key": {"n": 1}, "name": "n_1", "unique": true}]}).await;
    let lasting = doc! {"key": {"at": 1}, "name": "at_1", "expireAfterSeconds": 2_147_483_647_i32};
    run(doc! {"createIndexes": "users", "indexes": [lasting]}).await;
}

/// A command in a few words.
pub fn told(command: &WireCommand) -> String {
    match command.name.as_str() {
        "renameCollection" => format!("renameCollection to {}", command.body.get_str("to").unwrap_or_default()),
        name => format!("{name} {}", command.target()),
    }
}

fn sorted(document: &[u8]) -> Vec<u8> {
    let document: Document = bson::deserialize_from_slice(document).expect("a document of the server");
    let fields: std::collections::BTreeMap<String, bson::Bson> = document.into_iter().collect();
    bson::serialize_to_vec(&fields).expect("BSON")
}
