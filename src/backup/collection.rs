//! Reading one collection: with as many cursors as help, and anew from another member of the replica set if the first
//! one is gone.
//!
//! Each member numbers its records in its own way, so a place behind a record is valid only at the member that gave it.
//! While that member is away, we wait. If it stays away for longer than an election or a restart takes, and another one
//! answers, the collection is read there from its beginning, at the same cluster time, and what had been laid out of it
//! is abandoned ([`CollectionPiece::Anew`](super::piece::CollectionPiece)). After a few such times the collection is
//! partial.

use super::abreast::Stretches;
use super::reader::Reader;
use crate::mongo::MongoError;

/// Reads to the end, to a failure, or until nobody wants to know.
pub(super) async fn read_collection(mut reader: Reader) -> Result<(), MongoError> {
    // What was begun at one member is gone on with there.
    reader.reading.begin_at(reader.task.from.as_ref());
    loop {
        let ended = match Stretches::of(&reader).await {
            Some(stretches) => stretches.read(&reader).await,
            None => reader.read().await,
        };
        match ended {
            Err(error) if reader.begins_anew_after(&error).await => {}
            ended => return ended,
        }
    }
}
