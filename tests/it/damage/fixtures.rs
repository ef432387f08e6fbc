//! Damaged archives that are kept: what is wrong with each is written beside it, in `tests/fixtures/damaged/README.md`.
//!
//! They stay as they are when the writer changes, so a reader that begins to accept damage fails here.

use std::fs;
use std::path::PathBuf;

use mongotar::archive::{Compression, Payload};
use mongotar::backup::RunStatus;
use mongotar::failure::{Failure, FailureKind};
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::{VerifyReport, verify};

use super::forge::{Forge, Part, parts};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("tests/fixtures/damaged")
}

async fn verified(name: &str) -> Result<VerifyReport, Failure> {
    verify(
        &Store::new(),
        &Location::Local(folder().join(name)),
        Memory::default(),
        &Default::default(),
    )
    .await
}

#[tokio::test]
async fn the_kept_archive_with_a_damaged_segment_is_sound_but_for_it() {
    let report = verified("segment.tar.zst").await.expect("it opens");
    assert_eq!(report.status, RunStatus::Failed);
    let [only] = &report.damaged[..] else {
        panic!("{:?}", report.damaged);
    };
    assert!(
        only.contains("backup_20261121_020000/orders.jsonl, segment 1 (offset 2224, 134 bytes)"),
        "{only}"
    );
    let read: Vec<_> = report
        .collections
        .iter()
        .map(|one| (&one.name[..], one.documents_read))
        .collect();
    assert_eq!(read, [("empty", 0), ("orders", 24), ("people", 12)]);
}

#[tokio::test]
async fn the_kept_archive_with_a_damaged_header_has_all_its_documents() {
    let report = verified("header.tar.gz").await.expect("it opens");
    assert_eq!(report.status, RunStatus::Failed);
    let [only] = &report.damaged[..] else {
        panic!("{:?}", report.damaged);
    };
    assert!(
        only.contains("backup_20261121_020000/people.bson: its tar header"),
        "{only}"
    );
    assert!(report.collections.iter().all(|collection| collection.equal));
}

#[tokio::test]
async fn the_kept_truncated_archives_are_refused() {
    for name in ["truncated.tar", "truncated.tar.gz", "truncated.tar.zst"] {
        let failure = verified(name).await.expect_err(name);
        assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{name}: {failure}");
        assert!(failure.message.contains("no footer at the end"), "{name}: {failure}");
    }
}

#[tokio::test]
async fn the_kept_archive_with_a_damaged_manifest_is_refused() {
    let failure = verified("manifest.tar.zst").await.expect_err("damaged");
    assert_eq!(failure.kind, FailureKind::ArchiveDamaged);
    assert!(
        failure.message.contains("its checksum does not match the footer's"),
        "{failure}"
    );
}

/// Writes the fixtures. Run it once for a new one, never to make a failing test pass: `cargo test --test it --
/// --ignored fixtures_are_made`.
#[test]
#[ignore = "writes into the source folder"]
fn fixtures_are_made() {
    fs::create_dir_all(folder()).expect("the source folder");
    let put = |name: &str, bytes: &[u8]| {
        let path = folder().join(name);
        if !path.exists() {
            fs::write(path, bytes).expect("the source folder");
        }
    };
    let flip = |forge: Forge, wanted: &dyn Fn(&Part) -> bool| {
        let mut bytes = forge.write().bytes;
        let (_, extent) = parts(&bytes)
            .into_iter()
            .find(|(part, _)| wanted(part))
            .expect("it is there");
        bytes[(extent.offset + extent.length / 2) as usize] ^= 1;
        bytes
    };
    let zstd = || Forge::small(Compression::Zstd, Payload::Jsonl);
    let segment = flip(
        zstd(),
        &|part| matches!(part, Part::Segment { entry, index: 1 } if entry.contains("/orders.")),
    );
    put("segment.tar.zst", &segment);
    let header = flip(
        Forge::small(Compression::Gzip, Payload::Bson),
        &|part| matches!(part, Part::Header { entry } if entry.ends_with("/people.bson")),
    );
    put("header.tar.gz", &header);
    put("manifest.tar.zst", &flip(zstd(), &|part| *part == Part::Trailer));
    for compression in Compression::ALL {
        let bytes = Forge::small(compression, Payload::Jsonl).write().bytes;
        let (_, footer) = parts(&bytes).pop().expect("a footer");
        let cut = match compression {
            Compression::None => footer.offset as usize,
            Compression::Gzip => bytes.len() - 1,
            Compression::Zstd => bytes.len() / 2,
        };
        put(&format!("truncated{}", compression.extension()), &bytes[..cut]);
    }
}
