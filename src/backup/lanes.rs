//! Scale-out: several workers write one archive, in four steps that a state machine calls.
//!
//! 1. [`plan`] takes the moment that all of them read at, divides the catalog into lanes, and begins the archive's upload;
//! 2. [`lane`], once for each lane and all at once, writes its share as an object of its own below the run's folder;
//! 3. [`compose`] has the store join those objects ([`Composer`](crate::archive::Composer)), adds the manifest, and commits;
//! 4. [`abort`], where a lane could not be written: nothing stays.
//!
//! Each step is known by the run and can be sent again: it goes on where it stopped, or finds itself done. What is small is not divided: then [`plan`] says
//! so, and the run is an ordinary backup.

mod compose;
mod plan;
mod write;

use serde::{Deserialize, Serialize};

pub use compose::compose;
pub use plan::plan;
pub use write::lane;

use super::shares::{LaneDone, LanePlan, Planned};
use super::state::{Stage, State};
use super::{BackupAnswer, BackupJob, Head, RunStatus, Tools, Totals};
use crate::failure::Failure;
use crate::run::{Journal, Lease, Run, Taken, peek, remove_run};
use crate::store::Location;

/// What a lane's object is called in its folder.
const DATA: &str = "data";

/// The answer to `plan`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LanesReport {
    /// `planned`.
    pub status: RunStatus,
    /// One sentence for a notification.
    pub summary: String,
    /// Which run it is.
    pub run: Run,
    /// What is being backed up.
    pub database: String,
    /// Where the archive will be; not known yet where there are no lanes.
    pub archive: Option<Location>,
    /// The lanes' numbers. None where the archive is one worker's: the run is then an ordinary backup.
    pub lanes: Vec<u32>,
}

/// The answer to `plan`: lanes, or what came of the run before.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum PlanAnswer {
    /// What to do.
    Planned(LanesReport),
    /// It is done, or another invocation is at it.
    Answer(BackupAnswer),
}

/// The answer to `lane`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LaneReport {
    /// `complete`, `continue` or `running`. What of a collection could not be read is in the archive's report.
    pub status: RunStatus,
    /// Which lane.
    pub lane: u32,
    /// What it has laid out.
    pub totals: Totals,
}

/// What each invocation of a lane must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LaneHead {
    invocations: u32,
}

/// Removes everything that a run has begun.
///
/// # Errors
/// Where it could not be removed, or somebody is at it.
pub async fn abort(job: &BackupJob, run: &Run, tools: &Tools) -> Result<RunStatus, Failure> {
    let folder = run.folder(&job.destination)?;
    let Taken::Ours(lease) = Lease::take(&tools.store, &folder).await? else {
        return Ok(RunStatus::Running);
    };
    let journal = Journal::new(&tools.store, folder.clone(), lease);
    let recorded = journal.read::<State<Head>>().await?;
    let (upload, lanes) = match recorded.map(|recorded| recorded.state.stage) {
        Some(Stage::Planned(planned)) => (Some(planned.upload), planned.lanes.len()),
        Some(Stage::Writing(lane)) => (Some(lane.upload_state().clone()), 0),
        Some(Stage::Committing { upload, .. }) => (Some(upload), 0),
        _ => (None, 0),
    };
    for number in (0..).take(lanes) {
        let folder = lane_folder(&folder, number);
        let state = peek::<State<LaneHead>>(&tools.store, &folder).await?;
        if let Some(Stage::Writing(lane)) = state.map(|recorded| recorded.state.stage) {
            let upload = tools.store.resume_upload(lane.upload_state().clone(), 1).await?;
            upload.abort().await?;
        }
        remove_run(&tools.store, &folder).await?;
    }
    if let Some(upload) = upload {
        tools.store.resume_upload(upload, 1).await?.abort().await?;
    }
    journal.end().await;
    Ok(RunStatus::Aborted)
}

/// The plan of a run, as its steps read it.
async fn planned(job: &BackupJob, run: &Run, tools: &Tools) -> Result<(Head, Planned), Failure> {
    let folder = run.folder(&job.destination)?;
    let recorded = peek::<State<Head>>(&tools.store, &folder).await?;
    let state = recorded.ok_or_else(|| not_planned(run))?.state;
    match state.stage {
        _ if !state.head.is_of(job) => Err(run.of_another_request()),
        Stage::Planned(planned) => Ok((state.head, *planned)),
        _ => Err(not_planned(run)),
    }
}

fn lane_folder(folder: &Location, number: u32) -> Location {
    folder.join(&format!("lane-{number:05}"))
}

fn not_planned(run: &Run) -> Failure {
    Failure::invalid(format!(
        "the run {:?} is not divided into lanes: call the action \"plan\" first, and where it names none the action \"backup\"",
        run.id
    ))
}
