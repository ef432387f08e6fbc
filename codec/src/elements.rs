//! Walks the top-level elements of a raw BSON document, without decoding them.
//!
//! It knows where an element ends, and nothing of its meaning: strings are not checked for UTF-8, and sub-documents are
//! skipped by their length. Comparing keys or reordering fields needs no more.

/// One element: its key, and where its bytes (type, key, NUL, value) lie in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The BSON type byte.
    pub kind: u8,
    /// The key, without its NUL.
    pub key: &'a [u8],
    /// Offset of the type byte.
    pub start: usize,
    /// Offset of the value's first byte.
    pub value: usize,
    /// Offset after the value's last byte.
    pub end: usize,
}

/// The walk ended on bytes that are no element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The elements of one document, in order. After an error the walk is over.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    document: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// The elements of `document`, which includes its length prefix and its final NUL. The prefix is not looked at: the
    /// slice's own length rules.
    pub fn of(document: &'a [u8]) -> Self {
        Self { document, at: 4 }
    }

    fn element(&self) -> Option<Element<'a>> {
        let end = self.document.len().checked_sub(1)?;
        let body = self.document.get(..end)?;
        let start = self.at;
        let kind = *body.get(start)?;
        let key_start = start + 1;
        let key_len = memchr::memchr(0, body.get(key_start..)?)?;
        let value = key_start + key_len + 1;
        let value_len = value_len(kind, body.get(value..)?)?;
        let value_end = value.checked_add(value_len).filter(|&at| at <= end)?;
        Some(Element {
            kind,
            key: &body[key_start..key_start + key_len],
            start,
            value,
            end: value_end,
        })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at.checked_add(1)? == self.document.len() {
            return None;
        }
        match self.element() {
            Some(element) => {
                self.at = element.end;
                Some(Ok(element))
            }
            None => {
                self.at = usize::MAX;
                Some(Err(Malformed))
            }
        }
    }
}

/// Bytes that a value of type `kind` takes at the start of `bytes`, if its own lengths are plausible. It may point past
/// the end: the caller checks.
fn value_len(kind: u8, bytes: &[u8]) -> Option<usize> {
    let prefixed = |extra: usize, least: usize| {
        let len = usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()?;
        (len >= least).then_some(len.checked_add(extra)?)
    };
    match kind {
        0x06 | 0x0A | 0x7F | 0xFF => Some(0),
        0x08 => Some(1),
        0x10 => Some(4),
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        0x07 => Some(12),
        0x13 => Some(16),
        0x02 | 0x0D | 0x0E => prefixed(4, 1),
        0x03 | 0x04 => prefixed(0, 5),
        0x05 => prefixed(5, 0),
        0x0C => prefixed(16, 1),
        0x0F => prefixed(0, 14),
        0x0B => {
            let pattern = memchr::memchr(0, bytes)? + 1;
            Some(pattern + memchr::memchr(0, &bytes[pattern..])? + 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, doc, oid::ObjectId};

    #[test]
    fn every_type_is_stepped_over() {
        let document = doc! {
            "double": 1.5, "string": "x", "document": { "a": 1 }, "array": [1, 2], "id": ObjectId::new(), "flag": true,
            "null": Bson::Null, "undefined": Bson::Undefined, "min": Bson::MinKey, "max": Bson::MaxKey,
            "date": bson::DateTime::from_millis(0), "int": 1_i32, "long": 1_i64, "symbol": Bson::Symbol("s".into()),
            "code": Bson::JavaScriptCode("f".into()),
            "scope": bson::JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "x": 1 } },
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0; 9] },
            "regex": bson::Regex { pattern: "p".try_into().unwrap(), options: "i".try_into().unwrap() },
            "timestamp": bson::Timestamp { time: 1, increment: 2 },
            "decimal": "1.5".parse::<bson::Decimal128>().unwrap(),
        };
        let raw = document.to_vec().unwrap();
        let keys: Vec<_> = Elements::of(&raw)
            .map(|e| String::from_utf8(e.unwrap().key.to_vec()).unwrap())
            .collect();
        assert_eq!(keys, document.keys().cloned().collect::<Vec<_>>());
        assert_eq!(Elements::of(&raw).last().unwrap().unwrap().end, raw.len() - 1);
    }

    #[test]
    fn a_length_past_the_end_is_malformed() {
        let mut raw = doc! { "s": "abc" }.to_vec().unwrap();
        raw[7] = 200;
        assert_eq!(Elements::of(&raw).collect::<Vec<_>>(), [Err(Malformed)]);
        for len in 0..5 {
            assert!(Elements::of(&[0; 5][..len]).all(|element| element.is_err()));
        }
    }
}
