//! However the work is divided, the result is what one worker would have written, and can be read.

use super::*;
use crate::archive::{ArchiveWriter, Footer, Opened, Part, PartSchedule};
use proptest::prelude::*;

/// Segments of one entry, each with its text.
type Segments = Vec<Vec<u8>>;

fn name() -> ArchiveName {
    ArchiveName::parse("backup_20261121_020000").expect("a name")
}

/// All that must be said of an archive of these entries.
fn manifest(entries: &[Entry], compression: Compression) -> Manifest {
    let saved = |(at, entry): (usize, &Entry)| {
        serde_json::json!({
            "name": format!("{at:03}"), "kind": "collection", "options": {}, "indexes": [], "status": "complete",
            "documents": entry.rows.expect("rows").documents, "bytes": 0, "digest": "0".repeat(32), "hashing": "raw", "entry": entry,
        })
    };
    let collections: Vec<_> = entries[1..].iter().enumerate().map(saved).collect();
    let manifest = serde_json::json!({
        "format": "mongotar", "version": "1.0", "kind": "full", "name": name(), "created": "", "finished": "", "writer": "",
        "status": "complete", "payload": "jsonl", "pretty": false, "compression": compression,
        "source": {"database": "shop", "server": {"version": "6.0.5", "topology": "standalone"}},
        "consistency": {"level": "none"}, "metadata": entries[0], "collections": collections,
    });
    serde_json::from_value(manifest).expect("a manifest")
}

/// What was written can be read: every row is found where it was put.
fn open(bytes: &[u8], rows: &[Segment]) {
    let suffix = &bytes[bytes.len() - crate::archive::FOOTER_SUFFIX as usize..];
    let footer = Footer::find(suffix, bytes.len() as u64).expect("a footer");
    let trailer = &bytes[footer.trailer.offset as usize..][..footer.trailer.length as usize];
    let opened = Opened::verify(footer, trailer).expect("what a writer makes, a reader takes");
    let mut found = Vec::new();
    let table = opened.manifest.table.as_ref().map(|table| &table.path);
    for entry in opened.manifest.entries().filter(|entry| Some(&entry.path) != table) {
        for index in 0..entry.count() {
            found.push(match opened.page_of(entry, index) {
                None => entry.segments[index],
                Some((number, at)) => {
                    let page = opened.page(number).expect("a page");
                    let extent = page.segment.extent;
                    let stored = &bytes[extent.offset as usize..][..extent.length as usize];
                    let row = opened.rows_of(page, stored).expect("rows")[at];
                    opened.listed(entry, index, row).expect("its own").segment
                }
            });
        }
    }
    found.sort_by_key(|row| row.extent);
    assert_eq!(found, rows);
}

fn joined(mut parts: Vec<Part>) -> Vec<u8> {
    parts.sort_by_key(|part| part.number);
    parts.into_iter().flat_map(|part| part.bytes).collect()
}

struct Writing {
    writer: ArchiveWriter,
    encoder: FrameEncoder,
    parts: Vec<Part>,
    compression: Compression,
}

impl Writing {
    fn new(writer: ArchiveWriter, compression: Compression) -> Self {
        Self {
            writer,
            encoder: FrameEncoder::new(compression).expect("an encoder"),
            parts: Vec::new(),
            compression,
        }
    }

    fn entry(&mut self, file: &str, segments: &[Vec<u8>]) -> Entry {
        self.writer.begin(&[file]);
        for segment in segments {
            let frame = self.encoder.encode(&mut segment.clone()).expect("memory");
            self.writer.segment(&frame, 1);
            // Another invocation goes on in the middle of it.
            while let Some(part) = self.writer.next_part() {
                self.parts.push(part);
            }
            let state = serde_json::to_string(&self.writer.state()).expect("JSON");
            let held = self.writer.held_bytes().map(<[u8]>::to_vec);
            let current = self.writer.current_bytes().to_vec();
            let state = serde_json::from_str(&state).expect("a state");
            let rows = self.writer.rows().to_vec();
            self.writer = ArchiveWriter::resume(state, rows, current, held).expect("its own bytes");
            self.encoder = FrameEncoder::new(self.compression).expect("an encoder");
        }
        let entry = self.writer.end(file);
        while let Some(part) = self.writer.next_part() {
            self.parts.push(part);
        }
        entry
    }
}

