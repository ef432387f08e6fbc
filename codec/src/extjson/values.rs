//! The text of single values.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::scan;

/// The little-endian integer that `bytes` begins with.
pub(super) fn int32(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(*bytes.first_chunk()?))
}

/// Writes an integer between two constant texts.
#[inline]
pub(super) fn integer(before: &[u8], value: impl itoa::Integer, after: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(after);
}

/// Writes a double and the comma after it, unless it is a NaN that is not the usual one.
pub(super) fn double(bytes: [u8; 8], out: &mut Vec<u8>) -> Option<()> {
    const USUAL_NAN: u64 = 0x7FF8 << 48;
    let value = f64::from_le_bytes(bytes);
    out.extend_from_slice(b"{\"$numberDouble\":\"");
    if value.is_finite() {
        if !short_double(value, out) {
            out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
        }
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else if value.to_bits() == USUAL_NAN {
        out.extend_from_slice(b"NaN");
    } else {
        return None;
    }
    out.extend_from_slice(b"\"},");
    Some(())
}

/// Writes a double of at most two decimal places: most prices and measurements, at a third of the cost of the general
/// way.
fn short_double(value: f64, out: &mut Vec<u8>) -> bool {
    let hundredths = (value * 100.0).abs();
    // Up to 15 digits, decimal numbers and doubles lead to each other: the text is the shortest, and is read as this
    // value.
    let short = hundredths < 1e15 && hundredths.trunc() == hundredths && hundredths / 100.0 == value.abs();
    if short {
        let (whole, places) = ((hundredths as u64) / 100, (hundredths as u64 % 100) as u8);
        if value.is_sign_negative() {
            out.push(b'-');
        }
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        out.extend_from_slice(&[b'.', b'0' + places / 10]);
        if places % 10 != 0 {
            out.push(b'0' + places % 10);
        }
    }
    short
}

/// Writes an ObjectId with its wrapper.
#[inline]
pub(super) fn object_id(id: &[u8; 12], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"{\"$oid\":\"------------------------\"}";
    for (pair, byte) in text[9..33].as_chunks_mut::<2>().0.iter_mut().zip(id) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    out.extend_from_slice(&text);
}

/// Writes the string (length, bytes, NUL) at the start of `rest` in quotes. The answer is its length in BSON.
#[inline]
pub(super) fn string(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let len = usize::try_from(int32(rest)?).ok()?.checked_sub(1)?;
    let content = &rest[4..];
    if *content.get(len)? != 0 {
        return None;
    }
    out.push(b'"');
    // Looks beyond the content on purpose: the NUL after it ends the run, and full words are read to the last byte.
    if scan::plain_run(content) == len {
        scan::append_run(content, len, out);
    } else {
        escaped(content, len, out)?;
    }
    out.push(b'"');
    Some(len + 5)
}

/// Writes the NUL-terminated text at the start of `rest`, without quotes. The answer is its length with the NUL.
pub(super) fn escaped_cstring(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let len = memchr::memchr(0, rest)?;
    escaped(rest, len, out)?;
    Some(len + 1)
}

/// Writes the first `len` bytes with what JSON wants escaped; `None` if they are not UTF-8. A NUL comes after them.
fn escaped(content: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    std::str::from_utf8(&content[..len]).ok()?;
    let mut at = 0;
    loop {
        let run = scan::unescaped_run(&content[at..]).min(len - at);
        scan::append_run(&content[at..], run, out);
        at += run;
        if at == len {
            return Some(());
        }
        match content[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            }
        }
        at += 1;
    }
}

/// Writes the binary (length, subtype, bytes) at the start of `rest`. The answer is its length in BSON.
pub(super) fn binary(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let len = usize::try_from(int32(rest)?).ok()?;
    let subtype = *rest.get(4)?;
    let content = rest[5..].get(..len)?;
    out.extend_from_slice(b"{\"$binary\":{\"base64\":\"");
    if subtype == 2 {
        // The old subtype repeats the length inside; text leaves that out.
        let inner = &content.get(4..)?;
        if usize::try_from(int32(content)?).ok()? != inner.len() {
            return None;
        }
        base64(inner, out);
    } else {
        base64(content, out);
    }
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
    out.extend_from_slice(b"\",\"subType\":\"");
    out.extend_from_slice(&[digit(subtype >> 4), digit(subtype)]);
    out.extend_from_slice(b"\"}}");
    Some(len + 5)
}

/// Writes `content` as base64, without quotes.
pub(super) fn base64(content: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + content.len().div_ceil(3) * 4, 0);
    STANDARD
        .encode_slice(content, &mut out[start..])
        .expect("the space was made for exactly this much");
}

/// Writes the regular expression (pattern, NUL, options, NUL) at the start of `rest`. The answer is its length in BSON.
pub(super) fn regular_expression(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    out.extend_from_slice(b"{\"$regularExpression\":{\"pattern\":\"");
    let pattern_len = escaped_cstring(rest, out)?;
    out.extend_from_slice(b"\",\"options\":\"");
    let options = &rest[pattern_len..];
    let options_len = escaped_cstring(options, out)?;
    if !options[..options_len - 1].is_sorted_by(|a, b| a < b) {
        return None;
    }
    out.extend_from_slice(b"\"}}");
    Some(pattern_len + options_len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_doubles_are_written_like_all_others(hundredths in any::<i64>(), shift in 0..64, odd: f64) {
            for value in [(hundredths >> shift) as f64 / 100.0, (hundredths >> shift) as f64, odd, -0.0, 0.0] {
                let mut out = Vec::new();
                if short_double(value, &mut out) {
                    let mut buffer = ryu::Buffer::new();
                    prop_assert_eq!(out, buffer.format_finite(value).as_bytes());
                }
            }
        }
    }
}
