//! Building indexes as they were. One that fails does not lose the others.

use bson::{RawArrayBuf, RawDocumentBuf, cstr, rawdoc};

use crate::catalog::Definition;
use crate::mongo::{Mongo, MongoError};

/// Which of a collection's indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those under which documents stay.
    Lasting,
    /// Those by which documents expire: built when everything has been counted.
    Expiring,
}

/// What an index is compared by where it does not say: an index that does not, is of the simple comparison, but `createIndexes` would give it that of
/// the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The collection has none of its own.
    Simple,
    /// The collection has a collation.
    Collated,
}

impl Comparison {
    /// That of a collection with these options.
    pub(super) fn of(options: &Definition) -> Self {
        match options.get_document("collation") {
            Some(_) => Self::Collated,
            None => Self::Simple,
        }
    }
}

/// Builds indexes; returns those that failed, with the reason. `_id_` and a clustered index come with the collection.
pub(super) async fn build(
    mongo: &Mongo,
    database: &str,
    collection: &str,
    indexes: &[Definition],
    comparison: Comparison,
    which: Which,
) -> Vec<(String, MongoError)> {
    let wanted: Vec<&Definition> = indexes
        .iter()
        .filter(|index| !comes_with_the_collection(index) && is_expiring(index) == (which == Which::Expiring))
        .collect();
    if wanted.is_empty()
        || create_indexes(mongo, database, collection, &wanted, comparison)
            .await
            .is_ok()
    {
        return Vec::new();
    }
    // The server builds all or none of a command's indexes, so each gets one of its own.
    let mut failed = Vec::new();
    for index in wanted {
        if let Err(error) = create_indexes(mongo, database, collection, &[index], comparison).await {
            let name = index.get_str("name").unwrap_or("(unnamed)");
            failed.push((name.to_owned(), error));
        }
    }
    failed
}

fn comes_with_the_collection(index: &Definition) -> bool {
    index.get_str("name") == Some("_id_") || index.get_bool("clustered") == Some(true)
}

fn is_expiring(index: &Definition) -> bool {
    matches!(index.as_raw().get("expireAfterSeconds"), Ok(Some(_)))
}

async fn create_indexes(
    mongo: &Mongo,
    database: &str,
    collection: &str,
    indexes: &[&Definition],
    comparison: Comparison,
) -> Result<(), MongoError> {
    let mut definitions = RawArrayBuf::new();
    for index in indexes {
        let mut definition = index.as_raw().to_owned();
        if comparison == Comparison::Collated && index.get_document("collation").is_none() {
            definition.append(cstr!("collation"), rawdoc! { "locale": "simple" });
        }
        definitions.push(definition);
    }
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("createIndexes"), collection);
    command.append(cstr!("indexes"), definitions);
    let action = format!("building indexes of {database}.{collection}");
    mongo.raw_command(database, command, &action).await.map(|_| ())
}
