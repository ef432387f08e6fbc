//! A real `mongod` in a temporary directory.

mod builder;
mod left_behind;
mod members;

pub(super) use left_behind::drop_databases;

pub use builder::MongodBuilder;
pub use members::{CutOff, Members};

use super::background::{block_on, waiting};
use super::names::random_hex;
use super::process::{Process, log_tail};
use super::scratch::ScratchDir;
use super::wire::{Passage, Wire, WireCommand};
use builder::{Access, Topology};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(90);
const PATIENT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
const REPLICA_SET: &str = "rig";

static SHARED: OnceLock<Mongod> = OnceLock::new();

/// The replica set that the tests of one process share. Keep to databases of your own:
/// [`fresh_database_name`](super::fresh_database_name).
pub fn shared_replica_set() -> &'static Mongod {
    // On a busy machine a test may look at a moment that is older than the five minutes that a server remembers.
    SHARED.get_or_init(|| {
        Mongod::builder()
            .parameter("minSnapshotHistoryWindowInSeconds", "900")
            .start()
    })
}

/// A running `mongod` on 127.0.0.1. It and its data are gone when this drops, or when this process ends.
#[derive(Debug)]
pub struct Mongod {
    process: Mutex<Process>, // before `scratch`: it must be dead when its directory goes
    scratch: ScratchDir,
    port: u16,
    root: Option<(String, String)>,
    builder: MongodBuilder,
}

impl Mongod {
    pub fn builder() -> MongodBuilder {
        MongodBuilder {
            program: None,
            topology: Topology::ReplicaSet,
            access: Access::Open,
            arguments: Vec::new(),
            cache_gb: "0.5",
            told_majority: false,
        }
    }

    /// A replica set of one member, ready to be written to.
    pub fn replica_set() -> Mongod {
        Mongod::builder().start()
    }

    /// A standalone server.
    pub fn standalone() -> Mongod {
        Mongod::builder().standalone().start()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// `mongodb://127.0.0.1:PORT/?replicaSet=rig` or `…/?directConnection=true`, with credentials if they are needed.
    pub fn uri(&self) -> String {
        match &self.root {
            Some((user, password)) => self.uri_of(user, password),
            None => format!("mongodb://127.0.0.1:{}/?{}", self.port, self.connection_option()),
        }
    }

    /// A relay before this member of a replica set, by which clients see it under the relay's address; and where they
    /// find it.
    pub fn through_relay(&self, decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static) -> (Wire, String) {
        let relay = Wire::before_all(&[self.port], decide).remove(0);
        let uri = format!("mongodb://127.0.0.1:{}/?replicaSet={REPLICA_SET}", relay.port());
        (relay, uri)
    }

    /// A fresh client of the calling runtime, for [`uri`](Mongod::uri).
    pub async fn client(&self) -> Client {
        let options = ClientOptions::parse(self.uri()).await;
        let mut options = options.expect("the rig's own URI is valid");
        // On a busy machine a server answers when it comes to it, and whoever looks on has time.
        options.connect_timeout = Some(PATIENT);
        options.server_selection_timeout = Some(3 * PATIENT);
        Client::with_options(options).expect("they go together")
    }

    /// Creates a user in `admin` with these roles (`doc! {"role": "read", "db": "shop"}`) and gives the URI to
    /// connect as that user. The server must have been started with `authentication`.
    pub fn create_user(&self, name: &str, roles: Vec<Document>) -> String {
        assert!(
            self.root.is_some(),
            "start the server with `authentication()` to create users"
        );
        let password = random_hex();
        self.command(self.uri(), doc! {"createUser": name, "pwd": &password, "roles": roles});
        self.uri_of(name, &password)
    }

    /// Kills the server (SIGKILL), as a power cut would. The data stays for [`restart`](Mongod::restart).
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts a killed server again, on the same port and data, and waits until it can be written to.
    pub fn restart(&self) {
        self.restart_alone();
        self.wait_until_writable();
    }

    /// Starts a killed server again, on the same port and data, whatever its replica set makes of it.
    pub fn restart_alone(&self) {
        self.kill();
        let again = self.builder.launch(self.port, &self.scratch);
        *self.process() = again;
        assert!(
            self.wait_for_port(),
            "port {} was taken while the server was down",
            self.port
        );
    }

    /// Whether its process has not ended.
    pub fn is_running(&self) -> bool {
        self.process().exit_status().is_none()
    }

    /// Freezes the server (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        self.process().pause();
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.process().resume();
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// Where its data and its log lie.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    fn connection_option(&self) -> &'static str {
        match self.builder.topology {
            Topology::ReplicaSet => "replicaSet=rig",
            Topology::Standalone => "directConnection=true",
        }
    }

