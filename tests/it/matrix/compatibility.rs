//! A server that keeps to an older version than its own (`featureCompatibilityVersion`), as many do for weeks after an
//! upgrade: it offers what that one had, and no plan believes in more.

use bson::{Document, doc};
use mongotar::failure::FailureKind;
use mongotar::store::Store;
use serde_json::json;

use super::place_at;
use crate::rig::Mongod;
use crate::support;

/// What the server knows and what mongotar takes it to know.
async fn believes_no_more_than_there_is(server: &Mongod, compatibility: &str) -> crate::restore::Place {
    let admin = server.client().await.database("admin");
    let keep = doc! {"setFeatureCompatibilityVersion": compatibility};
    admin.run_command(keep).await.expect("it keeps to that version");
    let (place, knows) = place_at(&server.uri()).await;
    let known = place.tools.mongo.server();
    assert_eq!(known.compatibility.as_deref(), Some(compatibility));
    let features = known.features;
    let believed = (
        features.snapshot_reads,
        features.time_series,
        features.dollar_fields,
        features.clustered,
    );
    let there = (knows.snapshots, knows.time_series, knows.dollar_keys, knows.clustered);
    assert_eq!(believed, there);
    let database = place.client.database(&place.database);
    let takes = async |command: Document| database.run_command(command).await.is_ok();
    assert!(takes(doc! {"createIndexes": "c", "indexes": [{"key": {"at": 1}, "name": "at"}]}).await);
    let expiring = takes(doc! {"collMod": "c", "index": {"name": "at", "expireAfterSeconds": 60}}).await;
    let believed = (
        features.pre_and_post_images,
        features.empty_timestamps_kept,
        features.index_expiry_set,
    );
    assert_eq!(believed, (knows.images, knows.empty_timestamps, expiring));
    place
}

/// The plan believed that a clustered collection can be had, and only the restore's rehearsal found that it cannot.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_by_the_version_that_the_server_keeps_to() {
    let server = Mongod::builder().authentication().start();
    let client = server.client().await;
    let (from, _) = place_at(&server.uri()).await;
    let create = doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true}};
    from.run(create).await;
    let archive = from.archive().await;
    client.database(&from.database).drop().await.expect("dropped");
    let place = believes_no_more_than_there_is(&server, "5.0").await;
    for role in ["backup", "restore"] {
        let uri = server.create_user(role, vec![doc! {"role": role, "db": "admin"}]);
        let there = support::tools_for(&uri, Store::new()).await.mongo;
        assert_eq!(there.server().compatibility.as_deref(), Some("5.0"), "{role} may ask");
    }
    let event = json!({"dry_run": true});
    let refused = place
        .restore(&archive, event)
        .await
        .expect_err("it is named by the plan");
    assert_eq!(refused.kind, FailureKind::PlanConflicts, "{refused}");
    for told in [
        "needs MongoDB 5.3",
        "with the featureCompatibilityVersion 5.0",
        "setFeatureCompatibilityVersion",
    ] {
        assert!(refused.message.contains(told), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn a_server_of_5_0_keeps_to_4_4() {
    let server = Mongod::builder().release("5.0.32").start();
    believes_no_more_than_there_is(&server, "4.4").await;
}
