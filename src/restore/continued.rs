//! A restore from its beginning to its end, in as many invocations as it takes.
//!
//! The first one plans, asks for consent and takes the lock; its decisions hold for all that follow, which do neither
//! again. Each resumes from the state that the last one left, paused or dead (see [`record`](super::record)), under the
//! same lock, which stays between two invocations, so that no other restore comes in between. Until something was
//! loaded, each invocation checks whether the plan still fits the target.
//!
//! Building a collection's indexes is never cut in two. A foreign archive has no table of contents, so each invocation
//! reads it from its beginning.
//!
//! A finished run removes its state and keeps its report in the folder of the way back, as
//! `restore_{time}-{hash}.report.json`: it answers the same event again, and nothing is done twice.

use time::OffsetDateTime;

use super::commit::commit;
use super::leftovers;
use super::lock::Lock;
use super::prepare::{Prepared, check_consent, look_again, prepare};
use super::privileges;
use super::record::{Origin, Record, RestoreHead, RestoreState, Stage};
use super::rehearsal::rehearse;
use super::report::RestoreReport;
use super::request::RestoreJob;
use super::shares;
use super::verification::verify;
use super::way_back;
use super::work::{self, Stop, fresh_temporary};
use crate::backup::Tools;
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Source, open};
use crate::plan::RestorePlan;
use crate::run::{
    Answer, Ended, Journal, Left, Reports, Run, RunStatus, Running, Unfinished, let_go_reporting, rfc3339, since,
    take_up,
};
use crate::store::Location;
use crate::wording::count;

impl Ended for RestoreReport {
    fn status(&self) -> RunStatus {
        self.status
    }

    fn summary(&self) -> &str {
        &self.summary
    }
}

/// Carries out a plan.
///
/// # Errors
/// If nothing was changed: consent or a privilege is missing, another restore is running, or there is no way back. The
/// report has what goes wrong after the first change; its status is then not `complete`.
pub fn carry_out<'a>(prepared: Prepared, job: &'a RestoreJob, tools: &'a Tools) -> Running<'a, RestoreReport> {
    Box::pin(async move {
        let (run, journal) = (Run::nameless(), Journal::nowhere());
        let begun = Box::pin(begin(prepared, job, tools, &journal)).await?;
        let asked = (job, &run, Until::Finished);
        Box::pin(take_on(begun, asked, tools, &journal)).await?.report()
    })
}

/// Begins or resumes the run's restore; ends near the deadline. Called again, the same run resumes, or finds its
/// result.
///
/// # Errors
/// As [`prepare`] and [`carry_out`]. If the same may succeed later, the run's state is kept.
pub fn restore_run<'a>(job: &'a RestoreJob, run: &'a Run, tools: &'a Tools) -> Running<'a, Answer<RestoreReport>> {
    Box::pin(async move { restore_until(job, run, tools, Until::Finished).await })
}

/// The plan that a run was begun with, if it was: consent is to that one.
///
/// # Errors
/// If its state cannot be read.
pub async fn begun_plan(job: &RestoreJob, run: &Run, tools: &Tools) -> Result<Option<RestorePlan>, Failure> {
    let folder = run.folder(&job.folder()?)?;
    match Left::find(&tools.store, &folder).await? {
        Some(left) => Ok(Some(left.head::<RestoreHead>()?.plan)),
        None => Ok(None),
    }
}

/// How far a run is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To its end.
    Finished,
    /// To where so many workers can load; where there is nothing for them, to its end.
    Divided(u32),
}

/// As [`restore_run`].
pub(super) async fn restore_until(
    job: &RestoreJob,
    run: &Run,
    tools: &Tools,
    until: Until,
) -> Result<Answer<RestoreReport>, Failure> {
    let folder = job.folder()?;
    let reports = Reports::of("restore", (run, job.fingerprint()), &tools.store, &folder)?;
    let Some(journal) = take_up(&tools.store, run.folder(&folder)?).await? else {
        return Ok(Answer::Unfinished(Unfinished::running(run, &what(job))));
    };
    let answer = match reports.find().await {
        // Where nothing is kept, two with one event know nothing of each other: the lock must not take them for one.
        Ok(None) if !journal.is_kept() => Box::pin(alone(job, tools)).await,
        Ok(None) => Box::pin(go_on((job, run, until), tools, &journal)).await,
        Ok(Some(report)) => Ok(Answer::Finished(Box::new(report))),
        Err(failure) => Err(failure),
    };
    Box::pin(let_go_reporting(journal, &reports, answer)).await
}

