//! Engines that are not `mongod`, as doubles before the shared server: what is known of them from documents.

use bson::doc;
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{BackupAnswer, RunStatus, backup_run};
use mongotar::catalog::{Engine, Topology};
use mongotar::failure::FailureKind;
use mongotar::plan::Method;
use serde_json::json;

use super::releases::{cases_on, v6_0_27};
use super::{pieces, place_at, shop, whole};
use crate::continued::run;
use crate::fidelity::harness::of;
use crate::rig::{self, EngineDouble, Snapshots, Wire};
use crate::support;

const AMAZON: EngineDouble = EngineDouble::Amazon5 {
    snapshots: Snapshots::Refused,
};
const AMAZON_PASSING_OVER: EngineDouble = EngineDouble::Amazon5 {
    snapshots: Snapshots::PassedOver,
};

fn double(engine: EngineDouble) -> Wire {
    engine.before(rig::shared_replica_set().port())
}

/// Before the newest release that can be had.
fn newest_double() -> Wire {
    EngineDouble::Newest.before(v6_0_27::server().port())
}

cases_on!(amazon_5, Wire, double(AMAZON));
cases_on!(amazon_5_passing_over, Wire, double(AMAZON_PASSING_OVER));
cases_on!(amazon_8, Wire, double(EngineDouble::Amazon8));
cases_on!(documentdb, Wire, double(EngineDouble::Documentdb));
cases_on!(atlas_flex, Wire, double(EngineDouble::AtlasFlex));
cases_on!(newest, Wire, newest_double());
cases_on!(mongos, Wire, double(EngineDouble::Mongos));

/// An elastic cluster renames nothing, so that all is loaded in place; and what is not read within one invocation cannot
/// be read on from a place.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn an_elastic_cluster_is_restored_in_place_and_its_large_collections_are_read_at_one_go() {
    let wire = double(EngineDouble::AmazonElastic);
    let (place, knows) = place_at(&wire.uri()).await;
    whole::comes_back_is_merged_and_replaced(&place, knows).await;
    let (place, knows) = place_at(&wire.uri()).await;
    pieces::drilled(&place, knows).await;

    let (place, knows) = place_at(&wire.uri()).await;
    shop::fill_large(&place, knows, 34).await;
    let whole = support::back_up(&place.tools, &place.database, &place.to).await;
    assert_eq!(whole.status, RunStatus::Complete, "{:?}", whole.failed);
    let hurried = pieces::hurried(&place);
    let (job, this) = (support::job(&place.database, &place.to), run());
    let saved = loop {
        if let BackupAnswer::Finished(saved) = backup_run(&job, &this, &hurried).await.expect("an answer") {
            break *saved;
        }
    };
    assert_eq!(saved.status, RunStatus::Partial);
    let [failed] = &saved.failed[..] else {
        panic!("{:?}", saved.failed);
    };
    assert_eq!(failed.name, "large");
    assert!(
        failed.error.contains("use the command line, which has no deadline"),
        "{failed:?}"
    );
}

/// What 8.2 to 9.0 say and refuse otherwise is no drift, and keeps nothing from coming back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn between_an_older_server_and_the_newest_nothing_has_drifted() {
    let wire = newest_double();
    let (newest, knows) = place_at(&wire.uri()).await;
    assert_eq!(newest.tools.mongo.server().version, "9.0.0");
    shop::fill(&newest, knows).await;
    let database = v6_0_27::server().client().await.database(&newest.database);
    for command in [
        doc! {"create": "in_german", "collation": {"locale": "de"}},
        doc! {"createIndexes": "in_german", "indexes": [
            {"key": {"a": 1}, "name": "a", "collation": {"locale": "simple"}}, {"key": {"b": 1}, "name": "b"},
        ]},
        doc! {"create": "old", "autoIndexId": true},
        doc! {"createIndexes": "old", "indexes": [{"key": {"a": 1}, "name": "a", "v": 1}]},
    ] {
        database.run_command(command).await.expect("done");
    }
    let (older, _) = place_at(&v6_0_27::server().uri()).await;
    let older = older.tools;
    for (from, into) in [(&newest.tools, &older), (&older, &newest.tools)] {
        let saved = support::back_up(from, &newest.database, &newest.to).await;
        assert_eq!(saved.status, RunStatus::Complete, "{:?}", saved.failed);
        let compared = support::against(into, &saved.archive.to_string(), &newest.database).await;
        assert_eq!(compared.status, RunStatus::Complete, "{compared:?}");
        let target = rig::fresh_database_name("newest");
        let event = json!({"archive": saved.archive, "database": target, "force": true});
        let restored = support::restore(into, event).await.expect("a restore");
        assert_eq!(restored.status, RunStatus::Complete, "{:?}", restored.verification);
    }
}

