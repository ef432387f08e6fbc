//! A dry run changes nothing, and consent is to one plan.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::failure::{Failure, FailureKind};
use mongotar::store::Store;
use serde_json::json;

use super::{Place, numbered, place};
use crate::{rig, support};

/// An archive with `kept` and `gone`, and a target with `kept` and `extra`.
async fn changed_since_the_backup() -> (Place, String) {
    let place = place().await;
    place.insert("kept", numbered(0..3, "archived")).await;
    place.insert("gone", numbered(0..2, "archived")).await;
    let archive = place.archive().await;
    place.run(doc! {"drop": "gone"}).await;
    place.insert("extra", numbered(0..4, "newer")).await;
    (place, archive)
}

#[tokio::test]
async fn a_dry_run_gives_the_three_sets_with_reasons_and_changes_nothing() {
    let (place, archive) = changed_since_the_backup().await;
    let before = place.state().await;
    let report = place.restore(&archive, json!({"dry_run": true})).await.expect("a plan");

    assert_eq!(report.status, RunStatus::Planned);
    assert_eq!(report.plan.to_drop, ["extra"]);
    assert_eq!(report.plan.to_create, ["gone"]);
    assert_eq!(report.plan.to_restore, ["gone", "kept"]);
    let rows = &report.plan.collections;
    assert!(rows.iter().all(|row| !row.reason.is_empty()), "{rows:?}");
    assert!(report.snapshot.is_none() && report.verification.is_none());
    assert_eq!(report.confirm, report.plan.confirm.to_string());

    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["status"], "planned");
    assert_eq!(json["snapshot"], json!(null));
    assert_eq!(json["verification"], json!(null));
    let actions: Vec<(&str, &str)> = rows_of(&json["plan"]);
    assert_eq!(actions, [("gone", "create"), ("kept", "merge"), ("extra", "drop")]);
    assert_eq!(place.state().await, before, "a dry run changes nothing");
}

fn rows_of(plan: &serde_json::Value) -> Vec<(&str, &str)> {
    let rows = plan["collections"].as_array().expect("rows");
    rows.iter()
        .map(|row| {
            (
                row["name"].as_str().expect("a name"),
                row["action"].as_str().expect("an action"),
            )
        })
        .collect()
}

#[tokio::test]
async fn without_consent_nothing_is_changed_and_the_message_has_the_token() {
    let (place, archive) = changed_since_the_backup().await;
    let before = place.state().await;
    let plan = place.restore(&archive, json!({"dry_run": true})).await.expect("a plan");
    let failure = place
        .restore(&archive, json!({"yes": false}))
        .await
        .expect_err("refused");
    assert_eq!(failure.kind, FailureKind::ConsentMissing);
    assert!(failure.message.contains(&plan.confirm), "{failure}");
    assert_eq!(place.state().await, before);
}

