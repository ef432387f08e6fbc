//! Several workers load one restore, in three steps that a state machine calls.
//!
//! 1. [`begin`] does everything up to the first document: plan, consent, lock, rehearsal, way back. It makes the collections that are loaded beside, and divides their segments;
//! 2. [`load`], once for each share and all at once, puts documents in. It changes nothing that was there before;
//! 3. [`finish`] is the restore that goes on from there: what the workers counted becomes its state, and then it loads what cannot be divided, builds indexes, reads everything
//!    back, compares, and commits. Where a share is missing it changes nothing, removes what was loaded, and lets go of the target.
//!
//! A share is a list of **parts**, runs of segments of one collection. A worker pauses within a part, too. One that dies is followed by one that repeats the part it was in: a document that is there already,
//! and is the same, counts as inserted. So only collections are divided whose documents have a unique `_id` and no order; capped ones, time series and what is merged are [`finish`]'s.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::continued::{Until, check_archive, restore_until};
use super::create::drop_collection;
use super::flow::Loaded;
use super::load::{Loader, is_repeatable, not_what_was_promised};
use super::lock::Lock;
use super::record::{Going, Head, Record, Stage, State};
use super::way_back::folder_of_job;
use super::work::{self, hashing};
use super::{Prepared, RestoreJob, RestoreReport};
use crate::archive::Entry;
use crate::backup::{RunStatus, Tools};
use crate::catalog::Kind;
use crate::continued::{Continued, TakenUp, must_be_kept, take_up};
use crate::failure::{Failure, FailureKind};
use crate::open::{Source, open};
use crate::plan::{Action, Method, Planned};
use crate::run::{Journal, Run, kept_beside, peek, remove_run};
use crate::store::Location;

/// How many segments make a part: some hundred MiB, loaded in seconds.
const SEGMENTS: usize = 32;
/// How many collections are made at a time.
const AT_A_TIME: usize = 8;

/// A run of segments of one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LoadPart {
    /// The collection's place in the plan.
    place: usize,
    /// The first segment, and how many.
    first: usize,
    segments: usize,
}

/// What a worker has to load, or has loaded.
pub(super) type Share = Vec<LoadPart>;

/// The answer to `begin`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LoadsReport {
    /// `loading`.
    pub status: RunStatus,
    /// One sentence for a notification.
    pub summary: String,
    /// Which run it is.
    pub run: Run,
    /// Into which database.
    pub database: String,
    /// The shares' numbers. None where there is nothing to divide: `finish` then does all of it.
    pub loads: Vec<u32>,
}

/// The answer to `begin`: shares, or what came of the run before.
#[derive(Debug)]
pub enum Begun {
    /// What to load.
    Loads(LoadsReport),
    /// It is done, goes on, or another invocation is at it.
    Answer(Continued<RestoreReport>),
}

/// The answer to `load`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LoadReport {
    /// `complete`, `continue` or `running`. Documents that were refused are in the restore's report.
    pub status: RunStatus,
    /// Which share.
    pub load: u32,
    /// How many documents of it are in.
    pub documents: u64,
}

/// What a worker has come to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LoadState {
    /// What each part that is done counted, by its place in the share.
    done: BTreeMap<usize, Loaded>,
    /// The part that is half done, and how far.
    #[serde(default)]
    going: Option<(usize, Going)>,
    /// Whether nothing was done after it was written.
    clean: bool,
}

impl LoadState {
    fn documents(&self) -> u64 {
        let going = self.going.iter().map(|(_, going)| &going.loaded);
        self.done
            .values()
            .chain(going)
            .map(|loaded| loaded.read.documents())
            .sum()
    }
}

