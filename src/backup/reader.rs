//! Reading one collection: which way, at which time, and how it is handed on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::pipeline::{
    AIM, Behind, Pending, Piece, REPLY, Reading, SEGMENT_BYTES, Shared, Task, UNIT, acquire, hashing,
};
use super::request::ConsistencyDemand;
use crate::catalog::Kind;
use crate::mongo::{Batch, Batches, MongoError, Position, ReadAt, Scan, ScanOrder, Slice, code};

/// Reads one collection.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) index: usize,
    pub(super) task: Task,
    pub(super) reading: Reading,
    pub(super) turn: watch::Receiver<usize>,
    pub(super) shared: Shared,
    pub(super) sender: mpsc::Sender<Piece>,
    /// How often the connection may still break.
    pub(super) patience: u32,
}

/// How often the connection may break while one collection is read. One that breaks closes all others of the driver, too.
pub(super) const PATIENCE: u32 = 5;
/// A connection that breaks says so at once; what takes longer is that no server can be found, and the driver has waited for one already.
const AT_ONCE: Duration = Duration::from_secs(5);

impl Reader {
    /// Reads to the end, to a failure, or until nobody wants to know.
    pub(super) async fn run(mut self) {
        let last = match self.read().await {
            Ok(()) => Piece::End,
            Err(error) => Piece::Failed(error),
        };
        // Nobody listens where the run has already failed.
        let _ = self.sender.send(last).await;
    }

