//! Two forms of legacy Extended JSON that need a second look: `$regex`, which is also a query operator, and pairs of
//! keys whose type key comes second.

use super::{
    binary::{base64, binary_end, binary_start, hex_subtype},
    decode::Parser,
    error::{Fault, Parse},
    keys::TypeKey,
    wrapper::{cleared, regex},
};
use crate::elements::Elements;

impl Parser<'_, '_> {
    /// Turns the document written since `start`, whose second key is `type_key` and whose first is its partner, into
    /// the value that it stands for: `{"$type": "00", "$binary": "…"}`.
    pub(super) fn swapped(&mut self, type_key: TypeKey, at: usize, start: usize, out: &mut Vec<u8>) -> Parse<u8> {
        let document = out[start..].to_vec();
        let elements: Vec<_> = Elements::of(&document).flatten().collect();
        let [partner, main] = elements[..] else {
            return Ok(0x03);
        };
        let (partner_value, main_value) = (&document[partner.value..partner.end], &document[main.value..main.end]);
        let string = |value: &[u8]| value.get(4..value.len() - 1).unwrap_or_default().to_vec();
        out.truncate(start);
        match (type_key, partner.kind, main.kind) {
            (TypeKey::Regex, 0x02, 0x02) => {
                let (pattern, options) = (string(main_value), string(partner_value));
                if pattern.contains(&0) || options.contains(&0) {
                    return Err(Fault::new(at, "a regular expression cannot hold the character NUL"));
                }
                regex(&pattern, &options, out);
                return Ok(0x0B);
            }
            (TypeKey::Binary, 0x02 | 0x10 | 0x12, 0x02) => {
                let subtype = match partner.kind {
                    0x02 => hex_subtype(&string(partner_value)),
                    // The low byte: larger numbers are no subtypes.
                    _ => partner_value[1..].iter().all(|&b| b == 0).then_some(partner_value[0]),
                };
                let start = binary_start(out);
                let data = base64(&string(main_value), out);
                if let (Some(subtype), Some(())) = (subtype, data) {
                    binary_end(start, subtype, out);
                    return Ok(0x05);
                }
            }
            (TypeKey::Code, 0x03, 0x02) => {
                let len = (4 + main_value.len() + partner_value.len()) as u32;
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(main_value);
                out.extend_from_slice(partner_value);
                return Ok(0x0F);
            }
            (TypeKey::Regex, ..) => {
                out.extend_from_slice(&document);
                return Ok(0x03);
            }
            _ => {}
        }
        Err(Fault::new(
            at,
            format!("a wrong value for {} or the field beside it", type_key.name()),
        ))
    }

    /// Takes `"pattern"}` or `"pattern", "$options": "options"}`. Of anything else nothing is taken.
    pub(super) fn legacy_regex(&mut self) -> Parse<Option<(Vec<u8>, Vec<u8>)>> {
        let (at, line) = (self.lexer.at, self.lexer.line);
        let found = self.try_legacy_regex()?;
        if found.is_none() {
            (self.lexer.at, self.lexer.line) = (at, line);
        }
        Ok(found)
    }

    fn try_legacy_regex(&mut self) -> Parse<Option<(Vec<u8>, Vec<u8>)>> {
        let (mut pattern, mut options) = (Vec::new(), Vec::new());
        if self.lexer.peek() != Some(b'"') {
            return Ok(None);
        }
        self.cstring(&mut pattern)?;
        if self.lexer.peek() == Some(b',') {
            self.lexer.at += 1;
            self.lexer.string(cleared(self.token), "a key")?;
            self.lexer.expect(b':', "':'")?;
            if *self.token != b"$options" || self.lexer.peek() != Some(b'"') {
                return Ok(None);
            }
            self.cstring(&mut options)?;
        }
        if self.lexer.peek() != Some(b'}') {
            return Ok(None);
        }
        self.lexer.at += 1;
        Ok(Some((pattern, options)))
    }
}
