//! Merging by `_id`: what is there already is left, or replaced where it differs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::insert::{Counted, named};
use crate::mongo::{IdList, InsertBatch, Mongo, MongoError, Rejected, Validation, code, id_alone};
use crate::plan::Action;

/// What a merge found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MergeCounts {
    /// Documents that were there, and different.
    pub replaced: u64,
    /// Documents that were there as they are in the archive.
    pub unchanged: u64,
}

/// Settles the documents of a batch whose `_id`, or another unique key, was there already.
///
/// In a merge a different document is replaced. In a load into a collection of our own, a document that is there can only be one that an insert brought whose
/// answer was lost, so it counts as inserted if it is the same, and is refused if it is not.
pub(super) async fn merge(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    batch: &InsertBatch,
    duplicates: &[Rejected],
    validation: Validation,
    action: Action,
    counted: &mut Counted,
) -> Result<(), MongoError> {
    let ours = duplicates.iter().map(|duplicate| batch.document(duplicate.index));
    let mut theirs = present(mongo, (database, collection), IdList::of(ours)).await?;
    for duplicate in duplicates {
        let document = batch.document(duplicate.index);
        let there = match theirs.remove(&key(document)) {
            Some(there) => Some(there),
            None => equal_id(mongo, (database, collection), document).await?,
        };
        match there {
            Some(there) if there == document => match action {
                Action::Merge => counted.merged.unchanged += 1,
                _ => counted.inserted += 1,
            },
            Some(_) if action == Action::Merge => match mongo.replace(database, collection, document, validation).await
            {
                Ok(()) => counted.merged.replaced += 1,
                Err(error) if is_refusal(&error) => counted.rejected.push(named(
                    batch,
                    &Rejected {
                        index: duplicate.index,
                        code: error.code.unwrap_or(0),
                        message: error.reason,
                    },
                )),
                Err(error) => return Err(error),
            },
            // Another unique key is taken, or a document of another origin has this `_id`.
            _ => counted.rejected.push(named(batch, duplicate)),
        }
    }
    Ok(())
}

/// The document whose `_id` the server holds to be equal, though its bytes are others: 5 and 5.0, or by the collection's collation "a" and "A".
async fn equal_id(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    document: &[u8],
) -> Result<Option<Vec<u8>>, MongoError> {
    let ids = IdList::of(std::iter::once(document));
    let mut found = mongo.read_ids(database, collection, &ids).await?;
    while let Some(reply) = found.next().await {
        if let Some(document) = reply?.all_documents().next() {
            return Ok(Some(document?.to_vec()));
        }
    }
    Ok(None)
}

/// The documents with these `_id`s, by [`key`].
async fn present(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    ids: IdList,
) -> Result<HashMap<Vec<u8>, Vec<u8>>, MongoError> {
    let mut theirs = HashMap::new();
    let mut found = mongo.read_ids(database, collection, &ids).await?;
    while let Some(reply) = found.next().await {
        for document in reply?.all_documents() {
            let document = document?;
            theirs.insert(key(document), document.to_vec());
        }
    }
    Ok(theirs)
}

/// Whether it is this one document that the server does not take, for whatever reason.
fn is_refusal(error: &MongoError) -> bool {
    error.code.is_some() && !error.transient && !error.is(code::UNAUTHORIZED)
}

/// The `_id` as bytes that can be compared: its type and value.
fn key(document: &[u8]) -> Vec<u8> {
    id_alone(document, "_id").map_or_else(Vec::new, bson::RawDocumentBuf::into_bytes)
}
