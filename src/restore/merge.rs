//! Merging by `_id`: existing documents stay, or are replaced if they differ.

use std::collections::HashMap;

use super::counted::{Counted, named};
use super::goal::Goal;
use crate::mongo::{IdList, InsertBatch, Mongo, MongoError, Rejected, code, id_alone, patiently};
use crate::plan::Action;

/// Settles the documents of a batch whose `_id`, or another unique key, was there already.
///
/// Existing documents are compared as they come, and not kept: they can be longer than the archive's, and many.
///
/// A merge replaces a different document. In a load into our own collection, an existing document can only come from an
/// insert whose answer was lost, so it counts as inserted if it is the same, and is refused if it is not.
pub(super) async fn merge(
    goal: &Goal,
    batch: &InsertBatch<'_>,
    duplicates: &[Rejected],
    counted: &mut Counted,
) -> Result<(), MongoError> {
    let Goal {
        database,
        collection,
        action,
        ..
    } = goal;
    let mongo = &goal.tools.mongo;
    let ours: Vec<&[u8]> = duplicates
        .iter()
        .map(|duplicate| batch.document(duplicate.index))
        .collect();
    let theirs = patiently!(mongo, look_up(mongo, (database, collection), &ours))?;
    for ((duplicate, document), there) in duplicates.iter().zip(ours).zip(theirs) {
        let there = match there {
            Some(there) => Some(there),
            None => patiently!(mongo, equal_id(mongo, (database, collection), document))?,
        };
        match there {
            Some(There::Same) => match action {
                Action::Merge => counted.merged.unchanged += 1,
                _ => counted.inserted += 1,
            },
            Some(There::Other) if *action == Action::Merge => {
                goal.claim.holds().await?;
                match mongo.replace(database, collection, document, goal.validation).await {
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
                }
            }
            // Another unique key is taken, or a document of another origin has this `_id`.
            _ => counted.rejected.push(named(batch, duplicate)),
        }
    }
    Ok(())
}

/// What the database has under an `_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    /// The same document.
    Same,
    /// Another one.
    Other,
}

impl There {
    fn of(theirs: &[u8], ours: &[u8]) -> Self {
        match theirs == ours {
            true => Self::Same,
            false => Self::Other,
        }
    }
}

/// What is there under the `_id` that the server holds to be equal, though its bytes are others: 5 and 5.0, or by the
/// collection's collation "a" and "A".
async fn equal_id(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    document: &[u8],
) -> Result<Option<There>, MongoError> {
    let ids = IdList::of(std::iter::once(document));
    let mut found = mongo
        .read_ids(database, collection, &ids, document.len() as u64)
        .await?;
    while let Some(reply) = found.next().await {
        if let Some(theirs) = reply?.all_documents().next() {
            return Ok(Some(There::of(theirs?, document)));
        }
    }
    Ok(None)
}

/// What is there under the `_id` of each document, byte for byte; nothing for the second of two that have the same.
async fn look_up(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    ours: &[&[u8]],
) -> Result<Vec<Option<There>>, MongoError> {
    let mut places = HashMap::new();
    for (place, document) in ours.iter().enumerate() {
        places.entry(key(document)).or_insert(place);
    }
    let mut there = vec![None; ours.len()];
    let bytes: usize = ours.iter().map(|document| document.len()).sum();
    let average = (bytes / ours.len().max(1)) as u64;
    let ids = IdList::of(ours.iter().copied());
    let mut found = mongo.read_ids(database, collection, &ids, average).await?;
    while let Some(reply) = found.next().await {
        for theirs in reply?.all_documents() {
            let theirs = theirs?;
            if let Some(place) = places.remove(&key(theirs)) {
                there[place] = Some(There::of(theirs, ours[place]));
            }
        }
    }
    Ok(there)
}

/// Whether it is this one document that the server does not take, for whatever reason.
fn is_refusal(error: &MongoError) -> bool {
    error.is_refusal() && !error.is(code::UNAUTHORIZED)
}

/// The `_id` as bytes that can be compared: its type and value.
fn key(document: &[u8]) -> Vec<u8> {
    id_alone(document, "_id").map_or_else(Vec::new, bson::RawDocumentBuf::into_bytes)
}