/// Does everything up to the first document, and divides the rest among `workers`.
///
/// # Errors
/// As [`restore_run`](super::restore_run).
pub async fn begin(job: &RestoreJob, run: &Run, workers: u32, tools: &Tools) -> Result<Begun, Failure> {
    let answer = restore_until(job, run, tools, Until::Divided(workers.max(1))).await?;
    match &answer {
        Continued::Unfinished(unfinished) if unfinished.status == RunStatus::Loading => {}
        _ => return Ok(Begun::Answer(answer)),
    }
    let state = divided(job, run, &folder_of_run(job, run)?, tools).await?;
    let loads: Vec<u32> = (0..).take(state.loads().len()).collect();
    Ok(Begun::Loads(LoadsReport {
        status: RunStatus::Loading,
        summary: format!(
            "the restore into {} is divided among {} workers",
            job.policy.database,
            loads.len()
        ),
        run: run.clone(),
        database: job.policy.database.clone(),
        loads,
    }))
}

/// Makes the collections that workers load, and the shares. To be asked when nothing has been loaded.
pub(super) async fn divide(run: &work::Run<'_>, workers: u32) -> Result<Vec<Share>, Failure> {
    let prepared = run.prepared;
    let Some(manifest) = prepared.archive.manifest() else {
        // An archive of others is read from its beginning to its end.
        return Ok(Vec::new());
    };
    let dividable = run.rows().filter(|(_, row)| can_be_divided(run, row));
    let chosen: Vec<(usize, &Planned, &Entry)> = dividable
        .filter_map(|(place, row)| Some((place, row, manifest.get(row.source.as_ref()?)?.entry.as_ref()?)))
        .collect();
    let begun = chosen.iter().map(|&(place, row, _)| async move {
        run.may_go_on()?;
        run.begin(place, row, &run.temporary(place), false).await
    });
    // What has been begun is taken to its end, since a driver call must not be dropped half-way.
    let begun: Vec<Result<Going, Failure>> = stream::iter(begun).buffer_unordered(AT_A_TIME).collect().await;
    begun.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let mut shares: Vec<(u64, Share)> = vec![(0, Vec::new()); usize::try_from(workers).unwrap_or(1)];
    for (place, _, entry) in chosen {
        for (first, segments, bytes) in parts(entry) {
            if let Some(least) = shares.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                least.0 += bytes;
                least.1.push(LoadPart { place, first, segments });
            }
        }
    }
    let shares = shares.into_iter().map(|(_, share)| share);
    Ok(shares.filter(|share| !share.is_empty()).collect())
}

fn can_be_divided(run: &work::Run<'_>, row: &Planned) -> bool {
    row.action.restores()
        && row.action != Action::Merge
        && row.kind == Kind::Collection
        && matches!(row.method, Method::Aside | Method::AsideAfterDrop)
        && is_repeatable(run, row)
}

/// First segment, how many, and their decoded bytes. An entry without segments is one part, too: its collection is there.
fn parts(entry: &Entry) -> Vec<(usize, usize, u64)> {
    let of = |(at, segments): (usize, &[crate::archive::Segment])| {
        let bytes = segments.iter().map(|segment| segment.decoded_bytes).sum();
        (at * SEGMENTS, segments.len(), bytes)
    };
    match entry.segments.is_empty() {
        true => vec![(0, 0, 0)],
        false => entry.segments.chunks(SEGMENTS).enumerate().map(of).collect(),
    }
}

/// Loads one share, or goes on with it.
///
/// # Errors
/// As [`restore_run`](super::restore_run), and where there is no such share.
pub async fn load(job: &RestoreJob, run: &Run, number: u32, tools: &Tools) -> Result<LoadReport, Failure> {
    let folder = folder_of_run(job, run)?;
    let state = divided(job, run, &folder, tools).await?;
    let shares = state.loads();
    let share = usize::try_from(number).ok().and_then(|index| shares.get(index));
    let share = share.ok_or_else(|| {
        let last = shares.len().saturating_sub(1);
        Failure::invalid(format!("there is no load {number}: they are 0 to {last}"))
    })?;
    let report = |status, documents| LoadReport {
        status,
        load: number,
        documents,
    };
    let journal = match take_up(&tools.store, load_folder(&folder, number)).await? {
        TakenUp::Ours(journal) => journal,
        TakenUp::Running => return Ok(report(RunStatus::Running, 0)),
        // The others wait for what it says.
        TakenUp::Nowhere => return Err(must_be_kept(&folder, &format!("load {number}"))),
    };
    let recorded = journal.read::<LoadState>().await;
    let loaded = match recorded {
        Ok(recorded) => {
            let before = recorded.map(|recorded| recorded.state);
            Box::pin(load_share(job, run, tools, (&state, share), &journal, before)).await
        }
        Err(failure) => Err(failure),
    };
    journal.pause().await;
    let loaded = loaded?;
    let whole = loaded.done.len() == share.len();
    let status = if whole {
        RunStatus::Complete
    } else {
        RunStatus::Continue
    };
    Ok(report(status, loaded.documents()))
}

