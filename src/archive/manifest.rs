//! The manifest (FORMAT 5): what was saved, and where every byte lies.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::entry::Entry;
use super::{ArchiveName, ClusterTime, Compression, Continues, Delta, MadeOf, Payload};
use crate::catalog::{Definition, Kind, LeftOut, Selection, Server};
use crate::digest::{Digest, Hashing, Sum};

/// The version that is written, unless there is a [`table`](Manifest::table). Readers accept every minor version of the
/// major ones they know.
pub const FORMAT_VERSION: &str = "1.1";
/// The version of an archive whose segments are listed in a table of their own. Readers of version 1 refuse it by its
/// number.
pub const FORMAT_VERSION_WITH_TABLE: &str = "2.0";

/// The table of contents and the description of one archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `mongotar`.
    pub format: String,
    /// `major.minor`.
    pub version: String,
    /// What it holds.
    pub kind: ArchiveKind,
    /// What an increment continues; a full archive continues nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// The chain that a full archive was made of; absent if it was made of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<MadeOf>,
    /// The archive's name.
    pub name: ArchiveName,
    /// When the backup began, RFC 3339, UTC.
    pub created: String,
    /// When the last document had been read.
    pub finished: String,
    /// The program that wrote it.
    pub writer: String,
    /// The id of the run that wrote it, if any: an event delivered twice finds the first delivery's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// How many workers wrote it, if more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u32>,
    /// Whether everything requested is in it.
    pub status: Status,
    /// Where the documents came from.
    pub source: SavedFrom,
    /// Which of the database's collections were requested; absent if all.
    #[serde(default, skip_serializing_if = "Selection::is_everything")]
    pub selection: Selection,
    /// How documents are written.
    pub payload: Payload,
    /// Whether documents span lines.
    pub pretty: bool,
    /// How frames are written.
    pub compression: Compression,
    /// What can be said of the moment that the archive shows.
    pub consistency: Consistency,
    /// The entry `collections_metadata.json`.
    pub metadata: Entry,
    /// Every requested collection, time series and view, sorted by name.
    pub collections: Vec<Saved>,
    /// Collections of the server's own that every backup leaves out, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// The users and roles of the database, if saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<SavedUsers>,
    /// The entry that lists the segments of all others, if they are too many for the manifest. Its own segments are
    /// [pages](super::table).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Entry>,
}

impl Manifest {
    /// The collection of that name.
    pub fn get(&self, name: &str) -> Option<&Saved> {
        // They are sorted, as far as nobody has altered them.
        let place = self.collections.binary_search_by(|saved| saved.name.as_str().cmp(name));
        let found = place.ok().and_then(|place| self.collections.get(place));
        found.or_else(|| self.collections.iter().find(|saved| saved.name == name))
    }

    /// Every entry in the archive but the manifest itself.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let of_collections = self.collections.iter().flat_map(|saved| {
            saved
                .definition
                .iter()
                .chain(&saved.abandoned)
                .chain(&saved.entry)
                .chain(saved.delta.iter().flat_map(Delta::entries))
        });
        std::iter::once(&self.metadata).chain(of_collections).chain(&self.table)
    }

    /// Every entry whose segments the table lists, where there is one.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        let of_collections = self.collections.iter_mut().flat_map(|saved| {
            let documents = saved.abandoned.iter_mut().chain(&mut saved.entry);
            let changes = saved.delta.iter_mut().flat_map(Delta::entries_mut);
            saved.definition.iter_mut().chain(documents).chain(changes)
        });
        std::iter::once(&mut self.metadata).chain(of_collections)
    }
}

/// What an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ArchiveKind {
    /// Everything.
    #[default]
    Full,
    /// What changed since its parent.
    Increment,
}

/// The users and roles of the database: how many, and where. Only the entries have their names and credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedUsers {
    /// How many users.
    pub users: u64,
    /// How many roles.
    pub roles: u64,
    /// The entries in the trailer, in their order.
    pub entries: Vec<Entry>,
}

/// Whether an archive has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// Every collection that was asked for is in it whole.
    Complete,
    /// At least one is not.
    Partial,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
        })
    }
}

