//! The `_id`s of documents, as they are looked up.
//!
//! They are copied as bytes and never decoded: a server holds `_id`s that a decoder refuses (invalid UTF-8, at any
//! depth), and if a lookup leaves an `_id` out, its document seems to be missing.

use bson::RawDocumentBuf;

use crate::elements::{Element, Elements};

/// What a lookup may take: half of what a command may, since one `_id` more must always fit.
const MAX_BYTES: usize = 8 << 20;

/// The `_id`s of some documents, for one lookup.
#[derive(Clone, Debug, Default)]
pub struct IdList {
    /// An array's elements.
    elements: Vec<u8>,
    len: usize,
}

impl IdList {
    /// The `_id`s of all of these documents; those without one are left out.
    pub fn of<'a>(documents: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut ids = Self::default();
        for document in documents {
            ids.push(document);
        }
        ids
    }

    /// Adds the `_id` of a document; false if it has none.
    pub fn push(&mut self, document: &[u8]) -> bool {
        let Some(id) = id_of(document) else { return false };
        self.add(id.kind, &document[id.value..id.end]);
        true
    }

    fn add(&mut self, kind: u8, value: &[u8]) {
        self.elements.push(kind);
        self.elements
            .extend_from_slice(itoa::Buffer::new().format(self.len).as_bytes());
        self.elements.push(0);
        self.elements.extend_from_slice(value);
        self.len += 1;
    }

    /// Those without the ones that are known by their [key](id_key).
    pub(crate) fn without(&self, is_known: impl Fn(u128) -> bool) -> Self {
        let mut others = Self::default();
        for (kind, value) in self.each(&enclosed(&self.elements)) {
            if !is_known(key_of(kind, value)) {
                others.add(kind, value);
            }
        }
        others
    }

    /// A document for each, with the `_id` alone, one behind the other.
    pub(crate) fn documents(&self) -> Vec<u8> {
        let mut documents = Vec::new();
        for (kind, value) in self.each(&enclosed(&self.elements)) {
            documents.extend_from_slice(&one_field(kind, "_id", value));
        }
        documents
    }

    fn each<'a>(&'a self, array: &'a [u8]) -> impl Iterator<Item = (u8, &'a [u8])> {
        let elements = Elements::of(array).map_while(Result::ok);
        elements.map(|id| (id.kind, &array[id.value..id.end]))
    }

    /// Whether another `_id` should go into another lookup.
    pub fn is_full(&self) -> bool {
        self.elements.len() >= MAX_BYTES
    }

    /// What they take of the memory.
    pub(crate) fn bytes(&self) -> usize {
        self.elements.capacity()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `{"_id": {"$in": […]}}`
    pub(super) fn filter(&self) -> Option<RawDocumentBuf> {
        const ARRAY: u8 = 4;
        let of_ids = one_field(ARRAY, "$in", &enclosed(&self.elements));
        const DOCUMENT: u8 = 3;
        RawDocumentBuf::from_bytes(one_field(DOCUMENT, "_id", &of_ids)).ok()
    }
}

/// A document with the `_id` of `document` under `key` and nothing else; `None` if it has none.
pub fn id_alone(document: &[u8], key: &str) -> Option<RawDocumentBuf> {
    let id = id_of(document)?;
    RawDocumentBuf::from_bytes(one_field(id.kind, key, &document[id.value..id.end])).ok()
}

/// Whether two documents have the same `_id`, byte for byte.
pub(super) fn is_same_id(one: &[u8], other: &[u8]) -> bool {
    match (id_of(one), id_of(other)) {
        (Some(a), Some(b)) => (a.kind, &one[a.value..a.end]) == (b.kind, &other[b.value..b.end]),
        _ => false,
    }
}

/// What stands for the `_id` of a document, byte for byte: no two `_id`s have the same. `None` if it has none.
pub(crate) fn id_key(document: &[u8]) -> Option<u128> {
    let id = id_of(document)?;
    Some(key_of(id.kind, &document[id.value..id.end]))
}

fn key_of(kind: u8, value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]).update(value);
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    u128::from_le_bytes(key)
}

fn id_of(document: &[u8]) -> Option<Element<'_>> {
    Elements::of(document)
        .map_while(Result::ok)
        .find(|element| element.key == b"_id")
}

fn one_field(kind: u8, key: &str, value: &[u8]) -> Vec<u8> {
    enclosed(&[&[kind], key.as_bytes(), &[0], value].concat())
}

/// Length before, NUL behind. What is too long for a length is too long for the server, which says so.
fn enclosed(elements: &[u8]) -> Vec<u8> {
    let length = u32::try_from(elements.len() + 5).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), elements, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, rawdoc};
    use std::collections::HashSet;

    #[test]
    fn what_is_known_is_taken_off_a_list() {
        let documents = [
            rawdoc! {"_id": 1},
            rawdoc! {"_id": 1_i64},
            rawdoc! {"_id": {"a": "x"}},
            rawdoc! {"_id": ""},
        ];
        let ids = IdList::of(documents.iter().map(|document| document.as_bytes()));
        let known = [&documents[0], &documents[2]].map(|document| id_key(document.as_bytes()).expect("a key"));
        let others = ids.without(|key| known.contains(&key));
        let expected = IdList::of(
            [&documents[1], &documents[3]]
                .into_iter()
                .map(|document| document.as_bytes()),
        );
        assert_eq!((others.len(), others.filter()), (2, expected.filter()));
        let keys: HashSet<u128> = documents
            .iter()
            .filter_map(|document| id_key(document.as_bytes()))
            .collect();
        assert!(ids.without(|key| keys.contains(&key)).is_empty());
        let all: Vec<u8> = documents.into_iter().flat_map(RawDocumentBuf::into_bytes).collect();
        assert_eq!(ids.documents(), all);
    }

    #[test]
    fn ids_are_copied_as_they_are() {
        let (one, none) = (rawdoc! {"x": 1, "_id": {"b": 1, "a": 2}}, rawdoc! {"x": 1});
        let broken = b"\x10\x00\x00\x00\x02_id\0\x02\0\0\0\xFF\0\0";
        let broken: &[u8] = &[&(broken.len() as u32).to_le_bytes(), &broken[4..]].concat();
        let ids = IdList::of([one.as_bytes(), none.as_bytes(), broken].into_iter());
        assert_eq!((ids.len(), ids.is_empty(), ids.is_full()), (2, false, false));
        let filter = IdList::of([one.as_bytes()].into_iter()).filter().expect("a filter");
        assert_eq!(filter, rawdoc! {"_id": {"$in": [{"b": 1, "a": 2}]}});
        assert_eq!(id_alone(one.as_bytes(), "k"), Some(rawdoc! {"k": {"b": 1, "a": 2}}));
        assert_eq!(
            id_alone(broken, "_id").map(RawDocumentBuf::into_bytes).as_deref(),
            Some(broken)
        );
        assert_eq!(id_alone(none.as_bytes(), "_id"), None);
        let empty = bson::serialize_to_vec(&doc! {"_id": {"$in": []}}).expect("BSON");
        assert_eq!(IdList::default().filter().map(RawDocumentBuf::into_bytes), Some(empty));
    }
}
