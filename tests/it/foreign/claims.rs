//! Which sources count as the whole truth, and which of them only add to what is there.

use std::io::{Read as _, Write as _};
use std::{fs, iter};

use bson::{Document, doc};
use flate2::write::GzEncoder;
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupJob, RunStatus, backup};
use mongotar::failure::FailureKind;
use mongotar::inspect::{self, Shown};
use mongotar::run::Memory;
use mongotar::store::Location;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::{Place, bson_of, place};
use crate::support;

const LINES: &[u8] = b"{\"_id\":1,\"a\":1}\n{\"_id\":2,\"a\":2}\n";

/// A target with three collections of one document each.
async fn place_with_target() -> Place {
    let place = place().await;
    for (name, document) in [
        ("orders", doc! {"_id": 1, "old": true}),
        ("users", doc! {"_id": 1}),
        ("invoices", doc! {"_id": 1}),
    ] {
        let collection = place.client.database(&place.target).collection::<Document>(name);
        collection.insert_one(document).await.expect("inserted");
    }
    place
}

impl Place {
    async fn names(&self) -> Vec<String> {
        let catalog = self.tools.mongo.survey(&self.target).await.expect("a survey");
        catalog
            .collections
            .into_iter()
            .map(|collection| collection.name)
            .collect()
    }

    /// What `mongodump -c orders` wrote, packed.
    fn dump_of_one(&self) -> String {
        let orders = bson_of(&[doc! {"_id": 1, "new": true}, doc! {"_id": 2}]);
        let metadata = br#"{"options":{},"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}],"collectionName":"orders","type":"collection"}"#;
        let entries: [(&str, &[u8]); 2] = [
            ("dump/shop/orders.bson", &orders),
            ("dump/shop/orders.metadata.json", metadata),
        ];
        self.tar("one.tar", &entries)
    }
}

/// Unpacked, changed and packed again, an archive of ours was restored "complete".
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_ours_that_was_packed_anew_is_held_to_its_manifest() {
    let place = place_with_target().await;
    place.insert("orders", (0..4).map(|n| doc! {"_id": n}).collect()).await;
    let job = BackupJob {
        compression: Compression::None,
        payload: Payload::Jsonl,
        ..support::job(&place.source, &Location::Local(place.path("to")))
    };
    let saved = backup(&job, &place.tools).await.expect("an archive");
    let bytes = fs::read(saved.archive.to_string()).expect("a file");
    let mut members = Vec::new();
    for entry in tar::Archive::new(&bytes[..]).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("memory");
        members.push((name, content));
    }
    let packed = |name: &str, members: &[(String, Vec<u8>)]| {
        let members = members.iter().map(|(name, content)| (name.as_str(), &content[..]));
        place.tar(name, &members.collect::<Vec<_>>())
    };
    let at = |end: &str| members.iter().position(|(name, _)| name.ends_with(end)).expect(end);
    let (mut short, mut unread) = (members.clone(), members.clone());
    let orders = &mut short[at("/orders.jsonl")].1;
    let lines = orders.split_inclusive(|byte| *byte == b'\n').take(2);
    *orders = lines.collect::<Vec<_>>().concat();
    let manifest = &mut unread[at("/manifest.json")].1;
    manifest.truncate(manifest.len() / 2);
    for (members, told) in [(short, "promises 4 documents"), (unread, "cannot be read")] {
        let archive = packed("anew.tar", &members);
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Partial, "{told}");
        assert_eq!(report.plan.to_drop, Vec::<String>::new(), "{told}");
        assert!(report.plan.to_string().contains(told), "{told}: {}", report.plan);
        assert!(place.names().await.contains(&"invoices".to_owned()), "{told}");
    }
    let report = place
        .restore(&packed("whole.tar", &members), json!({}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(report.plan.to_drop, ["invoices", "users"]);
}

#[tokio::test]
async fn a_dump_of_one_collection_drops_no_other_unless_that_is_asked_for() {
    // It dropped `users` and `invoices`, and called that complete.
    let place = place_with_target().await;
    let archive = place.dump_of_one();
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(report.plan.to_drop, Vec::<String>::new());
    let said = |warning: &String| warning.contains("does not claim to be whole") && warning.contains("--drop-missing");
    assert!(report.plan.warnings.iter().any(said), "{:?}", report.plan.warnings);
    assert!(
        report.plan.to_string().contains("it stays, unless drop_missing"),
        "{}",
        report.plan
    );
    assert_eq!(place.names().await, ["invoices", "orders", "users"]);

    // Consent to the one plan is none to the other.
    let confirm = report.plan.confirm.to_string();
    let asked = json!({"drop_missing": true, "confirm": confirm});
    let stale = place.restore(&archive, asked).await.expect_err("another request");
    assert!(
        matches!(stale.kind, FailureKind::ConsentStale) && stale.message.contains("the request differs"),
        "{stale}"
    );
    let both = place
        .restore(&archive, json!({"drop_missing": true, "keep_extra": true}))
        .await;
    let both = both.expect_err("a contradiction");
    assert_eq!(both.kind, FailureKind::InvalidRequest);
    assert!(
        both.message.contains("keep_extra") && both.message.contains("drop_missing"),
        "{both}"
    );

    let selective = json!({"drop_missing": true, "include": ["orders"]});
    let selective = place.restore(&archive, selective).await.expect("a report");
    assert_eq!(selective.plan.to_drop, Vec::<String>::new());
    let said = |warning: &String| warning.contains("drop_missing") && warning.contains("no effect");
    assert!(
        selective.plan.warnings.iter().any(said),
        "{:?}",
        selective.plan.warnings
    );
    assert_eq!(place.names().await, ["invoices", "orders", "users"]);

    let asked = json!({"drop_missing": true, "snapshot": true});
    let report = place.restore(&archive, asked).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(report.plan.to_drop, ["invoices", "users"]);
    assert_eq!(place.names().await, ["orders"]);
    let way_back = report.snapshot.expect("a way back");
    place
        .restore(&way_back.archive.to_string(), json!({}))
        .await
        .expect("a report");
    assert_eq!(place.names().await, ["invoices", "orders", "users"]);
}

#[tokio::test]
async fn the_archives_of_the_scripts_before_are_whole() {
    let place = place_with_target().await;
    let archive = place.tar("old.tar", &[("backup_20250926_073727/orders.jsonl", LINES)]);
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.plan.to_drop, ["invoices", "users"]);
    assert_eq!(place.names().await, ["orders"]);
}

