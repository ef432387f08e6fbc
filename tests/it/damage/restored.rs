//! A restore from a damaged archive: nothing of a damaged segment is put in as if it were whole, and what was there
//! stays.

use bson::doc;
use mongotar::archive::{Compression, Payload};
use mongotar::backup::RunStatus;
use mongotar::store::{Location, Store};
use serde_json::json;

use super::forge::{Forge, Part, forms, parts, put};
use crate::rig::{ScratchDir, fresh_database_name, shared_replica_set};
use crate::support::{definitions, insert, raw_database, raw_documents, restore, tools_for};

/// An archive whose collection `orders` has a flipped bit in its second segment of three; where it is, and the words
/// that must name it.
fn damaged(scratch: &ScratchDir, compression: Compression, payload: Payload) -> (Location, String) {
    let mut bytes = Forge::small(compression, payload).write().bytes;
    let (part, extent) = parts(&bytes)
        .into_iter()
        .find(|(part, _)| matches!(part, Part::Segment { entry, index: 1 } if entry.contains("/orders.")))
        .expect("orders has three segments");
    bytes[(extent.offset + extent.length / 2) as usize] ^= 0x10;
    let Part::Segment { entry, index } = part else {
        unreachable!("it was looked for")
    };
    let place = format!(
        "{entry}, segment {index} (offset {}, {} bytes)",
        extent.offset, extent.length
    );
    let path = scratch.path().join(format!("{payload}{}", compression.extension()));
    (put(&path, &bytes), place)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_segment_leaves_the_target_untouched_and_is_named() {
    let scratch = ScratchDir::new("restored");
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    let client = shared_replica_set().client().await;
    for (compression, payload) in forms() {
        let (archive, place) = damaged(&scratch, compression, payload);
        let database = fresh_database_name("damage");
        insert(
            &client,
            &database,
            "orders",
            vec![doc! {"_id": 1, "mine": true}, doc! {"_id": 100}],
        )
        .await;
        insert(&client, &database, "extra", vec![doc! {"_id": "kept"}]).await;
        let before = (
            raw_database(&client, &tools, &database).await,
            definitions(&tools.mongo.survey(&database).await.expect("a survey")),
        );
        let event = json!({"archive": archive, "database": database, "replace_existing": true, "snapshot": false});
        let report = restore(&tools, event).await.expect("a report");
        assert_eq!(report.status, RunStatus::Failed, "{report:?}");
        let verification = report.verification.expect("it was carried out");
        assert!(!verification.equal);
        let errors: Vec<_> = verification
            .collections
            .iter()
            .filter_map(|one| one.error.as_ref())
            .collect();
        assert!(
            errors.iter().any(|error| error.contains(&place)),
            "{errors:?} do not name {place}"
        );
        let after = (
            raw_database(&client, &tools, &database).await,
            definitions(&tools.mongo.survey(&database).await.expect("a survey")),
        );
        assert_eq!(before, after, "{compression} {payload}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn into_an_empty_database_nothing_comes_of_a_damaged_archive() {
    let scratch = ScratchDir::new("restored-new");
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    let client = shared_replica_set().client().await;
    let (archive, place) = damaged(&scratch, Compression::Zstd, Payload::Jsonl);
    let database = fresh_database_name("damage");
    let report = restore(&tools, json!({"archive": archive, "database": database}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Failed);
    assert!(
        serde_json::to_string(&report).expect("JSON").contains(&place),
        "{report:?}"
    );
    assert!(raw_database(&client, &tools, &database).await.is_empty());
}

/// A merge goes into the collection that is there, so the segments before the damage may be in it; no document of the
/// damaged one is.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_takes_nothing_from_a_damaged_segment_and_is_not_complete() {
    let scratch = ScratchDir::new("restored-merge");
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    let client = shared_replica_set().client().await;
    for payload in [Payload::Jsonl, Payload::Bson] {
        let (archive, place) = damaged(&scratch, Compression::Gzip, payload);
        let database = fresh_database_name("damage");
        insert(&client, &database, "orders", vec![doc! {"_id": "mine"}]).await;
        insert(&client, &database, "extra", vec![doc! {"_id": "kept"}]).await;
        let report = restore(
            &tools,
            json!({"archive": archive, "database": database, "snapshot": false}),
        )
        .await
        .expect("a report");
        assert!(
            matches!(report.status, RunStatus::Failed | RunStatus::Partial),
            "{report:?}"
        );
        assert!(
            serde_json::to_string(&report).expect("JSON").contains(&place),
            "{report:?}"
        );
        let of_the_damaged_segment = raw_documents(&client, &database, "orders")
            .await
            .into_iter()
            .map(|raw| bson::deserialize_from_slice::<bson::Document>(&raw).expect("BSON"))
            .filter(|document| (100..200).contains(&document.get_i32("_id").unwrap_or(0)))
            .count();
        assert_eq!(of_the_damaged_segment, 0);
        // After a failure nothing is dropped.
        assert_eq!(raw_documents(&client, &database, "extra").await.len(), 1);
    }
}

/// The collections beside the damaged one can still be had, one by one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_damaged_can_be_restored_by_name() {
    let scratch = ScratchDir::new("restored-rest");
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    let client = shared_replica_set().client().await;
    let (archive, _) = damaged(&scratch, Compression::None, Payload::Bson);
    let database = fresh_database_name("damage");
    let report = restore(
        &tools,
        json!({"archive": archive, "database": database, "exclude": ["orders"]}),
    )
    .await
    .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{report:?}");
    assert_eq!(raw_documents(&client, &database, "people").await.len(), 12);
}
