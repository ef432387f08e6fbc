//! Makes the server's own changes to a document first, so that they are not mistaken for loss or damage.
//!
//! A server keeps documents as they come, with three exceptions; our archives need none, since their documents come
//! from a server:
//!
//! - a document without an `_id` gets one. We make it from the document and its place in the archive, so that restoring
//!   twice gives the same documents and not twice as many;
//! - an `_id` that is not the first field moves to the front;
//! - in a time series, which needs neither, the fields within the `metaField` are sorted by name at every depth.
//!
//! Documents are loaded, hashed and compared as they will be kept.

use super::Chunk;
use crate::catalog::{Definition, Kind};
use crate::digest::Hashing;
use crate::elements::{Element, Elements};

const DOCUMENT: u8 = 3;
const ARRAY: u8 = 4;
const OBJECT_ID: u8 = 7;
/// As deep as a server's documents go; what is deeper in a hostile archive is left to the server.
const MAX_DEPTH: usize = 200;

/// Makes documents of one collection what the server will keep. To be asked for all of them, in the order of the
/// archive.
#[derive(Debug)]
pub(crate) struct Keeper<'a> {
    /// The collection's name in the archive.
    source: &'a str,
    kind: Kind,
    hashing: Hashing,
    /// The field whose content a time series sorts.
    meta_field: Option<String>,
    /// How many documents have passed.
    passed: u64,
    /// How many of them had no `_id`.
    pub(crate) ids_given: u64,
}

impl<'a> Keeper<'a> {
    /// For the collection `source` of the archive, which is to be of that kind, with these options.
    pub(crate) fn new(source: &'a str, kind: Kind, options: &Definition, hashing: Hashing) -> Self {
        let timeseries = options.get_document("timeseries");
        Self {
            source,
            kind,
            hashing,
            meta_field: timeseries
                .and_then(|options| options.get_str("metaField").ok())
                .map(str::to_owned),
            passed: 0,
            ids_given: 0,
        }
    }

    /// One that goes on behind so many documents, of which some were given an `_id`.
    pub(crate) fn behind(self, passed: u64, ids_given: u64) -> Self {
        Self {
            passed,
            ids_given,
            ..self
        }
    }

    /// How many documents have passed.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// The chunk as it will be kept; mostly it is the same.
    pub(crate) fn keep(&mut self, chunk: Chunk) -> Chunk {
        let mut rewritten: Option<Vec<u8>> = None;
        let mut before = 0;
        for document in chunk.documents() {
            match (self.kept(document), &mut rewritten) {
                (None, None) => {}
                (None, Some(bson)) => bson.extend_from_slice(document),
                (Some(kept), Some(bson)) => bson.extend_from_slice(&kept),
                (Some(kept), None) => rewritten = Some([&chunk.bson[..before], &kept].concat()),
            }
            before += document.len();
            self.passed += 1;
        }
        match rewritten {
            Some(bson) => chunk.rewritten(bson, self.hashing),
            None => chunk,
        }
    }

    /// The document as it will be kept; `None` if that is as it is.
    fn kept(&mut self, document: &[u8]) -> Option<Vec<u8>> {
        if self.kind == Kind::Timeseries {
            return with_sorted_meta(document, self.meta_field.as_deref()?);
        }
        let mut elements = Elements::of(document).map_while(Result::ok);
        match elements.position(|element| element.key == b"_id") {
            Some(0) => None,
            Some(_) => Some(with_id_first(document)),
            None => {
                self.ids_given += 1;
                Some(self.with_id(document))
            }
        }
    }

    fn with_id(&self, document: &[u8]) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.source.as_bytes());
        hasher.update(&self.passed.to_le_bytes());
        hasher.update(document);
        let hash = hasher.finalize();
        let mut out = vec![0; 4];
        out.push(OBJECT_ID);
        out.extend_from_slice(b"_id\0");
        out.extend_from_slice(&hash.as_bytes()[..12]);
        out.extend_from_slice(document.get(4..).unwrap_or_default());
        with_length(out)
    }
}

fn with_id_first(document: &[u8]) -> Vec<u8> {
    let elements: Vec<Element<'_>> = Elements::of(document).map_while(Result::ok).collect();
    let of_id = |element: &&Element<'_>| element.key == b"_id";
    let others = elements.iter().filter(|element| !of_id(element));
    let mut out = vec![0; 4];
    for element in elements.iter().filter(of_id).chain(others) {
        out.extend_from_slice(&document[element.start..element.end]);
    }
    out.push(0);
    with_length(out)
}

fn with_sorted_meta(document: &[u8], field: &str) -> Option<Vec<u8>> {
    let mut elements = Elements::of(document).map_while(Result::ok);
    let meta = elements.find(|element| element.key == field.as_bytes())?;
    let sorted = sorted(meta.kind, &document[meta.value..meta.end], MAX_DEPTH)?;
    if sorted == document[meta.value..meta.end] {
        return None;
    }
    Some([&document[..meta.value], &sorted, &document[meta.end..]].concat())
}

/// A value with the fields of every document in it sorted by name; `None` for a value that has none.
fn sorted(kind: u8, value: &[u8], depth: usize) -> Option<Vec<u8>> {
    if (kind != DOCUMENT && kind != ARRAY) || depth == 0 {
        return None;
    }
    let mut elements: Vec<Element<'_>> = Elements::of(value).map_while(Result::ok).collect();
    if kind == DOCUMENT {
        elements.sort_by_key(|element| element.key);
    }
    let mut out = vec![0; 4];
    for element in elements {
        out.extend_from_slice(&value[element.start..element.value]);
        let inner = &value[element.value..element.end];
        match sorted(element.kind, inner, depth - 1) {
            Some(inner) => out.extend_from_slice(&inner),
            None => out.extend_from_slice(inner),
        }
    }
    out.push(0);
    Some(with_length(out))
}

fn with_length(mut document: Vec<u8>) -> Vec<u8> {
    // A document that is longer than its prefix can say is refused by the server, whatever the prefix says.
    let length = i32::try_from(document.len()).unwrap_or(i32::MAX);
    document[..4].copy_from_slice(&length.to_le_bytes());
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};

    fn bytes(document: &Document) -> Vec<u8> {
        bson::serialize_to_vec(document).expect("BSON")
    }

    fn read(raw: Option<Vec<u8>>) -> Document {
        bson::deserialize_from_slice(&raw.expect("rewritten")).expect("well-formed BSON")
    }

    #[test]
    fn an_id_comes_first() {
        let document = doc! {"a": {"b": 1}, "_id": 5, "c": "x"};
        assert_eq!(
            read(Some(with_id_first(&bytes(&document)))),
            doc! {"_id": 5, "a": {"b": 1}, "c": "x"}
        );
    }

    #[test]
    fn only_what_is_in_the_meta_field_is_sorted_and_at_every_depth() {
        let document =
            doc! {"z": {"b": 1, "a": 2}, "meta": {"y": [{"d": 1, "c": 2}, 7], "x": {"f": 1, "e": 2}}, "a": 1};
        assert_eq!(
            read(with_sorted_meta(&bytes(&document), "meta")),
            doc! {"z": {"b": 1, "a": 2}, "meta": {"x": {"e": 2, "f": 1}, "y": [{"c": 2, "d": 1}, 7]}, "a": 1}
        );
        for same in [
            doc! {"meta": {"a": 1, "b": 2}},
            doc! {"meta": 5},
            doc! {"other": {"b": 1, "a": 1}},
        ] {
            assert_eq!(with_sorted_meta(&bytes(&same), "meta"), None, "{same}");
        }
    }
}
