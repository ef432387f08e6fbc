//! One collection's way: created, loaded, indexed, read back. And which of them go beside, which in place.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::create::{create, drop_collection};
use super::indexes::{self, Which};
use super::load::{Loaded, Loader, not_what_was_promised};
use super::lock::Lock;
use super::readback::read_back;
use super::sample::SampleHashes;
use super::{Prepared, RestoreJob};
use crate::backup::{Tools, cancelled};
use crate::catalog::{Definition, Kind};
use crate::digest::{Digest, Hashing};
use crate::failure::Failure;
use crate::mongo::{Mongo, MongoError};
use crate::open::{CollectionStream, ROOM, room_for};
use crate::plan::{Action, Method, Planned, TEMPORARY_PREFIX};

/// How many documents that a validator would refuse are named; all are counted.
const NAMED: u32 = 20;

/// A restore that is being carried out.
pub(super) struct Run<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) job: &'a RestoreJob,
    pub(super) tools: &'a Tools,
    pub(super) lock: &'a Lock,
    /// What temporary collections of this run are called, apart from a number.
    temporary: String,
}

/// What became of one planned collection.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What the load counted.
    pub(super) loaded: Loaded,
    /// What the database has of it.
    pub(super) database: Option<Digest>,
    /// What the sample came to. Taken before the commit: after it documents may expire.
    pub(super) sample: Option<SampleHashes>,
    /// Indexes that could not be built, and why.
    pub(super) failed_indexes: Vec<(String, MongoError)>,
    /// Where it was loaded beside; gone after the commit.
    pub(super) temporary: Option<String>,
    /// What went wrong; the collection is then not what was planned.
    pub(super) error: Option<Failure>,
    /// How many documents the collection's validator would refuse.
    pub(super) validator_violations: Option<u64>,
    /// The `_id`s of some of them.
    pub(super) violating: Vec<String>,
}

/// What became of each planned collection, by its place in the plan.
pub(super) type Outcomes = BTreeMap<usize, Outcome>;