fn entries() -> impl Strategy<Value = Vec<Segments>> {
    let segment = prop::collection::vec(any::<u8>(), 1..900);
    prop::collection::vec(prop::collection::vec(segment, 0..5), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However the work is divided, what comes of it is what one worker would have written.
    #[test]
    fn an_archive_of_lanes_is_that_of_one_worker(entries in entries(), cuts in any::<u32>(), splits in any::<u32>()) {
        for compression in Compression::ALL {
            let schedule = PartSchedule::default();
            let mut whole = Writing::new(ArchiveWriter::new(name(), compression, schedule), compression);
            let mut expected = vec![whole.writer.entry("first.json", b"{}", &mut whole.encoder).expect("memory")];
            for (at, segments) in entries.iter().enumerate() {
                expected.push(whole.entry(&format!("{at}.jsonl"), segments));
            }
            let (most, mut manifest) = (u64::from(splits % 40), manifest(&expected, compression));
            let rows = whole.writer.rows().to_vec();
            if let Some(table) = whole.writer.list_within(&mut manifest, most) {
                for page in table.pages() {
                    whole.writer.page(page, &mut whole.encoder).expect("memory");
                }
                whole.writer.end_table(&mut manifest);
            }
            let text = serde_json::to_vec(&manifest).expect("JSON");
            let (parts, length) = whole.writer.finish(text, &mut whole.encoder).expect("memory");
            whole.parts.extend(parts);
            let expected_bytes = joined(whole.parts);
            prop_assert_eq!(expected_bytes.len() as u64, length);

            // Lanes of whole entries, and entries that are split between two lanes.
            let mut lanes: Vec<(Vec<u8>, LaneContent)> = Vec::new();
            let mut composer = Composer::new(name(), compression);
            let mut encoder = FrameEncoder::new(compression).expect("an encoder");
            let mut composed = vec![composer.entry("first.json", b"{}", &mut encoder).expect("memory")];
            let mut write = |entries: &[(String, &[Vec<u8>])]| {
                let mut lane = Writing::new(ArchiveWriter::lane(name(), compression, schedule), compression);
                for (file, segments) in entries {
                    lane.entry(file, segments);
                }
                let (parts, content) = lane.writer.finish_lane();
                lane.parts.extend(parts);
                lanes.push((joined(lane.parts), content));
                lanes.len() as u32 - 1
            };
            let mut numbers: Vec<(Option<String>, Vec<u32>)> = Vec::new();
            let mut packed: Vec<(String, &[Vec<u8>])> = Vec::new();
            for (at, segments) in entries.iter().enumerate() {
                let file = format!("{at}.jsonl");
                if splits >> at & 1 == 1 {
                    if !packed.is_empty() {
                        numbers.push((None, vec![write(&std::mem::take(&mut packed))]));
                    }
                    let (one, two) = segments.split_at(segments.len() / 2);
                    let lanes = vec![write(&[(file.clone(), one)]), write(&[(file.clone(), two)])];
                    numbers.push((Some(file), lanes));
                } else {
                    packed.push((file, segments));
                    if cuts >> at & 1 == 1 {
                        numbers.push((None, vec![write(&std::mem::take(&mut packed))]));
                    }
                }
            }
            if !packed.is_empty() {
                numbers.push((None, vec![write(&packed)]));
            }
            for (file, of) in &numbers {
                match file {
                    None => composed.extend(composer.lane(of[0], &lanes[of[0] as usize].1)),
                    Some(file) => {
                        let of: Vec<_> = of.iter().map(|&lane| (lane, &lanes[lane as usize].1)).collect();
                        composed.push(composer.split(file, &of));
                    }
                }
            }
            let mut manifest = self::manifest(&composed, compression);
            composer.list_within(&mut manifest, most, &mut encoder).expect("memory");
            let text = serde_json::to_vec(&manifest).expect("JSON");
            let (pieces, length) = composer.finish(text, &mut encoder).expect("memory");
            let bytes: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| match piece {
                    Piece::Bytes(bytes) => bytes.clone(),
                    Piece::Lane { lane, extent } => {
                        let from = extent.offset as usize;
                        lanes[*lane as usize].0[from..from + extent.length as usize].to_vec()
                    }
                })
                .collect();
            prop_assert_eq!(&composed, &expected);
            prop_assert_eq!(bytes.len() as u64, length);
            open(&bytes, &rows);
            prop_assert!(bytes == expected_bytes, "{:?}: other bytes", compression);
        }
    }
}
