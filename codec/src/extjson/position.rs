//! A place in a text that may come in pieces.

/// How far a text has been read. A text that comes in pieces is one text: see [`TextPosition::next_piece`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPosition {
    /// Bytes read of the piece at hand.
    pub at: usize,
    /// Bytes of the whole text before that piece.
    pub before: u64,
    /// The line, from 1.
    pub line: u64,
}

impl TextPosition {
    /// The start of a text.
    pub fn start() -> Self {
        Self {
            at: 0,
            before: 0,
            line: 1,
        }
    }

    /// Bytes read of the whole text.
    pub fn byte(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Goes over to the piece that begins with the first byte not read yet.
    pub fn next_piece(&mut self) {
        self.before = self.byte();
        self.at = 0;
    }
}

impl Default for TextPosition {
    fn default() -> Self {
        Self::start()
    }
}
