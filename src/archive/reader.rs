//! Opening an archive of ours and decoding its segments, every one checked (FORMAT 6, 7).

use bytes::Bytes;

use super::error::ArchiveError;
use super::footer::{Footer, Major};
use super::frame::{check_content, decode_frame};
use super::listed::{ListedPages, check_contents};
use super::table::rows_of_page;
use super::{Compression, Entry, Manifest, Segment};

/// An archive whose footer, trailer and manifest have been checked.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The footer.
    pub footer: Footer,
    /// The manifest.
    pub manifest: Manifest,
    /// BLAKE3 of its text, by which an increment names its parent.
    pub text: blake3::Hash,
    /// Where its rows are.
    listed: ListedPages,
}

/// One segment of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// Which of its segments, from 0.
    pub index: usize,
    /// Where it lies.
    pub segment: Segment,
}

impl Located<'_> {
    /// The error that names it.
    pub fn damaged(&self, reason: String) -> ArchiveError {
        ArchiveError::Segment {
            entry: self.entry.path.clone(),
            segment: self.index,
            offset: self.segment.extent.offset,
            length: self.segment.extent.length,
            reason,
        }
    }
}

impl Opened {
    /// Checks the trailer's bytes against the footer, and what the manifest says against itself.
    ///
    /// # Errors
    /// [`ArchiveError::Manifest`] for damage or an impossible table of contents; [`ArchiveError::Version`] for what
    /// cannot be read.
    pub fn verify(footer: Footer, trailer: &[u8]) -> Result<Self, ArchiveError> {
        let damaged = |reason: String| ArchiveError::Manifest {
            offset: footer.trailer.offset,
            reason,
        };
        if trailer.len() as u64 != footer.trailer.length {
            return Err(damaged(format!(
                "{} of {} bytes were read",
                trailer.len(),
                footer.trailer.length
            )));
        }
        if blake3::hash(trailer) != footer.blake3 {
            return Err(damaged("its checksum does not match the footer's".to_owned()));
        }
        let start = (footer.manifest.offset - footer.trailer.offset) as usize;
        let stored = &trailer[start..start + footer.manifest.length as usize];
        let mut text = Vec::new();
        decode_frame(footer.compression, stored, footer.manifest_bytes, &mut text).map_err(damaged)?;
        let manifest = parse(&text).map_err(|error| match error {
            ParseError::Version(version) => ArchiveError::Version(version),
            ParseError::Damaged(reason) => damaged(reason),
        })?;
        if manifest.compression != footer.compression {
            return Err(damaged("it states another compression than the footer".to_owned()));
        }
        if manifest.table.is_some() && footer.major == Major::One {
            return Err(damaged(
                "it has a table, which the footer's version does not know".to_owned(),
            ));
        }
        if manifest.version.starts_with("1.") != (footer.major == Major::One) {
            return Err(damaged("it states another version than the footer".to_owned()));
        }
        let listed = check_contents(&manifest, footer.trailer.offset).map_err(damaged)?;
        Ok(Self {
            footer,
            manifest,
            text: blake3::hash(&text),
            listed,
        })
    }

    /// Which page of the table lists segment `index` of `entry`, and as which of its rows; `None` if the manifest
    /// does it itself.
    pub fn page_of(&self, entry: &Entry, index: usize) -> Option<(usize, usize)> {
        self.listed.page_of(entry.rows?.first + index as u64)
    }

