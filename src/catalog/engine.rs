//! Who answers MongoDB's protocol, and how the deployment is built up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which program answers MongoDB's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Engine {
    /// `mongod` or `mongos`, Atlas included; or one that does not tell itself apart.
    #[default]
    Mongodb,
    /// Amazon DocumentDB.
    AmazonDocumentdb,
    /// The open-source DocumentDB over PostgreSQL: Azure DocumentDB, FerretDB 2.
    Documentdb,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mongodb => "MongoDB",
            Self::AmazonDocumentdb => "Amazon DocumentDB",
            Self::Documentdb => "DocumentDB",
        })
    }
}

/// How a deployment is built up; decides whether snapshot reads are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Topology {
    /// One server without an oplog: no snapshot reads.
    Standalone,
    /// A replica set.
    ReplicaSet,
    /// A sharded cluster, reached through `mongos`.
    Sharded,
}
