//! The worked example of FORMAT.md shows the bytes of a golden archive, and names its regions as a reader finds them.

use super::forge::{Part, open_bytes, parts};

const FORMAT: &str = include_str!("../../../src/archive/FORMAT.md");
const ARCHIVE: &[u8] = include_bytes!("../../golden/v1.0/tiny.tar.zst");

/// The lines of the example's dumps, as `(offset, bytes)`; `*` stands for the lines between that are as the one before
/// it, as `hexdump -C` has it.
fn dumped() -> Vec<(usize, Vec<u8>)> {
    let example = FORMAT
        .split("\n## ")
        .find(|section| section.contains("orked example"))
        .expect("FORMAT.md has a worked example");
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut repeat = false;
    for line in example.lines() {
        if line == "*" {
            repeat = true;
            continue;
        }
        let Some((offset, rest)) = line.split_once("  ") else {
            continue;
        };
        let Ok(offset) = usize::from_str_radix(offset, 16) else {
            continue;
        };
        let hex = rest.split("  |").next().unwrap_or_default();
        let bytes: Vec<u8> = hex
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap_or_else(|error| panic!("{line}: {error}")))
            .collect();
        if std::mem::take(&mut repeat) {
            let (mut at, same) = lines.last().cloned().expect("a line before the star");
            while at + 16 < offset {
                at += 16;
                lines.push((at, same.clone()));
            }
        }
        lines.push((offset, bytes));
    }
    lines
}

#[test]
fn the_worked_example_shows_the_golden_archives_bytes() {
    let mut shown = vec![false; ARCHIVE.len()];
    for (offset, bytes) in dumped() {
        assert_eq!(&ARCHIVE[offset..offset + bytes.len()], bytes, "at {offset:#x}");
        shown[offset..offset + bytes.len()].fill(true);
    }
    let opened = open_bytes(ARCHIVE).expect("a golden archive");
    let manifest = opened.footer.manifest;
    let hidden = |at: &usize| !shown[*at];
    let out_of_the_manifest = (0..ARCHIVE.len()).filter(hidden).filter(|at| {
        let at = *at as u64;
        at < manifest.offset || at >= manifest.offset + manifest.length
    });
    assert_eq!(
        out_of_the_manifest.count(),
        0,
        "only the manifest's compressed bytes may be left out"
    );
    assert!((0..ARCHIVE.len()).filter(hidden).count() < manifest.length as usize);
}

#[test]
fn the_worked_example_names_every_region_with_its_place() {
    for (part, extent) in parts(ARCHIVE) {
        let place = format!("offset {}, {} bytes", extent.offset, extent.length);
        assert!(FORMAT.contains(&place), "{part:?} is not shown with {place:?}");
    }
    assert!(matches!(&parts(ARCHIVE)[0].0, Part::Header { .. }));
}
