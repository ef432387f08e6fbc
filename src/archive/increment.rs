//! What the manifest of an increment says besides (FORMAT 5): what it continues, and what it has of a collection.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, hex_hash};
use super::{ArchiveName, ClusterTime};

/// What an increment continues. Its own cluster time is where it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continues {
    /// The full archive that its chain begins with.
    pub base: ArchiveName,
    /// The archive right before it in the chain: the base, or an increment.
    pub parent: ArchiveName,
    /// BLAKE3 of the parent's manifest, as it stands in the parent and beside it.
    #[serde(with = "hex_hash")]
    pub manifest: blake3::Hash,
    /// The parent's cluster time: what changed after it is in here.
    pub from: ClusterTime,
    /// How many archives its chain has before it: the base is at place 0.
    pub place: u64,
    /// How many bytes those have together.
    pub bytes: u64,
    /// Whether it has the journals of what changed, so that moments between the parent's cluster time and its own can
    /// be read.
    #[serde(default)]
    pub journal: bool,
}

/// What a full archive was made of, where that was not a database, but a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MadeOf {
    /// The full archive that the chain begins with.
    pub base: ArchiveName,
    /// The increment whose moment this archive shows.
    pub last: ArchiveName,
    /// How many archives were read.
    pub archives: u64,
}

/// What an increment holds of a collection that its parent has, too: the documents that changed, in the collection's
/// entry, and which are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// How many documents the entry has: those that are new, or otherwise than in the parent.
    pub documents: u64,
    /// How many documents are gone.
    pub removed: u64,
    /// Their `_id`s, each in a document of its own; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removals: Option<Entry>,
    /// When that happened; absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<SavedJournal>,
    /// Why there is no journal though something happened: no moment between the two cluster times can be read of this
    /// collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_journal: Option<String>,
}

/// When the documents of a collection changed, and what they were in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedJournal {
    /// The cluster times at which something changed, the last one first, each with what the collection came to by then,
    /// and the `_id`s of what changed.
    pub lines: Entry,
    /// The documents that changed again later, as they were in between, in the order of the lines; absent if there are
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<Entry>,
    /// That so much changed that of each second only the end is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seconds: bool,
}

impl Delta {
    /// Its entries, but that of the documents.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let journal = self.journal.iter();
        let journal = journal.flat_map(|journal| journal.states.iter().chain([&journal.lines]));
        self.removals.iter().chain(journal)
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        let journal = self.journal.iter_mut();
        let journal = journal.flat_map(|journal| journal.states.iter_mut().chain([&mut journal.lines]));
        self.removals.iter_mut().chain(journal)
    }
}
