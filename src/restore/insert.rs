//! Inserts a chunk's documents: again if the connection breaks, and with every refusal accounted for.

use std::sync::Arc;
use std::time::Instant;

use super::counted::{Counted, named};
use super::goal::Goal;
use super::merge::merge;
use crate::elements::Elements;
use crate::mongo::{InsertBatch, MAX_BATCH_BYTES, MayWrite, MongoError, Rejected};
use crate::open::Chunk;
use crate::plan::Action;

/// What a batch takes on its way, in its own length: the command that is made of it, the driver's copy of that, and the
/// message. What is there already, or is put in the place of that, takes no more.
const COPIES: u64 = 3;

/// Puts a chunk's documents into the collection.
pub(super) async fn put(goal: Arc<Goal>, chunk: Chunk) -> Result<Counted, MongoError> {
    let began = Instant::now();
    let mut counted = Counted {
        documents: chunk.digest.documents(),
        ..Counted::default()
    };
    let mut batch = InsertBatch::default();
    for document in chunk.documents() {
        if batch.len() >= goal.batch_size || !batch.has_room(document.len()) {
            insert(&goal, &batch, &mut counted).await?;
            batch.clear();
        }
        batch.push(document);
    }
    if !batch.is_empty() {
        insert(&goal, &batch, &mut counted).await?;
    }
    goal.tools.progress.add(chunk.digest.documents(), chunk.digest.bytes());
    counted.took = began.elapsed();
    Ok(counted)
}

/// What it takes to put a piece in, beside the piece.
pub(super) fn cost(piece: &Chunk) -> u64 {
    COPIES * piece.bson.len().min(MAX_BATCH_BYTES) as u64
}

async fn insert(goal: &Goal, batch: &InsertBatch<'_>, counted: &mut Counted) -> Result<(), MongoError> {
    let Goal {
        tools,
        database,
        collection,
        ..
    } = goal;
    let mut attempts = tools.mongo.attempts();
    let holds: &MayWrite<'_> = &|| Box::pin(goal.claim.holds());
    let outcome = loop {
        match tools
            .mongo
            .insert(database, collection, batch, goal.order, goal.validation, holds)
            .await
        {
            Err(error) if goal.repeatable && attempts.again_after(&error).await => {}
            inserted => break inserted?,
        }
    };
    let again = goal.again || attempts.failed() > 0;
    // What a lost attempt has put in can no longer be told from what was there.
    counted.repeated |= goal.action == Action::Merge && attempts.failed() > 0;
    counted.inserted += outcome.inserted;
    let (present, refused): (Vec<Rejected>, Vec<Rejected>) = outcome
        .rejected
        .into_iter()
        .partition(|rejected| rejected.is_duplicate() && (goal.action == Action::Merge || again));
    counted
        .rejected
        .extend(refused.iter().map(|refused| named(batch, refused)));
    if !tools.mongo.keeps_empty_timestamps() && goal.action != Action::Merge {
        // What an attempt whose answer was lost has put in may still be without its repair.
        for document in present.iter().map(|present| batch.document(present.index)) {
            if has_empty_timestamp(document) {
                tools
                    .mongo
                    .replace(database, collection, document, goal.validation)
                    .await?;
            }
        }
    }
    if !present.is_empty() {
        merge(goal, batch, &present, counted).await?;
    }
    if !tools.mongo.keeps_empty_timestamps() && goal.repeatable {
        let inserted = |index: usize| {
            [&refused, &present]
                .iter()
                .all(|others| others.iter().all(|other| other.index != index))
        };
        restore_empty_timestamps(goal, batch, inserted).await?;
    }
    Ok(())
}

/// An older server puts the present time in the place of a top-level `Timestamp(0,0)` when it inserts; an update by
/// pipeline leaves it alone.
async fn restore_empty_timestamps(
    goal: &Goal,
    batch: &InsertBatch<'_>,
    inserted: impl Fn(usize) -> bool,
) -> Result<(), MongoError> {
    for index in 0..batch.len() {
        let document = batch.document(index);
        if has_empty_timestamp(document) && inserted(index) {
            goal.claim.holds().await?;
            goal.tools
                .mongo
                .replace(&goal.database, &goal.collection, document, goal.validation)
                .await?;
        }
    }
    Ok(())
}

fn has_empty_timestamp(document: &[u8]) -> bool {
    const TIMESTAMP: u8 = 0x11;
    Elements::of(document).map_while(Result::ok).any(|element| {
        element.kind == TIMESTAMP && element.key != b"_id" && document[element.value..element.end] == [0; 8]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Timestamp, doc};

    #[test]
    fn only_top_level_empty_timestamps_need_repair() {
        let empty = Timestamp { time: 0, increment: 0 };
        let full = Timestamp { time: 1, increment: 0 };
        let found = |document: bson::Document| has_empty_timestamp(&bson::serialize_to_vec(&document).expect("BSON"));
        assert!(found(doc! {"_id": 1, "a": "x", "ts": empty}));
        assert!(!found(doc! {"_id": empty, "ts": full, "sub": {"ts": empty}}));
    }
}
