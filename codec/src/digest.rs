//! An order-independent fingerprint of a collection.
//!
//! Each document is hashed by itself (XXH3-128, seed 0, over its raw BSON), and the hashes are added up modulo 2^128. A
//! sum does not depend on order or grouping, so backup workers, a reader of the archive and a restored database can
//! each compute parts of it, merge them, and must get the same value. Unlike an exclusive or, a sum also detects
//! duplicates. It comes with the count and the bytes, which say how two collections differ.
//!
//! Equal digests prove, but for chance (about 2^-128), that nothing was lost, doubled or altered *by accident*. They
//! prove nothing against an adversary, since XXH3 is not a cryptographic hash, and nothing about the order of
//! documents.
//!
//! The server may reorder the top-level fields of time-series documents. For them [`Hashing::SortedFields`] hashes each
//! document with its top-level elements sorted by key.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::elements::Elements;

/// The fingerprint of a set of documents. The default stands for no documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Digest {
    #[serde(with = "hex_sum")]
    sum: Sum,
    documents: u64,
    bytes: u64,
}

/// The sum of the documents' hashes. Written as 32 lower-case hexadecimal digits, the most significant first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sum(u128);

impl Digest {
    /// The digest with this sum over `documents` documents of `bytes` bytes of BSON in all: what a manifest says.
    pub fn from_parts(sum: Sum, documents: u64, bytes: u64) -> Self {
        Self { sum, documents, bytes }
    }

    /// Adds one document, given as its raw BSON.
    pub fn add_document(&mut self, raw: &[u8]) {
        self.add_hash(xxh3_128(raw), raw.len());
    }

    /// Adds the documents that `other` stands for.
    pub fn merge(&mut self, other: &Self) {
        self.sum.0 = self.sum.0.wrapping_add(other.sum.0);
        self.documents += other.documents;
        self.bytes += other.bytes;
    }

    /// The digest without the documents of `other`, which must be among them.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            sum: Sum(self.sum.0.wrapping_sub(other.sum.0)),
            documents: self.documents.saturating_sub(other.documents),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// The sum of the documents' hashes.
    pub fn sum(&self) -> Sum {
        self.sum
    }

    /// How many documents were added.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// The bytes of BSON of all of them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The average bytes of a document; 0 if there are none.
    pub fn average(&self) -> u64 {
        self.bytes.checked_div(self.documents).unwrap_or(0)
    }

    fn add_hash(&mut self, hash: u128, bytes: usize) {
        self.sum.0 = self.sum.0.wrapping_add(hash);
        self.documents += 1;
        self.bytes += bytes as u64;
    }
}

/// Writes the sum alone.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum.fmt(f)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({self})")
    }
}

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 32 lower-case hexadecimal digits")]
pub struct NotASum;

impl FromStr for Sum {
    type Err = NotASum;

    fn from_str(text: &str) -> Result<Self, NotASum> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return Err(NotASum);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| NotASum)
    }
}

/// What of a document is hashed. Digests made in different ways cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hashing {
    /// Its bytes as they are.
    Raw,
    /// Its bytes with the top-level elements sorted by key (byte order; equal keys keep their order). Sub-documents
    /// stay as they are.
    SortedFields,
}

/// Hashes documents into a [`Digest`], one way or the other, without an allocation per document.
#[derive(Debug, Clone)]
pub struct DocumentHasher {
    hashing: Hashing,
    digest: Digest,
    order: Vec<(usize, usize, usize)>,
    sorted: Vec<u8>,
}

impl DocumentHasher {
    /// A hasher of no documents yet.
    pub fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            digest: Digest::default(),
            order: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Adds one document, given as its raw BSON. With [`Hashing::SortedFields`], bytes that are no BSON are hashed as
    /// they stand.
    pub fn add_document(&mut self, raw: &[u8]) {
        let reordered = self.hashing == Hashing::SortedFields && self.sort(raw);
        let hashed = if reordered { &self.sorted } else { raw };
        self.digest.add_hash(xxh3_128(hashed), raw.len());
    }

