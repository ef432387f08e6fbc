//! One altered bit, anywhere: verification names the entry, the segment and the offset.

use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::Store;
use mongotar::verify::verify;

use super::forge::{Forge, Part, forms, parts, put};
use crate::rig::ScratchDir;

/// How many bytes of each region are altered, spread over it, its first and its last among them.
const PROBES: u64 = 12;

#[tokio::test]
async fn one_altered_bit_in_any_region_is_named_with_its_place() {
    let scratch = ScratchDir::new("altered");
    let path = scratch.path().join("archive");
    for (compression, payload) in forms() {
        let sound = Forge::small(compression, payload).write().bytes;
        let report = verify(
            &Store::new(),
            &put(&path, &sound),
            Memory::default(),
            &Progress::default(),
        )
        .await
        .expect("sound");
        assert_eq!((report.status, report.damaged.len()), (RunStatus::Complete, 0));
        for (part, extent) in parts(&sound) {
            for probe in 0..PROBES {
                let at = extent.offset + (extent.length - 1) * probe / (PROBES - 1);
                let mut damaged = sound.clone();
                damaged[at as usize] ^= 1 << (at % 8);
                let found = verify(
                    &Store::new(),
                    &put(&path, &damaged),
                    Memory::default(),
                    &Progress::default(),
                )
                .await;
                let context = format!("{compression} {payload}, byte {at} of {part:?}: {found:?}");
                match &part {
                    Part::Trailer | Part::Footer => {
                        let failure = found.expect_err(&context);
                        assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{context}");
                        if part == Part::Trailer {
                            let place = format!("the manifest at offset {}", extent.offset);
                            assert!(failure.message.contains(&place), "{context}");
                        }
                    }
                    Part::Header { entry } => {
                        let report = found.expect(&context);
                        assert_eq!(report.status, RunStatus::Failed, "{context}");
                        let place = format!("{entry}: its tar header (offset {}", extent.offset);
                        assert!(
                            matches!(&report.damaged[..], [only] if only.contains(&place)),
                            "{context}"
                        );
                        let whole = report.collections.iter().all(|collection| collection.equal);
                        assert!(whole, "documents are found without headers: {context}");
                    }
                    Part::Segment { entry, index } => {
                        let report = found.expect(&context);
                        assert_eq!(report.status, RunStatus::Failed, "{context}");
                        let place = format!(
                            "{entry}, segment {index} (offset {}, {} bytes)",
                            extent.offset, extent.length
                        );
                        assert!(
                            matches!(&report.damaged[..], [only] if only.contains(&place)),
                            "{context}"
                        );
                        let broken = report.collections.iter().filter(|collection| !collection.equal);
                        let of_documents = entry.ends_with(".jsonl") || entry.ends_with(".bson");
                        assert_eq!(broken.count(), usize::from(of_documents), "{context}");
                    }
                }
            }
        }
    }
}

/// Bytes behind the footer, or in front of the first header, are no archive of ours.
#[tokio::test]
async fn added_bytes_are_refused() {
    let scratch = ScratchDir::new("added");
    let path = scratch.path().join("archive");
    for (compression, payload) in forms() {
        let sound = Forge::small(compression, payload).write().bytes;
        for added in [1, 511, 512, 4096] {
            for longer in [
                [sound.clone(), vec![0; added]].concat(),
                [vec![0; added], sound.clone()].concat(),
                [sound.clone(), sound[..added].to_vec()].concat(),
            ] {
                let found = verify(
                    &Store::new(),
                    &put(&path, &longer),
                    Memory::default(),
                    &Progress::default(),
                )
                .await;
                let failure = found.expect_err("another object than was written");
                assert_eq!(
                    failure.kind,
                    FailureKind::ArchiveDamaged,
                    "{compression} {added}: {failure}"
                );
            }
        }
    }
}
