//! `replace_existing`: what is there becomes what the archive holds.

use bson::{DateTime, doc};
use mongotar::backup::RunStatus;
use mongotar::plan::{Action, Method};
use serde_json::json;

use super::{numbered, of, place};
use crate::{rig, support};

#[tokio::test]
async fn documents_and_indexes_become_those_of_the_archive() {
    let place = place().await;
    place.insert("c", numbered(0..50, "archived")).await;
    let indexes = doc! {"createIndexes": "c", "indexes": [
        {"key": {"text": 1, "_id": -1}, "name": "both"},
        {"key": {"at": 1}, "name": "expiring", "expireAfterSeconds": 3600},
        {"key": {"text": "hashed"}, "name": "hashed"},
    ]};
    place.run(indexes).await;
    place
        .run(doc! {"create": "seen", "viewOn": "c", "pipeline": [{"$match": {"text": "archived"}}]})
        .await;
    let archived = place.state().await;
    let archive = place.archive().await;

    let c = place.db().collection::<bson::Document>("c");
    c.delete_many(doc! {"_id": {"$lt": 10}}).await.expect("deleted");
    c.update_many(doc! {}, doc! {"$set": {"more": 1}})
        .await
        .expect("updated");
    c.drop_index("both").await.expect("dropped");
    place.insert("c", numbered(100..150, "newer")).await;
    place
        .run(doc! {"createIndexes": "c", "indexes": [{"key": {"more": 1}, "name": "newer"}]})
        .await;

    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(
        (of(&report, "c").action, of(&report, "c").inserted),
        (Action::Replace, 50)
    );
    assert_eq!(report.plan.get("c").map(|row| row.method), Some(Method::Aside));
    assert_eq!(place.state().await, archived);
}

#[tokio::test]
async fn the_report_has_the_fields_that_were_promised() {
    let place = place().await;
    place.insert("c", numbered(0..5, "x")).await;
    let archive = place.archive().await;
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    let json = serde_json::to_value(&report).expect("JSON");
    for field in [
        "status",
        "archive",
        "database",
        "confirm",
        "plan",
        "snapshot",
        "verification",
        "seconds",
    ] {
        assert!(!json[field].is_null(), "{field}");
    }
    assert_eq!(json["status"], "complete");
    assert_eq!(json["verification"]["equal"], true);
    let c = &json["verification"]["collections"][0];
    assert_eq!(
        (&c["name"], &c["kind"], &c["action"]),
        (&json!("c"), &json!("collection"), &json!("replace"))
    );
    assert_eq!(
        (&c["file_count"], &c["db_count"], &c["equal"]),
        (&json!(5), &json!(5), &json!(true))
    );
    assert_eq!((&c["inserted"], &c["rejected"]), (&json!(5), &json!(0)));
    assert_eq!(c["digest_archive"], c["digest_database"]);
    assert_eq!(c["sample_hash_archive"], c["sample_hash_database"]);
    assert_eq!(c["digest_archive"].as_str().map(str::len), Some(32));
    for field in ["archive", "documents", "bytes", "consistency", "undo"] {
        assert!(!json["snapshot"][field].is_null(), "{field}");
    }
    let again: mongotar::restore::RestoreReport = serde_json::from_value(json.clone()).expect("it is read back");
    assert_eq!(serde_json::to_value(&again).expect("JSON"), json);
}

#[tokio::test]
async fn a_time_series_is_replaced_whole_and_keeps_its_time_to_live() {
    let place = place().await;
    let hour = 3_600_000;
    let now = DateTime::now().timestamp_millis();
    let create = doc! {"create": "r", "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "minutes"}, "expireAfterSeconds": 86_400_i64};
    place.run(create).await;
    let reading = |n: i64, value: f64| doc! {"ts": DateTime::from_millis(now - n * hour / 60), "meta": {"station": n % 3, "area": "x"}, "value": value};
    place.insert("r", (0..300).map(|n| reading(n, 1.0)).collect()).await;
    place
        .run(doc! {"createIndexes": "r", "indexes": [{"key": {"meta.station": 1, "ts": -1}, "name": "by_station"}]})
        .await;
    let archived = place.state().await;
    let archive = place.archive().await;
    place.insert("r", (0..20).map(|n| reading(n, 2.0)).collect()).await;

    // Merging by _id is no option: twice would be double.
    for more in [json!({}), json!({"replace_existing": true}), json!({})] {
        let report = place.restore(&archive, more).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        let row = report.plan.get("r").expect("a row");
        assert_eq!((row.action, row.method), (Action::Replace, Method::InPlace));
        assert_eq!(
            of(&report, "r").sample_hash_archive,
            of(&report, "r").sample_hash_database
        );
        assert_eq!(
            place.state().await,
            archived,
            "documents, indexes and expireAfterSeconds"
        );
    }
}

#[tokio::test]
async fn a_time_series_whose_documents_share_an_id_or_have_none_is_verified() {
    // The sample was read back by _id: it found more documents than it had, or fewer, and called them different.
    let place = place().await;
    place.run(doc! {"create": "r", "timeseries": {"timeField": "ts"}}).await;
    let raw = |id: Option<i32>, n: i64| {
        let mut document = doc! {"ts": DateTime::from_millis(1_700_000_000_000 + n)};
        if let Some(id) = id {
            document.insert("_id", id);
        }
        document
    };
    // By the command itself: the driver would add an _id.
    let documents: Vec<bson::Document> = (0..150)
        .map(|n| raw((n % 2 == 0).then_some((n % 3) as i32), n))
        .collect();
    place.run(doc! {"insert": "r", "documents": documents}).await;
    let archived = place.state().await;
    let archive = place.archive().await;
    let report = place
        .restore(&archive, json!({"verify_sample_size": 10}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(place.state().await, archived);
}

#[tokio::test]
async fn another_database_another_name_and_a_part_of_it() {
    let place = place().await;
    for name in ["orders", "orders_old", "users"] {
        place.insert(name, numbered(0..3, name)).await;
    }
    place
        .run(doc! {"create": "seen", "viewOn": "orders", "pipeline": []})
        .await;
    let archive = place.archive().await;
    let other = rig::fresh_database_name("elsewhere");
    support::insert(&place.client, &other, "present", numbered(0..1, "stays")).await;

    let more = json!({"include": ["orders*", "seen"], "exclude": ["*_old"], "rename": ["orders=sales"]});
    let report = place.restore_into(&other, &archive, more).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    let (documents, definitions) = place.state_of(&other).await;
    let names: Vec<&String> = documents.keys().collect();
    assert_eq!(names, ["present", "sales", "seen"], "a selective restore drops nothing");
    assert_eq!(
        documents["sales"],
        support::raw_documents(&place.client, &place.database, "orders").await
    );
    assert_eq!(
        documents["seen"].len(),
        3,
        "the view follows its source's new name: {definitions:?}"
    );
}
