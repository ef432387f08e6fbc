//! What `listCollections` does not say of collections: their indexes, and how much is in them.

use std::collections::BTreeMap;

use bson::{RawDocumentBuf, doc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::survey::{DescribedCollection, ListedCollection, Listing, Sizes, number};
use super::{Mongo, MongoError};
use crate::archive::Manifest;
use crate::catalog::{Catalog, Collection, Definition, Kind};

/// How many collections are asked about at a time.
const AT_ONCE: usize = 32;

impl Mongo {
    /// Adds indexes and sizes to what was listed, as far as they are not known.
    ///
    /// # Errors
    /// If the server could not be asked. What it refuses to say of one collection stops none of the others.
    pub(super) async fn describe(
        &self,
        database: &str,
        listed: Listing,
        known: Option<&Manifest>,
    ) -> Result<DescribedCollection, MongoError> {
        self.describe_with(database, listed, Sizes::Estimated, known).await
    }

    pub(super) async fn describe_with(
        &self,
        database: &str,
        listed: Listing,
        sizes: Sizes,
        known: Option<&Manifest>,
    ) -> Result<DescribedCollection, MongoError> {
        let described: Vec<(Collection, Option<MongoError>)> = stream::iter(
            listed
                .collections
                .into_iter()
                .map(|entry| self.describe_one(database, entry, sizes, known)),
        )
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
        let mut collections = Vec::with_capacity(described.len());
        let mut refused = BTreeMap::new();
        for (collection, refusal) in described {
            refused.extend(refusal.map(|error| (collection.name.clone(), error)));
            collections.push(collection);
        }
        Ok(DescribedCollection {
            catalog: Catalog {
                database: database.to_owned(),
                server: self.server().clone(),
                collections,
                left_out: listed.left_out,
                disk: None,
                namesake: None,
            },
            refused,
        })
    }

    async fn describe_one(
        &self,
        database: &str,
        listed: ListedCollection,
        sizes: Sizes,
        known: Option<&Manifest>,
    ) -> Result<(Collection, Option<MongoError>), MongoError> {
        let known = known.and_then(|known| known.get(&listed.name)).filter(|known| {
            let is_it = known.uuid.is_some() && known.uuid == listed.uuid;
            is_it && (known.kind, listed.kind) == (Kind::Collection, Kind::Collection)
        });
        let mut collection = Collection {
            name: listed.name,
            kind: listed.kind,
            options: listed.options,
            uuid: listed.uuid,
            renamable: listed.renamable,
            indexes: Vec::new(),
            documents: None,
            bytes: None,
        };
        if collection.kind == Kind::View {
            return Ok((collection, None));
        }
        if let Some(known) = known {
            (collection.documents, collection.bytes) = (Some(known.documents), Some(known.bytes));
            if self.server().features.definition_events() {
                collection.indexes.clone_from(&known.indexes);
                return Ok((collection, None));
            }
        }
        let estimated = async {
            match sizes {
                _ if known.is_some() => (collection.documents, collection.bytes),
                Sizes::Estimated => self.estimates(database, &collection).await,
                Sizes::LeftOut => (None, None),
            }
        };
        let (indexes, estimated) = tokio::join!(self.indexes(database, &collection.name), estimated);
        (collection.documents, collection.bytes) = estimated;
        match indexes {
            Ok(indexes) => collection.indexes = indexes,
            Err(error) if error.is_refusal() => return Ok((collection, Some(error))),
            Err(error) => return Err(error),
        }
        Ok((collection, None))
    }

    /// The index definitions of a collection, as the server returns them.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn indexes(&self, database: &str, collection: &str) -> Result<Vec<Definition>, MongoError> {
        let action = format!("listing the indexes of {database}.{collection}");
        let command = doc! {"listIndexes": collection, "cursor": {"batchSize": 1_000}};
        Ok(self
            .collect(database, command, &action)
            .await?
            .into_iter()
            .map(|index| Definition::new(without(&index, &["ns"])))
            .collect())
    }

    /// How much the server believes to be there. Estimates only steer and inform, so a server that does not say is no
    /// error.
    async fn estimates(&self, database: &str, collection: &Collection) -> (Option<u64>, Option<u64>) {
        let action = "estimating a collection's size";
        // What a server knows without looking; `collStats` takes it 25 times as long.
        if collection.kind == Kind::Collection {
            let command = doc! {"dataSize": format!("{database}.{}", collection.name), "estimate": true};
            if let Ok(size) = self.command(database, command, action).await
                && let (Some(documents), Some(bytes)) = (number(&size, "numObjects"), number(&size, "size"))
            {
                return (Some(documents), Some(bytes));
            }
        }
        let stats = self
            .command(database, doc! {"collStats": &collection.name}, action)
            .await
            .unwrap_or_default();
        let bytes = number(&stats, "size");
        // For a time series `count` is that of the buckets.
        let documents = match collection.kind {
            Kind::Timeseries => None,
            _ => number(&stats, "count"),
        };
        (documents, bytes)
    }
}

/// A document without some of its top-level fields.
fn without(document: &RawDocumentBuf, keys: &[&str]) -> RawDocumentBuf {
    let mut out = RawDocumentBuf::new();
    for (key, value) in document.iter().flatten() {
        if !keys.contains(&key.as_str()) {
            out.append(key, value);
        }
    }
    out
}
