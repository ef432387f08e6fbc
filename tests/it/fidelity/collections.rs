//! FIELD 3, cases 11, 13 and 15: kinds of collections, and what they can be called.

use bson::{Bson, Document, doc};
use serde_json::json;

use super::documents::identified;
use super::harness::{FORMS, assert_same, back_up_as, held, natural, of, put, restore_whole, restore_with, run};
use super::raw::Raw;
use crate::{rig, support};
use mongotar::backup::{RunStatus, Tools};

/// Every kind but the time series.
pub async fn build(client: &mongodb::Client, tools: &Tools, database: &str) {
    for create in [
        doc! {"create": "capped", "capped": true, "size": 100_000, "max": 500},
        doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true, "name": "in the tree"}},
        doc! {"create": "clustered and expiring", "clusteredIndex": {"key": {"_id": 1}, "unique": true}, "expireAfterSeconds": 1_000_000_000_i64},
        doc! {"create": "collated", "collation": {"locale": "de", "strength": 3, "caseFirst": "upper"}},
        doc! {"create": "images", "changeStreamPreAndPostImages": {"enabled": true}},
        doc! {"create": "tuned", "storageEngine": {"wiredTiger": {"configString": "block_compressor=zlib"}}, "indexOptionDefaults": {"storageEngine": {"wiredTiger": {}}}},
        doc! {"create": "empty"},
        // By name, views come before what they read from.
        doc! {"create": "zz view", "viewOn": "every type", "pipeline": [{"$match": {"_id": {"$lt": 5}}}, {"$project": {"_id": 1}}]},
        doc! {"create": "a view on a view", "viewOn": "zz view", "pipeline": [{"$sort": Document::from_iter([("b".to_owned(), Bson::Int32(1)), ("a".to_owned(), Bson::Int32(-1))])}]},
        doc! {"create": "a collated view", "viewOn": "collated", "pipeline": [], "collation": {"locale": "sv", "strength": 1}},
        doc! {"create": "a view of nothing", "viewOn": "not there", "pipeline": [{"$lookup": {"from": "nor this", "localField": "a", "foreignField": "b", "as": "c"}}]},
    ] {
        run(client, database, create).await;
    }
    let numbered = |ids: &mut dyn Iterator<Item = i32>| {
        ids.map(|id| identified(id.unsigned_abs() as usize, &Raw::new().text("name", format!("n{id}"))))
            .collect::<Vec<_>>()
    };
    put(tools, database, "capped", &numbered(&mut (1..300).rev())).await;
    for collection in ["clustered", "clustered and expiring", "collated", "images", "tuned"] {
        put(tools, database, collection, &numbered(&mut (1..20))).await;
    }
    put(
        tools,
        database,
        "collated",
        &[Raw::new().text("_id", "Ä").bytes(), Raw::new().text("_id", "z").bytes()],
    )
    .await;
}

/// A collection with a document for each odd name; the longest has `longest` bytes.
pub async fn build_names(client: &mongodb::Client, database: &str, longest: usize) {
    for name in odd_names(longest) {
        run(
            client,
            database,
            doc! {"insert": name.as_str(), "documents": [{"_id": &name}]},
        )
        .await;
    }
}

fn odd_names(longest: usize) -> Vec<String> {
    let names = [
        "a/b",
        "etc/../../passwd",
        "a\\..\\windows",
        "50%",
        "%2F",
        "a%2Fb",
        "+",
        "a b",
        " ",
        " leading and trailing ",
        "new\nline",
        "tab\tand\rreturn",
        "\u{1}\u{7F}",
        "'single'",
        "\"double\"",
        "`back`",
        "-rf",
        "*?[a]",
        "größe 😀",
        "e\u{301}",
        "é",
        "\u{202E}right to left",
        "Orders",
        "orders",
        "ORDERS",
        "manifest",
        "manifest.json",
        "collections_metadata",
        "collections_metadata.json",
        "x.jsonl",
        "x.jsonl.partial",
        "x",
        "x.bson",
        "x.metadata.json",
        "x.metadata",
        "backup_20261121_020000",
        "system",
        "systems.views",
        "C:",
        "ends in a dot.",
        "a..b",
        "NUL",
    ];
    let mut names: Vec<String> = names.map(str::to_owned).into();
    names.push("x".repeat(longest));
    names.push("é".repeat(longest / 2 - 1));
    names.push(format!("{}/", "/".repeat(longest / 2)));
    // Alike for longer than a file name can be.
    names.push(format!("{}1", "y".repeat(longest - 1)));
    names.push(format!("{}2", "y".repeat(longest - 1)));
    names
}

