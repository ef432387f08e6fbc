//! Documents go in raw: as many inserts at a time as the server has use for, every document accounted for.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::collection::{Run, hashing};
use super::kept::Keeper;
use super::merge::{MergeCounts, merge};
use super::readback::{read_back, read_back_ids};
use super::record::Going;
use super::report::RejectedDocument;
use super::sample::Sample;
use crate::backup::Tools;
use crate::continued::SAVED_EVERY;
use crate::digest::Digest;
use crate::elements::Elements;
use crate::failure::Failure;
use crate::mongo::{IdList, InsertBatch, MongoError, Order, Rejected, Validation, id_text};
use crate::open::{Chunk, CollectionStream};
use crate::plan::{Action, Method, Planned, Validators};

/// Inserts on their way into one collection, where memory is not scarce: what keeps the cores of a small server busy.
const WORKERS: u64 = 4;
/// What one takes: the documents of a segment, the command made of them, and what the driver makes of that, in bytes.
const WORKER: u64 = 8 << 20;
/// How much of the memory budget they may take, in hundredths.
const WORKERS_SHARE: u64 = 40;
/// How many refused documents of a collection are named in the report, which has to stay readable; all are counted, and all are named in the log.
const NAMED: usize = 1_000;
/// How often a batch is sent when the connection breaks or the primary changes.
const TRIES: u32 = 5;

/// What a load counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Loaded {
    /// The digest of the archive's documents, as a server keeps them.
    pub(super) archive: Digest,
    /// The digest of what was read, as it stands in the archive.
    pub(super) read: Digest,
    /// How many documents had no `_id`, and were given one.
    pub(super) ids_given: u64,
    /// How many documents are in the collection now that were not.
    pub(super) inserted: u64,
    /// What a merge found.
    pub(super) merged: Option<MergeCounts>,
    /// How many documents the server refused.
    pub(super) rejected: u64,
    /// Each of them, up to [`NAMED`].
    pub(super) rejections: Vec<RejectedDocument>,
    /// Whether some of the documents may have been merged by an invocation that died, and count as unchanged.
    #[serde(default)]
    pub(super) repeated: bool,
}

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
    run: &'a Run<'a>,
    row: &'a Planned,
    goal: Arc<Goal>,
}

/// Where documents go, and how.
#[derive(Debug)]
struct Goal {
    tools: Tools,
    database: String,
    collection: String,
    action: Action,
    order: Order,
    workers: usize,
    validation: Validation,
    /// Measurements have no unique `_id`: what was sent twice would be there twice.
    repeatable: bool,
    batch_size: usize,
    /// Whether documents may be there that an invocation that died has put in.
    again: bool,
}

/// Whether documents can be sent twice and are there once, in no other order.
pub(super) fn is_repeatable(run: &Run, row: &Planned) -> bool {
    let timeseries = row.kind == crate::catalog::Kind::Timeseries;
    let capped = run.options_in_force(row).get_bool("capped") == Some(true);
    !timeseries && (!capped || row.action == Action::Merge)
}

impl<'a> Loader<'a> {
    pub(super) fn new(run: &'a Run<'a>, row: &'a Planned, name: &str) -> Self {
        let timeseries = row.kind == crate::catalog::Kind::Timeseries;
        let capped = run.options_in_force(row).get_bool("capped") == Some(true);
        let repeatable = is_repeatable(run, row);
        Self {
            run,
            row,
            goal: Arc::new(Goal {
                tools: run.tools.clone(),
                database: run.database().to_owned(),
                collection: name.to_owned(),
                action: row.action,
                // In a merge the documents that are there must not keep the others out; one writer keeps the order all the same.
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
                validation: match run.job.policy.validators {
                    // Buckets must never be written past their own validator.
                    Validators::Bypass if !timeseries => Validation::Bypassed,
                    _ => Validation::Enforced,
                },
                repeatable: !timeseries,
                batch_size: usize::try_from(run.job.batch_size).unwrap_or(usize::MAX),
                again: repeatable && run.again,
            }),
        }
    }

