//! One collection's way: created, loaded, indexed, read back. And which of them go beside, which in place.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::create::{create, drop_collection};
use super::indexes::{self, Which};
use super::load::{Load, Loader, is_repeatable};
use super::lock::Lock;
use super::outcome::{Outcome, Outcomes};
use super::record::{Going, Record};
use super::violations::violations;
use super::{Prepared, RestoreJob};
use crate::backup::{Tools, cancelled};
use crate::catalog::{Definition, Kind};
use crate::digest::Hashing;
use crate::failure::Failure;
use crate::mongo::Mongo;
use crate::open::{CollectionStream, room, room_for};
use crate::plan::{Action, Method, Planned, TEMPORARY_PREFIX};

/// A collection of so many bytes is worth a state of its own.
const LARGE: u64 = 64 << 20;

/// A restore that is being carried out.
pub(super) struct Run<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) job: &'a RestoreJob,
    pub(super) tools: &'a Tools,
    /// The target, asked at its primary.
    mongo: Mongo,
    pub(super) lock: &'a Lock,
    /// Where it is written how far it has come, where it can be gone on with.
    pub(super) record: Option<&'a Record<'a>>,
    /// What temporary collections of this run are called, apart from a number.
    temporary: String,
    /// Whether a worker that died may have put documents in.
    pub(super) again: bool,
    /// Of a worker, who keeps no record: whether it has come any further.
    worker: Option<AtomicBool>,
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

impl<'a> Run<'a> {
    pub(super) fn new(
        prepared: &'a Prepared,
        job: &'a RestoreJob,
        tools: &'a Tools,
        lock: &'a Lock,
        record: Option<&'a Record<'a>>,
    ) -> Self {
        Self {
            prepared,
            job,
            tools,
            mongo: tools.mongo.on_primary(),
            lock,
            record,
            temporary: record.map_or_else(fresh_temporary, |record| record.state().temporary.clone()),
            again: record.is_some_and(|record| record.crashed),
            worker: None,
        }
    }

    /// For a worker, who loads a share and keeps no record.
    pub(super) fn of_worker(
        prepared: &'a Prepared,
        job: &'a RestoreJob,
        tools: &'a Tools,
        lock: &'a Lock,
        (temporary, again): (&str, bool),
    ) -> Self {
        Self {
            temporary: temporary.to_owned(),
            again,
            worker: Some(AtomicBool::new(false)),
            ..Self::new(prepared, job, tools, lock, None)
        }
    }

    /// Asked between collections.
    ///
    /// # Errors
    /// Where the run was cancelled, or has lost its lock or its lease.
    pub(super) fn may_go_on(&self) -> Result<(), Failure> {
        if self.tools.cancel.is_cancelled() {
            return Err(cancelled());
        }
        self.is_still_ours()
    }

    /// Whether nobody else restores into the database, and no other invocation has taken the run over.
    ///
    /// # Errors
    /// Where somebody does.
    pub(super) fn is_still_ours(&self) -> Result<(), Failure> {
        self.is_ours()?;
        self.lock.check()
    }

    /// Whether no other invocation has taken the run over. One that has works with the same temporary collections.
    ///
    /// # Errors
    /// [`RunTakenOver`](crate::failure::FailureKind::RunTakenOver).
    pub(super) fn is_ours(&self) -> Result<(), Failure> {
        self.record.map_or(Ok(()), Record::check)
    }

    /// Whether this invocation is to end.
    pub(super) fn must_pause(&self) -> bool {
        let worker = self.worker.as_ref().is_some_and(|moved| moved.load(Ordering::Acquire));
        (worker && self.tools.deadline.is_near()) || self.record.is_some_and(Record::must_pause)
    }

    /// Something was done that need not be done again.
    pub(super) fn has_moved(&self) {
        if let Some(moved) = &self.worker {
            moved.store(true, Ordering::Release);
        }
        if let Some(record) = self.record {
            record.has_moved();
        }
    }

    /// Whether what this invocation leaves is kept for the next one.
    pub(super) fn can_be_gone_on_with(&self) -> bool {
        self.record.is_some()
    }

