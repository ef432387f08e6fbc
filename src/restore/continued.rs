//! A restore in as many invocations as it takes.
//!
//! The first one plans, asks for consent and takes the lock; what it decided holds for all that follow, which ask neither again. Each goes on from the state that the last one left, paused or dead
//! (see [`record`](super::record)), under the same lock: it is left in place between two invocations, so that no other restore comes in between. A plan holds as long as nothing
//! was loaded: until then each invocation looks whether the target is what was planned for.
//!
//! One thing is never cut in two: the building of a collection's indexes. An archive of others has no table of contents, and is read from its beginning in each
//! invocation.
//!
//! When the run is at its end, its state goes away, and its report is kept in the folder of the way back, as `restore_{time}-{hash}.report.json`: the same event again is answered with it, and nothing is
//! done a second time.

use time::OffsetDateTime;

use super::lock::Lock;
use super::record::{Head, Record, Stage, State};
use super::report::RestoreReport;
use super::way_back::{folder_of_job, take_for};
use super::work::{self, Stop, fresh_temporary};
use super::{
    Prepared, RestoreJob, carry_out, change, check_consent, fan_out, leftovers, look_again, prepare, privileges,
    rehearsal,
};
use crate::backup::{RunStatus, Tools};
use crate::continued::{Continued, Ended, Outcomes, TakenUp, Unfinished, take_up};
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Source, open};
use crate::run::{Journal, Run, rfc3339, since};
use crate::store::Location;
use crate::wording::count;

impl Ended for RestoreReport {
    fn status(&self) -> RunStatus {
        self.status
    }
}

/// Begins the run's restore, or goes on with it; ends near the deadline. The same run again goes on, or is told what came of it.
///
/// # Errors
/// As [`prepare`] and [`carry_out`]. Where the same may succeed later, the run's state is kept.
pub async fn restore_run(job: &RestoreJob, run: &Run, tools: &Tools) -> Result<Continued<RestoreReport>, Failure> {
    restore_until(job, run, tools, Until::Finished).await
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
) -> Result<Continued<RestoreReport>, Failure> {
    let way_back = folder_of_job(job)?;
    let outcomes = Outcomes::of("restore", (run, job.fingerprint()), &tools.store, &way_back)?;
    let mut journal = match take_up(&tools.store, run.folder(&way_back)?).await? {
        TakenUp::Ours(journal) => journal,
        TakenUp::Running => return Ok(Continued::Unfinished(Unfinished::running(run, &what(job)))),
        TakenUp::Nowhere => {
            let prepared = Box::pin(prepare(job, tools)).await?;
            let report = Box::pin(carry_out(prepared, job, tools)).await?;
            return Ok(Continued::Finished(Box::new(report)));
        }
    };
    let answer = match outcomes.find().await {
        Ok(None) => Box::pin(part(job, run, tools, &mut journal, until)).await,
        Ok(Some(report)) => Ok(Continued::Finished(Box::new(report))),
        Err(failure) => Err(failure),
    };
    outcomes.let_go(journal, &answer).await;
    answer
}

/// One invocation's part. A run that is at its end leaves its report in its state.
pub(crate) async fn part(
    job: &RestoreJob,
    run: &Run,
    tools: &Tools,
    journal: &mut Journal,
    until: Until,
) -> Result<Continued<RestoreReport>, Failure> {
    let recorded = match journal.read::<State>().await {
        Ok(recorded) => recorded.map(|recorded| recorded.state),
        Err(failure) => return Err(at_its_end(failure, job, run, tools, journal).await),
    };
    let resumed = recorded.is_some();
    let (prepared, state) = match recorded {
        None => Box::pin(begin(job, tools, journal)).await?,
        Some(state) => {
            run.check_request(&state.request, &job.fingerprint())
                .inspect_err(|_| journal.refuse())?;
            if let Stage::Finished(report) = state.stage {
                // Unless that was done, and only its answer was lost.
                if let Ok(lock) = Lock::go_on(job, run, &tools.mongo).await {
                    lock.release().await;
                }
                return Ok(Continued::Finished(report));
            }
            match Box::pin(revive(job, tools, journal, state)).await {
                Ok(revived) => revived,
                Err(failure) => return Err(at_its_end(failure, job, run, tools, journal).await),
            }
        }
    };
    let lock = take_lock(&prepared, job, run, tools, &state).await?;
    let (archive, invocations) = (state.archive.clone(), state.invocations);
    tracing::info!(archive, invocation = invocations, "the restore goes on");
    let record = Record::new(journal, tools.deadline, state, resumed);
    let ended = match record.save().await {
        Ok(()) => Box::pin(work(prepared, (job, run, until), tools, &lock, &record)).await,
        Err(failure) => Err(Stop::Failed(failure)),
    };
    match ended {
        Ok(report) => {
            record.state().stage = Stage::Finished(Box::new(report.clone()));
            if let Err(failure) = record.save_at_the_end().await {
                // The next invocation finds everything in its place, and says so; for that it needs the lock.
                lock.leave().await;
                return Err(failure);
            }
            lock.release().await;
            Ok(Continued::Finished(Box::new(report)))
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
            Ok(Continued::Unfinished(paused))
        }
        // The lock is the same for the invocation that has taken over.
        Err(Stop::Failed(failure)) if failure.kind == FailureKind::RunTakenOver => Err(failure),
        Err(Stop::Failed(failure)) if failure.is_worth_another_try() => {
            let saved = record.save_if_possible().await;
            lock.leave().await;
            saved.and(Err(failure))
        }
        Err(Stop::Failed(failure)) => {
            lock.release().await;
            Err(failure)
        }
    }
}

