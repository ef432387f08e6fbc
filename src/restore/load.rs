//! Documents go in raw: as many inserts at a time as help the server, every document accounted for.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::counted::Loaded;
use super::flow::LoadFlow;
use super::goal::Goal;
use super::ids::KeptIds;
use super::record::Going;
use super::sample::Sample;
use super::stride::Stride;
use super::work::{Restoring, hashing};
use crate::catalog::is_constraint;
use crate::digest::Digest;
use crate::failure::Failure;
use crate::mongo::{IdList, Order, Validation};
use crate::mongo::{ReadBack, ReadSoFar, is_read_at_one_go, read_at_one_go, read_back_ids, read_back_until};
use crate::open::CollectionStream;
use crate::open::{Keeper, not_what_was_promised};
use crate::plan::{Action, Method, Planned, Validators};
use crate::run::{AT_LEAST_EVERY, Pool, SAVED_EVERY};

/// Inserts on their way into one collection, where memory is not scarce: what keeps the cores of a small server busy.
const WORKERS: u64 = 4;
/// What one takes, in bytes, where documents are small: the command made of a segment's, and what the driver makes of
/// that.
const WORKER: u64 = 8 << 20;
/// How much of the memory budget they may take, in hundredths.
const WORKERS_SHARE: u64 = 40;

/// How far a load came.
#[derive(Debug)]
pub(super) enum Load {
    /// All documents are in.
    Whole(Box<Loaded>, Sample),
    /// The time was up.
    Paused,
}

/// Loads one collection.
pub(super) struct Loader<'a> {
    run: &'a Restoring<'a>,
    row: &'a Planned,
    goal: Arc<Goal>,
    /// The `_id`s of all documents that were merged, where they were kept.
    ids: OnceLock<KeptIds>,
}

/// Whether documents can be sent twice and are there once, in no other order.
pub(super) fn is_repeatable(run: &Restoring, row: &Planned) -> bool {
    let timeseries = row.kind == crate::catalog::Kind::Timeseries;
    let capped = run.options_in_force(row).get_bool("capped") == Some(true);
    !timeseries && (!capped || row.action == Action::Merge)
}

impl<'a> Loader<'a> {
    pub(super) fn new(run: &'a Restoring<'a>, row: &'a Planned, name: &str) -> Self {
        let timeseries = row.kind == crate::catalog::Kind::Timeseries;
        let capped = run.options_in_force(row).get_bool("capped") == Some(true);
        let keeps_a_constraint = row.action == Action::Merge && is_constraint(run.options_in_force(row));
        let repeatable = is_repeatable(run, row);
        let (_, collection) = row.goes_into(name);
        Self {
            run,
            row,
            ids: OnceLock::new(),
            goal: Arc::new(Goal {
                tools: crate::backup::Tools {
                    mongo: run.mongo().clone(),
                    ..run.tools.clone()
                },
                claim: run.lock.claim(),
                database: run.database().to_owned(),
                collection: collection.to_owned(),
                action: row.action,
                // In a merge the documents that are there must not keep the others out; one writer keeps the order all
                // the same.
                order: match capped && row.action != Action::Merge {
                    true => Order::Kept,
                    false => Order::Free,
                },
                workers: match capped {
                    true => 1,
                    false => {
                        usize::try_from((run.tools.memory.share(WORKERS_SHARE) / WORKER).clamp(1, WORKERS)).unwrap_or(1)
                    }
                },
                sending: Pool::of(run.tools.memory.share(WORKERS_SHARE)),
                validation: match run.job.policy.validators {
                    // Buckets must never be written past their own validator, and nothing can past a constraint.
                    Validators::Bypass if timeseries || keeps_a_constraint => Validation::Enforced,
                    Validators::Bypass => Validation::Bypassed,
                    Validators::Enforce => Validation::Enforced,
                },
                repeatable: !timeseries,
                batch_size: usize::try_from(run.job.batch_size).unwrap_or(usize::MAX),
                again: repeatable && run.record.journal.has_died(),
            }),
        }
    }

