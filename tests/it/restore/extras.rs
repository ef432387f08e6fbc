//! What only the target has: dropped by default, and never where that could lose what nobody has seen.

use bson::doc;
use mongotar::backup::{BackupJob, RunStatus, backup};
use mongotar::catalog::Selection;
use mongotar::plan::Action;
use mongotar::store::Store;
use serde_json::json;

use super::{numbered, of, place};
use crate::{rig, support};

#[tokio::test]
async fn extra_collections_and_views_go_unless_they_are_kept() {
    let place = place().await;
    place.insert("c", numbered(0..3, "x")).await;
    let archive = place.archive().await;
    let extras = async || {
        place.insert("extra", numbered(0..3, "x")).await;
        place
            .run(doc! {"create": "extra_view", "viewOn": "extra", "pipeline": []})
            .await;
        place
            .run(doc! {"create": "extra_series", "timeseries": {"timeField": "ts"}})
            .await;
    };
    extras().await;
    let kept = place
        .restore(&archive, json!({"keep_extra": true}))
        .await
        .expect("a report");
    assert_eq!(kept.status, RunStatus::Complete);
    assert_eq!(kept.plan.to_drop, Vec::<String>::new());
    assert!(place.names().await.contains(&"extra_series".to_owned()));

    let selective = place
        .restore(&archive, json!({"include": ["c"]}))
        .await
        .expect("a report");
    assert!(selective.plan.to_drop.is_empty(), "a selective restore drops nothing");
    assert!(place.names().await.contains(&"extra".to_owned()));

    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(report.plan.to_drop, ["extra", "extra_series", "extra_view"]);
    assert_eq!(of(&report, "extra").action, Action::Drop);
    assert_eq!(place.names().await, ["c"]);
}

#[tokio::test]
async fn an_archive_of_a_selection_drops_nothing() {
    let place = place().await;
    place.insert("c", numbered(0..3, "x")).await;
    place.insert("other", numbered(0..3, "x")).await;
    let selective = BackupJob {
        selection: Selection {
            include: vec!["c".to_owned()],
            exclude: Vec::new(),
        },
        ..support::job(&place.database, &place.to)
    };
    let archive = backup(&selective, &place.tools)
        .await
        .expect("a backup")
        .archive
        .to_string();
    let before = place.state().await;
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(
        (report.status, &report.plan.to_drop),
        (RunStatus::Complete, &Vec::new())
    );
    assert_eq!(place.state().await, before);
}

#[tokio::test]
async fn a_collection_that_the_backup_could_not_read_is_neither_dropped_nor_emptied() {
    let mongod = rig::Mongod::builder().authentication().start();
    let database = rig::fresh_database_name("partial");
    let client = mongod.client().await;
    support::insert(&client, &database, "open", numbered(0..5, "x")).await;
    support::insert(&client, &database, "secret", numbered(0..5, "x")).await;
    let role = doc! {"createRole": "half", "roles": [], "privileges": [
        {"resource": {"db": &database, "collection": ""}, "actions": ["listCollections", "listIndexes", "collStats"]},
        {"resource": {"db": &database, "collection": "open"}, "actions": ["find"]},
    ]};
    client.database("admin").run_command(role).await.expect("a role");
    let half = mongod.create_user("half", vec![doc! {"role": "half", "db": "admin"}]);
    let store = Store::with_client(rig::shared_s3().client().await);
    let to = support::folder();
    let half = support::tools_for(&half, store.clone()).await;
    let saved = support::back_up(&half, &database, &to).await;
    assert_eq!(saved.status, RunStatus::Partial, "{saved:?}");
    assert_eq!(saved.failed[0].name, "secret");

    let tools = support::tools_for(&mongod.uri(), store).await;
    support::insert(&client, &database, "extra", numbered(0..1, "x")).await;
    let secret = support::raw_documents(&client, &database, "secret").await;
    for replace in [true, false] {
        let event = json!({"archive": saved.archive.to_string(), "database": database, "replace_existing": replace});
        let report = support::restore(&tools, event).await.expect("a report");
        assert_eq!(
            report.status,
            RunStatus::Partial,
            "the archive is partial, and so is what is made of it"
        );
        assert_eq!(report.plan.get("secret").map(|row| row.action), Some(Action::Skip));
        assert!(
            report.plan.warnings.iter().any(|warning| warning.contains("secret")),
            "{:?}",
            report.plan.warnings
        );
        assert!(of(&report, "open").equal);
    }
    assert_eq!(support::raw_documents(&client, &database, "secret").await, secret);
}

#[tokio::test]
async fn what_a_dead_restore_left_beside_is_no_data() {
    let place = place().await;
    let left = "mongotar.tmp.dead.0";
    place.insert("c", numbered(0..3, "x")).await;
    place.insert(left, numbered(0..3, "half loaded")).await;
    let saved = support::back_up(&place.tools, &place.database, &place.to).await;
    let names: Vec<&str> = saved
        .collections
        .iter()
        .map(|collection| collection.name.as_str())
        .collect();
    assert_eq!(names, ["c"], "it is not backed up");

    let report = place
        .restore(&saved.archive.to_string(), json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert!(report.plan.get(left).is_none() && report.plan.to_drop.is_empty());
    assert!(
        report.plan.warnings.iter().any(|warning| warning.contains("temporary")),
        "{:?}",
        report.plan.warnings
    );
    assert_eq!(
        place.names().await,
        ["c"],
        "it was once left for a person to look at, and to pay for"
    );
}