/// A failure that ends the run: it keeps nobody else waiting.
async fn at_its_end(failure: Failure, job: &RestoreJob, run: &Run, tools: &Tools, journal: &Journal) -> Failure {
    if !journal.has_refused()
        && !failure.is_worth_another_try()
        && let Ok(lock) = Lock::go_on(job, run, &tools.mongo).await
    {
        lock.release().await;
    }
    failure
}

/// Everything from the first look to the report, as far as it was not done before.
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
            rehearsal::rehearse(&prepared, job, tools).await?;
            record.put_rehearsed();
            record.save_if_possible().await?;
        }
        let Some(snapshot) = Box::pin(take_for(run, &prepared, job, tools, record)).await? else {
            return Err(Stop::Paused);
        };
        leftovers::remove(&target, tools).await;
        record.state().stage = Stage::Loading {
            snapshot: snapshot.map(Box::new),
        };
        record.save().await?;
    }
    let restore = work::Run::new(&prepared, job, tools, lock, Some(record));
    match until {
        Until::Divided(workers) if record.is_loading() => {
            if record.loads().is_empty() {
                let shares = fan_out::divide(&restore, workers).await?;
                record.put_loads(shares);
                record.save().await?;
            }
            if !record.loads().is_empty() {
                return Err(Stop::Divided);
            }
        }
        _ => {
            if let Err(failure) = fan_out::gather(job, run, tools, &prepared, record).await {
                if !failure.is_worth_another_try() && failure.kind != FailureKind::RunTakenOver {
                    fan_out::remove(&restore, &record.loads()).await;
                }
                return Err(failure.into());
            }
        }
    }
    let changed = Box::pin(change(&restore)).await?;
    let snapshot = record.snapshot();
    Ok(RestoreReport::finished(
        prepared,
        snapshot,
        changed,
        since(&record.state().started),
    ))
}

/// What is decided once.
async fn begin(job: &RestoreJob, tools: &Tools, journal: &mut Journal) -> Result<(Prepared, State), Failure> {
    let started = rfc3339(OffsetDateTime::now_utc());
    let prepared = Box::pin(prepare(job, tools)).await?;
    check_consent(&prepared.plan, &job.consent)?;
    privileges::check(&prepared, job, &tools.mongo).await?;
    let head = Head {
        plan: prepared.plan.clone(),
        target: prepared.target.clone(),
    };
    let head = serde_json::to_vec(&head).expect("a plan has text keys only");
    // Another invocation that begins would give it another name.
    let name = format!("plan-{:08}", journal.lease().epoch());
    journal.keep(&name, &head).await?;
    let archive = prepared.archive.object.location.to_string();
    let state = State::new(job.fingerprint(), archive, name, started, fresh_temporary());
    Ok((prepared, state))
}

/// What was decided, and what has come of it so far.
async fn revive(
    job: &RestoreJob,
    tools: &Tools,
    journal: &mut Journal,
    mut state: State,
) -> Result<(Prepared, State), Failure> {
    let head = Head::read(&journal.kept(&state.head).await?, &journal.place(&state.head))?;
    check_consent(&head.plan, &job.consent).inspect_err(|_| journal.refuse())?;
    let location: Location = state.archive.parse()?;
    tools.progress.step(format!("opening {location}"));
    let source = Source {
        location: &location,
        database: job.source_database.as_deref(),
    };
    let archive = open(&tools.store, source, tools.memory).await?;
    check_archive(&archive, &head)?;
    state.invocations += 1;
    let prepared = Prepared {
        archive,
        target: head.target,
        plan: head.plan,
    };
    Ok((prepared, state))
}

/// Of another version of the archive other documents would follow those that are in.
pub(super) fn check_archive(archive: &ArchiveFile, head: &Head) -> Result<(), Failure> {
    match archive.contents().archive == head.plan.archive {
        true => Ok(()),
        false => Err(Failure::new(
            FailureKind::ConsentStale,
            format!(
                "{} was replaced after this restore had begun, and its documents do not go on: begin a new run",
                head.plan.archive.location
            ),
        )),
    }
}

/// As long as nothing was loaded, the lock may have been another's meanwhile; the target is looked at again then.
async fn take_lock(
    prepared: &Prepared,
    job: &RestoreJob,
    run: &Run,
    tools: &Tools,
    state: &State,
) -> Result<Lock, Failure> {
    let changed = match &state.stage {
        Stage::Preparing { .. } => return Lock::take(prepared, job, Some(run), &tools.mongo).await,
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
