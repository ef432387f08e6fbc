//! Objects that stand for a value of a BSON type, in all the forms they have had.
//!
//! A type key with the wrong value, or with another field beside it, is an error, as in PyMongo's `json_util`. Unlike
//! there, `$symbol`, `$undefined` and `$dbPointer` keep their types, and base64 must be valid. A `$uuid` becomes a
//! Binary of subtype 4, whatever the driver that wrote it stored.

use super::{
    binary::{base64, binary_end, binary_start, hex_subtype, object_id, uuid},
    date, decimal,
    decode::{Parser, Place, beside, open},
    error::{Fault, Parse},
    keys::TypeKey,
    lexer::Number,
};

impl Parser<'_, '_> {
    /// Takes the rest of an object that began with `type_key`, and puts its value in the place of what was written
    /// since `start`. `None` takes and changes nothing: the object is an ordinary one.
    pub(super) fn typed(&mut self, type_key: TypeKey, start: usize, out: &mut Vec<u8>) -> Parse<Option<u8>> {
        if type_key != TypeKey::Regex {
            out.truncate(start);
        }
        let kind = match type_key {
            TypeKey::Regex => {
                let Some((pattern, options)) = self.legacy_regex()? else {
                    return Ok(None);
                };
                out.truncate(start);
                regex(&pattern, &options, out);
                // Its closing brace is what showed that it is one.
                return Ok(Some(0x0B));
            }
            TypeKey::Oid => {
                let id = self.text(object_id, "24 hexadecimal digits")?;
                out.extend_from_slice(&id);
                0x07
            }
            TypeKey::Symbol => {
                self.bson_string(out)?;
                0x0E
            }
            TypeKey::NumberInt => {
                let integer: i32 = self.text(parse, "an integer of 32 bits in quotes")?;
                out.extend_from_slice(&integer.to_le_bytes());
                0x10
            }
            TypeKey::NumberLong => {
                let integer = self.number_long()?;
                out.extend_from_slice(&integer.to_le_bytes());
                0x12
            }
            TypeKey::NumberDouble => {
                let float: f64 = self.text(parse, "a number in quotes")?;
                // NaN is NaN, whatever sign the text gave it.
                out.extend_from_slice(&(if float.is_nan() { f64::NAN } else { float }).to_le_bytes());
                0x01
            }
            TypeKey::NumberDecimal => {
                let bits = self.text(decimal::parse, "a decimal number of at most 34 digits in quotes")?;
                out.extend_from_slice(&bits.to_le_bytes());
                0x13
            }
            TypeKey::Binary => {
                self.binary(out)?;
                0x05
            }
            TypeKey::Uuid => {
                let uuid = self.text(uuid, "a UUID")?;
                out.extend_from_slice(&[16, 0, 0, 0, 4]);
                out.extend_from_slice(&uuid);
                0x05
            }
            TypeKey::Code => self.code(out)?,
            TypeKey::Timestamp => {
                let [mut time, mut increment] = [0; 2];
                self.fields(["t", "i"], |parser, field| {
                    *(if field == 0 { &mut time } else { &mut increment }) =
                        parser.integer_as("an integer of 32 bits without sign")?;
                    Ok(())
                })?;
                out.extend_from_slice(&u32::to_le_bytes(increment));
                out.extend_from_slice(&u32::to_le_bytes(time));
                0x11
            }
            TypeKey::RegularExpression => {
                self.regular_expression(out)?;
                0x0B
            }
            TypeKey::DbPointer => {
                let (mut namespace, mut id) = (Vec::new(), [0; 12]);
                self.fields(["$ref", "$id"], |parser, field| match field {
                    0 => parser.bson_string(&mut namespace),
                    _ => {
                        parser.lexer.expect(b'{', "an object with $oid")?;
                        parser.lexer.string(cleared(parser.token), "$oid")?;
                        if *parser.token != b"$oid" {
                            return Err(Fault::new(parser.lexer.at, "expected $oid"));
                        }
                        parser.lexer.expect(b':', "':'")?;
                        id = parser.text(object_id, "24 hexadecimal digits")?;
                        parser.lexer.expect(b'}', "'}'")
                    }
                })?;
                out.extend_from_slice(&namespace);
                out.extend_from_slice(&id);
                0x0C
            }
            TypeKey::Date => {
                let millis = match self.lexer.peek() {
                    Some(b'"') => self.text(date::parse, "a date as in 2026-11-21T02:00:00.000Z")?,
                    _ => self.integer_as("milliseconds or a date in quotes")?,
                };
                out.extend_from_slice(&i64::to_le_bytes(millis));
                0x09
            }
            TypeKey::MinKey | TypeKey::MaxKey => {
                let at = self.lexer.at;
                if self.integer_as::<i64>("1")? != 1 {
                    return Err(Fault::new(at, "expected 1"));
                }
                if type_key == TypeKey::MinKey { 0xFF } else { 0x7F }
            }
            TypeKey::Undefined => {
                if self.lexer.peek().is_none() || !self.lexer.take(b"true") {
                    return Err(self.lexer.unexpected("true"));
                }
                0x06
            }
        };
        match self.lexer.peek() {
            Some(b'}') => self.lexer.at += 1,
            Some(b',') => return Err(beside(self.lexer.at, type_key)),
            _ => return Err(self.lexer.unexpected("'}'")),
        }
        Ok(Some(kind))
    }