/// A name that ends with a dot was refused, though servers take it.
#[tokio::test(flavor = "multi_thread")]
async fn every_name_that_the_server_takes_comes_back() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build_names(&client, &source, 254 - source.len().max(target.len())).await;
    for refused in [".hidden", "..", "a$b"] {
        let create = client.database(&source).run_command(doc! {"create": refused}).await;
        assert!(
            create.is_err(),
            "{refused:?} is taken by this server: it belongs among the odd names"
        );
    }
    let before = held(&client, &tools, &source).await;
    for form in [FORMS[2], FORMS[4]] {
        let archive = back_up_as(&tools, &source, &support::folder(), form).await;
        restore_whole(&tools, &archive, &target, json!({"replace_existing": true})).await;
        assert_same(&before, &held(&client, &tools, &target).await, &format!("{form:?}"));
    }
}

/// A merge did not know that the target was capped: what was missing went in by several writers at a time.
#[tokio::test(flavor = "multi_thread")]
async fn capped_order_is_kept() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    run(
        &client,
        &source,
        doc! {"create": "log", "capped": true, "size": 16 << 20},
    )
    .await;
    // An order that is neither that of the _id nor its opposite, and more than one segment and one batch of it.
    let line = |n: usize| identified(n * 7919 % 5_003, &Raw::new().text("line", "x".repeat(500)));
    put(&tools, &source, "log", &(1..5_003).map(line).collect::<Vec<_>>()).await;
    let before = natural(&client, &source, "log").await;
    assert_eq!(before.len(), 5_002);

    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    restore_whole(&tools, &archive, &target, json!({})).await;
    assert!(natural(&client, &target, "log").await == before, "created");
    restore_whole(&tools, &archive, &target, json!({"replace_existing": true})).await;
    assert!(natural(&client, &target, "log").await == before, "replaced");
    let report = restore_whole(&tools, &archive, &target, json!({})).await;
    assert_eq!(of(&report, "log").merged.expect("a merge").unchanged, 5_002);
    assert!(natural(&client, &target, "log").await == before, "merged");
    // What is missing goes behind what is there, in its order.
    run(&client, &target, doc! {"drop": "log"}).await;
    run(
        &client,
        &target,
        doc! {"create": "log", "capped": true, "size": 16 << 20},
    )
    .await;
    let some: Vec<_> = before.iter().step_by(100).cloned().collect();
    put(&tools, &target, "log", &some).await;
    let report = restore_whole(&tools, &archive, &target, json!({})).await;
    assert_eq!(of(&report, "log").inserted + some.len() as u64, 5_002);
    let missing = before
        .iter()
        .enumerate()
        .filter(|(n, _)| n % 100 != 0)
        .map(|(_, document)| document.clone());
    assert!(
        natural(&client, &target, "log").await == some.into_iter().chain(missing).collect::<Vec<_>>(),
        "completed"
    );
}

/// The ordered insert ended at the first document that the validator refused, and took good ones with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_document_does_not_take_the_rest_of_a_capped_collection_with_it() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    run(
        &client,
        &source,
        doc! {"create": "log", "capped": true, "size": 1 << 20, "validator": {"n": {"$gte": 0}}},
    )
    .await;
    let line = |id: i32| {
        identified(
            id.unsigned_abs() as usize,
            &Raw::new().int32("n", if id % 10 == 3 { -1 } else { id }),
        )
    };
    put(&tools, &source, "log", &(0..50).rev().map(line).collect::<Vec<_>>()).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;

    let report = restore_with(&tools, &archive, &target, json!({})).await;
    assert_eq!(report.status, RunStatus::Partial);
    let log = of(&report, "log");
    assert_eq!((log.inserted, log.rejected), (45, 5));
    let good: Vec<_> = (0..50).rev().filter(|id| id % 10 != 3).map(line).collect();
    assert!(natural(&client, &target, "log").await == good);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_collection_keeps_its_options() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build(&client, &tools, &source).await;
    let before = held(&client, &tools, &source).await;
    for form in [FORMS[0], FORMS[3]] {
        let archive = back_up_as(&tools, &source, &support::folder(), form).await;
        restore_whole(&tools, &archive, &target, json!({"replace_existing": true})).await;
        assert_same(&before, &held(&client, &tools, &target).await, &format!("{form:?}"));
    }
}
