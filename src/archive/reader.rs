//! Opening an archive of ours and decoding its segments, every one checked (FORMAT 6, 7).

use std::collections::HashSet;

use bytes::Bytes;
use thiserror::Error;

use super::frame::{MAX_GLUE_BYTES, MAX_SEGMENT_BYTES, check_content, decode_frame, max_stored};
use super::{ArchiveName, Compression, Entry, Extent, Footer, Manifest, Segment};
use crate::failure::{Failure, FailureKind};

/// Why an archive cannot be trusted, or read.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ArchiveError {
    /// There is no footer.
    #[error(
        "no footer at the end: the object is truncated, or was not written by mongotar. Compare its size with the manifest beside it; \
         what is there can still be extracted with tar"
    )]
    NoFooter,
    /// The footer is there, and wrong.
    #[error("the footer is damaged: {0}")]
    Footer(String),
    /// The archive is of a format that this program does not know.
    #[error("the archive has format version {0}, which this version of mongotar does not read: use a newer one")]
    Version(String),
    /// The trailer or the manifest in it.
    #[error("the manifest at offset {offset} is damaged: {reason}")]
    Manifest {
        /// Where the trailer begins.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A segment.
    #[error("{entry}, segment {segment} (offset {offset}, {length} bytes) is damaged: {reason}")]
    Segment {
        /// The entry's path.
        entry: String,
        /// Which of its segments, from 0.
        segment: usize,
        /// Where it is stored.
        offset: u64,
        /// How long it is stored.
        length: u64,
        /// What is wrong.
        reason: String,
    },
    /// A tar header.
    #[error("{entry}: its tar header (offset {offset}, {length} bytes) is damaged: {reason}")]
    Header {
        /// The entry's path.
        entry: String,
        /// Where the glue begins.
        offset: u64,
        /// How long it is.
        length: u64,
        /// What is wrong.
        reason: String,
    },
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let kind = match error {
            ArchiveError::Version(_) => FailureKind::ArchiveUnsupported,
            _ => FailureKind::ArchiveDamaged,
        };
        Self::new(kind, error.to_string())
    }
}

/// An archive whose footer, trailer and manifest have been checked.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The footer.
    pub footer: Footer,
    /// The manifest.
    pub manifest: Manifest,
}

impl Opened {
    /// Checks the trailer's bytes against the footer, and what the manifest says against itself.
    ///
    /// # Errors
    /// [`ArchiveError::Manifest`] for damage or an impossible table of contents; [`ArchiveError::Version`] for what cannot be read.
    pub fn verify(footer: Footer, trailer: &[u8]) -> Result<Self, ArchiveError> {
        let damaged = |reason: String| ArchiveError::Manifest {
            offset: footer.trailer.offset,
            reason,
        };
        if trailer.len() as u64 != footer.trailer.length {
            return Err(damaged(format!(
                "{} bytes were read of {}",
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
        check_contents(&manifest, footer.trailer.offset).map_err(damaged)?;
        Ok(Self { footer, manifest })
    }

    /// Checks and decodes segment `index` of `entry` from its stored bytes into `out`, which is cleared first.
    ///
    /// # Errors
    /// [`ArchiveError::Segment`], naming entry, segment and offset.
    pub fn decode(&self, entry: &Entry, index: usize, stored: &[u8], out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        let segment = &entry.segments[index];
        check_segment(segment, stored)
            .and_then(|()| decode_frame(self.manifest.compression, stored, segment.decoded_bytes, out))
            .map_err(|reason| Self::segment_error(entry, index, reason))
    }

    /// The same, of bytes that are not needed otherwise: where nothing is compressed, they are the content.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn content(&self, entry: &Entry, index: usize, stored: Bytes) -> Result<Bytes, ArchiveError> {
        let segment = &entry.segments[index];
        if self.manifest.compression == Compression::None {
            return check_segment(segment, &stored)
                .and_then(|()| check_content(&stored, segment.decoded_bytes))
                .map(|()| stored)
                .map_err(|reason| Self::segment_error(entry, index, reason));
        }
        let mut content = Vec::new();
        self.decode(entry, index, &stored, &mut content)?;
        Ok(content.into())
    }

    /// The error that names segment `index` of `entry`.
    pub fn segment_error(entry: &Entry, index: usize, reason: String) -> ArchiveError {
        ArchiveError::Segment {
            entry: entry.path.clone(),
            segment: index,
            offset: entry.segments[index].extent.offset,
            length: entry.segments[index].extent.length,
            reason,
        }
    }

    /// Checks the glue frame with an entry's tar header: that its bytes are those that were written, and that the size which stock tools read
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
    if head.version.split('.').next() != Some("1") {
        return Err(ParseError::Version(head.version));
    }
    if head.kind != "full" {
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

/// The extents tile the object up to the trailer, sizes are bounded and add up, names are unique.
fn check_contents(manifest: &Manifest, trailer: u64) -> Result<(), String> {
    if ArchiveName::parse(manifest.name.as_str()).is_none() {
        return Err(format!("it states the archive's name as {:?}", manifest.name.as_str()));
    }
    let mut names = HashSet::new();
    if let Some(twice) = manifest.collections.iter().find(|saved| !names.insert(&saved.name)) {
        return Err(format!("it lists the collection {:?} twice", twice.name));
    }
    let mut extents = Vec::new();
    for entry in manifest.entries() {
        extents.push(Extent {
            offset: entry.header.offset,
            length: entry.header.length,
        });
        extents.extend(entry.segments.iter().map(|segment| segment.extent));
        if entry.header.length > MAX_GLUE_BYTES {
            return Err(format!(
                "{}: its header claims {} bytes",
                entry.path, entry.header.length
            ));
        }
        // A segment is fetched and decoded whole, so both lengths are bounds on a reader's memory.
        let too_long = |segment: &&Segment| {
            segment.decoded_bytes > MAX_SEGMENT_BYTES || segment.extent.length > max_stored(MAX_SEGMENT_BYTES)
        };
        if let Some(segment) = entry.segments.iter().find(too_long) {
            return Err(format!(
                "{}: a segment claims {} bytes, stored as {}",
                entry.path, segment.decoded_bytes, segment.extent.length
            ));
        }
        let total = entry
            .segments
            .iter()
            .try_fold(0_u64, |sum, segment| sum.checked_add(segment.decoded_bytes));
        if total != Some(entry.bytes) {
            return Err(format!("{}: the segments do not add up to its size", entry.path));
        }
    }
    for saved in &manifest.collections {
        let mut rows = saved.entry.iter().flat_map(|entry| &entry.segments);
        let documents = rows.try_fold(0_u64, |sum, row| sum.checked_add(row.documents));
        if documents != Some(saved.documents) {
            return Err(format!("{:?}: the segments do not add up to its documents", saved.name));
        }
    }
    extents.sort_unstable();
    let mut end = 0;
    for extent in extents {
        if extent.offset != end {
            return Err(format!("the table of contents has a gap or an overlap at offset {end}"));
        }
        end = extent.end().ok_or("the table of contents overflows")?;
    }
    if end != trailer {
        return Err(format!(
            "the table of contents ends at {end}, the trailer begins at {trailer}"
        ));
    }
    Ok(())
}
