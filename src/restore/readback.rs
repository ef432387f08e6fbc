//! Reading a collection back: what is in the database now, not what was sent to it.

use std::sync::Arc;

use crate::digest::{Digest, DocumentHasher, Hashing};
use crate::mongo::{Batch, Batches, IdList, Mongo, MongoError};

/// How many replies are hashed while the next is asked for. Hashing is far quicker than any server.
const IN_HAND: usize = 1;

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

/// The digest of the documents with these `_id`s.
///
/// # Errors
/// What the server answered.
pub(super) async fn read_back_ids(
    mongo: &Mongo,
    database: &str,
    collection: &str,
    (ids, average): (&IdList, u64),
    hashing: Hashing,
) -> Result<Digest, MongoError> {
    hash_all(mongo.read_ids(database, collection, ids, average).await?, hashing).await
}

async fn hash_all(mut batches: Batches, hashing: Hashing) -> Result<Digest, MongoError> {
    let mut hashed = tokio::task::JoinSet::new();
    let mut sum = Digest::default();
    while let Some(batch) = batches.next().await {
        let batch = Arc::new(batch?);
        if hashed.len() >= IN_HAND
            && let Some(done) = hashed.join_next().await
        {
            sum.merge(&settle(done)?);
        }
        hashed.spawn_blocking(move || hash(&batch, hashing));
    }
    while let Some(done) = hashed.join_next().await {
        sum.merge(&settle(done)?);
    }
    Ok(sum)
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
