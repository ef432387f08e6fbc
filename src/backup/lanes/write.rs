//! The second step: one worker writes its share as a separate object.

use std::collections::BTreeMap;

use super::super::head::{BackupHead, LanePlan, Writers, select};
use super::super::lane::Lane;
use super::super::piece::Task;
use super::super::report::Totals;
use super::super::request::BackupJob;
use super::super::shares::{DATA, DONE, LaneDone, SENT, lane_folder, planned};
use super::super::state::{LaneStart, LaneState};
use super::super::tools::Tools;
use super::super::write::{self, MomentTaken};
use super::answer::LaneReport;
use crate::archive::ArchiveWriter;
use crate::failure::{Failure, FailureKind};
use crate::run::{Journal, Run, RunStatus, Running, Went, take_up_kept};
use crate::store::{Location, Tags, UploadState};

/// Begins or resumes one lane.
///
/// # Errors
/// As [`backup_run`](crate::backup::backup_run), and if there is no such lane.
pub fn lane<'a>(job: &'a BackupJob, run: &'a Run, number: u32, tools: &'a Tools) -> Running<'a, LaneReport> {
    Box::pin(async move {
        let (_, head) = planned(job, run, tools).await?;
        let share = share(&head, number)?;
        let report = |status, totals| LaneReport {
            status,
            lane: number,
            totals,
        };
        let folder = lane_folder(&run.folder(&job.destination)?, number);
        let Some(journal) = take_up_kept(&tools.store, folder.clone()).await? else {
            return Ok(report(RunStatus::Running, Totals::default()));
        };
        let written = Box::pin(write_lane(job, tools, (&head, share), &folder, &journal)).await;
        match &written {
            Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
            // Its state is what the next step reads.
            _ => journal.pause().await,
        }
        Ok(match written? {
            Went::Done(done) => report(RunStatus::Complete, Totals::of(&done.saved)),
            Went::Paused(totals) => report(RunStatus::Continue, totals),
        })
    })
}

fn share(head: &BackupHead, number: u32) -> Result<&LanePlan, Failure> {
    let Writers::Lanes(lanes) = &head.writers else {
        return Err(Failure::invalid("the run has one worker"));
    };
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    lanes.get(index).ok_or_else(|| {
        let last = lanes.len().saturating_sub(1);
        Failure::invalid(format!("there is no lane {number}: lanes are 0 to {last}"))
    })
}

/// What the lane came to; or what it has laid out so far, where the deadline came first.
async fn write_lane(
    job: &BackupJob,
    tools: &Tools,
    (head, share): (&BackupHead, &LanePlan),
    folder: &Location,
    journal: &Journal,
) -> Result<Went<Totals, LaneDone>, Failure> {
    let mut catalog = select(job, &head.moment)?;
    catalog
        .collections
        .retain(|collection| share.collections.contains(&collection.name));
    let (mut upload, begun) = match journal.open().await? {
        Some(left) => {
            if let Some(done) = journal.found(DONE)? {
                return Ok(Went::Done(done));
            }
            if let Some((upload, done)) = journal.found(SENT)? {
                return Ok(Went::Done(commit(tools, journal, upload, done).await?));
            }
            Box::pin(LaneState::go_on(tools, left)).await?
        }
        None => {
            let store = tools.store.tagged(Tags::in_progress());
            let upload = tools.upload(&store, &folder.join(DATA)).await?;
            let schedule = write::schedule(&catalog, &job.destination, tools.memory);
            let archive = ArchiveWriter::lane(head.name.clone(), job.compression, schedule);
            (upload, LaneStart::new(archive))
        }
    };
    let (archive, invocation, collections) = (&head.name, journal.epoch(), catalog.collections.len());
    tracing::info!(%archive, invocation, collections, "the lane resumes");
    let mut lane = Lane::new(begun, job, tools, &mut upload, journal)?;
    lane.range.clone_from(&share.range);
    lane.save().await?;
    let tasks = lane.progress.tasks(&catalog, &BTreeMap::new());
    let tasks = tasks.into_iter().map(|task| Task {
        range: share.range.clone(),
        ..task
    });
    if let Went::Paused(()) = Box::pin(write::read(
        &mut lane,
        &head.moment,
        &catalog,
        tasks.collect(),
        MomentTaken::Before,
    ))
    .await?
    {
        return Ok(Went::Paused(lane.progress.totals()));
    }
    let (parts, mut content) = lane.archive.finish_lane();
    for part in parts {
        lane.upload.send(part).await?;
    }
    let sent = lane.upload.state().await?;
    lane.rows.keep(journal, &std::mem::take(&mut content.rows)).await?;
    let done = LaneDone {
        content,
        rows: lane.rows,
        saved: lane.progress.saved,
        exceptions: lane.progress.exceptions,
        unproven: lane.progress.unproven,
    };
    Ok(Went::Done(commit(tools, journal, sent, done).await?))
}

/// Makes the lane's object visible, and writes down what is in it. One of no bytes needs no object.
async fn commit(tools: &Tools, journal: &Journal, upload: UploadState, done: LaneDone) -> Result<LaneDone, Failure> {
    journal.write(SENT, &(&upload, &done), &[]).await?;
    journal.confirm().await?;
    let mut upload = tools.resume(upload).await?;
    match done.content.bytes {
        0 => upload.abort().await?,
        _ => drop(upload.commit().await?),
    }
    journal.write(DONE, &done, &[]).await?;
    Ok(done)
}
