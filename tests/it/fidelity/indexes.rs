//! FIELD 3, cases 8 and 10: indexes as they were, and none lost because of another.

use bson::{Bson, Timestamp, doc};
use serde_json::json;

use super::harness::{FORMS, assert_same, back_up_as, held, index, of, restore_whole, restore_with, run};
use crate::{rig, support};
use mongotar::backup::RunStatus;

/// Every kind of index.
pub async fn build(client: &mongodb::Client, database: &str) {
    let document = doc! {
        "_id": 1, "b": 1, "a": 2, "text": "the quick", "place": {"type": "Point", "coordinates": [1.0, 2.0]}, "spot": [1, 2], "tags": ["x", "y"],
    };
    run(client, database, doc! {"insert": "indexed", "documents": [document]}).await;
    let indexes = vec![
        doc! {"key": {"z": 1, "a": -1, "m": 1}, "name": "compound"},
        doc! {"key": {"double": 1.0, "other": -1.0, "long": 1_i64, "half": 0.5}, "name": "doubles as key values"},
        doc! {"key": {"a": 1}, "name": "unique", "unique": true},
        doc! {"key": {"b": 1}, "name": "sparse", "sparse": true},
        doc! {"key": {"c": 1}, "name": "partial", "partialFilterExpression": {"c": {"$gt": 5}, "d": {"$exists": true}}},
        doc! {"key": {"c": -1}, "name": "empty partial", "partialFilterExpression": {}},
        doc! {"key": {"at": 1}, "name": "expiring", "expireAfterSeconds": 3600},
        doc! {"key": {"at": -1}, "name": "expiring by a double", "expireAfterSeconds": 3600.0},
        doc! {"key": {"hidden": 1}, "name": "hidden", "hidden": true},
        doc! {"key": {"before": 1, "title": "text", "text": "text", "after": 1}, "name": "text", "weights": {"title": 10, "text": 3}, "default_language": "german", "language_override": "lang"},
        doc! {"key": {"place": "2dsphere", "a": 1}, "name": "sphere"},
        doc! {"key": {"place": "2dsphere"}, "name": "old sphere", "2dsphereIndexVersion": 2},
        doc! {"key": {"spot": "2d"}, "name": "flat", "bits": 20, "min": -500.0, "max": 500.0},
        doc! {"key": {"h": "hashed"}, "name": "hashed"},
        doc! {"key": {"_id": "hashed"}, "name": "hashed id"},
        doc! {"key": {"$**": 1}, "name": "wildcard", "wildcardProjection": {"a": 0, "sub.b": 0}},
        doc! {"key": {"sub.$**": 1}, "name": "wildcard below"},
        doc! {"key": {"c": 1, "x": 1}, "name": "collated", "collation": {"locale": "fr", "backwards": true}},
        doc! {"key": {"old": 1}, "name": "version 1", "v": 1},
        doc! {"key": {"n": 1}, "name": "n".repeat(300)},
        doc! {"key": {"o": 1}, "name": "odd name \n\"/%😀"},
        doc! {"key": {"a b.ü": 1}, "name": "odd key"},
    ];
    index(client, database, "indexed", indexes).await;
    // In a collection with a collation, an index without one is another index.
    run(
        client,
        database,
        doc! {"create": "collated indexes", "collation": {"locale": "de", "strength": 1}},
    )
    .await;
    let simple = doc! {"locale": "simple"};
    let indexes = vec![
        doc! {"key": {"a": 1}, "name": "inherited"},
        doc! {"key": {"b": 1}, "name": "simple", "unique": true, "collation": &simple},
        doc! {"key": {"c": 1}, "name": "its own", "collation": {"locale": "sv"}},
        doc! {"key": {"d": "text"}, "name": "text", "collation": &simple},
        doc! {"key": {"e": "2d"}, "name": "flat", "collation": &simple},
        doc! {"key": {"g": 1}, "name": "version 1", "v": 1},
        doc! {"key": {"f": 1}, "name": "expiring", "expireAfterSeconds": 3600, "collation": &simple},
    ];
    index(client, database, "collated indexes", indexes).await;
    // Only the simple collation tells these apart.
    let documents = [doc! {"_id": 1, "b": "x"}, doc! {"_id": 2, "b": "X"}];
    run(
        client,
        database,
        doc! {"insert": "collated indexes", "documents": documents.to_vec()},
    )
    .await;
}

