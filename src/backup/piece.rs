//! What an archive's readers and its writer exchange: what to read of a collection, how, and the result, piece by
//! piece.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::request::ConsistencyDemand;
use super::segment::{EncodedSegment, EncoderPool};
use crate::catalog::{Collection, Kind};
use crate::digest::Hashing;
use crate::mongo::{IdRange, Mongo, MongoError, Position, ReadAt, ended};

/// How often a collection is begun anew. Each time costs the bytes that were laid out of it until then.
const ANEW: usize = 3;

/// What a reader tells the writer, in order.
#[derive(Debug)]
pub(super) enum CollectionPiece {
    /// The collection is read at another moment than the archive's, and why.
    Exception(String),
    /// The next segment, soon.
    Segment(Pending, Behind),
    /// The member that all of this came from is gone: it is worth nothing, and the collection comes anew from another
    /// one.
    Anew,
}

/// The pieces of a collection in their order. How reading ended is what became of the reader's task.
#[derive(Debug)]
pub(super) struct CollectionPieces {
    come: mpsc::Receiver<CollectionPiece>,
    reader: JoinHandle<Result<(), MongoError>>,
}

impl CollectionPieces {
    /// Those that a task hands on.
    pub(super) fn new(come: mpsc::Receiver<CollectionPiece>, reader: JoinHandle<Result<(), MongoError>>) -> Self {
        Self { come, reader }
    }

    /// The next piece; none at the end, after which there is nothing to be asked for. Nothing is lost where nobody
    /// waits for it.
    ///
    /// # Errors
    /// If the collection cannot be read further.
    pub(super) async fn next(&mut self) -> Result<Option<CollectionPiece>, MongoError> {
        match self.come.recv().await {
            Some(piece) => Ok(Some(piece)),
            None => ended(&mut self.reader, "reading a collection").await.map(|()| None),
        }
    }
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
    /// How often it may still be begun anew.
    pub(super) anew: usize,
}

impl Task {
    /// All of a collection.
    pub(super) fn whole(collection: Collection) -> Self {
        Self {
            collection,
            range: None,
            from: None,
            anew: ANEW,
        }
    }

    /// What is left of it behind a place; it was begun anew so many times.
    pub(super) fn behind(self, from: Option<Position>, abandoned: usize) -> Self {
        Self {
            from,
            anew: self.anew.saturating_sub(abandoned),
            ..self
        }
    }
}

/// A segment that is being encoded.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) encoding: JoinHandle<Result<EncodedSegment, MongoError>>,
}

impl Pending {
    /// Waits until the segment is there.
    pub(super) async fn ready(mut self) -> Result<EncodedSegment, MongoError> {
        ended(&mut self.encoding, "encoding a segment").await
    }
}

/// How a database is read.
#[derive(Clone, Debug)]
pub(super) struct ReadSettings {
    pub(super) mongo: Mongo,
    pub(super) member: CurrentMember,
    pub(super) database: String,
    pub(super) at: ReadAt,
    pub(super) fallback: ReadAt,
    pub(super) demand: ConsistencyDemand,
    /// Why reads at the snapshot's time are not believed any more, where they are not.
    pub(super) doubt: Option<String>,
    /// Whether another invocation may have to go on.
    pub(super) resumable: bool,
    pub(super) encoders: Arc<EncoderPool>,
}

impl ReadSettings {
    /// Reads from the member at which this is a place, or else from the one that everybody reads from now.
    pub(super) fn begin_at(&mut self, from: Option<&Position>) {
        let member = from.and_then(Position::member).cloned().or_else(|| self.member.now());
        if let Some(member) = member {
            self.mongo = self.mongo.reading_from(&member);
        }
    }

    /// Reads from another member, as does whoever begins after this.
    pub(super) fn turn_to(&mut self, member: &str) {
        self.mongo = self.mongo.reading_from(member);
        self.member.is_now(member);
    }
}

/// The member of a replica set that collections are read from, where one was found gone: a thousand collections do not
/// each find that out.
#[derive(Clone, Debug, Default)]
pub(super) struct CurrentMember(Arc<Mutex<Option<Arc<str>>>>);

impl CurrentMember {
    fn now(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_now(&self, member: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(member.into());
    }
}

/// What of a collection's documents is hashed: a server may reorder the top-level fields of measurements.
pub(super) fn hashing(kind: Kind) -> Hashing {
    match kind {
        Kind::Timeseries => Hashing::SortedFields,
        Kind::Collection | Kind::View => Hashing::Raw,
    }
}
