//! What a restore run has come to: the state that one invocation leaves to the next.
//!
//! Documents go in segment by segment. A state says of each collection up to which document all have been answered for by the server, and what was counted up to there; nothing behind that
//! counts yet. Where the last invocation **paused**, nothing behind it was sent either, and the load goes on exactly there. Where it **died**, some was, and it depends:
//!
//! * into a collection with unique `_id`s the same documents are sent again; the server refuses those that are there, and one that is there as it is in the archive counts as inserted;
//! * a time series would take them a second time, and a capped collection would get another order: such a collection is begun anew;
//! * of what was merged, the documents that were there already and those that the dead invocation had put in can no longer be told apart: they count as unchanged.
//!
//! A restore that nobody can go on with has a record, too, in memory only, and never pauses.
//!
//! What is in place is read back whole all the same, and nothing is `complete` that is not equal.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::counted::Loaded;
use super::outcome::Outcome;
use super::report::{RestoreReport, SnapshotReport};
use crate::backup::BackupReport;
use crate::catalog::Catalog;
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::mongo::ReadSoFar;
use crate::plan::RestorePlan;
use crate::run::{Deadline, Journal};
use crate::soundness::Checked;

/// What is decided before the first change and holds in every invocation. It can be large, and is kept once, beside the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) plan: RestorePlan,
    /// The target as it was when it was planned.
    pub(super) target: Catalog,
}

/// The state itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// What was asked for.
    pub(super) request: String,
    /// Where the archive is, and what the head is called.
    pub(super) archive: String,
    pub(super) head: String,
    /// When the first invocation began, and how many there were.
    pub(super) started: String,
    pub(super) invocations: u32,
    /// What temporary collections are called, apart from a number.
    pub(super) temporary: String,
    /// Whether nothing was done after it was written.
    pub(super) clean: bool,
    pub(super) stage: Stage,
    /// What was read of that which will be changed in place.
    checks: BTreeMap<usize, Check>,
    /// Each collection that was begun, by its place in the plan.
    rows: BTreeMap<usize, Row>,
    /// What workers are to load, where that was divided.
    #[serde(default)]
    loads: Vec<Share>,
    /// Whether what they counted is in the rows.
    #[serde(default)]
    gathered: bool,
}

/// A run of segments of one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stretch {
    /// The collection's place in the plan.
    pub(super) place: usize,
    /// The first segment, and how many.
    pub(super) first: usize,
    pub(super) segments: usize,
}

/// What a worker has to load, or has loaded.
pub(super) type Share = Vec<Stretch>;

/// How far a run has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Nothing has been loaded.
    Preparing {
        /// Whether the target takes all definitions.
        rehearsed: bool,
        /// The way back, while it is being checked.
        written: Option<Box<Written>>,
    },
    /// Documents go in beside.
    Loading { snapshot: Option<Box<SnapshotReport>> },
    /// The target is being changed.
    Committing {
        snapshot: Option<Box<SnapshotReport>>,
        /// The UUIDs of what was loaded beside, by place: by its UUID a collection is known under its new name.
        uuids: BTreeMap<usize, String>,
    },
    /// It is at its end.
    Finished(Box<RestoreReport>),
}

/// A way back that is there, and was checked so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) report: BackupReport,
    pub(super) checked: Option<Checked>,
}

/// A collection that was read through.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) passed: u64,
    pub(super) read: Digest,
    pub(super) whole: bool,
}

/// A collection that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Row {
    Going(Box<Going>),
    Done(Box<Outcome>),
}

/// A collection that is half done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Going {
    /// How many documents of the archive are answered for.
    pub(super) passed: u64,
    /// What they came to.
    pub(super) loaded: Loaded,
    /// Whether they are all.
    pub(super) whole: bool,
    /// The indexes that could not be built, when they have been.
    pub(super) failed_indexes: Option<Vec<(String, MongoError)>>,
    /// How far it has been read back since.
    #[serde(default)]
    pub(super) read: ReadSoFar,
}