#[tokio::test]
async fn the_right_token_is_consent_and_a_token_for_another_target_is_stale() {
    let (place, archive) = changed_since_the_backup().await;
    let token = |place: &Place, archive: String| {
        let plan = place.tools.clone();
        let event = json!({"archive": archive, "database": place.database, "dry_run": true});
        async move { support::restore(&plan, event).await.expect("a plan").confirm }
    };
    let first = token(&place, archive.clone()).await;

    for change in [
        doc! {"create": "created_since"},
        doc! {"createIndexes": "kept", "indexes": [{"key": {"text": 1}, "name": "since"}]},
        doc! {"collMod": "kept", "validator": {"text": {"$type": "string"}}},
        doc! {"drop": "created_since"},
    ] {
        let seen = token(&place, archive.clone()).await;
        place.run(change.clone()).await;
        let before = place.state().await;
        let failure = place
            .restore(&archive, json!({"confirm": seen, "yes": true}))
            .await
            .expect_err("the target has changed");
        assert_eq!(told(&failure), [TARGET], "{change}");
        assert_eq!(place.state().await, before, "{change}");
    }

    // Another policy, and another archive, are other plans.
    let seen = token(&place, archive.clone()).await;
    for more in [
        json!({"confirm": seen, "replace_existing": true}),
        json!({"confirm": seen, "keep_extra": true}),
        json!({"confirm": seen, "include": ["kept"]}),
    ] {
        let failure = place.restore(&archive, more).await.expect_err("another policy");
        assert_eq!(told(&failure), [REQUEST]);
    }
    let other = support::back_up(&place.tools, &place.database, &place.to.join("other")).await;
    let failure = place
        .restore(&other.archive.to_string(), json!({"confirm": seen}))
        .await
        .expect_err("another archive");
    assert_eq!(told(&failure), [ARCHIVE]);
    let elsewhere = rig::fresh_database_name("elsewhere");
    let failure = place
        .restore_into(&elsewhere, &other.archive.to_string(), json!({"confirm": seen}))
        .await
        .expect_err("everything but the cluster is another");
    assert_eq!(told(&failure), [ARCHIVE, REQUEST, TARGET]);

    // Documents that come and go do not lapse consent.
    assert_ne!(first, seen);
    place.insert("extra", numbered(10..12, "later")).await;
    let report = place
        .restore(&archive, json!({"confirm": seen, "replace_existing": false}))
        .await
        .expect("consent");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(place.names().await, ["gone", "kept"]);
}

const ARCHIVE: &str = "the archive differs from the plan's";
const REQUEST: &str = "the request differs from the plan's";
const TARGET: &str = "the target's collections have changed";
const CLUSTER: &str = "the target is not the plan's cluster";

/// Which changes a stale token is refused for.
fn told(failure: &Failure) -> Vec<&'static str> {
    assert_eq!(failure.kind, FailureKind::ConsentStale, "{failure}");
    assert!(failure.message.contains("nothing was changed"), "{failure}");
    let all = [ARCHIVE, REQUEST, TARGET, CLUSTER].into_iter();
    all.filter(|change| failure.message.contains(change)).collect()
}

#[tokio::test]
async fn a_token_for_another_cluster_is_refused_as_such() {
    let (place, archive) = changed_since_the_backup().await;
    let plan = place.restore(&archive, json!({"dry_run": true})).await.expect("a plan");
    let store = Store::with_client(rig::shared_s3().client().await);
    let other = support::tools_for(&support::shared_authenticated().uri(), store).await;
    assert_ne!(other.mongo.server().hosts, place.tools.mongo.server().hosts);
    let event = json!({"archive": archive, "database": place.database, "confirm": plan.confirm});
    let failure = support::restore(&other, event).await.expect_err("another cluster");
    assert_eq!(
        told(&failure),
        [CLUSTER],
        "its collections are others, and did not change"
    );
    let there = other.mongo.survey(&place.database).await.expect("a survey");
    assert!(there.collections.is_empty());
}

#[tokio::test]
async fn a_cluster_is_the_same_by_whatever_address_it_is_reached() {
    let place = place().await;
    let uri = rig::shared_replica_set().uri();
    let by_name = uri.replacen("127.0.0.1", "localhost", 1);
    assert_ne!(uri, by_name);
    let store = Store::with_client(rig::shared_s3().client().await);
    let by_name = support::tools_for(&by_name, store).await;
    assert_eq!(by_name.mongo.server().hosts, place.tools.mongo.server().hosts);
    assert!(!by_name.mongo.server().hosts.is_empty());
}

/// A mistyped token was called stale, and whoever had mistyped it looked for a change that was none.
#[tokio::test]
async fn a_text_that_is_no_token_is_refused_as_such() {
    let (place, archive) = changed_since_the_backup().await;
    let before = place.state().await;
    let plan = place.restore(&archive, json!({"dry_run": true})).await.expect("a plan");
    for token in ["", "yes", &plan.confirm[..66], &plan.confirm.replace('-', "")] {
        let failure = place
            .restore(&archive, json!({"confirm": token}))
            .await
            .expect_err("no token");
        assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
        assert!(failure.message.contains("not a confirm token"), "{failure}");
    }
    assert_eq!(place.state().await, before);
}

