//! Reading ahead within a fixed memory budget.
//!
//! One task per collection reads its cursor; slices of the replies are encoded on worker threads, as many as there are cores; what comes out is taken
//! in order by the one who writes the archive. Back-pressure runs the other way: the upload takes a part when it has room, the writer a segment
//! when it is that segment's turn, and a reader asks for the next reply when there is room for it.
//!
//! **The budget.** A reply is at most 16 MiB. The collection whose turn it is may hold two of them ([`CURRENT`]): one being encoded, one on its way. The next
//! few collections may together hold one more ([`AHEAD`]), so that a thousand small ones do not each pay a round trip. A reply is paid for until the last segment made of
//! it is laid out, so the encoded segments are bounded with it. The two allowances are separate, so the ones waiting can never starve the one that everybody waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::request::ConsistencyDemand;
use super::segment::{EncodedSegment, EncoderPool};
use crate::catalog::{Collection, Kind};
use crate::digest::Hashing;
use crate::mongo::{Batch, Batches, Mongo, MongoError, ReadAt, code};

/// How many bytes of BSON go into one segment: enough for a good ratio, little enough for memory and for reading one back.
const SEGMENT_BYTES: u64 = 4 << 20;
/// A reply, with the server's own fields.
const REPLY: usize = 17 << 20;
/// The reply that is asked for: two segments. Full ones of 16 MiB are no faster, and leave holes in the allocator's memory that add up to a hundred MB.
const AIM: u64 = 2 * SEGMENT_BYTES;
/// What the current collection may hold.
const CURRENT: usize = 2 * REPLY;
/// What the collections after it may hold together.
const AHEAD: usize = REPLY;
/// How many collections are read ahead.
const LOOKAHEAD: usize = 32;
/// Semaphores count in KiB.
const UNIT: usize = 1 << 10;

/// What a reader tells the writer, in order.
#[derive(Debug)]
pub(super) enum Piece {
    /// The collection is read at another moment than the archive's, and why.
    Exception(String),
    /// The next segment, soon.
    Segment(Pending),
    /// The collection cannot be read further.
    Failed(MongoError),
    /// That was all of it. A reader that falls silent without this has died, and its collection is not whole.
    End,
}

/// A segment that is being encoded, and the memory it stands for.
#[derive(Debug)]
pub(super) struct Pending {
    encoding: JoinHandle<Result<EncodedSegment, MongoError>>,
    _memory: Arc<OwnedSemaphorePermit>,
}

impl Pending {
    /// Waits until the segment is there.
    pub(super) async fn ready(self) -> Result<EncodedSegment, MongoError> {
        self.encoding.await.unwrap_or_else(|error| {
            Err(MongoError {
                action: "encoding a segment".to_owned(),
                reason: error.to_string(),
                code: None,
                transient: false,
            })
        })
    }
}

/// How a database is read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) mongo: Mongo,
    pub(super) database: String,
    pub(super) at: ReadAt,
    pub(super) fallback: ReadAt,
    pub(super) demand: ConsistencyDemand,
    pub(super) encoders: Arc<EncoderPool>,
}

/// The collections of a backup, read one after the other, with a few ahead.
#[derive(Debug)]
pub(super) struct Pipeline {
    waiting: VecDeque<(usize, Collection)>,
    streams: VecDeque<mpsc::Receiver<Piece>>,
    readers: JoinSet<()>,
    reading: Reading,
    turn: watch::Sender<usize>,
    shared: Shared,
}

#[derive(Clone, Debug)]
struct Shared {
    current: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
    workers: Arc<Semaphore>,
}

impl Pipeline {
    /// Begins to read. Every collection must have documents: no views.
    pub(super) fn start(reading: Reading, collections: Vec<Collection>) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            waiting: collections.into_iter().enumerate().collect(),
            streams: VecDeque::new(),
            readers: JoinSet::new(),
            reading,
            turn: watch::Sender::new(0),
            shared: Shared {
                current: Arc::new(Semaphore::new(CURRENT / UNIT)),
                ahead: Arc::new(Semaphore::new(AHEAD / UNIT)),
                workers: Arc::new(Semaphore::new(workers)),
            },
        }
    }

    /// The pieces of the next collection, in the order they were given in. Those of the one before must have been taken to their end.
    pub(super) fn next_collection(&mut self, index: usize) -> mpsc::Receiver<Piece> {
        while self.streams.len() < LOOKAHEAD
            && let Some((index, collection)) = self.waiting.pop_front()
        {
            let (sender, receiver) = mpsc::channel(CURRENT / SEGMENT_BYTES as usize);
            let reader = Reader {
                index,
                collection,
                reading: self.reading.clone(),
                turn: self.turn.subscribe(),
                shared: self.shared.clone(),
                sender,
            };
            self.readers.spawn(reader.run());
            self.streams.push_back(receiver);
        }
        self.turn.send_replace(index);
        let ended = mpsc::channel(1).1;
        self.streams.pop_front().unwrap_or(ended)
    }

    /// Lets every reader come to an end. No driver call is cut short.
    pub(super) async fn stop(mut self) {
        self.streams.clear();
        self.turn.send_replace(usize::MAX);
        while self.readers.join_next().await.is_some() {}
    }
}

