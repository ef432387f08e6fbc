//! A drill in as many invocations as it takes: the restore resumes like every restore, in a scratch database that each
//! invocation finds by the run, and so does the check of every byte.
//!
//! A finished run keeps its report beside the archive in `pre-restore/`, as `drill_{time}-{hash}.report.json`, which
//! answers the same event again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::report::{DrillFindings, DrillReport};
use super::request::DrillJob;
use super::scratch::{ROLES, Scratch};
use crate::backup::Tools;
use crate::choice::folder_for_choice;
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::open::{Source, open};
use crate::restore::{RestoreReport, Until, go_on as restore_on};
use crate::run::{
    Answer, Ended, Journal, Reports, Run, RunStatus, Running, Unfinished, Went, let_go_after, let_go_reporting,
    rfc3339, since, take_up, take_up_kept,
};
use crate::soundness::{VerifyReport, check};
use crate::store::Location;
use crate::wording::count;

impl Ended for DrillReport {
    fn status(&self) -> RunStatus {
        self.status
    }

    fn summary(&self) -> &str {
        &self.summary
    }
}

/// What is decided once.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct DrillHead {
    /// What was asked for.
    request: String,
    started: String,
}

/// The names of the steps.
const CLAIM: &str = "claim";
const RESTORE: &str = "restore";
const DROP: &str = "drop";
const TELL: &str = "tell";

/// What came of the restore. That an archive cannot be restored is what a drill is there to find out.
type RestoreOutcome = Result<RestoreReport, Failure>;

/// Begins or resumes the run's drill; ends near the deadline. Called again, the same run resumes, or finds its result.
///
/// # Errors
/// As [`drill`](super::drill()). If the same may succeed later, the run's state and its scratch database are kept.
pub fn drill_run<'a>(job: &'a DrillJob, run: &'a Run, tools: &'a Tools) -> Running<'a, Answer<DrillReport>> {
    Box::pin(async move {
        let folder = job.folder()?;
        let reports = Reports::of("drill", (run, job.fingerprint()), &tools.store, &folder)?;
        let Some(journal) = take_up(&tools.store, run.folder(&folder)?).await? else {
            return Ok(Answer::Unfinished(Unfinished::running(run, "the drill")));
        };
        let answer = match reports.find().await {
            // Where nothing is kept, nobody goes on in the same scratch database, and two with one event must not meet in
            // it.
            Ok(None) if !journal.is_kept() => drill(job, tools).await.map(|report| Answer::Finished(Box::new(report))),
            Ok(None) => Box::pin(go_on(job, run, tools, &journal)).await,
            Ok(Some(report)) => Ok(Answer::Finished(Box::new(report))),
            Err(failure) => Err(failure),
        };
        Box::pin(let_go_reporting(journal, &reports, answer)).await
    })
}

/// Restores an archive into a scratch database, compares, and drops it again.
///
/// # Errors
/// If the drill could not begin: no archive is named, the database is not reachable, the scratch database exists. An
/// archive that cannot be restored is no error of the drill but its finding: the report's verdict is then `failed`.
pub async fn drill(job: &DrillJob, tools: &Tools) -> Result<DrillReport, Failure> {
    let (run, journal) = (Run::nameless(), Journal::nowhere());
    Box::pin(go_on(job, &run, tools, &journal)).await?.report()
}

/// One invocation's part: the restore, the end of the scratch database, the check of every byte, and the report.
async fn go_on(job: &DrillJob, run: &Run, tools: &Tools, journal: &Journal) -> Result<Answer<DrillReport>, Failure> {
    let head = head(job, run, journal).await?;
    if let Some(report) = journal.found(TELL)? {
        return Ok(Answer::Finished(report));
    }
    let scratch = Scratch::of(run, job.scratch.as_deref());
    let restored: Box<RestoreOutcome> = match journal.found(RESTORE)? {
        Some(restored) => restored,
        None => match Box::pin(restore(job, run, tools, journal)).await? {
            Went::Done(restored) => restored,
            Went::Paused(archive) => return Ok(paused(run, journal, archive, "the archive is being restored")),
        },
    };
    let dropped: Result<(), MongoError> = match journal.found(DROP)? {
        Some(dropped) => dropped,
        None => {
            tools.progress.step(format!("dropping {}", scratch.name()));
            let dropped = scratch.release(&tools.mongo).await;
            journal.write(DROP, &dropped, &[]).await?;
            dropped
        }
    };
    let checked = match &*restored {
        Err(_) => None,
        Ok(report) => match Box::pin(check_bytes(job, report, tools, journal)).await? {
            Went::Done(checked) => Some(checked),
            Went::Paused(segments) => {
                let done = format!("restored, {} checked", count(segments, "segment"));
                return Ok(paused(run, journal, Some(report.archive.clone()), &done));
            }
        },
    };
    let found = DrillFindings {
        restored: *restored,
        checked,
        scratch: scratch.name().to_owned(),
        dropped,
        others: scratch.others(&tools.mongo).await,
    };
    let began = OffsetDateTime::parse(&head.started, &Rfc3339).unwrap_or_else(|_| OffsetDateTime::now_utc());
    let report = DrillReport::new(began, since(&head.started), found);
    journal.write(TELL, &report, &[]).await?;
    Ok(Answer::Finished(Box::new(report)))
}

