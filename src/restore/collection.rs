//! One collection's steps: created, loaded, indexed, read back.

use super::create::{create, drop_collection, hold_to_constraint, is_held_to_constraint};
use super::indexes::{self, Which};
use super::load::{Load, Loader, is_repeatable};
use super::outcome::Outcome;
use super::record::Going;
use super::sample::Sample;
use super::violations::violations;
use super::work::{Restoring, hashing};
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::open::CollectionStream;
use crate::plan::{Action, Method, Planned};
use crate::wording::first_few;

/// A collection of so many bytes is worth a state of its own.
const LARGE: u64 = 64 << 20;

/// The failure of a run that does not wait for indexes any more, with what becomes of the collection.
fn not_waited_for(row: &Planned, failure: Failure) -> Failure {
    if failure.kind != FailureKind::Cancelled {
        return failure;
    }
    let indexes = first_few(indexes::names(&row.indexes, Which::Lasting));
    let state = match row.method {
        Method::InPlace => {
            "its documents are in, and were not compared, and the server may go on building; the same restore goes on from there"
        }
        _ => "it was loaded beside, and what it was to replace is as it was",
    };
    let why = format!("the run was cancelled while the server was building {indexes}: {state}");
    Failure::new(failure.kind, why)
}

impl<'a> Restoring<'a> {
    /// What came of a collection; nothing if the time was up before.
    pub(super) async fn load_one(
        &self,
        place: usize,
        row: &'a Planned,
        stream: Option<CollectionStream>,
    ) -> Option<Outcome> {
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

    /// Whether what an invocation that died has put into a collection has to go: it would be there twice, or in another
    /// order.
    pub(super) fn begins_anew(&self, place: usize, row: &Planned) -> bool {
        if !self.record.journal.has_died() || row.action == Action::Merge {
            return false;
        }
        let going = self.record.going(place);
        going.is_some_and(|going| !going.whole && (going.passed == 0 || !is_repeatable(self, row)))
    }

    /// Makes the collection as it is to be before the first document; anew, where one of ours may be there.
    pub(super) async fn begin(&self, place: usize, row: &Planned, name: &str, anew: bool) -> Result<Going, Failure> {
        let (mongo, database) = (self.mongo(), self.database());
        if row.action == Action::Merge {
            let mut going = Going::default();
            going.loaded.repeated = self.record.journal.has_died();
            return Ok(going);
        }
        let in_place = row.method == Method::InPlace;
        // Beside there may be what an invocation that died has begun. In place there is nothing of ours unless the
        // record says so.
        let clear = anew
            || in_place && row.action == Action::Replace
            || self.begins_anew(place, row)
            || self.record.journal.is_resumed() && !in_place;
        if in_place {
            self.record.put_going(place, Going::default());
            self.record.save().await?;
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
        let going = self.record.going(place);
        let mut going = match going.filter(|_| !self.begins_anew(place, row)) {
            Some(mut going) => {
                going.loaded.repeated |= !going.whole && row.action == Action::Merge && self.record.journal.has_died();
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
        match Box::pin(self.finish_one((place, row, name), &loader, &mut going, sample)).await {
            // What was counted is told all the same, and which documents were refused.
            Err(failure) => Ok(Some(Outcome {
                loaded: going.loaded,
                failed_indexes: going.failed_indexes.unwrap_or_default(),
                error: Some(failure.at(&row.name)),
                ..Outcome::default()
            })),
            finished => finished,
        }
    }

    /// Everything behind the last document.
    async fn finish_one(
        &self,
        (place, row, name): (usize, &'a Planned, &str),
        loader: &Loader<'_>,
        going: &mut Going,
        sample: Sample,
    ) -> Result<Option<Outcome>, Failure> {
        let (mongo, database) = (self.mongo(), self.database());
        let failed_indexes = match &going.failed_indexes {
            Some(failed) => failed.clone(),
            None => {
                let which = Which::Lasting;
                let options = self.options_in_force(row);
                let built = indexes::build(mongo, (database, name), options, &row.indexes, which);
                let built = self.unless_it_must_end(built).await;
                let Some(failed) = built.map_err(|failure| not_waited_for(row, failure))? else {
                    return Ok(None);
                };
                going.failed_indexes = Some(failed.clone());
                self.keep(place, row, going).await?;
                if self.must_pause() {
                    return Ok(None);
                }
                failed
            }
        };
        let held = self.hold_to_constraint(row, name);
        let Some(broken) = self.unless_it_must_end(held).await? else {
            return Ok(None);
        };
        self.tools.progress.step(format!("reading {} back", row.name));
        self.settle().await?;
        let uuid = match row.method {
            Method::InPlace => mongo.uuids(database).await?.remove(name).flatten(),
            // Of what is loaded beside they are asked for all at once.
            _ => None,
        };
        let Some(read) = loader.read_back(place, going).await? else {
            return Ok(None);
        };
        let loaded = going.loaded.clone();
        self.count_measurements(row, name, loaded.rejected).await?;
        let (validator_violations, violating) = violations(mongo, database, name, self.options_in_force(row))
            .await?
            .unzip();
        Ok(Some(Outcome {
            validator_violations,
            violating: violating.unwrap_or_default(),
            loaded,
            database: Some(read),
            sample: sample.compare(mongo, database, row.goes_into(name).1).await?,
            failed_indexes,
            uuid,
            error: broken.map(Failure::from),
            ..Outcome::default()
        }))
    }

    /// Why a validator that is to be a constraint is none.
    async fn hold_to_constraint(&self, row: &Planned, name: &str) -> Result<Option<MongoError>, MongoError> {
        let (mongo, database) = (self.mongo(), self.database());
        if row.action == Action::Merge {
            return Ok(None);
        }
        match hold_to_constraint(mongo, database, name, &row.options).await {
            Ok(()) => Ok(None),
            Err(error) if error.may_pass() => Err(error),
            Err(_) if is_held_to_constraint(mongo, database, name).await? => Ok(None),
            Err(error) => Ok(Some(error)),
        }
    }

    /// Buckets are equal as they are; what a server makes of them must be as many measurements as they hold.
    async fn count_measurements(&self, row: &Planned, name: &str, refused: u64) -> Result<(), Failure> {
        let Some(buckets) = &row.buckets else { return Ok(()) };
        let there = self.mongo().exact_count(self.database(), name).await?;
        if there == buckets.measurements {
            return Ok(());
        }
        let (all, wanted) = (row.documents, buckets.measurements);
        Err(Failure::new(
            FailureKind::Database,
            match refused {
                0 => {
                    format!("its buckets are in, but the server finds {there} measurements in them instead of {wanted}")
                }
                _ => format!(
                    "the server refused {refused} of its {all} buckets, and finds {there} measurements in the others; the archive \
                     has {wanted}"
                ),
            },
        ))
    }

    /// Loads a collection. One into which nothing can be sent twice is begun anew where it is not known what has
    /// arrived.
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
        self.record.put_going(place, going.clone());
        self.record.has_moved();
        match row.bytes >= LARGE {
            true => self.record.save_if_possible().await,
            false => Ok(()),
        }
    }
}