    /// Ends the invocation where what went wrong may pass, and the run can be gone on with: that is then no outcome.
    pub(super) fn keep_what_passes(&self, outcomes: &Outcomes) -> Result<(), Stop> {
        let mut failures = outcomes.values().filter_map(|outcome| outcome.error.as_ref());
        match failures.find(|failure| failure.passes()) {
            Some(failure) if self.can_be_gone_on_with() => Err(Stop::Failed(failure.clone())),
            _ => Ok(()),
        }
    }

    pub(super) fn mongo(&self) -> &Mongo {
        &self.mongo
    }

    /// Lets the majority catch up with what has been written, where the connection string asks for less: what is read to prove something is read as the majority has it.
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

    /// Reads through what will be changed in place, then loads all collections that can be renamed into place. Nothing that is there changes.
    pub(super) async fn load_beside(&self) -> Result<Outcomes, Stop> {
        let beside = |planned: &Planned| matches!(planned.method, Method::Aside | Method::AsideAfterDrop);
        let broken = self.check_in_place().await?;
        if !broken.is_empty() {
            return Ok(broken);
        }
        let mut outcomes = self
            .load_all(AfterFailure::Stop, |planned| {
                planned.kind != Kind::View && beside(planned)
            })
            .await?;
        // Outcomes that were never begun, or are not done, because of an earlier failure say so.
        for (place, planned) in self.rows() {
            if planned.action.restores() && planned.kind != Kind::View && beside(planned) {
                outcomes.entry(place).or_insert_with(|| Outcome {
                    temporary: self.record.map(|_| self.temporary(place)),
                    ..Outcome::failed(Failure::new(
                        crate::failure::FailureKind::Store,
                        "not begun, because of an earlier failure",
                    ))
                });
            }
        }
        Ok(outcomes)
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

    /// Loads the rows that are chosen, begun in the order in which the archive gives them; small ones several at a time.
    pub(super) async fn load_all(
        &self,
        after: AfterFailure,
        chosen: impl Fn(&Planned) -> bool,
    ) -> Result<Outcomes, Stop> {
        let mut rows = self.chosen(chosen);
        let mut outcomes = Outcomes::new();
        let mut loaded = Vec::new();
        if let Some(record) = self.record {
            rows.retain(|&(place, row)| match (record.outcome(place), record.going(place)) {
                (Some(outcome), _) => {
                    outcomes.insert(place, outcome);
                    false
                }
                (None, Some(going)) if going.whole => {
                    loaded.push((place, row));
                    false
                }
                _ => true,
            });
        }
        let mut paused = false;
        let mut done = |place: usize, outcome: Option<Outcome>, outcomes: &mut Outcomes| {
            let Some(outcome) = outcome else {
                paused = true;
                return true;
            };
            let passes = outcome.error.as_ref().is_some_and(Failure::passes);
            let ends = outcome.error.is_some() && (after == AfterFailure::Stop || passes && self.can_be_gone_on_with());
            let is_final = outcome.error.is_none() || after == AfterFailure::GoOn && !passes;
            if let Some(record) = self.record.filter(|_| is_final) {
                record.put_outcome(place, outcome.clone());
            }
            outcomes.insert(place, outcome);
            ends
        };
        let mut ended = false;
        for (place, row) in loaded {
            if !ended {
                let (place, _, outcome) = self.one(place, row, None).await;
                ended = done(place, outcome, &mut outcomes);
            }
        }
        let wanted = rows.iter().filter_map(|(place, row)| {
            let going = self.record.and_then(|record| record.going(*place));
            let passed = going
                .filter(|_| !self.begins_anew(*place, row))
                .map_or(0, |going| going.passed);
            Some((row.source.clone()?, hashing(row), passed))
        });
        let mut streams = self.prepared.archive.documents_behind(wanted.collect());
        let mut working = FuturesUnordered::new();
        // What has come and has no room yet.
        let mut next: Option<(usize, &'a Planned, CollectionStream)> = None;
        let most = room(self.tools.memory);
        let mut room = most;
        loop {
            if let Some((place, row, stream)) = next.take_if(|(_, row, _)| room >= room_for(row.bytes, most)) {
                room -= room_for(row.bytes, most);
                working.push(self.one(place, row, Some(stream)));
            }
            tokio::select! {
                Some((place, row, outcome)) = working.next(), if !working.is_empty() => {
                    room += room_for(row.bytes, most);
                    // What has been begun is taken to its end, since a driver call must not be dropped half-way; nothing more is begun.
                    if done(place, outcome, &mut outcomes) {
                        ended = true;
                        next = None;
                    }
                }
                stream = streams.recv(), if next.is_none() && !ended => match stream {
                    Some(stream) => {
                        next = of_source(&rows, &stream.name).map(|(place, row)| (place, row, stream));
                    }
                    None => ended = true,
                },
                else => break,
            }
        }
        // It is said what went wrong, rather than to go on with what cannot be put into its place.
        let failed = after == AfterFailure::Stop && outcomes.values().any(|outcome| outcome.error.is_some());
        self.is_ours()?;
        self.keep_what_passes(&outcomes)?;
        match paused && !failed {
            true => Err(Stop::Paused),
            false => Ok(outcomes),
        }
    }

    /// What came of a collection; nothing where the time was up before.
    async fn one(
        &self,
        place: usize,
        row: &'a Planned,
        stream: Option<CollectionStream>,
    ) -> (usize, &'a Planned, Option<Outcome>) {
        let outcome = match self.may_go_on() {
            Err(failure) => Some(Outcome::failed(failure)),
            Ok(()) if self.must_pause() => None,
            Ok(()) => self.load_one(place, row, stream).await,
        };
        (place, row, outcome)
    }

    pub(super) fn temporary(&self, place: usize) -> String {
        format!("{}.{place}", self.temporary)
    }

    async fn load_one(&self, place: usize, row: &'a Planned, stream: Option<CollectionStream>) -> Option<Outcome> {
        let temporary = match row.method {
            Method::Aside | Method::AsideAfterDrop => Some(self.temporary(place)),
            Method::InPlace | Method::None => None,
        };
        let name = temporary.clone().unwrap_or_else(|| row.name.clone());
        self.tools.progress.step(format!("restoring {}", row.name));
        let _alone = stream.as_ref().and_then(CollectionStream::alone);
        let mut outcome = match self.fill((place, row), &name, stream).await {
            Ok(outcome) => outcome?,
            Err(failure) => Outcome::failed(failure.at(&row.name)),
        };
        outcome.temporary = temporary;
        Some(outcome)
    }

    /// Whether what an invocation that died has put into a collection has to go: it would be there twice, or in another order.
    fn begins_anew(&self, place: usize, row: &Planned) -> bool {
        let Some(record) = self
            .record
            .filter(|record| record.crashed && row.action != Action::Merge)
        else {
            return false;
        };
        let going = record.going(place);
        going.is_some_and(|going| !going.whole && (going.passed == 0 || !is_repeatable(self, row)))
    }

    /// Makes the collection as it is to be before the first document; anew, where one of ours may be there.
    pub(super) async fn begin(&self, place: usize, row: &Planned, name: &str, anew: bool) -> Result<Going, Failure> {
        let (mongo, database) = (self.mongo(), self.database());
        if row.action == Action::Merge {
            let mut going = Going::default();
            going.loaded.repeated = self.record.is_some_and(|record| record.crashed);
            return Ok(going);
        }
        let in_place = row.method == Method::InPlace;
        let mut clear = anew || in_place && row.action == Action::Replace;
        if let Some(record) = self.record {
            // Beside there may be what an invocation that died has begun. In place there is nothing of ours unless the record says so.
            clear |= self.begins_anew(place, row) || (record.resumed && !in_place);
            if in_place {
                record.put_going(place, Going::default());
                record.save().await?;
            }
        }
        if clear {
            drop_collection(mongo, database, name).await?;
        }
        create(mongo, database, name, &row.options).await?;
        Ok(Going::default())
    }

    async fn fill(
        &self,
        (place, row): (usize, &'a Planned),
        name: &str,
        stream: Option<CollectionStream>,
    ) -> Result<Option<Outcome>, Failure> {
        let (mongo, database) = (self.mongo(), self.database());
        let going = self.record.and_then(|record| record.going(place));
        let mut going = match going.filter(|_| !self.begins_anew(place, row)) {
            Some(mut going) => {
                going.loaded.repeated |=
                    !going.whole && row.action == Action::Merge && self.record.is_some_and(|record| record.crashed);
                going
            }
            None => self.begin(place, row, name, false).await?,
        };
        let loader = Loader::new(self, row, name);
        let sample = match stream.filter(|_| !going.whole) {
            Some(stream) => match Box::pin(self.load_anew(&loader, (place, row, name), stream, &going)).await? {
                Load::Paused => return Ok(None),
                Load::Whole(loaded, sample) => {
                    going.loaded = *loaded;
                    going.whole = true;
                    self.keep(place, row, &going).await?;
                    sample
                }
            },
            None => loader.sample_again().await?,
        };
        if self.must_pause() {
            return Ok(None);
        }
        let failed_indexes = match &going.failed_indexes {
            Some(failed) => failed.clone(),
            None => {
                let which = Which::Lasting;
                let options = self.options_in_force(row);
                let failed = indexes::build(mongo, (database, name), options, &row.indexes, which).await?;
                going.failed_indexes = Some(failed.clone());
                self.keep(place, row, &going).await?;
                if self.must_pause() {
                    return Ok(None);
                }
                failed
            }
        };
        self.tools.progress.step(format!("reading {} back", row.name));
        self.settle().await?;
        let uuid = match row.method {
            Method::InPlace => mongo.uuids(database).await?.remove(name).flatten(),
            // Of what is loaded beside they are asked for all at once.
            _ => None,
        };
        let Some(read) = loader.read_back(place, &going).await? else {
            return Ok(None);
        };
        let loaded = going.loaded;
        let (validator_violations, violating) = violations(mongo, database, name, self.options_in_force(row))
            .await?
            .unzip();
        Ok(Some(Outcome {
            validator_violations,
            violating: violating.unwrap_or_default(),
            loaded,
            database: Some(read),
            sample: sample.compare(mongo, database, name).await?,
            failed_indexes,
            uuid,
            ..Outcome::default()
        }))
    }

    /// Loads a collection. One into which nothing can be sent twice is begun anew where it is not known what has arrived.
    async fn load_anew(
        &self,
        loader: &Loader<'_>,
        (place, row, name): (usize, &'a Planned, &str),
        stream: CollectionStream,
        going: &Going,
    ) -> Result<Load, Failure> {
        let mut attempts = self.mongo().attempts();
        let mut loaded = Box::pin(loader.load(place, stream, going.clone())).await;
        while let Err(failure) = &loaded
            && failure.passes()
            && row.action != Action::Merge
            && !is_repeatable(self, row)
            && attempts.again().await
        {
            tracing::warn!(collection = row.name, %failure, "loaded anew");
            let begun = Box::pin(self.begin(place, row, name, true)).await?;
            let source = row.source.clone().unwrap_or_default();
            let mut streams = self.prepared.archive.documents(vec![(source, hashing(row))]);
            let Some(stream) = streams.recv().await else { break };
            loaded = Box::pin(loader.load(place, stream, begun)).await;
        }
        loaded
    }

    /// Keeps what would take long to do again: at once where it is much, or else with the next state.
    async fn keep(&self, place: usize, row: &Planned, going: &Going) -> Result<(), Failure> {
        let Some(record) = self.record else { return Ok(()) };
        record.put_going(place, going.clone());
        record.has_moved();
        match row.bytes >= LARGE {
            true => record.save_if_possible().await,
            false => Ok(()),
        }
    }
}

/// What temporary collections are called, apart from a number: no two restores give them the same name.
pub(super) fn fresh_temporary() -> String {
    let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    format!("{TEMPORARY_PREFIX}{:x}.{nanos:x}", std::process::id())
}

/// What becomes of the other collections where one cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Nothing has been changed yet, and nothing will be.
    Stop,
    /// Other collections have been changed already: the rest is not made better by leaving it out.
    GoOn,
}

/// The row that is filled from that collection of the archive.
pub(super) fn of_source<'a>(rows: &[(usize, &'a Planned)], source: &str) -> Option<(usize, &'a Planned)> {
    rows.iter()
        .find(|(_, row)| row.source.as_deref() == Some(source))
        .copied()
}

/// What of a row's documents is hashed.
pub(super) fn hashing(row: &Planned) -> Hashing {
    row.fingerprint.map_or(Hashing::Raw, |fingerprint| fingerprint.hashing)
}