/// What was decided when the drill began, which may be now.
async fn head(job: &DrillJob, run: &Run, journal: &Journal) -> Result<DrillHead, Failure> {
    if let Some(left) = journal.open().await? {
        let head: DrillHead = left.head()?;
        run.check_request(&head.request, &job.fingerprint())
            .inspect_err(|_| journal.refuse())?;
        return Ok(head);
    }
    let head = DrillHead {
        request: job.fingerprint(),
        started: rfc3339(OffsetDateTime::now_utc()),
    };
    journal.begin(&head).await?;
    Ok(head)
}

/// One invocation's part of the restore, which has a state of its own; or which archive it is about, where the time was
/// up.
async fn restore(
    job: &DrillJob,
    run: &Run,
    tools: &Tools,
    journal: &Journal,
) -> Result<Went<Option<String>, Box<RestoreOutcome>>, Failure> {
    // The database outlives this invocation, so what knows whose it is must be there before it.
    let scratch = Scratch::of(run, job.scratch.as_deref());
    journal.write(CLAIM, &scratch.name(), &[]).await?;
    let scratch = scratch.claim(&tools.mongo).await?;
    tools.progress.step(format!("restoring into {}", scratch.name()));
    let restore = job.restore_into(scratch.name())?;
    let run = Run {
        id: format!("{}/restore", run.id),
        time: run.time.clone(),
    };
    let own = match journal.is_kept() {
        false => Journal::nowhere(),
        true => match take_up_own(job, &run, tools).await? {
            Some(own) => own,
            None => return Ok(Went::Paused(None)),
        },
    };
    let restored = match Box::pin(restore_on((&restore, &run, Until::Finished), tools, &own)).await {
        Ok(Answer::Finished(report)) => Ok(*report),
        Ok(Answer::Unfinished(unfinished)) => {
            own.pause().await;
            return Ok(Went::Paused(unfinished.archive));
        }
        Err(mut failure) if own.outlives(&failure) => {
            let_go_after(own, &failure).await;
            let kept = format!(
                ". The scratch database {} stays; the same drill resumes in it",
                scratch.name()
            );
            failure.message.push_str(&kept);
            return Err(failure);
        }
        Err(mut failure) => {
            if failure.kind == FailureKind::DatabaseUnauthorized {
                failure.message += &format!(". For drills, grant the user {ROLES}");
            }
            Err(failure)
        }
    };
    journal.write(RESTORE, &restored, &[]).await?;
    own.end().await;
    Ok(Went::Done(Box::new(restored)))
}

/// The restore within a drill; nothing if the time was up. A dead invocation's part is waited for: the drill is
/// ours, so nobody else is at it.
async fn take_up_own(job: &DrillJob, run: &Run, tools: &Tools) -> Result<Option<Journal>, Failure> {
    let folder = run.folder(&job.folder()?)?;
    loop {
        let taken = take_up_kept(&tools.store, folder.clone()).await?;
        if taken.is_some() || tools.deadline.is_near() {
            return Ok(taken);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Checks every byte of the archive that was restored; how many segments so far, where the time was up. That it cannot
/// be opened is a finding.
async fn check_bytes(
    job: &DrillJob,
    report: &RestoreReport,
    tools: &Tools,
    journal: &Journal,
) -> Result<Went<u64, Result<VerifyReport, Failure>>, Failure> {
    let location: Location = report.archive.parse()?;
    let source = Source {
        location: &location,
        database: job.source_database(),
    };
    let file = match open(&tools.store, source, tools.memory).await {
        Ok(file) => file,
        Err(failure) => return Ok(Went::Done(Err(failure))),
    };
    Ok(match check(&file, &tools.progress, tools.deadline, journal).await? {
        Went::Done(report) => Went::Done(Ok(report)),
        Went::Paused(segments) => Went::Paused(segments),
    })
}

impl DrillJob {
    /// Below which folder its runs keep their state.
    ///
    /// # Errors
    /// If no archive is named, or that is no place.
    pub fn folder(&self) -> Result<Location, Failure> {
        if let Some(folder) = &self.state_to {
            return Ok(folder.clone());
        }
        let choice = self
            .archive()
            .ok_or_else(|| Failure::invalid("no archive to drill with"))?;
        folder_for_choice(choice)
    }
}

fn paused(run: &Run, journal: &Journal, archive: Option<String>, done: &str) -> Answer<DrillReport> {
    Answer::Unfinished(Unfinished {
        archive,
        ..Unfinished::paused(run, ("the drill", done), "", journal.invocations())
    })
}
