//! A way back before the first change: a backup of the target.

use std::time::Duration;

use serde_json::json;

use super::prepare::Prepared;
use super::record::Record;
use super::report::SnapshotReport;
use super::request::{RestoreJob, WayBack};
use super::work::Stop;
use crate::backup::{BackupAnswer, BackupJob, BackupReport, ConsistencyDemand, Tools, full, full_run};
use crate::catalog::{Collection, Selection};
use crate::choice::{folder_for, folder_for_choice};
use crate::failure::{Failure, FailureKind};
use crate::open::open;
use crate::plan::INTERNAL_PREFIX;
use crate::run::{Run, RunStatus, Went};
use crate::soundness::{VerifyReport, check};
use crate::store::Location;

/// Backs the target up, unless that was waived or there is nothing in it, and reads the archive that came of it from
/// end to end: a way back that is found to be damaged when it is needed is none. Both take as many invocations as they
/// need.
///
/// # Errors
/// [`FailureKind::SnapshotFailed`]: no way back, no restore. What another invocation may get right is as it came.
pub(super) async fn take(
    run: &Run,
    prepared: &Prepared,
    job: &RestoreJob,
    tools: &Tools,
    record: &Record<'_>,
) -> Result<Option<SnapshotReport>, Stop> {
    let Some(snapshot) = snapshot_of(prepared, job) else {
        return Ok(None);
    };
    let report = match record.written() {
        Some(report) => report,
        None => {
            tools.progress.step("taking a snapshot of the target");
            let report = match record.is_kept() {
                true => back_up(&snapshot, &run_of(run, record), tools).await?,
                false => Box::pin(full(&snapshot, tools))
                    .await
                    .map_err(|failure| refused(job, &failure.to_string()))?,
            };
            check_whole(job, &report)?;
            record.put_written(report.clone());
            record.save().await?;
            report
        }
    };
    if record.must_pause() {
        return Err(Stop::Paused);
    }
    let file = open(&tools.store, &report.archive, tools.memory).await;
    let file = file.map_err(|failure| refused(job, &failure.at(&report.archive).to_string()))?;
    let checked = Box::pin(check(&file, &tools.progress, record.deadline(), record.journal)).await?;
    record.has_moved();
    match checked {
        Went::Done(checked) => Ok(Some(verified(job, report, &checked)?)),
        Went::Paused(_) => Err(Stop::Paused),
    }
}

/// The run that the way back is: one of its own.
fn run_of(run: &Run, record: &Record<'_>) -> Run {
    Run {
        id: format!("{}/snapshot", run.id),
        // An archive is named after its time, and between an event and the consent to its plan can be days.
        time: record.state().origin.started.clone(),
    }
}

/// The run's backup. A dead invocation's part is waited for, since nobody else is at it.
async fn back_up(snapshot: &BackupJob, run: &Run, tools: &Tools) -> Result<BackupReport, Stop> {
    loop {
        let answer = full_run(snapshot, run, tools).await;
        let answer = answer.map_err(|failure| match failure.is_worth_another_try() {
            true => failure,
            false => refused_of(&snapshot.database, &failure.to_string()),
        })?;
        match answer {
            BackupAnswer::Finished(report) => return Ok(*report),
            BackupAnswer::Unfinished(unfinished) => {
                if unfinished.status == RunStatus::Continue || tools.deadline.is_near() {
                    return Err(Stop::Paused);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// The backup that is the way back; none if it was waived, or there is nothing to go back to.
fn snapshot_of(prepared: &Prepared, job: &RestoreJob) -> Option<BackupJob> {
    let WayBack::Snapshot(_) = &job.way_back else {
        return None;
    };
    // Neither what a dead restore left beside nor our own lock is data, and a backup takes none of it.
    let is_data = |collection: &Collection| !collection.name.starts_with(INTERNAL_PREFIX);
    if !prepared.target.collections.iter().any(is_data) {
        return None;
    }
    let destination = folder_of(job, &prepared.archive.object.location);
    Some(BackupJob {
        // Files have no tags.
        retention: job.retention.filter(|_| matches!(destination, Location::S3 { .. })),
        database: job.policy.database.clone(),
        destination,
        selection: Selection::default(),
        payload: crate::archive::Payload::default(),
        compression: crate::archive::Compression::default(),
        pretty: false,
        consistency: ConsistencyDemand::Auto,
        incremental: false,
        full_every: None,
        no_full: false,
        // A restore changes none that are there.
        users: None,
    })
}

fn refused(job: &RestoreJob, reason: &str) -> Failure {
    refused_of(&job.policy.database, reason)
}

fn refused_of(database: &str, reason: &str) -> Failure {
    Failure::new(
        FailureKind::SnapshotFailed,
        format!("the snapshot of {database} before the restore failed, and nothing was changed: {reason}"),
    )
}

fn check_whole(job: &RestoreJob, report: &BackupReport) -> Result<(), Failure> {
    if report.status == RunStatus::Complete {
        return Ok(());
    }
    let failed: Vec<&str> = report.failed.iter().map(|failed| failed.name.as_str()).collect();
    Err(refused(job, &format!("{} could not be read whole", failed.join(", "))))
}

fn verified(job: &RestoreJob, report: BackupReport, checked: &VerifyReport) -> Result<SnapshotReport, Failure> {
    if checked.status != RunStatus::Complete {
        let damaged = checked.damaged.join("; ");
        let reason = format!("{} is not what was written: {damaged}", report.archive);
        return Err(refused(job, &reason));
    }
    Ok(SnapshotReport {
        verified: true,
        undo: json!({"archive": report.archive, "database": job.policy.database, "replace_existing": true}),
        archive: report.archive,
        documents: report.totals.documents,
        bytes: report.archive_bytes,
        consistency: report.consistency.level,
    })
}

/// Where what this restore writes goes.
fn folder_of(job: &RestoreJob, archive: &Location) -> Location {
    match &job.way_back {
        WayBack::Snapshot(Some(folder)) => folder.clone(),
        _ => folder_for(archive),
    }
}

impl RestoreJob {
    /// The folder below which its runs keep their state, and where the way back goes.
    ///
    /// # Errors
    /// If that is not a location.
    pub fn folder(&self) -> Result<Location, Failure> {
        match &self.way_back {
            WayBack::Snapshot(Some(folder)) => Ok(folder.clone()),
            _ => folder_for_choice(&self.archive),
        }
    }
}
