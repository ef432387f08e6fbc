//! A drill in as many invocations as it takes: the restore goes on as every restore does, in a scratch database that each invocation finds by the run, and so does the check of every byte.
//!
//! When the run is at its end, its report is kept beside the archive in `pre-restore/`, as `drill_{time}-{hash}.report.json`: the same event again is answered with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::drill;
use super::report::{DrillReport, Found};
use super::request::DrillJob;
use super::scratch::Scratch;
use crate::backup::{RunStatus, Tools};
use crate::continued::{Continued, Ended, Outcomes, TakenUp, Unfinished, must_be_kept, take_up};
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::open::{Source, open};
use crate::restore::{RestoreReport, Until, folder_for_choice, part as restore_part};
use crate::run::{Journal, Run, SAVED_EVERY, rfc3339, since};
use crate::store::Location;
use crate::verify::{Checked, Pace, VerifyReport};
use crate::wording::count;

impl Ended for DrillReport {
    fn status(&self) -> RunStatus {
        self.status
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
pub async fn drill_run(job: &DrillJob, run: &Run, tools: &Tools) -> Result<Continued<DrillReport>, Failure> {
    let Some(choice) = job.archive() else {
        return Err(Failure::invalid("no archive to drill with"));
    };
    let folder = folder_for_choice(choice)?;
    let outcomes = Outcomes::of("drill", (run, job.fingerprint()), &tools.store, &folder)?;
    let journal = match take_up(&tools.store, run.folder(&folder)?).await? {
        TakenUp::Ours(journal) => journal,
        TakenUp::Running => return Ok(Continued::Unfinished(Unfinished::running(run, "the drill"))),
        TakenUp::Nowhere => {
            let report = Box::pin(drill(job, tools)).await?;
            return Ok(Continued::Finished(Box::new(report)));
        }
    };
    let answer = match outcomes.find().await {
        Ok(None) => Box::pin(part(job, run, tools, (&journal, &folder))).await,
        Ok(Some(report)) => Ok(Continued::Finished(Box::new(report))),
        Err(failure) => Err(failure),
    };
    outcomes.let_go(journal, &answer).await;
    answer
}

/// One invocation's part.
async fn part(
    job: &DrillJob,
    run: &Run,
    tools: &Tools,
    (journal, folder): (&Journal, &Location),
) -> Result<Continued<DrillReport>, Failure> {
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
                let scratch = Scratch::claim_for(run, &tools.mongo, job.scratch.as_deref()).await?;
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
                match Box::pin(restore(job, run, tools, (&scratch, folder))).await? {
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
                    dropped: scratch.release_again(&tools.mongo).await,
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
                            if tools.deadline.is_near() {
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
            Stage::Finished(report) => return Ok(Continued::Finished(report)),
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
    (scratch, folder): (&Scratch, &Location),
) -> Result<Step, Failure> {
    let restore = job.restore_into(scratch.name())?;
    let run = Run {
        id: format!("{}/restore", run.id),
        time: run.time.clone(),
    };
    let state = run.folder(folder)?;
    let mut journal = loop {
        match take_up(&tools.store, state.clone()).await? {
            TakenUp::Ours(journal) => break journal,
            // A dead invocation's: the drill is ours, so nobody else is at it.
            TakenUp::Running if !tools.deadline.is_near() => tokio::time::sleep(Duration::from_secs(1)).await,
            TakenUp::Running => return Ok(Step::Paused(None)),
            TakenUp::Nowhere => return Err(must_be_kept(&state, "its restore")),
        }
    };
    match Box::pin(restore_part(&restore, &run, tools, &mut journal, Until::Finished)).await {
        Ok(Continued::Finished(report)) => Ok(Step::Done(Box::new(Ok(*report)), journal)),
        Ok(Continued::Unfinished(unfinished)) => {
            journal.pause().await;
            Ok(Step::Paused(Some(unfinished)))
        }
        Err(failure) if failure.kind == FailureKind::RunTakenOver => Err(failure),
        Err(failure) if failure.is_worth_another_try() => {
            journal.pause().await;
            Err(failure)
        }
        Err(failure) => Ok(Step::Done(Box::new(Err(failure)), journal)),
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

fn paused(run: &Run, state: &State, restoring: Option<&Unfinished>) -> Continued<DrillReport> {
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
    Continued::Unfinished(Unfinished {
        archive,
        ..Unfinished::paused(run, ("the drill", &done), "", state.invocations)
    })
}
