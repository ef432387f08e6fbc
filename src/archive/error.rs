//! What can be wrong with an archive.

use thiserror::Error;

use crate::failure::{Failure, FailureKind};

/// Why an archive cannot be trusted, or read.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveError {
    /// There is no footer.
    #[error(
        "no footer at the end: the object is truncated, or was not written by mongotar. Compare its size with the manifest beside it; tar can still extract what is there"
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
