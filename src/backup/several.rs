//! Several databases: one archive each, in separate folders below the destination, and one summary of them all.
//!
//! A failure of one database does not stop the others. Each has its own share of the run, so the same event again
//! resumes where the last invocation stopped: finished ones say so at once.

use serde::Serialize;

use super::operation::{backup, backup_run};
use super::report::{BackupAnswer, Totals};
use super::request::{BackupJob, BackupOrder, DatabaseChoice};
use super::tools::Tools;
use crate::failure::{Failure, FailureKind};
use crate::run::{Run, RunStatus, Running};
use crate::wording::{count, first_few, size, with_reason};

/// The answer to a backup of several databases.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SeveralReport {
    /// `complete` only where each of them is; `failed` where none has an archive; `continue` and `running` as for one.
    pub status: RunStatus,
    /// One sentence for a notification.
    pub summary: String,
    /// Which run it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// What became of each, in the order of their names or of the event.
    pub databases: Vec<DatabaseReport>,
    /// The sums of all archives.
    pub totals: Totals,
}

/// What became of one database of several.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum DatabaseReport {
    /// What it would have been answered by itself.
    Answer(BackupAnswer),
    /// There is no archive of it.
    Failed(FailedDatabase),
}

/// A database of which there is no archive.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FailedDatabase {
    /// `failed`.
    pub status: RunStatus,
    /// Its name.
    pub database: String,
    /// The kind of the failure.
    pub error_type: FailureKind,
    /// What happened, and what to do.
    pub error: String,
}

impl DatabaseReport {
    /// `complete`, `partial`, `failed`, `continue` or `running`.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Answer(answer) => answer.status(),
            Self::Failed(failed) => failed.status,
        }
    }

    /// Which database.
    pub fn database(&self) -> &str {
        match self {
            Self::Answer(answer) => answer.database(),
            Self::Failed(failed) => &failed.database,
        }
    }
}

/// The jobs of an order: one for each database.
///
/// # Errors
/// If the databases cannot be listed, or there is none.
pub fn jobs<'a>(order: &'a BackupOrder, tools: &'a Tools) -> Running<'a, Vec<BackupJob>> {
    Box::pin(async move {
        let names = match &order.databases {
            DatabaseChoice::One(_) => return Ok(vec![order.job.clone()]),
            DatabaseChoice::These(names) => names.clone(),
            DatabaseChoice::All => {
                // A server says nothing of databases that the user may not read: they would be missing without a word.
                let mut names = tools.mongo.all_database_names().await.map_err(|error| {
                    error.granting(
                        "the role backup or readAnyDatabase on admin, which may list all databases (listDatabases), or name the databases",
                    )
                })?;
                names.sort_unstable();
                names
            }
        };
        if names.is_empty() {
            return Err(Failure::invalid("there is no database to back up"));
        }
        Ok(names.into_iter().map(|name| order.job_of(name)).collect())
    })
}

/// Backs up each database of an order, one after the other; with a run, up to the deadline.
///
/// # Errors
/// As [`jobs`]. What fails with one database is in the report.
pub fn backup_several<'a>(
    order: &'a BackupOrder,
    run: Option<&'a Run>,
    tools: &'a Tools,
) -> Running<'a, SeveralReport> {
    Box::pin(async move {
        let mut databases = Vec::new();
        let mut paused = false;
        for job in jobs(order, tools).await? {
            tools.may_go_on()?;
            if run.is_some() && !databases.is_empty() && tools.deadline.is_near() {
                paused = true;
                break;
            }
            let answered = match run {
                Some(run) => backup_run(&job, &run.of_database(&job.database), tools).await,
                None => Box::pin(backup(&job, tools))
                    .await
                    .map(|report| BackupAnswer::Finished(Box::new(report))),
            };
            let report = match answered {
                Ok(answer) => DatabaseReport::Answer(answer),
                Err(failure) if failure.kind == FailureKind::Cancelled => return Err(failure),
                Err(failure) => {
                    tracing::error!(database = job.database, error_type = %failure.kind, reason = failure.message, "a database could not be backed up");
                    DatabaseReport::Failed(FailedDatabase {
                        status: RunStatus::Failed,
                        database: job.database,
                        error_type: failure.kind,
                        error: failure.message,
                    })
                }
            };
            paused = report.status() == RunStatus::Continue;
            databases.push(report);
            if paused {
                break;
            }
        }
        Ok(report(databases, run, paused))
    })
}

fn report(databases: Vec<DatabaseReport>, run: Option<&Run>, paused: bool) -> SeveralReport {
    let all = |status| databases.iter().all(|report| report.status() == status);
    let status = match paused {
        true => RunStatus::Continue,
        false if databases.iter().any(|report| report.status() == RunStatus::Running) => RunStatus::Running,
        false if all(RunStatus::Complete) => RunStatus::Complete,
        false if all(RunStatus::Failed) => RunStatus::Failed,
        false => RunStatus::Partial,
    };
    let totals = databases.iter().fold(Totals::default(), |sum, report| match report {
        DatabaseReport::Answer(BackupAnswer::Finished(report)) => sum.plus(&report.totals),
        _ => sum,
    });
    SeveralReport {
        status,
        summary: summary(status, &databases, &totals),
        run: run.cloned(),
        databases,
        totals,
    }
}

fn summary(status: RunStatus, databases: &[DatabaseReport], totals: &Totals) -> String {
    let all = count(databases.len() as u64, "database");
    let saved = format!("{} ({})", count(totals.documents, "document"), size(totals.bytes));
    match status {
        RunStatus::Complete => format!("{all} backed up whole: {saved}"),
        RunStatus::Continue | RunStatus::Running => format!("the backup of {all} continues: {saved} done"),
        _ => {
            let bad = databases.iter().filter(|report| report.status() != RunStatus::Complete);
            let why = |report: &DatabaseReport| match report {
                DatabaseReport::Failed(failed) => with_reason(&failed.database, &failed.error),
                DatabaseReport::Answer(BackupAnswer::Finished(report)) => report.summary.clone(),
                DatabaseReport::Answer(answer) => answer.database().to_owned(),
            };
            let failed = bad.clone().count();
            format!("of {all}, {failed} NOT backed up whole: {}", first_few(bad.map(why)))
        }
    }
}
