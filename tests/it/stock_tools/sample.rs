//! A database with odd names and every kind of collection, backed up in all forms: made once for all tests of this
//! area.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc};
use mongotar::archive::{Compression, Manifest, Payload};
use mongotar::backup::{RunStatus, backup};
use mongotar::inspect::cat;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};

use crate::rig::{ScratchDir, lasting_database_name, shared_replica_set};
use crate::support::{insert, job, raw_database, tools_for};

/// One archive in a folder of its own.
#[derive(Debug)]
pub struct Archive {
    pub compression: Compression,
    pub payload: Payload,
    pub path: PathBuf,
    pub manifest: Manifest,
}

#[derive(Debug)]
pub struct Sample {
    pub database: String,
    pub archives: Vec<Archive>,
    /// What `cat` prints for each collection: Extended JSON, a line for each document.
    pub text: BTreeMap<String, Vec<u8>>,
    /// What the database holds, sorted.
    pub raw: BTreeMap<String, Vec<Vec<u8>>>,
    scratch: ScratchDir,
}

impl Sample {
    /// A folder for one test's extractions.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.scratch.path().join(name);
        std::fs::create_dir_all(&folder).expect("the scratch folder");
        folder
    }
}

impl Archive {
    /// The paths of all entries, in the order of the tar.
    pub fn paths(&self) -> Vec<String> {
        let mut entries: Vec<_> = self.manifest.entries().collect();
        entries.sort_by_key(|entry| entry.header.offset);
        let mut paths: Vec<String> = entries.into_iter().map(|entry| entry.path.clone()).collect();
        paths.push(format!("{}/manifest.json", self.manifest.name));
        paths
    }

    /// Compares an extracted folder with the manifest and the database: names, sizes, contents, nothing missing and
    /// nothing besides. `on_disk` is what the tool makes of a path.
    pub fn assert_extracted(&self, folder: &Path, tool: &str, on_disk: fn(&str) -> String) {
        let sample = sample();
        let context = format!("{tool}, {} {}", self.compression, self.payload);
        let inner = folder.join(self.manifest.name.as_str());
        let mut found: Vec<String> = std::fs::read_dir(&inner)
            .unwrap_or_else(|error| panic!("{context}: {error}"))
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .map(|file| format!("{}/{file}", self.manifest.name))
            .collect();
        found.sort();
        let mut expected: Vec<String> = self.paths().iter().map(|path| on_disk(path)).collect();
        expected.sort();
        assert_eq!(found, expected, "{context}");
        for saved in &self.manifest.collections {
            let Some(entry) = &saved.entry else { continue };
            let content = std::fs::read(folder.join(on_disk(&entry.path))).expect(&context);
            assert_eq!(content.len() as u64, entry.bytes, "{context}: {}", saved.name);
            match self.payload {
                Payload::Jsonl => {
                    assert!(content == sample.text[&saved.name], "{context}: {} differs", saved.name);
                    let lines = content.iter().filter(|&&byte| byte == b'\n').count();
                    assert_eq!(lines as u64, saved.documents);
                }
                Payload::Bson => {
                    let mut documents: Vec<Vec<u8>> = split(&content).map(<[u8]>::to_vec).collect();
                    documents.sort_unstable();
                    assert!(
                        documents == sample.raw[&saved.name],
                        "{context}: {} differs",
                        saved.name
                    );
                }
            }
        }
        let text = std::fs::read(inner.join("manifest.json")).expect("the manifest");
        assert_eq!(Manifest::from_sidecar(&text).expect("a manifest"), self.manifest);
        let metadata = std::fs::read(inner.join("collections_metadata.json")).expect("the definitions");
        let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("JSON");
        let described: Vec<&String> = metadata.as_object().expect("an object").keys().collect();
        let names: Vec<&String> = self.manifest.collections.iter().map(|saved| &saved.name).collect();
        assert_eq!(described, names);
    }
}

/// Concatenated BSON, one by one.
fn split(mut bson: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = i32::from_le_bytes(*bson.first_chunk()?);
        let (document, rest) = bson.split_at(length as usize);
        bson = rest;
        Some(document)
    })
}

/// The sample, made at the first call.
pub fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        // On a thread of its own, since callers are inside a runtime.
        let made = std::thread::spawn(|| tokio::runtime::Runtime::new().expect("a runtime").block_on(make()));
        made.join().expect("the sample is made")
    })
}

async fn make() -> Sample {
    let scratch = ScratchDir::new("stock-tools");
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    let client = shared_replica_set().client().await;
    // Short: a name of 240 bytes must fit into the 255 of a namespace.
    let database = lasting_database_name("st");
    fill(&client, &database).await;
    let mut archives = Vec::new();
    for compression in Compression::ALL {
        for payload in [Payload::Jsonl, Payload::Bson] {
            let folder = Location::Local(scratch.path().join(format!("{payload}{}", compression.extension())));
            let mut job = job(&database, &folder);
            (job.compression, job.payload) = (compression, payload);
            let report = backup(&job, &tools).await.expect("a backup");
            assert_eq!(report.status, RunStatus::Complete);
            let opened = mongotar::open::open(&tools.store, &report.archive, Memory::default())
                .await
                .expect("it opens");
            let Location::Local(path) = report.archive else {
                panic!("the destination is a folder")
            };
            archives.push(Archive {
                compression,
                payload,
                path,
                manifest: opened.manifest().expect("it is ours").clone(),
            });
        }
    }
    let raw = raw_database(&client, &tools, &database).await;
    let mut text = BTreeMap::new();
    for name in raw.keys() {
        let mut out = Vec::new();
        let archive = Location::Local(archives[0].path.clone());
        cat(&tools.store, &archive, Memory::default(), name, &mut out)
            .await
            .expect("documents");
        text.insert(name.clone(), out);
    }
    Sample {
        database,
        archives,
        text,
        raw,
        scratch,
    }
}