    fn keeper(&self) -> Keeper<'a> {
        let source = self.row.source.as_deref().unwrap_or_default();
        Keeper::new(source, self.row.kind, &self.row.options, hashing(self.row))
    }

    /// Takes a collection's documents to their end, from where `going` is; or pauses near the deadline, with what was done in the record.
    pub(super) async fn load(&self, place: usize, mut stream: CollectionStream, going: Going) -> Result<Load, Failure> {
        let record = self.run.record;
        let Going {
            mut loaded,
            passed: begun_at,
            ..
        } = going;
        let mut sample = self.sample();
        let mut keeper = self.keeper().behind(begun_at, loaded.ids_given);
        let mut left_out = begun_at.saturating_sub(stream.passed);
        let mut working: JoinSet<Result<Counted, MongoError>> = JoinSet::new();
        let (mut failure, mut paused, mut saved_at) = (None, false, Instant::now());
        while let Some(chunk) = stream.chunks.recv().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            let documents = chunk.digest.documents();
            let behind = chunk.behind(left_out, hashing(self.row));
            left_out = left_out.saturating_sub(documents);
            let Some(chunk) = behind else { continue };
            // What is loaded beside can be left at any time; what is changed in place has been begun, and is taken to its end.
            if self.row.method != Method::InPlace
                && let Err(ended) = self.run.may_go_on()
            {
                failure = Some(ended);
                break;
            }
            if let Some(record) = record {
                paused = record.must_pause();
                if paused {
                    break;
                }
                if saved_at.elapsed() >= SAVED_EVERY {
                    if let Err(error) = self.settle(&mut working, &mut loaded).await {
                        failure = Some(error);
                        break;
                    }
                    record.put_going(place, so_far(&loaded, &keeper));
                    if let Err(error) = record.save_if_possible().await {
                        failure = Some(error);
                        break;
                    }
                    saved_at = Instant::now();
                }
                record.has_moved();
            }
            loaded.read.merge(&chunk.digest);
            let chunk = keeper.keep(chunk);
            loaded.archive.merge(&chunk.digest);
            sample.take(chunk.documents());
            if working.len() >= self.goal.workers
                && let Some(done) = working.join_next().await
                && let Err(error) = loaded.count(&self.row.name, done)
            {
                failure = Some(error);
                break;
            }
            working.spawn(put(Arc::clone(&self.goal), chunk).in_current_span());
        }
        if let Err(error) = self.settle(&mut working, &mut loaded).await {
            failure.get_or_insert(error);
        }
        loaded.ids_given = keeper.ids_given;
        if let Some(failure) = failure {
            return Err(failure);
        }
        if let Some(record) = record.filter(|_| paused) {
            record.put_going(place, so_far(&loaded, &keeper));
            return Ok(Load::Paused);
        }
        if begun_at > 0 {
            sample = self.sample_again().await?;
        }
        Ok(Load::Whole(Box::new(self.check_against_manifest(loaded)?), sample))
    }

    /// Takes a part of a collection's documents in, as a worker does.
    pub(super) async fn load_part(&self, mut stream: CollectionStream) -> Result<Loaded, Failure> {
        let mut loaded = Loaded::default();
        let mut keeper = self.keeper().behind(stream.passed, 0);
        let mut working: JoinSet<Result<Counted, MongoError>> = JoinSet::new();
        let mut failure = None;
        while let Some(chunk) = stream.chunks.recv().await {
            let taken = match chunk {
                Ok(chunk) => self.run.may_go_on().map(|()| chunk),
                Err(error) => Err(error),
            };
            let chunk = match taken {
                Ok(chunk) => chunk,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            loaded.read.merge(&chunk.digest);
            let chunk = keeper.keep(chunk);
            loaded.archive.merge(&chunk.digest);
            if working.len() >= self.goal.workers
                && let Some(done) = working.join_next().await
                && let Err(error) = loaded.count(&self.row.name, done)
            {
                failure = Some(error);
                break;
            }
            working.spawn(put(Arc::clone(&self.goal), chunk).in_current_span());
        }
        let settled = self.settle(&mut working, &mut loaded).await;
        loaded.ids_given = keeper.ids_given;
        match failure {
            Some(failure) => Err(failure),
            None => settled.map(|()| loaded),
        }
    }

    /// Waits until the server has answered for everything that was sent.
    async fn settle(
        &self,
        working: &mut JoinSet<Result<Counted, MongoError>>,
        loaded: &mut Loaded,
    ) -> Result<(), Failure> {
        let mut settled = Ok(());
        while let Some(done) = working.join_next().await {
            settled = settled.and(loaded.count(&self.row.name, done));
        }
        settled
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

    /// What the database has of the documents that were merged. Where it has no others, that is all it has; else they are read by their `_id`s.
    pub(super) async fn read_back_merged(&self, loaded: &Loaded) -> Result<Digest, Failure> {
        let Goal {
            tools,
            database,
            collection,
            ..
        } = &*self.goal;
        let hashing = hashing(self.row);
        let all = read_back(&tools.mongo, (database, collection), hashing, loaded.archive.average()).await?;
        if all == loaded.archive {
            return Ok(all);
        }
        let source = self.row.source.clone().unwrap_or_default();
        let mut streams = self.run.prepared.archive.documents(vec![(source, hashing)]);
        let mut sum = Digest::default();
        let mut keeper = self.keeper();
        while let Some(mut stream) = streams.recv().await {
            while let Some(chunk) = stream.chunks.recv().await {
                let chunk = keeper.keep(chunk?);
                let mut ids = IdList::default();
                for document in chunk.documents() {
                    if ids.len() >= self.goal.batch_size || ids.is_full() {
                        sum.merge(&read_back_ids(&tools.mongo, database, collection, &ids, hashing).await?);
                        ids = IdList::default();
                    }
                    ids.push(document);
                }
                sum.merge(&read_back_ids(&tools.mongo, database, collection, &ids, hashing).await?);
            }
        }
        Ok(sum)
    }
}

/// What is known of a collection whose documents were all answered for up to here.
fn so_far(loaded: &Loaded, keeper: &Keeper<'_>) -> Going {
    Going {
        passed: keeper.passed(),
        loaded: Loaded {
            ids_given: keeper.ids_given,
            ..loaded.clone()
        },
        ..Going::default()
    }
}

/// The archive gave something else than its manifest, or the survey of it, says.
pub(crate) fn not_what_was_promised(read: &Digest, expected: &Digest) -> Failure {
    Failure::new(
        crate::failure::FailureKind::ArchiveDamaged,
        format!(
            "the archive gave {} documents with the digest {read}, its manifest says {} with {expected}",
            read.documents(),
            expected.documents(),
        ),
    )
}

/// What one chunk came to.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) inserted: u64,
    pub(super) merged: MergeCounts,
    pub(super) rejected: Vec<RejectedDocument>,
}

