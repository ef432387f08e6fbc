//! A restore run's progress: the state that one invocation leaves to the next.
//!
//! Documents go in segment by segment. A state says for each collection up to which document the server has confirmed
//! all, and the counts up to there; nothing behind that counts yet. If the last invocation **paused**, nothing behind
//! it was sent either, and the load resumes exactly there. If it **died**, some was, and it depends:
//!
//! * into a collection with unique `_id`s the same documents are sent again; the server refuses existing ones, and an
//!   existing one that equals the archive's counts as inserted;
//! * a time series would take them twice, and a capped collection would change its order: such a collection is begun
//!   anew;
//! * in a merge, documents that were there before and those that the dead invocation inserted can no longer be told
//!   apart: they count as unchanged.
//!
//! A restore that cannot be resumed has a record, too, only in memory, and never pauses.
//!
//! Everything in place is still read back whole, and nothing unequal is `complete`.

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
use crate::run::{Deadline, Journal, Left, Tracked, unusable_because};

/// The names of what is written: how far the run has come, the collections, and what workers load.
const STAGE: &str = "stage";
const ROWS: &str = "rows";
const SHARES: &str = "shares";

/// What is decided before the first change and holds in every invocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RestoreHead {
    /// What was asked for.
    pub(super) request: String,
    pub(super) origin: Origin,
    pub(super) plan: RestorePlan,
    /// The target as it was when it was planned.
    pub(super) target: Catalog,
}

/// The part of it that is small.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    /// Where the archive is.
    pub(super) archive: String,
    /// When the first invocation began.
    pub(super) started: String,
    /// What temporary collections are called, apart from a number.
    pub(super) temporary: String,
}

/// What a run has come to.
#[derive(Clone, Debug)]
pub(super) struct RestoreState {
    pub(super) origin: Origin,
    pub(super) stage: Tracked<Stage>,
    rows: Tracked<CollectionStates>,
    /// What workers are to load, where that was divided.
    shares: Tracked<Vec<Share>>,
}

/// The collections of the plan, by their places in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct CollectionStates {
    /// What was read of those that will be changed in place.
    checks: BTreeMap<usize, Check>,
    /// What was begun.
    begun: BTreeMap<usize, CollectionState>,
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
        written: Option<Box<BackupReport>>,
    },
    /// Documents go in beside.
    Loading {
        snapshot: Option<Box<SnapshotReport>>,
        /// Whether what workers have loaded is in the rows.
        gathered: bool,
    },
    /// The target is being changed.
    Committing {
        snapshot: Option<Box<SnapshotReport>>,
        /// The UUIDs of what was loaded beside, by place: by its UUID a collection is known under its new name.
        uuids: BTreeMap<usize, String>,
    },
    /// It is at its end.
    Finished(Box<RestoreReport>),
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
enum CollectionState {
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
    pub(super) journal: &'a Journal,
    deadline: Deadline,
    state: Mutex<RestoreState>,
    writing: tokio::sync::Mutex<()>,
    /// Whether this invocation has come any further. One that has not must not pause, or the run would never end.
    moved: AtomicBool,
}

impl RestoreState {
    /// That of a run that begins.
    pub(super) fn new(origin: Origin) -> Self {
        let stage = Stage::Preparing {
            rehearsed: false,
            written: None,
        };
        Self {
            origin,
            stage: Tracked::new(STAGE, stage),
            rows: Tracked::as_read(ROWS, CollectionStates::default()),
            shares: Tracked::as_read(SHARES, Vec::new()),
        }
    }

    /// The record of a resumed run.
    pub(super) fn read(left: &Left, origin: Origin) -> Result<Self, Failure> {
        let stage = left.place(STAGE)?;
        let stage = stage.ok_or_else(|| unusable_because("it does not say how far it is"))?;
        Ok(Self {
            origin,
            stage: Tracked::as_read(STAGE, stage),
            rows: Tracked::as_read(ROWS, left.place(ROWS)?.unwrap_or_default()),
            shares: Tracked::as_read(SHARES, left.place(SHARES)?.unwrap_or_default()),
        })
    }

    /// What workers have to load; nothing if they are done.
    pub(super) fn loads(&self) -> &[Share] {
        match *self.stage {
            Stage::Loading { gathered: false, .. } => &self.shares,
            _ => &[],
        }
    }

    /// How many documents of the archive are in the database.
    fn documents(&self) -> u64 {
        let of_row = |row: &CollectionState| match row {
            CollectionState::Going(going) => going.passed,
            CollectionState::Done(outcome) => outcome.loaded.archive.documents(),
        };
        self.rows.begun.values().map(of_row).sum()
    }
}

