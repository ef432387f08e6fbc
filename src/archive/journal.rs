//! The lines of a journal (FORMAT 5): what changed in a collection between two cluster times, the last change first.
//!
//! A line with a time says what the collection came to when everything of that time had happened. So a reader that is
//! asked for a moment passes over the later ones, and the first that is left has the digest that its documents must
//! give. Behind it stands what changed then: the documents that changed again later are in an entry of their own, as
//! they were in between; of the others, whose state the increment has anyway, only the `_id`s.

use bson::{RawDocument, RawDocumentBuf, cstr};

use super::ClusterTime;
use crate::digest::Digest;
use crate::elements::Elements;

/// A line of a journal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum JournalLine {
    /// A cluster time; what changed then follows.
    Moment(JournalMoment),
    /// The last change of the document with that line's `_id`: what became of it, the increment's entries say.
    Last,
    /// That document was gone, and came back later.
    Gone,
}

/// What a collection came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct JournalMoment {
    /// When.
    pub(crate) at: ClusterTime,
    /// Count, size and digest of all its documents.
    pub(crate) digest: Digest,
    /// How many documents changed then that changed again later: as many of the states belong to it.
    pub(crate) states: u64,
}

impl JournalMoment {
    /// The line, as BSON.
    pub(crate) fn line(&self) -> RawDocumentBuf {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut line = RawDocumentBuf::new();
        line.append(cstr!("at"), bson::Timestamp::from(self.at));
        line.append(cstr!("documents"), number(self.digest.documents()));
        line.append(cstr!("bytes"), number(self.digest.bytes()));
        line.append(cstr!("digest"), self.digest.sum().to_string());
        line.append(cstr!("states"), number(self.states));
        line
    }

    fn of(line: &RawDocument) -> Option<Self> {
        let number = |name: &str| u64::try_from(line.get_i64(name).ok()?).ok();
        let sum = line.get_str("digest").ok()?.parse().ok()?;
        Some(Self {
            at: line.get_timestamp("at").ok()?.into(),
            digest: Digest::from_parts(sum, number("documents")?, number("bytes")?),
            states: number("states")?,
        })
    }
}

impl JournalLine {
    /// What a line says; `None` if it is none.
    pub(crate) fn of(line: &[u8]) -> Option<Self> {
        let (mut has_id, mut is_gone) = (false, false);
        for element in Elements::of(line) {
            match element.ok()?.key {
                b"_id" => has_id = true,
                b"gone" => is_gone = true,
                _ => {}
            }
        }
        match (has_id, is_gone) {
            (true, true) => Some(Self::Gone),
            (true, false) => Some(Self::Last),
            (false, _) => JournalMoment::of(RawDocument::from_bytes(line).ok()?).map(Self::Moment),
        }
    }
}

/// The line for a document that was gone, by one with its `_id` alone.
pub(crate) fn gone_line(id: &[u8]) -> Option<RawDocumentBuf> {
    let mut line = RawDocumentBuf::from_bytes(id.to_vec()).ok()?;
    line.append(cstr!("gone"), true);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut digest = Digest::default();
        digest.add_document(rawdoc! {"_id": 1}.as_bytes());
        let moment = JournalMoment {
            at: ClusterTime {
                t: 1_795_633_660,
                i: 31,
            },
            digest,
            states: 3,
        };
        let of = |line: &RawDocument| JournalLine::of(line.as_bytes());
        assert_eq!(of(&moment.line()), Some(JournalLine::Moment(moment)));
        assert_eq!(of(&rawdoc! {"_id": {"at": 1, "gone": true}}), Some(JournalLine::Last));
        let gone = gone_line(rawdoc! {"_id": 5}.as_bytes()).expect("a line");
        assert_eq!(of(&gone), Some(JournalLine::Gone));
        for other in [
            rawdoc! {},
            rawdoc! {"at": 5},
            rawdoc! {"at": bson::Timestamp { time: 1, increment: 1 }, "documents": -1_i64},
        ] {
            assert_eq!(of(&other), None, "{other:?}");
        }
    }
}
