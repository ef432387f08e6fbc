//! A drill in as many invocations as it takes: the restore goes on as every restore does, in a scratch database that each invocation finds by the run, and so does the check of every byte.
//!
//! When the run is at its end, its report is kept beside the archive in `pre-restore/`, as `drill_{time}-{hash}.report.json`: the same event again is answered with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::report::{DrillReport, Found};
use super::request::DrillJob;
use super::scratch::Scratch;
use crate::backup::{RunStatus, Tools};
use crate::choice::folder_for_choice;
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::open::{Source, open};
use crate::restore::{RestoreReport, Until, go_on as restore_on};
use crate::run::{
    Answer, Ended, Journal, Reports, Run, SAVED_EVERY, Unfinished, let_go_reporting, rfc3339, since, take_up,
    take_up_kept,
};
use crate::soundness::{Checked, Pace, VerifyReport};
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

/// What another invocation must know to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// What was asked for.
    request: String,
    started: String,
    invocations: u32,
    stage: Stage,
}

/// How far a drill has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// The archive is being restored, and that has a state of its own.
    Restoring,
    /// The scratch database is to go.
    Dropping(Box<Restored>),
    /// Every byte is being checked.
    Checking {
        restored: Box<Restored>,
        dropped: Result<(), MongoError>,
        checked: Option<Box<Checked>>,
    },
    /// It is at its end.
    Finished(Box<DrillReport>),
}

type Restored = Result<RestoreReport, Failure>;

/// Begins the run's drill, or goes on with it; ends near the deadline. The same run again goes on, or is told what came of it.
///
/// # Errors
/// As [`drill`](super::drill()). Where the same may succeed later, the run's state and its scratch database are kept.
pub async fn drill_run(job: &DrillJob, run: &Run, tools: &Tools) -> Result<Answer<DrillReport>, Failure> {
    let folder = job.folder()?;
    let reports = Reports::of("drill", (run, job.fingerprint()), &tools.store, &folder)?;
    let Some(journal) = take_up(&tools.store, run.folder(&folder)?).await? else {
        return Ok(Answer::Unfinished(Unfinished::running(run, "the drill")));
    };
    let answer = match reports.find().await {
        // Where nothing is kept, nobody goes on in the same scratch database, and two with one event must not meet in it.
        Ok(None) if !journal.is_kept() => drill(job, tools).await.map(|report| Answer::Finished(Box::new(report))),
        Ok(None) => Box::pin(go_on(job, run, tools, &journal)).await,
        Ok(Some(report)) => Ok(Answer::Finished(Box::new(report))),
        Err(failure) => Err(failure),
    };
    let_go_reporting(journal, &reports, &answer).await;
    answer
}

/// Restores an archive into a scratch database, compares, and drops it again.
///
/// # Errors
/// Where the drill could not begin: no archive is named, the database is not reachable, the scratch database exists. An archive that cannot be restored is no error of
/// the drill but its finding: the report's verdict is then `failed`.
pub async fn drill(job: &DrillJob, tools: &Tools) -> Result<DrillReport, Failure> {
    let (run, journal) = (Run::nameless(), Journal::nowhere());
    Box::pin(go_on(job, &run, tools, &journal)).await?.report()
}

/// One invocation's part.
async fn go_on(job: &DrillJob, run: &Run, tools: &Tools, journal: &Journal) -> Result<Answer<DrillReport>, Failure> {
    let recorded = journal.read::<State>().await?;
    let mut state = match recorded.map(|recorded| recorded.state) {
        None => State {
            request: job.fingerprint(),
            started: rfc3339(OffsetDateTime::now_utc()),
            invocations: 1,
            stage: Stage::Restoring,
        },
        Some(state) => {
            run.check_request(&state.request, &job.fingerprint())
                .inspect_err(|_| journal.refuse())?;
            State {
                invocations: state.invocations + 1,
                ..state
            }
        }
    };
    let scratch = Scratch::of(run, job.scratch.as_deref());
    loop {
        state.stage = match state.stage {
            Stage::Restoring => {
                let scratch = Scratch::claim(run, &tools.mongo, job.scratch.as_deref()).await?;
                journal
                    .write(
                        &State {
                            stage: Stage::Restoring,
                            ..state.clone()
                        },
                        &[],
                    )
                    .await?;
                tools.progress.step(format!("restoring into {}", scratch.name()));
                match Box::pin(restore(job, run, tools, (&scratch, journal))).await? {
                    Step::Done(restored, inner) => {
                        let stage = Stage::Dropping(restored);
                        state.stage = stage.clone();
                        journal.write(&state, &[]).await?;
                        inner.end().await;
                        stage
                    }
                    Step::Paused(unfinished) => {
                        state.stage = Stage::Restoring;
                        journal.write(&state, &[]).await?;
                        return Ok(paused(run, &state, unfinished.as_ref()));
                    }
                }
            }
            Stage::Dropping(restored) => {
                tools.progress.step(format!("dropping {}", scratch.name()));
                Stage::Checking {
                    restored,
                    dropped: scratch.release(&tools.mongo).await,
                    checked: None,
                }
            }
            Stage::Checking {
                restored,
                dropped,
                checked,
            } => {
                let verified = match &*restored {
                    Err(_) => None,
                    Ok(report) => match check(job, report, tools, checked).await {
                        Err(failure) => Some(Err(failure)),
                        Ok(Check::Whole(report)) => Some(Ok(report)),
                        Ok(Check::Partly(so_far)) => {
                            state.stage = Stage::Checking {
                                restored,
                                dropped,
                                checked: Some(so_far),
                            };
                            journal.write(&state, &[]).await?;
                            if journal.must_pause(tools.deadline) {
                                return Ok(paused(run, &state, None));
                            }
                            continue;
                        }
                    },
                };
                let began = OffsetDateTime::parse(&state.started, &Rfc3339);
                let found = Found {
                    restored: *restored,
                    checked: verified,
                    scratch: scratch.name().to_owned(),
                    dropped,
                    others: scratch.others(&tools.mongo).await,
                };
                let began = began.unwrap_or_else(|_| OffsetDateTime::now_utc());
                Stage::Finished(Box::new(DrillReport::new(began, since(&state.started), found)))
            }
            Stage::Finished(report) => return Ok(Answer::Finished(report)),
        };
        journal.write(&state, &[]).await?;
    }
}