/// Names that a file system, a shell or a tool may trip over.
pub fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "Orders",
        "ORDERS",
        "a/b",
        "up/../../up",
        "/etc/passwd",
        "back\\slash",
        "50% off",
        "per%2Fcent",
        "line\nfeed\r\ttab",
        "control\u{1}\u{7f}",
        "größe 😀",
        "e\u{301} decomposed, é composed",
        "-rf",
        "--checkpoint-action=exec=false",
        "quotes'\"`;&|<>*?[]{}",
        " leading and trailing ",
        "collections_metadata",
        "manifest",
        "plus+sign a&b=c~d",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(240));
    names.push("é".repeat(118));
    names.push("%".repeat(238));
    names
}

async fn fill(client: &mongodb::Client, name: &str) {
    let database = client.database(name);
    let run = async |command: Document| database.run_command(command).await.expect("a command");
    for (n, collection) in odd_names().iter().enumerate() {
        insert(
            client,
            name,
            collection,
            vec![doc! {"_id": n as i32, "name": collection}],
        )
        .await;
    }
    insert(client, name, "types", types()).await;
    insert(
        client,
        name,
        "wrapped",
        vec![doc! {"_id": 1, "price": {"$numberLong": "5"}}, doc! {"_id": 2}],
    )
    .await;
    // Several segments, of more than 4 MiB together.
    let text = "the quick brown fox jumps over the lazy dog ".repeat(20);
    let orders = (0..6000).map(|n| doc! {"_id": n, "n": f64::from(n) / 7.0, "text": format!("{n} {text}")});
    insert(client, name, "orders", orders.collect()).await;
    run(doc! {"createIndexes": "orders", "indexes": [
        {"key": {"n": 1, "text": -1}, "name": "n_text", "unique": true, "partialFilterExpression": {"n": {"$gt": 0.5}}},
        {"key": {"text": "hashed"}, "name": "hashed"},
    ]})
    .await;
    run(doc! {"create": "empty", "validator": {"a": {"$type": "int"}}, "validationAction": "warn"}).await;
    run(doc! {"create": "capped", "capped": true, "size": 4096, "max": 10_i64}).await;
    insert(client, name, "capped", vec![doc! {"_id": "z"}, doc! {"_id": "a"}]).await;
    run(doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true, "name": "by id"}}).await;
    insert(client, name, "clustered", vec![doc! {"_id": 7}]).await;
    run(doc! {"create": "collated", "collation": {"locale": "de", "strength": 2}}).await;
    insert(client, name, "collated", vec![doc! {"_id": "Ä"}]).await;
    run(doc! {"create": "readings", "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "hours"}})
        .await;
    let readings = (0..50).map(|n| {
        doc! {"ts": DateTime::from_millis(1_700_000_000_000 + n * 60_000), "meta": {"station": n % 3}, "pm25": n as f64, "_id": n}
    });
    insert(client, name, "readings", readings.collect()).await;
    run(doc! {"create": "big orders", "viewOn": "orders", "pipeline": [{"$match": {"n": {"$gt": 5}}}]}).await;
}

/// What Extended JSON and PyMongo both carry.
pub fn types() -> Vec<Document> {
    let values: Vec<Bson> = vec![
        Bson::Double(1.5),
        Bson::Double(-0.0),
        Bson::Double(f64::INFINITY),
        Bson::Double(5e-324),
        Bson::String("ü\u{0}\u{1F600}\"\\\u{2028}".to_owned()),
        Bson::Document(doc! {"b": 1, "a": {"z": [1, "two", {"three": 3_i64}]}}),
        Bson::Array(vec![]),
        Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: vec![0, 1, 254, 255],
        }),
        Bson::Binary(Binary {
            subtype: BinarySubtype::Uuid,
            bytes: (0..16).collect(),
        }),
        Bson::Binary(Binary {
            subtype: BinarySubtype::UserDefined(0x85),
            bytes: vec![9],
        }),
        Bson::ObjectId(ObjectId::from_bytes([7; 12])),
        Bson::Boolean(false),
        Bson::DateTime(DateTime::from_millis(1_700_000_000_123)),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::Null,
        Bson::RegularExpression(Regex {
            pattern: "^a/b\\.".try_into().expect("no NUL"),
            options: "im".try_into().expect("no NUL"),
        }),
        Bson::JavaScriptCode("function() { return 1; }".to_owned()),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
            code: "x".to_owned(),
            scope: doc! {"x": 1},
        }),
        Bson::Int32(i32::MIN),
        Bson::Int64(5),
        Bson::Int64(i64::MAX),
        Bson::Timestamp(Timestamp { time: 5, increment: 6 }),
        Bson::Decimal128("1.50E+10".parse::<Decimal128>().expect("a number")),
        Bson::MinKey,
        Bson::MaxKey,
    ];
    let values = values.into_iter().enumerate();
    values
        .map(|(n, value)| doc! {"_id": n as i32, "value": value, "last": 1})
        .collect()
}
