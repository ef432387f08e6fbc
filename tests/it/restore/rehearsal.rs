//! Options, indexes and views that the target would refuse are found before the first change, all at once, each with
//! the way out.

use bson::{Document, doc};
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::store::Store;
use serde_json::json;

use super::{numbered, of, place};
use crate::foreign::{self, bson_of, few};
use crate::{rig, support};

/// A dump of a server that took other things than this one does.
const REFUSED: [(&str, &str); 9] = [
    (
        "good.metadata.json",
        r#"{"options": {}, "indexes": [{"v": 2, "key": {"text": 1}, "name": "text_1"}]}"#,
    ),
    (
        "validated.metadata.json",
        r#"{"options": {"validator": {"$nonsense": 1}}, "indexes": []}"#,
    ),
    (
        "places.metadata.json",
        r#"{"options": {}, "indexes": [
            {"v": 2, "key": {"loc": "nonsense", "kind": 1}, "name": "near"},
            {"v": 2, "key": {"a": 1}, "name": "sparkling", "sparkly": true},
            {"v": 2, "key": {"b": 1}, "name": "fine"}
        ]}"#,
    ),
    (
        "series.metadata.json",
        r#"{"options": {"timeseries": {"timeField": "ts"}, "expireAfterSeconds": -5}, "indexes": [], "type": "timeseries"}"#,
    ),
    (
        "a broken view.metadata.json",
        r#"{"options": {"viewOn": "good", "pipeline": [{"$nonsense": {}}]}, "type": "view"}"#,
    ),
    (
        "a view.metadata.json",
        r#"{"options": {"viewOn": "good", "pipeline": [], "collation": {"locale": "sv"}}, "type": "view"}"#,
    ),
    (
        // Only together with the one above, which is not there yet either, does it show.
        "a view otherwise collated.metadata.json",
        r#"{"options": {"viewOn": "a view", "pipeline": [], "collation": {"locale": "de"}}, "type": "view"}"#,
    ),
    (
        "a view on it.metadata.json",
        r#"{"options": {"viewOn": "a view", "pipeline": [], "collation": {"locale": "sv"}}, "type": "view"}"#,
    ),
    (
        "a view of nothing.metadata.json",
        r#"{"options": {"viewOn": "not there", "pipeline": []}, "type": "view"}"#,
    ),
];

fn dump(place: &foreign::Place) -> String {
    let documents = bson_of(&few("x"));
    let mut entries: Vec<(String, Vec<u8>)> = ["good", "validated", "places"]
        .iter()
        .map(|name| (format!("dump/shop/{name}.bson"), documents.clone()))
        .collect();
    let series = bson_of(&[doc! {"ts": bson::DateTime::from_millis(0)}]);
    entries.push(("dump/shop/series.bson".to_owned(), series));
    let definitions = REFUSED.map(|(name, text)| (format!("dump/shop/{name}"), text.as_bytes().to_vec()));
    entries.extend(definitions);
    let entries: Vec<(&str, &[u8])> = entries
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_slice()))
        .collect();
    place.tar("dump.tar", &entries)
}

