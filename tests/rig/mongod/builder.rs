//! What kind of `mongod` to start, and how.

use super::super::binaries::{self, Program};
use super::super::names::random_hex;
use super::super::ports::free_port;
use super::super::process::{Launch, Process};
use super::super::releases::release;
use super::super::scratch::ScratchDir;
use super::{Mongod, REPLICA_SET};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    ReplicaSet,
    Standalone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Open,
    Authenticated,
}

/// What kind of `mongod` to start; a replica set of one member, open to all, unless told otherwise.
#[derive(Clone, Debug)]
pub struct MongodBuilder {
    /// The rig's own where there is none.
    pub(super) program: Option<Program>,
    pub(super) topology: Topology,
    pub(super) access: Access,
    pub(super) arguments: Vec<String>,
    pub(super) cache_gb: &'static str,
    /// Whether writes must be told to wait for a majority, as newer releases do by themselves.
    pub(super) told_majority: bool,
}

impl MongodBuilder {
    /// The release of that number, out of a package. `MONGOD` says nothing about it.
    pub fn release(mut self, number: &str) -> Self {
        self.program = Some(release(number));
        self.told_majority = number.starts_with("4.4.");
        self
    }

    /// A standalone server: no oplog, no snapshot reads, no change streams.
    pub fn standalone(mut self) -> Self {
        self.topology = Topology::Standalone;
        self
    }

    /// Clients must authenticate; [`Mongod::uri`] then has the credentials of a user with the role `root`.
    pub fn authentication(mut self) -> Self {
        self.access = Access::Authenticated;
        self
    }

    /// A server parameter, as `--setParameter name=value`.
    pub fn parameter(self, name: &str, value: &str) -> Self {
        self.argument("--setParameter").argument(&format!("{name}={value}"))
    }

    /// How much of the data it keeps in memory, GB; half of one unless told otherwise.
    pub fn cache_gb(mut self, gigabytes: &'static str) -> Self {
        self.cache_gb = gigabytes;
        self
    }

    /// Any further command line argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts the server and waits until it can be written to. Panics with the end of its log when it does not
    /// get there within 90 seconds.
    pub fn start(self) -> Mongod {
        for _ in 0..5 {
            if let Some(mongod) = self.start_on(free_port()) {
                mongod.prepare();
                return mongod;
            }
        }
        panic!("five ports in a row were taken between the check and the start of mongod");
    }

    /// Starts the server as another member of a replica set, that never becomes its primary, and waits until it has all
    /// of the data.
    pub fn join(self, primary: &Mongod) -> Mongod {
        let member = self.start_alone();
        primary.add(&member);
        member
    }

    /// Starts the server as one that belongs to no replica set yet.
    pub fn start_alone(&self) -> Mongod {
        for _ in 0..5 {
            if let Some(member) = self.start_on(free_port()) {
                return member;
            }
        }
        panic!("five ports in a row were taken between the check and the start of mongod");
    }

    /// `None` when somebody took the port in between.
    fn start_on(&self, port: u16) -> Option<Mongod> {
        let scratch = ScratchDir::new("mongod");
        fs::create_dir(scratch.path().join("data")).expect("a fresh scratch directory is writable");
        let root = (self.access == Access::Authenticated).then(|| ("root".to_owned(), random_hex()));
        let mongod = Mongod {
            process: Mutex::new(self.launch(port, &scratch)),
            scratch,
            port,
            root,
            builder: self.clone(),
        };
        mongod.wait_for_port().then_some(mongod)
    }

    /// Starts the program on a port and the data in a directory.
    pub(super) fn launch(&self, port: u16, scratch: &ScratchDir) -> Process {
        let folder = scratch.path();
        let mut arguments: Vec<String> = [
            "--bind_ip",
            "127.0.0.1",
            "--nounixsocket",
            "--wiredTigerCacheSizeGB",
            self.cache_gb,
            // It would log every command of a large document.
            "--slowms",
            "60000",
        ]
        .map(str::to_owned)
        .into();
        arguments.extend([
            "--setParameter".to_owned(),
            "diagnosticDataCollectionEnabled=false".to_owned(),
        ]);
        // Three journal files of 100 MB would be laid out ahead.
        arguments.extend([
            "--wiredTigerEngineConfigString".to_owned(),
            "log=(prealloc=false)".to_owned(),
        ]);
        arguments.extend(["--port".to_owned(), port.to_string()]);
        arguments.extend(["--dbpath".to_owned(), folder.join("data").display().to_string()]);
        if self.topology == Topology::ReplicaSet {
            arguments.extend(["--replSet", REPLICA_SET, "--oplogSize", "128"].map(str::to_owned));
        }
        match (self.access, self.topology) {
            (Access::Open, _) => {}
            (Access::Authenticated, Topology::Standalone) => arguments.push("--auth".to_owned()),
            (Access::Authenticated, Topology::ReplicaSet) => {
                let key = folder.join("key");
                fs::write(&key, random_hex()).expect("a fresh scratch directory is writable");
                // mongod refuses a key that others may read.
                fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("our own file");
                arguments.extend(["--keyFile".to_owned(), key.display().to_string()]);
            }
        }
        arguments.extend(self.arguments.iter().cloned());
        let program = self.program.as_ref().unwrap_or_else(|| binaries::mongod());
        Launch::new(&program.path)
            .env(program.environment())
            .args(arguments)
            .directory(folder)
            .log_to(&folder.join("log"))
            .spawn()
    }
}
