//! Extended JSON to raw BSON.
//!
//! The BSON is written while the text is read: a length or a type is left open, and filled in once known. So an object
//! costs no extra memory; one that turns out to be a typed value is taken back and rewritten.

use super::{
    MAX_DOCUMENT_BYTES, MAX_TEXT_DEPTH, RAW_BSON_KEY,
    error::{DecodeError, Fault, Parse},
    keys::TypeKey,
    lexer::{Lexer, Number},
    position::TextPosition,
};

/// What a document may not exceed. The default is what a server holds, and [`MAX_TEXT_DEPTH`] levels of nesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of documents and arrays, the outermost counted. At most 1,000, for the sake of the stack.
    pub max_depth: usize,
    /// Bytes of BSON.
    pub max_document_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: MAX_TEXT_DEPTH,
            max_document_bytes: MAX_DOCUMENT_BYTES,
        }
    }
}

/// Reads documents written as Extended JSON. Holds nothing between documents but memory to reuse.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    token: Vec<u8>,
}

impl Decoder {
    /// A decoder that refuses what goes beyond `limits`.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            max_depth: limits.max_depth.min(1000),
            max_document_bytes: limits.max_document_bytes.min(i32::MAX as usize),
        };
        Self {
            limits,
            token: Vec::new(),
        }
    }

    /// Reads the document at `position` of `text`, and appends its raw BSON to `out`. `Ok(false)` says that there are
    /// only spaces left. A byte order mark at the start of the whole text is skipped.
    ///
    /// The document has to end in `text`: cut a text that comes in pieces with a [`Splitter`](super::Splitter). After
    /// an error neither `position` nor `out` has changed.
    pub fn decode_next(
        &mut self,
        text: &[u8],
        position: &mut TextPosition,
        out: &mut Vec<u8>,
    ) -> Result<bool, DecodeError> {
        let mut lexer = Lexer {
            text,
            at: position.at,
            line: position.line,
        };
        if position.byte() == 0 {
            lexer.take(b"\xEF\xBB\xBF");
        }
        let Some(_) = lexer.peek() else {
            (position.at, position.line) = (lexer.at, lexer.line);
            return Ok(false);
        };
        let start = out.len();
        let Limits {
            max_depth,
            max_document_bytes,
        } = self.limits;
        let largest_end = start.saturating_add(max_document_bytes);
        let mut parser = Parser {
            lexer,
            levels: max_depth,
            max_depth,
            largest_end,
            token: &mut self.token,
        };
        match parser.document(Place::Top, out) {
            Ok(_) => {
                (position.at, position.line) = (parser.lexer.at, parser.lexer.line);
                Ok(true)
            }
            Err(fault) => {
                out.truncate(start);
                Err(locate(&fault, text, position))
            }
        }
    }
}

#[cold]
fn locate(fault: &Fault, text: &[u8], position: &TextPosition) -> DecodeError {
    let at = fault.at.clamp(position.at, text.len().max(position.at));
    let read = text.get(position.at..at).unwrap_or_default();
    DecodeError {
        line: position.line + memchr::memchr_iter(b'\n', read).count() as u64,
        byte: position.before + at as u64,
        path: fault.path(),
        problem: fault.problem.clone(),
    }
}

/// What an object may be, by where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A document, ordinary or wrapped.
    Top,
    /// The scope of a code: an ordinary document.
    Scope,
    /// Any value.
    Value,
}

/// Reads one document.
#[derive(Debug)]
pub(super) struct Parser<'t, 's> {
    pub(super) lexer: Lexer<'t>,
    /// Levels of nesting left.
    levels: usize,
    max_depth: usize,
    /// Length that the output may grow to.
    largest_end: usize,
    /// For strings that are not copied to the output as they are.
    pub(super) token: &'s mut Vec<u8>,
}

impl Parser<'_, '_> {
    /// Appends the value that is next to `out`. The answer is its BSON type.
    #[inline]
    pub(super) fn value(&mut self, out: &mut Vec<u8>) -> Parse<u8> {
        match self.lexer.peek() {
            Some(b'"') => {
                self.bson_string(out)?;
                Ok(0x02)
            }
            Some(b'{') => {
                if let Some(kind) = self.frequent_type(out) {
                    return Ok(kind);
                }
                self.document(Place::Value, out)
            }
            Some(b'[') => self.array(out),
            Some(b't') if self.lexer.take(b"true") => {
                out.push(1);
                Ok(0x08)
            }
            Some(b'f') if self.lexer.take(b"false") => {
                out.push(0);
                Ok(0x08)
            }
            Some(b'n') if self.lexer.take(b"null") => Ok(0x0A),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => self.bare_number(out),
            _ => Err(self.lexer.unexpected("a value")),
        }
    }

