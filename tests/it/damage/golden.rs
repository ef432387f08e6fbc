//! Golden archives: one of each form for every released format version, kept for ever (FORMAT 8). Every later reader reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, RawDocumentBuf, doc};
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{RunStatus, backup};
use mongotar::catalog::Kind;
use mongotar::digest::Hashing;
use mongotar::inspect::cat;
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::verify;
use serde_json::{Value, json};

use super::forge::forms;
use crate::rig::{ScratchDir, fresh_database_name, shared_replica_set};
use crate::support::{insert, job, restore, tools_for};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("tests/golden/v1.0")
}

fn golden(compression: Compression, payload: Payload) -> Location {
    Location::Local(folder().join(format!("{payload}{}", compression.extension())))
}

/// What is in each archive: `{"collection": {"kind": …, "digest": …, "documents": […]}}`, documents as lines of canonical Extended JSON.
fn expected() -> BTreeMap<String, Value> {
    let text = fs::read(folder().join("expected.json")).expect("the expectation is checked in");
    serde_json::from_slice(&text).expect("JSON")
}

async fn contents(store: &Store, archive: &Location) -> BTreeMap<String, Value> {
    let file = open(store, archive, Memory::default())
        .await
        .expect("a golden archive opens");
    let manifest = file.manifest().expect("it is ours");
    let mut contents = BTreeMap::new();
    for saved in &manifest.collections {
        let mut text = Vec::new();
        let documents = cat(store, archive, Memory::default(), &saved.name, &mut text)
            .await
            .expect("documents");
        assert_eq!(documents, saved.documents);
        let lines: Vec<&str> = std::str::from_utf8(&text).expect("UTF-8").lines().collect();
        let row = json!({
            "kind": saved.kind, "options": saved.options.to_json(), "digest": saved.digest.to_string(),
            "hashing": if saved.hashing == Hashing::Raw { "raw" } else { "sorted-fields" },
            "bytes": saved.bytes, "documents": lines,
        });
        contents.insert(saved.name.clone(), row);
    }
    contents
}

#[tokio::test]
async fn golden_archives_are_verified_and_hold_what_they_always_held() {
    let store = Store::new();
    for (compression, payload) in forms() {
        let archive = golden(compression, payload);
        let report = verify(&store, &archive, Memory::default(), &Default::default())
            .await
            .expect("it opens");
        assert_eq!(report.status, RunStatus::Complete, "{report:?}");
        let file = open(&store, &archive, Memory::default()).await.expect("it opens");
        let manifest = file.manifest().expect("it is ours");
        assert_eq!((manifest.compression, manifest.payload), (compression, payload));
        assert_eq!(manifest.version, "1.0");
        let wrapped = manifest.get("wrapped").expect("a collection").wrapped;
        assert_eq!(wrapped, if payload == Payload::Jsonl { 1 } else { 0 });
        let contents = contents(&store, &archive).await;
        let expected = expected();
        assert!(expected.len() >= 6);
        assert_eq!(contents.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, row) in &expected {
            assert_eq!(&contents[name], row, "{archive}: {name}");
        }
    }
}

