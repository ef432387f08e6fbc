//! Payload `bson`: the extracted folder is laid out as `mongodump` would, and a stock `mongorestore` restores it, where
//! there is one.
//!
//! The layout is checked in any case, by Python and PyMongo: it is what `mongodump` 100 writes (`mongodump/prepare.go`
//! and `mongodump/metadata_dump.go` of mongo-tools).

use std::env;
use std::path::PathBuf;
use std::process::Command;

use bson::{Document, doc};
use mongotar::archive::{Compression, Payload};
use mongotar::catalog::{Catalog, Definition, Kind};
use mongotar::digest::{Digest, DocumentHasher, Hashing};
use mongotar::store::Store;

use super::sample::{Archive, sample};
use crate::rig::{fresh_database_name, python, shared_replica_set};
use crate::support::{raw_documents, tools_for};

const EXTRACT: &str = "import sys, tarfile; tarfile.open(sys.argv[1], 'r:').extractall(sys.argv[2], filter='data')";

/// File names, metadata and documents of an extracted folder against what PyMongo sees in the database.
const LAYOUT: &str = r#"
import base64, glob, hashlib, json, os, sys, urllib.parse, bson, pymongo
from bson import json_util
from bson.raw_bson import RawBSONDocument
folder, uri, database = sys.argv[1:4]
client = pymongo.MongoClient(uri)
db = client[database]
RAW = bson.CodecOptions(document_class=RawBSONDocument)

def stem(name):
    # Go's url.QueryEscape; longer than 238 bytes: 208 of them, %24, base64url of the SHA-1 of the name.
    escaped = urllib.parse.quote_plus(name, safe="")
    if len(escaped) > 238:
        digest = hashlib.sha1(name.encode()).digest()
        escaped = escaped[:208] + "%24" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return escaped

def first_batch(reply):
    assert reply["cursor"]["id"] == 0
    return reply["cursor"]["firstBatch"]

def canonical(document):
    return json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS)

files = {"collections_metadata.json", "manifest.json"}
for described in db.list_collections():
    name, kind = described["name"], described["type"]
    if name.startswith("system."):
        continue
    path = os.path.join(folder, stem(name))
    files.add(stem(name) + ".metadata.json")
    with open(path + ".metadata.json", "rb") as file:
        text = file.read().decode()
    metadata = json_util.loads(text, json_options=json_util.CANONICAL_JSON_OPTIONS)
    assert canonical(metadata) == canonical(json_util.loads(text)) and set(metadata) <= {"options", "indexes", "uuid", "collectionName", "type"}, text
    assert metadata["collectionName"] == name, text
    if kind == "timeseries":
        # With options.timeseries, mongorestore takes the documents for buckets: they are measurements.
        assert "options" not in metadata and "type" not in metadata and "uuid" not in metadata, text
    else:
        assert metadata["type"] == kind, text
        assert canonical(metadata.get("options", {})) == canonical(described["options"]), (text, described)
    if kind == "view":
        assert metadata["indexes"] == [] and "uuid" not in metadata, text
        assert not os.path.exists(path + ".bson")
        continue
    if kind == "collection":
        uuid = metadata["uuid"]
        assert uuid == bytes(described["info"]["uuid"]).hex() and len(uuid) == 32, text
    # By command, since PyMongo takes exception to names with dots.
    indexes = first_batch(db.command("listIndexes", name))
    assert list(map(canonical, metadata["indexes"])) == list(map(canonical, indexes)), text
    files.add(stem(name) + ".bson")
    with open(path + ".bson", "rb") as file:
        documents = sorted(document.raw for document in bson.decode_file_iter(file, RAW))
    assert documents == sorted(document.raw for document in first_batch(db.command("find", name, batchSize=1000000, codec_options=RAW))), name
assert set(os.listdir(folder)) == files, set(os.listdir(folder)) ^ files
assert all(len((file + ".gz").encode()) <= 255 for file in files)
print(len(files))
"#;

/// The extracted folder of the uncompressed archive with payload `bson`.
fn extracted(purpose: &str) -> PathBuf {
    let is_wanted = |archive: &&Archive| archive.compression == Compression::None && archive.payload == Payload::Bson;
    let archive = sample().archives.iter().find(is_wanted).expect("all forms are there");
    let folder = sample().folder(purpose);
    python().stdout(EXTRACT, &[archive.path.as_path(), &folder], b"");
    folder.join(archive.manifest.name.as_str())
}

#[test]
fn the_bson_payload_is_laid_out_as_mongodump_does() {
    let folder = extracted("layout");
    let args = [
        folder.to_str().expect("UTF-8"),
        &shared_replica_set().uri(),
        &sample().database,
    ];
    let files = python().stdout(LAYOUT, &args, b"");
    let files: usize = String::from_utf8_lossy(&files).trim().parse().expect("a number");
    assert!(files > 50, "{files}");
}