/// From 9.0 on, a time series can be renamed: one that is there is replaced when its successor is whole and proven, as
/// collections are.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn a_time_series_that_can_be_renamed_is_replaced_at_once() {
    let wire = newest_double();
    let (newest, _) = place_at(&wire.uri()).await;
    let database = newest.client.database(&newest.database);
    let series = doc! {"create": "series", "timeseries": {"timeField": "t"}, "expireAfterSeconds": 1_000_000_000};
    database.run_command(series).await.expect("created");
    let measured = |n: i64| doc! {"t": bson::DateTime::from_millis(n * 1_000), "n": n};
    support::insert(
        &newest.client,
        &newest.database,
        "series",
        (0..30).map(measured).collect(),
    )
    .await;
    let index = doc! {"createIndexes": "series", "indexes": [{"key": {"n": 1}, "name": "by_n"}]};
    database.run_command(index).await.expect("built");
    let saved = support::back_up(&newest.tools, &newest.database, &newest.to).await;
    assert_eq!(saved.status, RunStatus::Complete, "{:?}", saved.failed);
    for replace in [true, false] {
        support::insert(&newest.client, &newest.database, "series", vec![measured(99)]).await;
        let event =
            json!({"archive": saved.archive, "database": newest.database, "replace_existing": replace, "yes": true});
        let restored = support::restore(&newest.tools, event).await.expect("a restore");
        assert_eq!(restored.status, RunStatus::Complete, "{:?}", restored.verification);
        let row = restored.plan.get("series").expect("a row");
        assert!(row.reason.contains("then renamed into place"), "{row:?}");
        let verified = &restored.verification.expect("a verification").collections[0];
        assert_eq!((verified.db_count, verified.inserted), (30, 30), "{verified:?}");
        let names = database.list_collection_names().await.expect("names");
        assert!(!names.iter().any(|name| name.contains("mongotar.tmp")), "{names:?}");
    }
    // Where one shows that it can be renamed, a new one is loaded beside, too.
    let event = json!({"archive": saved.archive, "database": newest.database, "rename": ["series=copy"], "yes": true});
    let restored = support::restore(&newest.tools, event).await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete, "{:?}", restored.verification);
    assert_eq!(restored.plan.get("copy").expect("a row").method, Method::Aside);
    assert_eq!(of(&restored, "copy").db_count, 30);
}

/// A validator that every document is known to keep cannot be bypassed: it becomes that when the documents are in.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn a_validator_that_is_a_constraint_comes_back_as_one() {
    let wire = newest_double();
    let (newest, _) = place_at(&wire.uri()).await;
    let database = newest.client.database(&newest.database);
    let kept = doc! {
        "create": "kept", "validator": {"a": {"$exists": true}}, "validationLevel": "constraint", "validationAction": "error",
    };
    database.run_command(kept).await.expect("created");
    let documents = (0..3).map(|n| doc! {"_id": n, "a": n}).collect();
    support::insert(&newest.client, &newest.database, "kept", documents).await;
    let saved = support::back_up(&newest.tools, &newest.database, &newest.to).await;
    assert_eq!(saved.status, RunStatus::Complete, "{:?}", saved.failed);
    let target = rig::fresh_database_name("newest");
    let event = json!({"archive": saved.archive, "database": target, "force": true});
    for (missing, warned) in [(3, "bypass its validator"), (1, "which nothing bypasses")] {
        let restored = support::restore(&newest.tools, event.clone()).await.expect("a restore");
        assert_eq!(restored.status, RunStatus::Complete, "{:?}", restored.verification);
        let row = restored.plan.get("kept").expect("a row");
        assert!(row.warnings.concat().contains(warned), "{:?}", row.warnings);
        let verified = &restored.verification.expect("a verification").collections[0];
        assert_eq!((verified.inserted, verified.db_count), (missing, 3), "{verified:?}");
        let there = newest.client.database(&target).collection::<bson::Document>("kept");
        there.delete_one(doc! {"_id": 1}).await.expect("gone");
    }

    let (older, _) = place_at(&v6_0_27::server().uri()).await;
    let event = json!({"archive": saved.archive, "database": rig::fresh_database_name("older")});
    let refused = support::restore(&older.tools, event)
        .await
        .expect_err("it knows no such level");
    assert_eq!(refused.kind, FailureKind::PlanConflicts, "{refused}");
    assert!(
        refused.message.contains("\"kept\"") && refused.message.contains("its validation level"),
        "{refused}"
    );
}