/// From the plan to the end, in this invocation.
async fn alone(job: &RestoreJob, tools: &Tools) -> Result<Answer<RestoreReport>, Failure> {
    let prepared = prepare(job, tools).await?;
    let report = carry_out(prepared, job, tools).await?;
    Ok(Answer::Finished(Box::new(report)))
}

/// One invocation's part. A run that is at its end leaves its report in its state.
pub(crate) async fn go_on(
    (job, run, until): (&RestoreJob, &Run, Until),
    tools: &Tools,
    journal: &Journal,
) -> Result<Answer<RestoreReport>, Failure> {
    let begun = match Box::pin(revive(job, run, tools, journal)).await {
        Ok(Earlier::Going(begun)) => *begun,
        Ok(Earlier::Nothing) => {
            let prepared = prepare(job, tools).await?;
            Box::pin(begin(prepared, job, tools, journal)).await?
        }
        Ok(Earlier::Finished(report)) => {
            // Unless that was done, and only its answer was lost.
            release_lock(job, run, tools).await;
            return Ok(Answer::Finished(report));
        }
        Err(failure) => {
            // One that ends the run keeps nobody else waiting.
            if !journal.outlives(&failure) {
                release_lock(job, run, tools).await;
            }
            return Err(failure);
        }
    };
    take_on(begun, (job, run, until), tools, journal).await
}

/// What an earlier invocation has come to.
enum Earlier {
    Nothing,
    Going(Box<(Prepared, RestoreState)>),
    Finished(Box<RestoreReport>),
}

async fn release_lock(job: &RestoreJob, run: &Run, tools: &Tools) {
    if let Ok(lock) = Lock::go_on(job, run, &tools.mongo).await {
        lock.release().await;
    }
}

/// Under the lock, from wherever the run has come.
async fn take_on(
    (prepared, state): (Prepared, RestoreState),
    (job, run, until): (&RestoreJob, &Run, Until),
    tools: &Tools,
    journal: &Journal,
) -> Result<Answer<RestoreReport>, Failure> {
    let (archive, invocations) = (state.origin.archive.clone(), journal.invocations());
    let record = Record::new(journal, tools.deadline, state);
    // The lock outlives this invocation, so what knows whose it is must be there before it.
    record.save().await?;
    let lock = take_lock(&prepared, (job, run), tools, &record).await?;
    tracing::info!(archive, invocation = invocations, "the restore resumes");
    match Box::pin(work(prepared, (job, run, until), tools, &lock, &record)).await {
        Ok(report) => {
            *record.state().stage = Stage::Finished(Box::new(report.clone()));
            if let Err(failure) = record.save_at_the_end().await {
                // The next invocation finds everything in its place, and says so; for that it needs the lock.
                lock.leave().await;
                return Err(failure);
            }
            lock.release().await;
            Ok(Answer::Finished(Box::new(report)))
        }
        Err(stop @ (Stop::Paused | Stop::Divided)) => {
            let saved = record.save_at_the_end().await;
            lock.leave().await;
            saved?;
            let done = format!("{} are in", count(record.documents(), "document"));
            let mut paused = Unfinished::paused(run, (&what(job), &done), &archive, invocations);
            paused.database = Some(job.policy.database.clone());
            if matches!(stop, Stop::Divided) {
                paused.status = RunStatus::Loading;
            }
            Ok(Answer::Unfinished(paused))
        }
        Err(Stop::Failed(failure)) => {
            match journal.outlives(&failure) {
                // The lock is the same for the invocation that has taken over.
                true if failure.kind == FailureKind::RunTakenOver => {}
                true => {
                    let saved = record.save_if_possible().await;
                    lock.leave().await;
                    saved?;
                }
                false => lock.release().await,
            }
            Err(failure)
        }
    }
}

/// Everything that nobody else may do at the same time, from the second look at the target to the report, as far as it
/// was not done before.
async fn work(
    prepared: Prepared,
    (job, run, until): (&RestoreJob, &Run, Until),
    tools: &Tools,
    lock: &Lock,
    record: &Record<'_>,
) -> Result<RestoreReport, Stop> {
    if record.is_preparing() {
        let target = look_again(&prepared, job, tools).await?;
        if !record.is_rehearsed() {
            rehearse(&prepared, job, tools).await?;
            record.put_rehearsed();
            record.save_if_possible().await?;
        }
        let snapshot = Box::pin(way_back::take(run, &prepared, job, tools, record)).await?;
        leftovers::remove(&target, tools).await;
        *record.state().stage = Stage::Loading {
            snapshot: snapshot.map(Box::new),
            gathered: false,
        };
        record.save().await?;
    }
    let restore = work::Restoring::new(&prepared, job, tools, lock, record);
    match until {
        Until::Divided(workers) if record.is_loading() => {
            if record.loads().is_empty() {
                let divided = shares::divide(&restore, workers).await?;
                record.put_loads(divided);
                record.save().await?;
            }
            if !record.loads().is_empty() {
                return Err(Stop::Divided);
            }
        }
        _ => {
            if let Err(failure) = shares::gather(job, run, tools, &prepared.plan, record).await {
                if !record.journal.outlives(&failure) {
                    shares::remove(&restore, &record.loads()).await;
                }
                return Err(failure.into());
            }
        }
    }
    let mut outcomes = Box::pin(restore.load_beside()).await?;
    let committed = Box::pin(commit(&restore, &mut outcomes)).await?;
    let verification = Box::pin(verify(&restore, outcomes, committed)).await?;
    let took = since(&record.state().origin.started);
    Ok(RestoreReport::finished(
        prepared,
        record.snapshot(),
        (committed, verification),
        took,
    ))
}

