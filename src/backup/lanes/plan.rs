//! The first step: the moment of all lanes, and who writes what.

use super::super::commit::finished_before;
use super::super::cut::{Cut, cut};
use super::super::head::{BackupHead, LanePlan, TakenMoment, Writers};
use super::super::name::begin_upload;
use super::super::report::{BackupAnswer, UnfinishedBackup};
use super::super::request::BackupJob;
use super::super::shares::{JOIN, Joining};
use super::super::tools::Tools;
use super::answer::{LanesReport, PlanAnswer};
use crate::catalog::Kind;
use crate::failure::Failure;
use crate::mongo::IdRange;
use crate::run::{Journal, Run, RunStatus, Running, let_go_after, take_up_kept};
use crate::store::{Location, Store};

/// Takes the moment and divides the work. The run's upload begins here if there are several lanes.
///
/// # Errors
/// As [`backup_run`](crate::backup::backup_run).
pub fn plan<'a>(job: &'a BackupJob, run: &'a Run, most: u32, tools: &'a Tools) -> Running<'a, PlanAnswer> {
    Box::pin(async move {
        let Some(journal) = take_up_kept(&tools.store, run.folder(&job.destination)?).await? else {
            let running = UnfinishedBackup::running(run, job);
            return Ok(PlanAnswer::Answer(BackupAnswer::Unfinished(running)));
        };
        let planned = Box::pin(plan_held(job, run, most, tools, &journal)).await;
        match &planned {
            Err(failure) => let_go_after(journal, failure).await,
            Ok(_) if journal.has_state() => journal.pause().await,
            // Nothing was written that another step needs.
            Ok(_) => journal.end().await,
        }
        planned
    })
}

async fn plan_held(
    job: &BackupJob,
    run: &Run,
    most: u32,
    tools: &Tools,
    journal: &Journal,
) -> Result<PlanAnswer, Failure> {
    if let Some(left) = journal.open().await? {
        let head: BackupHead = left.head()?;
        head.check(job, run, journal)?;
        return Ok(match (head.writers, journal.found::<Joining>(JOIN)?) {
            (Writers::Lanes(lanes), Some(join)) => report(job, run, Some(join.upload.location), lanes.len()),
            _ => report(job, run, None, 0),
        });
    }
    if job.incremental {
        // Whether it comes to more than an increment, its writer finds out.
        return Ok(report(job, run, None, 0));
    }
    if let Some(answer) = finished_before(job, run, tools).await? {
        return Ok(PlanAnswer::Answer(answer));
    }
    let taken = TakenMoment::of(job, tools).await?;
    let readable: Vec<_> = taken
        .catalog
        .collections
        .iter()
        .filter(|collection| collection.kind != Kind::View && !taken.moment.undefined.contains_key(&collection.name))
        .collect();
    let lanes = lanes(
        job,
        tools,
        cut(&readable, most, tools.mongo.server().features.id_ranges),
    )
    .await?;
    if lanes.len() < 2 {
        return Ok(report(job, run, None, 0));
    }
    let (name, mut upload) = begin_upload(job, run, tools).await?;
    let joining = Joining {
        upload: upload.state().await?,
        finished: None,
        equal_parts: Store::equal_parts(&job.destination),
    };
    let answer = report(job, run, Some(joining.upload.location.clone()), lanes.len());
    let head = taken.head(job, Some(run), name, Writers::Lanes(lanes));
    journal.begin(&head).await?;
    journal.write(JOIN, &joining, &[]).await?;
    Ok(answer)
}

fn report(job: &BackupJob, run: &Run, archive: Option<Location>, lanes: usize) -> PlanAnswer {
    PlanAnswer::Planned(LanesReport {
        status: RunStatus::Planned,
        summary: match lanes {
            0 => format!("the backup of {} has one worker", job.database),
            many => format!("the backup of {} is divided among {many} workers", job.database),
        },
        run: run.clone(),
        database: job.database.clone(),
        archive,
        lanes: (0..).take(lanes).collect(),
    })
}

/// The lanes of shares: ranges get their bounds from the documents that are there.
async fn lanes(job: &BackupJob, tools: &Tools, shares: Vec<Cut>) -> Result<Vec<LanePlan>, Failure> {
    let mut lanes = Vec::new();
    for share in shares {
        match share {
            Cut::Packed(collections) => lanes.push(LanePlan {
                collections,
                range: None,
            }),
            Cut::Split(collection, ranges) => {
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