    fn uri_of(&self, user: &str, password: &str) -> String {
        let option = self.connection_option();
        format!(
            "mongodb://{user}:{password}@127.0.0.1:{}/?{option}&authSource=admin",
            self.port
        )
    }

    /// To this very process, whatever the state of its replica set, and without credentials.
    pub fn direct_uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }

    /// False when the server ended because its port was taken. Panics when it ended for another reason.
    fn wait_for_port(&self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = self.process().exit_status() {
                let log = self.log();
                assert!(
                    log.contains("Address already in use"),
                    "mongod ended at its start ({status}); {}",
                    log_tail(&self.log_path())
                );
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
                // Release 4.2 writes it small.
                && self.log().to_lowercase().contains("waiting for connections")
            {
                return true;
            }
            self.check(deadline, "does not listen");
        }
    }

    fn prepare(&self) {
        if self.builder.topology == Topology::ReplicaSet {
            let member = doc! {"_id": 0, "host": format!("127.0.0.1:{}", self.port)};
            self.command(
                self.direct_uri(),
                doc! {"replSetInitiate": {"_id": REPLICA_SET, "members": [member]}},
            );
        }
        self.wait_until_writable();
        if self.builder.topology == Topology::ReplicaSet && self.builder.told_majority {
            // A backup reads what a majority has, and what only the primary has is not in it yet.
            let concern = doc! {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": "majority"}};
            self.command(self.direct_uri(), concern);
        }
        if let Some((user, password)) = &self.root {
            // The localhost exception: the first user may be created without being one.
            self.command(
                self.direct_uri(),
                doc! {"createUser": user, "pwd": password, "roles": ["root"]},
            );
        }
    }

    /// Takes another server into this one's replica set.
    fn add(&self, member: &Self) {
        let reply = self.command(self.direct_uri(), doc! {"replSetGetConfig": 1});
        let mut config = reply.get_document("config").expect("a configuration").clone();
        let version = config.get_i32("version").expect("a number");
        config.insert("version", version + 1);
        let host = format!("127.0.0.1:{}", member.port);
        let members = config.get_array_mut("members").expect("members");
        members.push(doc! {"_id": 1, "host": host, "priority": 0, "votes": 0}.into());
        self.command(self.direct_uri(), doc! {"replSetReconfig": config});
        member.wait_until("secondary");
    }

    fn wait_until_writable(&self) {
        self.wait_until("isWritablePrimary");
    }

    /// Whether the server says so of itself; not where it does not answer.
    fn says(&self, state: &str) -> bool {
        let uri = format!(
            "{}&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000",
            self.direct_uri()
        );
        let asked = block_on(async move {
            let asked = tokio::spawn(async move {
                let client = Client::with_uri_str(uri).await?;
                client.database("admin").run_command(doc! {"hello": 1}).await
            });
            tokio::time::timeout(Duration::from_secs(3), asked).await
        });
        match asked {
            Ok(Ok(Ok(hello))) => hello.get_bool(state).unwrap_or(false),
            _ => false,
        }
    }

    /// Until the server says so of itself.
    fn wait_until(&self, state: &str) {
        let deadline = Instant::now() + START_LIMIT;
        while !self
            .command(self.direct_uri(), doc! {"hello": 1})
            .get_bool(state)
            .unwrap_or(false)
        {
            self.check(deadline, &format!("does not become {state}"));
        }
    }

    fn check(&self, deadline: Instant, what: &str) {
        assert!(
            Instant::now() < deadline,
            "mongod {what} within {START_LIMIT:?}; {}",
            log_tail(&self.log_path())
        );
        waiting(|| thread::sleep(POLL));
    }

    /// Runs a command on `admin`; panics with the server's log when it fails.
    fn command(&self, uri: String, command: Document) -> Document {
        let text = command.keys().next().cloned().unwrap_or_default();
        let reply = block_on(async move {
            Client::with_uri_str(uri)
                .await?
                .database("admin")
                .run_command(command)
                .await
        });
        reply.unwrap_or_else(|e| panic!("`{text}` failed: {e}; {}", log_tail(&self.log_path())))
    }
}
