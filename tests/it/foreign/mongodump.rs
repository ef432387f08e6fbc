//! The file that `mongodump --archive` writes: collections interleaved in blocks, read within bounded memory.

use std::fs;
use std::io::Write as _;

use bson::{Document, doc};
use crc_fast::CrcAlgorithm::Crc64Xz;
use flate2::write::GzEncoder;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::inspect;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::Location;
use mongotar::verify::verify;
use serde_json::json;

use super::{Place, bson_of, few, of, place};

const TERMINATOR: [u8; 4] = [0xff; 4];

/// Writes as `mongodump` does (mongo-tools, `common/archive/spec.md`).
pub struct Archive(pub Vec<u8>);

impl Archive {
    /// With these collections, databases and definitions.
    pub fn of(definitions: &[(&str, &str, &str)]) -> Self {
        let head = doc! {"concurrent_collections": 4, "version": "0.1", "server_version": "7.0.1", "tool_version": "x"};
        let mut bytes = [&[0x6d, 0xe2, 0x99, 0x81][..], &bson_of(&[head])].concat();
        for (db, collection, metadata) in definitions {
            let definition = doc! {"db": *db, "collection": *collection, "metadata": *metadata, "size": 0, "type": ""};
            bytes.extend(bson_of(&[definition]));
        }
        bytes.extend(TERMINATOR);
        Self(bytes)
    }

    pub fn block(mut self, db: &str, collection: &str, documents: &[Document]) -> Self {
        let head = doc! {"db": db, "collection": collection, "EOF": false, "CRC": 0_i64};
        self.0.extend(bson_of(&[head]));
        self.0.extend(bson_of(documents));
        self.0.extend(TERMINATOR);
        self
    }

    pub fn end(mut self, db: &str, collection: &str, documents: &[Document]) -> Self {
        let crc = crc_fast::checksum(Crc64Xz, &bson_of(documents)).cast_signed();
        self.0.extend(bson_of(&[
            doc! {"db": db, "collection": collection, "EOF": true, "CRC": crc},
        ]));
        self.0.extend(TERMINATOR);
        self
    }
}

impl Place {
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("written");
        self.path(name).to_str().expect("UTF-8").to_owned()
    }
}

const PLAIN: &str = r#"{"options":{},"indexes":[],"type":"collection"}"#;