    /// Where page `page` of the table lies.
    pub fn page(&self, page: usize) -> Option<Located<'_>> {
        let table = self.manifest.table.as_ref()?;
        Some(Located {
            entry: table,
            index: page,
            segment: *table.segments.get(page)?,
        })
    }

    /// The rows of a page, out of its stored bytes.
    ///
    /// # Errors
    /// [`ArchiveError::Segment`], naming the table and the page.
    pub fn rows_of(&self, page: Located<'_>, stored: &[u8]) -> Result<Vec<Segment>, ArchiveError> {
        let mut text = Vec::new();
        self.decode(page, stored, &mut text)?;
        rows_of_page(&text, page.segment.documents).map_err(|reason| page.damaged(reason))
    }

    /// A segment that a row of the table lists, checked like those in the manifest.
    ///
    /// # Errors
    /// [`ArchiveError::Segment`] if it does not lie within its entry, or is longer than any can be.
    pub fn listed<'a>(&self, entry: &'a Entry, index: usize, row: Segment) -> Result<Located<'a>, ArchiveError> {
        let located = Located {
            entry,
            index,
            segment: row,
        };
        self.listed
            .check(entry, &row)
            .map_err(|reason| located.damaged(reason))?;
        Ok(located)
    }

    /// Checks and decodes a segment from its stored bytes into `out`, which is cleared first.
    ///
    /// # Errors
    /// [`ArchiveError::Segment`], naming entry, segment and offset.
    pub fn decode(&self, located: Located<'_>, stored: &[u8], out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        check_segment(&located.segment, stored)
            .and_then(|()| decode_frame(self.manifest.compression, stored, located.segment.decoded_bytes, out))
            .map_err(|reason| located.damaged(reason))
    }

    /// The same, taking the bytes: if nothing is compressed, they are the content.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn content(&self, located: Located<'_>, stored: Bytes) -> Result<Bytes, ArchiveError> {
        if self.manifest.compression == Compression::None {
            return check_segment(&located.segment, &stored)
                .and_then(|()| check_content(&stored, located.segment.decoded_bytes))
                .map(|()| stored)
                .map_err(|reason| located.damaged(reason));
        }
        let mut content = Vec::new();
        self.decode(located, &stored, &mut content)?;
        Ok(content.into())
    }

    /// Checks the glue frame with an entry's tar header: its bytes are as written, and the size that stock tools read
    /// there is the content's.
    ///
    /// # Errors
    /// [`ArchiveError::Header`].
    pub fn check_header(&self, entry: &Entry, stored: &[u8]) -> Result<(), ArchiveError> {
        let damaged = |reason: &str| ArchiveError::Header {
            entry: entry.path.clone(),
            offset: entry.header.offset,
            length: entry.header.length,
            reason: reason.to_owned(),
        };
        if stored.len() as u64 != entry.header.length || blake3::hash(stored) != entry.header.blake3 {
            return Err(damaged("its checksum does not match"));
        }
        let stored = match entry.header.offset {
            0 => stored.strip_prefix(self.manifest.compression.prologue()),
            _ => Some(stored),
        };
        let content = stored
            .and_then(|stored| self.manifest.compression.unglue(stored))
            .ok_or_else(|| damaged("it is not framed as glue"))?;
        let header = content
            .last_chunk::<512>()
            .map(|block| tar::Header::from_byte_slice(block))
            .ok_or_else(|| damaged("it is shorter than a tar header"))?;
        match header.size() {
            Ok(size) if size == entry.bytes => Ok(()),
            _ => Err(damaged("it states another size than the manifest")),
        }
    }
}

fn check_segment(segment: &Segment, stored: &[u8]) -> Result<(), String> {
    if stored.len() as u64 != segment.extent.length {
        return Err(format!("{} bytes were read", stored.len()));
    }
    if blake3::hash(stored) != segment.blake3 {
        return Err("its checksum does not match".to_owned());
    }
    Ok(())
}

enum ParseError {
    Version(String),
    Damaged(String),
}

/// Reads a manifest's text: the one in an archive, or its copy beside it.
fn parse(text: &[u8]) -> Result<Manifest, ParseError> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
        version: String,
        kind: String,
    }
    let invalid = |error: serde_json::Error| ParseError::Damaged(format!("it is not a manifest: {error}"));
    let head: Head = serde_json::from_slice(text).map_err(invalid)?;
    if head.format != "mongotar" {
        return Err(ParseError::Damaged(format!("it is of format {:?}", head.format)));
    }
    if !matches!(head.version.split('.').next(), Some("1" | "2")) {
        return Err(ParseError::Version(head.version));
    }
    if !matches!(head.kind.as_str(), "full" | "increment") {
        return Err(ParseError::Version(format!("{} (kind {:?})", head.version, head.kind)));
    }
    serde_json::from_slice(text).map_err(invalid)
}

impl Manifest {
    /// Reads the copy beside an archive.
    ///
    /// # Errors
    /// As [`Opened::verify`]. The copy is not authenticated: the manifest inside the archive rules.
    pub fn from_sidecar(text: &[u8]) -> Result<Self, ArchiveError> {
        parse(text).map_err(|error| match error {
            ParseError::Version(version) => ArchiveError::Version(version),
            ParseError::Damaged(reason) => ArchiveError::Manifest { offset: 0, reason },
        })
    }
}
