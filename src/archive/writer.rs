//! Lays out an archive in one pass (FORMAT 2, 3, 6).

use serde::{Deserialize, Serialize};

use super::compose::{LaneContent, LaneEntry};
use super::crc::Crc32;
use super::footer::Major;
use super::frame::GluePlace;
use super::part::{AssemblerState, PartAssembler};
use super::table::{MOST_INLINE, MOST_SEGMENTS, TABLE_ENTRY, Table, put_inline};
use super::tail::Tail;
use super::tar_header::{HeaderPlan, padding};
use super::trailing::{TakenUsers, TrailerPlace, Trailing};
use super::{
    ArchiveName, Compression, CopiedPart, Entry, Extent, FrameEncoder, MANIFEST_ENTRY, Manifest, Part, PartSchedule,
    Region, Rows, SavedUsers, Segment, StoredFrame,
};

/// Writes one archive's bytes as parts, in the order of events: [`begin`](Self::begin), [`segment`](Self::segment)…,
/// [`end`](Self::end) for each entry, then [`list`](Self::list) and [`finish`](Self::finish). After each call,
/// [`next_part`](Self::next_part) gives what can be sent.
///
/// One list for the whole archive holds where segments lie, 64 bytes each: entries only say which [`Rows`] of it are
/// theirs.
#[derive(Debug)]
pub struct ArchiveWriter {
    name: ArchiveName,
    compression: Compression,
    mtime: u64,
    parts: PartAssembler,
    /// Padding that the previous entry's content still needs; it goes into the next glue.
    padding: usize,
    open: Option<OpenEntry>,
    /// CRC-32 of the tar stream before the open entry's glue, and how long it is. Only gzip needs it.
    tar_crc32: Crc32,
    /// What a lane has written; `None` for a whole archive.
    lane: Option<Vec<LaneEntry>>,
    /// Every segment so far, of all entries.
    rows: Vec<Segment>,
    major: Major,
    /// What comes between the last of them and the manifest.
    trailing: Trailing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OpenEntry {
    plan: HeaderPlan,
    glue: Extent,
    padding: usize,
    bytes: u64,
    crc32: Crc32,
    rows: Rows,
}

/// Where a writer is, in the middle of an archive or even of an entry. Its bytes and the rows of its segments are kept
/// beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriterState {
    name: ArchiveName,
    compression: Compression,
    parts: AssemblerState,
    padding: usize,
    open: Option<OpenEntry>,
    tar_crc32: Crc32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lane: Option<Vec<LaneEntry>>,
    /// How many rows there are.
    rows: u64,
}

impl WriterState {
    /// The number of the part kept back, if any.
    pub fn held(&self) -> Option<u32> {
        self.parts.held()
    }
}

impl ArchiveWriter {
    /// Where it is. Every part that [`next_part`](Self::next_part) gives must have been taken.
    pub fn state(&self) -> WriterState {
        WriterState {
            name: self.name.clone(),
            compression: self.compression,
            parts: self.parts.state(),
            padding: self.padding,
            open: self.open.clone(),
            tar_crc32: self.tar_crc32,
            lane: self.lane.clone(),
            rows: self.rows.len() as u64,
        }
    }

    /// Every segment so far. What is there stays as it is.
    pub fn rows(&self) -> &[Segment] {
        &self.rows
    }

    /// Whether there is no room for another segment: the table of contents would be longer than readers take.
    pub fn is_full(&self) -> bool {
        self.rows.len() as u64 >= MOST_SEGMENTS
    }

    /// The bytes of the part that is being filled.
    pub fn current_bytes(&self) -> &[u8] {
        self.parts.current_bytes()
    }

    /// The bytes of the part that is kept back. They stay as they are until its entry ends.
    pub fn held_bytes(&self) -> Option<&[u8]> {
        self.parts.held_bytes()
    }

    /// Continues another one; `None` if the rows or bytes do not match the state.
    pub fn resume(state: WriterState, rows: Vec<Segment>, current: Vec<u8>, held: Option<Vec<u8>>) -> Option<Self> {
        (rows.len() as u64 == state.rows).then_some(())?;
        Some(Self {
            mtime: u64::try_from(state.name.unix_seconds()).unwrap_or(0),
            name: state.name,
            compression: state.compression,
            parts: PartAssembler::resume(state.parts, current, held)?,
            padding: state.padding,
            open: state.open,
            tar_crc32: state.tar_crc32,
            lane: state.lane,
            rows,
            major: Major::One,
            trailing: Trailing::default(),
        })
    }