    fn keeper(&self) -> Keeper<'a> {
        let source = self.row.source.as_deref().unwrap_or_default();
        Keeper::new(source, self.row.goes_into("").0, &self.row.options, hashing(self.row))
    }

    /// Takes a collection's documents to their end, from where `going` is; or pauses near the deadline, with what was
    /// done in the record.
    pub(super) async fn load(&self, place: usize, stream: CollectionStream, going: Going) -> Result<Load, Failure> {
        let mut sample = self.sample();
        let begun_at = going.passed;
        let mut flow = self.flow(begun_at, going.loaded);
        let taken = self.take(Some(place), stream, begun_at, (&mut flow, &mut sample)).await;
        let settled = flow.settle().await;
        if !taken.and_then(|whole| settled.map(|()| whole))? {
            self.run.record.put_going(place, flow.so_far());
            return Ok(Load::Paused);
        }
        if let Some(ids) = flow.ids.take() {
            // Loaded twice is nothing that is merged.
            let _ = self.ids.set(ids);
        }
        if begun_at > 0 {
            sample = self.sample_again().await?;
        }
        Ok(Load::Whole(
            Box::new(self.check_against_manifest(flow.so_far().loaded)?),
            sample,
        ))
    }

    /// Whether everything was sent; else the time was up. How far it is goes into the record where the collection has a
    /// place there.
    async fn take(
        &self,
        place: Option<usize>,
        mut stream: CollectionStream,
        begun_at: u64,
        (flow, sample): (&mut LoadFlow<'_>, &mut Sample),
    ) -> Result<bool, Failure> {
        let mut left_out = begun_at.saturating_sub(stream.passed);
        let mut saved_at = Instant::now();
        loop {
            let Ok(next) = timeout(AT_LEAST_EVERY, stream.chunks.recv()).await else {
                self.may_go_on()?;
                if self.run.must_pause() {
                    return Ok(false);
                }
                continue;
            };
            let Some(chunk) = next.transpose()? else {
                return Ok(true);
            };
            let documents = chunk.digest.documents();
            let behind = chunk.behind(left_out, hashing(self.row));
            left_out = left_out.saturating_sub(documents);
            let Some(chunk) = behind else { continue };
            let mut pieces = chunk.pieces(hashing(self.row));
            while let Some(piece) = pieces.next(flow.stride.documents()) {
                self.may_go_on()?;
                if self.run.must_pause() {
                    return Ok(false);
                }
                if let Some(place) = place
                    && self.run.record.is_kept()
                    && saved_at.elapsed() >= SAVED_EVERY
                {
                    flow.settle().await?;
                    self.run.record.put_going(place, flow.so_far());
                    self.run.record.save_if_possible().await?;
                    saved_at = Instant::now();
                }
                self.run.record.has_moved();
                let piece = flow.keep(piece);
                sample.take(piece.documents());
                flow.send(piece).await?;
            }
        }
    }

    /// What is loaded beside can be left at any time; what is changed in place has been begun, and is taken to its end
    /// as long as it is ours.
    fn may_go_on(&self) -> Result<(), Failure> {
        match self.row.method {
            Method::InPlace => self.run.is_still_ours(),
            _ => self.run.may_go_on(),
        }
    }

    /// Takes a stretch of a collection's documents in, as a worker does, from where `going` is; says whether that is
    /// all of them, or the time was up.
    pub(super) async fn load_stretch(&self, stream: CollectionStream, going: Going) -> Result<(Going, bool), Failure> {
        let begun_at = going.passed;
        let mut flow = self.flow(begun_at, going.loaded);
        let nothing = &mut Sample::new(0, hashing(self.row));
        let taken = self.take(None, stream, begun_at, (&mut flow, nothing)).await;
        let settled = flow.settle().await;
        let whole = taken.and_then(|whole| settled.map(|()| whole))?;
        Ok((flow.so_far(), whole))
    }

    /// For documents behind so many, of which so much is known.
    fn flow(&self, passed: u64, loaded: Loaded) -> LoadFlow<'a> {
        LoadFlow {
            row: self.row,
            goal: Arc::clone(&self.goal),
            keeper: self.keeper().behind(passed, loaded.ids_given),
            loaded,
            ids: self.keeps_ids(passed).then(|| KeptIds::within(&self.run.ids)),
            stride: match self.row.action {
                Action::Merge => Stride::MERGES,
                _ => Stride::INSERTS,
            },
            working: JoinSet::new(),
        }
    }

    /// Whether `_id`s are kept: of all documents, of what is merged, from an archive that would have to be read through
    /// again.
    fn keeps_ids(&self, passed: u64) -> bool {
        passed == 0 && self.row.action == Action::Merge && self.run.prepared.archive.manifest().is_none()
    }

    fn sample(&self) -> Sample {
        Sample::new(self.run.job.verify_sample_size, hashing(self.row))
    }

    /// The first documents once more, for an invocation that did not see them.
    pub(super) async fn sample_again(&self) -> Result<Sample, Failure> {
        let (mut sample, mut keeper) = (self.sample(), self.keeper());
        let source = self.row.source.clone().unwrap_or_default();
        let mut streams = self.run.prepared.archive.documents(vec![(source, hashing(self.row))]);
        if let Some(mut stream) = streams.recv().await {
            while !sample.is_full()
                && let Some(chunk) = stream.chunks.recv().await
            {
                sample.take(keeper.keep(chunk?).documents());
            }
        }
        Ok(sample)
    }

    /// The archive must give what its manifest says, or nothing that was read of it can be trusted.
    fn check_against_manifest(&self, loaded: Loaded) -> Result<Loaded, Failure> {
        match self.row.expected_digest() {
            Some(expected) if expected != loaded.read => Err(not_what_was_promised(&loaded.read, &expected)),
            _ => Ok(loaded),
        }
    }

    /// What the database has of the documents that were loaded; nothing if the time was up, with what was read in
    /// the record.
    ///
    /// Of a merge: where it has no others, that is all it has; else they are read by their `_id`s.
    pub(super) async fn read_back(&self, place: usize, going: &Going) -> Result<Option<Digest>, Failure> {
        let read = match (&going.read, self.row.action) {
            (&ReadSoFar::ById { documents, digest }, _) => self.read_by_ids((documents, digest), &going.loaded).await?,
            (_, Action::Merge) => match self.read_all(going).await? {
                ReadBack::Whole(all) if all != going.loaded.archive => {
                    self.read_by_ids((0, Digest::default()), &going.loaded).await?
                }
                read => read,
            },
            _ => self.read_all(going).await?,
        };
        match read {
            ReadBack::Whole(digest) => Ok(Some(digest)),
            ReadBack::Paused(read) => {
                self.run.record.put_going(place, Going { read, ..going.clone() });
                Ok(None)
            }
        }
    }

    /// Everything that the collection has.
    async fn read_all(&self, going: &Going) -> Result<ReadBack, Failure> {
        let Goal {
            tools,
            database,
            collection,
            ..
        } = &*self.goal;
        let (name, expected) = ((database.as_str(), collection.as_str()), &going.loaded.archive);
        let (hashing, average) = (hashing(self.row), expected.average());
        if self.row.kind == crate::catalog::Kind::Timeseries || is_read_at_one_go(hashing, expected.bytes()) {
            let whole = Box::pin(read_at_one_go(&tools.mongo, name, (hashing, average))).await?;
            return Ok(ReadBack::Whole(whole));
        }
        let pause = || {
            self.run.record.has_moved();
            self.run.must_pause()
        };
        let so_far = going.read.clone();
        Ok(Box::pin(read_back_until(&tools.mongo, name, (hashing, average), so_far, pause)).await?)
    }

    /// The documents whose `_id`s were kept.
    async fn read_by_kept_ids(&self, ids: &KeptIds, average: u64) -> Result<ReadBack, Failure> {
        let name = (self.goal.database.as_str(), self.goal.collection.as_str());
        let (mut documents, mut sum) = (0, Digest::default());
        for list in ids.lists() {
            sum.merge(&read_back_ids(&self.goal.tools.mongo, name, (list, average), hashing(self.row)).await?);
            documents += list.len() as u64;
            self.run.record.has_moved();
            if self.run.must_pause() {
                let read = ReadSoFar::ById { documents, digest: sum };
                return Ok(ReadBack::Paused(read));
            }
        }
        Ok(ReadBack::Whole(sum))
    }

    /// The archive's documents, looked up by their `_id`s, behind so many.
    async fn read_by_ids(&self, (behind, so_far): (u64, Digest), loaded: &Loaded) -> Result<ReadBack, Failure> {
        let Goal {
            tools,
            database,
            collection,
            ..
        } = &*self.goal;
        let name = (database.as_str(), collection.as_str());
        let (hashing, average) = (hashing(self.row), loaded.archive.average());
        if let Some(ids) = self.ids.get().filter(|_| behind == 0) {
            return self.read_by_kept_ids(ids, average).await;
        }
        let source = self.row.source.clone().unwrap_or_default();
        let wanted = vec![(source, hashing, behind)];
        let mut streams = self.run.prepared.archive.documents_behind(wanted);
        let (mut sum, mut stride) = (so_far, Stride::INSERTS);
        let mut keeper = self.keeper().behind(behind, 0);
        while let Some(mut stream) = streams.recv().await {
            let mut left_out = behind.saturating_sub(stream.passed);
            while let Some(chunk) = stream.chunks.recv().await {
                let chunk = chunk?;
                let documents = chunk.digest.documents();
                let rest = chunk.behind(left_out, hashing);
                left_out = left_out.saturating_sub(documents);
                let Some(chunk) = rest else { continue };
                let mut pieces = chunk.pieces(hashing);
                while let Some(piece) = pieces.next(stride.documents()) {
                    let began = Instant::now();
                    let piece = keeper.keep(piece);
                    let mut ids = IdList::default();
                    for document in piece.documents() {
                        if ids.is_full() {
                            sum.merge(&read_back_ids(&tools.mongo, name, (&ids, average), hashing).await?);
                            ids = IdList::default();
                        }
                        ids.push(document);
                    }
                    sum.merge(&read_back_ids(&tools.mongo, name, (&ids, average), hashing).await?);
                    stride.learn(piece.digest.documents(), began.elapsed());
                    self.run.record.has_moved();
                    if self.run.must_pause() {
                        return Ok(ReadBack::Paused(ReadSoFar::ById {
                            documents: keeper.passed(),
                            digest: sum,
                        }));
                    }
                }
            }
        }
        Ok(ReadBack::Whole(sum))
    }
}
