//! Nothing is dropped, and no view takes the place of documents, where anything before it went wrong.

use std::sync::atomic::{AtomicBool, Ordering};

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::store::Store;
use serde_json::json;

use super::{Place, numbered, of, place};
use crate::rig::{Passage, Wire, shared_replica_set};
use crate::support;

/// Collections that an archive was made of, and then a target that has other things under their names.
async fn scene() -> (Place, String) {
    let place = place().await;
    place.insert("orders", numbered(0..20, "saved")).await;
    place
        .run(doc! {"createIndexes": "orders", "indexes": [{"key": {"text": 1}, "name": "text_1"}]})
        .await;
    place
        .run(doc! {"create": "recent", "viewOn": "orders", "pipeline": []})
        .await;
    let archive = place.archive().await;
    place.db().drop().await.expect("dropped");
    place
        .insert("recent", numbered(0..3, "documents where a view is to be"))
        .await;
    place.insert("extra", numbered(0..5, "only here")).await;
    (place, archive)
}

async fn nothing_was_taken_away(place: &Place) {
    let names = place.names().await;
    assert!(names.contains(&"extra".to_owned()), "{names:?}");
    let recent = support::raw_documents(&place.client, &place.database, "recent").await;
    assert_eq!(recent.len(), 3, "the collection has given way to a view");
}

/// Any index of a collection that is loaded (and not only rehearsed) fails as on a key that is there twice.
fn failing_indexes() -> Wire {
    Wire::start(shared_replica_set().port(), |command| {
        match command.name == "createIndexes" && !command.target().contains("rehearsal") {
            true => Passage::Answered(doc! {"ok": 0.0, "code": 11_000, "codeName": "DuplicateKey", "errmsg": "E11000"}),
            false => Passage::Through,
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_missing_from_a_new_collection_holds_back_what_comes_after() {
    let (mut place, archive) = scene().await;
    let wire = failing_indexes();
    place.tools = support::tools_for(&wire.uri(), Store::with_client(crate::rig::shared_s3().client().await)).await;
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    assert_eq!(of(&report, "orders").failed_indexes.len(), 1);
    for kept in ["recent", "extra"] {
        let error = of(&report, kept).error.clone().unwrap_or_default();
        assert!(error.contains("because the restore is not complete"), "{kept}: {error}");
    }
    nothing_was_taken_away(&place).await;
    // The same once more, without the fault.
    place.tools = support::tools().await;
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
    assert_eq!(place.names().await, ["orders", "recent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_missing_after_a_merge_holds_back_what_comes_after() {
    let place = place().await;
    place.insert("orders", numbered(0..20, "saved")).await;
    let unique = doc! {"key": {"code": 1}, "name": "code_1", "unique": true, "sparse": true};
    place.run(doc! {"createIndexes": "orders", "indexes": [unique]}).await;
    let archive = place.archive().await;
    place.db().drop().await.expect("dropped");
    let twice = vec![doc! {"_id": 100, "code": 1}, doc! {"_id": 101, "code": 1}];
    place.insert("orders", twice).await;
    place.insert("extra", numbered(0..5, "only here")).await;
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    assert_eq!(of(&report, "orders").failed_indexes.len(), 1);
    assert!(of(&report, "extra").error.is_some());
    assert!(place.names().await.contains(&"extra".to_owned()));
}

/// A merge leaves options and indexes as they are. Where the archive has others, the database is not what the archive
/// says: before, it was "proven equal", and what was extra was dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_into_a_collection_that_is_defined_otherwise_holds_back_what_comes_after() {
    for other in [
        doc! {"create": "orders"},
        doc! {"create": "orders", "validator": {"other": 1}, "validationAction": "warn"},
        doc! {"createIndexes": "orders", "indexes": [{"key": {"other": 1}, "name": "text_1"}]},
    ] {
        let place = place().await;
        let validator = doc! {"text": {"$exists": true}};
        let has_validator = other.contains_key("create");
        if has_validator {
            place.run(doc! {"create": "orders", "validator": validator}).await;
        }
        place.insert("orders", numbered(0..20, "saved")).await;
        place
            .run(doc! {"createIndexes": "orders", "indexes": [{"key": {"text": 1}, "name": "text_1"}]})
            .await;
        let archive = place.archive().await;
        place.db().drop().await.expect("dropped");
        place.run(other.clone()).await;
        place.insert("extra", numbered(0..5, "only here")).await;
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Partial, "{other}: {}", report.summary);
        let orders = of(&report, "orders");
        let differs = !orders.options_diff.is_empty() || !orders.index_diff.is_empty();
        assert!(!orders.equal && differs && orders.db_count == 20, "{other}: {orders:?}");
        assert!(of(&report, "extra").error.is_some(), "{other}");
        assert!(place.names().await.contains(&"extra".to_owned()), "{other}");
    }
}

/// Somebody makes a collection anew in the very moment in which it was put into its place.
#[tokio::test(flavor = "multi_thread")]
async fn another_collection_under_a_proven_ones_name_is_found_out() {
    let (mut place, archive) = scene().await;
    let (database, at_work) = (place.database.clone(), tokio::runtime::Handle::current());
    let (renamed, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let wire = Wire::start(shared_replica_set().port(), move |command| {
        if command.name == "renameCollection" {
            renamed.store(true, Ordering::Release);
        } else if renamed.load(Ordering::Acquire) && !done.swap(true, Ordering::AcqRel) {
            at_work.block_on(async {
                let client = shared_replica_set().client().await;
                let orders = client.database(&database).collection::<bson::Document>("orders");
                orders.drop().await.expect("dropped");
                support::insert(&client, &database, "orders", numbered(0..20, "another")).await;
            });
        }
        Passage::Through
    });
    place.tools = support::tools_for(&wire.uri(), Store::with_client(crate::rig::shared_s3().client().await)).await;
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_ne!(report.status, RunStatus::Complete, "{}", report.summary);
    assert!(!of(&report, "orders").equal);
    nothing_was_taken_away(&place).await;
}
