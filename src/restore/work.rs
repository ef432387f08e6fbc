//! A restore at work: with what, how far, and whether it may go on.

use std::pin::pin;
use std::time::Duration;

use super::ids::IDS_SHARE;
use super::lock::Lock;
use super::outcome::Outcomes;
use super::prepare::Prepared;
use super::record::Record;
use super::request::RestoreJob;
use crate::backup::{Tools, cancelled};
use crate::catalog::{Definition, Kind};
use crate::digest::Hashing;
use crate::failure::Failure;
use crate::mongo::{Mongo, MongoError};
use crate::plan::{Action, Planned, TEMPORARY_PREFIX};
use crate::run::Pool;

/// How often it is asked during a long wait whether it may go on.
const LOOK_UP: Duration = Duration::from_secs(1);

/// A restore that is being carried out.
pub(super) struct Restoring<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) job: &'a RestoreJob,
    pub(super) tools: &'a Tools,
    /// The target, asked at its primary.
    mongo: Mongo,
    pub(super) lock: &'a Lock,
    /// How far it has come.
    pub(super) record: &'a Record<'a>,
    /// What temporary collections of this run are called, apart from a number.
    temporary: String,
    /// What the `_id`s may take that are kept until they are read back.
    pub(super) ids: Pool,
}

/// Why an invocation does not take a restore to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The time was up; the record has everything.
    Paused,
    /// Workers are to go on.
    Divided,
    /// It cannot go on here; another invocation may.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'a> Restoring<'a> {
    pub(super) fn new(
        prepared: &'a Prepared,
        job: &'a RestoreJob,
        tools: &'a Tools,
        lock: &'a Lock,
        record: &'a Record<'a>,
    ) -> Self {
        Self {
            prepared,
            job,
            tools,
            mongo: tools.mongo.on_primary(),
            lock,
            record,
            temporary: record.state().origin.temporary.clone(),
            ids: Pool::of(tools.memory.share(IDS_SHARE)),
        }
    }

    /// Asked between collections.
    ///
    /// # Errors
    /// If the run was cancelled, or has lost its lock or its lease.
    pub(super) fn may_go_on(&self) -> Result<(), Failure> {
        if self.tools.cancel.is_cancelled() {
            return Err(cancelled());
        }
        self.is_still_ours()
    }

    /// Waits for something that the server goes on with by itself; not beyond the time of this invocation: then there
    /// is nothing, and the next one asks again.
    ///
    /// # Errors
    /// What comes of it, or as [`Self::may_go_on`].
    pub(super) async fn unless_it_must_end<T>(
        &self,
        work: impl Future<Output = Result<T, MongoError>>,
    ) -> Result<Option<T>, Failure> {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(LOOK_UP, &mut work).await {
                Ok(done) => return Ok(Some(done?)),
                Err(_) => self.may_go_on()?,
            }
            if self.record.is_kept() && self.record.deadline().is_near() {
                return Ok(None);
            }
        }
    }

    /// As [`Self::unless_it_must_end`], beyond the time of this invocation too: for what cannot be gone on from.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, MongoError>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(LOOK_UP, &mut work).await {
                Ok(done) => return Ok(done?),
                Err(_) => self.may_go_on()?,
            }
        }
    }

    /// Whether nobody else restores into the database, and no other invocation has taken the run over.
    ///
    /// # Errors
    /// If somebody does.
    pub(super) fn is_still_ours(&self) -> Result<(), Failure> {
        self.is_ours()?;
        self.lock.check()
    }

    /// Whether no other invocation has taken the run over. One that has works with the same temporary collections.
    ///
    /// # Errors
    /// [`RunTakenOver`](crate::failure::FailureKind::RunTakenOver).
    pub(super) fn is_ours(&self) -> Result<(), Failure> {
        self.record.check()
    }

    /// Whether this invocation is to end.
    pub(super) fn must_pause(&self) -> bool {
        self.record.must_pause()
    }

    /// Ends the invocation if a failure may pass and the run can be resumed: then it is no outcome.
    pub(super) fn keep_what_passes(&self, outcomes: &Outcomes) -> Result<(), Stop> {
        let mut failures = outcomes.values().filter_map(|outcome| outcome.error.as_ref());
        match failures.find(|failure| failure.passes()) {
            Some(failure) if self.record.is_kept() => Err(Stop::Failed(failure.clone())),
            _ => Ok(()),
        }
    }

    pub(super) fn mongo(&self) -> &Mongo {
        &self.mongo
    }

    /// Lets the majority catch up with what has been written, where the connection string asks for less: what is read
    /// to prove something is read as the majority has it.
    pub(super) async fn settle(&self) -> Result<(), Failure> {
        match self.mongo.writes_reach_majority() {
            true => Ok(()),
            false => self.lock.confirm().await,
        }
    }

    pub(super) fn database(&self) -> &str {
        &self.job.policy.database
    }

    /// The options of the collection that a row's documents go into: those of the target where they are merged.
    pub(super) fn options_in_force(&self, row: &'a Planned) -> &'a Definition {
        match row.action {
            Action::Merge => self
                .prepared
                .target
                .get(&row.name)
                .map_or(&row.options, |present| &present.options),
            _ => &row.options,
        }
    }

    /// Whether the target has documents under the name of a row.
    pub(super) fn replaces_documents(&self, row: &Planned) -> bool {
        let present = self.prepared.target.get(&row.name);
        present.is_some_and(|present| present.kind != Kind::View)
    }

    /// The plan's rows with their places.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &'a Planned)> {
        self.prepared.plan.collections.iter().enumerate()
    }

    /// Between two steps that are repeated by no other invocation.
    pub(super) fn end_if_late(&self) -> Result<(), Stop> {
        match self.must_pause() {
            true => Err(Stop::Paused),
            false => Ok(()),
        }
    }

    pub(super) fn chosen(&self, chosen: impl Fn(&Planned) -> bool) -> Vec<(usize, &'a Planned)> {
        self.rows()
            .filter(|(_, row)| row.action.restores() && chosen(row))
            .collect()
    }

    pub(super) fn temporary(&self, place: usize) -> String {
        format!("{}.{place}", self.temporary)
    }
}

/// What temporary collections are called, apart from a number: no two restores give them the same name.
pub(super) fn fresh_temporary() -> String {
    let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    format!("{TEMPORARY_PREFIX}{:x}.{nanos:x}", std::process::id())
}

/// What of a row's documents is hashed.
pub(super) fn hashing(row: &Planned) -> Hashing {
    row.fingerprint.map_or(Hashing::Raw, |fingerprint| fingerprint.hashing)
}