/// Reading is not all: what is restored from them has the digests that were written down.
#[tokio::test(flavor = "multi_thread")]
async fn golden_archives_are_restored() {
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    for (compression, payload) in forms() {
        let database = fresh_database_name("golden");
        let event = json!({"archive": golden(compression, payload), "database": database, "snapshot": false});
        let report = restore(&tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{report:?}");
        for collection in report.verification.expect("it was carried out").collections {
            let digest = &expected()[&collection.name]["digest"];
            if collection.kind != Kind::View {
                assert_eq!(&Value::from(collection.digest_database.to_string()), digest);
            }
        }
    }
}

/// Makes the golden archives of a new format version (see `tests/golden/README.md`): `cargo test --test it -- --ignored golden_archives_are_made`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes into the source folder"]
async fn golden_archives_are_made() {
    let scratch = ScratchDir::new("golden");
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    let client = shared_replica_set().client().await;
    let database = "shop";
    client.database(database).drop().await.expect("a database of our own");
    fill(&client, database).await;
    for (compression, payload) in forms() {
        let goal = folder().join(format!("{payload}{}", compression.extension()));
        let destination = Location::Local(scratch.path().join(format!("{payload}{compression}")));
        let mut job = job(database, &destination);
        (job.compression, job.payload) = (compression, payload);
        keep(backup(&job, &tools).await.expect("a backup").archive, &goal);
    }
    // The worked example of FORMAT.md: one collection with one document.
    let mut job = job(database, &Location::Local(scratch.path().join("tiny")));
    job.selection.include = vec!["größe".to_owned()];
    keep(
        backup(&job, &tools).await.expect("a backup").archive,
        &folder().join("tiny.tar.zst"),
    );
    let expectation = folder().join("expected.json");
    if !expectation.exists() {
        let contents = contents(&tools.store, &golden(Compression::None, Payload::Bson)).await;
        let mut text = serde_json::to_vec_pretty(&contents).expect("JSON");
        text.push(b'\n');
        fs::write(expectation, text).expect("the source folder");
    }
    client.database(database).drop().await.expect("a database of our own");
}

/// A file that is there is never written anew.
fn keep(archive: Location, goal: &Path) {
    let Location::Local(made) = archive else {
        panic!("the destination is a folder")
    };
    if !goal.exists() {
        fs::copy(made, goal).expect("the source folder");
    }
}

async fn fill(client: &mongodb::Client, name: &str) {
    let database = client.database(name);
    let run = async |command: Document| database.run_command(command).await.expect("a command");
    let mut types = crate::stock_tools::sample::types();
    let more: [Bson; 5] = [
        Bson::Undefined,
        Bson::Symbol("symbol".to_owned()),
        Bson::Double(f64::NAN),
        Bson::DateTime(DateTime::from_millis(253_402_300_800_000)),
        Bson::Binary(Binary {
            subtype: BinarySubtype::Md5,
            bytes: vec![3; 16],
        }),
    ];
    types.extend(
        more.into_iter()
            .enumerate()
            .map(|(n, value)| doc! {"_id": format!("more {n}"), "value": value}),
    );
    insert(client, name, "types", types).await;
    insert(
        client,
        name,
        "wrapped",
        vec![doc! {"_id": 1, "price": {"$numberLong": "5"}}],
    )
    .await;
    let mut pointer = bson::serialize_to_vec(&doc! {"_id": "pointer"}).expect("BSON");
    pointer.pop();
    pointer.extend_from_slice(b"\x0cvalue\0\x06\0\0\0a.b.c\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\0");
    let length = i32::try_from(pointer.len()).expect("it is short");
    pointer[..4].copy_from_slice(&length.to_le_bytes());
    let pointer = RawDocumentBuf::from_bytes(pointer).expect("a DBPointer");
    let types = database.collection::<RawDocumentBuf>("types");
    types.insert_one(pointer).await.expect("a document is inserted");
    run(doc! {"create": "empty", "validator": {"a": {"$type": "int"}}, "collation": {"locale": "de"}}).await;
    run(doc! {"createIndexes": "wrapped", "indexes": [{"key": {"price": -1, "a.b": 1}, "name": "compound", "sparse": true}]}).await;
    run(doc! {"create": "readings", "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "hours"}})
        .await;
    let reading = |n: i64| doc! {"_id": n, "ts": DateTime::from_millis(1_700_000_000_000 + n), "meta": {"station": 7}, "pm25": 1.5};
    insert(client, name, "readings", (0..3).map(reading).collect()).await;
    insert(client, name, "größe", vec![doc! {"_id": 1, "size": "XL"}]).await;
    insert(client, name, "a/b", vec![doc! {"_id": "slash"}]).await;
    run(doc! {"create": "sizes", "viewOn": "größe", "pipeline": [{"$match": {"size": {"$ne": null}}}]}).await;
}
