//! Which chain is made an archive of its own, and with what.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backup::retention::Retention;
use crate::backup::tools::cancelled;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Memory;
use crate::store::{Location, Store};

/// Which chain is made an archive of its own.
#[derive(Clone, Debug)]
pub struct CompactJob {
    /// The folder with the full archive that the newest chain begins with.
    pub folder: Location,
    /// How long the archive is to be kept.
    pub retention: Option<Retention>,
}

/// What it is made with: there is no database among it.
#[derive(Clone, Debug)]
pub struct CompactTools {
    /// S3 and the file system.
    pub store: Store,
    /// Where the operation says how far it is.
    pub progress: Arc<Progress>,
    /// Checked between segments; a cancelled run undoes what it began.
    pub cancel: CancellationToken,
    /// How much may be held at a time.
    pub memory: Memory,
}

impl CompactTools {
    /// Whether nobody has said that it is to end.
    pub(super) fn may_go_on(&self) -> Result<(), Failure> {
        match self.cancel.is_cancelled() {
            true => Err(cancelled()),
            false => Ok(()),
        }
    }
}