    /// Takes pattern and options straight to where they belong.
    fn regular_expression(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let start = out.len();
        // Where each of them begins.
        let mut at = [start; 2];
        self.fields(["pattern", "options"], |parser, field| {
            at[field] = out.len();
            parser.cstring(out)?;
            if field == 1 {
                sort_options(out, at[1]);
            }
            out.push(0);
            Ok(())
        })?;
        let [pattern, options] = at;
        if options < pattern {
            out[start..].rotate_left(pattern - options);
        }
        Ok(())
    }

    fn binary(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let start = binary_start(out);
        let mut subtype = 0;
        if self.lexer.peek() == Some(b'{') {
            self.fields(["base64", "subType"], |parser, field| match field {
                0 => parser.base64(out),
                _ => {
                    subtype = parser.text(
                        |text| hex_subtype(text).filter(|_| text.len() <= 2),
                        "one or two hexadecimal digits",
                    )?;
                    Ok(())
                }
            })?;
        } else {
            self.base64(out)?;
            self.lexer.expect(b',', "',' and $type")?;
            let at = self.lexer.at;
            self.lexer.string(cleared(self.token), "$type")?;
            if *self.token != b"$type" {
                return Err(Fault::new(at, "expected $type after $binary"));
            }
            self.lexer.expect(b':', "':'")?;
            subtype = match self.lexer.peek() {
                Some(b'"') => self.text(hex_subtype, "a subtype in hexadecimal digits")?,
                _ => self.integer_as("a subtype")?,
            };
        }
        binary_end(start, subtype, out);
        Ok(())
    }

    fn base64(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let at = self.lexer.at;
        self.lexer.string(cleared(self.token), "a string of base64")?;
        base64(self.token, out).ok_or_else(|| Fault::new(at, "expected base64"))
    }

    /// Takes the code and its scope, if there is one.
    fn code(&mut self, out: &mut Vec<u8>) -> Parse<u8> {
        let start = out.len();
        self.bson_string(out)?;
        if self.lexer.peek() != Some(b',') {
            return Ok(0x0D);
        }
        self.lexer.at += 1;
        let at = self.lexer.at;
        self.lexer.string(cleared(self.token), "$scope")?;
        if *self.token != b"$scope" {
            return Err(Fault::new(at, "expected $scope after $code"));
        }
        self.lexer.expect(b':', "':'")?;
        let code = out.split_off(start);
        open(out);
        out.extend_from_slice(&code);
        if self.lexer.peek() != Some(b'{') {
            return Err(self.lexer.unexpected("a document").under_key(b"$scope"));
        }
        self.document(Place::Scope, out)
            .map_err(|fault| fault.under_key(b"$scope"))?;
        let len = self.length_since(start, out)?;
        out[start..start + 4].copy_from_slice(&len);
        Ok(0x0F)
    }

