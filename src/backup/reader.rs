//! Reading a collection with one cursor: in which order, at which time, and how it is handed on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::allowance::{Room, part_of};
use super::piece::{Behind, CollectionPiece, Pending, ReadSettings, Task, hashing};
use super::request::ConsistencyDemand;
use crate::catalog::{Collection, Kind};
use crate::mongo::{Batch, Batches, Edge, MongoError, Position, ReadAt, Repeats, Scan, ScanOrder, Trail, code, ended};
use crate::run::give_back;

/// Reads one collection.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) task: Task,
    pub(super) reading: ReadSettings,
    pub(super) room: Room,
    pub(super) sender: mpsc::Sender<CollectionPiece>,
    /// The attempts at reading on from where it is.
    pub(super) attempts: Repeats,
    /// The boundary that it reads up to; none means the collection's end.
    pub(super) until: Option<Edge>,
}

impl Reader {
    /// Reads to the end, to a failure, or until nobody wants to know.
    pub(super) async fn read(&mut self) -> Result<(), MongoError> {
        loop {
            let memory = self.room.first(&self.task.collection).await;
            let Some((batches, first)) = self.open_patiently().await? else {
                return self.at_the_end();
            };
            let trail = batches.trail();
            let mut replies = Replies::fetch(batches, self.room.clone(), self.task.collection.clone());
            let taken = self.take_all((first, memory), trail, &mut replies).await;
            replies.stop().await;
            let (error, place) = match taken? {
                TakenReplies::Enough => return Ok(()),
                TakenReplies::All => return self.at_the_end(),
                TakenReplies::Until(place, error) => (error, place),
            };
            if !self.can_go_on_after(&error, place.as_ref()).await {
                return Err(error);
            }
            tracing::warn!(%error, "reading resumes after the last document received");
            self.task.from = place;
        }
    }

    /// Hands all replies on, up to the boundary or the end.
    async fn take_all(
        &self,
        first: (Batch, OwnedSemaphorePermit),
        mut trail: Trail,
        replies: &mut Replies,
    ) -> Result<TakenReplies, MongoError> {
        let (mut batch, mut memory) = first;
        loop {
            let mut place = trail.behind(&batch)?;
            let is_reached = match &self.until {
                Some(edge) => edge.is_reached(&mut batch, &mut place)?,
                None => false,
            };
            if !self.hand_on(batch, memory, place.clone()).await? || is_reached {
                return Ok(TakenReplies::Enough);
            }
            (batch, memory) = match replies.next().await {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(TakenReplies::All),
                Err(error) => return Ok(TakenReplies::Until(place, error)),
            };
        }
    }

    /// The collection's end is no good end before the boundary, behind which another cursor reads.
    fn at_the_end(&self) -> Result<(), MongoError> {
        match &self.until {
            None => Ok(()),
            Some(edge) => Err(MongoError::unexpected(
                format!("reading {}", self.task.collection.name),
                format!("a cursor ended before record {}, which existed", edge.record()),
            )),
        }
    }

    /// Whether another cursor can go on where this one ended: because the server's history has run out, and the rest
    /// may be read as it is by now; or because the cursor is gone, and the same moment can be read on.
    async fn can_go_on_after(&mut self, error: &MongoError, place: Option<&Position>) -> bool {
        let Some(place) = place else { return false };
        // Documents have come.
        self.attempts.succeeded();
        if is_out_of_window(error) {
            // Measurements have no place outside of a snapshot.
            return self.reading.demand == ConsistencyDemand::Auto && !matches!(place, Position::Skipped(_));
        }
        self.again_after(error).await
    }

    /// Waits before the next attempt; false if there is none. Nor is there one where the member has been away for so
    /// long that the collection is better begun anew at another.
    async fn again_after(&mut self, error: &MongoError) -> bool {
        let is_better_begun_anew = self.may_begin_anew() && self.attempts.is_long();
        if is_better_begun_anew && self.reading.mongo.another_member().await.is_some() {
            return false;
        }
        self.attempts.again_after(error).await
    }

    /// Whether the collection may be begun anew. A range of `_id`s never has to be: its places are the same at all
    /// members.
    fn may_begin_anew(&self) -> bool {
        self.task.anew > 0 && self.task.range.is_none()
    }

    /// Whether the collection is begun anew, at the same moment, at another member of the replica set, since the one
    /// that it was read from is gone; or at that one, since it was started again.
    pub(super) async fn begins_anew_after(&mut self, error: &MongoError) -> bool {
        let is_lost = error.may_pass() || error.is(code::PLACE_LOST);
        let Some(present) = self.reading.mongo.member().filter(|_| is_lost && self.may_begin_anew()) else {
            return false;
        };
        let member = match self.reading.mongo.member_to_read().await {
            Ok(Some(member)) if member != **present => member,
            _ => return false,
        };
        let collection = &self.task.collection.name;
        tracing::warn!(%error, collection, "the member that served a collection is gone: reading it anew from another");
        self.reading.turn_to(&member);
        self.task.from = None;
        self.task.anew -= 1;
        self.attempts.succeeded();
        self.sender.send(CollectionPiece::Anew).await.is_ok()
    }

