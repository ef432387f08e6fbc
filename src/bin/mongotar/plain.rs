//! Protects the terminal from foreign names.
//!
//! Collection names, server messages and `_id`s are other people's. An escape sequence in one could overwrite our
//! output, marks of writing direction could make it read differently, and a line break could add a line that looks like
//! ours. So only letters, spaces and our own line breaks go to a terminal.

use std::borrow::Cow;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// What an item of a list begins with.
const ITEM: &str = "\n- ";

/// The text with everything that a terminal acts on written out, such as `\u{1b}`. Line breaks stay.
pub fn plain(text: &str) -> Cow<'_, str> {
    written_out(
        text,
        |letter| letter != '\n' && acts(letter),
        |letter| letter.escape_unicode().to_string(),
    )
}

/// As [`plain`], for what must stay on its line.
pub fn one_line(text: &str) -> Cow<'_, str> {
    written_out(text, acts, |letter| letter.escape_default().to_string())
}

/// As [`one_line`], for a message that may be a list of our own: each item stays on its line.
pub fn items(text: &str) -> String {
    let items: Vec<Cow<'_, str>> = text.split(ITEM).map(one_line).collect();
    items.join(ITEM)
}

/// A word of a command line that can be pasted into a shell.
pub fn word(text: &str) -> Cow<'_, str> {
    let needs_no_quotes = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-".contains(letter);
    match !text.is_empty() && text.chars().all(needs_no_quotes) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("'{}'", text.replace('\'', r"'\''"))),
    }
}

/// As [`plain`], for a JSON document: what its writer left as it was stands there as JSON's own escape.
pub fn plain_json(text: &str) -> Cow<'_, str> {
    written_out(
        text,
        |letter| letter != '\n' && acts(letter),
        |letter| format!("\\u{:04x}", u32::from(letter)),
    )
}

/// Whether a terminal does something else with it than to show it: control characters, and marks of writing direction.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn written_out(text: &str, is_it: impl Fn(char) -> bool, how: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.chars().any(&is_it) {
        return Cow::Borrowed(text);
    }
    let letters = text.chars().map(|letter| match is_it(letter) {
        true => Cow::Owned(how(letter)),
        false => Cow::Owned(letter.to_string()),
    });
    Cow::Owned(letters.collect::<Vec<Cow<'_, str>>>().concat())
}

/// Standard error for log lines: each is one.
#[derive(Debug)]
pub struct PlainError;

impl Write for PlainError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let shown = one_line(text.trim_end_matches('\n'));
        io::stderr().write_all(format!("{shown}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Standard output for lines of JSON, each written whole: at a terminal what it would act on is written out.
#[derive(Debug)]
pub struct PlainJson;

impl AsyncWrite for PlainJson {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, lines: &[u8]) -> Poll<io::Result<usize>> {
        let text = String::from_utf8_lossy(lines);
        Poll::Ready(
            io::stdout()
                .write_all(plain_json(&text).as_bytes())
                .map(|()| lines.len()),
        )
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(io::stdout().flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        let name = "a\u{1b}[2J\u{9b}b\u{202e}c\rd\ne\u{2066}";
        assert_eq!(plain(name), "a\\u{1b}[2J\\u{9b}b\\u{202e}c\\u{d}d\ne\\u{2066}");
        assert_eq!(one_line(name), "a\\u{1b}[2J\\u{9b}b\\u{202e}c\\rd\\ne\\u{2066}");
        assert_eq!(items("two:\n- a\nb\n- c\r"), "two:\n- a\\nb\n- c\\r");
        for usual in ["orders", "Grüße, 注文 \u{1f4e6} é", "x y"] {
            assert!(matches!(plain(usual), Cow::Borrowed(_)) && matches!(one_line(usual), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(word("s3://b/pre-restore/x.tar.zst"), "s3://b/pre-restore/x.tar.zst");
        for (text, quoted) in [("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'"), ("", "''")] {
            assert_eq!(word(text), quoted);
        }
    }

    #[test]
    fn a_json_document_stays_the_same_document() {
        let value = serde_json::json!({"a\u{9b}\u{202e}": ["\u{1b}", "\u{7f}", "é"]});
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let shown = plain_json(&text);
        assert!(!shown.chars().any(|letter| letter != '\n' && acts(letter)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
