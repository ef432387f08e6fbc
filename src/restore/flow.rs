//! Documents on their way into one collection, and their counts.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::counted::{Counted, Loaded};
use super::goal::Goal;
use super::ids::KeptIds;
use super::insert::{cost, put};
use super::record::Going;
use super::stride::Stride;
use crate::failure::Failure;
use crate::mongo::{MongoError, next_ended};
use crate::open::Chunk;
use crate::open::Keeper;
use crate::plan::Planned;

/// What is said of a worker that panicked.
const PUTTING: &str = "inserting documents";

/// Documents on their way into one collection.
pub(super) struct LoadFlow<'a> {
    pub(super) row: &'a Planned,
    pub(super) goal: Arc<Goal>,
    pub(super) keeper: Keeper<'a>,
    pub(super) loaded: Loaded,
    pub(super) stride: Stride,
    /// Those of all documents so far, where they are kept.
    pub(super) ids: Option<KeptIds>,
    pub(super) working: JoinSet<Result<Counted, MongoError>>,
}

impl LoadFlow<'_> {
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
            && let Some(done) = next_ended(&mut self.working, PUTTING).await
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

    fn count(&mut self, done: Result<Counted, MongoError>) -> Result<(), Failure> {
        let counted = done?;
        self.stride.learn(counted.documents, counted.took);
        self.loaded.count(&self.row.name, counted);
        Ok(())
    }

    /// Waits until the server has answered for everything that was sent.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        let mut settled = Ok(());
        while let Some(done) = next_ended(&mut self.working, PUTTING).await {
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
