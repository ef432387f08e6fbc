//! Reading a collection back: what is in the database now, not what was sent to it.
//!
//! A large collection is read in a way that can be gone on with by another invocation: behind a record at the same member of a replica set, or, behind `mongos`, by `_id`. Where that is not to be had (time
//! series, servers that know no such places), it is read at one go.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::Topology;
use crate::digest::{Digest, DocumentHasher, Hashing};
use crate::mongo::{Batch, Batches, IdList, Mongo, MongoError, Position, Scan, ScanOrder};

/// How many replies are hashed while the next is asked for. Hashing is far quicker than any server.
const IN_HAND: usize = 1;

/// How far a collection has been read back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReadSoFar {
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
pub(super) enum ReadBack {
    /// All of it was read.
    Whole(Digest),
    /// It is to go on there.
    Paused(ReadSoFar),
}

/// The digest of every document that a collection has, as the majority of the replica set has it. Documents of about so many bytes are expected.
///
/// # Errors
/// What the server answered.
pub async fn read_back(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    hashing: Hashing,
    average: u64,
) -> Result<Digest, MongoError> {
    let batches = mongo.read(database, collection, mongo.proving(), average).await?;
    hash_all(batches, hashing).await
}

/// The same, from where `so_far` is, and no further than to where it is time to pause: asked behind each reply. Not for measurements.
///
/// A place that is none any more, since another member answers or that one has lost it, is not gone on from: the collection is read from its beginning then.
///
/// # Errors
/// What the server answered.
pub(super) async fn read_back_until(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    (hashing, average): (Hashing, u64),
    so_far: ReadSoFar,
    pause: impl Fn() -> bool,
) -> Result<ReadBack, MongoError> {
    let there = match mongo.member_to_read().await? {
        Some(member) => mongo.reading_from(&member),
        None => mongo.clone(),
    };
    let order = match mongo.server().topology {
        Topology::Sharded => ScanOrder::Id,
        Topology::Standalone | Topology::ReplicaSet => ScanOrder::Record,
    };
    let open = async |after: Option<&Position>| {
        let whole = Scan::whole(mongo.proving());
        let scan = Scan { order, after, ..whole };
        there.read_in(database, collection, &scan, average).await
    };
    let (begin, mut sum) = match so_far {
        ReadSoFar::Behind { place, digest } if place.order() == order && place.member() == there.member() => {
            (Some(place), digest)
        }
        _ => (None, Digest::default()),
    };
    let mut opened = open(begin.as_ref()).await;
    if begin.is_some() && opened.as_ref().is_err_and(is_refusal) {
        sum = Digest::default();
        opened = open(None).await;
    }
    let mut batches = match opened {
        Err(error) if is_refusal(&error) => {
            return read_back(mongo, (database, collection), hashing, average)
                .await
                .map(ReadBack::Whole);
        }
        opened => opened?,
    };
    let mut trail = batches.trail();
    let mut hashed = Hashed {
        sum,
        ..Hashed::default()
    };
    while let Some(batch) = batches.next().await {
        let batch = Arc::new(batch?);
        let place = trail.behind(&batch)?;
        hashed.add(batch, hashing).await?;
        if pause()
            && let Some(place) = place
        {
            let digest = hashed.all().await?;
            return Ok(ReadBack::Paused(ReadSoFar::Behind { place, digest }));
        }
    }
    hashed.all().await.map(ReadBack::Whole)
}

/// Whether the server answered, and will answer the same the next time.
fn is_refusal(error: &MongoError) -> bool {
    error.code.is_some() && !error.transient
}

/// The digest of the documents with these `_id`s.
///
/// # Errors
/// What the server answered.
pub(super) async fn read_back_ids(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    (ids, average): (&IdList, u64),
    hashing: Hashing,
) -> Result<Digest, MongoError> {
    hash_all(mongo.read_ids(database, collection, ids, average).await?, hashing).await
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
    async fn add(&mut self, batch: Arc<Batch>, hashing: Hashing) -> Result<(), MongoError> {
        if self.working.len() >= IN_HAND
            && let Some(done) = self.working.join_next().await
        {
            self.sum.merge(&settle(done)?);
        }
        self.working.spawn_blocking(move || hash(&batch, hashing));
        Ok(())
    }

    async fn all(mut self) -> Result<Digest, MongoError> {
        while let Some(done) = self.working.join_next().await {
            self.sum.merge(&settle(done)?);
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

fn settle(done: Result<Result<Digest, MongoError>, tokio::task::JoinError>) -> Result<Digest, MongoError> {
    done.unwrap_or_else(|error| {
        Err(MongoError {
            action: "hashing documents".to_owned(),
            reason: error.to_string(),
            code: None,
            transient: false,
        })
    })
}