impl Loaded {
    /// Adds what another worker has counted of the same collection.
    pub(super) fn add(&mut self, other: &Self) {
        self.archive.merge(&other.archive);
        self.read.merge(&other.read);
        self.ids_given += other.ids_given;
        self.inserted += other.inserted;
        self.rejected += other.rejected;
        let room = NAMED.saturating_sub(self.rejections.len());
        self.rejections.extend(other.rejections.iter().take(room).cloned());
        self.repeated |= other.repeated;
    }

    fn count(
        &mut self,
        collection: &str,
        done: Result<Result<Counted, MongoError>, tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let counted = done.map_err(|error| {
            Failure::new(
                crate::failure::FailureKind::Database,
                format!("a load worker ended: {error}"),
            )
        })??;
        self.inserted += counted.inserted;
        if counted.merged != MergeCounts::default() || self.merged.is_some() {
            let merged = self.merged.get_or_insert_default();
            merged.replaced += counted.merged.replaced;
            merged.unchanged += counted.merged.unchanged;
        }
        self.rejected += counted.rejected.len() as u64;
        for refused in &counted.rejected {
            let RejectedDocument { id, code, message } = refused;
            // A field called `message` would take the place of the message.
            tracing::warn!(collection, id, code, reason = message, "a document was refused");
        }
        let room = NAMED.saturating_sub(self.rejections.len());
        self.rejections.extend(counted.rejected.into_iter().take(room));
        Ok(())
    }
}

