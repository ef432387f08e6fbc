//! Which chain is made an archive of its own, and with what.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backup::request::BackupRequest;
use crate::backup::retention::Retention;
use crate::backup::tools::cancelled;
use crate::config::Environment;
use crate::failure::{Failure, FailureKind};
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

impl CompactJob {
    /// What a request means: its destination, or the environment's, and its class of retention. It has nothing else.
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`] if there is no destination, [`FailureKind::InvalidRequest`] for what
    /// means nothing here.
    pub fn of(request: BackupRequest, environment: &Environment) -> Result<Self, Failure> {
        environment.check()?;
        let (destination, retention) = (request.destination.clone(), request.retention);
        let rest = BackupRequest {
            destination: None,
            retention: None,
            run: None,
            ..request
        };
        if rest != BackupRequest::default() {
            return Err(Failure::invalid(
                "compact takes \"destination\" and \"retention\" only: it puts together the chains there, and reads no database",
            ));
        }
        let destination = destination.or_else(|| environment.destination.clone()).ok_or_else(|| {
            let missing = "no folder: set MONGOTAR_TO, or give \"destination\"";
            Failure::new(FailureKind::ConfigurationMissing, missing)
        })?;
        Ok(Self {
            folder: destination.parse()?,
            retention: match retention {
                None => Retention::of_environment(environment)?,
                given => given,
            },
        })
    }
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