    /// As [`Self::open`], again where the connection breaks; from another member of the replica set where the one that
    /// was read from is gone and the place is the same at all of them.
    async fn open_patiently(&mut self) -> Result<Option<(Batches, Batch)>, MongoError> {
        loop {
            match Box::pin(self.open()).await {
                Err(error) if error.may_pass() => {
                    if self.turns_to_another_member().await {
                        tracing::warn!(%error, "reading a collection from another member of the replica set");
                    } else if !self.again_after(&error).await {
                        return Err(error);
                    }
                }
                opened => return opened,
            }
        }
    }

    async fn turns_to_another_member(&mut self) -> bool {
        let place = self.task.from.as_ref();
        if place.is_some_and(|place| place.member().is_some()) || self.until.is_some() {
            return false;
        }
        let another = self.reading.mongo.another_member().await;
        if let Some(member) = &another {
            self.reading.turn_to(member);
        }
        another.is_some()
    }

    /// Opens the cursor and takes its first reply, at a snapshot or, where that cannot be had, without one: then to the
    /// collection's end, since without a snapshot there are no boundaries.
    async fn open(&mut self) -> Result<Option<(Batches, Batch)>, MongoError> {
        let fallback = self.reading.fallback;
        let since = match self.task.from {
            Some(_) => "; what had been read by then is as of the snapshot, the rest as of later",
            None => "",
        };
        let (at, reason) = match (self.reading.at, &self.reading.doubt) {
            (ReadAt::Snapshot(_), _) if self.task.collection.is_capped() => (
                fallback,
                Some("a capped collection cannot be read at a snapshot".to_owned()),
            ),
            (ReadAt::Snapshot(_), Some(doubt)) => {
                self.until = None;
                (fallback, Some([doubt, since].concat()))
            }
            (at, _) => (at, None),
        };
        let opened = self.first(at).await;
        let (opened, reason) = match opened {
            Err(error) if matches!(at, ReadAt::Snapshot(_)) && is_out_of_window(&error) => {
                let reason = format!("the snapshot could no longer be read: {}{since}", error.reason);
                match self.reading.demand {
                    ConsistencyDemand::Require => return Err(error),
                    ConsistencyDemand::Auto => {
                        self.until = None;
                        (self.first(fallback).await, Some(reason))
                    }
                }
            }
            opened => (opened, reason),
        };
        let opened = opened?;
        if !matches!(at, ReadAt::Snapshot(_)) || reason.is_some() || self.task.from.is_some() {
            // At a snapshot, a name stands for what it stood for then. Without one it may stand for a successor by now.
            // And one that was dropped in the middle seems to have come to its end.
            let ReadSettings { mongo, database, .. } = &self.reading;
            mongo.is_still(database, &self.task.collection).await?;
        }
        if let Some(reason) = reason {
            // Nobody listens where the run has already failed.
            let _ = self.sender.send(CollectionPiece::Exception(reason)).await;
        }
        Ok(opened)
    }

