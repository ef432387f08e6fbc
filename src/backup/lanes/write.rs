//! The second step: one worker writes its share as an object of its own.

use std::collections::BTreeMap;

use super::super::piece::Task;
use super::super::state::{Begun, Keeper, Stage, State};
use super::super::{Head, PARTS_IN_FLIGHT, select, write};
use super::{DATA, LaneDone, LaneHead, LanePlan, LaneReport, lane_folder, planned};
use crate::archive::ArchiveWriter;
use crate::backup::{BackupJob, RunStatus, Tools, Totals};
use crate::catalog::Catalog;
use crate::failure::{Failure, FailureKind};
use crate::run::{Journal, Lease, Recorded, Run, Taken};
use crate::store::{Location, Tags, UploadState};

/// Writes one lane, or goes on with it.
///
/// # Errors
/// As [`backup_run`](crate::backup::backup_run), and where there is no such lane.
pub async fn lane(job: &BackupJob, run: &Run, number: u32, tools: &Tools) -> Result<LaneReport, Failure> {
    let folder = run.folder(&job.destination)?;
    let (head, planned) = planned(job, run, tools).await?;
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let share = planned.lanes.get(index).ok_or_else(|| {
        let last = planned.lanes.len().saturating_sub(1);
        Failure::invalid(format!("there is no lane {number}: they are 0 to {last}"))
    })?;
    let report = |status, totals| LaneReport {
        status,
        lane: number,
        totals,
    };
    let folder = lane_folder(&folder, number);
    let lease = match Lease::take(&tools.store, &folder).await? {
        Taken::Ours(lease) => lease,
        Taken::Running => return Ok(report(RunStatus::Running, Totals::default())),
    };
    let mut journal = Journal::new(&tools.store, folder.clone(), lease);
    let written = Box::pin(write_lane(job, tools, (&head, share), &folder, &mut journal)).await;
    match &written {
        Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
        _ => journal.pause().await,
    }
    Ok(match written? {
        Ok(done) => report(RunStatus::Complete, Totals::of(&done.saved)),
        Err(totals) => report(RunStatus::Continue, totals),
    })
}

/// What the lane came to; or what it has laid out so far, where the deadline came first.
async fn write_lane(
    job: &BackupJob,
    tools: &Tools,
    (head, share): (&Head, &LanePlan),
    folder: &Location,
    journal: &mut Journal,
) -> Result<Result<LaneDone, Totals>, Failure> {
    let catalog = catalog_of(job, head, share)?;
    let of_state = |tools: &Tools| tools.store.tagged(Tags::in_progress());
    let (mut upload, begun, lane_head) = match journal.read::<State<LaneHead>>().await? {
        Some(Recorded { state, bytes }) => {
            let lane_head = LaneHead {
                invocations: state.head.invocations + 1,
            };
            match state.stage {
                Stage::Writing(lane) => {
                    let (upload, begun) = Box::pin(lane.revive(tools, journal, &bytes)).await?;
                    (upload, begun, lane_head)
                }
                Stage::Written(upload, done) => {
                    commit_lane(tools, journal, lane_head, upload, &done).await?;
                    return Ok(Ok(*done));
                }
                Stage::Done(done) => return Ok(Ok(*done)),
                Stage::Planned(_) | Stage::Committing { .. } => return Err(foreign_state()),
            }
        }
        None => {
            let upload = of_state(tools).upload(&folder.join(DATA), PARTS_IN_FLIGHT).await?;
            let upload = tools.paced(upload);
            let archive = ArchiveWriter::lane(
                head.name.clone(),
                job.compression,
                write::schedule(&catalog, &job.destination, tools.memory),
            );
            (upload, Begun::new(archive), LaneHead { invocations: 1 })
        }
    };
    tracing::info!(archive = %head.name, invocation = lane_head.invocations, collections = catalog.collections.len(), "the lane goes on");
    let keeper = Keeper {
        journal,
        head: lane_head.clone(),
    };
    let mut lane = begun.lane(job, tools, &mut upload, Some(keeper))?;
    lane.range.clone_from(&share.range);
    lane.save().await?;
    let tasks = lane.progress.tasks(&catalog, &BTreeMap::new());
    let tasks = tasks.into_iter().map(|task| Task {
        range: share.range.clone(),
        ..task
    });
    if !Box::pin(write::read(&mut lane, &head.moment, &catalog, tasks.collect())).await? {
        return Ok(Err(lane.progress.totals()));
    }
    let progress = std::mem::take(&mut lane.progress);
    let mut rows = std::mem::take(&mut lane.rows);
    let (parts, mut content) = lane.archive.finish_lane();
    for part in parts {
        lane.upload.send(part).await?;
    }
    let sent = lane.upload.state().await?;
    rows.keep(journal, &std::mem::take(&mut content.rows)).await?;
    let done = LaneDone {
        content,
        rows,
        saved: progress.saved,
        exceptions: progress.exceptions,
    };
    commit_lane(tools, journal, lane_head, sent, &done).await?;
    Ok(Ok(done))
}

/// Makes the lane's object visible, and writes down what is in it. One of no bytes needs no object.
async fn commit_lane(
    tools: &Tools,
    journal: &mut Journal,
    head: LaneHead,
    upload: UploadState,
    done: &LaneDone,
) -> Result<(), Failure> {
    let written = Stage::Written(upload.clone(), Box::new(done.clone()));
    journal
        .write(
            &State {
                head: &head,
                stage: written,
            },
            &[],
        )
        .await?;
    journal.confirm().await?;
    let mut upload = tools.store.resume_upload(upload, PARTS_IN_FLIGHT).await?;
    match done.content.bytes {
        0 => upload.abort().await?,
        _ => {
            upload.commit().await?;
        }
    }
    let stage = Stage::Done(Box::new(done.clone()));
    journal.write(&State { head, stage }, &[]).await
}

fn catalog_of(job: &BackupJob, head: &Head, share: &LanePlan) -> Result<Catalog, Failure> {
    let mut catalog = select(job, &head.moment)?;
    catalog
        .collections
        .retain(|collection| share.collections.contains(&collection.name));
    Ok(catalog)
}

fn foreign_state() -> Failure {
    Failure::new(
        FailureKind::RunUnusable,
        "the lane's state is that of something else: begin a new run",
    )
}
