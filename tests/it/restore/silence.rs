//! Servers that keep the connection open and say nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::mongo::{Mongo, MongoUri};
use mongotar::store::Store;
use serde_json::json;

use super::failpoints::Failing;
use super::{Place, numbered, place};
use crate::rig::{Passage, Wire, WireCommand, shared_replica_set, shared_s3};
use crate::support;

async fn archived() -> (Place, String) {
    let place = place().await;
    place.insert("orders", numbered(0..20, "saved")).await;
    place
        .run(doc! {"createIndexes": "orders", "indexes": [{"key": {"text": 1}, "name": "text_1"}]})
        .await;
    let archive = place.archive().await;
    place.insert("orders", numbered(20..25, "since")).await;
    (place, archive)
}

/// With a connection string that waits for half a second instead of a minute, and for two seconds instead of two
/// minutes until it is given up.
async fn through(place: &mut Place, wire: &Wire) {
    let uri = format!("{}&socketTimeoutMS=500&serverSelectionTimeoutMS=250", wire.uri());
    place.tools = support::tools_for(&uri, Store::with_client(shared_s3().client().await)).await;
}

/// Before, each of these hung for as long as the connection was open.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_never_answered_ends_the_restore_and_not_its_patience() {
    for silent in ["insert", "find", "renameCollection", "createIndexes", "listIndexes"] {
        let (mut place, archive) = archived().await;
        let struck = Arc::new(AtomicBool::new(false));
        let striking = Arc::clone(&struck);
        let wire = Wire::start(shared_replica_set().port(), move |command| {
            match command.name == silent {
                true => {
                    striking.store(true, Ordering::Release);
                    Passage::Swallowed
                }
                false => Passage::Through,
            }
        });
        through(&mut place, &wire).await;
        let event = json!({"replace_existing": true, "snapshot": false});
        let said = match place.restore(&archive, event).await {
            Ok(report) => {
                assert_ne!(report.status, RunStatus::Complete, "{silent}");
                serde_json::to_string(&report).expect("JSON")
            }
            Err(failure) => failure.to_string(),
        };
        assert!(struck.load(Ordering::Acquire), "no {silent} was sent");
        assert!(said.contains("has said nothing for"), "{silent}: {said}");
        // Not whose limit it was.
        assert!(
            said.contains("socketTimeoutMS of the connection string limits"),
            "{silent}: {said}"
        );
        place.tools = support::tools().await;
        let report = place.restore(&archive, json!({"replace_existing": true})).await;
        let status = report.expect("a report").status;
        assert_eq!(status, RunStatus::Complete, "the same again after {silent}");
    }
}

/// Not even the question what it is doing is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_nothing_any_more_is_given_up() {
    let (mut place, archive) = archived().await;
    let silent = AtomicBool::new(false);
    let wire = Wire::start(shared_replica_set().port(), move |command| {
        if command.name == "insert" {
            silent.store(true, Ordering::Release);
        }
        match silent.load(Ordering::Acquire) {
            true => Passage::Swallowed,
            false => Passage::Through,
        }
    });
    through(&mut place, &wire).await;
    let event = json!({"replace_existing": true, "snapshot": false});
    let failed = place.restore(&archive, event).await;
    let said = failed.map_or_else(|failure| failure.to_string(), |report| report.summary);
    assert!(!said.contains("equal"), "{said}");
}

/// An index build takes as long as it takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_at_work_is_waited_for() {
    let failing = Failing::start().await;
    let place = &failing.place;
    place.insert("orders", numbered(0..20, "saved")).await;
    place
        .run(doc! {"createIndexes": "orders", "indexes": [{"key": {"text": 1}, "name": "text_1"}]})
        .await;
    let archive = place.archive().await;
    place.db().drop().await.expect("dropped");
    let slow = doc! {"blockConnection": true, "blockTimeMS": 3_000};
    failing.arm(doc! {"times": 2}, "createIndexes", slow).await;
    let uri = format!("{}&socketTimeoutMS=500", failing.uri);
    let tools = support::tools_for(&uri, Store::new()).await;
    let event = json!({"archive": archive, "database": place.database});
    let report = support::restore(&tools, event).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
    assert!(failing.disarm().await > 0, "nothing was slow");
}

/// It was waited for without end, and without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_greets_and_says_nothing_more_is_given_up() {
    for silent in ["", "buildInfo"] {
        let wire = Wire::start(shared_replica_set().port(), move |command| {
            let greets = ["hello", "isMaster"].contains(&&*command.name);
            match !greets && command.name.starts_with(silent) {
                true => Passage::Swallowed,
                false => Passage::Through,
            }
        });
        let uri = format!("{}&socketTimeoutMS=200&serverSelectionTimeoutMS=500", wire.uri());
        let refused = Mongo::connect(&MongoUri::new(&uri)).await.expect_err("silence");
        let said = refused.to_string();
        assert!(
            said.contains("connecting to MongoDB: the server has said nothing for"),
            "{said}"
        );
        assert!(
            said.contains("socketTimeoutMS of the connection string limits"),
            "{said}"
        );
    }
}

/// The member that reads go to is asked who it is before each of them that goes by its numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_say_who_it_is_is_given_up() {
    let connected = Arc::new(AtomicBool::new(false));
    let silent = Arc::clone(&connected);
    let (_wire, uri) = shared_replica_set().through_relay(move |command: &WireCommand| {
        // The driver's own have no session.
        let is_ours = command.name == "hello" && command.body.contains_key("lsid");
        match is_ours && silent.load(Ordering::Acquire) {
            true => Passage::Swallowed,
            false => Passage::Through,
        }
    });
    let uri = format!("{uri}&socketTimeoutMS=200&serverSelectionTimeoutMS=500");
    let mongo = Mongo::connect(&MongoUri::new(&uri)).await.expect("connected");
    connected.store(true, Ordering::Release);
    let said = mongo.member_to_read().await.expect_err("silence").to_string();
    assert!(said.contains("the server has said nothing for"), "{said}");
}
