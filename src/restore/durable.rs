//! Whether the servers confirm a write as the connection string asks: found out before the first change.

use bson::{Document, doc};

use crate::failure::Failure;
use crate::mongo::Mongo;
use crate::plan::LOCK_COLLECTION;

/// Has the lock written once more, as durably as everything after it. Where the majority is asked for, taking the lock
/// has shown it already.
///
/// # Errors
/// If the replica set does not have as many members, or does not know them by that name, or they do not confirm it.
pub(super) async fn check(mongo: &Mongo, database: &str, lock: Document) -> Result<(), Failure> {
    if mongo.writes_reach_majority() {
        return Ok(());
    }
    let write = doc! {"q": lock, "u": {"$set": {"confirmed": true}}};
    let command = doc! {"update": LOCK_COLLECTION, "updates": [write]};
    let action = format!("locking {database}.{LOCK_COLLECTION} for this restore");
    mongo
        .command(database, command, &action)
        .await
        .map(drop)
        .map_err(|mut error| {
            error.reason += ". Nothing was changed";
            error.into()
        })
}
