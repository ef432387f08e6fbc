//! What the steps of a divided backup answer.

use serde::Serialize;

use super::super::report::{BackupAnswer, Totals};
use crate::run::{Run, RunStatus};
use crate::store::Location;

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