/// `MONGORESTORE`, else the one on the `PATH`. `None` says so loudly.
fn mongorestore() -> Option<PathBuf> {
    let on_path = || {
        env::split_paths(&env::var_os("PATH")?)
            .map(|folder| folder.join("mongorestore"))
            .find(|path| path.is_file())
    };
    let found = env::var_os("MONGORESTORE").map(PathBuf::from).or_else(on_path);
    if found.is_none() {
        println!(
            "MONGORESTORE IS ABSENT: only the layout of the bson payload was checked. Install MongoDB Database Tools 100, or set MONGORESTORE=/path/to/mongorestore"
        );
    }
    found
}

/// mongorestore 100.18 takes the name of a cut file from its metadata, and unescapes it though it is not escaped there:
/// a long name with a `%` in it stops it, also in a dump of its own. Such a collection is taken away here; mongotar
/// itself restores it.
fn is_beyond_mongorestore(collection: &str) -> bool {
    collection.starts_with("%%%")
}

fn run_mongorestore(program: &PathBuf, database: &str, folder: &PathBuf) {
    for file in std::fs::read_dir(folder).expect("it was extracted") {
        let file = file.expect("an entry");
        if file.file_name().to_string_lossy().starts_with("%25%25%25") {
            std::fs::remove_file(file.path()).expect("our own file");
        }
    }
    let output = Command::new(program)
        .args(["--uri", &shared_replica_set().uri(), "--db", database, "--stopOnError"])
        .arg(folder)
        .output()
        .expect("mongorestore starts");
    let mut log = String::from_utf8_lossy(&output.stderr).into_owned();
    // One line for each file says nothing.
    log = log
        .lines()
        .filter(|line| !line.contains("reading metadata for"))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(output.status.success(), "{log}");
    assert!(log.contains(" 0 document(s) failed to restore"), "{log}");
}

/// An index with its fields sorted, and its key as it is: `mongorestore` keeps indexes, and the fields of one but for
/// its key, in Go maps, whose order is random.
fn by_field(index: &Definition) -> String {
    let fields: Result<std::collections::BTreeMap<_, _>, _> = index
        .as_raw()
        .iter()
        .map(|field| field.map(|(key, value)| (key.as_str().to_owned(), format!("{value:?}"))))
        .collect();
    format!("{:?}", fields.expect("BSON"))
}

/// A digest that does not see the order of fields.
fn unordered(documents: &[Vec<u8>]) -> Digest {
    let mut hasher = DocumentHasher::new(Hashing::SortedFields);
    documents.iter().for_each(|document| hasher.add_document(document));
    hasher.digest()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_mongorestore_restores_the_extracted_folder() {
    let Some(program) = mongorestore() else { return };
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    let client = shared_replica_set().client().await;
    let target = fresh_database_name("mr");
    run_mongorestore(&program, &target, &extracted("mongorestore"));
    let (before, after) = (
        tools.mongo.survey(&sample().database).await.expect("a survey"),
        tools.mongo.survey(&target).await.expect("a survey"),
    );
    for collection in before
        .collections
        .iter()
        .filter(|one| !is_beyond_mongorestore(&one.name))
    {
        let restored = raw_documents(&client, &target, &collection.name).await;
        match collection.kind {
            // An ordinary collection moves `_id` to the front.
            Kind::Timeseries => assert_eq!(unordered(&restored), unordered(&sample().raw[&collection.name])),
            _ => assert!(restored == sample().raw[&collection.name], "{}", collection.name),
        }
        let kind = after.get(&collection.name).expect("it is there").kind;
        match collection.kind {
            // The folder holds its measurements, which go into an ordinary collection where no time series is there
            // already.
            Kind::Timeseries => assert_eq!(kind, Kind::Collection),
            same => assert_eq!(kind, same),
        }
    }
    let comparable = |catalog: &Catalog| -> Vec<String> {
        let collections = catalog.collections.iter();
        collections
            .filter(|collection| collection.name != "readings" && !is_beyond_mongorestore(&collection.name))
            .map(|collection| {
                let mut indexes: Vec<String> = collection.indexes.iter().map(by_field).collect();
                indexes.sort();
                format!(
                    "{} {} {} {indexes:?}",
                    collection.name, collection.kind, collection.options
                )
            })
            .collect()
    };
    for (before, after) in comparable(&before).iter().zip(comparable(&after)) {
        assert_eq!(*before, after);
    }
    assert_eq!(before.collections.len(), after.collections.len() + 1);
}

/// What FORMAT 1 tells users of `mongorestore` to do about time series: create them first.
#[tokio::test(flavor = "multi_thread")]
async fn a_stock_mongorestore_fills_a_time_series_that_is_there() {
    let Some(program) = mongorestore() else { return };
    let client = shared_replica_set().client().await;
    let target = fresh_database_name("mr");
    let create: Document =
        doc! {"create": "readings", "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "hours"}};
    client
        .database(&target)
        .run_command(create)
        .await
        .expect("a time series");
    run_mongorestore(&program, &target, &extracted("mongorestore-ts"));
    let restored = raw_documents(&client, &target, "readings").await;
    assert_eq!(unordered(&restored), unordered(&sample().raw["readings"]));
    let buckets = raw_documents(&client, &target, "system.buckets.readings").await;
    assert!(!buckets.is_empty(), "it is still a time series");
}
