//! Reads a large collection with several cursors abreast, and hands it on in its own order.
//!
//! One cursor gives some 300 MB/s of small documents, whatever the client does: a server fills no reply while it sends
//! another. So at a snapshot a large collection is cut, at records, into **stretches** of a few megabytes. While the
//! first is handed on, another cursor reads the next into memory set aside for it ([`allowance`](super::allowance));
//! both end at about the same time, and the next two follow. Pieces, their order and the places to resume from are the
//! same as with one cursor.
//!
//! **Where stretches end** is decided as they begin, by the density of the collection's record numbers. A boundary must
//! be a record; if that one was deleted, later ones are tried. Anything that rules boundaries out (a clustered
//! collection, `mongos`, another vendor's server, too few numbers still in use) means one cursor, no failure. A cursor
//! that had to leave the snapshot reads on to the collection's end, and what was read of later stretches is dropped.

use std::collections::VecDeque;

use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::piece::{CollectionPiece, CollectionPieces};
use super::reader::Reader;
use crate::catalog::Collection;
use crate::mongo::{Edge, Mongo, MongoError, Position, ReadAt, ScanOrder, code};

/// How many of a collection's record numbers may be out of use for each that is not: where there are more, a stretch
/// cannot be told from numbers.
const SPARSEST: u64 = 1;
/// How many numbers, each twice as far off as the one before, are tried for a boundary.
const TRIES: u32 = 12;
/// How many pieces of a stretch may wait. Memory limits them long before.
const WAITING: usize = 256;

/// The stretches of a collection, as they are cut.
pub(super) struct Stretches {
    mongo: Mongo,
    database: String,
    collection: Collection,
    at: ReadAt,
    /// How many numbers a stretch takes.
    step: i64,
    last: i64,
    next: Option<Start>,
}

/// Where a stretch begins.
struct Start {
    from: Option<Position>,
    /// The number before its first record.
    record: i64,
}

/// From one boundary to the next, or to the collection's end.
struct RecordStretch {
    from: Option<Position>,
    until: Option<Edge>,
}

/// What became of a stretch.
enum StretchEnd {
    Whole,
    /// It was read to the collection's end, outside of the snapshot.
    WithAllBehindIt,
    /// Nobody wants to know.
    Unwanted,
}

impl Stretches {
    /// How the collection of a reader is cut; `None` if one cursor is as good.
    pub(super) async fn of(reader: &Reader) -> Option<Self> {
        let (reading, task) = (&reader.reading, &reader.task);
        let is_at_snapshot = matches!(reading.at, ReadAt::Snapshot(_)) && !task.collection.is_capped();
        let goes_by_records = matches!(reader.order(reading.at), Ok(ScanOrder::Record));
        // A boundary is found by an `_id`, which must be that of one document.
        if !is_at_snapshot || !goes_by_records || !task.collection.has_unique_ids() {
            return None;
        }
        let documents = task.collection.documents?;
        let wanted = reader.room.documents_per_stretch(&task.collection)?;
        let is_one_stretch = documents / 2 < wanted;
        if is_one_stretch {
            return None;
        }
        // What is wrong with the server or the way to it, a cursor finds out, too, and can deal with.
        let (first, last) = reading
            .mongo
            .records(&reading.database, &task.collection.name, reading.at)
            .await
            .ok()??;
        let numbers = u64::try_from(last.checked_sub(first)?).ok()? + 1;
        if numbers / (SPARSEST + 1) > documents {
            return None;
        }
        let step = u128::from(wanted) * u128::from(numbers) / u128::from(documents.max(1));
        let from = task.from.clone();
        let record = from.as_ref().map_or(Some(first - 1), Position::record)?;
        Some(Self {
            mongo: reading.mongo.clone(),
            database: reading.database.clone(),
            collection: task.collection.clone(),
            at: reading.at,
            step: i64::try_from(step).ok()?.max(1),
            last,
            next: Some(Start { from, record }),
        })
    }

    /// Reads all of them, some abreast, and hands them on one after the other.
    pub(super) async fn read(mut self, reader: &Reader) -> Result<(), MongoError> {
        let turn = watch::Sender::new(0);
        let readers = TaskTracker::new();
        let mut streams = VecDeque::new();
        let mut begun = 0;
        let ended = loop {
            while streams.len() < reader.room.abreast()
                && let Some(stretch) = self.cut().await
            {
                let (sender, pieces) = mpsc::channel(WAITING);
                let mut of_stretch = Reader {
                    task: reader.task.clone(),
                    reading: reader.reading.clone(),
                    room: reader.room.of_stretch(begun, turn.subscribe()),
                    sender,
                    attempts: reader.reading.mongo.attempts(),
                    until: stretch.until,
                };
                of_stretch.task.from = stretch.from;
                let reading = readers.spawn(async move { of_stretch.read().await });
                streams.push_back((begun, CollectionPieces::new(pieces, reading)));
                begun += 1;
            }
            let Some((index, pieces)) = streams.pop_front() else {
                break Ok(());
            };
            turn.send_replace(index);
            match hand_on(pieces, &reader.sender).await {
                Ok(StretchEnd::Whole) => {}
                Ok(StretchEnd::WithAllBehindIt | StretchEnd::Unwanted) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // No driver call is cut short.
        drop(streams);
        turn.send_replace(usize::MAX);
        readers.close();
        readers.wait().await;
        ended
    }

    /// The next stretch.
    async fn cut(&mut self) -> Option<RecordStretch> {
        let Start { from, record } = self.next.take()?;
        let until = self.edge(record.saturating_add(self.step)).await;
        self.next = until.as_ref().map(|edge| Start {
            from: Some(edge.position()),
            record: edge.record(),
        });
        Some(RecordStretch { from, until })
    }

    /// A boundary behind a record or one of those after it; `None` if the rest is better read as one.
    async fn edge(&self, wanted: i64) -> Option<Edge> {
        for distance in (0..TRIES).map(|exponent| (1_i64 << exponent) - 1) {
            let record = wanted.saturating_add(distance);
            if record.saturating_add(self.step / 2) > self.last {
                return None;
            }
            match self
                .mongo
                .edge(&self.database, &self.collection.name, self.at, record)
                .await
            {
                Ok(edge) => return edge,
                Err(error) if error.is(code::KEY_NOT_FOUND) => {}
                // As in `of`.
                Err(_) => return None,
            }
        }
        None
    }
}

/// Hands a stretch on as a part of its collection.
async fn hand_on(mut pieces: CollectionPieces, to: &mpsc::Sender<CollectionPiece>) -> Result<StretchEnd, MongoError> {
    let mut ended = StretchEnd::Whole;
    while let Some(piece) = pieces.next().await? {
        if matches!(piece, CollectionPiece::Exception(_)) {
            ended = StretchEnd::WithAllBehindIt;
        }
        if to.send(piece).await.is_err() {
            return Ok(StretchEnd::Unwanted);
        }
    }
    Ok(ended)
}