    /// Takes a string, and appends it as BSON has strings: length, bytes, NUL.
    pub(super) fn bson_string(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let start = open(out);
        self.lexer.string(out, "a string")?;
        out.push(0);
        let len = self.length_since(start + 4, out)?;
        out[start..start + 4].copy_from_slice(&len);
        Ok(())
    }

    fn bare_number(&mut self, out: &mut Vec<u8>) -> Parse<u8> {
        match self.lexer.number()? {
            Number::Integer(integer) => match i32::try_from(integer) {
                Ok(small) => {
                    out.extend_from_slice(&small.to_le_bytes());
                    Ok(0x10)
                }
                Err(_) => {
                    out.extend_from_slice(&integer.to_le_bytes());
                    Ok(0x12)
                }
            },
            Number::Float(float) => {
                out.extend_from_slice(&float.to_le_bytes());
                Ok(0x01)
            }
        }
    }

    fn array(&mut self, out: &mut Vec<u8>) -> Parse<u8> {
        self.descend()?;
        self.lexer.at += 1;
        let start = open(out);
        let mut index = 0_u32;
        if self.lexer.peek() == Some(b']') {
            self.lexer.at += 1;
        } else {
            loop {
                let element = out.len();
                out.push(0);
                out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
                out.push(0);
                out[element] = self.value(out).map_err(|fault| fault.under_index(index))?;
                self.check_size(out)?;
                index += 1;
                match self.lexer.peek() {
                    Some(b',') => self.lexer.at += 1,
                    Some(b']') => {
                        self.lexer.at += 1;
                        break;
                    }
                    _ => return Err(self.lexer.unexpected("',' or ']'")),
                }
            }
        }
        self.ascend(start, out)?;
        Ok(0x04)
    }

    /// Takes an object, and appends what it stands for. The answer is its BSON type, 0x03 unless `place` is
    /// [`Place::Value`].
    pub(super) fn document(&mut self, place: Place, out: &mut Vec<u8>) -> Parse<u8> {
        let opened_at = self.lexer.at;
        self.lexer.expect(b'{', "'{'")?;
        let start = open(out);
        if self.lexer.peek() == Some(b'}') {
            self.lexer.at += 1;
            self.descend()?;
            self.ascend(start, out)?;
            return Ok(0x03);
        }
        let mut fields = 0;
        // The type key that stands second, after the key it belongs with.
        let mut swapped = None;
        loop {
            let key_at = self.lexer.at;
            let element = out.len();
            self.key(out)?;
            let key = &out[element + 1..];
            if fields == 0 && place == Place::Top && key == RAW_BSON_KEY.as_bytes() {
                out.truncate(start);
                self.wrapped_document(start, out)?;
                return Ok(0x03);
            }
            if key.first() == Some(&b'$')
                && let Some(type_key) = TypeKey::of(key)
            {
                if fields == 0 {
                    // Said before the value is read: a scope in a scope in a scope takes no level of nesting.
                    if place != Place::Value && type_key != TypeKey::Regex {
                        return Err(no_document(opened_at, type_key));
                    }
                    if let Some(kind) = self.typed(type_key, start, out)? {
                        return if place == Place::Value {
                            Ok(kind)
                        } else {
                            Err(no_document(opened_at, type_key))
                        };
                    }
                } else if fields == 1 && type_key.partner() == Some(first_key(&out[start..])) {
                    swapped = Some(type_key);
                } else if type_key != TypeKey::Regex {
                    return Err(beside(key_at, type_key));
                }
            }
            if fields == 0 {
                self.descend()?;
            }
            out.push(0);
            let value_at = self.lexer.at;
            match self.value(out) {
                Ok(kind) => out[element] = kind,
                Err(fault) => {
                    return Err(fault.under_key(key_text(&self.lexer.text[key_at..value_at])));
                }
            }
            self.check_size(out)?;
            fields += 1;
            match self.lexer.peek() {
                Some(b',') => self.lexer.at += 1,
                Some(b'}') => break,
                _ => return Err(self.lexer.unexpected("',' or '}'")),
            }
            if self.lexer.peek() != Some(b'"') {
                return Err(self.lexer.unexpected("a key"));
            }
        }
        self.lexer.at += 1;
        self.ascend(start, out)?;
        match swapped {
            Some(type_key) if fields == 2 => match self.swapped(type_key, opened_at, start, out)? {
                0x03 => Ok(0x03),
                kind if place == Place::Value => Ok(kind),
                _ => Err(no_document(opened_at, type_key)),
            },
            Some(type_key) if type_key != TypeKey::Regex => Err(beside(opened_at, type_key)),
            _ => Ok(0x03),
        }
    }

