//! Every command to the server fails three times, whatever is being done, and is waited out.
//!
//! One command of a run is struck: the first time its connection breaks before the server has it, the second time
//! before the answer has come, and then the server says that it is primary no more. What was going on must end as if
//! nothing had been: complete and equal.
//!
//! A seed stands for an operation and a command: so many that all commands of all operations are struck are
//! [`OPERATIONS`] times the commands of the longest.

use std::sync::{Arc, Mutex, PoisonError};

use bson::{Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::store::{Location, Store};
use mongotar::verify::{AgainstJob, against};
use serde_json::{Value, json};

use super::shop::{self, Server, told};
use super::{Campaign, Trial};
use crate::rig::{self, Passage, ScratchDir, WireCommand};
use crate::support;

pub const CAMPAIGN: Campaign = Campaign {
    name: "commands",
    promise: "a command that fails twice with a lost connection and once with a change of state, at any place of a backup, a restore, a merge, a drill or a comparison, is waited out, and the run ends complete and equal",
    // A command of each, in the middle.
    sample: &[120, 122, 125],
    trial,
};

/// What is disturbed, by the seed's remainder.
const OPERATIONS: [Operation; 6] = [
    Operation::Create,
    Operation::Merge,
    Operation::Replace,
    Operation::Drill,
    Operation::Compare,
    Operation::Backup,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    Merge,
    Replace,
    Drill,
    Compare,
    Backup,
}

fn trial(seed: u64) -> Trial {
    Box::pin(async move {
        let operations = OPERATIONS.len() as u64;
        let operation = OPERATIONS[usize::try_from(seed % operations).expect("few")];
        let scene = Scene::new(operation, Server::for_trial(&CAMPAIGN, seed)).await;
        let commands = scene.run(&Struck::nowhere()).await;
        let nth = usize::try_from(seed / operations).expect("few") % commands;
        scene.reset().await;
        let struck = Struck::at(nth);
        scene.run(&struck).await;
        match struck.name() {
            Some(name) => format!("{operation:?}, {name}"),
            None => format!("{operation:?} had fewer commands"),
        }
    })
}

/// The commands of a run, and which of them is struck.
struct Struck(Arc<Mutex<Strikes>>);

#[derive(Default)]
struct Strikes {
    nth: Option<usize>,
    seen: usize,
    /// The one, and how often it was struck.
    struck: Option<(String, usize)>,
}

impl Struck {
    fn nowhere() -> Self {
        Self(Arc::default())
    }

    fn at(nth: usize) -> Self {
        let strikes = Strikes {
            nth: Some(nth),
            ..Strikes::default()
        };
        Self(Arc::new(Mutex::new(strikes)))
    }

    fn name(&self) -> Option<String> {
        let strikes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, _) = strikes.struck.as_ref()?;
        name.split(' ').next().map(str::to_owned)
    }

    fn seen(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen
    }

    fn decide(&self) -> impl Fn(&WireCommand) -> Passage + Send + Sync + 'static {
        let strikes = Arc::clone(&self.0);
        move |command| {
            if ["hello", "ping", "endSessions", "killCursors", "buildInfo"].contains(&&*command.name) {
                return Passage::Through;
            }
            let mut strikes = strikes.lock().unwrap_or_else(PoisonError::into_inner);
            strikes.seen += 1;
            let this = told(command);
            let is_next = strikes.nth.is_some_and(|nth| strikes.seen > nth);
            let often = match &mut strikes.struck {
                Some((name, often)) if *name == this => {
                    *often += 1;
                    *often
                }
                Some(_) => return Passage::Through,
                None if is_next => {
                    strikes.struck = Some((this, 1));
                    1
                }
                None => return Passage::Through,
            };
            match often {
                1 => Passage::Cut,
                2 => Passage::ThroughAndCut,
                3 => Passage::Answered(no_longer_primary()),
                _ => Passage::Through,
            }
        }
    }
}

fn no_longer_primary() -> Document {
    doc! {"ok": 0.0, "code": 11602, "codeName": "InterruptedDueToReplStateChange", "errmsg": "operation was interrupted"}
}