async fn load_share(
    job: &RestoreJob,
    run: &Run,
    tools: &Tools,
    (state, share): (&State, &Share),
    journal: &Journal,
    before: Option<LoadState>,
) -> Result<LoadState, Failure> {
    // One that died may have put documents in that no state speaks of.
    let again = before.as_ref().is_some_and(|before| !before.clean);
    let mut done = before.unwrap_or_default();
    if done.done.len() == share.len() {
        return Ok(done);
    }
    let prepared = prepared_again(job, run, tools, state).await?;
    let lock = Lock::go_on(job, run, &tools.mongo).await?;
    done.clean = false;
    let mut ended = journal.write(&done, &[]).await;
    let restore = work::Run::of_worker(&prepared, job, tools, &lock, (&state.temporary, again));
    for (index, part) in share.iter().enumerate() {
        if ended.is_err() || done.done.contains_key(&index) {
            continue;
        }
        if restore.must_pause() {
            break;
        }
        let going = done.going.take().filter(|(of, _)| *of == index);
        ended = match load_part(&restore, *part, going.map(|(_, going)| going)).await {
            Ok((going, whole)) => {
                restore.has_moved();
                match whole {
                    true => drop(done.done.insert(index, going.loaded)),
                    false => done.going = Some((index, going)),
                }
                journal.lease().check()
            }
            Err(failure) => Err(failure),
        };
    }
    // Whoever comes next goes on with the same lock.
    lock.leave().await;
    done.clean = ended.is_ok();
    match &ended {
        Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
        _ => journal.write(&done, &[]).await?,
    }
    ended.map(|()| done)
}

/// Loads a part, or goes on with it; says how far that went, and whether that is the end of it.
async fn load_part(restore: &work::Run<'_>, part: LoadPart, going: Option<Going>) -> Result<(Going, bool), Failure> {
    restore.may_go_on()?;
    let (_, row) = restore
        .rows()
        .nth(part.place)
        .ok_or_else(|| Failure::invalid("the plan has no such collection"))?;
    let source = row.source.clone().unwrap_or_default();
    let range = part.first..part.first + part.segments;
    let stream = restore.prepared.archive.segments(&source, hashing(row), range);
    let stream = stream.ok_or_else(|| {
        Failure::new(
            FailureKind::ArchiveDamaged,
            format!("{source}: the archive has no such segments"),
        )
    })?;
    let going = going.unwrap_or_else(|| Going {
        passed: stream.passed,
        ..Going::default()
    });
    let name = restore.temporary(part.place);
    Loader::new(restore, row, &name)
        .load_part(stream, going)
        .await
        .map_err(|failure| failure.at(&row.name))
}

/// The restore that goes on when every share is in.
///
/// # Errors
/// As [`restore_run`](super::restore_run), and where a share is not at its end: nothing is changed then, and the run is at an end.
pub async fn finish(job: &RestoreJob, run: &Run, tools: &Tools) -> Result<Continued<RestoreReport>, Failure> {
    let answer = restore_until(job, run, tools, Until::Finished).await;
    let folder = folder_of_run(job, run)?;
    // Where the run is at its end, whatever that was, its state has gone.
    let left = peek::<State>(&tools.store, &folder).await;
    if left.is_ok_and(|left| left.is_none()) {
        for number in 0.. {
            let folder = load_folder(&folder, number);
            match tools.store.list(&folder, "").await {
                Ok(left) if left.is_empty() => break,
                Ok(_) => {
                    if let Err(error) = remove_run(&tools.store, &folder).await {
                        tracing::warn!(%error, "what a worker has left could not be removed; the bucket's lifecycle rule will");
                    }
                }
                Err(_) => break,
            }
        }
    }
    answer
}

