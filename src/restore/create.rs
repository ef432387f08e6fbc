//! Creating a collection as it was: all options that can only be given at creation, in the server's own words.

use bson::{RawArrayBuf, RawDocumentBuf, cstr};

use crate::catalog::{Definition, Kind};
use crate::mongo::{Mongo, MongoError, code};

/// Options that `listCollections` of an old server reports and `create` of a new one refuses. Neither says anything about documents.
const OBSOLETE: [&str; 2] = ["autoIndexId", "flags"];
/// Documents expire when everything has been counted, not while it is loaded: see [`start_expiry`].
const EXPIRY: &str = "expireAfterSeconds";

/// Creates a collection, time series or view.
///
/// # Errors
/// What the server answered.
pub(super) async fn create(mongo: &Mongo, database: &str, name: &str, options: &Definition) -> Result<(), MongoError> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("create"), name);
    for (key, value) in options.as_raw().iter().flatten() {
        let key_text = key.as_str();
        if !OBSOLETE.contains(&key_text) && key_text != EXPIRY {
            command.append(key, value);
        }
    }
    match mongo
        .repeated(database, command, &format!("creating {database}.{name}"))
        .await
    {
        // The first attempt made it, and only its answer was lost.
        (Err(error), 2..) if error.is(code::NAMESPACE_EXISTS) => Ok(()),
        (created, _) => created,
    }
}

/// Lets the documents of a time series or clustered collection expire again, as its options say.
///
/// # Errors
/// What the server answered.
pub(super) async fn start_expiry(
    mongo: &Mongo,
    database: &str,
    name: &str,
    kind: Kind,
    options: &Definition,
) -> Result<(), MongoError> {
    if kind == Kind::View {
        return Ok(());
    }
    let Ok(Some(seconds)) = options.as_raw().get(EXPIRY) else {
        return Ok(());
    };
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("collMod"), name);
    command.append(cstr!("expireAfterSeconds"), seconds);
    let action = format!("setting the time to live of {database}.{name}");
    mongo.repeated(database, command, &action).await.0
}

/// Gives a view that is there another definition, at once: a reader finds the old one or the new one. A view's collation cannot be changed.
///
/// # Errors
/// What the server answered.
pub(super) async fn redefine_view(
    mongo: &Mongo,
    database: &str,
    name: &str,
    options: &Definition,
) -> Result<(), MongoError> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("collMod"), name);
    for (key, value) in options.as_raw().iter().flatten() {
        if ["viewOn", "pipeline"].contains(&key.as_str()) {
            command.append(key, value);
        }
    }
    if !matches!(options.as_raw().get("pipeline"), Ok(Some(_))) {
        // Left out, the old one would stay.
        command.append(cstr!("pipeline"), RawArrayBuf::new());
    }
    let action = format!("redefining the view {database}.{name}");
    mongo.repeated(database, command, &action).await.0
}

/// Drops a collection or view.
///
/// # Errors
/// What the server answered.
pub(super) async fn drop_collection(mongo: &Mongo, database: &str, name: &str) -> Result<(), MongoError> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("drop"), name);
    let action = format!("dropping {database}.{name}");
    match mongo.repeated(database, command, &action).await.0 {
        Err(error) if error.is(code::NAMESPACE_NOT_FOUND) => Ok(()),
        dropped => dropped,
    }
}

/// What becomes of the collection that has the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InTheWay {
    /// It is replaced, at once with the rename.
    Replaced,
    /// There must be none.
    Refused,
}

/// Gives a collection another name.
///
/// It is repeated where its answer was lost: whether a collection was changed must not be a guess. One that has gone by then was renamed by the first attempt.
///
/// # Errors
/// What the server answered.
pub(super) async fn rename(
    mongo: &Mongo,
    database: &str,
    from: &str,
    to: &str,
    in_the_way: InTheWay,
) -> Result<(), MongoError> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("renameCollection"), format!("{database}.{from}"));
    command.append(cstr!("to"), format!("{database}.{to}"));
    command.append(cstr!("dropTarget"), in_the_way == InTheWay::Replaced);
    let action = format!("renaming {database}.{from} to {to}");
    match mongo.repeated("admin", command, &action).await {
        (Err(error), 2..) if error.is(code::NAMESPACE_NOT_FOUND) => Ok(()),
        (renamed, _) => renamed,
    }
}
