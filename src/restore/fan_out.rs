//! Several workers load one restore, in three steps of a state machine.
//!
//! 1. [`begin`] does everything up to the first document: plan, consent, lock, rehearsal, way back. It creates the
//!    temporary collections, and divides their segments;
//! 2. [`load`], once per share and all at once, inserts documents. It changes nothing that existed before;
//! 3. [`finish`] resumes the restore: the workers' counts become its state, and it loads what cannot be divided, builds
//!    indexes, reads everything back, compares, and commits. If a share is missing, it changes nothing, removes what
//!    was loaded, and releases the target.
//!
//! A share is a list of **stretches**, runs of segments of one collection. A worker can pause within a stretch. If one
//! dies, its successor repeats the stretch: an equal document that is already there counts as inserted. So only
//! collections whose documents have a unique `_id` and no order are divided; capped ones, time series and merges are
//! left to [`finish`].

use serde::Serialize;

use super::continued::{Until, open_again, restore_until};
use super::load::Loader;
use super::lock::Lock;
use super::record::{Going, Record, RestoreHead, RestoreState, Share, Stretch};
use super::report::RestoreReport;
use super::request::RestoreJob;
use super::shares::{LOAD, LoadState, folder_of_run, load_folder};
use super::work::{self, hashing};
use crate::backup::Tools;
use crate::failure::{Failure, FailureKind};
use crate::run::{Answer, Journal, Left, Run, RunStatus, Running, remove_run, take_up_kept};
use crate::store::Location;

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

/// The answer to `begin`: shares, or the run's earlier result.
#[derive(Debug)]
pub enum Begun {
    /// What to load.
    Loads(LoadsReport),
    /// It is done, it continues, or another invocation is at it.
    Answer(Answer<RestoreReport>),
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

/// Does everything up to the first document, and divides the rest among `workers`.
///
/// # Errors
/// As [`restore_run`](super::restore_run).
pub fn begin<'a>(job: &'a RestoreJob, run: &'a Run, workers: u32, tools: &'a Tools) -> Running<'a, Begun> {
    Box::pin(async move {
        let answer = restore_until(job, run, tools, Until::Divided(workers.max(1))).await?;
        match &answer {
            Answer::Unfinished(unfinished) if unfinished.status == RunStatus::Loading => {}
            _ => return Ok(Begun::Answer(answer)),
        }
        let (_, state) = divided(job, run, &folder_of_run(job, run)?, tools).await?;
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
    })
}

/// Begins or resumes the load of one share.
///
/// # Errors
/// As [`restore_run`](super::restore_run), and if there is no such share.
pub fn load<'a>(job: &'a RestoreJob, run: &'a Run, number: u32, tools: &'a Tools) -> Running<'a, LoadReport> {
    Box::pin(async move {
        let folder = folder_of_run(job, run)?;
        let (head, state) = divided(job, run, &folder, tools).await?;
        let shares = state.loads();
        let share = usize::try_from(number).ok().and_then(|index| shares.get(index));
        let share = share.cloned().ok_or_else(|| {
            let last = shares.len().saturating_sub(1);
            Failure::invalid(format!("there is no load {number}: loads are 0 to {last}"))
        })?;
        let report = |status, documents| LoadReport {
            status,
            load: number,
            documents,
        };
        // The others wait for what it says.
        let Some(journal) = take_up_kept(&tools.store, load_folder(&folder, number)).await? else {
            return Ok(report(RunStatus::Running, 0));
        };
        let loaded = Box::pin(load_share(job, run, tools, (head, state, &share), &journal)).await;
        journal.pause().await;
        let loaded = loaded?;
        let status = match loaded.done.len() == share.len() {
            true => RunStatus::Complete,
            false => RunStatus::Continue,
        };
        Ok(report(status, loaded.documents()))
    })
}