#[tokio::test]
async fn interleaved_collections_options_indexes_and_views_come_back() {
    let place = place().await;
    let large = |text: &str| -> Vec<Document> {
        (0..24)
            .map(|id| doc! {"_id": id, "text": text.repeat(400 << 10)})
            .collect()
    };
    let (orders, users, odd) = (large("o"), large("u"), few("odd"));
    let unique = r#"{"options":{},"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":1},"name":"_id_"},{"v":{"$numberInt":"2"},"key":{"n":1},"name":"n_1","unique":true,"sparse":true}],"collectionName":"orders","type":"collection"}"#;
    let mut archive = Archive::of(&[
        ("shop", "orders", unique),
        ("shop", "users", PLAIN),
        ("shop", "50% a+b", PLAIN),
        (
            "shop",
            "empty",
            r#"{"options":{"validator":{"a":{"$exists":true}}},"indexes":[],"type":"collection"}"#,
        ),
        (
            "shop",
            "seen",
            r#"{"options":{"viewOn":"orders","pipeline":[]},"indexes":[],"type":"view"}"#,
        ),
        ("admin", "system.version", PLAIN),
        // What --oplog and --dumpDbUsersAndRoles add: it was taken for several databases, or for a failed collection.
        ("", "oplog", ""),
        ("shop", "$admin.system.users", ""),
    ]);
    // More of each than is handed on before it is taken: whoever takes one after the other must not wait for ever.
    for (orders, users) in orders.chunks(5).zip(users.chunks(5)) {
        archive = archive.block("shop", "orders", orders).block("shop", "users", users);
    }
    let change = doc! {"op": "n", "ns": "", "o": {}};
    let listed = doc! {"v": 1, "key": {"text": 1}, "name": "listed_1", "ns": "shop.orders"};
    let archive = archive
        .block("shop", "system.indexes", std::slice::from_ref(&listed))
        .end("shop", "system.indexes", std::slice::from_ref(&listed))
        .end("shop", "users", &users)
        .end("shop", "orders", &orders)
        .block("shop", "50% a+b", &odd)
        .end("shop", "50% a+b", &odd)
        .end("shop", "empty", &[])
        .end("admin", "system.version", &[])
        .end("shop", "$admin.system.users", &[])
        .block("", "oplog", std::slice::from_ref(&change))
        .end("", "oplog", std::slice::from_ref(&change));
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive.0).expect("memory");
    let gzipped = place.file("mongodump.archive.gz", &gzip.finish().expect("memory"));
    let plain = place.file("mongodump.archive", &archive.0);
    for path in [&plain, &gzipped] {
        place.drop_target().await;
        let report = place.restore(path, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.plan.warnings);
        assert_eq!(report.plan.source_database.as_deref(), Some("shop"));
        assert!(
            report
                .plan
                .warnings
                .iter()
                .any(|warning| warning.contains("oplog is not replayed"))
        );
        for (name, documents) in [
            ("orders", 24),
            ("users", 24),
            ("50% a+b", 5),
            ("seen", 24),
            ("empty", 0),
        ] {
            assert_eq!(place.raw(&place.target, name).await.len(), documents, "{name}");
        }
        assert!(place.options("empty").await.contains_key("validator"));
        let catalog = place.tools.mongo.survey(&place.target).await.expect("a survey");
        let indexes = &catalog.get("orders").expect("there").indexes;
        assert_eq!(indexes[1].get_bool("unique"), Some(true));
        assert!(
            indexes.iter().any(|index| index.get_str("name") == Some("listed_1")),
            "{indexes:?}"
        );
    }
    let location: Location = plain.parse().expect("a location");
    let store = &place.tools.store;
    let sound = verify(store, &location, Memory::default(), &Progress::default())
        .await
        .expect("a report");
    assert_eq!(sound.status, RunStatus::Complete);
    let mut text = Vec::new();
    let count = inspect::cat(store, &location, Memory::default(), "50% a+b", &mut text).await;
    assert_eq!(count.expect("written"), 5);
    assert!(inspect::show(store, &location, Memory::default()).await.is_ok());
    let change = std::slice::from_ref(&change);
    let oplog = Archive::of(&[("", "oplog", "")])
        .block("", "oplog", change)
        .end("", "oplog", change);
    let alone = place.restore(&place.file("oplog", &oplog.0), json!({})).await;
    let alone = alone.expect_err("no collection");
    assert!(
        alone.message.contains("no entry of the archive is a collection"),
        "{alone}"
    );
}

