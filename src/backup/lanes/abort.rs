//! Removes everything of a backup that cannot be finished.

use super::super::head::{BackupHead, Writers};
use super::super::request::BackupJob;
use super::super::shares::{JOIN, Joining, SENT, lane_folder};
use super::super::state::{LANE, LaneState};
use super::super::tools::Tools;
use crate::failure::Failure;
use crate::run::{Left, Run, RunStatus, Running, remove_run, take_up_kept};

/// Removes everything that a run has begun.
///
/// # Errors
/// If it could not be removed, or somebody is at it.
pub fn abort<'a>(job: &'a BackupJob, run: &'a Run, tools: &'a Tools) -> Running<'a, RunStatus> {
    Box::pin(async move {
        let folder = run.folder(&job.destination)?;
        let Some(journal) = take_up_kept(&tools.store, folder.clone()).await? else {
            return Ok(RunStatus::Running);
        };
        if let Some(left) = journal.open().await? {
            if let Writers::Lanes(lanes) = left.head::<BackupHead>()?.writers {
                for number in (0..).take(lanes.len()) {
                    let folder = lane_folder(&folder, number);
                    if let Some(lane) = Left::find(&tools.store, &folder).await?
                        && !lane.has(SENT)
                    {
                        abort_upload(&lane, tools).await?;
                    }
                    remove_run(&tools.store, &folder).await?;
                }
            }
            abort_upload(left, tools).await?;
        }
        journal.end().await;
        Ok(RunStatus::Aborted)
    })
}

/// Aborts the upload that a worker goes on with, or that the lanes are joined in.
async fn abort_upload(left: &Left, tools: &Tools) -> Result<(), Failure> {
    let upload = match left.place::<LaneState>(LANE)? {
        Some(lane) => Some(lane.upload),
        None => left.place::<Joining>(JOIN)?.map(|joining| joining.upload),
    };
    if let Some(upload) = upload {
        tools.resume(upload).await?.abort().await?;
    }
    Ok(())
}