async fn load_share(
    job: &RestoreJob,
    run: &Run,
    tools: &Tools,
    (head, state, share): (RestoreHead, RestoreState, &Share),
    journal: &Journal,
) -> Result<LoadState, Failure> {
    let mut done = LoadState::read(journal.open().await?)?;
    if done.done.len() == share.len() {
        return Ok(done);
    }
    let prepared = open_again(job, tools, head).await?;
    let lock = Lock::go_on(job, run, &tools.mongo).await?;
    // Only what it has come to is written: see `LoadState`.
    let record = Record::new(journal, tools.deadline, state);
    let restore = work::Restoring::new(&prepared, job, tools, &lock, &record);
    let mut ended = Ok(());
    for (index, stretch) in share.iter().enumerate() {
        if ended.is_err() || done.done.contains_key(&index) {
            continue;
        }
        if restore.must_pause() {
            break;
        }
        let going = done.going.take().filter(|(of, _)| *of == index);
        ended = match load_stretch(&restore, *stretch, going.map(|(_, going)| going)).await {
            Ok((going, whole)) => {
                record.has_moved();
                match whole {
                    true => drop(done.done.insert(index, going.loaded)),
                    false => done.going = Some((index, going)),
                }
                record.check()
            }
            Err(failure) => Err(failure),
        };
    }
    // Whoever comes next goes on with the same lock.
    lock.leave().await;
    match ended {
        Err(failure) if failure.kind == FailureKind::RunTakenOver => Err(failure),
        ended => {
            journal.write(LOAD, &done, &[]).await?;
            ended?;
            journal.rest().await?;
            Ok(done)
        }
    }
}

/// Loads a stretch, or goes on with it; says how far that went, and whether that is the end of it.
async fn load_stretch(
    restore: &work::Restoring<'_>,
    stretch: Stretch,
    going: Option<Going>,
) -> Result<(Going, bool), Failure> {
    restore.may_go_on()?;
    let (_, row) = restore
        .rows()
        .nth(stretch.place)
        .ok_or_else(|| Failure::invalid("the plan has no such collection"))?;
    let source = row.source.clone().unwrap_or_default();
    let range = stretch.first..stretch.first + stretch.segments;
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
    let name = restore.temporary(stretch.place);
    Loader::new(restore, row, &name)
        .load_stretch(stream, going)
        .await
        .map_err(|failure| failure.at(&row.name))
}

/// Continues the restore once every share is loaded.
///
/// # Errors
/// As [`restore_run`](super::restore_run), and if a share is not complete: then nothing is changed, and the run is
/// over.
pub fn finish<'a>(job: &'a RestoreJob, run: &'a Run, tools: &'a Tools) -> Running<'a, Answer<RestoreReport>> {
    Box::pin(async move {
        let answer = restore_until(job, run, tools, Until::Finished).await;
        let folder = folder_of_run(job, run)?;
        // Where the run is at its end, whatever that was, its state has gone.
        let left = Left::find(&tools.store, &folder).await;
        if left.is_ok_and(|left| left.is_none()) {
            for number in 0.. {
                let folder = load_folder(&folder, number);
                match tools.store.list(&folder, "").await {
                    Ok(left) if left.is_empty() => break,
                    Ok(_) => {
                        if let Err(error) = remove_run(&tools.store, &folder).await {
                            tracing::warn!(%error, "a worker's state could not be removed; the bucket's lifecycle rule will");
                        }
                    }
                    Err(_) => break,
                }
            }
        }
        answer
    })
}

async fn divided(
    job: &RestoreJob,
    run: &Run,
    folder: &Location,
    tools: &Tools,
) -> Result<(RestoreHead, RestoreState), Failure> {
    let not_begun = || {
        Failure::invalid(format!(
            "the restore run {:?} is not divided, or has moved on: call the action \"begin\" first",
            run.id
        ))
    };
    let left = Left::find(&tools.store, folder).await?.ok_or_else(not_begun)?;
    let head: RestoreHead = left.head()?;
    run.check_request(&head.request, &job.fingerprint())?;
    let state = RestoreState::read(&left, head.origin.clone())?;
    match state.loads().is_empty() {
        false => Ok((head, state)),
        true => Err(not_begun()),
    }
}