/// Puts what the workers counted into the record of the restore that goes on.
///
/// # Errors
/// Where a share is not at its end, or the archive gave a worker something else than its manifest says.
pub(super) async fn gather(
    job: &RestoreJob,
    run: &Run,
    tools: &Tools,
    prepared: &Prepared,
    record: &Record<'_>,
) -> Result<(), Failure> {
    let shares = record.loads();
    if shares.is_empty() {
        return Ok(());
    }
    let folder = folder_of_run(job, run)?;
    let mut sums: BTreeMap<usize, Loaded> = BTreeMap::new();
    for (number, share) in (0..).zip(&shares) {
        let state = peek::<LoadState>(&tools.store, &load_folder(&folder, number)).await?;
        let done = state.map(|recorded| recorded.state.done).unwrap_or_default();
        for (index, part) in share.iter().enumerate() {
            let loaded = done.get(&index).ok_or_else(|| {
                Failure::new(
                    FailureKind::LoadMissing,
                    format!(
                        "load {number} did not come to its end, so nothing was put into its place and nothing was changed: \
                         look for its own error, and restore again with a new run"
                    ),
                )
            })?;
            sums.entry(part.place).or_default().add(loaded);
        }
    }
    for (place, loaded) in sums {
        let Some(row) = prepared.plan.collections.get(place) else {
            continue;
        };
        if let Some(expected) = row.expected_digest().filter(|expected| *expected != loaded.read) {
            return Err(not_what_was_promised(&loaded.read, &expected).at(&row.name));
        }
        record.put_going(
            place,
            Going {
                passed: loaded.read.documents(),
                loaded,
                whole: true,
                ..Going::default()
            },
        );
    }
    record.put_gathered();
    record.save().await
}

/// Removes what the workers have loaded, where the restore is given up.
pub(super) async fn remove(restore: &work::Run<'_>, shares: &[Share]) {
    let mut places: Vec<usize> = shares.iter().flatten().map(|part| part.place).collect();
    places.sort_unstable();
    places.dedup();
    for place in places {
        let name = restore.temporary(place);
        if let Err(error) = drop_collection(restore.mongo(), restore.database(), &name).await {
            tracing::warn!(name, %error, "a temporary collection could not be removed: drop it by hand");
        }
    }
}

async fn divided(job: &RestoreJob, run: &Run, folder: &Location, tools: &Tools) -> Result<State, Failure> {
    let not_begun = || {
        Failure::invalid(format!(
            "the restore run {:?} is not divided, or has gone on since: call the action \"begin\" first",
            run.id
        ))
    };
    let recorded = peek::<State>(&tools.store, folder).await?;
    let state = recorded.ok_or_else(not_begun)?.state;
    run.check_request(&state.request, &job.fingerprint())?;
    match state.stage {
        Stage::Loading { .. } if !state.loads().is_empty() => Ok(state),
        _ => Err(not_begun()),
    }
}

/// The plan and the archive, as they were when the run began.
async fn prepared_again(job: &RestoreJob, run: &Run, tools: &Tools, state: &State) -> Result<Prepared, Failure> {
    let folder = folder_of_run(job, run)?;
    let head = kept_beside(&tools.store, &folder, &state.head).await?;
    let head = Head::read(&head, &folder.join(&state.head))?;
    let location: Location = state.archive.parse()?;
    let source = Source {
        location: &location,
        database: job.source_database.as_deref(),
    };
    let archive = open(&tools.store, source, tools.memory).await?;
    check_archive(&archive, &head)?;
    Ok(Prepared {
        archive,
        target: head.target,
        plan: head.plan,
    })
}

fn load_folder(folder: &Location, number: u32) -> Location {
    folder.join(&format!("load-{number:05}"))
}

/// Where the run's state is.
fn folder_of_run(job: &RestoreJob, run: &Run) -> Result<Location, Failure> {
    run.folder(&folder_of_job(job)?)
}