/// A router has no set and no resume tokens, but snapshots.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn a_router_gives_snapshots_and_collections_are_replaced_in_place() {
    let wire = double(EngineDouble::Mongos);
    let (place, _) = place_at(&wire.uri()).await;
    let server = place.tools.mongo.server();
    assert_eq!((server.engine, server.topology), (Engine::Mongodb, Topology::Sharded));
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &place.database, "orders", vec![doc! {"_id": 1}]).await;
    let saved = support::back_up(&place.tools, &place.database, &place.to).await;
    assert_eq!(
        (saved.status, saved.consistency.level),
        (RunStatus::Complete, ConsistencyLevel::Snapshot)
    );
    let event = json!({
        "archive": saved.archive, "database": place.database, "replace_existing": true, "dry_run": true,
    });
    let plan = support::restore(&place.tools, event).await.expect("a plan").plan;
    let row = plan.get("orders").expect("a row");
    assert!(
        row.reason.contains("on a sharded cluster the name may be sharded"),
        "{row:?}"
    );
}

/// What an engine does not have is said before the first change, and what can be done.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn what_an_engine_does_not_have_is_refused_by_name_before_the_first_change() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let source = rig::fresh_database_name("engines");
    let database = client.database(&source);
    for create in [
        doc! {"create": "plain"},
        doc! {"create": "capped", "capped": true, "size": 4096},
        doc! {"create": "series", "timeseries": {"timeField": "t"}},
        doc! {"create": "collated", "collation": {"locale": "de"}},
        doc! {"create": "view", "viewOn": "collated", "pipeline": [], "collation": {"locale": "de"}},
    ] {
        database.run_command(create).await.expect("created");
    }
    let archive = support::back_up(&tools, &source, &support::bucket().await)
        .await
        .archive;
    for (engine, told, name, refused) in [
        (
            AMAZON,
            Engine::AmazonDocumentdb,
            "Amazon DocumentDB 5.0.0",
            &["capped", "series", "collated", "view"][..],
        ),
        (
            EngineDouble::Amazon8,
            Engine::AmazonDocumentdb,
            "Amazon DocumentDB 8.0.0",
            &["capped", "series"],
        ),
        (
            EngineDouble::Documentdb,
            Engine::Documentdb,
            "DocumentDB 7.0.0",
            &["capped", "series"],
        ),
    ] {
        let wire = double(engine);
        let (place, _) = place_at(&wire.uri()).await;
        assert_eq!(place.tools.mongo.server().engine, told);
        let target = rig::fresh_database_name("engines");
        let event = json!({"archive": archive, "database": target});
        let failure = support::restore(&place.tools, event)
            .await
            .expect_err("not all can be had");
        assert_eq!(failure.kind, FailureKind::PlanConflicts, "{engine:?}: {failure}");
        for collection in refused {
            assert!(
                failure.message.contains(&format!("{collection:?}: ")),
                "{engine:?}: {failure}"
            );
        }
        assert!(failure.message.contains(name), "{engine:?}: {failure}");
        let left = client.database(&target).list_collection_names().await.expect("names");
        assert!(left.is_empty(), "{left:?}");
        // Without those, the rest comes in.
        let event = json!({"archive": archive, "database": target, "exclude": refused});
        let rest = support::restore(&place.tools, event).await.expect("a restore");
        assert_eq!(rest.status, RunStatus::Complete, "{engine:?}: {:?}", rest.verification);
    }
}

/// A version of the protocol that is too old.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn engines_of_old_protocols_are_refused_in_a_sentence() {
    for engine in [EngineDouble::Amazon4, EngineDouble::CosmosRu] {
        let wire = double(engine);
        let uri = mongotar::mongo::MongoUri::new(wire.uri());
        let error = mongotar::mongo::Mongo::connect(&uri).await.expect_err("too old");
        let said = error.to_string();
        assert!(
            said.contains("is too old: mongotar needs MongoDB 4.4 or newer"),
            "{engine:?}: {said}"
        );
    }
}
