//! Tars as others write them, and as nobody should.

mod buckets;
mod damage;
mod encodings;
mod layouts;
mod several;
mod slashes;

use std::io::Write as _;

use bson::{Document, RawDocumentBuf, doc};
use flate2::write::GzEncoder;

use super::*;

/// A tar with these entries, as GNU tar or Python's `tarfile` would write it.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn folder(mut self, path: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        self.0.append_data(&mut header, path, std::io::empty()).expect("memory");
        self
    }

    fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.as_ref().len() as u64);
        self.0.append_data(&mut header, path, content.as_ref()).expect("memory");
        self
    }

    fn link(mut self, kind: tar::EntryType, path: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.0.append_link(&mut header, path, target).expect("memory");
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("memory")
    }

    fn survey(self) -> Survey {
        survey(&self.bytes()[..], &Choice::default()).expect("a survey")
    }

    fn error(self) -> String {
        survey(&self.bytes()[..], &Choice::default())
            .expect_err("an error")
            .to_string()
    }
}

/// A manifest of ours that promises two documents of each.
fn promise(names: &[&str], rest: &str) -> String {
    let each = names.iter().map(|name| {
        format!(
            r#"{{"name": "{name}", "kind": "collection", "documents": 2, "digest": "", "hashing": "sorted-fields"}}"#
        )
    });
    let all = each.collect::<Vec<_>>().join(", ");
    format!(r#"{{"format": "mongotar", "collections": [{all}]{rest}}}"#)
}

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content.as_ref()).expect("memory");
    encoder.finish().expect("memory")
}

fn raw(documents: &[Document]) -> Vec<u8> {
    let raw = documents
        .iter()
        .map(|document| RawDocumentBuf::try_from(document).expect("valid").into_bytes());
    raw.collect::<Vec<_>>().concat()
}

impl Survey {
    fn get(&self, name: &str) -> &Saved {
        self.collections
            .iter()
            .find(|saved| saved.name == name)
            .expect("in the survey")
    }

    fn names(&self) -> Vec<&str> {
        self.collections.iter().map(|saved| saved.name.as_str()).collect()
    }
}

/// The documents of every collection, joined, by collection.
fn documents(tar: &[u8], survey: &Survey) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    read_documents(tar, survey, survey.names(), |chunk| {
        assert!(chunk.documents > 0 && !chunk.bson.is_empty());
        all.entry(chunk.collection.to_owned()).or_default().extend(chunk.bson);
        Flow::Continue
    })
    .expect("the tar that was surveyed");
    all
}

fn orders() -> [Document; 2] {
    [doc! { "_id": 1, "n": 1.5 }, doc! { "_id": 2, "n": "two" }]
}

const ORDERS: &str = "{\"_id\": 1, \"n\": 1.5}\n{\"_id\": 2, \"n\": \"two\"}\n";
