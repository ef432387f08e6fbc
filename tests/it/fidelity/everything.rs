//! One database with every type, every kind of collection, every index and every odd name, in every form of archive.

use bson::doc;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::documents::{self, LARGEST, of_size};
use super::harness::{FORMS, Held, assert_same, back_up_as, held, put, restore_whole, run, verified};
use super::{collections, indexes, time_series, timestamps, validators};
use crate::{rig, support};
use mongotar::backup::Tools;
use mongotar::catalog::Kind;
use mongotar::plan::Action;

/// How many forms are tried at a time: they wait for servers more than they compute.
const AT_ONCE: usize = 4;

async fn build(client: &mongodb::Client, tools: &Tools, database: &str, room_for_name: usize) -> Held {
    put(tools, database, "every type", &documents::all()).await;
    put(
        tools,
        database,
        "large",
        &[of_size(LARGEST, 1, 1), of_size(LARGEST, 2, b'x')],
    )
    .await;
    put(tools, database, "timestamps", &documents::odd_ids()).await;
    timestamps::empty_timestamps(client, database, "timestamps").await;
    collections::build(client, tools, database).await;
    collections::build_names(client, database, room_for_name).await;
    indexes::build(client, database).await;
    time_series::build(client, tools, database).await;
    validators::build(client, database).await;
    held(client, tools, database).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_identical_in_every_form() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let names = |count: usize| {
        (0..count)
            .map(|_| rig::fresh_database_name("fidelity"))
            .collect::<Vec<_>>()
    };
    // A sample has each payload and each compression.
    let forms = match support::all_is_tried() {
        true => FORMS.to_vec(),
        false => vec![FORMS[2], FORMS[4], FORMS[6]],
    };
    let (source, targets) = (rig::fresh_database_name("fidelity"), names(forms.len()));
    let longest = targets.iter().chain([&source]).map(String::len).max().expect("some");
    let before = build(&client, &tools, &source, 254 - longest).await;

    let each = targets.iter().zip(forms).map(async |(target, form)| {
        let archive = back_up_as(&tools, &source, &support::folder(), form).await;
        restore_whole(&tools, &archive, target, json!({"force": true})).await;
        assert_same(&before, &held(&client, &tools, target).await, &format!("{form:?}"));
        run(&client, target, doc! {"dropDatabase": 1}).await;
    });
    stream::iter(each).buffer_unordered(AT_ONCE).collect::<()>().await;
    assert_same(&before, &held(&client, &tools, &source).await, "the source itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_replaces_a_database_that_has_gone_its_own_way_and_merges_without_a_change() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    let before = build(&client, &tools, &source, 254 - source.len().max(target.len())).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    restore_whole(&tools, &archive, &target, json!({"force": true})).await;

    // Documents lost, changed and added, an index and a collection gone, a collection too many, a view where documents
    // were.
    run(
        &client,
        &target,
        doc! {"delete": "every type", "deletes": [{"q": {"_id": {"$lt": 3}}, "limit": 0}]},
    )
    .await;
    run(
        &client,
        &target,
        doc! {"insert": "every type", "documents": [{"_id": "added"}]},
    )
    .await;
    run(&client, &target, doc! {"dropIndexes": "indexed", "index": "compound"}).await;
    run(&client, &target, doc! {"insert": "empty", "documents": [{"_id": 1}]}).await;
    run(&client, &target, doc! {"insert": "too many", "documents": [{"_id": 1}]}).await;
    run(&client, &target, doc! {"drop": "capped"}).await;
    run(&client, &target, doc! {"drop": "large"}).await;
    run(
        &client,
        &target,
        doc! {"create": "large", "viewOn": "every type", "pipeline": []},
    )
    .await;
    let replaced = json!({"force": true, "replace_existing": true, "snapshot": true});
    let report = restore_whole(&tools, &archive, &target, replaced).await;
    assert!(report.snapshot.is_some());
    assert_same(&before, &held(&client, &tools, &target).await, "replaced");

    let report = restore_whole(&tools, &archive, &target, json!({"force": true})).await;
    for collection in verified(&report)
        .iter()
        .filter(|collection| collection.action == Action::Merge)
    {
        let merged = collection.merged.unwrap_or_default();
        assert_eq!(collection.kind, Kind::Collection);
        let counts = (
            merged.unchanged,
            merged.replaced,
            collection.inserted,
            collection.rejected,
        );
        assert_eq!(counts, (collection.file_count, 0, 0, 0), "{:?}", collection.name);
    }
    assert_same(&before, &held(&client, &tools, &target).await, "merged");
}
