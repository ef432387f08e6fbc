//! Creating a collection as it was: all options that can only be given at creation, in the server's own words.

use bson::oid::ObjectId;
use bson::{RawArrayBuf, RawDocumentBuf, cstr};

use crate::catalog::{CONSTRAINT, Definition, Kind, STORED_FUNCTIONS, is_constraint, without_expiry};
use crate::mongo::{Mongo, MongoError, code};
use crate::plan::TEMPORARY_PREFIX;

/// Options that `listCollections` of an old server reports and `create` of a new one refuses. Neither says anything
/// about documents.
const OBSOLETE: [&str; 4] = ["autoIndexId", "flags", "temp", "usePowerOf2Sizes"];
/// Options that mean something only where a collection is capped. Old servers took them anywhere.
const OF_CAPPED: [&str; 2] = ["size", "max"];

/// Creates a collection, time series or view.
///
/// # Errors
/// What the server answered.
pub(super) async fn create(mongo: &Mongo, database: &str, name: &str, options: &Definition) -> Result<(), MongoError> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("create"), name);
    // Documents expire when everything has been counted, not while it is loaded: see [`start_expiry`].
    for (key, value) in without_expiry(options).as_raw().iter().flatten() {
        // It is held to when the documents are in: see [`hold_to_constraint`].
        if key == "validationLevel" && is_constraint(options) {
            command.append(cstr!("validationLevel"), "strict");
            continue;
        }
        let is_idle = OF_CAPPED.contains(&key.as_str()) && options.get_bool("capped") != Some(true);
        if !OBSOLETE.contains(&key.as_str()) && !is_idle {
            command.append(key, value);
        }
    }
    match mongo
        .repeated(database, command, &format!("creating {database}.{name}"))
        .await
    {
        // The first attempt made it, and only its answer was lost.
        (Err(error), 1..) if error.is(code::NAMESPACE_EXISTS) => Ok(()),
        (created, _) => created.map(drop),
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
    let Ok(Some(seconds)) = options.as_raw().get("expireAfterSeconds") else {
        return Ok(());
    };
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("collMod"), name);
    command.append(cstr!("expireAfterSeconds"), seconds);
    let action = format!("setting the time to live of {database}.{name}");
    mongo.raw_command(database, command, &action).await.map(drop)
}

/// Makes the validator of a collection one that every document is known to keep, as its options say (`constraint`, MongoDB
/// 9.0). No document can pass such a one by, and the server asks for two steps: it keeps others off first, and then
/// looks at every document.
///
/// # Errors
/// What the server answered: documents that break it, or that it knows no such level.
pub(super) async fn hold_to_constraint(
    mongo: &Mongo,
    database: &str,
    name: &str,
    options: &Definition,
) -> Result<(), MongoError> {
    if !is_constraint(options) {
        return Ok(());
    }
    let action = format!("making the validator of {database}.{name} a constraint");
    let mut prepare = RawDocumentBuf::new();
    prepare.append(cstr!("collMod"), name);
    prepare.append(cstr!("prepareConstraintValidationLevel"), true);
    mongo.raw_command(database, prepare, &action).await?;
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("collMod"), name);
    command.append(cstr!("validationLevel"), CONSTRAINT);
    mongo.raw_command(database, command, &action).await.map(drop)
}

/// Whether an earlier attempt has done that.
///
/// # Errors
/// What the server answered.
pub(super) async fn is_held_to_constraint(mongo: &Mongo, database: &str, name: &str) -> Result<bool, MongoError> {
    let there = mongo.survey_definitions(database).await?;
    Ok(there.get(name).is_some_and(|there| is_constraint(&there.options)))
}

/// Redefines an existing view in one step: a reader finds the old definition or the new one. A view's collation cannot
/// be changed.
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
    mongo.raw_command(database, command, &action).await.map(drop)
}

/// Drops a collection or view.
///
/// # Errors
/// What the server answered.
pub(super) async fn drop_collection(mongo: &Mongo, database: &str, name: &str) -> Result<(), MongoError> {
    let beside;
    let name = match name {
        // A server refuses to drop stored functions, and lets them be renamed.
        STORED_FUNCTIONS => {
            beside = format!("{TEMPORARY_PREFIX}dropped.{}", ObjectId::new());
            match rename(mongo, database, (name, &beside), InTheWay::Refused, None).await {
                Err(error) if error.is(code::NAMESPACE_NOT_FOUND) => return Ok(()),
                renamed => renamed?,
            }
            &beside
        }
        name => name,
    };
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("drop"), name);
    let action = format!("dropping {database}.{name}");
    match mongo.raw_command(database, command, &action).await {
        Err(error) if error.is(code::NAMESPACE_NOT_FOUND) => Ok(()),
        dropped => dropped.map(drop),
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
/// Where its answer was lost, or says that it may be undone, it is looked up whether `to` is the collection with this
/// `uuid` before it is tried again: whether a collection was changed must not be a guess. That the name has gone says
/// nothing: a server that was cut off may have renamed it and taken that back.
///
/// # Errors
/// What the server answered.
pub(super) async fn rename(
    mongo: &Mongo,
    database: &str,
    (from, to): (&str, &str),
    in_the_way: InTheWay,
    uuid: Option<&str>,
) -> Result<(), MongoError> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("renameCollection"), format!("{database}.{from}"));
    command.append(cstr!("to"), format!("{database}.{to}"));
    command.append(cstr!("dropTarget"), in_the_way == InTheWay::Replaced);
    let action = format!("renaming {database}.{from} to {to}");
    let mut attempts = mongo.attempts();
    loop {
        let Err(error) = mongo.once("admin", command.clone(), &action).await else {
            return Ok(());
        };
        let was_in_doubt = attempts.failed() > 0;
        let again = attempts.again_after(&error).await;
        if (again || was_in_doubt || error.may_pass())
            && is_renamed(mongo, database, (from, to), uuid).await.is_ok_and(|is| is)
        {
            return Ok(());
        }
        if !again {
            return Err(error);
        }
    }
}

/// Whether a rename was carried out, as far as the server can say.
async fn is_renamed(
    mongo: &Mongo,
    database: &str,
    (from, to): (&str, &str),
    uuid: Option<&str>,
) -> Result<bool, MongoError> {
    let now = mongo.uuids(database).await?;
    let there = now.get(to);
    Ok(match uuid {
        Some(_) => there.is_some_and(|there| there.as_deref() == uuid),
        // A server that gives no UUIDs.
        None => there.is_some() && !now.contains_key(from),
    })
}
