//! Options that only creation takes, and views: as they were, and no difference where there is none.

use bson::{DateTime, doc};
use mongotar::backup::RunStatus;
use serde_json::json;

use super::{numbered, of, place};
use crate::rig;

#[tokio::test]
async fn every_option_comes_back_and_is_no_difference() {
    let place = place().await;
    for create in [
        doc! {"create": "ts_seconds", "timeseries": {"timeField": "t"}},
        doc! {"create": "ts_hours", "timeseries": {"timeField": "t", "metaField": "m", "granularity": "hours"}, "expireAfterSeconds": 1_000_000_i64},
        doc! {"create": "collated", "collation": {"locale": "de", "strength": 2}},
        doc! {"create": "french", "collation": {"locale": "fr_CA"}},
        doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true, "name": "by id"}, "expireAfterSeconds": 1_000_000_i64},
        doc! {"create": "capped", "capped": true, "size": 5000, "max": 10},
        doc! {"create": "images", "changeStreamPreAndPostImages": {"enabled": true}},
        doc! {"create": "validated", "validator": {"a": {"$gt": 1}}, "validationLevel": "moderate", "validationAction": "warn"},
        doc! {"create": "engine", "storageEngine": {"wiredTiger": {"configString": "block_compressor=zlib"}}},
        doc! {"create": "indexed", "indexOptionDefaults": {"storageEngine": {"wiredTiger": {"configString": "prefix_compression=false"}}}},
        doc! {"create": "view_collated", "viewOn": "collated", "pipeline": [], "collation": {"locale": "en"}},
    ] {
        place.run(create).await;
    }
    place.run(doc! {"createIndexes": "collated", "indexes": [
        {"key": {"a": 1}, "name": "simple", "collation": {"locale": "simple"}},
        {"key": {"b": 1.0}, "name": "default"},
        {"key": {"$**": 1}, "name": "wild", "wildcardProjection": {"a": 0}},
        {"key": {"c": 1}, "name": "hidden", "hidden": true, "sparse": true},
        {"key": {"d": "2dsphere"}, "name": "geo"}, {"key": {"e": "text"}, "name": "text", "collation": {"locale": "simple"}},
        {"key": {"f": 1}, "name": "partial", "partialFilterExpression": {"f": {"$gt": 0}}},
    ]}).await;
    place
        .insert("ts_hours", vec![doc! {"t": DateTime::now(), "m": {"b": 1, "a": 2}}])
        .await;
    place
        .insert("collated", vec![doc! {"_id": "A"}, doc! {"_id": "b"}])
        .await;
    place.insert("clustered", numbered(0..3, "x")).await;
    let archived = place.state().await;
    let archive = place.archive().await;

    let fresh = rig::fresh_database_name("fresh");
    let created = place.restore_into(&fresh, &archive, json!({})).await.expect("a report");
    assert_eq!(created.status, RunStatus::Complete, "{:?}", created.verification);
    assert_eq!(place.state_of(&fresh).await, archived);

    let replaced = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(replaced.status, RunStatus::Complete, "{:?}", replaced.verification);
    assert_eq!(place.state().await, archived);

    let merged = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(merged.status, RunStatus::Complete, "{:?}", merged.verification);
    assert_eq!(place.state().await, archived);
}

#[tokio::test]
async fn views_on_views_dangling_ones_and_changed_ones() {
    let place = place().await;
    place.insert("c", numbered(0..3, "x")).await;
    // Named so that the order of names is not the order of need.
    for (view, on) in [
        ("z_first", "c"),
        ("m_second", "z_first"),
        ("a_third", "m_second"),
        ("dangling", "not_there"),
    ] {
        place
            .run(doc! {"create": view, "viewOn": on, "pipeline": [{"$match": {"_id": {"$gte": 1}}}]})
            .await;
    }
    let lookup = doc! {"$lookup": {"from": "a_third", "localField": "_id", "foreignField": "_id", "as": "found"}};
    place
        .run(doc! {"create": "b_joined", "viewOn": "c", "pipeline": [lookup]})
        .await;
    let archived = place.state().await;
    let archive = place.archive().await;

    place
        .run(doc! {"collMod": "m_second", "viewOn": "c", "pipeline": []})
        .await;
    place.run(doc! {"drop": "z_first"}).await;
    for more in [json!({}), json!({"replace_existing": true})] {
        let report = place.restore(&archive, more).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        assert_eq!(place.state().await, archived);
        let dangling = report.plan.get("dangling").expect("planned");
        assert!(
            dangling.warnings.iter().any(|warning| warning.contains("not_there")),
            "{dangling:?}"
        );
    }
    let fresh = rig::fresh_database_name("fresh");
    let report = place.restore_into(&fresh, &archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(place.state_of(&fresh).await, archived);
}

#[tokio::test]
async fn a_view_and_a_collection_change_places() {
    let place = place().await;
    place.insert("c", numbered(0..3, "x")).await;
    place.insert("was_collection", numbered(0..3, "x")).await;
    place
        .run(doc! {"create": "was_view", "viewOn": "c", "pipeline": []})
        .await;
    let archived = place.state().await;
    let archive = place.archive().await;
    place.run(doc! {"drop": "was_collection"}).await;
    place.run(doc! {"drop": "was_view"}).await;
    place
        .run(doc! {"create": "was_collection", "viewOn": "c", "pipeline": []})
        .await;
    place.insert("was_view", numbered(0..1, "x")).await;
    let before = place.state().await;
    let refused = place
        .restore(&archive, json!({}))
        .await
        .expect_err("merging is impossible");
    assert_eq!(refused.kind, mongotar::failure::FailureKind::PlanConflicts);
    assert!(
        refused.message.contains("was_collection") && refused.message.contains("was_view"),
        "{refused}"
    );
    assert_eq!(place.state().await, before);
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(of(&report, "was_view").error, None);
    assert_eq!(place.state().await, archived);
}
