//! What the functions answer, and how Lambda shows a failure.

use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;

use crate::backup::{BackupAnswer, BackupJob, LaneReport, LanesReport, RunStatus, SeveralReport};
use crate::drill::DrillReport;
use crate::failure::Failure;
use crate::restore::{LoadReport, LoadsReport, RestoreReport};
use crate::run::Answer;
use crate::store::Location;
use crate::verify::VerifyReport;

/// What the backup function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum BackedUp {
    /// To a backup of one database.
    One(BackupAnswer),
    /// To one of several.
    Several(SeveralReport),
    /// To the question which they are.
    Databases(Listed),
    /// To a plan: the lanes.
    Planned(LanesReport),
    /// To one lane.
    Lane(LaneReport),
    /// To an abort.
    Aborted {
        /// `aborted`, or `running` where somebody is at it.
        status: RunStatus,
    },
}

/// The databases that a request comes to.
#[derive(Debug, Serialize)]
pub struct Listed {
    databases: Vec<ListedDatabase>,
}

/// One of them, as a request of its own needs it.
#[derive(Debug, Serialize)]
pub struct ListedDatabase {
    database: String,
    destination: Location,
}

impl Listed {
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
impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: failure.kind.to_string(),
            error_message: failure.message,
        }
    }
}

/// A result as the JSON that a function answers with.
///
/// # Errors
/// None that a report can cause: its keys are text.
pub(super) fn as_json(report: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(report)
        .map_err(|error| Failure::invalid(format!("the report cannot be written as JSON: {error}")))
}
