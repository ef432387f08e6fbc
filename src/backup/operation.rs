//! The operation, as it is called: of what changed, or of the whole database.

use super::continued::{full, full_run};
use super::increment::incremental;
use super::report::{BackupAnswer, BackupReport};
use super::request::BackupJob;
use super::tools::Tools;
use crate::failure::Failure;
use crate::run::{Run, Running};

/// Backs a database up, from the beginning to the end.
///
/// # Errors
/// If there is no archive now. A collection that failed is not an error: the report's status is then `partial`.
pub async fn backup(job: &BackupJob, tools: &Tools) -> Result<BackupReport, Failure> {
    match job.incremental {
        true => Box::pin(incremental(job, None, tools)).await?.report(),
        false => full(job, tools).await,
    }
}

/// Begins or resumes the run's backup; ends near the deadline. Called again, the same run resumes, or finds its result.
///
/// # Errors
/// As [`backup`]. If the same may succeed later, the run's state is kept.
pub fn backup_run<'a>(job: &'a BackupJob, run: &'a Run, tools: &'a Tools) -> Running<'a, BackupAnswer> {
    match job.incremental {
        true => Box::pin(incremental(job, Some(run), tools)),
        false => full_run(job, run, tools),
    }
}