    /// Takes an object with exactly these fields, in any order. `take` is given the number of the field whose value is
    /// next.
    fn fields<const N: usize>(
        &mut self,
        names: [&'static str; N],
        mut take: impl FnMut(&mut Self, usize) -> Parse<()>,
    ) -> Parse<()> {
        self.lexer.expect(b'{', "'{'")?;
        let mut seen = [false; N];
        for field in 0..N {
            if field > 0 {
                self.lexer.expect(b',', "','")?;
            }
            let at = self.lexer.at;
            self.lexer.string(cleared(self.token), "a key")?;
            let Some(name) = names
                .iter()
                .position(|name| name.as_bytes() == *self.token)
                .filter(|&name| !seen[name])
            else {
                return Err(Fault::new(at, format!("expected the fields {}", names.join(" and "))));
            };
            seen[name] = true;
            self.lexer.expect(b':', "':'")?;
            take(self, name).map_err(|fault| fault.under_key(names[name].as_bytes()))?;
        }
        self.lexer.expect(b'}', "'}'")
    }

    /// Takes a string, and what `read` makes of it.
    fn text<T>(&mut self, read: impl FnOnce(&[u8]) -> Option<T>, expected: &'static str) -> Parse<T> {
        if self.lexer.peek() != Some(b'"') {
            return Err(self.lexer.unexpected(expected));
        }
        let at = self.lexer.at;
        self.lexer.string(cleared(self.token), expected)?;
        read(self.token).ok_or_else(|| Fault::new(at, format!("expected {expected}")))
    }

    /// Takes a string that may not hold NUL.
    pub(super) fn cstring(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let (at, start) = (self.lexer.at, out.len());
        self.lexer.string(out, "a string")?;
        match memchr::memchr(0, &out[start..]) {
            Some(_) => Err(Fault::new(at, "a regular expression cannot hold the character NUL")),
            None => Ok(()),
        }
    }

    /// Takes an integer in digits, or written with `$numberInt` or `$numberLong`.
    fn integer_as<T: TryFrom<i64>>(&mut self, expected: &'static str) -> Parse<T> {
        let peeked = self.lexer.peek();
        let at = self.lexer.at;
        let integer = match peeked {
            Some(b'{') => {
                self.lexer.at += 1;
                self.lexer.string(cleared(self.token), expected)?;
                let key = TypeKey::of(self.token);
                self.lexer.expect(b':', "':'")?;
                let integer = match key {
                    Some(TypeKey::NumberInt) => self.text(parse, expected)?,
                    Some(TypeKey::NumberLong) => self.number_long()?,
                    _ => return Err(Fault::new(at, format!("expected {expected}"))),
                };
                self.lexer.expect(b'}', "'}'")?;
                integer
            }
            Some(b'-' | b'0'..=b'9') => match self.lexer.number()? {
                Number::Integer(integer) => integer,
                Number::Float(_) => return Err(Fault::new(at, format!("expected {expected}"))),
            },
            _ => return Err(self.lexer.unexpected(expected)),
        };
        integer
            .try_into()
            .map_err(|_| Fault::new(at, format!("expected {expected}")))
    }

    fn number_long(&mut self) -> Parse<i64> {
        const EXPECTED: &str = "an integer of 64 bits";
        if self.lexer.peek() == Some(b'"') {
            return self.text(parse, EXPECTED);
        }
        let at = self.lexer.at;
        match self.lexer.number() {
            Ok(Number::Integer(integer)) => Ok(integer),
            _ => Err(Fault::new(at, format!("expected {EXPECTED}"))),
        }
    }
}

/// An emptied buffer for a string.
pub(super) fn cleared(token: &mut Vec<u8>) -> &mut Vec<u8> {
    token.clear();
    token
}

/// What the standard library reads from `text`.
pub(super) fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Appends a regular expression.
pub(super) fn regex(pattern: &[u8], options: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(pattern);
    out.push(0);
    let start = out.len();
    out.extend_from_slice(options);
    sort_options(out, start);
    out.push(0);
}

/// Sorts the options of a regular expression that were written from `start` on, each once: BSON wants them so.
fn sort_options(out: &mut Vec<u8>, start: usize) {
    if out[start..].is_ascii() {
        out[start..].sort_unstable();
        let mut kept = start;
        for at in start..out.len() {
            if kept == start || out[at] != out[kept - 1] {
                out[kept] = out[at];
                kept += 1;
            }
        }
        out.truncate(kept);
    } else if let Ok(text) = std::str::from_utf8(&out[start..]) {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        let sorted: String = letters.into_iter().collect();
        out.truncate(start);
        out.extend_from_slice(sorted.as_bytes());
    }
}