struct Reader {
    index: usize,
    collection: Collection,
    reading: Reading,
    turn: watch::Receiver<usize>,
    shared: Shared,
    sender: mpsc::Sender<Piece>,
}

impl Reader {
    async fn run(mut self) {
        let last = match self.read().await {
            Ok(()) => Piece::End,
            Err(error) => Piece::Failed(error),
        };
        // Nobody listens where the run has already failed.
        let _ = self.sender.send(last).await;
    }

    async fn read(&mut self) -> Result<(), MongoError> {
        let mut memory = self.room_for_first().await;
        let Some((mut batches, mut batch)) = self.open().await? else {
            return Ok(());
        };
        loop {
            let surplus = (memory.num_permits() * UNIT).saturating_sub(batch.reply_bytes()) / UNIT;
            drop(memory.split(surplus));
            if !self.hand_on(batch, memory).await? {
                return Ok(());
            }
            memory = self.room_for_next().await;
            batch = match batches.next().await {
                Some(batch) => batch?,
                None => return Ok(()),
            };
        }
    }

    /// Opens the cursor and takes its first reply, at a snapshot or, where that cannot be had, without one.
    async fn open(&mut self) -> Result<Option<(Batches, Batch)>, MongoError> {
        let (at, reason) = match self.reading.at {
            ReadAt::Snapshot(_) if self.collection.is_capped() => (
                self.reading.fallback,
                Some("a capped collection cannot be read at a snapshot".to_owned()),
            ),
            at => (at, None),
        };
        let opened = self.first(at).await;
        let fallback = self.reading.fallback;
        let (opened, reason) = match opened {
            Err(error) if matches!(at, ReadAt::Snapshot(_)) && is_out_of_window(&error) => {
                let reason = format!("the snapshot could no longer be read: {}", error.reason);
                match self.reading.demand {
                    ConsistencyDemand::Require => return Err(error),
                    ConsistencyDemand::Auto => (self.first(fallback).await, Some(reason)),
                }
            }
            opened => (opened, reason),
        };
        let opened = opened?;
        if !matches!(at, ReadAt::Snapshot(_)) || reason.is_some() {
            // At a snapshot, a name stands for what it stood for then. Without one it may stand for a successor by now.
            let Reading { mongo, database, .. } = &self.reading;
            mongo.is_still(database, &self.collection).await?;
        }
        if let Some(reason) = reason {
            // Nobody listens where the run has already failed.
            let _ = self.sender.send(Piece::Exception(reason)).await;
        }
        Ok(opened)
    }

    async fn first(&self, at: ReadAt) -> Result<Option<(Batches, Batch)>, MongoError> {
        let Reading { mongo, database, .. } = &self.reading;
        let mut batches = mongo
            .read_by(self.documents_per_reply(), database, &self.collection.name, at)
            .await?;
        match batches.next().await {
            Some(batch) => Ok(Some((batches, batch?))),
            None => Ok(None),
        }
    }

    /// How many documents make a reply of the size that is aimed at, by what the server says of their number and size.
    fn documents_per_reply(&self) -> u32 {
        let average = match (self.collection.bytes, self.collection.documents) {
            (Some(bytes), Some(documents)) => bytes / documents.max(1),
            _ => 0,
        };
        u32::try_from(AIM / average.max(1)).unwrap_or(u32::MAX)
    }

    /// Cuts a reply into segments and has them encoded. False when nobody wants them any more.
    async fn hand_on(&self, batch: Batch, memory: OwnedSemaphorePermit) -> Result<bool, MongoError> {
        let batch = Arc::new(batch);
        let memory = Arc::new(memory);
        let hashing = hashing(self.collection.kind);
        for slice in batch.slices(SEGMENT_BYTES)? {
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
            if self.sender.send(Piece::Segment(pending)).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Room for the first reply: out of the allowance for those ahead, or, when it is this collection's turn, out of its own.
    async fn room_for_first(&mut self) -> OwnedSemaphorePermit {
        // What the server says of its size, with room for growth: most collections of most databases are far smaller than a reply.
        let estimate = self.collection.bytes.map_or(REPLY, |bytes| {
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

async fn acquire(semaphore: &Arc<Semaphore>, units: usize) -> OwnedSemaphorePermit {
    let units = u32::try_from(units.max(1)).expect("allowances are far below 4 TiB");
    Arc::clone(semaphore)
        .acquire_many_owned(units)
        .await
        .expect("no semaphore of the pipeline is ever closed")
}

/// Whether the snapshot cannot be read for its age, and not for a fault.
fn is_out_of_window(error: &MongoError) -> bool {
    error.is(code::SNAPSHOT_TOO_OLD) || error.is(code::SNAPSHOT_UNAVAILABLE)
}

/// What of a collection's documents is hashed: a server may reorder the top-level fields of measurements.
pub(super) fn hashing(kind: Kind) -> Hashing {
    match kind {
        Kind::Timeseries => Hashing::SortedFields,
        Kind::Collection | Kind::View => Hashing::Raw,
    }
}
