//! The server behind a catalog.

use serde::{Deserialize, Serialize};

use super::engine::{Engine, Topology};
use super::features::{Features, Version};

/// What a server can do, as far as backups and restores must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenServer")]
pub struct Server {
    /// The version as the server states it, such as `6.0.5`.
    pub version: String,
    /// How the deployment is built up.
    pub topology: Topology,
    /// The replica set's name, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_set: Option<String>,
    /// The members' addresses as the replica set knows them, else those connected to; sorted. They only tell clusters
    /// apart, and are written nowhere.
    #[serde(skip)]
    pub hosts: Vec<String>,
    /// Which program answers.
    pub engine: Engine,
    /// What it can do that not every server can.
    pub features: Features,
}

/// As archives have it: those of before do not say what the server could do.
#[derive(Deserialize)]
struct WrittenServer {
    version: String,
    topology: Topology,
    #[serde(default)]
    replica_set: Option<String>,
    #[serde(default)]
    engine: Engine,
    #[serde(default)]
    features: Option<Features>,
}

impl From<WrittenServer> for Server {
    fn from(written: WrittenServer) -> Self {
        let server = Self::new(written.engine, written.version, written.topology);
        Self {
            replica_set: written.replica_set,
            features: written.features.unwrap_or(server.features),
            ..server
        }
    }
}

impl Server {
    /// One that says no more of itself.
    pub fn new(engine: Engine, version: String, topology: Topology) -> Self {
        let mut server = Self {
            version,
            topology,
            replica_set: None,
            hosts: Vec::new(),
            engine,
            features: Features::default(),
        };
        server.features = Features::of(engine, server.version_numbers(), topology);
        server
    }

    /// The version as numbers, `(0, 0, 0)` if it cannot be read: the oldest server, which is offered the least.
    pub fn version_numbers(&self) -> Version {
        let mut numbers = self
            .version
            .split(['.', '-', '+'])
            .map(|digits| digits.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_with_a_suffix_is_read() {
        let server = |version: &str| Server::new(Engine::Mongodb, version.to_owned(), Topology::Standalone);
        assert_eq!(server("6.0.5").version_numbers(), (6, 0, 5));
        assert_eq!(server("8.3.0-rc1").version_numbers(), (8, 3, 0));
        assert_eq!(server("").version_numbers(), (0, 0, 0));
    }
}
