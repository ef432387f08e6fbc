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
    /// The version that it keeps to (`featureCompatibilityVersion`), where that is lower and the user may ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<String>,
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
    #[serde(default)]
    compatibility: Option<String>,
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
            compatibility: written.compatibility,
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
            compatibility: None,
            topology,
            replica_set: None,
            hosts: Vec::new(),
            engine,
            features: Features::default(),
        };
        server.features = Features::of(engine, server.version_numbers(), topology);
        server
    }

    /// The same, keeping to an older version: it is newer than what it offers.
    pub(crate) fn keep_to(&mut self, compatibility: &str) {
        let kept = numbers(compatibility);
        let (major, minor, _) = self.version_numbers();
        if kept < (major, minor, 0) && kept.0 > 0 {
            self.compatibility = Some(compatibility.to_owned());
            self.features.keep_to(kept, self.topology);
        }
    }

    /// The version, and the one that it keeps to.
    pub(crate) fn full_version(&self) -> String {
        match &self.compatibility {
            Some(kept) => format!("{} with the featureCompatibilityVersion {kept}", self.version),
            None => self.version.clone(),
        }
    }

    /// The version as numbers, `(0, 0, 0)` if it cannot be read: the oldest server, which is offered the least.
    pub fn version_numbers(&self) -> Version {
        numbers(&self.version)
    }
}

fn numbers(version: &str) -> Version {
    let mut numbers = version.split(['.', '-', '+']).map(|digits| digits.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
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

    #[test]
    fn a_server_that_keeps_to_an_older_version_offers_what_that_one_had() {
        let kept = |version: &str, to: &str| {
            let mut server = Server::new(Engine::Mongodb, version.to_owned(), Topology::ReplicaSet);
            server.keep_to(to);
            server
        };
        let (older, itself) = (kept("6.0.27", "5.0"), kept("6.0.27", "6.0"));
        assert_eq!(older.full_version(), "6.0.27 with the featureCompatibilityVersion 5.0");
        assert_eq!(itself.full_version(), "6.0.27");
        assert!(itself.features.clustered && !older.features.clustered);
        // What the program does, whatever it keeps to.
        assert!(older.features.empty_timestamps_kept && older.features.time_series);
        assert_eq!(kept("6.0.27", ""), itself);
        let written = serde_json::to_string(&older).expect("JSON");
        assert_eq!(serde_json::from_str::<Server>(&written).expect("a server"), older);
    }
}
