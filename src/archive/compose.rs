//! One archive out of the lanes that several workers wrote at once (DESIGN 4, scale-out).
//!
//! A lane is a run of an archive's bytes without the header of its first entry. What is missing between two lanes is made here, when all of them are known: the padding
//! of the one, the header of the next, with its size. So an archive of many lanes is laid out like that of one worker, to the byte: a collection is one entry, also
//! where its documents come from several lanes. Segments are independent frames, so their bytes are not touched, and the object store joins them without a byte of
//! them passing through here.

use serde::{Deserialize, Serialize};

use super::crc::Crc32;
use super::footer::Major;
use super::frame::Place;
use super::table::{MOST_INLINE, TABLE_ENTRY, Table, put_inline};
use super::tail::Tail;
use super::tar_header::{HeaderPlan, padding};
use super::{
    ArchiveName, Compression, Entry, Extent, FrameEncoder, MANIFEST_ENTRY, Manifest, Region, Rows, Segment, StoredFrame,
};

/// What one worker has written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneContent {
    /// The object's length.
    pub bytes: u64,
    /// Its entries, in the order in which they lie there. Extents count from the lane's beginning.
    pub entries: Vec<LaneEntry>,
    /// The rows of all segments; they are kept beside what is said of the lane, since they are many.
    #[serde(skip)]
    pub rows: Vec<Segment>,
}

/// An entry of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneEntry {
    /// As it lies in the lane. The first has a header of no length.
    pub entry: Entry,
    /// Of the tar stream between the entry before and this one's content.
    pub(super) glue: Crc32,
    /// Of its content.
    pub(super) crc32: Crc32,
}

/// A run of an archive's bytes: made here, or to be taken from a lane.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// An extent of a lane.
    Lane {
        /// Which lane.
        lane: u32,
        /// What of it.
        extent: Extent,
    },
}

impl Piece {
    /// How long it is.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Lane { extent, .. } => extent.length,
        }
    }
}

/// Lays out an archive of lanes.
#[derive(Debug)]
pub struct Composer {
    name: ArchiveName,
    compression: Compression,
    mtime: u64,
    offset: u64,
    padding: usize,
    tar_crc32: Crc32,
    pieces: Vec<Piece>,
    /// Every segment so far, of all entries.
    rows: Vec<Segment>,
    major: Major,
}

impl Composer {
    /// Begins an archive.
    pub fn new(name: ArchiveName, compression: Compression) -> Self {
        Self {
            mtime: u64::try_from(name.unix_seconds()).unwrap_or(0),
            name,
            compression,
            offset: 0,
            padding: 0,
            tar_crc32: Crc32::default(),
            pieces: Vec::new(),
            rows: Vec::new(),
            major: Major::One,
        }
    }

    /// Adds a small entry that is no lane's.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`].
    pub fn entry(&mut self, file: &str, content: &[u8], encoder: &mut FrameEncoder) -> std::io::Result<Entry> {
        let frame = encoder.encode(&mut content.to_vec())?;
        Ok(self.made(file, vec![(frame, 0)]))
    }

    /// An entry of frames, each with what it counts.
    fn made(&mut self, file: &str, frames: Vec<(StoredFrame, u64)>) -> Entry {
        let path = self.name.entry(file);
        let bytes = frames.iter().map(|(frame, _)| frame.decoded_bytes).sum();
        let header = self.header(&path, bytes);
        let (mut rows, mut crc32) = (Rows::from(self.rows.len() as u64), Crc32::default());
        for (frame, documents) in frames {
            let segment = Segment {
                extent: Extent {
                    offset: self.offset,
                    length: frame.stored.len() as u64,
                },
                decoded_bytes: frame.decoded_bytes,
                documents,
                blake3: frame.blake3,
            };
            rows.add(&segment);
            self.rows.push(segment);
            crc32 = crc32.then(Crc32::of_run(frame.crc32, frame.decoded_bytes));
            self.push(Piece::Bytes(frame.stored));
        }
        self.content(crc32, bytes);
        Entry {
            path,
            header,
            bytes,
            segments: Vec::new(),
            rows: Some(rows),
        }
    }

