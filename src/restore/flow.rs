//! Documents on their way into one collection, and what is counted of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::ids::KeptIds;
use super::insert::{Counted, Goal, cost, put};
use super::kept::Keeper;
use super::merge::MergeCounts;
use super::record::Going;
use super::report::RejectedDocument;
use super::stride::Stride;
use crate::digest::Digest;
use crate::failure::Failure;
use crate::mongo::MongoError;
use crate::open::Chunk;
use crate::plan::Planned;

/// How many refused documents of a collection are named in the report, which has to stay readable; all are counted, and all are named in the log.
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
    /// Whether some of the documents may have been merged by an attempt whose answer was lost, or an invocation that died, and count as unchanged.
    #[serde(default)]
    pub(super) repeated: bool,
}

/// What came of a piece.
type Done = Result<Result<Counted, MongoError>, tokio::task::JoinError>;

/// Documents on their way into one collection.
pub(super) struct Flow<'a> {
    pub(super) row: &'a Planned,
    pub(super) goal: Arc<Goal>,
    pub(super) keeper: Keeper<'a>,
    pub(super) loaded: Loaded,
    pub(super) stride: Stride,
    /// Those of all documents so far, where they are kept.
    pub(super) ids: Option<KeptIds>,
    pub(super) working: JoinSet<Result<Counted, MongoError>>,
}

impl Flow<'_> {
    /// A chunk as the server will keep it.
    pub(super) fn keep(&mut self, chunk: Chunk) -> Chunk {
        self.loaded.read.merge(&chunk.digest);
        let kept = self.keeper.keep(chunk);
        self.loaded.archive.merge(&kept.digest);
        self.ids = self.ids.take().and_then(|ids| ids.with(kept.documents()));
        kept
    }

    /// Sends a piece off as soon as there is room for it.
    pub(super) async fn send(&mut self, piece: Chunk) -> Result<(), Failure> {
        if self.working.len() >= self.goal.workers
            && let Some(done) = self.working.join_next().await
        {
            self.count(done)?;
        }
        let memory = self.goal.sending.take(cost(&piece)).await;
        let put = put(Arc::clone(&self.goal), piece);
        let put = async move {
            let counted = put.await;
            drop(memory);
            counted
        };
        self.working.spawn(put.in_current_span());
        Ok(())
    }

    fn count(&mut self, done: Done) -> Result<(), Failure> {
        if let Ok(Ok(counted)) = &done {
            self.stride.learn(counted.documents, counted.took);
        }
        self.loaded.count(&self.row.name, done)
    }

    /// Waits until the server has answered for everything that was sent.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        let mut settled = Ok(());
        while let Some(done) = self.working.join_next().await {
            settled = settled.and(self.count(done));
        }
        settled
    }

    /// What is known when everything that was sent has been answered for.
    pub(super) fn so_far(&self) -> Going {
        Going {
            passed: self.keeper.passed(),
            loaded: Loaded {
                ids_given: self.keeper.ids_given,
                ..self.loaded.clone()
            },
            ..Going::default()
        }
    }
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

    fn count(&mut self, collection: &str, done: Done) -> Result<(), Failure> {
        let counted = done.map_err(|error| {
            Failure::new(
                crate::failure::FailureKind::Database,
                format!("a load worker ended: {error}"),
            )
        })??;
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
        Ok(())
    }
}
