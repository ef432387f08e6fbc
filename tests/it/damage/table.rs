//! Archives whose segments are too many for the manifest: a table lists them, page by page. Pages are small here; what
//! is large is in `bounds::table`.

use std::fs;
use std::path::PathBuf;

use mongotar::archive::{Compression, Major, Payload};
use mongotar::backup::RunStatus;
use mongotar::failure::{Failure, FailureKind};
use mongotar::inspect::cat;
use mongotar::open::open;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::verify;
use serde_json::{Value, json};

use super::forge::{Forge, forms, open_bytes, put};
use crate::rig::{ScratchDir, fresh_database_name, shared_replica_set};
use crate::support::{restore, tools_for};

/// An archive that lists all of its segments in pages of two rows.
fn paged(compression: Compression, payload: Payload, tamper: impl FnOnce(&mut Value)) -> Vec<u8> {
    Forge::small(compression, payload).write_listing(0, 2, tamper).bytes
}

async fn documents(archive: &Location, collection: &str) -> String {
    let mut text = Vec::new();
    cat(&Store::new(), archive, Memory::default(), collection, &mut text)
        .await
        .expect("documents");
    String::from_utf8(text).expect("UTF-8")
}

#[tokio::test]
async fn what_a_table_lists_is_what_a_manifest_lists() {
    let scratch = ScratchDir::new("paged");
    for (compression, payload) in forms() {
        let inline = Forge::small(compression, payload).write().bytes;
        let bytes = paged(compression, payload, |_| {});
        let (one, two) = (open_bytes(&inline).expect("sound"), open_bytes(&bytes).expect("sound"));
        assert_eq!((one.footer.major, two.footer.major), (Major::One, Major::Two));
        assert_eq!((&*one.manifest.version, &*two.manifest.version), ("1.1", "2.0"));
        let table = two.manifest.table.as_ref().expect("a table");
        let rows: usize = one.manifest.entries().map(|entry| entry.segments.len()).sum();
        assert_eq!(table.segments.len(), rows.div_ceil(2));
        for saved in &two.manifest.collections {
            let same = one.manifest.get(&saved.name).expect("the same collections");
            assert_eq!(saved.stored_bytes(), same.stored_bytes());
            assert!(saved.entry.as_ref().is_some_and(|entry| entry.segments.is_empty()));
        }
        let one = put(&scratch.path().join("inline"), &inline);
        let two = put(&scratch.path().join("paged"), &bytes);
        for collection in ["empty", "orders", "people"] {
            assert_eq!(documents(&one, collection).await, documents(&two, collection).await);
        }
        let (one, two) = (
            verify(&Store::new(), &one, Memory::default(), &Progress::default())
                .await
                .expect("sound"),
            verify(&Store::new(), &two, Memory::default(), &Progress::default())
                .await
                .expect("sound"),
        );
        assert_eq!(
            (two.status, two.segments),
            (RunStatus::Complete, one.segments),
            "{two:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_with_a_table_is_restored() {
    let scratch = ScratchDir::new("paged");
    let tools = tools_for(&shared_replica_set().uri(), Store::new()).await;
    for (compression, payload) in forms() {
        let archive = put(&scratch.path().join("paged"), &paged(compression, payload, |_| {}));
        let event = json!({"archive": archive, "database": fresh_database_name("paged"), "snapshot": false});
        let report = restore(&tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{report:?}");
    }
}

/// A page that is damaged is named, for each segment that it lists; the others are read.
#[tokio::test]
async fn a_damaged_page_is_named_and_loses_what_it_lists_and_nothing_else() {
    let scratch = ScratchDir::new("paged");
    for (compression, payload) in forms() {
        let sound = paged(compression, payload, |_| {});
        let table = open_bytes(&sound).expect("sound").manifest.table.expect("a table");
        for (index, page) in table.segments.iter().enumerate() {
            let mut bytes = sound.clone();
            bytes[(page.extent.offset + page.extent.length / 2) as usize] ^= 1;
            let archive = put(&scratch.path().join("damaged"), &bytes);
            let report = verify(&Store::new(), &archive, Memory::default(), &Progress::default())
                .await
                .expect("it opens");
            assert_eq!(report.status, RunStatus::Failed);
            let place = format!("segments.json, segment {index} (offset {}", page.extent.offset);
            assert_eq!(report.damaged.len() as u64, page.documents, "{report:?}");
            assert!(
                report.damaged.iter().all(|damage| damage.contains(&place)),
                "{report:?}"
            );
        }
        let mut bytes = sound.clone();
        bytes[table.header.offset as usize + 400] ^= 1;
        let archive = put(&scratch.path().join("damaged"), &bytes);
        let report = verify(&Store::new(), &archive, Memory::default(), &Progress::default())
            .await
            .expect("it opens");
        assert!(
            matches!(&report.damaged[..], [one] if one.contains("segments.json: its tar header")),
            "{report:?}"
        );
    }
}

fn orders(manifest: &mut Value) -> &mut Value {
    &mut manifest["collections"][1]["entry"]
}

/// Tables whose checksums are right and whose numbers are not.
#[tokio::test]
async fn impossible_tables_are_refused_with_a_reason() {
    type Tamper = fn(&mut Value);
    let tampers: [(&str, Tamper); 9] = [
        ("rows", |manifest| orders(manifest)["rows"]["first"] = 0.into()),
        ("rows", |manifest| orders(manifest)["rows"]["count"] = 2.into()),
        ("gap or an overlap", |manifest| {
            orders(manifest)["rows"]["stored"] = 7.into()
        }),
        ("overflows", |manifest| {
            orders(manifest)["rows"]["stored"] = u64::MAX.into()
        }),
        ("documents", |manifest| orders(manifest)["rows"]["documents"] = 7.into()),
        ("rows", |manifest| manifest["table"]["segments"][0][3] = 3.into()),
        ("4194305 bytes", |manifest| {
            let old = manifest["table"]["segments"][0][2].take().as_u64().expect("a length");
            manifest["table"]["segments"][0][2] = ((4 << 20) + 1).into();
            let bytes = manifest["table"]["bytes"].as_u64().expect("a length");
            manifest["table"]["bytes"] = (bytes - old + (4 << 20) + 1).into();
        }),
        ("ends at", |manifest| drop(manifest["table"].take())),
        ("another version", |manifest| manifest["version"] = "1.0".into()),
    ];
    let scratch = ScratchDir::new("paged");
    for (said, tamper) in tampers {
        let bytes = paged(Compression::Zstd, Payload::Jsonl, tamper);
        let failure = open(
            &Store::new(),
            &put(&scratch.path().join("hostile"), &bytes),
            Memory::default(),
        )
        .await;
        let failure = failure.expect_err(said);
        assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{failure}");
        assert!(failure.message.contains(said), "{said}: {failure}");
    }
}

/// A row that lies in another entry than the one that calls it its own, or claims more than can be held, is no segment.
#[test]
fn a_row_of_another_entry_is_refused() {
    let opened = open_bytes(&paged(Compression::Zstd, Payload::Jsonl, |_| {})).expect("sound");
    let entry = |name: &str| {
        opened
            .manifest
            .get(name)
            .and_then(|saved| saved.entry.clone())
            .expect("an entry")
    };
    let (orders, people) = (entry("orders"), entry("people"));
    let inline = open_bytes(&Forge::small(Compression::Zstd, Payload::Jsonl).write().bytes).expect("sound");
    let listed = inline
        .manifest
        .get("orders")
        .and_then(|saved| saved.entry.clone())
        .expect("an entry");
    let row = listed.segments[1];
    assert!(opened.listed(&orders, 1, row).is_ok());
    let failure = Failure::from(opened.listed(&people, 0, row).expect_err("of another entry"));
    assert!(failure.message.contains("outside of its entry"), "{failure}");
    let mut huge = row;
    huge.decoded_bytes = u64::MAX;
    let failure = Failure::from(opened.listed(&orders, 1, huge).expect_err("too long"));
    assert!(failure.message.contains("more than a segment can hold"), "{failure}");
}

fn golden(compression: Compression, payload: Payload) -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("tests/golden/v2.0");
    folder.join(format!("{payload}{}", compression.extension()))
}

/// Every later reader reads them.
#[tokio::test]
async fn golden_archives_with_a_table_hold_what_they_always_held() {
    let scratch = ScratchDir::new("golden");
    for (compression, payload) in forms() {
        let location = Location::Local(golden(compression, payload));
        let report = verify(&Store::new(), &location, Memory::default(), &Progress::default())
            .await
            .expect("it opens");
        assert_eq!(report.status, RunStatus::Complete, "{report:?}");
        let inline = Forge::small(compression, payload).write().bytes;
        let inline = put(&scratch.path().join("inline"), &inline);
        for collection in ["empty", "orders", "people"] {
            assert_eq!(
                documents(&inline, collection).await,
                documents(&location, collection).await
            );
        }
    }
}

/// Makes those that are not there: `cargo test --test it -- --ignored golden_archives_with_a_table_are_made`.
#[test]
#[ignore = "writes into the source folder"]
fn golden_archives_with_a_table_are_made() {
    for (compression, payload) in forms() {
        let goal = golden(compression, payload);
        fs::create_dir_all(goal.parent().expect("a folder")).expect("the source folder");
        if !goal.exists() {
            fs::write(goal, paged(compression, payload, |_| {})).expect("the source folder");
        }
    }
}
