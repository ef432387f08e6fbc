//! Where and why a text could not be read.

use std::{borrow::Cow, fmt};

/// A text that is no Extended JSON document, with the place in the whole text that was being read.
///
/// It names the keys on the way to the place and a short token at most, never the content of a document: it will be
/// logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    /// The line, from 1.
    pub line: u64,
    /// Bytes before the place, from the start of the whole text.
    pub byte: u64,
    /// Keys and array indexes to the value, joined by dots; empty at the top.
    pub path: String,
    /// What was wrong, as half a sentence.
    pub problem: Cow<'static, str>,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.byte)?;
        if !self.path.is_empty() {
            write!(f, ", at {}", self.path)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// A fault on its way out of the parser, gathering the path level by level. Boxed, so that results stay small.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) problem: Cow<'static, str>,
    /// Innermost first.
    path: Vec<String>,
}

pub(super) type Parse<T> = Result<T, Box<Fault>>;

impl Fault {
    #[cold]
    pub(super) fn new(at: usize, problem: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            at,
            problem: problem.into(),
            path: Vec::new(),
        })
    }

    /// Names the key, as written in the text, whose value has the fault.
    #[cold]
    pub(super) fn under_key(mut self: Box<Self>, key: &[u8]) -> Box<Self> {
        const LONGEST: usize = 60;
        let key = String::from_utf8_lossy(key);
        let mut name: String = key
            .chars()
            .take(LONGEST)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        if key.chars().count() > LONGEST {
            name.push('…');
        }
        self.path.push(name);
        self
    }

    /// Names the index in the array whose value has the fault.
    #[cold]
    pub(super) fn under_index(mut self: Box<Self>, index: u32) -> Box<Self> {
        self.path.push(index.to_string());
        self
    }

    /// The keys from the top; the middle of a very long way is left out.
    pub(super) fn path(&self) -> String {
        const ENDS: usize = 10;
        let mut steps: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
        if steps.len() > 2 * ENDS {
            steps.splice(ENDS..steps.len() - ENDS, ["…"]);
        }
        steps.join(".")
    }
}