#[tokio::test]
async fn zeros_behind_a_gzipped_tar_are_no_damage() {
    let place = place_with_target().await;
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fs::read(place.dump_of_one()).expect("the tar"))
        .expect("memory");
    let mut padded = gzip.finish().expect("memory");
    padded.extend(iter::repeat_n(0, 512));
    let path = place.path("padded.tar.gz");
    fs::write(&path, &padded).expect("written");
    let path = path.to_str().expect("UTF-8");
    let report = place.restore(path, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(place.raw(&place.target, "orders").await.len(), 2);

    padded.push(b'x');
    fs::write(path, &padded).expect("written");
    let failure = place.restore(path, json!({})).await.expect_err("something follows");
    assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{failure}");
}

#[tokio::test]
async fn exports_may_be_called_like_files_of_other_tools() {
    // `prelude` was left out in silence, and `manifest` made the tar one of ours.
    let place = place_with_target().await;
    let names = ["manifest", "oplog", "orders", "prelude"];
    let files = names.map(|name| format!("{name}.json"));
    let entries = files.each_ref().map(|file| (file.as_str(), LINES));
    let report = place
        .restore(&place.tar("export.tar", &entries), json!({}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(report.plan.to_restore, names);
    assert_eq!(report.plan.to_drop, Vec::<String>::new());
    for name in names {
        assert_eq!(place.raw(&place.target, name).await.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_read_is_named_makes_the_restore_partial_and_forbids_drops() {
    let place = place_with_target().await;
    let document = bson_of(&[doc! {"_id": 1}]);
    let mut encoder = async_compression::tokio::bufread::ZstdEncoder::new(&document[..]);
    let mut items = Vec::new();
    encoder.read_to_end(&mut items).await.expect("memory");
    let archive = place.tar(
        "members.tar",
        &[
            ("orders.ndjson", LINES),
            ("users.csv", b"_id,a\n1,2\n"),
            ("items.bson.zst", &items),
            ("notes.json.lz4", b"\x04\x22\x4d\x18"),
            ("._orders.ndjson", b"Mac"),
        ],
    );
    let event = json!({"drop_missing": true, "replace_existing": true});
    let report = place.restore(&archive, event).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial, "{}", report.summary);
    assert_eq!(report.plan.to_restore, ["items", "orders"]);
    assert_eq!(report.plan.to_drop, Vec::<String>::new());
    let warnings = report.plan.warnings.join("\n");
    for part in [
        "users.csv",
        "notes.json.lz4",
        "although drop_missing",
        "._orders.ndjson\": no data",
    ] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    assert_eq!(place.names().await, ["invoices", "items", "orders", "users"]);
    assert_eq!(place.raw(&place.target, "items").await.len(), 1);

    let location: Location = archive.parse().expect("a location");
    let Shown::Foreign(shown) = inspect::show(&place.tools.store, &location, Memory::default())
        .await
        .expect("shown")
    else {
        panic!("it is no archive of ours");
    };
    assert!(shown.warnings.iter().any(|warning| warning.contains("users.csv")));
}

#[tokio::test]
async fn data_files_containers_and_encrypted_files_are_refused_by_what_they_are() {
    // A tar of a server's data files was restored as a collection `storage`, and everything else was dropped.
    let place = place_with_target().await;
    let storage = bson_of(&[doc! {"storage": {"engine": "wiredTiger", "options": {"directoryPerDB": false}}}]);
    let data_files = place.tar("db.tar", &[("db/storage.bson", &storage), ("db/sizes", b"x")]);
    let failure = place.restore(&data_files, json!({})).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::ArchiveUnsupported, "{failure}");
    assert!(failure.message.contains("data file of a server"), "{failure}");
    for (bytes, what) in [
        (&b"PK\x03\x04\x14\0\0\0"[..], "zip"),
        (b"age-encryption.org/v1\n-> X25519", "age"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "7z"),
    ] {
        let path = place.path("other");
        fs::write(&path, bytes).expect("written");
        let failure = place
            .restore(path.to_str().expect("UTF-8"), json!({}))
            .await
            .expect_err("refused");
        assert_eq!(failure.kind, FailureKind::ArchiveUnsupported, "{failure}");
        assert!(failure.message.contains(what), "{what}: {failure}");
    }
    assert_eq!(place.names().await, ["invoices", "orders", "users"]);
}
