//! Stored functions (`system.js`) are data; other collections of the server's own are named, and left out.

use bson::{Bson, Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::inspect::{self, Shown};
use mongotar::plan::{Action, Method};
use mongotar::restore::RestoreReport;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::{AgainstJob, against};
use serde_json::{Value, json};

use crate::{rig, support};

fn function(name: &str, code: &str) -> Document {
    doc! {"_id": name, "value": Bson::JavaScriptCode(code.to_owned())}
}

async fn restored(tools: &Tools, archive: &Location, database: &str, more: Value) -> RestoreReport {
    let mut event = json!({"archive": archive.to_string(), "database": database, "snapshot": false});
    for (field, value) in more.as_object().expect("fields") {
        event[field] = value.clone();
    }
    support::restore(tools, event).await.expect("a report")
}

async fn functions(tools: &Tools, database: &str) -> Vec<Vec<u8>> {
    let client = rig::shared_replica_set().client().await;
    assert!(
        tools
            .mongo
            .survey(database)
            .await
            .expect("a survey")
            .get("system.js")
            .is_some()
    );
    support::raw_documents(&client, database, "system.js").await
}

#[tokio::test]
async fn stored_functions_are_saved_restored_and_compared() {
    // They were left out in silence: the backup was whole, and the restore equal.
    let tools = support::tools().await;
    let client = rig::shared_replica_set().client().await;
    let [source, target] = [(); 2].map(|()| rig::fresh_database_name("functions"));
    let add = function("add", "function(a, b) { return a + b }");
    support::insert(
        &client,
        &source,
        "system.js",
        vec![add, function("one", "function() { return 1 }")],
    )
    .await;
    support::insert(&client, &source, "orders", vec![doc! {"_id": 1}]).await;
    let expected = functions(&tools, &source).await;
    let to = support::folder();
    let saved = support::back_up(&tools, &source, &to).await;
    assert_eq!(saved.status, RunStatus::Complete);
    let names: Vec<&str> = saved.collections.iter().map(|saved| saved.name.as_str()).collect();
    assert_eq!(names, ["orders", "system.js"]);

    let created = restored(&tools, &saved.archive, &target, json!({})).await;
    assert_eq!(created.status, RunStatus::Complete, "{:?}", created.verification);
    assert_eq!(functions(&tools, &target).await, expected);

    // Merged: another function stays, a different one of the same name becomes the archive's.
    let js = client.database(&target).collection::<Document>("system.js");
    js.replace_one(doc! {"_id": "one"}, function("one", "function() { return 2 }"))
        .await
        .expect("replaced");
    js.insert_one(function("newer", "function() {}"))
        .await
        .expect("inserted");
    let merged = restored(&tools, &saved.archive, &target, json!({})).await;
    assert_eq!(merged.status, RunStatus::Complete, "{:?}", merged.verification);
    assert_eq!(functions(&tools, &target).await.len(), 3);

    let job = AgainstJob {
        archive: saved.archive.clone(),
        source_database: None,
        database: target.clone(),
        selection: mongotar::catalog::Selection::default(),
        ttl: mongotar::plan::Ttl::On,
    };
    let compared = against(&job, &tools).await.expect("a report");
    assert_eq!(compared.drifted, ["system.js"], "{compared:?}");

    // Replaced: a server neither drops them nor renames over them.
    let replaced = restored(&tools, &saved.archive, &target, json!({"replace_existing": true})).await;
    assert_eq!(replaced.status, RunStatus::Complete, "{:?}", replaced.verification);
    let row = replaced.plan.get("system.js").expect("a row");
    assert_eq!((row.action, row.method), (Action::Replace, Method::AsideAfterDrop));
    assert_eq!(functions(&tools, &target).await, expected);
    assert_eq!(
        against(&job, &tools).await.expect("a report").status,
        RunStatus::Complete
    );
    let left = client.database(&target).list_collection_names().await.expect("names");
    assert!(!left.iter().any(|name| name.starts_with("mongotar.tmp.")), "{left:?}");

    // An archive without them may be an older one: they stay.
    let without = rig::fresh_database_name("without");
    support::insert(&client, &without, "orders", vec![doc! {"_id": 1}]).await;
    let saved = support::back_up(&tools, &without, &to.join("bare/")).await;
    let report = restored(&tools, &saved.archive, &target, json!({})).await;
    assert_eq!((report.status, report.plan.to_drop.len()), (RunStatus::Complete, 0));
    assert_eq!(functions(&tools, &target).await, expected);
}

#[tokio::test]
async fn what_is_the_server_s_own_is_named_in_report_manifest_and_show() {
    let tools = support::tools().await;
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("profiled");
    support::insert(&client, &database, "orders", vec![doc! {"_id": 1}]).await;
    client
        .database(&database)
        .run_command(doc! {"profile": 2})
        .await
        .expect("profiling");
    support::raw_documents(&client, &database, "orders").await;
    client
        .database(&database)
        .run_command(doc! {"profile": 0})
        .await
        .expect("no profiling");
    let saved = support::back_up(&tools, &database, &support::folder()).await;
    assert_eq!(saved.status, RunStatus::Complete);
    assert_eq!(saved.left_out[0].name, "system.profile");
    assert!(saved.left_out[0].reason.contains("profiler"), "{:?}", saved.left_out);
    let Shown::Native(manifest) = inspect::show(&tools.store, &saved.archive, Memory::default())
        .await
        .expect("shown")
    else {
        panic!("it is ours");
    };
    assert_eq!(manifest.left_out, saved.left_out);
    client.database(&database).drop().await.expect("dropped");
}

#[tokio::test]
async fn roles_that_read_and_write_a_database_include_its_stored_functions() {
    let mongod = support::shared_authenticated();
    let client = mongod.client().await;
    let [source, target] = [(); 2].map(|()| rig::fresh_database_name("roles"));
    support::insert(&client, &source, "system.js", vec![function("f", "function() {}")]).await;
    support::insert(&client, &source, "orders", vec![doc! {"_id": 1}]).await;
    let store = Store::with_client(rig::shared_s3().client().await);
    let reader = mongod.create_user(&source, vec![doc! {"role": "read", "db": &source}]);
    let reader = support::tools_for(&reader, store.clone()).await;
    let saved = support::back_up(&reader, &source, &support::folder()).await;
    assert_eq!(saved.status, RunStatus::Complete, "{:?}", saved.failed);
    let roles = ["readWrite", "dbAdmin"].map(|role| doc! {"role": role, "db": &target});
    let writer = mongod.create_user(&target, roles.to_vec());
    let writer = support::tools_for(&writer, store.clone()).await;
    for more in [json!({}), json!({}), json!({"replace_existing": true})] {
        let report = restored(&writer, &saved.archive, &target, more).await;
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    }

    // A right to all collections is none to stored functions: they are what is missing, and nothing else.
    let role = doc! {"createRole": &source, "roles": [], "privileges": [
        {"resource": {"db": &source, "collection": ""}, "actions": ["listCollections", "listIndexes", "collStats", "find"]},
    ]};
    client.database("admin").run_command(role).await.expect("a role");
    let narrow = mongod.create_user(&format!("narrow_{source}"), vec![doc! {"role": &source, "db": "admin"}]);
    let narrow = support::tools_for(&narrow, store).await;
    let part = support::back_up(&narrow, &source, &support::folder()).await;
    assert_eq!(part.status, RunStatus::Partial);
    let failed: Vec<&str> = part.failed.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, ["system.js"]);
    let catalog = narrow.mongo.survey(&source).await.expect("a survey all the same");
    assert!(catalog.get("orders").is_some() && catalog.get("system.js").is_none());
}
