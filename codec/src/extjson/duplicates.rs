//! Whether a document has the same key twice.
//!
//! Hardly any document does, but every key of every document is checked, so the common case must be cheap, and the
//! worst not quadratic. A filter of 512 bits says "new" at once to most keys; a repeated bit leads to a comparison of
//! cheap hashes; only two equal hashes lead to a comparison of keys, once per document.

use crate::elements::Elements;

/// Memory for the keys of the documents that are being walked, to be used again and again.
#[derive(Debug, Default)]
pub(super) struct KeyMemory {
    /// Hashes of the outermost document's keys so far, then of those of the document inside it, and so on.
    hashes: Vec<u64>,
    seen: Vec<SeenKey>,
}

impl KeyMemory {
    /// Forgets what a walk that was broken off has left behind.
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
    }
}

/// A key of a document that is looked at closely.
#[derive(Debug)]
struct SeenKey {
    hash: u64,
    start: usize,
    end: usize,
}

/// What is known of the keys of one document. Their hashes are in the memory from `base` on.
#[derive(Debug)]
pub(super) struct KeyFilter {
    base: usize,
    /// The bits, of 512, that the hashes fell on. No bit twice: no key twice.
    bits: [u64; 8],
    equal_hashes: bool,
}

impl KeyFilter {
    /// Up to so many keys, a bit met twice leads to a look at all the hashes. Beyond, that would grow with the square.
    const FEW: usize = 128;

    /// A filter for a document whose walk begins.
    #[inline]
    pub(super) fn new(memory: &KeyMemory) -> Self {
        Self {
            base: memory.hashes.len(),
            bits: [0; 8],
            equal_hashes: false,
        }
    }

    #[inline]
    pub(super) fn add(&mut self, key: &[u8], memory: &mut KeyMemory) {
        let hashes = &mut memory.hashes;
        let hash = cheap_hash(key);
        let word = &mut self.bits[(hash >> 61) as usize];
        let bit = 1 << (hash >> 55 & 63);
        if *word & bit != 0 && hashes.len() - self.base <= Self::FEW {
            self.equal_hashes |= hashes[self.base..].contains(&hash);
        }
        *word |= bit;
        hashes.push(hash);
    }

    /// Whether two keys were equal. `raw` is the document, whose end has been reached.
    #[inline]
    pub(super) fn repeats(self, raw: &[u8], memory: &mut KeyMemory) -> bool {
        let hashes = &mut memory.hashes;
        let many = hashes.len() - self.base > Self::FEW;
        let repeated = self.equal_hashes
            || many && {
                let own = &mut hashes[self.base..];
                own.sort_unstable();
                own.windows(2).any(|pair| pair[0] == pair[1])
            };
        hashes.truncate(self.base);
        repeated && repeats(raw, &mut memory.seen)
    }
}

/// Sees the first and last eight bytes of a key and its length: enough for a filter.
#[inline]
fn cheap_hash(key: &[u8]) -> u64 {
    let (first, last) = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
            (Some(first), Some(last)) => (
                u64::from(u32::from_le_bytes(*first)),
                u64::from(u32::from_le_bytes(*last)),
            ),
            _ => (key.iter().fold(0, |sum, &b| sum << 8 | u64::from(b)), 0),
        },
    };
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    (first.wrapping_mul(ODD).rotate_left(29) ^ last ^ (key.len() as u64) << 56).wrapping_mul(ODD)
}

/// Whether two keys of this (well-formed) document are equal: asked at most once, and only when two cheap hashes are.
#[cold]
fn repeats(raw: &[u8], seen: &mut Vec<SeenKey>) -> bool {
    seen.clear();
    for element in Elements::of(raw) {
        let Ok(element) = element else { return true };
        let hash = xxhash_rust::xxh3::xxh3_64(element.key);
        let start = element.start + 1;
        seen.push(SeenKey {
            hash,
            start,
            end: start + element.key.len(),
        });
    }
    let key = |found: &SeenKey| &raw[found.start..found.end];
    // By key after the hash: whoever provokes equal hashes must not make this quadratic.
    seen.sort_unstable_by(|a, b| a.hash.cmp(&b.hash).then_with(|| key(a).cmp(key(b))));
    seen.windows(2)
        .any(|pair| pair[0].hash == pair[1].hash && key(&pair[0]) == key(&pair[1]))
}