/// The state, while an invocation works on it.
#[derive(Debug)]
pub(super) struct Record<'a> {
    journal: &'a Journal,
    deadline: Deadline,
    state: Mutex<State>,
    writing: tokio::sync::Mutex<()>,
    /// Whether this invocation has come any further. One that has not must not pause, or the run would never end.
    moved: AtomicBool,
    /// Whether an earlier invocation has left this state.
    pub(super) resumed: bool,
    /// Whether that one died, and may have done more than the state says.
    pub(super) crashed: bool,
}

impl State {
    /// That of a run that begins.
    pub(super) fn new(request: String, archive: String, head: String, started: String, temporary: String) -> Self {
        Self {
            request,
            archive,
            head,
            started,
            invocations: 1,
            temporary,
            clean: false,
            stage: Stage::Preparing {
                rehearsed: false,
                written: None,
            },
            checks: BTreeMap::new(),
            rows: BTreeMap::new(),
            loads: Vec::new(),
            gathered: false,
        }
    }

    /// What workers have to load; nothing where they are done.
    pub(super) fn loads(&self) -> &[Share] {
        match self.gathered {
            true => &[],
            false => &self.loads,
        }
    }

    /// How many documents of the archive are in the database.
    fn documents(&self) -> u64 {
        let of_row = |row: &Row| match row {
            Row::Going(going) => going.passed,
            Row::Done(outcome) => outcome.loaded.archive.documents(),
        };
        self.rows.values().map(of_row).sum()
    }
}

impl<'a> Record<'a> {
    /// For an invocation that goes on with what `state` says, or begins with it.
    pub(super) fn new(journal: &'a Journal, deadline: Deadline, state: State, resumed: bool) -> Self {
        Self {
            journal,
            deadline,
            writing: tokio::sync::Mutex::default(),
            moved: AtomicBool::new(false),
            resumed,
            crashed: resumed && !state.clean,
            state: Mutex::new(State { clean: false, ..state }),
        }
    }

    /// For a worker, who goes on with a share under the state of the whole, and writes none of it; `again` where one before it has died.
    pub(super) fn of_worker(journal: &'a Journal, deadline: Deadline, state: State, again: bool) -> Self {
        Self::new(journal, deadline, State { clean: !again, ..state }, again)
    }

    /// The state as it is. Never held over a wait.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was done that need not be done again.
    pub(super) fn has_moved(&self) {
        self.moved.store(true, Ordering::Release);
    }

    /// Whether it is time to end this invocation, and something has been done in it.
    pub(super) fn must_pause(&self) -> bool {
        self.moved.load(Ordering::Acquire) && self.journal.must_pause(self.deadline)
    }

    /// Whether what this invocation leaves is there for the next one.
    pub(super) fn is_kept(&self) -> bool {
        self.journal.is_kept()
    }