    /// The digest of the documents so far.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Puts `raw` into `self.sorted` with its fields in order; false if there is nothing to reorder.
    fn sort(&mut self, raw: &[u8]) -> bool {
        self.order.clear();
        for element in Elements::of(raw) {
            let Ok(element) = element else { return false };
            self.order
                .push((element.start, element.start + 1 + element.key.len(), element.end));
        }
        let key = |&(start, key_end, _): &(usize, usize, usize)| &raw[start + 1..key_end];
        if self.order.is_sorted_by_key(key) {
            return false;
        }
        // Offsets break ties, so that equal keys keep their order without the allocation of a stable sort.
        self.order
            .sort_unstable_by(|a, b| key(a).cmp(key(b)).then(a.0.cmp(&b.0)));
        self.sorted.clear();
        self.sorted.extend_from_slice(&raw[..4]);
        for &(start, _, end) in &self.order {
            self.sorted.extend_from_slice(&raw[start..end]);
        }
        self.sorted.push(0);
        true
    }
}

/// For fields that hold a [`Sum`]: as 32 hex digits, most significant first (`#[serde(with = "hex_sum")]`).
pub mod hex_sum {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use super::Sum;

    /// Writes it as text.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(sum: &Sum, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(sum)
    }

    /// Reads it from text.
    ///
    /// # Errors
    /// If the text is not 32 hex digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sum, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn digest(documents: &[&bson::Document]) -> Digest {
        let mut digest = Digest::default();
        for document in documents {
            digest.add_document(&document.to_vec().unwrap());
        }
        digest
    }

    fn sorted(documents: &[&bson::Document]) -> Digest {
        let mut hasher = DocumentHasher::new(Hashing::SortedFields);
        for document in documents {
            hasher.add_document(&document.to_vec().unwrap());
        }
        hasher.digest()
    }

    #[test]
    fn the_value_is_fixed_for_ever() {
        // Manifests hold it: another hash, seed or byte order would condemn every archive.
        assert_eq!(xxh3_128(b""), 0x99aa06d3014798d86001c324468d497f);
        let mut one = Digest::default();
        one.add_document(b"");
        assert_eq!(one.to_string(), "99aa06d3014798d86001c324468d497f");
        assert_eq!(Digest::default().to_string(), "0".repeat(32));
    }

    #[test]
    fn order_and_grouping_do_not_matter_and_repetition_does() {
        let (a, b) = (doc! { "_id": 1 }, doc! { "_id": 2 });
        let both = digest(&[&a, &b]);
        assert_eq!(both, digest(&[&b, &a]));
        let mut merged = digest(&[&a]);
        merged.merge(&digest(&[&b]));
        assert_eq!(both, merged);
        assert_eq!((both.documents(), both.bytes()), (2, 28));
        assert_ne!(both.sum(), digest(&[&a, &b, &a, &a]).sum());
        assert_ne!(digest(&[&a, &a]).sum(), digest(&[&b, &b]).sum());
    }

    #[test]
    fn sorted_fields_forgive_the_order_of_the_top_level_only() {
        let a = doc! { "t": 1, "meta": { "x": 1, "y": 2 }, "_id": 3 };
        let b = doc! { "_id": 3, "meta": { "x": 1, "y": 2 }, "t": 1 };
        let c = doc! { "_id": 3, "meta": { "y": 2, "x": 1 }, "t": 1 };
        assert_ne!(digest(&[&a]), digest(&[&b]));
        assert_eq!(sorted(&[&a]), sorted(&[&b]));
        assert_eq!(sorted(&[&b]), digest(&[&b]));
        assert_ne!(sorted(&[&b]), sorted(&[&c]));
        assert_eq!(sorted(&[&a]).bytes(), 46);
    }

    #[test]
    fn malformed_bytes_are_hashed_as_they_stand() {
        for len in 0..20 {
            let bytes = vec![3; len];
            let (mut raw, mut fields) = (Digest::default(), DocumentHasher::new(Hashing::SortedFields));
            raw.add_document(&bytes);
            fields.add_document(&bytes);
            assert_eq!(raw, fields.digest());
        }
    }

    #[test]
    fn text_and_back() {
        let digest = digest(&[&doc! { "a": 1 }]);
        let sum: Sum = digest.to_string().parse().unwrap();
        assert_eq!(Digest::from_parts(sum, 1, digest.bytes()), digest);
        for bad in [
            "",
            "0",
            &"G".repeat(32),
            &"A".repeat(32),
            &format!("+{}", "0".repeat(31)),
            &"é".repeat(16),
        ] {
            assert_eq!(bad.parse::<Sum>(), Err(NotASum));
        }
    }
}
