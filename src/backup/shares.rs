//! How a run is divided among workers, and what each has come to.

use serde::{Deserialize, Serialize};

use super::chapters::KeptRows;
use crate::archive::{Exception, LaneContent, Saved};
use crate::mongo::IdRange;
use crate::store::UploadState;

/// One worker's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LanePlan {
    /// Which collections, in the catalog's order.
    pub(super) collections: Vec<String>,
    /// Which documents of the one collection, where it is divided.
    pub(super) range: Option<IdRange>,
}

/// A run that is divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Planned {
    pub(super) lanes: Vec<LanePlan>,
    /// The archive's upload, with the parts that were joined so far.
    pub(super) upload: UploadState,
    /// When the lanes were found to be there: a manifest that is made once more is the same.
    pub(super) finished: Option<String>,
}

/// What a lane came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LaneDone {
    pub(super) content: LaneContent,
    /// Where the rows of its segments are kept.
    pub(super) rows: KeptRows,
    pub(super) saved: Vec<Saved>,
    pub(super) exceptions: Vec<Exception>,
}