    /// Takes a key and its colon, and appends an element's start: a type to be filled in, the key, but not its NUL.
    #[inline]
    fn key(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        out.push(0);
        let start = out.len();
        let at = self.lexer.at;
        self.lexer.string(out, "a key")?;
        // A plain run holds no NUL: one can only come from an escape, which is longer than what it stands for.
        if out.len() - start + 2 < self.lexer.at - at && memchr::memchr(0, &out[start..]).is_some() {
            return Err(Fault::new(at, "a key cannot hold the character NUL"));
        }
        self.lexer.expect(b':', "':'")
    }

    /// Takes the rest of `{"mongotar:raw-bson":`, and appends the document inside.
    fn wrapped_document(&mut self, start: usize, out: &mut Vec<u8>) -> Parse<()> {
        let at = self.lexer.at;
        let kind = self
            .value(out)
            .map_err(|fault| fault.under_key(RAW_BSON_KEY.as_bytes()))?;
        let only = self.lexer.peek() == Some(b'}');
        self.lexer.at += 1;
        let generic = kind == 0x05 && out[start + 4] == 0;
        let document = if only && generic { &out[start + 5..] } else { &[] };
        let whole = document.len() >= 5 && document[..4] == (document.len() as u32).to_le_bytes();
        if !whole {
            let problem = "this key is reserved for a document in raw BSON: its only field, a Binary of subtype 0, as long as the document";
            return Err(Fault::new(at, problem).under_key(RAW_BSON_KEY.as_bytes()));
        }
        out.drain(start..start + 5);
        self.check_size(out)
    }

    fn descend(&mut self) -> Parse<()> {
        match self.levels.checked_sub(1) {
            Some(left) => self.levels = left,
            None => {
                return Err(Fault::new(
                    self.lexer.at,
                    format!("nested deeper than {} levels", self.max_depth),
                ));
            }
        }
        Ok(())
    }

    /// Ends the document or array whose length is at `start`.
    fn ascend(&mut self, start: usize, out: &mut Vec<u8>) -> Parse<()> {
        out.push(0);
        self.levels += 1;
        self.check_size(out)?;
        let len = self.length_since(start, out)?;
        out[start..start + 4].copy_from_slice(&len);
        Ok(())
    }

    #[inline]
    fn check_size(&self, out: &[u8]) -> Parse<()> {
        if out.len() > self.largest_end {
            return Err(Fault::new(self.lexer.at, "the document is larger than allowed"));
        }
        Ok(())
    }

    /// The BSON length of what was appended since `start`.
    #[inline]
    pub(super) fn length_since(&self, start: usize, out: &[u8]) -> Parse<[u8; 4]> {
        match i32::try_from(out.len() - start) {
            Ok(len) => Ok(len.to_le_bytes()),
            Err(_) => Err(Fault::new(self.lexer.at, "the document is larger than allowed")),
        }
    }
}

/// Appends a length to be filled in, and says where.
#[inline]
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    start
}

/// The key of the first element of a document that is being written.
fn first_key(document: &[u8]) -> &[u8] {
    let key = document.get(5..).unwrap_or_default();
    memchr::memchr(0, key).map_or(key, |len| &key[..len])
}

/// What is between the quotes in `"key" :`.
fn key_text(text: &[u8]) -> &[u8] {
    let start = memchr::memchr(b'"', text).map_or(0, |at| at + 1);
    let end = memchr::memrchr(b'"', text).unwrap_or(text.len());
    text.get(start..end).unwrap_or_default()
}

#[cold]
fn no_document(at: usize, type_key: TypeKey) -> Box<Fault> {
    Fault::new(
        at,
        format!("expected a document, found a value written with {}", type_key.name()),
    )
}

#[cold]
pub(super) fn beside(at: usize, type_key: TypeKey) -> Box<Fault> {
    Fault::new(at, format!("{} in an object with other fields", type_key.name()))
}
