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

use super::reader::{PATIENCE, Reader};
use super::request::ConsistencyDemand;
use super::segment::{EncodedSegment, EncoderPool};
use crate::catalog::{Collection, Kind};
use crate::digest::Hashing;
use crate::mongo::{IdRange, Mongo, MongoError, Position, ReadAt};

/// How many bytes of BSON go into one segment: enough for a good ratio, little enough for memory and for reading one back.
pub(super) const SEGMENT_BYTES: u64 = 4 << 20;
/// A reply, with the server's own fields.
pub(super) const REPLY: usize = 17 << 20;
/// The reply that is asked for: two segments. Full ones of 16 MiB are no faster, and leave holes in the allocator's memory that add up to a hundred MB.
pub(super) const AIM: u64 = 2 * SEGMENT_BYTES;
/// What the current collection may hold.
const CURRENT: usize = 2 * REPLY;
/// What the collections after it may hold together.
const AHEAD: usize = REPLY;
/// How many collections are read ahead.
const LOOKAHEAD: usize = 32;
/// Semaphores count in KiB.
pub(super) const UNIT: usize = 1 << 10;

/// What a reader tells the writer, in order.
#[derive(Debug)]
pub(super) enum Piece {
    /// The collection is read at another moment than the archive's, and why.
    Exception(String),
    /// The next segment, soon.
    Segment(Pending, Behind),
    /// The collection cannot be read further.
    Failed(MongoError),
    /// That was all of it. A reader that falls silent without this has died, and its collection is not whole.
    End,
}

/// What lies behind a segment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Behind {
    /// More of the same reply.
    More,
    /// A place from which another invocation can go on.
    Place(Position),
    /// The end of a reply, but no such place.
    Nothing,
}

/// What is read of a collection.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) collection: Collection,
    /// Which documents, where it is not all of them.
    pub(super) range: Option<IdRange>,
    /// Behind which place, where an earlier invocation has read what is before it.
    pub(super) from: Option<Position>,
}

impl Task {
    /// All of a collection.
    pub(super) fn whole(collection: Collection) -> Self {
        Self {
            collection,
            range: None,
            from: None,
        }
    }
}

/// A segment that is being encoded, and the memory it stands for.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) encoding: JoinHandle<Result<EncodedSegment, MongoError>>,
    pub(super) _memory: Arc<OwnedSemaphorePermit>,
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
    /// Whether another invocation may have to go on.
    pub(super) resumable: bool,
    pub(super) encoders: Arc<EncoderPool>,
}

/// The collections of a backup, read one after the other, with a few ahead.
#[derive(Debug)]
pub(super) struct Pipeline {
    waiting: VecDeque<(usize, Task)>,
    streams: VecDeque<mpsc::Receiver<Piece>>,
    readers: JoinSet<()>,
    reading: Reading,
    turn: watch::Sender<usize>,
    shared: Shared,
}

#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) current: Arc<Semaphore>,
    pub(super) ahead: Arc<Semaphore>,
    pub(super) workers: Arc<Semaphore>,
}

impl Pipeline {
    /// Begins to read. Every collection must have documents: no views.
    pub(super) fn start(reading: Reading, tasks: Vec<Task>) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            waiting: tasks.into_iter().enumerate().collect(),
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
            && let Some((index, task)) = self.waiting.pop_front()
        {
            let (sender, receiver) = mpsc::channel(CURRENT / SEGMENT_BYTES as usize);
            let reader = Reader {
                index,
                task,
                reading: self.reading.clone(),
                turn: self.turn.subscribe(),
                shared: self.shared.clone(),
                sender,
                patience: PATIENCE,
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

pub(super) async fn acquire(semaphore: &Arc<Semaphore>, units: usize) -> OwnedSemaphorePermit {
    let units = u32::try_from(units.max(1)).expect("allowances are far below 4 TiB");
    Arc::clone(semaphore)
        .acquire_many_owned(units)
        .await
        .expect("no semaphore of the pipeline is ever closed")
}

/// What of a collection's documents is hashed: a server may reorder the top-level fields of measurements.
pub(super) fn hashing(kind: Kind) -> Hashing {
    match kind {
        Kind::Timeseries => Hashing::SortedFields,
        Kind::Collection | Kind::View => Hashing::Raw,
    }
}
