//! Building indexes as they were. One that fails does not lose the others.

use bson::{RawArrayBuf, RawBson, RawBsonRef, RawDocumentBuf, cstr, rawdoc};

use crate::catalog::{Definition, says_expiry};
use crate::mongo::{Mongo, MongoError};

/// Which of a collection's indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those under which documents stay.
    Lasting,
    /// Those by which documents expire: built when everything has been counted.
    Expiring,
}

/// Builds indexes; returns those that failed, with the reason. `_id_` and a clustered index come with the collection,
/// whose options are `options`.
///
/// # Errors
/// If the server was not reached any more, so that nothing is known of them.
pub(super) async fn build(
    mongo: &Mongo,
    (database, collection): (&str, &str),
    options: &Definition,
    indexes: &[Definition],
    which: Which,
) -> Result<Vec<(String, MongoError)>, MongoError> {
    let wanted: Vec<Definition> = chosen(indexes, which)
        .map(|index| with_its_collation(index, options))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    match create_indexes(mongo, database, collection, &wanted).await {
        Ok(()) => return Ok(Vec::new()),
        Err(error) if error.may_pass() => return Err(error),
        Err(_) => {}
    }
    // The server builds all or none of a command's indexes, so each gets one of its own.
    let mut failed = Vec::new();
    for index in wanted {
        match create_indexes(mongo, database, collection, std::slice::from_ref(&index)).await {
            Ok(()) => {}
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                let name = index.get_str("name").unwrap_or("(unnamed)");
                failed.push((name.to_owned(), error));
            }
        }
    }
    Ok(failed)
}

/// What those that are to be built are called.
pub(super) fn names(indexes: &[Definition], which: Which) -> Vec<String> {
    let names = chosen(indexes, which).filter_map(|index| index.get_str("name"));
    names.map(str::to_owned).collect()
}

fn chosen(indexes: &[Definition], which: Which) -> impl Iterator<Item = &Definition> {
    let expires = which == Which::Expiring;
    indexes
        .iter()
        .filter(move |index| !comes_with_the_collection(index) && says_expiry(index) == expires)
}

fn comes_with_the_collection(index: &Definition) -> bool {
    index.get_str("name") == Some("_id_") || index.get_bool("clustered") == Some(true)
}

/// In a collection with a collation, an index without one has the simple collation, which servers before 9.0 do not
/// list. Left out when it is built, it would become the collection's; and text and 2d indexes, which know no other,
/// would be refused. Where it goes without saying, it is not said: an index of version 1 knows no collation, and not
/// every engine does.
fn with_its_collation(index: &Definition, options: &Definition) -> Definition {
    let mut said = index.as_raw().to_owned();
    if let Some(collation) = index.get_document("collation") {
        if !matches!(collation.get_str("locale"), Ok("simple")) {
            return index.clone();
        }
        said = RawDocumentBuf::new();
        for (key, value) in index.as_raw().iter().flatten().filter(|(key, _)| *key != "collation") {
            said.append(key, value);
        }
    }
    let collated = options.get_document("collation").is_some();
    if collated && !is_version_1(index) {
        said.append(cstr!("collation"), rawdoc! {"locale": "simple"});
    }
    Definition::new(said)
}

fn is_version_1(index: &Definition) -> bool {
    match index.as_raw().get("v") {
        Ok(Some(RawBsonRef::Int32(version))) => version == 1,
        Ok(Some(RawBsonRef::Int64(version))) => version == 1,
        Ok(Some(RawBsonRef::Double(version))) => version == 1.0,
        _ => false,
    }
}

async fn create_indexes(
    mongo: &Mongo,
    database: &str,
    collection: &str,
    indexes: &[Definition],
) -> Result<(), MongoError> {
    let mut definitions = RawArrayBuf::new();
    for index in indexes {
        definitions.push(index.as_raw().to_owned());
    }
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("createIndexes"), collection);
    command.append(cstr!("indexes"), definitions);
    // A server waits for every voting member unless it is told otherwise: for one that is down, until it is back.
    if let Some(quorum) = mongo
        .index_quorum()
        .and_then(|quorum| RawBson::try_from(quorum.clone()).ok())
    {
        command.append(cstr!("commitQuorum"), quorum);
    }
    let action = format!("building indexes of {database}.{collection}");
    // To build what is there already is nothing to do.
    mongo.raw_command(database, command, &action).await.map(drop)
}
