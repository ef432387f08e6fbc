//! Raw BSON to canonical Extended JSON.
//!
//! One pass over the document's bytes writes the text. If text cannot carry something exactly, the pass ends with
//! `None`; the text so far is then taken back, and the document is wrapped. A comma follows every value, and the end of
//! its document or array overwrites it: that is cheaper than checking before each value whether it is the first.

use super::{
    MAX_TEXT_DEPTH, RAW_BSON_KEY, decimal,
    duplicates::{KeyFilter, KeyMemory},
    keys::TypeKey,
    pretty, scan,
    values::{base64, binary, double, escaped_cstring, int32, integer, object_id, regular_expression, string},
};

/// How the text of a document is laid out. Both hold the same tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// One line, no spaces.
    Compact,
    /// Over many lines, indented by two spaces: for people.
    Pretty,
}

/// How a document went into the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carried {
    /// As canonical Extended JSON.
    AsText,
    /// As its BSON under [`RAW_BSON_KEY`], because text would have changed it.
    Wrapped,
}

/// Writes documents as Extended JSON. Holds nothing between documents but memory to reuse.
#[derive(Debug)]
pub struct Encoder {
    style: Style,
    compact: Vec<u8>,
    keys: KeyMemory,
}

impl Encoder {
    /// An encoder that lays documents out in this style.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            compact: Vec::new(),
            keys: KeyMemory::default(),
        }
    }

    /// Appends one document and `\n` to `out`.
    ///
    /// `document` is raw BSON: at least five bytes, the first four holding the total length. Nothing more is required:
    /// what text cannot carry is wrapped. (Other bytes are wrapped, too, but no decoder will accept them.)
    pub fn encode(&mut self, document: &[u8], out: &mut Vec<u8>) -> Carried {
        match self.style {
            Style::Compact => self.encode_line(document, out),
            Style::Pretty => {
                let mut compact = std::mem::take(&mut self.compact);
                compact.clear();
                let carried = self.encode_line(document, &mut compact);
                pretty::indent(compact.trim_ascii_end(), out);
                out.push(b'\n');
                self.compact = compact;
                carried
            }
        }
    }

    fn encode_line(&mut self, document: &[u8], out: &mut Vec<u8>) -> Carried {
        let start = out.len();
        self.keys.clear();
        if !looks_wrapped(document) && self.document(document, MAX_TEXT_DEPTH, out).is_some() {
            if let Some(comma) = out.last_mut() {
                *comma = b'\n';
            }
            return Carried::AsText;
        }
        out.truncate(start);
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(RAW_BSON_KEY.as_bytes());
        out.extend_from_slice(b"\":{\"$binary\":{\"base64\":\"");
        base64(document, out);
        out.extend_from_slice(b"\",\"subType\":\"00\"}}}\n");
        Carried::Wrapped
    }

    /// Writes the document that fills `raw`; `levels` are left for it and what it holds.
    fn document(&mut self, raw: &[u8], levels: usize, out: &mut Vec<u8>) -> Option<()> {
        let end = body_end(raw)?;
        let levels = levels.checked_sub(1)?;
        let open = out.len();
        out.push(b'{');
        let mut keys = KeyFilter::new(&self.keys);
        let mut at = 4;
        while at < end {
            let kind = raw[at];
            let key_at = at + 1;
            out.push(b'"');
            let run = scan::plain_run(&raw[key_at..]);
            let key_end = key_at + run;
            if *raw.get(key_end)? == 0 {
                scan::append_run(&raw[key_at..], run, out);
                at = key_end + 1;
            } else {
                at = key_at + escaped_cstring(&raw[key_at..], out)?;
            }
            out.extend_from_slice(b"\":");
            let key = &raw[key_at..at - 1];
            if key.first() == Some(&b'$') && TypeKey::of(key).is_some() {
                return None;
            }
            keys.add(key, &mut self.keys);
            at = self.value(kind, raw, at, levels, out)?;
        }
        if at != end || keys.repeats(raw, &mut self.keys) {
            return None;
        }
        close(open, b'}', out);
        Some(())
    }

    fn array(&mut self, raw: &[u8], levels: usize, out: &mut Vec<u8>) -> Option<()> {
        let end = body_end(raw)?;
        let levels = levels.checked_sub(1)?;
        let open = out.len();
        out.push(b'[');
        let mut index = 0_u32;
        let mut at = 4;
        while at < end {
            let kind = raw[at];
            at += 1 + index_key(&raw[at + 1..], index)?;
            at = self.value(kind, raw, at, levels, out)?;
            index += 1;
        }
        if at != end {
            return None;
        }
        close(open, b']', out);
        Some(())
    }

    /// Writes the value of type `kind` at `raw[at..]`, and says where the next element starts.
    #[inline]
    fn value(&mut self, kind: u8, raw: &[u8], at: usize, levels: usize, out: &mut Vec<u8>) -> Option<usize> {
        let rest = raw.get(at..)?;
        match kind {
            0x01 => double(*rest.first_chunk()?, out)?,
            0x02 => {
                let len = string(rest, out)?;
                out.push(b',');
                return Some(at + len);
            }
            0x03 | 0x04 => {
                let len = usize::try_from(int32(rest)?).ok()?;
                let inner = rest.get(..len)?;
                match kind {
                    0x03 => self.document(inner, levels, out)?,
                    _ => self.array(inner, levels, out)?,
                }
                return Some(at + len);
            }
            0x07 => {
                object_id(rest.first_chunk()?, out);
                out.push(b',');
                return Some(at + 12);
            }
            0x08 => {
                out.extend_from_slice(match rest.first()? {
                    0 => b"false,",
                    1 => b"true,",
                    _ => return None,
                });
                return Some(at + 1);
            }
            0x09 => integer(
                b"{\"$date\":{\"$numberLong\":\"",
                i64::from_le_bytes(*rest.first_chunk()?),
                b"\"}},",
                out,
            ),
            0x0A => {
                out.extend_from_slice(b"null,");
                return Some(at);
            }
            0x10 => {
                integer(b"{\"$numberInt\":\"", int32(rest)?, b"\"},", out);
                return Some(at + 4);
            }
            0x12 => integer(
                b"{\"$numberLong\":\"",
                i64::from_le_bytes(*rest.first_chunk()?),
                b"\"},",
                out,
            ),
            _ => return Some(at + self.rare_value(kind, rest, levels, out)?),
        }
        Some(at + 8)
    }

    /// The types seen seldom. The answer is the value's length.
    fn rare_value(&mut self, kind: u8, rest: &[u8], levels: usize, out: &mut Vec<u8>) -> Option<usize> {
        let len = match kind {
            0x05 => binary(rest, out)?,
            0x06 => {
                out.extend_from_slice(b"{\"$undefined\":true}");
                0
            }
            0x0B => regular_expression(rest, out)?,
            0x0C => {
                out.extend_from_slice(b"{\"$dbPointer\":{\"$ref\":");
                let len = string(rest, out)?;
                out.extend_from_slice(b",\"$id\":");
                object_id(rest[len..].first_chunk()?, out);
                out.extend_from_slice(b"}}");
                len + 12
            }
            0x0D | 0x0E => {
                out.extend_from_slice(if kind == 0x0D { b"{\"$code\":" } else { b"{\"$symbol\":" });
                let len = string(rest, out)?;
                out.push(b'}');
                len
            }
            0x0F => self.code_with_scope(rest, levels, out)?,
            0x11 => {
                let value = u64::from_le_bytes(*rest.first_chunk()?);
                integer(b"{\"$timestamp\":{\"t\":", value >> 32, b",\"i\":", out);
                integer(b"", value & 0xFFFF_FFFF, b"}}", out);
                8
            }
            0x13 => {
                out.extend_from_slice(b"{\"$numberDecimal\":\"");
                decimal::write(u128::from_le_bytes(*rest.first_chunk()?), out)?;
                out.extend_from_slice(b"\"}");
                16
            }
            0x7F => {
                out.extend_from_slice(b"{\"$maxKey\":1}");
                0
            }
            0xFF => {
                out.extend_from_slice(b"{\"$minKey\":1}");
                0
            }
            _ => return None,
        };
        out.push(b',');
        Some(len)
    }

    fn code_with_scope(&mut self, rest: &[u8], levels: usize, out: &mut Vec<u8>) -> Option<usize> {
        let len = usize::try_from(int32(rest)?).ok()?;
        let inner = rest.get(4..len)?;
        out.extend_from_slice(b"{\"$code\":");
        let code_len = string(inner, out)?;
        out.extend_from_slice(b",\"$scope\":");
        self.document(&inner[code_len..], levels, out)?;
        if let Some(comma) = out.last_mut() {
            *comma = b'}';
        }
        Some(len)
    }
}

/// Whether a reader would take the document for a wrapped one.
fn looks_wrapped(document: &[u8]) -> bool {
    document
        .get(5..)
        .and_then(|rest| rest.strip_prefix(RAW_BSON_KEY.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&0))
}

/// Offset of the final NUL of the document or array that fills `raw`.
fn body_end(raw: &[u8]) -> Option<usize> {
    let fits = usize::try_from(int32(raw)?).ok()? == raw.len() && raw.len() >= 5 && raw.last() == Some(&0);
    fits.then_some(raw.len() - 1)
}

/// Ends the document or array that was opened at `open`, with a comma after it.
#[inline]
fn close(open: usize, bracket: u8, out: &mut Vec<u8>) {
    if out.len() > open + 1 {
        out.pop();
    }
    out.extend_from_slice(&[bracket, b',']);
}

/// Length of the array key at the start of `bytes` with its NUL, if it is the decimal form of `index`.
#[inline]
fn index_key(bytes: &[u8], index: u32) -> Option<usize> {
    let mut buffer = itoa::Buffer::new();
    let expected = buffer.format(index).as_bytes();
    let (key, rest) = bytes.split_at_checked(expected.len())?;
    (key == expected && rest.first() == Some(&0)).then_some(expected.len() + 1)
}
