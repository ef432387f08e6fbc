//! Documents on their way out of an archive.

use crate::digest::{Digest, DocumentHasher, Hashing};

/// A run of whole documents.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Raw BSON, one document behind the other.
    pub bson: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
}

impl Chunk {
    /// The documents one by one.
    pub fn documents(&self) -> impl Iterator<Item = &[u8]> {
        split_documents(&self.bson)
    }

    /// What comes behind its first documents; `None` where that is nothing.
    pub(crate) fn behind(self, documents: u64, hashing: Hashing) -> Option<Self> {
        if documents == 0 {
            return Some(self);
        }
        let left_out = usize::try_from(documents).unwrap_or(usize::MAX);
        let bytes: usize = self.documents().take(left_out).map(<[u8]>::len).sum();
        (bytes < self.bson.len()).then(|| Self::new(self.bson[bytes..].to_vec(), hashing))
    }

    pub(crate) fn new(bson: Vec<u8>, hashing: Hashing) -> Self {
        let mut hasher = DocumentHasher::new(hashing);
        split_documents(&bson).for_each(|document| hasher.add_document(document));
        Self {
            digest: hasher.digest(),
            bson,
        }
    }
}

/// Splits concatenated BSON; what does not add up to whole documents is not given out, and is missing from every count.
fn split_documents(bson: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bson;
    std::iter::from_fn(move || {
        let length = usize::try_from(i32::from_le_bytes(*rest.first_chunk()?)).ok()?;
        let (document, after) = rest.split_at_checked(length.max(5))?;
        rest = after;
        Some(document)
    })
}
