//! The counts of one collection's documents on their way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::mongo::{InsertBatch, Rejected, id_text};

/// How many refused documents of a collection are named in the report, which has to stay readable; all are counted, and
/// all are named in the log.
const NAMED: usize = 1_000;

/// What a load counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Loaded {
    /// The digest of the archive's documents, as a server keeps them.
    pub(super) archive: Digest,
    /// The digest of what was read, as it stands in the archive.
    pub(super) read: Digest,
    /// How many documents had no `_id`, and were given one.
    pub(super) ids_given: u64,
    /// How many documents are in the collection now that were not.
    pub(super) inserted: u64,
    /// What a merge found.
    pub(super) merged: Option<MergeCounts>,
    /// How many documents the server refused.
    pub(super) rejected: u64,
    /// Each of them, up to [`NAMED`].
    pub(super) rejections: Vec<RejectedDocument>,
    /// Whether some of the documents may have been merged by an attempt whose answer was lost, or an invocation that
    /// died, and count as unchanged.
    #[serde(default)]
    pub(super) repeated: bool,
}

impl Loaded {
    /// Adds what another worker has counted of the same collection.
    pub(super) fn add(&mut self, other: &Self) {
        self.archive.merge(&other.archive);
        self.read.merge(&other.read);
        self.ids_given += other.ids_given;
        self.inserted += other.inserted;
        self.rejected += other.rejected;
        let room = NAMED.saturating_sub(self.rejections.len());
        self.rejections.extend(other.rejections.iter().take(room).cloned());
        self.repeated |= other.repeated;
    }

    /// Adds what came of a piece.
    pub(super) fn count(&mut self, collection: &str, counted: Counted) {
        self.inserted += counted.inserted;
        self.repeated |= counted.repeated;
        if counted.merged != MergeCounts::default() || self.merged.is_some() {
            let merged = self.merged.get_or_insert_default();
            merged.replaced += counted.merged.replaced;
            merged.unchanged += counted.merged.unchanged;
        }
        self.rejected += counted.rejected.len() as u64;
        for refused in &counted.rejected {
            let RejectedDocument { id, code, message } = refused;
            // A field called `message` would take the place of the message.
            tracing::warn!(collection, id, code, reason = message, "a document was refused");
        }
        let room = NAMED.saturating_sub(self.rejections.len());
        self.rejections.extend(counted.rejected.into_iter().take(room));
    }
}

/// What one piece came to.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// How many documents it had, and how long they took.
    pub(super) documents: u64,
    pub(super) took: Duration,
    pub(super) inserted: u64,
    pub(super) merged: MergeCounts,
    pub(super) rejected: Vec<RejectedDocument>,
    /// Whether some of them may have been merged by an attempt whose answer was lost, and count as unchanged.
    pub(super) repeated: bool,
}

/// What a merge found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MergeCounts {
    /// Documents that were there, and different.
    pub replaced: u64,
    /// Documents that were there as they are in the archive.
    pub unchanged: u64,
}

/// A document that is in the archive and not in the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RejectedDocument {
    /// Its `_id`, as Extended JSON.
    pub id: String,
    /// The server's code.
    pub code: i32,
    /// The server's reason.
    pub message: String,
}

/// A refused document as it is reported.
pub(super) fn named(batch: &InsertBatch<'_>, refused: &Rejected) -> RejectedDocument {
    RejectedDocument {
        id: id_text(batch.document(refused.index)).unwrap_or_else(|| "(no _id)".to_owned()),
        code: refused.code,
        message: refused.message.clone(),
    }
}
