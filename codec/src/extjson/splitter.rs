//! Cuts a long text into its documents.
//!
//! For foreign texts: documents one a line, several on a line, spread over many lines, or as the elements of one array
//! (`mongoexport --jsonArray`). It looks only at strings and brackets; the decoder judges whether a document is
//! well-formed.

use super::{
    MAX_DOCUMENT_BYTES,
    error::{DecodeError, Fault},
    position::TextPosition,
    scan,
};

/// Takes a text in pieces, and hands out whole documents. It holds at most one document and one piece.
///
/// After an error it stays where it is: the next call meets the same error.
#[derive(Debug)]
pub struct Splitter {
    max_text_bytes: usize,
    buffer: Vec<u8>,
    /// Start in the buffer, and place in the text, of what has not been handed out.
    start: usize,
    byte: u64,
    line: u64,
    /// Between `start` and here, a document has been looked through.
    scanned: usize,
    depth: usize,
    in_string: bool,
    around: Around,
}

/// What may come between two documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// No array: a document or an array.
    Nothing,
    /// `[` was read: a document or `]`.
    ArrayStart,
    /// A document of an array was read: `,` or `]`.
    ArrayElement,
    /// `,` was read: a document.
    ArrayComma,
}

/// The text of one document, from `{` to `}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentText<'a> {
    /// The document's bytes.
    pub text: &'a [u8],
    /// Where in the whole text it starts, for a [`Decoder`](super::Decoder) to continue from.
    pub position: TextPosition,
}

impl Splitter {
    /// A splitter that refuses documents of more than `max_text_bytes` bytes of text.
    pub fn new(max_text_bytes: usize) -> Self {
        Self {
            max_text_bytes,
            buffer: Vec::new(),
            start: 0,
            byte: 0,
            line: 1,
            scanned: 0,
            depth: 0,
            in_string: false,
            around: Around::Nothing,
        }
    }

    /// Takes the next piece of the text. Call [`Splitter::next_document`] until it gives none, then push the next
    /// piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next document, if all of it is there.
    pub fn next_document(&mut self) -> Result<Option<DocumentText<'_>>, DecodeError> {
        if self.depth == 0 && !self.find_document()? {
            return Ok(None);
        }
        let whole = self.scan_document();
        if self.scanned - self.start > self.max_text_bytes {
            return Err(self.error(
                self.start,
                format!(
                    "the document that starts here has more than {} bytes of text",
                    self.max_text_bytes
                ),
            ));
        }
        if !whole {
            return Ok(None);
        }
        let position = TextPosition {
            at: 0,
            before: self.byte,
            line: self.line,
        };
        let range = self.start..self.scanned;
        self.line += memchr::memchr_iter(b'\n', &self.buffer[range.clone()]).count() as u64;
        self.byte += range.len() as u64;
        self.start = range.end;
        if self.around != Around::Nothing {
            self.around = Around::ArrayElement;
        }
        Ok(Some(DocumentText {
            text: &self.buffer[range],
            position,
        }))
    }

    /// Says that the text is at its end: an error, if that is inside a document or an array.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.depth > 0 || self.start < self.buffer.len() {
            return Err(self.error(self.start, "the text ends inside the document that starts here"));
        }
        match self.around {
            Around::Nothing => Ok(()),
            _ => Err(self.error(self.start, "the text ends inside an array of documents")),
        }
    }

    /// Goes over what is between documents, up to and including the next `{`; false if that is not there yet.
    fn find_document(&mut self) -> Result<bool, DecodeError> {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        let rest = &self.buffer[self.start..];
        if self.byte == 0 && rest.starts_with(MARK) {
            self.skip(MARK.len());
        } else if self.byte == 0 && MARK.starts_with(rest) {
            return Ok(false);
        }
        while let Some(&byte) = self.buffer.get(self.start) {
            self.around = match (byte, self.around) {
                (b'{', Around::Nothing | Around::ArrayStart | Around::ArrayComma) => {
                    self.depth = 1;
                    self.scanned = self.start + 1;
                    return Ok(true);
                }
                (b'\n', around) => {
                    self.line += 1;
                    around
                }
                (b' ' | b'\t' | b'\r', around) => around,
                (b'[', Around::Nothing) => Around::ArrayStart,
                (b',', Around::ArrayElement) => Around::ArrayComma,
                (b']', Around::ArrayStart | Around::ArrayElement) => Around::Nothing,
                (_, Around::Nothing) => {
                    return Err(self.error(self.start, "expected a document or an array of documents"));
                }
                (_, Around::ArrayElement) => {
                    return Err(self.error(self.start, "expected ',' or ']' after a document of an array"));
                }
                (_, _) => return Err(self.error(self.start, "expected a document in an array")),
            };
            self.skip(1);
        }
        Ok(false)
    }

    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        self.byte += bytes as u64;
        self.scanned = self.start;
    }

    /// Looks on for the end of the document; false if it is not there yet.
    fn scan_document(&mut self) -> bool {
        loop {
            let rest = &self.buffer[self.scanned..];
            if self.in_string {
                let run = scan::unescaped_run(rest);
                match rest.get(run) {
                    Some(b'"') => self.in_string = false,
                    // Escape and escaped byte are taken together: wait for the second.
                    Some(b'\\') if run + 1 < rest.len() => self.scanned += 1,
                    Some(b'\\') | None => {
                        self.scanned += run;
                        return false;
                    }
                    // A control character: the decoder will say so.
                    Some(_) => {}
                }
                self.scanned += run + 1;
                continue;
            }
            let Some(run) = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))
            else {
                self.scanned = self.buffer.len();
                return false;
            };
            self.scanned += run + 1;
            match rest[run] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                _ => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return true;
                    }
                }
            }
        }
    }

    #[cold]
    fn error(&self, at: usize, problem: impl Into<std::borrow::Cow<'static, str>>) -> DecodeError {
        let fault = Fault::new(at, problem);
        DecodeError {
            line: self.line,
            byte: self.byte,
            path: fault.path(),
            problem: fault.problem,
        }
    }
}