impl Outcome {
    pub(super) fn failed(error: impl Into<Failure>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::default()
        }
    }

    /// Whether it may take the place of another collection: every document and index of the archive is there.
    pub(super) fn may_replace(&self) -> bool {
        self.documents_are_equal()
            && self.failed_indexes.is_empty()
            && self.sample.as_ref().is_none_or(SampleHashes::are_equal)
    }

    /// Whether every document of the archive is in the database, and was read back as it is there.
    pub(super) fn documents_are_equal(&self) -> bool {
        self.error.is_none() && self.loaded.rejected == 0 && self.database == Some(self.loaded.archive)
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(prepared: &'a Prepared, job: &'a RestoreJob, tools: &'a Tools, lock: &'a Lock) -> Self {
        let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        Self {
            prepared,
            job,
            tools,
            lock,
            temporary: format!("{TEMPORARY_PREFIX}{:x}.{nanos:x}", std::process::id()),
        }
    }

    /// Asked between collections.
    ///
    /// # Errors
    /// Where the run was cancelled, or has lost its lock.
    pub(super) fn may_go_on(&self) -> Result<(), Failure> {
        match self.tools.cancel.is_cancelled() {
            true => Err(cancelled()),
            false => self.lock.check(),
        }
    }

    pub(super) fn mongo(&self) -> &Mongo {
        &self.tools.mongo
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

    /// The plan's rows with their places.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &'a Planned)> {
        self.prepared.plan.collections.iter().enumerate()
    }

    /// Reads through what will be changed in place, then loads all collections that can be renamed into place. Nothing that is there changes.
    pub(super) async fn load_beside(&self) -> Outcomes {
        let beside = |planned: &Planned| matches!(planned.method, Method::Aside | Method::AsideAfterDrop);
        let broken = self.check_in_place().await;
        if !broken.is_empty() {
            return broken;
        }
        let mut outcomes = self
            .load_all(AfterFailure::Stop, |planned| {
                planned.kind != Kind::View && beside(planned)
            })
            .await;
        // Outcomes that were never begun because of an earlier failure say so.
        for (place, planned) in self.rows() {
            if planned.action.restores() && planned.kind != Kind::View && beside(planned) {
                outcomes.entry(place).or_insert_with(|| {
                    Outcome::failed(Failure::new(
                        crate::failure::FailureKind::Store,
                        "not begun, because of an earlier failure",
                    ))
                });
            }
        }
        outcomes
    }

    /// What is loaded beside is checked by loading it. What is changed in place would be half changed by the time at which damage shows, so it is
    /// read twice. (An archive of others has been read through already, to survey it.) Only failures are returned.
    async fn check_in_place(&self) -> Outcomes {
        let in_place = |row: &Planned| row.method == Method::InPlace && row.kind != Kind::View;
        let mut broken = Outcomes::new();
        if self.prepared.archive.manifest().is_none() {
            return broken;
        }
        let rows: Vec<(usize, &Planned)> = self.chosen(in_place);
        let mut streams = self.prepared.archive.documents(wanted(&rows));
        while let Some(mut stream) = streams.recv().await {
            let Some((place, row)) = of_source(&rows, &stream.name) else {
                continue;
            };
            self.tools.progress.step(format!("checking {}", row.name));
            let mut read = Digest::default();
            let checked = loop {
                if self.tools.cancel.is_cancelled() {
                    break Err(cancelled());
                }
                match stream.chunks.recv().await {
                    Some(Ok(chunk)) => read.merge(&chunk.digest),
                    Some(Err(failure)) => break Err(failure),
                    None => {
                        break match row.expected_digest() {
                            Some(expected) if expected != read => Err(not_what_was_promised(&read, &expected)),
                            _ => Ok(()),
                        };
                    }
                }
            };
            if let Err(failure) = checked {
                broken.insert(place, Outcome::failed(failure.at(&row.name)));
                break;
            }
        }
        broken
    }

    fn chosen(&self, chosen: impl Fn(&Planned) -> bool) -> Vec<(usize, &'a Planned)> {
        self.rows()
            .filter(|(_, row)| row.action.restores() && chosen(row))
            .collect()
    }

    /// Loads the rows that are chosen, begun in the order in which the archive gives them; small ones several at a time.
    pub(super) async fn load_all(&self, after: AfterFailure, chosen: impl Fn(&Planned) -> bool) -> Outcomes {
        let rows = self.chosen(chosen);
        let mut outcomes = Outcomes::new();
        if rows.is_empty() {
            return outcomes;
        }
        let mut streams = self.prepared.archive.documents(wanted(&rows));
        let mut working = FuturesUnordered::new();
        // What has come and has no room yet.
        let mut next: Option<(usize, &'a Planned, CollectionStream)> = None;
        let (mut room, mut ended) = (ROOM, false);
        loop {
            if let Some((place, row, stream)) = next.take_if(|(_, row, _)| room >= room_for(row.bytes)) {
                room -= room_for(row.bytes);
                working.push(self.one(place, row, stream));
            }
            tokio::select! {
                Some((place, row, outcome)) = working.next(), if !working.is_empty() => {
                    room += room_for(row.bytes);
                    // What has been begun is taken to its end, since a driver call must not be dropped half-way; nothing more is begun.
                    if outcome.error.is_some() && after == AfterFailure::Stop {
                        ended = true;
                        next = None;
                    }
                    outcomes.insert(place, outcome);
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
        outcomes
    }

    async fn one(&self, place: usize, row: &'a Planned, stream: CollectionStream) -> (usize, &'a Planned, Outcome) {
        let outcome = match self.may_go_on() {
            Err(failure) => Outcome::failed(failure),
            Ok(()) => self.load_one(place, row, stream).await,
        };
        (place, row, outcome)
    }

    async fn load_one(&self, place: usize, row: &'a Planned, stream: CollectionStream) -> Outcome {
        let temporary = match row.method {
            Method::Aside | Method::AsideAfterDrop => Some(format!("{}.{place}", self.temporary)),
            Method::InPlace | Method::None => None,
        };
        let name = temporary.clone().unwrap_or_else(|| row.name.clone());
        self.tools.progress.step(format!("restoring {}", row.name));
        let mut outcome = match self.fill(row, &name, stream).await {
            Ok(outcome) => outcome,
            Err(failure) => Outcome::failed(failure.at(&row.name)),
        };
        outcome.temporary = temporary;
        outcome
    }

    async fn fill(&self, row: &'a Planned, name: &str, stream: CollectionStream) -> Result<Outcome, Failure> {
        let (mongo, database) = (self.mongo(), self.database());
        if row.action == Action::Replace && row.method == Method::InPlace {
            drop_collection(mongo, database, name).await?;
        }
        if row.action != Action::Merge {
            create(mongo, database, name, &row.options).await?;
        }
        let loader = Loader::new(self, row, name);
        let (loaded, sample) = loader.load(stream).await?;
        let failed_indexes = indexes::build(
            mongo,
            (database, name),
            self.options_in_force(row),
            &row.indexes,
            Which::Lasting,
        )
        .await;
        self.tools.progress.step(format!("reading {} back", row.name));
        let read = match row.action {
            Action::Merge => loader.read_back_merged(&loaded).await?,
            _ => read_back(mongo, database, name, hashing(row)).await?,
        };
        let (validator_violations, violating) = violations(mongo, database, name, self.options_in_force(row))
            .await?
            .unzip();
        Ok(Outcome {
            validator_violations,
            violating: violating.unwrap_or_default(),
            loaded,
            database: Some(read),
            sample: sample.compare(mongo, database, name).await?,
            failed_indexes,
            ..Outcome::default()
        })
    }
}

/// What becomes of the other collections where one cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Nothing has been changed yet, and nothing will be.
    Stop,
    /// Other collections have been changed already: the rest is not made better by leaving it out.
    GoOn,
}

fn wanted(rows: &[(usize, &Planned)]) -> Vec<(String, Hashing)> {
    rows.iter()
        .filter_map(|(_, row)| Some((row.source.clone()?, hashing(row))))
        .collect()
}

fn of_source<'a>(rows: &[(usize, &'a Planned)], source: &str) -> Option<(usize, &'a Planned)> {
    rows.iter()
        .find(|(_, row)| row.source.as_deref() == Some(source))
        .copied()
}

/// What of a row's documents is hashed.
pub(super) fn hashing(row: &Planned) -> Hashing {
    row.fingerprint.map_or(Hashing::Raw, |fingerprint| fingerprint.hashing)
}

/// How many documents the collection's own validator would refuse today, and the `_id`s of some.
async fn violations(
    mongo: &Mongo,
    database: &str,
    name: &str,
    options: &Definition,
) -> Result<Option<(u64, Vec<String>)>, MongoError> {
    let Some(validator) = options
        .get_document("validator")
        .filter(|validator| !validator.is_empty())
    else {
        return Ok(None);
    };
    let count = mongo.count_violations(database, name, validator).await?;
    let some = match count {
        0 => Vec::new(),
        _ => mongo.some_violations(database, name, validator, NAMED).await?,
    };
    Ok(Some((count, some)))
}