struct Scene {
    operation: Operation,
    server: Server,
    client: mongodb::Client,
    tools: Tools,
    source: String,
    target: String,
    folder: ScratchDir,
    archive: String,
}

impl Scene {
    async fn new(operation: Operation, server: Server) -> Self {
        let client = server.client().await;
        let tools = support::tools_for(&server.uri(), Store::new()).await;
        let (source, target) = (rig::fresh_database_name("faults"), rig::fresh_database_name("faulty"));
        shop::fill(&client, &source).await;
        more(&client, &source).await;
        let folder = ScratchDir::new("faults");
        let to = Location::Local(folder.path().join("archives"));
        let archive = support::back_up(&tools, &source, &to).await.archive.to_string();
        let scene = Self {
            operation,
            server,
            client,
            tools,
            source,
            target,
            folder,
            archive,
        };
        scene.reset().await;
        scene
    }

    async fn reset(&self) {
        self.client.database(&self.target).drop().await.expect("dropped");
        if matches!(self.operation, Operation::Merge | Operation::Replace) {
            shop::before(&self.client, &self.target).await;
        }
    }

    /// Does it, and sees that it came to what it has to; how many commands that took.
    async fn run(&self, struck: &Struck) -> usize {
        let (_relay, uri) = self.server.through_relay(struck.decide());
        let tools = support::tools_for(&uri, Store::new()).await;
        match self.operation {
            Operation::Create => self.restore(&tools, json!({})).await,
            Operation::Merge => self.restore(&tools, json!({"snapshot": false})).await,
            Operation::Replace => self.restore(&tools, json!({"replace_existing": true})).await,
            Operation::Drill => self.drill(&tools).await,
            Operation::Compare => self.compare(&tools, &self.archive).await,
            Operation::Backup => {
                let to = Location::Local(self.folder.path().join(rig::fresh_database_name("again")));
                let report = support::back_up(&tools, &self.source, &to).await;
                assert_eq!(report.status, RunStatus::Complete, "{report:?}");
                self.compare(&self.tools, &report.archive.to_string()).await;
            }
        }
        tools.mongo.shut_down().await;
        struck.seen()
    }

    async fn restore(&self, tools: &Tools, mut event: Value) {
        event["archive"] = self.archive.clone().into();
        event["database"] = self.target.clone().into();
        event["force"] = true.into();
        let report = support::restore(tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
        let names = (self.source.as_str(), self.target.as_str());
        shop::check(&self.client, &self.tools, names, self.operation == Operation::Merge).await;
    }

    async fn drill(&self, tools: &Tools) {
        shop::drill(tools, json!({"archive": self.archive, "scratch": self.target})).await;
        let names = self.client.list_database_names().await.expect("names");
        assert!(!names.contains(&self.target), "the scratch database is left behind");
    }

    async fn compare(&self, tools: &Tools, archive: &str) {
        let job = AgainstJob {
            archive: archive.parse().expect("a location"),
            source_database: None,
            database: self.source.clone(),
            selection: mongotar::catalog::Selection::default(),
            ttl: mongotar::plan::Ttl::On,
        };
        let report = against(&job, tools).await.expect("a comparison");
        assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
        assert!(report.drifted.is_empty(), "{report:#?}");
    }
}

/// What else can go wrong: documents that a validator refuses, and a collection that can be filled once only.
async fn more(client: &mongodb::Client, database: &str) {
    let db = client.database(database);
    let run = async |command: Document| db.run_command(command).await.expect("the command succeeds");
    let strict = (0..5).map(|n| doc! {"_id": n, "n": n}).collect();
    support::insert(client, database, "strict", strict).await;
    run(doc! {"collMod": "strict", "validator": {"n": {"$gt": 2}}}).await;
    run(doc! {"create": "ring", "capped": true, "size": 1 << 16}).await;
    support::insert(client, database, "ring", (0..20).map(|n| doc! {"_id": n}).collect()).await;
}