/// Puts a chunk's documents into the collection.
async fn put(goal: Arc<Goal>, chunk: Chunk) -> Result<Counted, MongoError> {
    let mut counted = Counted::default();
    let mut batch = InsertBatch::default();
    for document in chunk.documents() {
        if batch.len() >= goal.batch_size || !batch.has_room(document.len()) {
            insert(&goal, &batch, &mut counted).await?;
            batch.clear();
        }
        batch.push(document);
    }
    if !batch.is_empty() {
        insert(&goal, &batch, &mut counted).await?;
    }
    goal.tools.progress.add(chunk.digest.documents(), chunk.digest.bytes());
    Ok(counted)
}

async fn insert(goal: &Goal, batch: &InsertBatch, counted: &mut Counted) -> Result<(), MongoError> {
    let Goal {
        tools,
        database,
        collection,
        ..
    } = goal;
    let mut tries = 0;
    let outcome = loop {
        tries += 1;
        match tools
            .mongo
            .insert(database, collection, batch, goal.order, goal.validation)
            .await
        {
            Err(error) if error.transient && goal.repeatable && tries < TRIES => {
                tracing::warn!(%error, tries, "an insert is repeated");
                tokio::time::sleep(std::time::Duration::from_millis(200 << tries)).await;
            }
            other => break other?,
        }
    };
    counted.inserted += outcome.inserted;
    let (present, refused): (Vec<Rejected>, Vec<Rejected>) = outcome
        .rejected
        .into_iter()
        .partition(|rejected| rejected.is_duplicate() && (goal.action == Action::Merge || tries > 1 || goal.again));
    counted
        .rejected
        .extend(refused.iter().map(|refused| named(batch, refused)));
    if !tools.mongo.keeps_empty_timestamps() && goal.action != Action::Merge {
        // What an attempt whose answer was lost has put in may still be without its repair.
        for document in present.iter().map(|present| batch.document(present.index)) {
            if has_empty_timestamp(document) {
                tools
                    .mongo
                    .replace(database, collection, document, goal.validation)
                    .await?;
            }
        }
    }
    if !present.is_empty() {
        merge(
            &tools.mongo,
            (database, collection),
            batch,
            &present,
            goal.validation,
            goal.action,
            counted,
        )
        .await?;
    }
    if !tools.mongo.keeps_empty_timestamps() && goal.repeatable {
        let inserted = |index: usize| {
            [&refused, &present]
                .iter()
                .all(|others| others.iter().all(|other| other.index != index))
        };
        restore_empty_timestamps(goal, batch, inserted).await?;
    }
    Ok(())
}

/// A refused document as it is reported.
pub(super) fn named(batch: &InsertBatch, refused: &Rejected) -> RejectedDocument {
    RejectedDocument {
        id: id_text(batch.document(refused.index)).unwrap_or_else(|| "(no _id)".to_owned()),
        code: refused.code,
        message: refused.message.clone(),
    }
}

/// An older server puts the present time in the place of a top-level `Timestamp(0,0)` when it inserts; an update by pipeline leaves it alone.
async fn restore_empty_timestamps(
    goal: &Goal,
    batch: &InsertBatch,
    inserted: impl Fn(usize) -> bool,
) -> Result<(), MongoError> {
    for index in 0..batch.len() {
        let document = batch.document(index);
        if has_empty_timestamp(document) && inserted(index) {
            goal.tools
                .mongo
                .replace(&goal.database, &goal.collection, document, goal.validation)
                .await?;
        }
    }
    Ok(())
}

fn has_empty_timestamp(document: &[u8]) -> bool {
    const TIMESTAMP: u8 = 0x11;
    Elements::of(document).map_while(Result::ok).any(|element| {
        element.kind == TIMESTAMP && element.key != b"_id" && document[element.value..element.end] == [0; 8]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Timestamp, doc};

    #[test]
    fn only_top_level_empty_timestamps_need_repair() {
        let empty = Timestamp { time: 0, increment: 0 };
        let full = Timestamp { time: 1, increment: 0 };
        let found = |document: bson::Document| has_empty_timestamp(&bson::serialize_to_vec(&document).expect("BSON"));
        assert!(found(doc! {"_id": 1, "a": "x", "ts": empty}));
        assert!(!found(doc! {"_id": empty, "ts": full, "sub": {"ts": empty}}));
    }
}
