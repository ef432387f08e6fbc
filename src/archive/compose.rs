//! Joins the lanes that several workers wrote at once into one archive (DESIGN 4, scale-out).
//!
//! A lane is a run of an archive's bytes without the header of its first entry. Once all lanes are known, this module
//! makes what is missing between two of them: the padding of the one, the header of the next, with its size. So an
//! archive of many lanes equals, to the byte, that of one worker: a collection is one entry even if its documents come
//! from several lanes. Segments are independent frames, so they stay untouched, and the object store joins them without
//! passing a byte through here.

use serde::{Deserialize, Serialize};

use super::crc::Crc32;
use super::footer::Major;
use super::frame::GluePlace;
use super::table::{MOST_INLINE, TABLE_ENTRY, Table, put_inline};
use super::tail::Tail;
use super::tar_header::{HeaderPlan, padding};
use super::trailing::Trailing;
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
    /// The rows of all segments, kept separately since they are many.
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

    /// Puts the segments' rows into the manifest, or, if they are too many, into a table before it.
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
            trailing: Trailing::default(),
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
        stored.extend_from_slice(&self.compression.glue(&content, GluePlace::Between));
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
mod tests;
