//! Write concerns: what was asked for is what is reached, or it is said that it was not.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::store::Store;
use serde_json::json;

use super::{numbered, place};
use crate::rig::{Members, Mongod, ScratchDir, shared_replica_set, shared_s3};
use crate::support;

#[tokio::test(flavor = "multi_thread")]
async fn two_members_are_asked_for_and_there_is_one() {
    let mut place = place().await;
    place.insert("orders", numbered(0..5, "saved")).await;
    let archive = place.archive().await;
    place.insert("orders", numbered(5..7, "since")).await;
    let before = place.state().await;
    let uri = format!("{}&w=2", shared_replica_set().uri());
    place.tools = support::tools_for(&uri, Store::with_client(shared_s3().client().await)).await;
    for replace in [true, false] {
        let refused = match place.restore(&archive, json!({"replace_existing": replace})).await {
            Ok(report) => {
                assert_ne!(report.status, RunStatus::Complete, "replace: {replace}");
                serde_json::to_string(&report).expect("JSON")
            }
            Err(failure) => failure.to_string(),
        };
        assert!(refused.contains("Not enough data-bearing nodes"), "{refused}");
    }
    place.tools = support::tools().await;
    assert_eq!(
        super::data(place.state().await),
        super::data(before),
        "what could not be proven was changed"
    );
}

/// An index build waits for every voting member, unless it is told otherwise: until the one that is down comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_down_holds_no_restore_up() {
    let set = Members::start(&Mongod::builder().cache_gb("0.25"));
    let client = set.client().await;
    support::insert(&client, "shop", "orders", numbered(0..50, "saved")).await;
    let index = doc! {"key": {"text": 1}, "name": "text_1"};
    let made = client
        .database("shop")
        .run_command(doc! {"createIndexes": "orders", "indexes": [index]})
        .await;
    made.expect("an index");
    let folder = ScratchDir::new("down");
    let to = mongotar::store::Location::Local(folder.path().join("archives"));
    for options in ["", "&w=1"] {
        let tools = support::tools_for(&format!("{}{options}", set.uri()), Store::new()).await;
        let archive = support::back_up(&tools, "shop", &to).await.archive.to_string();
        if options.is_empty() {
            set.secondary().kill();
        }
        let event = json!({"archive": archive, "database": "target", "replace_existing": true});
        let report = support::restore(&tools, event).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{options}: {}", report.summary);
    }
}
