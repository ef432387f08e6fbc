//! The tokens of JSON, as Python's `json` module reads them: the standard, and bare `NaN`, `Infinity`, `-Infinity`.

use super::{
    error::{Fault, Parse},
    scan,
};

/// A place in a text. Tokens are consumed from there; lines are counted where they can end, between tokens.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    pub(super) line: u64,
}

/// A bare number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

impl<'t> Lexer<'t> {
    /// What is not read yet.
    #[inline]
    pub(super) fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The first byte of the next token, spaces before it skipped.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.text.get(self.at) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.peek_past_space(),
        }
    }

    fn peek_past_space(&mut self) -> Option<u8> {
        loop {
            match *self.text.get(self.at)? {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                byte => return Some(byte),
            }
            self.at += 1;
        }
    }

    /// Takes the token `byte`, or says that `expected` was expected.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Parse<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(expected))
    }

    /// A fault at the next token.
    #[cold]
    pub(super) fn unexpected(&mut self, expected: &str) -> Box<Fault> {
        let found = match self.peek() {
            None => "the end of the text".to_owned(),
            Some(b'"') => "a string".to_owned(),
            Some(b'-' | b'0'..=b'9') => "a number".to_owned(),
            Some(byte @ 0x21..=0x7E) => format!("'{}'", char::from(byte)),
            Some(byte) => format!("byte 0x{byte:02x}"),
        };
        Fault::new(self.at, format!("expected {expected}, found {found}"))
    }

    /// Takes the string token that is next, and appends what it says to `out`.
    #[inline]
    pub(super) fn string(&mut self, out: &mut Vec<u8>, expected: &'static str) -> Parse<()> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(expected));
        }
        let content = &self.text[self.at + 1..];
        let run = scan::plain_run(content);
        if content.get(run) != Some(&b'"') {
            return self.string_with_escapes(out);
        }
        scan::append_run(content, run, out);
        self.at += run + 2;
        Ok(())
    }

    fn string_with_escapes(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let (start, out_start) = (self.at, out.len());
        self.at += 1;
        loop {
            let run = scan::unescaped_run(self.rest());
            scan::append_run(self.rest(), run, out);
            self.at += run;
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape(out)?,
                Some(_) => {
                    return Err(Fault::new(self.at, "a control character in a string must be escaped"));
                }
                None => return Err(Fault::new(start, "the string that starts here has no end")),
            }
        }
        self.at += 1;
        match std::str::from_utf8(&out[out_start..]) {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::new(start, "the string that starts here is not UTF-8")),
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let byte = match self.text.get(self.at + 1) {
            Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode_escape(out),
            _ => return Err(Fault::new(self.at, "no such escape in a string")),
        };
        out.push(byte);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, out: &mut Vec<u8>) -> Parse<()> {
        let start = self.at;
        let fault = |problem: &'static str| Fault::new(start, problem);
        let mut code = self
            .code_unit()
            .ok_or_else(|| fault("\\u needs four hexadecimal digits"))?;
        if (0xD800..0xDC00).contains(&code) {
            match self.code_unit() {
                Some(low @ 0xDC00..0xE000) => code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00),
                _ => return Err(fault("half of a surrogate pair")),
            }
        }
        let character = char::from_u32(code).ok_or_else(|| fault("half of a surrogate pair"))?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// Takes `\uXXXX`.
    fn code_unit(&mut self) -> Option<u32> {
        let digits = self.rest().strip_prefix(b"\\u")?.first_chunk::<4>()?;
        let code = digits
            .iter()
            .try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))?;
        self.at += 6;
        Some(code)
    }

    /// Takes `word` if it is next.
    #[inline]
    pub(super) fn take(&mut self, word: &[u8]) -> bool {
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Takes the number that starts here. Integers that do not fit become floats.
    pub(super) fn number(&mut self) -> Parse<Number> {
        let start = self.at;
        if self.take(b"NaN") {
            return Ok(Number::Float(f64::NAN));
        }
        let negative = self.take(b"-");
        if self.take(b"Infinity") {
            return Ok(Number::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
        }
        let fault = || Fault::new(start, "not a JSON number");
        let whole = self.digits();
        if whole == 0 || whole > 1 && self.text[self.at - whole] == b'0' {
            return Err(fault());
        }
        let mut integral = true;
        if self.take(b".") {
            integral = false;
            if self.digits() == 0 {
                return Err(fault());
            }
        }
        if self.take(b"e") || self.take(b"E") {
            integral = false;
            let _sign = self.take(b"-") || self.take(b"+");
            if self.digits() == 0 {
                return Err(fault());
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| fault())?;
        if integral && let Ok(integer) = text.parse() {
            return Ok(Number::Integer(integer));
        }
        text.parse().map(Number::Float).map_err(|_| fault())
    }

    fn digits(&mut self) -> usize {
        let len = self.rest().iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += len;
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexer(text: &[u8]) -> Lexer<'_> {
        Lexer { text, at: 0, line: 1 }
    }

    fn string(text: &[u8]) -> Result<String, String> {
        let mut out = Vec::new();
        match lexer(text).string(&mut out, "a string") {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(fault) => Err(fault.problem.into_owned()),
        }
    }

    #[test]
    fn strings() {
        assert_eq!(string(br#" "plain""#).unwrap(), "plain");
        assert_eq!(
            string(br#""\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\uDE00""#).unwrap(),
            "\"\\/\u{8}\u{c}\n\r\t\0é😀"
        );
        assert_eq!(
            string("\"h\u{e9}llo \u{1F600} \\n\u{2028}\"".as_bytes()).unwrap(),
            "héllo 😀 \n\u{2028}"
        );
        for bad in [
            &b"\"open"[..],
            b"\"\\",
            b"\"\\x\"",
            b"\"\\u12\"",
            b"\"\\u12g4\"",
            b"\"\\ud800\"",
            b"\"\\ud800\\u0041\"",
            b"\"\\udc00\"",
            b"\"\xff\"",
            b"\"a\nb\"",
            b"\"\xc3\\n\xa9\"",
            b"x",
            b"",
        ] {
            assert!(string(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers() {
        for (text, number) in [
            ("0", Number::Integer(0)),
            ("-0", Number::Integer(0)),
            ("9223372036854775807", Number::Integer(i64::MAX)),
            ("-9223372036854775808", Number::Integer(i64::MIN)),
            ("9223372036854775808", Number::Float(9223372036854775808.0)),
            ("1.0", Number::Float(1.0)),
            ("-1e3", Number::Float(-1000.0)),
            ("5E-324", Number::Float(5e-324)),
            ("Infinity", Number::Float(f64::INFINITY)),
            ("-Infinity", Number::Float(f64::NEG_INFINITY)),
        ] {
            assert_eq!(lexer(text.as_bytes()).number().unwrap(), number, "{text}");
        }
        for bad in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "-NaN", "nan"] {
            assert!(lexer(bad.as_bytes()).number().is_err(), "{bad}");
        }
    }
}