#[tokio::test]
async fn a_user_who_may_only_read_can_plan_and_is_refused_before_the_first_change() {
    let mongod = rig::Mongod::builder().authentication().start();
    let store = || async { Store::with_client(rig::shared_s3().client().await) };
    let database = rig::fresh_database_name("readonly");
    let root = support::tools_for(&mongod.uri(), store().await).await;
    let client = mongod.client().await;
    support::insert(&client, &database, "orders", numbered(0..5, "x")).await;
    let to = support::folder();
    let archive = support::back_up(&root, &database, &to).await.archive;
    support::insert(&client, &database, "extra", numbered(0..5, "x")).await;
    let before = support::raw_database(&client, &root, &database).await;

    let uri = mongod.create_user("reader", vec![doc! {"role": "read", "db": &database}]);
    let reader = support::tools_for(&uri, store().await).await;
    let event = |more: serde_json::Value| {
        let mut event = json!({"archive": archive.to_string(), "database": database});
        event
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        event
    };
    let plan = support::restore(&reader, event(json!({"dry_run": true})))
        .await
        .expect("read rights are enough for a plan");
    assert_eq!(plan.plan.to_drop, ["extra"]);

    for more in [json!({}), json!({"replace_existing": true}), json!({"snapshot": false})] {
        let failure = support::restore(&reader, event(more)).await.expect_err("refused");
        assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
        assert!(
            failure.message.contains("insert") && failure.message.contains("dropCollection"),
            "{failure}"
        );
    }
    assert_eq!(support::raw_database(&client, &root, &database).await, before);

    // The usual role suffices; to pass validators by takes more, and that is said at once.
    let uri = mongod.create_user("writer", vec![doc! {"role": "readWrite", "db": &database}]);
    let writer = support::tools_for(&uri, store().await).await;
    let failure = support::restore(&writer, event(json!({"force": true})))
        .await
        .expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized);
    assert!(failure.message.contains("bypassDocumentValidation"), "{failure}");
    let report = support::restore(&writer, event(json!({"replace_existing": true})))
        .await
        .expect("done");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);

    // The server's own collection behind a time series is not among those that readWrite covers.
    let create = doc! {"create": "m", "timeseries": {"timeField": "ts"}};
    client.database(&database).run_command(create).await.expect("created");
    let measurement = doc! {"ts": bson::DateTime::from_millis(0), "v": 1};
    support::insert(&client, &database, "m", vec![measurement]).await;
    let buckets = support::raw_documents(&client, &database, "system.buckets.m")
        .await
        .concat();
    let dump = rig::ScratchDir::new("dump");
    let definition = json!({"options": {"timeseries": {"timeField": "ts"}}, "type": "timeseries", "indexes": []});
    std::fs::write(dump.path().join("m.metadata.json"), definition.to_string()).expect("written");
    std::fs::write(dump.path().join("system.buckets.m.bson"), buckets).expect("written");
    let folder = json!({"archive": format!("{}/", dump.path().display()), "snapshot": false, "replace_existing": true});
    let failure = support::restore(&writer, event(folder.clone()))
        .await
        .expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized);
    for part in ["insert on", "system.buckets.m", "restore and backup"] {
        assert!(failure.message.contains(part), "{failure}");
    }
    let granted = vec![
        doc! {"role": "readWrite", "db": &database},
        doc! {"role": "restore", "db": "admin"},
        doc! {"role": "backup", "db": "admin"},
    ];
    let uri = mongod.create_user("restorer", granted);
    let restorer = support::tools_for(&uri, store().await).await;
    let report = support::restore(&restorer, event(folder)).await.expect("done");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
}
