//! What a pass through an archive hands out, and the answer it gets.

use super::ForeignError;

/// Documents are handed out when this many bytes have come together.
pub(super) const CHUNK: usize = 2 << 20;

/// A run of whole documents of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOn<'a> {
    /// The collection's name.
    pub collection: &'a str,
    /// How many documents.
    pub documents: u64,
    /// Their raw BSON, one behind the other: about 2 MiB, or one document.
    pub bson: Vec<u8>,
}

/// What the reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// Go on.
    Continue,
    /// Continue with the next entry: nothing more of this collection is wanted.
    SkipEntry,
    /// Stop.
    Stop,
}

/// The archive is not the one that was surveyed.
pub(super) fn changed(path: &str, what: &str) -> ForeignError {
    ForeignError::Changed(format!("{path:?} {what}"))
}
