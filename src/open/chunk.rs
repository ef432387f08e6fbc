//! Documents on their way out of an archive.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::archive::{Compression, Payload, Segment};
use crate::digest::{Digest, DocumentHasher, Hashing};
use crate::store::Object;

/// A run of whole documents.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Raw BSON, one document behind the other.
    pub bson: Bytes,
    /// Their digest.
    pub digest: Digest,
    /// The segment that they are, where that was asked for and nothing of it was left out.
    pub(crate) origin: Option<Arc<SegmentOrigin>>,
    /// The memory that they take, until the last piece of them is dropped.
    memory: Option<Arc<OwnedSemaphorePermit>>,
}

/// A segment of an archive, as it is stored.
#[derive(Debug)]
pub(crate) struct SegmentOrigin {
    /// In which object.
    pub(crate) object: Object,
    /// Where in it, and what it holds.
    pub(crate) segment: Segment,
    /// Its bytes there.
    pub(crate) stored: Bytes,
    /// How its documents are written.
    pub(crate) form: (Payload, Compression, bool),
}

impl Chunk {
    /// The documents one by one.
    pub fn documents(&self) -> impl Iterator<Item = &[u8]> {
        split_documents(&self.bson)
    }

    /// What comes behind its first documents; `None` if that is nothing.
    pub(crate) fn behind(self, documents: u64, hashing: Hashing) -> Option<Self> {
        if documents == 0 {
            return Some(self);
        }
        let bytes = self.bytes_of(documents);
        (bytes < self.bson.len()).then(|| self.part(bytes..self.bson.len(), hashing))
    }

    /// To be taken off piece by piece.
    pub(crate) fn pieces(self, hashing: Hashing) -> Pieces {
        Pieces {
            rest: Some(self),
            hashing,
        }
    }

    /// The same documents, otherwise written.
    pub(crate) fn rewritten(self, bson: Vec<u8>, hashing: Hashing) -> Self {
        Self {
            memory: self.memory,
            ..Self::new(bson.into(), hashing)
        }
    }

    pub(crate) fn new(bson: Bytes, hashing: Hashing) -> Self {
        Self {
            digest: digest_of(&bson, hashing),
            bson,
            origin: None,
            memory: None,
        }
    }

    /// One that is a whole segment.
    pub(super) fn of_segment(self, origin: SegmentOrigin) -> Self {
        Self {
            origin: Some(Arc::new(origin)),
            ..self
        }
    }

    /// One that takes memory as long as anything of it is there.
    pub(super) fn holding(self, memory: OwnedSemaphorePermit) -> Self {
        Self {
            memory: Some(Arc::new(memory)),
            ..self
        }
    }

    /// How long its first documents are.
    fn bytes_of(&self, documents: u64) -> usize {
        let documents = usize::try_from(documents).unwrap_or(usize::MAX);
        self.documents().take(documents).map(<[u8]>::len).sum()
    }

    fn part(&self, bytes: std::ops::Range<usize>, hashing: Hashing) -> Self {
        Self {
            memory: self.memory.clone(),
            ..Self::new(self.bson.slice(bytes), hashing)
        }
    }
}

/// What is left of a chunk.
#[derive(Debug)]
pub(crate) struct Pieces {
    rest: Option<Chunk>,
    hashing: Hashing,
}

impl Pieces {
    /// The next so many documents, or what is left.
    pub(crate) fn next(&mut self, documents: u64) -> Option<Chunk> {
        let rest = self.rest.take()?;
        let bytes = rest.bytes_of(documents.max(1));
        if bytes == 0 || bytes == rest.bson.len() {
            return Some(rest);
        }
        let piece = rest.part(0..bytes, self.hashing);
        self.rest = Some(Chunk {
            digest: rest.digest.without(&piece.digest),
            bson: rest.bson.slice(bytes..),
            origin: None,
            memory: rest.memory,
        });
        Some(piece)
    }
}

fn digest_of(bson: &[u8], hashing: Hashing) -> Digest {
    let mut hasher = DocumentHasher::new(hashing);
    split_documents(bson).for_each(|document| hasher.add_document(document));
    hasher.digest()
}

/// Splits concatenated BSON; what does not add up to whole documents is not given out, and is missing from every count.
pub(crate) fn split_documents(bson: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bson;
    std::iter::from_fn(move || {
        let length = usize::try_from(i32::from_le_bytes(*rest.first_chunk()?)).ok()?;
        let (document, after) = rest.split_at_checked(length.max(5))?;
        rest = after;
        Some(document)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn pieces_are_the_documents_and_their_digests_add_up() {
        let bson: Vec<u8> = (0..10)
            .flat_map(|n| rawdoc! {"_id": n, "text": "x".repeat(n as usize)}.into_bytes())
            .collect();
        let chunk = Chunk::new(bson.clone().into(), Hashing::Raw);
        for documents in [0, 1, 3, 10, 11] {
            let mut pieces = chunk.clone().pieces(Hashing::Raw);
            let (mut joined, mut sum) = (Vec::new(), Digest::default());
            while let Some(piece) = pieces.next(documents) {
                assert!(piece.digest.documents() <= documents.max(1));
                assert_eq!(piece.digest, digest_of(&piece.bson, Hashing::Raw));
                sum.merge(&piece.digest);
                joined.extend_from_slice(&piece.bson);
            }
            assert_eq!((joined, sum), (bson.clone(), chunk.digest), "{documents}");
        }
        let behind = chunk.clone().behind(7, Hashing::Raw).expect("three more");
        assert_eq!(behind.digest.documents(), 3);
        assert!(chunk.behind(10, Hashing::Raw).is_none());
    }
}