    async fn first(&self, at: ReadAt) -> Result<Option<(Batches, Batch)>, MongoError> {
        let order = self.order(at)?;
        match self.first_in(order, at).await {
            // `mongos` and servers of others know no resume tokens.
            Err(error)
                if order == ScanOrder::Record
                    && self.task.from.is_none()
                    && self.until.is_none()
                    && is_refusal(&error) =>
            {
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
        let ReadSettings { mongo, database, .. } = &self.reading;
        let scan = Scan {
            at,
            order,
            after: self.task.from.as_ref(),
            range: self.task.range.as_ref(),
            limit: self.until.as_ref().map(|edge| self.most_before(edge)),
        };
        let documents = self.room.documents_per_reply(&self.task.collection);
        let mut batches = mongo
            .scan(documents, database, &self.task.collection.name, &scan)
            .await?;
        // A boundary is the member's as well; where it goes on from a place, that has been asked.
        if let (None, Some(member)) = (&self.task.from, self.until.as_ref().and_then(Edge::member)) {
            mongo.confirm(member).await?;
        }
        match batches.next().await {
            Some(batch) => Ok(Some((batches, batch?))),
            None => Ok(None),
        }
    }

    /// How many documents there can be up to a boundary: no more than numbers, and exactly as many where none was ever
    /// deleted. Nothing is then read in vain.
    fn most_before(&self, edge: &Edge) -> i64 {
        let behind = self.task.from.as_ref().and_then(Position::record).unwrap_or(0);
        edge.record().saturating_sub(behind).max(1)
    }

    /// The order in which the collection is read, so that another invocation can go on.
    pub(super) fn order(&self, at: ReadAt) -> Result<ScanOrder, MongoError> {
        let snapshot = matches!(at, ReadAt::Snapshot(_));
        let measurements = self.task.collection.kind == Kind::Timeseries;
        Ok(match &self.task.from {
            Some(Position::Skipped(_)) if !snapshot => {
                return Err(MongoError::unexpected(
                    format!("reading {}", self.task.collection.name),
                    "reading measurements resumes only at a snapshot, which could no longer be read",
                ));
            }
            Some(position) => position.order(),
            None if self.task.range.is_some() => ScanOrder::Id,
            None if measurements && snapshot => ScanOrder::Unpacked,
            None if measurements => ScanOrder::Natural,
            None if snapshot => ScanOrder::Record,
            None if !self.reading.resumable => ScanOrder::Natural,
            None if self.task.collection.is_capped() => ScanOrder::Record,
            None if !self.reading.mongo.server().features.id_ranges => ScanOrder::Natural,
            // Without a snapshot the very record may be deleted behind which to go on.
            None => ScanOrder::Id,
        })
    }

    /// Has a reply encoded, in a segment or a few. False when nobody wants them any more.
    async fn hand_on(
        &self,
        batch: Batch,
        mut memory: OwnedSemaphorePermit,
        place: Option<Position>,
    ) -> Result<bool, MongoError> {
        give_back(&mut memory, self.room.cost(batch.reply_bytes()));
        let slices = batch.slices(self.room.segment())?;
        let batch = Arc::new(batch);
        let hashing = hashing(self.task.collection.kind);
        let last = slices.len().saturating_sub(1);
        for (index, slice) in slices.into_iter().enumerate() {
            let worker = self.room.worker().await;
            let (batch, encoders) = (Arc::clone(&batch), Arc::clone(&self.reading.encoders));
            let mut share = match index == last {
                true => part_of(&mut memory, usize::MAX),
                false => part_of(&mut memory, self.room.cost(slice.bytes())),
            };
            let encoding = tokio::task::spawn_blocking(move || {
                let mut segment = encoders.encode(&batch, &slice, hashing)?;
                drop((batch, worker));
                give_back(&mut share, segment.frame.stored.len());
                segment.memory = Some(share);
                Ok(segment)
            });
            let behind = match (index == last, &place) {
                (false, _) => Behind::More,
                (true, Some(place)) => Behind::Place(place.clone()),
                (true, None) => Behind::Nothing,
            };
            let piece = CollectionPiece::Segment(Pending { encoding }, behind);
            if self.sender.send(piece).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How far the replies of a cursor were handed on.
enum TakenReplies {
    /// As far as was wanted, or as anybody listens.
    Enough,
    /// Up to the cursor's end.
    All,
    /// Up to this place; then one could not be had.
    Until(Option<Position>, MongoError),
}

/// A reply, and the room that was taken for it.
type Reply = (Batch, OwnedSemaphorePermit);

/// The replies of a cursor, each asked for as soon as the one before it has come and there is room, and not only when
/// something was done with that.
struct Replies {
    come: mpsc::Receiver<Reply>,
    /// What becomes of it is how the cursor ended.
    fetching: JoinHandle<Result<(), MongoError>>,
}

impl Replies {
    fn fetch(mut batches: Batches, mut room: Room, collection: Collection) -> Self {
        let (sender, come) = mpsc::channel(1);
        let fetching = tokio::spawn(async move {
            loop {
                let memory = room.next(&collection).await;
                // No driver call is cut short, but none is made that nobody waits for.
                if sender.is_closed() {
                    return Ok(());
                }
                let Some(batch) = batches.next().await.transpose()? else {
                    return Ok(());
                };
                if sender.send((batch, memory)).await.is_err() {
                    return Ok(());
                }
            }
        });
        Self { come, fetching }
    }

    /// The next one; none at the end.
    async fn next(&mut self) -> Result<Option<Reply>, MongoError> {
        match self.come.recv().await {
            Some(reply) => Ok(Some(reply)),
            None => ended(&mut self.fetching, "reading a cursor").await.map(|()| None),
        }
    }

    /// Waits until no driver call is on its way.
    async fn stop(self) {
        drop(self.come);
        // How one ended that was taken to its end has been asked for.
        if !self.fetching.is_finished() {
            let _ = self.fetching.await;
        }
    }
}

/// Whether the snapshot cannot be read for its age, or because this server has none, and not for a fault.
fn is_out_of_window(error: &MongoError) -> bool {
    error.is(code::SNAPSHOT_TOO_OLD) || error.is(code::SNAPSHOT_UNAVAILABLE) || error.has_no_snapshots()
}

/// Whether the server understood, and said no to what was asked.
fn is_refusal(error: &MongoError) -> bool {
    error.is_refusal() && !is_out_of_window(error) && !error.is(code::UNAUTHORIZED)
}
