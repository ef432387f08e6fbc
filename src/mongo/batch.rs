//! Walks a server's reply as bytes.
//!
//! A cursor's batch is a BSON array inside the reply: for each document a type byte, the index as text, NUL, and the
//! document, which begins with its own length. No more is needed to cut it into documents (BSON specification 1.1).

use std::ops::Range;

use bson::{RawBsonRef, RawDocumentBuf};
use mongodb::raw_batch_cursor::RawBatch;

use super::MongoError;
use super::ids::is_same_id;
use crate::archive::ClusterTime;

/// One reply of a cursor, with its documents.
#[derive(Clone, Debug)]
pub struct Batch {
    reply: RawBatch,
    /// The array's elements within the reply's bytes.
    elements: Range<usize>,
}

/// A run of documents within a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice(Range<usize>);

impl Slice {
    /// How many bytes of the reply it takes; its documents are a little less.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl Batch {
    pub(super) fn new(reply: RawBatch) -> Result<Self, MongoError> {
        let all = reply.as_raw_document().as_bytes();
        let array = reply
            .doc_slices()
            .map_err(|error| MongoError::unexpected("reading a batch", error.to_string()))?
            .as_bytes();
        let start = array.as_ptr() as usize - all.as_ptr() as usize;
        // Without the array's own length and its closing NUL.
        let elements = start + 4..start + array.len() - 1;
        Ok(Self { reply, elements })
    }

    /// The reply's length, which is what holding it costs.
    pub fn reply_bytes(&self) -> usize {
        self.reply.as_raw_document().as_bytes().len()
    }

    /// At which cluster time the server says that it reads: in the first reply of a cursor that is at a snapshot.
    pub(super) fn at_cluster_time(&self) -> Option<ClusterTime> {
        let cursor = self.reply.as_raw_document().get_document("cursor").ok()?;
        cursor.get_timestamp("atClusterTime").ok().map(ClusterTime::from)
    }

    /// What the server says a scan can go on from behind this reply.
    pub(super) fn resume_token(&self) -> Option<RawDocumentBuf> {
        let cursor = self.reply.as_raw_document().get_document("cursor").ok()?;
        let token = cursor.get_document("postBatchResumeToken").ok()?;
        // Nothing was read: there is no place yet.
        let is_place = !matches!(token.get("$recordId"), Ok(Some(RawBsonRef::Null)));
        is_place.then(|| token.to_owned())
    }

    /// Takes off the document with the same `_id` as another, and all behind it; false if there is none.
    ///
    /// # Errors
    /// If the reply is not a sequence of documents.
    pub(super) fn cut_before(&mut self, next: &[u8]) -> Result<bool, MongoError> {
        let mut walk = self.all_documents();
        let mut before = 0;
        while let Some(document) = walk.next() {
            if is_same_id(document?, next) {
                self.elements.end = self.elements.start + before;
                return Ok(true);
            }
            before = walk.at;
        }
        Ok(false)
    }

    /// How many documents there are. They are walked for that.
    ///
    /// # Errors
    /// If the reply is not a sequence of documents.
    pub fn count(&self) -> Result<u64, MongoError> {
        self.all_documents()
            .try_fold(0, |count, document| document.map(|_| count + 1))
    }

    /// Cuts the batch into slices of whole documents, of about `target` bytes each and at least one document. A reply
    /// that is not much larger than that is one slice, and is not walked.
    ///
    /// # Errors
    /// If the reply is not a sequence of documents.
    pub fn slices(&self, target: usize) -> Result<Vec<Slice>, MongoError> {
        if self.elements.len() <= target + target / 2 {
            let whole = Slice(self.elements.clone());
            return Ok(if whole.0.is_empty() { Vec::new() } else { vec![whole] });
        }
        let mut slices = Vec::new();
        let mut start = self.elements.start;
        let mut walk = self.all_documents();
        while let Some(document) = walk.next() {
            document?;
            let end = self.elements.start + walk.at;
            if end - start >= target || end == self.elements.end {
                slices.push(Slice(start..end));
                start = end;
            }
        }
        Ok(slices)
    }

    /// The documents of a slice that this batch gave.
    pub fn documents(&self, slice: &Slice) -> Documents<'_> {
        Documents {
            elements: self.bytes(&slice.0),
            at: 0,
        }
    }

    /// All documents of the batch.
    pub fn all_documents(&self) -> Documents<'_> {
        Documents {
            elements: self.bytes(&self.elements),
            at: 0,
        }
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.reply.as_raw_document().as_bytes()[range.clone()]
    }
}

/// Walks over documents in an array's bytes.
#[derive(Clone, Debug)]
pub struct Documents<'a> {
    elements: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a [u8], MongoError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.elements[self.at..];
        if rest.is_empty() {
            return None;
        }
        let found = split_element(rest);
        match found {
            Some((key, document)) => {
                self.at += key + document.len();
                Some(Ok(document))
            }
            None => {
                self.at = self.elements.len();
                Some(Err(MongoError::unexpected(
                    "reading a batch",
                    "the server's reply is not an array of documents",
                )))
            }
        }
    }
}

/// The length of type and key, and the document behind them.
fn split_element(element: &[u8]) -> Option<(usize, &[u8])> {
    if element[0] != 3 {
        return None;
    }
    let key = memchr::memchr(0, element)? + 1;
    let length: [u8; 4] = element.get(key..key + 4)?.try_into().ok()?;
    let length = usize::try_from(i32::from_le_bytes(length))
        .ok()
        .filter(|&length| length >= 5)?;
    Some((key, element.get(key..key.checked_add(length)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_walked_and_damage_is_refused() {
        let element = |index: &str, document: &[u8]| [&[3], index.as_bytes(), &[0], document].concat();
        let small = [5, 0, 0, 0, 0];
        let bytes = [element("0", &small), element("1", &small)].concat();
        let walk = |bytes: &[u8]| {
            Documents { elements: bytes, at: 0 }
                .collect::<Result<Vec<_>, _>>()
                .map(|found| found.len())
        };
        assert_eq!(walk(&bytes).ok(), Some(2));
        assert!(walk(&bytes[..bytes.len() - 1]).is_err());
        assert!(walk(&[&[2], &bytes[1..]].concat()).is_err());
        let overlong = [255, 255, 255, 127, 0];
        assert!(walk(&element("0", &overlong)).is_err());
    }
}
