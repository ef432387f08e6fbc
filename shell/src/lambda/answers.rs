//! The functions' answers, and how Lambda shows a failure.

use lambda_runtime::Diagnostic;
use serde::Serialize;

use mongotar::backup::{BackupAnswer, BackupJob, LaneReport, LanesReport, RunStatus, SeveralReport};
use mongotar::drill::DrillReport;
use mongotar::failure::Failure;
use mongotar::restore::{LoadReport, LoadsReport, RestoreReport};
use mongotar::run::Answer;
use mongotar::store::Location;
use mongotar::verify::VerifyReport;

/// What the backup function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum BackedUp {
    /// To a backup of one database.
    One(BackupAnswer),
    /// To one of several.
    Several(SeveralReport),
    /// To the question which they are.
    Databases(ListedDatabases),
    /// To a plan: the lanes.
    Planned(LanesReport),
    /// To one lane.
    Lane(LaneReport),
    /// To an abort.
    Aborted {
        /// `aborted`, or `running` if somebody is at it.
        status: RunStatus,
    },
}

/// The databases that a request means.
#[derive(Debug, Serialize)]
pub struct ListedDatabases {
    databases: Vec<ListedDatabase>,
}

/// One of them, as a request of its own needs it.
#[derive(Debug, Serialize)]
pub struct ListedDatabase {
    database: String,
    destination: Location,
}

impl ListedDatabases {
    pub(super) fn of(jobs: &[BackupJob]) -> Self {
        let databases = jobs.iter().map(|job| ListedDatabase {
            database: job.database.clone(),
            destination: job.destination.clone(),
        });
        Self {
            databases: databases.collect(),
        }
    }
}

/// What the restore function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Restored {
    /// To `begin`: the shares.
    Loads(LoadsReport),
    /// To `load`.
    Load(LoadReport),
    /// To a restore.
    Archive(Answer<RestoreReport>),
    /// To a drill.
    Drill(Answer<DrillReport>),
    /// To a verification.
    Verified(Answer<VerifyReport>),
}

/// What Lambda shows of a failure: `error_type` is the failure's kind.
pub(super) fn diagnostic(failure: Failure) -> Diagnostic {
    Diagnostic {
        error_type: failure.kind.to_string(),
        error_message: failure.message,
    }
}