    async fn read(&mut self) -> Result<(), MongoError> {
        let mut memory = self.room_for_first().await;
        let Some((mut batches, mut batch)) = self.open_patiently().await? else {
            return Ok(());
        };
        loop {
            let surplus = (memory.num_permits() * UNIT).saturating_sub(batch.reply_bytes()) / UNIT;
            drop(memory.split(surplus));
            let slices = batch.slices(SEGMENT_BYTES)?;
            let documents = slices.iter().map(|slice| slice.documents).sum();
            let behind = match batches.position_behind(&batch, documents) {
                Some(position) => Behind::Place(position),
                None => Behind::Nothing,
            };
            let place = match &behind {
                Behind::Place(place) => Some(place.clone()),
                Behind::More | Behind::Nothing => None,
            };
            if !self.hand_on(batch, slices, memory, behind).await {
                return Ok(());
            }
            memory = self.room_for_next().await;
            batch = match batches.next().await {
                Some(Ok(batch)) => batch,
                Some(Err(error)) if self.can_go_on_after(&error, place.as_ref()) => {
                    tracing::warn!(%error, "reading goes on behind the last document that came");
                    self.task.from = place;
                    match self.open_patiently().await? {
                        Some((opened, batch)) => {
                            batches = opened;
                            batch
                        }
                        None => return Ok(()),
                    }
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            };
        }
    }

    /// Whether another cursor can go on where this one ended: because the server's history has run out, and the rest may be read as it is by now; or because the cursor is gone,
    /// and the same moment can be read on.
    fn can_go_on_after(&mut self, error: &MongoError, place: Option<&Position>) -> bool {
        let Some(place) = place else { return false };
        if is_out_of_window(error) {
            // Measurements have no place outside of a snapshot.
            return self.reading.demand == ConsistencyDemand::Auto && !matches!(place, Position::Skipped(_));
        }
        let is_gone = error.transient || error.is(code::CURSOR_NOT_FOUND);
        is_gone && self.may_try_again()
    }

    fn may_try_again(&mut self) -> bool {
        let may = self.patience > 0;
        self.patience = self.patience.saturating_sub(1);
        may
    }

    /// As [`Self::open`], again where the connection breaks.
    async fn open_patiently(&mut self) -> Result<Option<(Batches, Batch)>, MongoError> {
        loop {
            let began = Instant::now();
            match self.open().await {
                Err(error) if error.transient && began.elapsed() < AT_ONCE && self.may_try_again() => {
                    tracing::warn!(%error, "a collection is opened again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                opened => return opened,
            }
        }
    }

    /// Opens the cursor and takes its first reply, at a snapshot or, where that cannot be had, without one.
    async fn open(&mut self) -> Result<Option<(Batches, Batch)>, MongoError> {
        let (at, reason) = match self.reading.at {
            ReadAt::Snapshot(_) if self.task.collection.is_capped() => (
                self.reading.fallback,
                Some("a capped collection cannot be read at a snapshot".to_owned()),
            ),
            at => (at, None),
        };
        let opened = self.first(at).await;
        let fallback = self.reading.fallback;
        let (opened, reason) = match opened {
            Err(error) if matches!(at, ReadAt::Snapshot(_)) && is_out_of_window(&error) => {
                let since = match self.task.from {
                    Some(_) => {
                        "; what had been read of it by then is as it was at the snapshot, the rest as it was later"
                    }
                    None => "",
                };
                let reason = format!("the snapshot could no longer be read: {}{since}", error.reason);
                match self.reading.demand {
                    ConsistencyDemand::Require => return Err(error),
                    ConsistencyDemand::Auto => (self.first(fallback).await, Some(reason)),
                }
            }
            opened => (opened, reason),
        };
        let opened = opened?;
        if !matches!(at, ReadAt::Snapshot(_)) || reason.is_some() || self.task.from.is_some() {
            // At a snapshot, a name stands for what it stood for then. Without one it may stand for a successor by now. And one that was dropped in the middle
            // seems to have come to its end.
            let Reading { mongo, database, .. } = &self.reading;
            mongo.is_still(database, &self.task.collection).await?;
        }
        if let Some(reason) = reason {
            // Nobody listens where the run has already failed.
            let _ = self.sender.send(Piece::Exception(reason)).await;
        }
        Ok(opened)
    }

    async fn first(&self, at: ReadAt) -> Result<Option<(Batches, Batch)>, MongoError> {
        let order = self.order(at)?;
        match self.first_in(order, at).await {
            // `mongos` and servers of others know no resume tokens.
            Err(error) if order == ScanOrder::Record && self.task.from.is_none() && is_refusal(&error) => {
                let order = match self.task.collection.is_capped() {
                    true => ScanOrder::Natural,
                    false => ScanOrder::Id,
                };
                self.first_in(order, at).await
            }
            opened => opened,
        }
    }

    async fn first_in(&self, order: ScanOrder, at: ReadAt) -> Result<Option<(Batches, Batch)>, MongoError> {
        let Reading { mongo, database, .. } = &self.reading;
        let scan = Scan {
            at,
            order,
            after: self.task.from.as_ref(),
            range: self.task.range.as_ref(),
        };
        let mut batches = mongo
            .scan(self.documents_per_reply(), database, &self.task.collection.name, &scan)
            .await?;
        match batches.next().await {
            Some(batch) => Ok(Some((batches, batch?))),
            None => Ok(None),
        }
    }

    /// The order in which the collection is read, so that another invocation can go on.
    fn order(&self, at: ReadAt) -> Result<ScanOrder, MongoError> {
        let snapshot = matches!(at, ReadAt::Snapshot(_));
        let measurements = self.task.collection.kind == Kind::Timeseries;
        Ok(match &self.task.from {
            Some(Position::Skipped(_)) if !snapshot => {
                return Err(MongoError::unexpected(
                    format!("reading {}", self.task.collection.name),
                    "measurements can be gone on with at a snapshot only, and it could no longer be read",
                ));
            }
            Some(position) => position.order(),
            None if self.task.range.is_some() => ScanOrder::Id,
            None if measurements && snapshot => ScanOrder::Unpacked,
            None if measurements => ScanOrder::Natural,
            None if snapshot => ScanOrder::Record,
            None if !self.reading.resumable => ScanOrder::Natural,
            None if self.task.collection.is_capped() => ScanOrder::Record,
            // Without a snapshot the very record may be deleted behind which to go on.
            None => ScanOrder::Id,
        })
    }

    /// How many documents make a reply of the size that is aimed at, by what the server says of their number and size.
    fn documents_per_reply(&self) -> u32 {
        let average = match (self.task.collection.bytes, self.task.collection.documents) {
            (Some(bytes), Some(documents)) => bytes / documents.max(1),
            _ => 0,
        };
        u32::try_from(AIM / average.max(1)).unwrap_or(u32::MAX)
    }

    /// Has the slices of a reply encoded, a segment each. False when nobody wants them any more.
    async fn hand_on(
        &self,
        batch: Batch,
        slices: Vec<Slice>,
        memory: OwnedSemaphorePermit,
        mut behind: Behind,
    ) -> bool {
        let batch = Arc::new(batch);
        let memory = Arc::new(memory);
        let hashing = hashing(self.task.collection.kind);
        let last = slices.len().saturating_sub(1);
        for (index, slice) in slices.into_iter().enumerate() {
            let worker = acquire(&self.shared.workers, 1).await;
            let (batch, encoders) = (Arc::clone(&batch), Arc::clone(&self.reading.encoders));
            let encoding = tokio::task::spawn_blocking(move || {
                let encoded = encoders.encode(&batch, &slice, hashing);
                drop(worker);
                encoded
            });
            let pending = Pending {
                encoding,
                _memory: Arc::clone(&memory),
            };
            let behind = match index == last {
                true => std::mem::replace(&mut behind, Behind::Nothing),
                false => Behind::More,
            };
            if self.sender.send(Piece::Segment(pending, behind)).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Room for the first reply: out of the allowance for those ahead, or, when it is this collection's turn, out of its own.
    async fn room_for_first(&mut self) -> OwnedSemaphorePermit {
        // What the server says of its size, with room for growth: most collections of most databases are far smaller than a reply.
        let estimate = self.task.collection.bytes.map_or(REPLY, |bytes| {
            usize::try_from(bytes).unwrap_or(REPLY).saturating_mul(2) + (64 << 10)
        });
        let units = estimate.min(REPLY) / UNIT;
        let (ahead, current) = (Arc::clone(&self.shared.ahead), Arc::clone(&self.shared.current));
        tokio::select! {
            permit = acquire(&ahead, units) => permit,
            () = self.its_turn() => acquire(&current, units).await,
        }
    }

    async fn room_for_next(&mut self) -> OwnedSemaphorePermit {
        self.its_turn().await;
        acquire(&self.shared.current, REPLY / UNIT).await
    }

    async fn its_turn(&mut self) {
        let index = self.index;
        // An error means that the pipeline is gone; the next send then ends this reader.
        let _ = self.turn.wait_for(|&turn| turn >= index).await;
    }
}

/// Whether the snapshot cannot be read for its age, and not for a fault.
fn is_out_of_window(error: &MongoError) -> bool {
    error.is(code::SNAPSHOT_TOO_OLD) || error.is(code::SNAPSHOT_UNAVAILABLE)
}

/// Whether the server understood, and said no to what was asked.
fn is_refusal(error: &MongoError) -> bool {
    error.code.is_some() && !error.transient && !is_out_of_window(error) && !error.is(code::UNAUTHORIZED)
}
