//! Reading a collection back: what is in the database now, not what was sent to it.
//!
//! Another invocation can resume reading a large collection: behind a record at the same member of a replica set, or,
//! behind `mongos`, by `_id`. If neither is possible (time series, servers without such places), it is read in one go.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Batch, Batches, IdList, Mongo, MongoError, Position, Scan, ScanOrder, Trail, next_ended, patiently};
use crate::catalog::Topology;
use crate::digest::{Digest, DocumentHasher, Hashing};

/// How many replies are hashed while the next is asked for. Hashing is far quicker than any server.
const IN_HAND: usize = 1;
/// So many bytes are read back within a second, and need no place to go on from.
const READ_AT_ONE_GO: u64 = 16 << 20;

/// How far a collection has been read back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReadSoFar {
    /// Not at all.
    #[default]
    Nothing,
    /// Up to a place in it.
    Behind { place: Position, digest: Digest },
    /// By the `_id`s of so many documents of the archive.
    ById { documents: u64, digest: Digest },
}

/// How a reading ended.
#[derive(Debug)]
pub(crate) enum ReadBack {
    /// All of it was read.
    Whole(Digest),
    /// It is to go on there.
    Paused(ReadSoFar),
}

/// The digest of every document of a collection, as the replica set's majority has it. Documents of about so many bytes
/// are expected, and so many bytes in all.
///
/// If the connection breaks, reading resumes after the last document received. Measurements, which have no such places,
/// are read anew, and so is what takes less than a second.
///
/// # Errors
/// What the server answered.
pub async fn read_back(
    mongo: &Mongo,
    name: (&str, &str),
    hashing: Hashing,
    (average, bytes): (u64, u64),
) -> Result<Digest, MongoError> {
    if is_read_at_one_go(hashing, bytes) {
        return Box::pin(read_at_one_go(mongo, name, (hashing, average))).await;
    }
    match Box::pin(read_back_until(
        mongo,
        name,
        (hashing, average),
        ReadSoFar::Nothing,
        || false,
    ))
    .await?
    {
        ReadBack::Whole(digest) => Ok(digest),
        ReadBack::Paused(_) => Err(MongoError::unexpected(
            format!("reading {}.{}", name.0, name.1),
            "the reading was interrupted",
        )),
    }
}

/// Whether a collection of so many bytes is read without places to go on from.
pub(crate) fn is_read_at_one_go(hashing: Hashing, bytes: u64) -> bool {
    hashing == Hashing::SortedFields || bytes < READ_AT_ONE_GO
}

pub(crate) async fn read_at_one_go(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    (hashing, average): (Hashing, u64),
) -> Result<Digest, MongoError> {
    patiently!(mongo, async {
        let batches = mongo.read(database, collection, mongo.proving(), average).await?;
        hash_all(batches, hashing).await
    })
}

/// The same, from where `so_far` is, and no further than to where it is time to pause: asked behind each reply. Not for
/// measurements.
///
/// A place that is none any more, since another member answers or that one has lost it, is not gone on from: the
/// collection is read from its beginning then.
///
/// # Errors
/// What the server answered.
pub(crate) async fn read_back_until(
    mongo: &Mongo,
    name: (&str, &str),
    (hashing, average): (Hashing, u64),
    mut so_far: ReadSoFar,
    pause: impl Fn() -> bool,
) -> Result<ReadBack, MongoError> {
    let mut attempts = mongo.attempts();
    loop {
        let error = match Box::pin(BackReading::open(mongo, name, average, &so_far)).await {
            Ok(Some(mut reading)) => {
                let ended = Box::pin(reading.go_on(hashing, &pause)).await;
                let digest = reading.hashed.all().await?;
                match ended {
                    Ok(ReadEnd::Whole) => return Ok(ReadBack::Whole(digest)),
                    Ok(ReadEnd::Pausing(place)) => return Ok(ReadBack::Paused(ReadSoFar::Behind { place, digest })),
                    Err(error) => {
                        if let Some(place) = reading.place.filter(|_| reading.moved) {
                            so_far = ReadSoFar::Behind { place, digest };
                            attempts.succeeded();
                        }
                        error
                    }
                }
            }
            Ok(None) => {
                return read_at_one_go(mongo, name, (hashing, average))
                    .await
                    .map(ReadBack::Whole);
            }
            Err(error) => error,
        };
        if !attempts.again_after(&error).await {
            return Err(error);
        }
    }
}