/// Room for any document that a server holds, written in any known way: sixteen times its BSON.
impl Default for Splitter {
    fn default() -> Self {
        Self::new(16 * MAX_DOCUMENT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documents of a text that comes in pieces of `step` bytes.
    fn split(text: &str, step: usize) -> Result<Vec<(String, u64, u64)>, DecodeError> {
        let mut splitter = Splitter::new(60);
        let mut documents = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            splitter.push(piece);
            while let Some(found) = splitter.next_document()? {
                documents.push((
                    String::from_utf8(found.text.to_vec()).unwrap(),
                    found.position.byte(),
                    found.position.line,
                ));
            }
        }
        splitter.finish().map(|()| documents)
    }

    fn all_steps(text: &str) -> Result<Vec<(String, u64, u64)>, DecodeError> {
        let whole = split(text, 1000);
        for step in 1..text.len() {
            assert_eq!(split(text, step), whole, "{text:?} in steps of {step}");
        }
        whole
    }

    #[test]
    fn lines_and_spread_documents() {
        let found = all_steps("\u{feff}{\"a\": 1}\n\n{\n  \"b\": [\n {}]\n} {\"c\": \"}{\\\"\\\\\"}{}").unwrap();
        assert_eq!(
            found,
            [
                ("{\"a\": 1}".to_owned(), 3, 1),
                ("{\n  \"b\": [\n {}]\n}".to_owned(), 13, 3),
                ("{\"c\": \"}{\\\"\\\\\"}".to_owned(), 31, 6),
                ("{}".to_owned(), 46, 6),
            ]
        );
        assert_eq!(all_steps(" \n").unwrap(), []);
        assert_eq!(all_steps("").unwrap(), []);
    }

    #[test]
    fn arrays_of_documents() {
        let texts = |found: Vec<(String, u64, u64)>| found.into_iter().map(|(text, ..)| text).collect::<Vec<_>>();
        assert_eq!(
            texts(all_steps("[{\"a\":1},\n{\"b\":2} , {}]\n").unwrap()),
            ["{\"a\":1}", "{\"b\":2}", "{}"]
        );
        assert_eq!(all_steps(" [ ] [ ]\n").unwrap(), []);
        for bad in [
            "[{},]", "[{}{}]", "[1]", "[,{}]", "]", "{},{}", "[{}", "[", "[[{}]]", "x", "\"{}\"",
        ] {
            assert!(all_steps(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_end_must_not_come_inside() {
        for cut in ["{", "{\"a\": \"}", "{\"a\": \"\\", "{}{\"a\": [1, 2]"] {
            assert!(all_steps(cut).is_err(), "{cut}");
        }
        let mut half_a_mark = Splitter::default();
        half_a_mark.push(b"\xEF\xBB");
        assert_eq!(half_a_mark.next_document(), Ok(None));
        assert!(half_a_mark.finish().is_err());
    }

    #[test]
    fn a_document_may_not_grow_without_end() {
        let error = split(&format!("{{}}\n{{\"a\": \"{}", "x".repeat(100)), 7).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2, byte 3: the document that starts here has more than 60 bytes of text"
        );
    }
}
