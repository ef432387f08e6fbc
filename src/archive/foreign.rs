//! Foreign archives: with no manifest to trust, everything in them is read, counted and fingerprinted before planning.
//!
//! These are understood, each as a decompressed tar stream:
//!
//! - the archives of the scripts that mongotar replaces: `backup_…/{collection}.jsonl`, perhaps with
//!   `collections_metadata.json` in one of its three shapes and with `system.buckets.{name}.jsonl`; legacy, relaxed and
//!   canonical Extended JSON, one document a line or spread over lines;
//! - a folder of `mongodump`: `…/{database}/{collection}.bson` and `.metadata.json`, each perhaps with `.gz`, `.zst`,
//!   `.bz2` or `.xz`; indexes of old dumps from `system.indexes.bson`;
//! - the output of `mongodump --archive`, with interleaved collections;
//! - loose files of `mongoexport`, `{collection}.json`, `.jsonl` or `.ndjson`, `--jsonArray` included;
//! - our own archives, if footer and manifest are lost and only a scan is left.
//!
//! [`survey()`] goes through the tar once and says what there is, in the terms of a manifest; [`read_documents`] goes
//! through it again and hands out the documents. Everything is untrusted: sizes are bounded, paths are names and never
//! touch a file system, and nothing is silently short. A broken collection does not spoil the others (its
//! [`SavedStatus`] says so); a broken tar is an error. Every unread member is named, with what that means. Only a
//! source that claims to be whole, and is understood whole, has a [`Coverage`] that lets a restore drop anything.
//!
//! Time series of `mongodump` are the server's own [buckets](Buckets), and stay so: documents like others, restored as
//! they are.
//!
//! Not done: unpacking those buckets; replaying an oplog; users and roles.

mod aside;
mod buckets;
mod covered;
mod documents;
mod encoding;
mod error;
mod extended;
mod found;
mod handed;
mod interleaved;
mod member;
mod metadata;
mod mongodump;
mod omissions;
mod outline;
mod packing;
mod parts;
mod promise;
mod read;
mod refuse;
mod resolve;
mod signals;
mod streams;
mod survey;
#[cfg(test)]
mod tests;
mod users;
mod walk;

use std::collections::BTreeMap;

use super::{Coverage, Saved, SavedStatus, Status};
use member::Written;

use crate::ordered::map;
pub use buckets::Buckets;
pub use error::ForeignError;
pub use handed::{Flow, HandedOn};
pub use outline::Outline;
pub(crate) use packing::NOT_BUILT_IN;
pub use packing::Packing;
pub use read::read_documents;
pub use signals::{Seen, Signals};
pub use survey::survey;
pub(crate) use users::{DumpedUser, dumped_users};

/// What a caller decides about a foreign archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which database of a dump, or which folder, if there are several.
    pub database: Option<String>,
    /// How many documents of each collection are sampled for what they have in common.
    pub sample: u64,
    /// How much memory the members' data may take, in bytes.
    pub memory: u64,
    /// Whether it is the folder of one database, and beside it lies what `mongodump --oplog` puts there.
    pub oplog_beside: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            database: None,
            sample: 100,
            memory: 64 << 20,
            oplog_beside: false,
        }
    }
}

/// What a foreign archive holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Who wrote it, as far as its shape shows.
    pub layout: Layout,
    /// The database it was made of, if known.
    pub database: Option<String>,
    /// Every collection, sorted by name, as a manifest would have it: digests over every document, no extents.
    pub collections: Vec<Saved>,
    /// What speaks for time series.
    pub signals: Signals,
    /// Why data may be missing: the tar did not end as a tar should, or a member was not read.
    pub incomplete: Option<String>,
    /// What is broken, and where: members that cannot be read to their end, or do not match their checksum.
    pub damaged: Vec<String>,
    /// Whether it names all that the database had.
    pub coverage: Coverage,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Hex BLAKE3 of all the above but the warnings: the same for the same tar and the same choice.
    pub digest: String,
    status: Status,
    readings: BTreeMap<String, Reading>,
    container: Container,
}

impl Survey {
    /// Partial if the tar, a definition or a collection is not whole.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The wanted collections, in groups: for each group, a pass through the archive hands out one collection after the
    /// other. One group, unless collections are interleaved.
    pub fn passes<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
        let readings = self.readings.values();
        let lanes = map(readings.map(|reading| (reading.collection.as_str(), reading.lane)));
        let mut passes: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for name in wanted {
            let lane = lanes.get(name).copied().unwrap_or_default();
            passes.entry(lane).or_default().push(name);
        }
        passes.into_values().collect()
    }
}

/// Who wrote an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layout {
    /// The scripts that mongotar replaces.
    Ancestor,
    /// `mongodump`, with a folder for each database.
    Mongodump,
    /// `mongoexport`, or anything else that writes a file of JSON for each collection.
    Export,
    /// mongotar itself.
    Mongotar,
}

/// What holds the collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    /// A tar, with an entry for each.
    Tar,
    /// What `mongodump --archive` wrote, in blocks.
    Mongodump,
}

/// An entry whose documents are handed out in the second pass.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    collection: String,
    form: Written,
    packing: Packing,
    size: u64,
    lane: u32,
    documents: u64,
    status: SavedStatus,
}