    /// Adds a lane of whole entries; gives them as they lie in the archive.
    pub fn lane(&mut self, lane: u32, content: &LaneContent) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(content.entries.len());
        let Some((first, others)) = content.entries.split_first() else {
            return entries;
        };
        let header = self.header(&first.entry.path, first.entry.bytes);
        let begin = (self.offset, self.rows.len() as u64);
        self.list_rows(content);
        entries.push(Entry {
            header,
            ..moved(&first.entry, begin)
        });
        self.content(first.crc32, first.entry.bytes);
        for other in others {
            self.tar_crc32 = self.tar_crc32.then(other.glue);
            self.content(other.crc32, other.entry.bytes);
            entries.push(moved(&other.entry, begin));
        }
        self.push_lane(lane, content.bytes);
        entries
    }

    /// Adds lanes that hold one entry's content between them, as the entry `file`.
    pub fn split(&mut self, file: &str, lanes: &[(u32, &LaneContent)]) -> Entry {
        let path = self.name.entry(file);
        let parts = || lanes.iter().flat_map(|(_, content)| &content.entries);
        let bytes = parts().map(|part| part.entry.bytes).sum();
        let header = self.header(&path, bytes);
        let mut rows = Rows::from(self.rows.len() as u64);
        for (lane, content) in lanes {
            parts_of(content).for_each(|part| rows.join(part));
            self.list_rows(content);
            self.push_lane(*lane, content.bytes);
        }
        self.content(parts().fold(Crc32::default(), |sum, part| sum.then(part.crc32)), bytes);
        Entry {
            path,
            header,
            bytes,
            segments: Vec::new(),
            rows: Some(rows),
        }
    }

    /// Puts the segments' rows into the manifest, or, where they are too many for it, into a table before it.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`].
    pub fn list(&mut self, manifest: &mut Manifest, encoder: &mut FrameEncoder) -> std::io::Result<()> {
        self.list_within(manifest, MOST_INLINE, encoder)
    }

    fn list_within(&mut self, manifest: &mut Manifest, most: u64, encoder: &mut FrameEncoder) -> std::io::Result<()> {
        if let Some(table) = Table::of(manifest, std::mem::take(&mut self.rows), most) {
            self.major = Major::Two;
            let pages = table
                .pages()
                .map(|(mut text, rows)| Ok((encoder.encode(&mut text)?, rows)));
            let pages = pages.collect::<std::io::Result<Vec<_>>>()?;
            let mut entry = self.made(TABLE_ENTRY, pages);
            put_inline(&mut entry, &std::mem::take(&mut self.rows));
            manifest.table = Some(entry);
        }
        Ok(())
    }

    /// How many segments there are so far.
    pub fn segments(&self) -> u64 {
        self.rows.len() as u64
    }

    fn list_rows(&mut self, content: &LaneContent) {
        let begin = self.offset;
        self.rows.extend(content.rows.iter().map(|row| {
            let mut row = *row;
            row.extent.offset += begin;
            row
        }));
    }

    /// Appends the manifest, the tar's end and the footer; gives the archive's pieces and its length.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`].
    pub fn finish(mut self, mut manifest: Vec<u8>, encoder: &mut FrameEncoder) -> std::io::Result<(Vec<Piece>, u64)> {
        let frame = encoder.encode(&mut manifest)?;
        let (mut trailer, footer) = Tail {
            major: self.major,
            path: self.name.entry(MANIFEST_ENTRY),
            compression: self.compression,
            mtime: self.mtime,
            offset: self.offset,
            padding: self.padding,
            tar_crc32: self.tar_crc32,
        }
        .build(&frame);
        trailer.extend_from_slice(&footer);
        self.push(Piece::Bytes(trailer));
        Ok((self.pieces, self.offset))
    }

    /// The glue before an entry.
    fn header(&mut self, path: &str, bytes: u64) -> Region {
        let mut content = vec![0; self.padding];
        content.extend_from_slice(&HeaderPlan::new(&[path]).build(path, bytes, self.mtime));
        let mut stored = match self.offset {
            0 => self.compression.prologue().to_vec(),
            _ => Vec::new(),
        };
        stored.extend_from_slice(&self.compression.glue(&content, Place::Between));
        if self.compression == Compression::Gzip {
            self.tar_crc32 = self.tar_crc32.then(Crc32::of(&content));
        }
        let region = Region {
            offset: self.offset,
            length: stored.len() as u64,
            blake3: blake3::hash(&stored),
        };
        self.push(Piece::Bytes(stored));
        region
    }

    /// What an entry's content means for what follows it.
    fn content(&mut self, crc32: Crc32, bytes: u64) {
        if self.compression == Compression::Gzip {
            self.tar_crc32 = self.tar_crc32.then(crc32);
        }
        self.padding = padding(bytes);
    }

    fn push_lane(&mut self, lane: u32, bytes: u64) {
        let extent = Extent {
            offset: 0,
            length: bytes,
        };
        self.push(Piece::Lane { lane, extent });
    }

    fn push(&mut self, piece: Piece) {
        self.offset += piece.length();
        if piece.length() > 0 {
            self.pieces.push(piece);
        }
    }
}

/// The rows of a lane's entries.
fn parts_of(content: &LaneContent) -> impl Iterator<Item = Rows> {
    content.entries.iter().filter_map(|part| part.entry.rows)
}

/// An entry of a lane that begins at an offset and a row.
fn moved(entry: &Entry, (offset, row): (u64, u64)) -> Entry {
    let mut entry = entry.clone();
    entry.header.offset += offset;
    if let Some(rows) = &mut entry.rows {
        rows.first += row;
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveWriter, Part, PartSchedule};
    use proptest::prelude::*;

    /// Segments of one entry, each with its text.
    type Segments = Vec<Vec<u8>>;

    fn name() -> ArchiveName {
        ArchiveName::parse("backup_20261121_020000").expect("a name")
    }

    /// All that must be said of an archive.
    fn manifest(metadata: &Entry) -> Manifest {
        let manifest = serde_json::json!({
            "format": "mongotar", "version": "1.0", "kind": "full", "name": name(), "created": "", "finished": "", "writer": "",
            "status": "complete", "payload": "jsonl", "pretty": false, "compression": "none",
            "source": {"database": "shop", "server": {"version": "6.0.5", "topology": "standalone"}},
            "consistency": {"level": "none"}, "metadata": metadata, "collections": [],
        });
        serde_json::from_value(manifest).expect("a manifest")
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
                let (most, mut manifest) = (u64::from(splits % 40), manifest(&expected[0]));
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
                let mut manifest = super::tests::manifest(&composed[0]);
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
                prop_assert!(bytes == expected_bytes, "{:?}: other bytes", compression);
            }
        }
    }
}
