//! How a run is divided among workers, how far each got, and where that is stored.

use serde::{Deserialize, Serialize};

use super::head::{BackupHead, Writers};
use super::request::BackupJob;
use super::tools::Tools;
use crate::archive::{Exception, LaneContent, Saved, Segment};
use crate::failure::Failure;
use crate::run::{Chapters, Journal, Left, Run};
use crate::store::{Location, UploadState};

/// What a lane's object is called in its folder.
pub(super) const DATA: &str = "data";
/// The name of the step that joins the lanes.
pub(super) const JOIN: &str = "join";
/// The names of a lane's steps: everything was sent, and whether the commit came about is to be found out; it is at its
/// end.
pub(super) const SENT: &str = "sent";
pub(super) const DONE: &str = "done";

/// How far the lanes are joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Joining {
    /// The archive's upload, with the parts that were joined so far.
    pub(super) upload: UploadState,
    /// When the lanes were found to be there: a manifest that is made once more is the same.
    pub(super) finished: Option<String>,
    /// The least size of parts that must all have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) equal_parts: Option<u64>,
}

/// What a lane came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LaneDone {
    pub(super) content: LaneContent,
    /// Where the rows of its segments are kept.
    pub(super) rows: Chapters<Segment>,
    pub(super) saved: Vec<Saved>,
    pub(super) exceptions: Vec<Exception>,
    /// Why it could not be proven that they were read at the archive's moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unproven: Option<String>,
}

/// What a run that is divided has left, and what was decided of it.
pub(super) async fn planned(job: &BackupJob, run: &Run, tools: &Tools) -> Result<(Left, BackupHead), Failure> {
    let left = Left::find(&tools.store, &run.folder(&job.destination)?).await?;
    let left = left.ok_or_else(|| not_planned(run))?;
    let head: BackupHead = left.head()?;
    head.check(job, run, &Journal::nowhere())?;
    match head.writers {
        Writers::Lanes(_) => Ok((left, head)),
        Writers::One(_) => Err(not_planned(run)),
    }
}

pub(super) fn lane_folder(folder: &Location, number: u32) -> Location {
    folder.join(&format!("lane-{number:05}"))
}

pub(super) fn not_planned(run: &Run) -> Failure {
    Failure::invalid(format!(
        "the run {:?} is not divided into lanes: call the action \"plan\" first; if it names none, call \"backup\"",
        run.id
    ))
}