#[tokio::test]
async fn everything_that_the_target_would_refuse_is_told_at_once_and_nothing_is_changed() {
    let place = foreign::place().await;
    let archive = dump(&place);
    let db = place.client.database(&place.target);
    for name in ["good", "extra"] {
        support::insert(&place.client, &place.target, name, numbered(0..3, "the target's own")).await;
    }
    let names = async || {
        let mut names = db.list_collection_names().await.expect("names");
        names.retain(|name| !name.starts_with("system."));
        names.sort_unstable();
        names
    };
    let before = support::raw_database(&place.client, &place.tools, &place.target).await;

    // A dry run reads only, and cannot know.
    let planned = place.restore(&archive, json!({"dry_run": true})).await.expect("a plan");
    assert_eq!(planned.status, RunStatus::Planned);
    let failure = place
        .restore(&archive, json!({"snapshot": true, "replace_existing": true}))
        .await
        .expect_err("refused");
    assert_eq!(failure.kind, FailureKind::PlanConflicts, "{failure}");
    for (collection, what) in [
        ("validated", "$nonsense"),
        ("places", "\"near\""),
        ("places", "\"sparkling\""),
        ("series", "expireAfterSeconds"),
        ("a broken view", "$nonsense"),
        ("a view otherwise collated", "collation"),
    ] {
        let told = failure.message.lines().any(|line| {
            line.starts_with(&format!("- {collection:?}: ")) && line.contains(what) && line.contains(". Way out: ")
        });
        assert!(told, "{collection} {what}: {failure}");
    }
    assert_eq!(failure.message.lines().count(), 7, "and nothing else: {failure}");
    assert!(failure.message.contains("nothing was changed"), "{failure}");
    assert!(
        !failure.message.contains("mongotar.tmp"),
        "names that nobody knows: {failure}"
    );
    assert_eq!(names().await, ["extra", "good"], "nothing is left of the rehearsal");
    assert!(support::raw_database(&place.client, &place.tools, &place.target).await == before);
    assert!(
        !place.path("pre-restore").exists(),
        "no snapshot of a restore that cannot be"
    );

    // The ways out lead out.
    let report = place
        .restore(
            &archive,
            json!({
                "exclude": ["validated", "series", "a broken view", "a view otherwise collated"],
                "exclude_indexes": ["places.near", "places.sparkling"],
            }),
        )
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    let catalog = place.tools.mongo.survey(&place.target).await.expect("a survey");
    let built = |name: &str| -> Vec<String> {
        let indexes = &catalog.get(name).expect("it is there").indexes;
        indexes
            .iter()
            .filter_map(|index| index.get_str("name").map(str::to_owned))
            .collect()
    };
    assert_eq!(built("places"), ["_id_", "fine"]);
    assert_eq!(built("good"), ["_id_", "text_1"]);
    assert!(catalog.get("a view on it").is_some() && catalog.get("a view of nothing").is_some());
    assert_eq!(place.raw(&place.target, "places").await.len(), 5);
}

#[tokio::test]
async fn an_index_that_clashes_with_one_of_the_target_is_found_before_a_merge() {
    // It was found when the documents were in already.
    let place = place().await;
    place.insert("c", numbered(0..5, "x")).await;
    place
        .run(doc! {"createIndexes": "c", "indexes": [{"key": {"text": 1}, "name": "ours"}, {"key": {"b": 1}, "name": "b"}]})
        .await;
    let archive = place.archive().await;
    place.run(doc! {"drop": "c"}).await;
    place.insert("c", numbered(10..12, "y")).await;
    place
        .run(doc! {"createIndexes": "c", "indexes": [{"key": {"text": 1}, "name": "theirs"}]})
        .await;
    let before = place.state().await;
    let failure = place.restore(&archive, json!({})).await.expect_err("a clash");
    assert_eq!(failure.kind, FailureKind::PlanConflicts);
    for word in ["\"c\"", "\"ours\"", "theirs", "exclude_indexes", "--exclude-index"] {
        assert!(failure.message.contains(word), "{word}: {failure}");
    }
    assert_eq!(place.state().await, before);

    let without = json!({"exclude_indexes": ["c.ours"]});
    let report = place.restore(&archive, without).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(of(&report, "c").inserted, 5);
    let missing = place.restore(&archive, json!({"exclude_indexes": ["c.our"]})).await;
    let missing = missing.expect_err("there is no such index");
    assert!(missing.message.contains("c.our"), "{missing}");
    let report = place.restore(&archive, json!({"replace_existing": true})).await;
    assert_eq!(report.expect("a report").status, RunStatus::Complete);
}