/// What came of the restore within a drill.
#[derive(Debug)]
enum Step {
    /// It is at its end; its state goes when the drill knows.
    Done(Box<Restored>, Journal),
    /// It is to go on.
    Paused(Option<Unfinished>),
}

/// One invocation's part of the restore. That an archive cannot be restored is what a drill is there to find out.
async fn restore(
    job: &DrillJob,
    run: &Run,
    tools: &Tools,
    (scratch, drills): (&Scratch, &Journal),
) -> Result<Step, Failure> {
    let restore = job.restore_into(scratch.name())?;
    let run = Run {
        id: format!("{}/restore", run.id),
        time: run.time.clone(),
    };
    let mut journal = match drills.is_kept() {
        false => Journal::nowhere(),
        true => match take_up_own(job, &run, tools).await? {
            Some(journal) => journal,
            None => return Ok(Step::Paused(None)),
        },
    };
    match Box::pin(restore_on((&restore, &run, Until::Finished), tools, &mut journal)).await {
        Ok(Answer::Finished(report)) => Ok(Step::Done(Box::new(Ok(*report)), journal)),
        Ok(Answer::Unfinished(unfinished)) => {
            journal.pause().await;
            Ok(Step::Paused(Some(unfinished)))
        }
        Err(failure) if failure.kind == FailureKind::RunTakenOver => Err(failure),
        Err(failure) if journal.is_kept() && failure.is_worth_another_try() => {
            journal.pause().await;
            Err(failure)
        }
        Err(failure) => Ok(Step::Done(Box::new(Err(failure)), journal)),
    }
}

/// The restore within a drill; nothing where the time was up. A dead invocation's part is waited for: the drill is ours, so nobody else is at it.
async fn take_up_own(job: &DrillJob, run: &Run, tools: &Tools) -> Result<Option<Journal>, Failure> {
    let folder = run.folder(&job.folder()?)?;
    loop {
        let taken = take_up_kept(&tools.store, folder.clone(), "its restore").await?;
        if taken.is_some() || tools.deadline.is_near() {
            return Ok(taken);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl DrillJob {
    /// Below which folder its runs keep their state.
    ///
    /// # Errors
    /// Where no archive is named, or that is no place.
    pub fn folder(&self) -> Result<Location, Failure> {
        let choice = self
            .archive()
            .ok_or_else(|| Failure::invalid("no archive to drill with"))?;
        folder_for_choice(choice)
    }
}

/// How far every byte of the archive is checked.
#[derive(Debug)]
enum Check {
    Whole(VerifyReport),
    Partly(Box<Checked>),
}

async fn check(
    job: &DrillJob,
    report: &RestoreReport,
    tools: &Tools,
    checked: Option<Box<Checked>>,
) -> Result<Check, Failure> {
    let location: Location = report.archive.parse()?;
    let source = Source {
        location: &location,
        database: job.source_database(),
    };
    let file = open(&tools.store, source, tools.memory).await?;
    let mut checked = checked.unwrap_or_else(|| Box::new(Checked::nothing_of(&file)));
    match checked
        .go_on(&file, &tools.progress, tools.deadline.or_in(SAVED_EVERY))
        .await
    {
        Pace::Finished => Ok(Check::Whole(checked.report(&file))),
        Pace::Paused => Ok(Check::Partly(checked)),
    }
}

fn paused(run: &Run, state: &State, restoring: Option<&Unfinished>) -> Answer<DrillReport> {
    let (archive, done) = match &state.stage {
        Stage::Checking {
            restored,
            checked: Some(checked),
            ..
        } => {
            let archive = restored.as_ref().as_ref().map(|report| report.archive.clone());
            let segments = count(checked.segments(), "segment");
            (archive.ok(), format!("it is restored, and {segments} are checked"))
        }
        _ => (
            restoring.and_then(|restoring| restoring.archive.clone()),
            "the archive is being restored".to_owned(),
        ),
    };
    Answer::Unfinished(Unfinished {
        archive,
        ..Unfinished::paused(run, ("the drill", &done), "", state.invocations)
    })
}
