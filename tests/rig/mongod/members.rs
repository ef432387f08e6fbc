//! Three voting members, one of which can be cut off from the others.

use super::super::background::waiting;
use super::super::wire::{Passage, Wire, WireCommand};
use super::{Mongod, MongodBuilder, POLL, REPLICA_SET, START_LIMIT};
use mongodb::bson::{Document, doc};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// How long a primary that sees no majority stays one, and secondaries that see no primary wait, in milliseconds. (Ten
/// seconds in the field.)
const ELECTION: i32 = 1_500;

/// A replica set of three voting members.
#[derive(Debug)]
pub struct Members {
    members: Vec<Mongod>,
}

impl Members {
    /// Starts three servers as one replica set, and waits until all of them are at work.
    pub fn start(builder: &MongodBuilder) -> Arc<Self> {
        let members: Vec<Mongod> = (0..3).map(|_| builder.start_alone()).collect();
        let listed: Vec<Document> = members
            .iter()
            .zip(0..)
            .map(|(member, id)| doc! {"_id": id, "host": format!("127.0.0.1:{}", member.port)})
            .collect();
        // A new primary that caught up with the old one would have everything that the old one is to lose.
        let settings =
            doc! {"electionTimeoutMillis": ELECTION, "heartbeatIntervalMillis": 250, "catchUpTimeoutMillis": 0};
        members[0].command(
            members[0].direct_uri(),
            doc! {"replSetInitiate": {"_id": REPLICA_SET, "members": listed, "settings": settings}},
        );
        let set = Self { members };
        set.wait_until_whole();
        Arc::new(set)
    }

    pub fn uri(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(|m| format!("127.0.0.1:{}", m.port)).collect();
        format!("mongodb://{}/?replicaSet={REPLICA_SET}", hosts.join(","))
    }

    pub async fn client(&self) -> mongodb::Client {
        mongodb::Client::with_uri_str(self.uri())
            .await
            .expect("the rig's own URI is valid")
    }

    /// Relays before all members, and the connection string by which clients go through them: `decide` is asked for
    /// each command of a client.
    pub fn through_relays(
        &self,
        decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static,
    ) -> (Vec<Wire>, String) {
        let ports: Vec<u16> = self.members.iter().map(Mongod::port).collect();
        let relays = Wire::before_all(&ports, decide);
        let hosts: Vec<String> = relays
            .iter()
            .map(|relay| format!("127.0.0.1:{}", relay.port()))
            .collect();
        let uri = format!("mongodb://{}/?replicaSet={REPLICA_SET}", hosts.join(","));
        (relays, uri)
    }

    /// All of them.
    pub fn each(&self) -> impl Iterator<Item = &Mongod> {
        self.members.iter()
    }

    /// The member on that port.
    pub fn on(&self, port: u16) -> &Mongod {
        let member = self.members.iter().find(|member| member.port == port);
        member.expect("it is one of them")
    }

    /// Lets every member go on that stands still.
    pub fn resume_all(&self) {
        for member in self.members.iter().filter(|member| member.is_running()) {
            member.resume();
        }
    }

    /// Starts every member again that was killed.
    pub fn restart_all(&self) {
        for member in self.members.iter().filter(|member| !member.is_running()) {
            member.restart_alone();
        }
    }

    /// Any member that is not the primary.
    pub fn secondary(&self) -> &Mongod {
        let primary = self.primary();
        self.members
            .iter()
            .find(|member| member.port != primary.port)
            .expect("three members")
    }

    pub fn primary(&self) -> &Mongod {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(primary) = self.members.iter().find(|member| member.says("isWritablePrimary")) {
                return primary;
            }
            self.members[0].check(deadline, "has no primary in its set");
        }
    }

    /// Freezes all but the primary. It goes on for as long as an election takes, with writes that nobody else will ever
    /// see; then it steps down, and says of what waits for a majority that it was interrupted (11602).
    pub fn cut_off_primary(self: &Arc<Self>) -> CutOff {
        let primary = self.primary().port;
        for member in self.others(primary) {
            member.pause();
        }
        CutOff {
            set: Arc::clone(self),
            primary,
        }
    }

    fn others(&self, port: u16) -> impl Iterator<Item = &Mongod> {
        self.members.iter().filter(move |member| member.port != port)
    }

    /// Until there is a primary, and the others follow it.
    pub fn wait_until_whole(&self) {
        let deadline = Instant::now() + START_LIMIT;
        let is_whole = || {
            let count = |state| self.members.iter().filter(|member| member.says(state)).count();
            (count("isWritablePrimary"), count("secondary")) == (1, 2)
        };
        while !is_whole() {
            self.members[0].check(deadline, "has no whole set");
        }
    }
}

/// A primary that is cut off.
#[derive(Debug)]
pub struct CutOff {
    set: Arc<Members>,
    primary: u16,
}

impl CutOff {
    /// Has the others elect one of themselves while the old primary stands still, and lets that one meet them: it rolls
    /// back what only it has.
    pub fn roll_back(self) {
        let old = self.set.on(self.primary);
        old.pause();
        for member in self.set.others(self.primary) {
            member.resume();
        }
        let deadline = Instant::now() + START_LIMIT;
        while !self
            .set
            .others(self.primary)
            .any(|member| member.says("isWritablePrimary"))
        {
            if Instant::now() >= deadline {
                break; // whoever waits for the set says what is wrong
            }
            waiting(|| thread::sleep(POLL));
        }
        old.resume();
    }
}
