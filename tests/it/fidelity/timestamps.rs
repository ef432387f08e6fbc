//! FIELD 3, case 5: a top-level `Timestamp(0,0)` means "now" to a server that inserts it.

use bson::{Timestamp, doc};
use serde_json::json;

use super::documents::{self, EMPTY_TIMESTAMP, LARGEST, Nest, deep, identified, of_size};
use super::harness::{FORMS, assert_same, back_up_as, held, put, restore_whole, run};
use super::raw::Raw;
use crate::{rig, support};

/// Gives every document of a collection an empty timestamp, which only an update by pipeline can.
pub async fn empty_timestamps(client: &mongodb::Client, database: &str, collection: &str) {
    let empty = Timestamp { time: 0, increment: 0 };
    let update = doc! {"q": {}, "u": [{"$set": {"ts": {"$literal": empty}}}], "multi": true};
    run(client, database, doc! {"update": collection, "updates": [update]}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamp_zero_survives_on_a_server_that_replaces_it() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    assert!(!tools.mongo.keeps_empty_timestamps(), "this server proves nothing");
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    let marked = |fields: Raw| fields.timestamp("ts", 1);
    let mut documents = vec![
        identified(1, &marked(Raw::new().int32("twice", 1).int32("twice", 2))),
        identified(
            2,
            &marked(
                Raw::new()
                    .text("$oid", "0123456789abcdef01234567")
                    .text("a.b", "x")
                    .int32("", 1),
            ),
        ),
        identified(3, &marked(Raw::new().text("not utf-8", [0xFF]))),
        identified(4, &marked(deep(documents::DEEPEST, Nest::Documents))),
        of_size(LARGEST - 16, 5, b'x'),
    ];
    documents.extend(documents::odd_ids());
    put(&tools, &source, "c", &documents).await;
    run(
        &client,
        &source,
        doc! {"create": "capped", "capped": true, "size": 1 << 20},
    )
    .await;
    let few: Vec<_> = (0..20).rev().map(|id| identified(id, &marked(Raw::new()))).collect();
    put(&tools, &source, "capped", &few).await;
    for collection in ["c", "capped"] {
        empty_timestamps(&client, &source, collection).await;
    }
    let before = held(&client, &tools, &source).await;
    let ends_in_empty = Raw::new().timestamp("ts", EMPTY_TIMESTAMP).bytes();
    assert!(
        before["c"]
            .1
            .iter()
            .all(|document| document.ends_with(&ends_in_empty[4..]))
    );

    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    restore_whole(&tools, &archive, &target, json!({})).await;
    assert_same(&before, &held(&client, &tools, &target).await, "created");
    // In a merge they are there already, and must neither be taken for different nor be changed.
    let again = restore_whole(&tools, &archive, &target, json!({})).await;
    assert_same(&before, &held(&client, &tools, &target).await, "merged");
    let merged = super::harness::of(&again, "c").merged.expect("a merge");
    assert_eq!((merged.unchanged, merged.replaced), (before["c"].1.len() as u64, 0));
}