impl<'a> Record<'a> {
    /// For an invocation that goes on with what `state` says, or begins with it. A worker, who goes on with a share
    /// under the state of the whole, writes none of it.
    pub(super) fn new(journal: &'a Journal, deadline: Deadline, state: RestoreState) -> Self {
        Self {
            journal,
            deadline,
            writing: tokio::sync::Mutex::default(),
            moved: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// The state as it is. Never held over a wait.
    pub(super) fn state(&self) -> MutexGuard<'_, RestoreState> {
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
        self.state().rows.checks.get(&place).copied().unwrap_or_default()
    }

    pub(super) fn put_check(&self, place: usize, check: Check) {
        self.state().rows.checks.insert(place, check);
        self.has_moved();
    }

    /// What was begun of a collection and is not done.
    pub(super) fn going(&self, place: usize) -> Option<Going> {
        match self.state().rows.begun.get(&place)? {
            CollectionState::Going(going) => Some((**going).clone()),
            CollectionState::Done(_) => None,
        }
    }

    pub(super) fn put_going(&self, place: usize, going: Going) {
        self.state()
            .rows
            .begun
            .insert(place, CollectionState::Going(Box::new(going)));
    }

    /// What came of a collection that is done.
    pub(super) fn outcome(&self, place: usize) -> Option<Outcome> {
        match self.state().rows.begun.get(&place)? {
            CollectionState::Going(_) => None,
            CollectionState::Done(outcome) => Some((**outcome).clone()),
        }
    }

    pub(super) fn put_outcome(&self, place: usize, outcome: Outcome) {
        self.state()
            .rows
            .begun
            .insert(place, CollectionState::Done(Box::new(outcome)));
        self.has_moved();
    }

    /// How many documents are in.
    pub(super) fn documents(&self) -> u64 {
        self.state().documents()
    }

    /// How far the commit of an earlier invocation came: the UUIDs of what was to be renamed.
    pub(super) fn committing(&self) -> Option<BTreeMap<usize, String>> {
        match &*self.state().stage {
            Stage::Committing { uuids, .. } => Some(uuids.clone()),
            _ => None,
        }
    }

    /// Whether nothing has been loaded.
    pub(super) fn is_preparing(&self) -> bool {
        matches!(*self.state().stage, Stage::Preparing { .. })
    }

    /// Whether documents go in beside.
    pub(super) fn is_loading(&self) -> bool {
        matches!(*self.state().stage, Stage::Loading { .. })
    }

    /// What workers have to load; nothing if they are done.
    pub(super) fn loads(&self) -> Vec<Share> {
        self.state().loads().to_vec()
    }

    pub(super) fn put_loads(&self, loads: Vec<Share>) {
        *self.state().shares = loads;
        self.has_moved();
    }

    pub(super) fn put_gathered(&self) {
        if let Stage::Loading { gathered, .. } = &mut *self.state().stage {
            *gathered = true;
        }
    }

    pub(super) fn is_rehearsed(&self) -> bool {
        matches!(*self.state().stage, Stage::Preparing { rehearsed: true, .. })
    }

    pub(super) fn put_rehearsed(&self) {
        if let Stage::Preparing { rehearsed, .. } = &mut *self.state().stage {
            *rehearsed = true;
        }
        self.has_moved();
    }

    /// The way back, when it was checked.
    pub(super) fn snapshot(&self) -> Option<SnapshotReport> {
        match &*self.state().stage {
            Stage::Loading { snapshot, .. } | Stage::Committing { snapshot, .. } => snapshot.as_deref().cloned(),
            _ => None,
        }
    }

    /// The way back, where it is there and not yet checked.
    pub(super) fn written(&self) -> Option<BackupReport> {
        match &*self.state().stage {
            Stage::Preparing { written, .. } => written.as_deref().cloned(),
            _ => None,
        }
    }

    pub(super) fn put_written(&self, is_there: BackupReport) {
        if let Stage::Preparing { written, .. } = &mut *self.state().stage {
            *written = Some(Box::new(is_there));
        }
        self.has_moved();
    }

    /// From here on the target is changed.
    pub(super) async fn begin_commit(&self, uuids: BTreeMap<usize, String>) -> Result<(), Failure> {
        {
            let mut state = self.state();
            let snapshot = match &mut *state.stage {
                Stage::Loading { snapshot, .. } => snapshot.take(),
                _ => None,
            };
            *state.stage = Stage::Committing { snapshot, uuids };
        }
        self.save().await?;
        self.journal.confirm().await
    }

    /// Writes the state as it is.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] if the run is no longer ours, or what the store answered.
    pub(super) async fn save(&self) -> Result<(), Failure> {
        let _one_at_a_time = self.writing.lock().await;
        // The stage comes last: it says that what is behind it was written.
        let changed = {
            let RestoreState {
                stage, rows, shares, ..
            } = &mut *self.state();
            [rows.take_changed(), shares.take_changed(), stage.take_changed()]
        };
        for (step, place) in changed.into_iter().flatten() {
            if let Err(failure) = self.journal.write(step, &place, &[]).await {
                let mut state = self.state();
                state.rows.is_not_written();
                state.shares.is_not_written();
                state.stage.is_not_written();
                return Err(failure);
            }
        }
        Ok(())
    }

    /// The same, where nothing depends on it: what cannot be written now is in the next one.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] if the run is no longer ours.
    pub(super) async fn save_if_possible(&self) -> Result<(), Failure> {
        match self.save().await {
            Err(error) if error.kind != FailureKind::RunTakenOver => {
                tracing::warn!(%error, "the run's state could not be saved: if it dies now, more must be repeated");
                Ok(())
            }
            saved => saved,
        }
    }

    /// Writes the state when nothing more will be done in this invocation.
    pub(super) async fn save_at_the_end(&self) -> Result<(), Failure> {
        self.save().await?;
        self.journal.rest().await
    }

    /// Whether the run is still ours, as far as it is known here.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.journal.check()
    }
}
