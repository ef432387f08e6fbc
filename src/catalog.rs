//! The **catalog**: the collections of a live database as a value.
//!
//! A survey of a backup's source, a survey of a restore's target and an archive's manifest all describe collections
//! with the same types, so planning compares two values. Nothing here talks to a server; `mongo::survey` fills in a
//! [`Catalog`].
//!
//! Options and indexes are kept as the raw BSON that the server returned ([`Definition`]) and never pass through a map:
//! the order of compound index keys and of pipeline stages, the type of every number and keys such as `$jsonSchema`
//! are part of their meaning.

mod definition;
mod engine;
mod expiry;
mod features;
mod kind;
mod legacy;
mod selection;
mod server;
mod system;
mod validation;

use serde::{Deserialize, Serialize};

pub use definition::Definition;
pub use engine::{Engine, Topology};
pub(crate) use expiry::{dated_by, expires, expiry, says_expiry, without_expiry};
pub(crate) use features::first_with_buckets;
pub use features::{Features, Version};
pub use kind::Kind;
pub(crate) use legacy::{is_on, modern_indexes, whole_seconds};
pub use selection::Selection;
pub(crate) use selection::{hint, matches};
pub use server::Server;
pub(crate) use system::{BUCKETS, UNKNOWN};
pub use system::{
    Belongs, INTERNAL_PREFIX, LeftOut, SERVER_DATABASES, STORED_FUNCTIONS, belongs, belongs_in, is_system, left_out,
};
pub(crate) use validation::{CONSTRAINT, is_constraint};

/// One collection, time series or view of a live database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Collection {
    /// The name without the database, exactly as the server holds it.
    pub name: String,
    /// Collection, time series or view.
    pub kind: Kind,
    /// The `options` of `listCollections`; an empty document if there are none.
    pub options: Definition,
    /// The collection's UUID in its usual hyphenated form; a time series has its buckets' UUID, views have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Whether it shows that the server renames its kind: for a time series, that it has a UUID of its own (MongoDB 9.0).
    #[serde(default)]
    pub renamable: bool,
    /// The definitions that `listIndexes` returns, `_id_` included, in its order. Empty for a view.
    pub indexes: Vec<Definition>,
    /// How many documents the server estimates; `None` if it does not say (views).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// The estimated size of the documents in bytes of BSON; `None` if the server does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// A measurement of a time series, in bytes: the server counts buckets, and not what is in them.
const MEASUREMENT: u64 = 128;

impl Collection {
    /// The average bytes of a document, as far as the server says; at least 1.
    pub fn average_bytes(&self) -> u64 {
        match (self.kind, self.bytes, self.documents) {
            (Kind::Timeseries, ..) => MEASUREMENT,
            (_, Some(bytes), Some(documents)) => (bytes / documents.max(1)).max(1),
            _ => 1,
        }
    }

    /// Whether no two documents have the same `_id`. Collections of old servers, and those made with
    /// `autoIndexId: false`, may lack the index that ensures it.
    pub fn has_unique_ids(&self) -> bool {
        self.indexes.iter().any(|index| index.get_str("name") == Some("_id_"))
    }

    /// Whether the collection was created with `capped: true`. Snapshot reads refuse these, and their order counts.
    pub fn is_capped(&self) -> bool {
        self.options.get_bool("capped").unwrap_or(false)
    }
}

/// The collections of one database at one moment, sorted by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// The database's name.
    pub database: String,
    /// The server it was read from.
    pub server: Server,
    /// Everything that a backup covers, sorted by name: the data, by [`belongs`].
    pub collections: Vec<Collection>,
    /// What it leaves out: the server's own.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left_out: Vec<LeftOut>,
    /// The file system under it; `None` if the server does not say (Atlas, `mongos`), or was not asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disk: Option<Disk>,
    /// If the database does not exist, one whose name differs only in case: a server has one or the other.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namesake: Option<String>,
}

/// The file system on which a server keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size in bytes.
    pub total: u64,
    /// How many of them are in use, by whatever.
    pub used: u64,
}

impl Disk {
    /// How many bytes are free.
    pub fn free(self) -> u64 {
        self.total.saturating_sub(self.used)
    }
}

impl Catalog {
    /// The collection of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Collection> {
        self.collections
            .binary_search_by(|collection| collection.name.as_str().cmp(name))
            .ok()
            .map(|at| &self.collections[at])
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn ids_are_unique_where_an_index_sees_to_it() {
        let with = |indexes| Collection {
            name: "a".to_owned(),
            kind: Kind::Collection,
            options: Definition::default(),
            uuid: None,
            renamable: true,
            indexes,
            documents: None,
            bytes: None,
        };
        let index = |name: &str| Definition::new(rawdoc! {"key": {"_id": 1}, "name": name});
        assert!(with(vec![index("b_1"), index("_id_")]).has_unique_ids());
        assert!(!with(vec![index("b_1")]).has_unique_ids());
        assert!(!with(Vec::new()).has_unique_ids());
    }
}