    /// When an invocation has to come to its end.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    pub(super) fn check_of(&self, place: usize) -> Check {
        self.state().checks.get(&place).copied().unwrap_or_default()
    }

    pub(super) fn put_check(&self, place: usize, check: Check) {
        self.state().checks.insert(place, check);
        self.has_moved();
    }

    /// What was begun of a collection and is not done.
    pub(super) fn going(&self, place: usize) -> Option<Going> {
        match self.state().rows.get(&place)? {
            Row::Going(going) => Some((**going).clone()),
            Row::Done(_) => None,
        }
    }

    pub(super) fn put_going(&self, place: usize, going: Going) {
        self.state().rows.insert(place, Row::Going(Box::new(going)));
    }

    /// What came of a collection that is done.
    pub(super) fn outcome(&self, place: usize) -> Option<Outcome> {
        match self.state().rows.get(&place)? {
            Row::Going(_) => None,
            Row::Done(outcome) => Some((**outcome).clone()),
        }
    }

    pub(super) fn put_outcome(&self, place: usize, outcome: Outcome) {
        self.state().rows.insert(place, Row::Done(Box::new(outcome)));
        self.has_moved();
    }

    /// How many documents are in.
    pub(super) fn documents(&self) -> u64 {
        self.state().documents()
    }

    /// How far the commit of an earlier invocation came: the UUIDs of what was to be renamed.
    pub(super) fn committing(&self) -> Option<BTreeMap<usize, String>> {
        match &self.state().stage {
            Stage::Committing { uuids, .. } => Some(uuids.clone()),
            _ => None,
        }
    }

    /// Whether nothing has been loaded.
    pub(super) fn is_preparing(&self) -> bool {
        matches!(self.state().stage, Stage::Preparing { .. })
    }

    /// Whether documents go in beside.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self.state().stage, Stage::Loading { .. })
    }

    /// What workers have to load; nothing where they are done.
    pub(super) fn loads(&self) -> Vec<Share> {
        self.state().loads().to_vec()
    }

    pub(super) fn put_loads(&self, loads: Vec<Share>) {
        self.state().loads = loads;
        self.has_moved();
    }

    pub(super) fn put_gathered(&self) {
        self.state().gathered = true;
    }

    pub(super) fn is_rehearsed(&self) -> bool {
        matches!(self.state().stage, Stage::Preparing { rehearsed: true, .. })
    }

    pub(super) fn put_rehearsed(&self) {
        if let Stage::Preparing { rehearsed, .. } = &mut self.state().stage {
            *rehearsed = true;
        }
        self.has_moved();
    }

    /// The way back, when it was checked.
    pub(super) fn snapshot(&self) -> Option<SnapshotReport> {
        match &self.state().stage {
            Stage::Loading { snapshot } | Stage::Committing { snapshot, .. } => snapshot.as_deref().cloned(),
            _ => None,
        }
    }

    /// The way back, where it is there and not yet checked.
    pub(super) fn written(&self) -> Option<Written> {
        match &self.state().stage {
            Stage::Preparing { written, .. } => written.as_deref().cloned(),
            _ => None,
        }
    }

    pub(super) fn put_written(&self, is_there: Written) {
        if let Stage::Preparing { written, .. } = &mut self.state().stage {
            *written = Some(Box::new(is_there));
        }
        self.has_moved();
    }

    /// From here on the target is changed.
    pub(super) async fn begin_commit(&self, uuids: BTreeMap<usize, String>) -> Result<(), Failure> {
        {
            let mut state = self.state();
            let snapshot = match &mut state.stage {
                Stage::Loading { snapshot } => snapshot.take(),
                _ => None,
            };
            state.stage = Stage::Committing { snapshot, uuids };
        }
        self.save().await?;
        self.journal.confirm().await
    }

    /// Writes the state as it is.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] where the run is no longer ours, or what the store answered.
    pub(super) async fn save(&self) -> Result<(), Failure> {
        if !self.is_kept() {
            return Ok(());
        }
        let _one_at_a_time = self.writing.lock().await;
        let state = self.state().clone();
        self.journal.write(&state, &[]).await
    }

    /// The same, where nothing depends on it: what cannot be written now is in the next one.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] where the run is no longer ours.
    pub(super) async fn save_if_possible(&self) -> Result<(), Failure> {
        match self.save().await {
            Err(error) if error.kind != FailureKind::RunTakenOver => {
                tracing::warn!(%error, "the run's state could not be saved: if it dies now, more has to be repeated");
                Ok(())
            }
            saved => saved,
        }
    }

    /// Writes the state when nothing more will be done in this invocation.
    pub(super) async fn save_at_the_end(&self) -> Result<(), Failure> {
        self.state().clean = true;
        self.save().await
    }

    /// Whether the run is still ours, as far as it is known here.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.journal.check()
    }
}
