//! The spellings of frequent types that our own encoder, and most tools, write.

use super::{binary::object_id, decode::Parser, wrapper::parse};

impl Parser<'_, '_> {
    /// Takes a frequent type in the spelling of canonical Extended JSON without spaces. Anything unusual takes nothing,
    /// and is left to the careful way.
    #[inline]
    pub(super) fn frequent_type(&mut self, out: &mut Vec<u8>) -> Option<u8> {
        let rest = self.lexer.rest();
        let [b'{', b'"', b'$', initial, ..] = rest else {
            return None;
        };
        match initial {
            b'n' => {
                if let Some(text) = rest.strip_prefix(b"{\"$numberInt\":\"") {
                    let (integer, after) = short_integer(text)?;
                    let integer = i32::try_from(integer).ok()?;
                    self.end(rest, after, b"\"}")?;
                    out.extend_from_slice(&integer.to_le_bytes());
                    return Some(0x10);
                }
                if let Some(text) = rest.strip_prefix(b"{\"$numberDouble\":\"") {
                    let (digits, after) = text.split_at(text.iter().take(32).position(|&b| b == b'"')?);
                    let float: f64 = parse(digits).filter(|float: &f64| float.is_finite())?;
                    self.end(rest, after, b"\"}")?;
                    out.extend_from_slice(&float.to_le_bytes());
                    return Some(0x01);
                }
                let (integer, after) = short_integer(rest.strip_prefix(b"{\"$numberLong\":\"")?)?;
                self.end(rest, after, b"\"}")?;
                out.extend_from_slice(&integer.to_le_bytes());
                Some(0x12)
            }
            b'o' => {
                let (digits, after) = rest.strip_prefix(b"{\"$oid\":\"")?.split_first_chunk::<24>()?;
                let id = object_id(digits)?;
                self.end(rest, after, b"\"}")?;
                out.extend_from_slice(&id);
                Some(0x07)
            }
            b'd' => {
                let (millis, after) = short_integer(rest.strip_prefix(b"{\"$date\":{\"$numberLong\":\"")?)?;
                self.end(rest, after, b"\"}}")?;
                out.extend_from_slice(&millis.to_le_bytes());
                Some(0x09)
            }
            _ => None,
        }
    }

    /// Takes everything up to and including `closing`, if `after` begins with that.
    #[inline]
    fn end(&mut self, rest: &[u8], after: &[u8], closing: &[u8]) -> Option<()> {
        self.lexer.at += rest.len() - after.strip_prefix(closing)?.len();
        Some(())
    }
}

/// An integer of up to 18 digits at the start of `text`, and what comes after it.
#[inline]
fn short_integer(text: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut value, mut len) = (0_i64, 0);
    while let Some(&byte @ b'0'..=b'9') = digits.get(len) {
        if len == 18 {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
        len += 1;
    }
    (len > 0).then(|| (if negative { -value } else { value }, &digits[len..]))
}