/// An index with the simple collation in a collection with another collation came back with the collection's, since the
/// server does not report the simple one.
#[tokio::test(flavor = "multi_thread")]
async fn index_definitions_come_back_as_they_were() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build(&client, &source).await;
    let before = held(&client, &tools, &source).await;
    for form in [FORMS[2], FORMS[5]] {
        let archive = back_up_as(&tools, &source, &support::folder(), form).await;
        restore_whole(&tools, &archive, &target, json!({"replace_existing": true})).await;
        assert_same(&before, &held(&client, &tools, &target).await, &format!("{form:?}"));
    }
    // A merge builds what is missing with the same care.
    for collection in ["indexed", "collated indexes"] {
        run(&client, &target, doc! {"dropIndexes": collection, "index": "*"}).await;
    }
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    restore_whole(&tools, &archive, &target, json!({})).await;
    assert_same(&before, &held(&client, &tools, &target).await, "merged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_index_over_data_that_breaks_it_does_not_lose_the_others() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    run(
        &client,
        &source,
        doc! {"insert": "c", "documents": [{"_id": 1, "email": "a@b"}]},
    )
    .await;
    let indexes = vec![
        doc! {"key": {"x": 1}, "name": "before"},
        doc! {"key": {"email": 1}, "name": "unique", "unique": true},
        doc! {"key": {"y": 1}, "name": "after"},
        doc! {"key": {"at": 1}, "name": "expiring", "expireAfterSeconds": 60},
    ];
    index(&client, &source, "c", indexes).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    // The target has the same address under another _id, and no index that would have prevented it.
    run(
        &client,
        &target,
        doc! {"insert": "c", "documents": [{"_id": 2, "email": "a@b"}]},
    )
    .await;

    let report = restore_with(&tools, &archive, &target, json!({})).await;
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    assert_eq!((c.inserted, c.rejected, c.db_count), (1, 0, 1));
    let failed: Vec<&str> = c.failed_indexes.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, ["unique"]);
    assert!(
        c.failed_indexes[0].error.contains("a@b"),
        "the key is named: {}",
        c.failed_indexes[0].error
    );
    assert_eq!(c.index_diff.added, ["unique"]);
    let built = run(&client, &target, doc! {"listIndexes": "c"}).await;
    let built = built
        .get_document("cursor")
        .and_then(|cursor| cursor.get_array("firstBatch"))
        .expect("indexes");
    let mut built: Vec<&str> = built
        .iter()
        .filter_map(|index| index.as_document()?.get_str("name").ok())
        .collect();
    built.sort_unstable();
    assert_eq!(built, ["_id_", "after", "before", "expiring"]);
}

/// A document that another unique key keeps out is refused, named, and in no sum twice.
#[tokio::test(flavor = "multi_thread")]
async fn totals_balance_when_another_unique_key_is_taken() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    let documents: Vec<Bson> = (1..=10)
        .map(|n| doc! {"_id": n, "email": format!("{n}@b"), "ts": Timestamp { time: 0, increment: 0 }}.into())
        .collect();
    run(&client, &source, doc! {"insert": "c", "documents": documents}).await;
    // An empty timestamp needs a repair, which once looked for the refused document too and ended the restore.
    super::timestamps::empty_timestamps(&client, &source, "c").await;
    let unique = || vec![doc! {"key": {"email": 1}, "name": "unique", "unique": true}];
    index(&client, &source, "c", unique()).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    index(&client, &target, "c", unique()).await;
    // The same, another under the same _id, and one whose address is taken under another _id.
    let present = [
        doc! {"_id": 1, "email": "1@b", "ts": Timestamp { time: 0, increment: 0 }},
        doc! {"_id": 2, "email": "old"},
        doc! {"_id": 99, "email": "3@b"},
    ];
    run(&client, &target, doc! {"insert": "c", "documents": present.to_vec()}).await;
    super::timestamps::empty_timestamps(&client, &target, "c").await;

    let report = restore_with(&tools, &archive, &target, json!({})).await;
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    let merged = c.merged.expect("a merge");
    assert_eq!(
        (c.inserted, merged.unchanged, merged.replaced, c.rejected),
        (7, 1, 1, 1)
    );
    assert_eq!((c.file_count, c.db_count, c.accounted_for()), (10, 9, 10));
    assert_eq!(
        (c.rejections[0].id.as_str(), c.rejections[0].code),
        (r#"{"_id":{"$numberInt":"3"}}"#, 11000)
    );
}
