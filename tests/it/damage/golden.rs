//! Golden archives: one of each form for every released format version, kept for ever (FORMAT 8). Every later reader
//! reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, RawDocumentBuf, doc};
use mongotar::archive::{Compression, FORMAT_VERSION, Payload};
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
use crate::rig::{Members, Mongod, Passage, ScratchDir, Wire, fresh_database_name, shared_replica_set};
use crate::support::{insert, job, restore, tools_for};

/// Every released version of the format.
const VERSIONS: [&str; 2] = ["1.0", "1.1"];

fn folder(version: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .join("tests/golden")
        .join(format!("v{version}"))
}

fn golden(version: &str, (compression, payload): (Compression, Payload)) -> Location {
    Location::Local(folder(version).join(format!("{payload}{}", compression.extension())))
}

/// Every golden archive, with its version and its form.
fn all() -> impl Iterator<Item = (&'static str, (Compression, Payload), Location)> {
    let of_version = |version| forms().map(move |form| (version, form, golden(version, form)));
    VERSIONS.into_iter().flat_map(of_version)
}

/// What is in each archive: `{"collection": {"kind": …, "digest": …, "documents": […]}}`, documents as lines of
/// canonical Extended JSON.
fn expected(version: &str) -> BTreeMap<String, Value> {
    let text = fs::read(folder(version).join("expected.json")).expect("the expectation is checked in");
    let mut rows: BTreeMap<String, Value> = serde_json::from_slice(&text).expect("JSON");
    rows.values_mut().for_each(sort);
    rows
}

/// Members of a replica set give documents each in an order of its own.
fn sort(row: &mut Value) {
    let documents = row["documents"].as_array_mut().expect("documents");
    documents.sort_unstable_by(|one, other| one.as_str().cmp(&other.as_str()));
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
    for (version, (compression, payload), archive) in all() {
        let report = verify(&store, &archive, Memory::default(), &Default::default())
            .await
            .expect("it opens");
        assert_eq!(report.status, RunStatus::Complete, "{report:?}");
        let file = open(&store, &archive, Memory::default()).await.expect("it opens");
        let manifest = file.manifest().expect("it is ours");
        assert_eq!((manifest.compression, manifest.payload), (compression, payload));
        assert_eq!(manifest.version, version);
        let abandoned: Vec<&str> = manifest
            .collections
            .iter()
            .flat_map(|saved| &saved.abandoned)
            .map(|entry| entry.path.rsplit('/').next().expect("a file"))
            .collect();
        match version {
            "1.0" => assert_eq!(abandoned, [""; 0]),
            _ => assert_eq!(abandoned, [format!("anew.{payload}.abandoned")]),
        }
        let wrapped = manifest.get("wrapped").expect("a collection").wrapped;
        assert_eq!(wrapped, if payload == Payload::Jsonl { 1 } else { 0 });
        let mut contents = contents(&store, &archive).await;
        contents.values_mut().for_each(sort);
        let expected = expected(version);
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
    for (version, _, archive) in all() {
        let database = fresh_database_name("golden");
        let event = json!({"archive": archive, "database": database, "snapshot": false});
        let report = restore(&tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{report:?}");
        for collection in report.verification.expect("it was carried out").collections {
            let digest = &expected(version)[&collection.name]["digest"];
            if collection.kind != Kind::View {
                assert_eq!(&Value::from(collection.digest_database.to_string()), digest);
            }
        }
    }
}

/// Makes the golden archives of a new format version (see `tests/golden/README.md`): `cargo test --test it -- --ignored
/// golden_archives_are_made`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes into the source folder"]
async fn golden_archives_are_made() {
    let folder = folder(FORMAT_VERSION);
    fs::create_dir_all(&folder).expect("the source folder");
    let scratch = ScratchDir::new("golden");
    let set = Members::start(&Mongod::builder());
    let client = set.client().await;
    let database = "shop";
    fill(&client, database).await;
    insert(
        &client,
        database,
        "anew",
        (0..5).map(|n| doc! {"_id": n, "n": n * n}).collect(),
    )
    .await;
    for (compression, payload) in forms() {
        let goal = folder.join(format!("{payload}{}", compression.extension()));
        let destination = Location::Local(scratch.path().join(format!("{payload}{compression}")));
        let mut job = job(database, &destination);
        (job.compression, job.payload) = (compression, payload);
        let (_relays, uri) = killing(&set);
        let tools = tools_for(&format!("{uri}&serverSelectionTimeoutMS=2000"), Store::new()).await;
        let report = backup(&job, &tools).await.expect("a backup");
        assert_eq!(
            (report.status, report.warnings.len()),
            (RunStatus::Complete, 1),
            "{report:#?}"
        );
        keep(report.archive, &goal);
        set.restart_all();
        set.wait_until_whole();
    }
    let expectation = folder.join("expected.json");
    if !expectation.exists() {
        let golden = golden(FORMAT_VERSION, (Compression::None, Payload::Bson));
        let contents = contents(&Store::new(), &golden).await;
        let mut text = serde_json::to_vec_pretty(&contents).expect("JSON");
        text.push(b'\n');
        fs::write(expectation, text).expect("the source folder");
    }
}

/// A connection on which the primary is killed when three documents of `anew` have come, one in each reply.
fn killing(set: &Arc<Members>) -> (Vec<Wire>, String) {
    let (set_of, victim, asked) = (Arc::clone(set), set.primary().port(), AtomicUsize::new(0));
    set.through_relays(move |command| {
        let is_of_it = command.target() == "anew" || command.body.get_str("collection").is_ok_and(|of| of == "anew");
        if !is_of_it || !["find", "getMore"].contains(&&*command.name) || command.body.contains_key("projection") {
            return Passage::Through;
        }
        if command.name == "getMore" && asked.fetch_add(1, Ordering::AcqRel) == 2 {
            set_of.on(victim).kill();
        }
        let mut one = command.body.clone();
        one.insert("batchSize", 1);
        Passage::Instead(one)
    })
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