#[tokio::test]
async fn collections_that_are_defined_alike_are_rehearsed_once_and_plain_ones_not_at_all() {
    let place = place().await;
    for n in 0..8 {
        place.insert(&format!("plain {n}"), numbered(0..1, "x")).await;
        let alike = format!("alike {n}");
        place.insert(&alike, numbered(0..1, "x")).await;
        let index = doc! {"key": {"text": 1}, "name": "text", "expireAfterSeconds": 1_000_000};
        place.run(doc! {"createIndexes": alike, "indexes": [index]}).await;
    }
    let archive = place.archive().await;
    place.db().drop().await.expect("dropped");
    place.run(doc! {"profile": 2}).await;
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    place.run(doc! {"profile": 0}).await;
    let profile = place.db().collection::<Document>("system.profile");
    let created = |of: &'static str| profile.count_documents(doc! {"command.create": {"$regex": of}});
    assert_eq!(created("rehearsal").await.expect("a count"), 1);
    assert!(
        created("^mongotar.tmp").await.expect("a count") > 16,
        "it is by this name that they are found"
    );
}

#[tokio::test]
async fn views_that_would_read_from_each_other_are_found_by_the_plan() {
    let place = foreign::place().await;
    let view = r#"{"options": {"viewOn": "b", "pipeline": []}, "type": "view"}"#;
    let documents = bson_of(&few("x"));
    let archive = place.tar(
        "dump.tar",
        &[
            ("dump/shop/a.metadata.json", view.as_bytes()),
            ("dump/shop/c.bson", &documents),
        ],
    );
    let db = place.client.database(&place.target);
    let theirs = doc! {"create": "b", "viewOn": "c", "pipeline": [{"$lookup": {"from": "a", "as": "x", "localField": "x", "foreignField": "x"}}]};
    db.run_command(theirs).await.expect("a view");
    let kept = json!({"dry_run": true, "keep_extra": true});
    let failure = place.restore(&archive, kept.clone()).await.expect_err("a circle");
    assert_eq!(failure.kind, FailureKind::PlanConflicts);
    assert!(
        failure.message.contains("\"a\": ") && failure.message.contains("circle"),
        "{failure}"
    );
    db.run_command(doc! {"drop": "b"}).await.expect("dropped");
    place.restore(&archive, kept).await.expect("a plan");
}

#[tokio::test]
async fn a_user_who_may_not_drop_merges_without_a_rehearsal_and_leaves_nothing_behind() {
    let mongod = support::shared_authenticated();
    let client = mongod.client().await;
    let database = rig::fresh_database_name("restore");
    support::insert(&client, &database, "c", numbered(0..3, "x")).await;
    let db = client.database(&database);
    let index = doc! {"createIndexes": "c", "indexes": [{"key": {"text": 1}, "name": "text"}]};
    db.run_command(index).await.expect("an index");
    let store = || async { Store::with_client(rig::shared_s3().client().await) };
    let root = support::tools_for(&mongod.uri(), store().await).await;
    let archive = support::back_up(&root, &database, &support::folder()).await.archive;
    db.run_command(doc! {"dropIndexes": "c", "index": "text"})
        .await
        .expect("dropped");
    let actions = [
        "find",
        "insert",
        "update",
        "createIndex",
        "listCollections",
        "listIndexes",
        "collStats",
    ];
    let role = doc! {"createRole": &database, "roles": [], "privileges": [
        {"resource": {"db": &database, "collection": ""}, "actions": actions.to_vec()},
    ]};
    client.database("admin").run_command(role).await.expect("a role");
    let uri = mongod.create_user(&database, vec![doc! {"role": &database, "db": "admin"}]);
    let tools = support::tools_for(&uri, store().await).await;
    let event = json!({"archive": archive.to_string(), "database": database, "snapshot": false});
    let report = support::restore(&tools, event).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    // Whoever may not drop cannot take the empty collection of the lock away either; the lock itself is free at once.
    let mut names = db.list_collection_names().await.expect("names");
    names.sort_unstable();
    assert_eq!(names, ["c", "mongotar.lock"]);
    let again = json!({"archive": archive.to_string(), "database": database, "snapshot": false});
    let report = support::restore(&tools, again).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
}
