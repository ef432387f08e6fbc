//! One collection's documents, as they come out of an archive.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Chunk;
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind};

/// How many chunks of a collection are handed on before the first of them is taken: those of a small collection, which
/// then keeps nobody waiting.
const CHUNKS: usize = 4;

/// The documents of one collection, on their way.
#[derive(Debug)]
pub struct CollectionStream {
    /// The collection's name in the archive.
    pub name: String,
    /// How many of its documents were left out from the beginning.
    pub passed: u64,
    /// Its documents; ends after the first error.
    pub chunks: mpsc::Receiver<Result<Chunk, Failure>>,
    /// Where its documents are large: until this is dropped, no other collection of the archive is read.
    pub(super) alone: Option<Arc<OwnedSemaphorePermit>>,
}

impl CollectionStream {
    /// What keeps other collections from being read while this one is worked on, though its documents have been read.
    pub(crate) fn alone(&self) -> Option<Arc<OwnedSemaphorePermit>> {
        self.alone.clone()
    }

    /// One whose documents have not come yet, and where they are to go.
    pub(super) fn channel(name: String) -> (mpsc::Sender<Result<Chunk, Failure>>, Self) {
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let stream = Self {
            name,
            passed: 0,
            chunks,
            alone: None,
        };
        (sender, stream)
    }
}

/// The archive gave something else than its manifest, or the survey of it, says.
pub(crate) fn not_what_was_promised(read: &Digest, expected: &Digest) -> Failure {
    Failure::new(
        FailureKind::ArchiveDamaged,
        format!(
            "the archive gave {} documents with the digest {read}, but its manifest says {} with {expected}",
            read.documents(),
            expected.documents(),
        ),
    )
}
