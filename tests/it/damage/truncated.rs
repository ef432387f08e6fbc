//! A truncated archive is refused, wherever it was cut, and is never read as if somebody else had written it.

use mongotar::failure::FailureKind;
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::Store;

use super::forge::{Forge, forms, parts, put};
use crate::rig::ScratchDir;

/// All the places where an archive is cut: around every boundary, in the middle of every region, and at every 97th
/// byte.
fn cuts(bytes: &[u8]) -> Vec<u64> {
    let length = bytes.len() as u64;
    let mut cuts: Vec<u64> = (0..length).step_by(97).collect();
    for (_, extent) in parts(bytes) {
        cuts.extend([extent.offset, extent.offset + 1, extent.offset + extent.length / 2]);
        cuts.extend(extent.offset.checked_sub(1));
    }
    cuts.extend([length - 1, length - 2]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

#[tokio::test]
async fn a_truncated_archive_is_refused_and_never_taken_for_a_foreign_one() {
    let scratch = ScratchDir::new("truncated");
    let path = scratch.path().join("archive");
    for (compression, payload) in forms() {
        let sound = Forge::small(compression, payload).write().bytes;
        for cut in cuts(&sound) {
            let location = put(&path, &sound[..cut as usize]);
            let failure = open(&Store::new(), &location, Memory::default())
                .await
                .map(|file| format!("{:?}", file.form))
                .expect_err(&format!("{compression} {payload}, cut at {cut}"));
            assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "cut at {cut}: {failure}");
            // With the first header there, it is known whose archive it is, and the message says what to compare.
            if cut >= 600 {
                assert!(
                    failure.message.contains("truncated"),
                    "{compression}, cut at {cut}: {failure}"
                );
            }
            assert!(failure.message.contains("archive"), "{failure}");
        }
    }
}

/// The first bytes tell whose archive it is also when it lies under another name.
#[tokio::test]
async fn the_name_of_a_truncated_archive_does_not_matter() {
    let scratch = ScratchDir::new("renamed");
    for (compression, payload) in forms() {
        let sound = Forge::small(compression, payload).write().bytes;
        for name in ["dump.tar", "backup_20250926_073727.tar.gz", "x"] {
            let location = put(&scratch.path().join(name), &sound[..sound.len() * 2 / 3]);
            let failure = open(&Store::new(), &location, Memory::default())
                .await
                .expect_err("truncated");
            assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{failure}");
            assert!(failure.message.contains("no footer"), "{failure}");
        }
    }
}