    /// Begins an archive.
    pub fn new(name: ArchiveName, compression: Compression, schedule: PartSchedule) -> Self {
        Self {
            mtime: u64::try_from(name.unix_seconds()).unwrap_or(0),
            name,
            compression,
            parts: PartAssembler::new(schedule),
            padding: 0,
            open: None,
            tar_crc32: Crc32::default(),
            lane: None,
            rows: Vec::new(),
            major: Major::One,
            trailing: Trailing::default(),
        }
    }

    /// Begins a lane: [`Composer`](super::Composer) makes an archive of several. Its first entry has no header, since
    /// what precedes it is unknown, and, if the next lane continues it, so is its size.
    pub fn lane(name: ArchiveName, compression: Compression, schedule: PartSchedule) -> Self {
        Self {
            lane: Some(Vec::new()),
            ..Self::new(name, compression, schedule)
        }
    }

    /// Ends a lane; returns the last parts and what was written.
    pub fn finish_lane(self) -> (Vec<Part>, LaneContent) {
        let content = LaneContent {
            bytes: self.parts.offset(),
            entries: self.lane.unwrap_or_default(),
            rows: self.rows,
        };
        (self.parts.finish().into(), content)
    }

    /// Begins an entry whose name will be one of `files`, known when it ends. No entry may be open.
    pub fn begin(&mut self, files: &[&str]) {
        debug_assert!(self.open.is_none(), "one entry at a time");
        let paths: Vec<String> = files.iter().map(|file| self.name.entry(file)).collect();
        let plan = HeaderPlan::new(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        let offset = self.parts.offset();
        if !self.is_headless() {
            let glue = self.compression.glue_length(self.padding + plan.length());
            self.parts.leave_hole(self.prologue().len() + glue);
        }
        self.open = Some(OpenEntry {
            plan,
            glue: Extent {
                offset,
                length: self.parts.offset() - offset,
            },
            padding: std::mem::take(&mut self.padding),
            bytes: 0,
            crc32: Crc32::default(),
            rows: Rows::from(self.rows.len() as u64),
        });
    }

    /// Adds a segment of `documents` whole documents to the open entry.
    pub fn segment(&mut self, frame: &StoredFrame, documents: u64) {
        let Some(open) = &mut self.open else {
            debug_assert!(false, "a segment belongs to an entry");
            return;
        };
        let segment = Segment {
            extent: Extent {
                offset: self.parts.offset(),
                length: frame.stored.len() as u64,
            },
            decoded_bytes: frame.decoded_bytes,
            documents,
            blake3: frame.blake3,
        };
        open.rows.add(&segment);
        self.rows.push(segment);
        open.bytes += frame.decoded_bytes;
        if self.compression == Compression::Gzip {
            open.crc32 = open.crc32.then(Crc32::of_run(frame.crc32, frame.decoded_bytes));
        }
        self.parts.append(&frame.stored);
    }

    /// Adds a segment that lies in another object already, with the bytes that it has there; not in the form of gzip,
    /// whose end needs what is in them. The store may copy it: [`Self::next_copied`].
    pub fn copied(&mut self, source: u32, segment: &Segment, stored: &[u8]) {
        let Some(open) = &mut self.open else {
            debug_assert!(false, "a segment belongs to an entry");
            return;
        };
        debug_assert!(self.compression != Compression::Gzip, "it has no CRC");
        let mut here = *segment;
        here.extent.offset = self.parts.offset();
        open.rows.add(&here);
        self.rows.push(here);
        open.bytes += segment.decoded_bytes;
        self.parts.copy(source, segment.extent, stored);
    }

    /// A part that the store is to copy. After [`Self::end_copies`] all of them can be taken.
    pub fn next_copied(&mut self) -> Option<CopiedPart> {
        self.parts.next_copied()
    }

    /// Nothing that could be copied follows.
    pub fn end_copies(&mut self) {
        self.parts.end_run();
    }

    /// Ends the open entry under the name `file`, one of those it began with.
    pub fn end(&mut self, file: &str) -> Entry {
        let open = self.open.take().expect("an entry was begun");
        let path = self.name.entry(file);
        let (mut content, mut stored) = (Vec::new(), Vec::new());
        if !self.is_headless() {
            content.resize(open.padding, 0);
            content.extend_from_slice(&open.plan.build(&path, open.bytes, self.mtime));
            if open.glue.offset == 0 && self.lane.is_none() {
                stored.extend_from_slice(self.compression.prologue());
            }
            stored.extend_from_slice(&self.compression.glue(&content, GluePlace::Between));
            self.parts.fill_hole(&stored);
        }
        let glue = match self.compression {
            Compression::Gzip => Crc32::of(&content),
            Compression::None | Compression::Zstd => Crc32::default(),
        };
        self.tar_crc32 = self.tar_crc32.then(glue).then(open.crc32);
        self.padding = padding(open.bytes);
        let entry = Entry {
            path,
            header: Region {
                offset: open.glue.offset,
                length: open.glue.length,
                blake3: blake3::hash(&stored),
            },
            bytes: open.bytes,
            segments: Vec::new(),
            rows: Some(open.rows),
        };
        if let Some(written) = &mut self.lane {
            written.push(LaneEntry {
                entry: entry.clone(),
                glue,
                crc32: open.crc32,
            });
        }
        entry
    }

    /// Whether the next entry, or the one that is open, is a lane's first.
    fn is_headless(&self) -> bool {
        self.lane.as_ref().is_some_and(Vec::is_empty)
    }

    /// Writes a small entry whole.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`].
    pub fn entry(&mut self, file: &str, content: &[u8], encoder: &mut FrameEncoder) -> std::io::Result<Entry> {
        let frame = encoder.encode(&mut content.to_vec())?;
        self.begin(&[file]);
        self.segment(&frame, 0);
        Ok(self.end(file))
    }

    /// Puts users and roles into the trailer. Only [`finish`](Self::finish) may follow.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`].
    pub fn users(&mut self, taken: &TakenUsers, encoder: &mut FrameEncoder) -> std::io::Result<SavedUsers> {
        let place = TrailerPlace {
            path: &|file| self.name.entry(file),
            mtime: self.mtime,
            compression: self.compression,
            offset: self.parts.offset(),
            padding: self.padding,
        };
        taken.write(&mut self.trailing, &place, encoder)
    }

    /// Whether an entry was begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many bytes there are so far.
    pub fn offset(&self) -> u64 {
        self.parts.offset()
    }

    /// A part to send. Numbers come out of order: the part with an open entry's header waits.
    pub fn next_part(&mut self) -> Option<Part> {
        self.parts.next_ready()
    }

    /// Puts the segments' rows into this archive's manifest, or, if they are too many, returns them to be written
    /// [page](Self::page) by page. No entry may be open.
    pub fn list(&mut self, manifest: &mut Manifest) -> Option<Table> {
        self.list_within(manifest, MOST_INLINE)
    }

    /// As [`Self::list`], with no more rows in the manifest than that.
    pub fn list_within(&mut self, manifest: &mut Manifest, most_inline: u64) -> Option<Table> {
        let table = Table::of(manifest, std::mem::take(&mut self.rows), most_inline)?;
        self.begin(&[TABLE_ENTRY]);
        self.major = Major::Two;
        Some(table)
    }

    /// Adds a page to the table.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`].
    pub fn page(&mut self, (mut text, rows): (Vec<u8>, u64), encoder: &mut FrameEncoder) -> std::io::Result<()> {
        let frame = encoder.encode(&mut text)?;
        self.segment(&frame, rows);
        Ok(())
    }

    /// Ends the table; the manifest lists its pages.
    pub fn end_table(&mut self, manifest: &mut Manifest) {
        let mut entry = self.end(TABLE_ENTRY);
        put_inline(&mut entry, &std::mem::take(&mut self.rows));
        manifest.table = Some(entry);
    }

    /// Appends the manifest, the tar's end and the footer; returns the last parts and the object's length.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`].
    pub fn finish(mut self, mut manifest: Vec<u8>, encoder: &mut FrameEncoder) -> std::io::Result<(Vec<Part>, u64)> {
        let frame = encoder.encode(&mut manifest)?;
        let (trailer, footer) = Tail {
            major: self.major,
            path: self.name.entry(MANIFEST_ENTRY),
            compression: self.compression,
            mtime: self.mtime,
            offset: self.parts.offset(),
            padding: self.padding,
            tar_crc32: self.tar_crc32,
            trailing: self.trailing,
        }
        .build(&frame);
        self.parts.append(&trailer);
        self.parts.append(&footer);
        let length = self.parts.offset();
        Ok((self.parts.finish().into(), length))
    }

    /// What comes before the first frame, if nothing has been written yet.
    fn prologue(&self) -> &'static [u8] {
        match self.parts.offset() {
            0 if self.lane.is_none() => self.compression.prologue(),
            _ => &[],
        }
    }
}
