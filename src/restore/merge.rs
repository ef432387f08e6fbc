//! Merging by `_id`: what is there already is left, or replaced where it differs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::load::{Counted, named};
use crate::mongo::{IdList, InsertBatch, Mongo, MongoError, Rejected, Validation, code, id_alone};
use crate::plan::Action;

/// What a merge found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    let theirs = present(mongo, (database, collection), IdList::of(ours)).await?;
    for duplicate in duplicates {
        let document = batch.document(duplicate.index);
        match theirs.get(&key(document)) {
            Some(present) if present == document => match action {
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

/// The documents of a batch whose `_id` is there already, as an insert would report them.
pub(super) async fn duplicates(
    mongo: &Mongo,
    namespace: (&str, &str),
    batch: &InsertBatch,
) -> Result<Vec<Rejected>, MongoError> {
    let all = (0..batch.len()).map(|index| batch.document(index));
    let theirs = present(mongo, namespace, IdList::of(all)).await?;
    Ok((0..batch.len())
        .filter(|&index| theirs.contains_key(&key(batch.document(index))))
        .map(|index| Rejected {
            index,
            code: code::DUPLICATE_KEY,
            message: "the _id is there already".to_owned(),
        })
        .collect())
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

fn is_refusal(error: &MongoError) -> bool {
    error.is(code::DUPLICATE_KEY) || error.is(code::DOCUMENT_VALIDATION_FAILURE)
}

/// The `_id` as bytes that can be compared: its type and value.
fn key(document: &[u8]) -> Vec<u8> {
    id_alone(document, "_id").map_or_else(Vec::new, bson::RawDocumentBuf::into_bytes)
}
