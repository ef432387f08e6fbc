//! A primary that is cut off in the middle of a restore, answers, and takes back what it answered for.
//!
//! Every restore here is disturbed at one command: while the server carries it out it sees no other member; it steps
//! down, the others elect one of themselves, and when it meets them again it rolls back. Whatever the restore says
//! then, it must not be `complete` unless the database is what the archive says; and the same restore, run again, ends
//! `complete`.
//!
//! A seed stands for a policy and a command: 160 of them are all commands of both.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bson::doc;
use mongotar::backup::{RunStatus, Tools};
use mongotar::store::{Location, Store};
use serde_json::{Value, json};

use super::shop::{self, differences, state, told};
use super::{Campaign, Trial};
use crate::rig::{Members, Mongod, Passage, ScratchDir, WireCommand};
use crate::support;

pub const CAMPAIGN: Campaign = Campaign {
    name: "rollback",
    promise: "a restore whose primary is cut off at any command, answers, and rolls back is never called complete unless it is; and the same restore ends complete",
    // A command of each policy, in the load.
    sample: &[62],
    trial,
};

fn trial(seed: u64) -> Trial {
    Box::pin(async move {
        let policy = match seed % 2 {
            0 => Policy::Replace,
            _ => Policy::Merge,
        };
        let scene = Scene::start().await;
        let commands = scene.commands(policy).await.len();
        let nth = usize::try_from(seed / 2).expect("few") % commands;
        match scene.strike(policy, nth, |_| true).await {
            Some(Struck { command, said }) => {
                let kind = command.split(' ').next().unwrap_or_default();
                let said = said.split(':').next().unwrap_or_default();
                format!("{policy:?}, {kind}: {said}")
            }
            None => format!("{policy:?}: the restore had fewer commands"),
        }
    })
}

/// What the databases are called: `shop` is saved, `target` is restored into.
const SOURCE: &str = "shop";
const TARGET: &str = "target";

/// Which restore is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Collections are created and replaced, a time series and views made, what is missing dropped.
    Replace,
    /// Documents are merged into what is there.
    Merge,
}

impl Policy {
    fn event(self) -> Value {
        match self {
            Self::Replace => json!({"replace_existing": true}),
            Self::Merge => json!({}),
        }
    }
}

/// A replica set with something to restore.
pub struct Scene {
    set: Arc<Members>,
    client: mongodb::Client,
    archive: String,
    _folder: ScratchDir,
}

/// What one disturbed restore came to.
#[derive(Debug)]
pub struct Struck {
    /// The command that was on its way when the primary was cut off.
    pub command: String,
    /// What the restore said: its status, or its error.
    pub said: String,
}

impl Scene {
    pub async fn start() -> Self {
        let set = Members::start(&Mongod::builder().cache_gb("0.25"));
        let client = set.client().await;
        let folder = ScratchDir::new("rollback");
        shop::fill(&client, SOURCE).await;
        let tools = support::tools_for(&set.uri(), Store::new()).await;
        let to = Location::Local(folder.path().join("archives"));
        let archive = support::back_up(&tools, SOURCE, &to).await.archive.to_string();
        Self {
            set,
            client,
            archive,
            _folder: folder,
        }
    }

    /// The commands that an undisturbed restore sends from its first write on.
    pub async fn commands(&self, policy: Policy) -> Vec<String> {
        self.reset().await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let seeing = Arc::clone(&seen);
        let (_relays, uri) = self.set.through_relays(move |command| {
            if is_counted(command) {
                let mut seen = seeing.lock().unwrap_or_else(PoisonError::into_inner);
                if !seen.is_empty() || command.name == "findAndModify" {
                    seen.push(told(command));
                }
            }
            Passage::Through
        });
        let report = self.restore(&uri, policy).await.expect("an undisturbed restore");
        assert_eq!(report, RunStatus::Complete, "an undisturbed restore");
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// Disturbs a restore at the first command from the `nth` on (0 is the first write) that is `wanted`; none where
    /// there was no such command.
    ///
    /// # Panics
    /// Where the restore claims what is not so, or the same restore does not end `complete` afterwards.
    pub async fn strike(
        &self,
        policy: Policy,
        nth: usize,
        wanted: impl Fn(&WireCommand) -> bool + Send + Sync + 'static,
    ) -> Option<Struck> {
        self.reset().await;
        let (set, counted, struck) = (
            Arc::clone(&self.set),
            AtomicUsize::new(0),
            Arc::new(Mutex::new(None::<String>)),
        );
        let striking = Arc::clone(&struck);
        let (_relays, uri) = self.set.through_relays(move |command| {
            if !is_counted(command) || (counted.load(Ordering::Acquire) == 0 && command.name != "findAndModify") {
                return Passage::Through;
            }
            let number = counted.fetch_add(1, Ordering::AcqRel);
            let mut struck = striking.lock().unwrap_or_else(PoisonError::into_inner);
            if number < nth || struck.is_some() || !wanted(command) {
                return Passage::Through;
            }
            *struck = Some(told(command));
            let cut_off = set.cut_off_primary();
            Passage::ThroughAndThen(Box::new(move || cut_off.roll_back()))
        });
        let said = self.restore(&uri, policy).await;
        self.set.wait_until_whole();
        let command = struck.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        if said == Ok(RunStatus::Complete) {
            self.check(policy, &format!("struck at {command}, and called complete"))
                .await;
        }
        let said = said.map_or_else(|error| error, |status| format!("{status:?}"));
        // What a dead restore holds runs out by itself; nobody waits for that here.
        let _ = self.target().run_command(doc! {"drop": "mongotar.lock"}).await;
        let again = self.restore(&self.set.uri(), policy).await;
        assert_eq!(again, Ok(RunStatus::Complete), "run again after {command} ({said})");
        self.check(policy, &format!("run again after {command} ({said})")).await;
        Some(Struck { command, said })
    }

    /// Restores with a snapshot of what was there.
    async fn restore(&self, uri: &str, policy: Policy) -> Result<RunStatus, String> {
        let tools: Tools = support::tools_for(uri, Store::new()).await;
        let mut event = policy.event();
        event["archive"] = self.archive.clone().into();
        event["database"] = TARGET.into();
        let restored = support::restore(&tools, event).await;
        tools.mongo.shut_down().await;
        restored
            .map(|report| report.status)
            .map_err(|failure| failure.to_string())
    }

    fn target(&self) -> mongodb::Database {
        self.client.database(TARGET)
    }

    /// The target as it was before: what is replaced or merged into, what is dropped, a collection whose place a view
    /// takes.
    async fn reset(&self) {
        self.set.wait_until_whole();
        let target = self.target();
        target.drop().await.expect("dropped");
        shop::before(&self.client, TARGET).await;
    }

    /// The database must be what the archive says.
    async fn check(&self, policy: Policy, what: &str) {
        let tools = support::tools_for(&self.set.uri(), Store::new()).await;
        let (is, mut expected) = (
            state(&self.client, &tools, TARGET).await,
            state(&self.client, &tools, SOURCE).await,
        );
        if policy == Policy::Merge {
            shop::keep(&mut expected);
        }
        assert!(
            is == expected,
            "{what}: the database is another\n{}",
            differences(&is, &expected)
        );
    }
}

/// Whether a command is the restore's, and about the target.
fn is_counted(command: &WireCommand) -> bool {
    let renames = command.name == "renameCollection" && command.target().starts_with(&format!("{TARGET}."));
    renames
        || (command.database == TARGET && !["hello", "ping", "endSessions", "killCursors"].contains(&&*command.name))
}