#[tokio::test]
async fn what_is_cut_or_altered_is_told() {
    let place = place().await;
    let (orders, users) = (few("o"), few("u"));
    let begun = || {
        Archive::of(&[("shop", "orders", PLAIN), ("shop", "users", PLAIN)])
            .block("shop", "orders", &orders)
            .block("shop", "users", &users)
            .end("shop", "users", &users)
    };
    // Between two blocks: nothing but the missing end tells.
    let report = place
        .restore(&place.file("cut", &begun().0), json!({}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    assert_eq!(report.plan.to_restore, ["users"]);
    assert!(report.plan.to_string().contains("it is truncated"), "{}", report.plan);

    let altered = begun().end("shop", "orders", &users);
    let report = place
        .restore(&place.file("altered", &altered.0), json!({}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    assert!(report.plan.to_string().contains("CRC-64"), "{}", report.plan);

    // A collection of which nothing but its definition is there was called equal.
    let lost = Archive::of(&[("shop", "orders", PLAIN), ("shop", "users", PLAIN)]);
    let lost = lost.block("shop", "users", &users).end("shop", "users", &users);
    let lost: Location = place.file("lost", &lost.0).parse().expect("a location");
    let checked = verify(&place.tools.store, &lost, Memory::default(), &Progress::default()).await;
    let checked = checked.expect("a report");
    let rows: Vec<(&str, bool)> = checked
        .collections
        .iter()
        .map(|one| (one.name.as_str(), one.equal))
        .collect();
    assert_eq!(
        (checked.status, rows.as_slice()),
        (RunStatus::Partial, &[("orders", false), ("users", true)][..])
    );
    assert!(checked.summary.contains("orders"), "{}", checked.summary);

    // Each was called sound.
    for (name, part) in [("cut", "it is truncated"), ("altered", "CRC-64")] {
        let location: Location = place.path(name).to_str().expect("UTF-8").parse().expect("a location");
        let checked = verify(&place.tools.store, &location, Memory::default(), &Progress::default()).await;
        let checked = checked.expect("a report");
        assert_eq!(checked.status, RunStatus::Failed, "{checked:?}");
        assert!(
            matches!(&checked.damaged[..], [one] if one.contains(part)),
            "{checked:?}"
        );
        assert!(checked.summary.contains("DAMAGED in 1 place"), "{}", checked.summary);
        let unequal: Vec<&str> = checked
            .collections
            .iter()
            .filter(|collection| !collection.equal)
            .map(|collection| collection.name.as_str())
            .collect();
        assert_eq!(unequal, ["orders"]);
    }

    let whole = begun().end("shop", "orders", &orders).0;
    let two = place.restore(&place.file("two", &whole.repeat(2)), json!({})).await;
    let two = two.expect_err("two");
    assert!(two.message.contains("a second archive begins here"), "{two}");
    let offset = format!("(offset {} of the archive)", whole.len());
    assert!(two.message.ends_with(&offset), "{two}");
    for end in [5, 100] {
        let cut = place
            .restore(&place.file("inside", &whole[..end]), json!({}))
            .await
            .expect_err("cut");
        assert_eq!(cut.kind, FailureKind::ArchiveDamaged, "{end}: {cut}");
    }
}

/// Nothing of it could be restored or looked at, however much was whole.
#[tokio::test]
async fn of_an_archive_that_is_cut_within_a_block_what_had_ended_comes_back() {
    let place = place().await;
    let (orders, users) = (few("o"), few("u"));
    let ended = Archive::of(&[("shop", "orders", PLAIN), ("shop", "users", PLAIN)])
        .block("shop", "users", &users)
        .end("shop", "users", &users);
    let first = ended.0.len();
    let whole = ended.block("shop", "orders", &orders).end("shop", "orders", &orders).0;
    let gzip = |bytes: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(bytes).expect("memory");
        gzip.finish().expect("memory")
    };
    let gzipped = gzip(&whole);
    place
        .client
        .database(&place.target)
        .collection("own")
        .insert_one(doc! {"_id": 1})
        .await
        .expect("inserted");
    let store = &place.tools.store;
    // Within the head of a block, within a document, and compressed; within the last end mark, where all had ended.
    for (cut, lost) in [
        (&whole[..first + 9], true),
        (&whole[..first + 200], true),
        (&gzipped[..gzipped.len() - (whole.len() - first - 200)], true),
        (&whole[..whole.len() - 2], false),
    ] {
        let path = place.file("inside", cut);
        let event = json!({"replace_existing": true, "drop_missing": true});
        let report = place.restore(&path, event).await.expect("a report");
        assert_eq!(report.status, RunStatus::Partial, "{:?}", report.plan.warnings);
        assert_eq!((of(&report, "users").db_count, of(&report, "users").equal), (5, true));
        assert_eq!(report.plan.to_drop, Vec::<String>::new());
        assert_eq!(place.raw(&place.target, "orders").await.is_empty(), lost);
        let told = report.plan.to_string();
        for words in ["offset", "it is truncated", "had ended there are whole", "dump again"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let location: Location = path.parse().expect("a location");
        let mut text = Vec::new();
        let count = inspect::cat(store, &location, Memory::default(), "users", &mut text).await;
        assert_eq!(count.expect("written"), 5);
        assert!(inspect::show(store, &location, Memory::default()).await.is_ok());
        let checked = verify(store, &location, Memory::default(), &Progress::default()).await;
        let checked = checked.expect("a report");
        assert_eq!(checked.status, RunStatus::Failed, "{checked:?}");
        assert!(checked.damaged[0].contains("it is truncated"), "{checked:?}");
    }
    assert_eq!(place.raw(&place.target, "own").await.len(), 1);
}

/// All of it was refused, however much was whole before the damage.
#[tokio::test]
async fn of_an_archive_that_is_damaged_within_its_blocks_what_had_ended_before_comes_back() {
    let place = place().await;
    let (orders, users) = (few("o"), few("u"));
    let ended = Archive::of(&[("shop", "orders", PLAIN), ("shop", "users", PLAIN)])
        .block("shop", "users", &users)
        .end("shop", "users", &users);
    let first = ended.0.len();
    let whole = ended.block("shop", "orders", &orders).end("shop", "orders", &orders).0;
    let head = bson_of(&[doc! {"db": "shop", "collection": "orders", "EOF": false, "CRC": 0_i64}]).len();
    let database = place.client.database(&place.target);
    let own = database.collection("own");
    own.insert_one(doc! {"_id": 1}).await.expect("inserted");
    // The length of a document, a document, the head of a block, and that of the last one.
    let last =
        whole.len() - 4 - bson_of(&[doc! {"db": "shop", "collection": "orders", "EOF": true, "CRC": 0_i64}]).len();
    for at in [first + head + 3, first + head + 4, first + 3, last + 3] {
        let mut altered = whole.clone();
        altered[at] ^= 0x5a;
        let path = place.file("altered", &altered);
        let event = json!({"replace_existing": true, "drop_missing": true});
        let report = place.restore(&path, event).await.expect("a report");
        assert_eq!(report.status, RunStatus::Partial, "{at}: {:?}", report.plan.warnings);
        assert_eq!((of(&report, "users").db_count, of(&report, "users").equal), (5, true));
        assert_eq!(report.plan.to_drop, Vec::<String>::new());
        assert!(place.raw(&place.target, "orders").await.is_empty(), "{at}");
        let told = report.plan.to_string();
        for words in ["is damaged at its offset", "had ended there are whole", "dump again"] {
            assert!(told.contains(words), "{at}: {words}: {told}");
        }
        assert!(!told.contains("truncated"), "{told}");
        let location: Location = path.parse().expect("a location");
        let checked = verify(&place.tools.store, &location, Memory::default(), &Progress::default()).await;
        assert_eq!(checked.expect("a report").status, RunStatus::Failed);
    }
    assert_eq!(place.raw(&place.target, "own").await.len(), 1);
    // Before its blocks, nothing can be relied on.
    let mut altered = whole.clone();
    altered[7] ^= 0x5a;
    let refused = place.restore(&place.file("altered", &altered), json!({})).await;
    assert_eq!(refused.expect_err("refused").kind, FailureKind::ArchiveDamaged);
}

#[tokio::test]
async fn an_archive_of_an_unknown_version_is_refused_with_the_version() {
    let place = place().await;
    let users = few("u");
    let mut archive = Archive::of(&[("shop", "users", PLAIN)])
        .block("shop", "users", &users)
        .end("shop", "users", &users);
    let at = memchr::memmem::find(&archive.0, b"0.1\0").expect("its version");
    archive.0[at..at + 3].copy_from_slice(b"9.9");
    let refused = place.restore(&place.file("newer", &archive.0), json!({})).await;
    let refused = refused.expect_err("refused");
    assert_eq!(refused.kind, FailureKind::ArchiveUnsupported, "{refused}");
    for words in ["version \"9.9\"", "\"0.1\"", "mongorestore"] {
        assert!(refused.message.contains(words), "{refused}");
    }
}

/// The empty database that a server has of its own is not meant; another one may be.
#[tokio::test]
async fn a_servers_own_database_without_documents_is_not_the_one_that_is_meant() {
    let place = place().await;
    let (definition, documents) = (r#"{"options":{},"indexes":[]}"#, [doc! {"_id": 1}]);
    let archive = Archive::of(&[("admin", "things", definition), ("shop", "orders", definition)])
        .end("admin", "things", &[])
        .block("shop", "orders", &documents)
        .end("shop", "orders", &documents);
    let archive = place.file("two.archive", &archive.0);
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(report.plan.to_restore, ["orders"]);
    let plan = report.plan.to_string();
    assert!(plan.contains("left out: admin (it holds no documents)"), "{plan}");
}