/// What is decided once.
async fn begin(
    prepared: Prepared,
    job: &RestoreJob,
    tools: &Tools,
    journal: &Journal,
) -> Result<(Prepared, RestoreState), Failure> {
    let started = rfc3339(OffsetDateTime::now_utc());
    check_consent(&prepared.plan, &job.consent)?;
    Box::pin(privileges::check(&prepared.plan, job, &tools.mongo)).await?;
    let origin = Origin {
        archive: prepared.archive.named().to_string(),
        started,
        temporary: fresh_temporary(),
    };
    if journal.is_kept() {
        let head = RestoreHead {
            request: job.fingerprint(),
            origin: origin.clone(),
            plan: prepared.plan.clone(),
            target: prepared.target.clone(),
        };
        journal.begin(&head).await?;
    }
    Ok((prepared, RestoreState::new(origin)))
}

/// What was decided, and what has come of it so far.
async fn revive(job: &RestoreJob, run: &Run, tools: &Tools, journal: &Journal) -> Result<Earlier, Failure> {
    let Some(left) = journal.open().await? else {
        return Ok(Earlier::Nothing);
    };
    let head: RestoreHead = left.head()?;
    run.check_request(&head.request, &job.fingerprint())
        .inspect_err(|_| journal.refuse())?;
    let state = RestoreState::read(left, head.origin.clone())?;
    if let Stage::Finished(report) = &*state.stage {
        return Ok(Earlier::Finished(report.clone()));
    }
    check_consent(&head.plan, &job.consent).inspect_err(|_| journal.refuse())?;
    let prepared = open_again(job, tools, head).await?;
    Ok(Earlier::Going(Box::new((prepared, state))))
}

/// The archive and the plan as they were when the run began.
pub(super) async fn open_again(job: &RestoreJob, tools: &Tools, head: RestoreHead) -> Result<Prepared, Failure> {
    let location: Location = head.origin.archive.parse()?;
    tools.progress.step(format!("opening {location}"));
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

/// Of another version of the archive other documents would follow those that are in.
fn check_archive(archive: &ArchiveFile, head: &RestoreHead) -> Result<(), Failure> {
    match archive.contents().archive == head.plan.archive {
        true => Ok(()),
        false => Err(Failure::new(
            FailureKind::ConsentStale,
            format!(
                "{} was replaced after this restore had begun, so it cannot resume: begin a new run",
                head.plan.archive.location
            ),
        )),
    }
}

/// As long as nothing was loaded, the lock may have been another's meanwhile; the target is looked at again then.
async fn take_lock(
    prepared: &Prepared,
    (job, run): (&RestoreJob, &Run),
    tools: &Tools,
    record: &Record<'_>,
) -> Result<Lock, Failure> {
    if record.is_preparing() {
        // Where nobody goes on, nobody else is to wait for longer than it takes to see that.
        let lease = match record.journal.is_kept() {
            true => job.run_lease,
            false => job.lock_lease,
        };
        return Box::pin(Lock::take(prepared, (job, run), lease, &tools.mongo)).await;
    }
    let changed = match &*record.state().stage {
        Stage::Committing { snapshot, .. } => match snapshot {
            Some(snapshot) => format!(
                "the target was being changed already; the way back is {}",
                snapshot.archive
            ),
            None => "the target was being changed already, and there is no snapshot of it".to_owned(),
        },
        _ => "nothing had been changed by this one".to_owned(),
    };
    Lock::go_on(job, run, &tools.mongo).await.map_err(|mut failure| {
        failure.message = format!("{} ({changed})", failure.message);
        failure
    })
}

fn what(job: &RestoreJob) -> String {
    format!("the restore into {}", job.policy.database)
}