/// Where an archive's documents came from. No connection string, no host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedFrom {
    /// The database.
    pub database: String,
    /// What served it.
    pub server: Server,
}

/// What was achieved, never more than that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Consistency {
    /// How much of the archive shows one moment.
    pub level: ConsistencyLevel,
    /// That moment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cluster_time: Option<ClusterTime>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Why it rests on the server's word alone: nothing that was inserted shortly before showed that the server reads
    /// at the time that it confirms.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unproven: Option<String>,
    /// Collections that were read at another moment, and why.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.level.fmt(f)?;
        match (&self.reason, &self.unproven) {
            (Some(reason), _) => write!(f, " ({reason})"),
            (None, Some(reason)) => write!(f, ", unproven ({reason})"),
            (None, None) => Ok(()),
        }
    }
}

/// How much of an archive shows one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ConsistencyLevel {
    /// All collections at one cluster time.
    Snapshot,
    /// All but the exceptions.
    Mixed,
    /// Each collection on its own.
    None,
}

impl fmt::Display for ConsistencyLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "snapshot",
            Self::Mixed => "mixed",
            Self::None => "none",
        })
    }
}

/// A collection that was not read at the archive's cluster time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Exception {
    /// Its name.
    pub collection: String,
    /// Why.
    pub reason: String,
}

/// One collection as it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Its real name.
    pub name: String,
    /// Collection, time series or view.
    pub kind: Kind,
    /// Its UUID on the source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uuid: Option<String>,
    /// `options` of `listCollections`.
    pub options: Definition,
    /// What `listIndexes` returned.
    pub indexes: Vec<Definition>,
    /// Whether all of it is there.
    pub status: SavedStatus,
    /// What went wrong, where it is not complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// How many documents.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// How many of them the text form could not carry.
    #[serde(default)]
    pub wrapped: u64,
    /// The fingerprint of the documents.
    #[serde(with = "crate::digest::hex_sum")]
    pub digest: Sum,
    /// What the fingerprint is made of.
    #[serde(with = "hashing")]
    pub hashing: Hashing,
    /// The `.metadata.json` of payload `bson`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub definition: Option<Entry>,
    /// The entry with the documents; a view and a failed collection have none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<Entry>,
    /// Entries that nobody needs: what was read of it from members that were then gone.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub abandoned: Vec<Entry>,
    /// In an increment: that the entry has not all documents, but those that changed. The counts and the digest are of
    /// all, as they are at the increment's cluster time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delta: Option<Delta>,
}

impl Saved {
    /// The digest that the documents must have when they are read back.
    pub fn expected_digest(&self) -> Digest {
        Digest::from_parts(self.digest, self.documents, self.bytes)
    }

    /// As if no document of it had been read.
    pub(crate) fn forget_documents(&mut self) {
        (self.documents, self.bytes, self.wrapped) = (0, 0, 0);
        self.digest = Digest::default().sum();
    }

    /// How many bytes of the object hold its documents.
    pub fn stored_bytes(&self) -> u64 {
        self.entry.as_ref().map_or(0, Entry::stored_bytes)
    }

    /// How many documents its entry has.
    pub fn entry_documents(&self) -> u64 {
        self.delta.as_ref().map_or(self.documents, |delta| delta.documents)
    }

    /// The entry with the `_id`s of what is gone since the parent.
    pub fn removals(&self) -> Option<&Entry> {
        self.delta.as_ref()?.removals.as_ref()
    }

    /// How many bytes of the object nobody needs.
    pub fn abandoned_bytes(&self) -> u64 {
        self.abandoned.iter().map(Entry::stored_bytes).sum()
    }
}

/// Whether a collection is there whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SavedStatus {
    /// Read to its end.
    Complete,
    /// Read up to a failure.
    Partial,
    /// Not read at all.
    Failed,
}

mod hashing {
    use crate::digest::Hashing;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(hashing: &Hashing, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match hashing {
            Hashing::Raw => "raw",
            Hashing::SortedFields => "sorted-fields",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hashing, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "raw" => Ok(Hashing::Raw),
            "sorted-fields" => Ok(Hashing::SortedFields),
            other => Err(de::Error::custom(format!("unknown hashing {other:?}"))),
        }
    }
}