/// A reading of a collection whose replies have places.
struct BackReading {
    batches: Batches,
    trail: Trail,
    hashed: Hashed,
    /// Behind everything that was given to be hashed.
    place: Option<Position>,
    /// Whether anything has come since it was opened.
    moved: bool,
}

/// How far a reading came.
enum ReadEnd {
    Whole,
    Pausing(Position),
}

impl BackReading {
    /// From where `so_far` is, if that is still a place; `None` if the server has no places.
    async fn open(
        mongo: &Mongo,
        (database, collection): (&str, &str),
        average: u64,
        so_far: &ReadSoFar,
    ) -> Result<Option<Self>, MongoError> {
        let there = match mongo.member_to_read().await? {
            Some(member) => mongo.reading_from(&member),
            None => mongo.clone(),
        };
        let order = match mongo.server().topology {
            Topology::Sharded if !mongo.server().features.id_ranges => return Ok(None),
            Topology::Sharded => ScanOrder::Id,
            Topology::Standalone | Topology::ReplicaSet => ScanOrder::Record,
        };
        let mut begin = match so_far {
            ReadSoFar::Behind { place, digest } if place.order() == order && place.member() == there.member() => {
                Some((place, *digest))
            }
            _ => None,
        };
        loop {
            let whole = Scan::whole(mongo.proving());
            let after = begin.map(|(place, _)| place);
            let scan = Scan { order, after, ..whole };
            let batches = match there.read_in(database, collection, &scan, average).await {
                Err(error) if error.is_refusal() && begin.take().is_some() => continue,
                Err(error) if error.is_refusal() => return Ok(None),
                opened => opened?,
            };
            let (place, digest) = begin.map(|(place, digest)| (place.clone(), digest)).unzip();
            return Ok(Some(Self {
                trail: batches.trail(),
                batches,
                hashed: Hashed::behind(digest.unwrap_or_default()),
                place,
                moved: false,
            }));
        }
    }

    async fn go_on(&mut self, hashing: Hashing, pause: impl Fn() -> bool) -> Result<ReadEnd, MongoError> {
        while let Some(batch) = self.batches.next().await {
            let batch = Arc::new(batch?);
            let place = self.trail.behind(&batch)?;
            self.hashed.add(batch, hashing).await?;
            self.place.clone_from(&place);
            self.moved = true;
            if let Some(place) = place.filter(|_| pause()) {
                return Ok(ReadEnd::Pausing(place));
            }
        }
        Ok(ReadEnd::Whole)
    }
}

/// The digest of the documents with these `_id`s.
///
/// # Errors
/// What the server answered.
pub(crate) async fn read_back_ids(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    (ids, average): (&IdList, u64),
    hashing: Hashing,
) -> Result<Digest, MongoError> {
    patiently!(mongo, async {
        hash_all(mongo.read_ids(database, collection, ids, average).await?, hashing).await
    })
}

async fn hash_all(mut batches: Batches, hashing: Hashing) -> Result<Digest, MongoError> {
    let mut hashed = Hashed::default();
    while let Some(batch) = batches.next().await {
        hashed.add(Arc::new(batch?), hashing).await?;
    }
    hashed.all().await
}

/// Replies, hashed while others are asked for.
#[derive(Default)]
struct Hashed {
    working: tokio::task::JoinSet<Result<Digest, MongoError>>,
    sum: Digest,
}

impl Hashed {
    /// For what comes behind that.
    fn behind(sum: Digest) -> Self {
        Self { sum, ..Self::default() }
    }

    async fn add(&mut self, batch: Arc<Batch>, hashing: Hashing) -> Result<(), MongoError> {
        if self.working.len() >= IN_HAND
            && let Some(done) = next_ended(&mut self.working, "hashing documents").await
        {
            self.sum.merge(&done?);
        }
        self.working.spawn_blocking(move || hash(&batch, hashing));
        Ok(())
    }

    /// Everything so far.
    async fn all(&mut self) -> Result<Digest, MongoError> {
        while let Some(done) = next_ended(&mut self.working, "hashing documents").await {
            self.sum.merge(&done?);
        }
        Ok(self.sum)
    }
}

fn hash(batch: &Batch, hashing: Hashing) -> Result<Digest, MongoError> {
    let mut hasher = DocumentHasher::new(hashing);
    for document in batch.all_documents() {
        hasher.add_document(document?);
    }
    Ok(hasher.digest())
}
