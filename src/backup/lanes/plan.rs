//! The first step: the moment that all lanes are read at, and who writes what.

use time::OffsetDateTime;

use super::super::cut::{Share, cut};
use super::super::state::{Stage, State};
use super::super::{Head, begin_upload, demand_consistency, finished_before, nothing_there, select};
use super::{LanePlan, LanesReport, PlanAnswer, Planned};
use crate::backup::{BackupAnswer, BackupJob, RunStatus, Tools, UnfinishedBackup};
use crate::catalog::Kind;
use crate::failure::Failure;
use crate::mongo::IdRange;
use crate::run::{Journal, Lease, Run, Taken, rfc3339};
use crate::store::Location;

/// Takes the moment and divides the work. The run's upload begins here, where there is more than one lane.
///
/// # Errors
/// As [`backup_run`](crate::backup::backup_run).
pub async fn plan(job: &BackupJob, run: &Run, most: u32, tools: &Tools) -> Result<PlanAnswer, Failure> {
    let folder = run.folder(&job.destination)?;
    let lease = match Lease::take(&tools.store, &folder).await? {
        Taken::Ours(lease) => lease,
        Taken::Running => {
            return Ok(PlanAnswer::Answer(BackupAnswer::Unfinished(UnfinishedBackup::running(
                run, job,
            ))));
        }
    };
    let journal = Journal::new(&tools.store, folder, lease);
    let planned = Box::pin(plan_held(job, run, most, tools, &journal)).await;
    match &planned {
        // Nothing was written that another step needs.
        Ok(PlanAnswer::Answer(_)) => journal.end().await,
        Ok(PlanAnswer::Planned(report)) if report.archive.is_none() => journal.end().await,
        // A wrong event must not end a run that another one has begun.
        Err(failure) if !failure.is_worth_another_try() && !journal.has_refused() => journal.end().await,
        _ => journal.pause().await,
    }
    planned
}

async fn plan_held(
    job: &BackupJob,
    run: &Run,
    most: u32,
    tools: &Tools,
    journal: &Journal,
) -> Result<PlanAnswer, Failure> {
    let report = |archive: Option<Location>, lanes: usize| {
        let lanes: Vec<u32> = (0..).take(lanes).collect();
        PlanAnswer::Planned(LanesReport {
            status: RunStatus::Planned,
            summary: match lanes.len() {
                0 => format!("the backup of {} is one worker's", job.database),
                many => format!("the backup of {} is divided among {many} workers", job.database),
            },
            run: run.clone(),
            database: job.database.clone(),
            archive,
            lanes,
        })
    };
    match journal.read::<State<Head>>().await? {
        Some(recorded) if !recorded.state.head.is_of(job) => {
            journal.refuse();
            return Err(run.of_another_request());
        }
        Some(recorded) => {
            return Ok(match recorded.state.stage {
                Stage::Planned(planned) => report(Some(planned.upload.location), planned.lanes.len()),
                _ => report(None, 0),
            });
        }
        None => {}
    }
    if let Some(report) = finished_before(job, run, tools).await? {
        return Ok(PlanAnswer::Answer(BackupAnswer::Finished(Box::new(report))));
    }
    let created = rfc3339(OffsetDateTime::now_utc());
    let moment = tools.mongo.moment(&job.database).await?;
    demand_consistency(job, &moment)?;
    if moment.catalog.collections.is_empty() {
        return Err(nothing_there(job, tools).await);
    }
    let catalog = select(job, &moment)?;
    let readable: Vec<_> = catalog
        .collections
        .iter()
        .filter(|collection| collection.kind != Kind::View && !moment.undefined.contains_key(&collection.name))
        .collect();
    let lanes = lanes(job, tools, cut(&readable, most)).await?;
    if lanes.len() < 2 {
        return Ok(report(None, 0));
    }
    let (name, mut upload) = begin_upload(job, tools, Some(run)).await?;
    let planned = Planned {
        lanes,
        upload: upload.state().await?,
        finished: None,
    };
    let answer = report(Some(planned.upload.location.clone()), planned.lanes.len());
    let head = Head {
        request: job.fingerprint(),
        run: Some(run.id.clone()),
        name,
        created,
        moment,
        metadata: None,
        invocations: 1,
    };
    let stage = Stage::Planned(Box::new(planned));
    journal.write(&State { head, stage }, &[]).await?;
    Ok(answer)
}

/// The lanes of shares: ranges get their bounds from the documents that are there.
async fn lanes(job: &BackupJob, tools: &Tools, shares: Vec<Share>) -> Result<Vec<LanePlan>, Failure> {
    let mut lanes = Vec::new();
    for share in shares {
        match share {
            Share::Packed(collections) => lanes.push(LanePlan {
                collections,
                range: None,
            }),
            Share::Split(collection, ranges) => {
                let bounds = tools.mongo.cut_points(&job.database, &collection, ranges).await?;
                let from = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
                let to = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
                lanes.extend(from.zip(to).map(|(from, to)| LanePlan {
                    collections: vec![collection.clone()],
                    range: Some(IdRange { from, to }),
                }));
            }
        }
    }
    Ok(lanes)
}
