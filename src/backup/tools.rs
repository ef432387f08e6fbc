//! What every operation works with.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, FailureKind};
use crate::mongo::{Mongo, MongoUri};
use crate::progress::Progress;
use crate::run::{Deadline, Memory};
use crate::store::{Location, Store, StoreError, Upload, UploadState};

/// How many parts are on their way at a time: enough to hide S3's latency.
pub(super) const PARTS_IN_FLIGHT: usize = 5;
/// How much of the memory budget they may take, in hundredths.
pub(super) const PARTS_SHARE: u64 = 26;

/// What every operation works with.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The deployment.
    pub mongo: Mongo,
    /// S3 and the file system.
    pub store: Store,
    /// Where an operation says how far it is.
    pub progress: Arc<Progress>,
    /// Checked between steps; a cancelled run undoes what it began.
    pub cancel: CancellationToken,
    /// Checked between segments; a resumable run pauses when it is near.
    pub deadline: Deadline,
    /// How much may be held at a time.
    pub memory: Memory,
}

impl Tools {
    /// Connects to a deployment. All else is as usual: S3 as the environment configures it, and no deadline.
    ///
    /// # Errors
    /// As [`Mongo::connect`].
    pub async fn connect(uri: &str) -> Result<Self, Failure> {
        Ok(Self {
            mongo: Mongo::connect(&MongoUri::new(uri)).await?,
            store: Store::new(),
            progress: Arc::default(),
            cancel: CancellationToken::new(),
            deadline: Deadline::never(),
            memory: Memory::default(),
        })
    }

    /// Begins an upload that keeps to its share of the memory.
    pub(super) async fn upload(&self, store: &Store, location: &Location) -> Result<Upload, StoreError> {
        let upload = store.upload(location, PARTS_IN_FLIGHT).await?;
        Ok(self.paced(upload))
    }

    /// Goes on with one that another invocation has begun.
    pub(super) async fn resume(&self, state: UploadState) -> Result<Upload, StoreError> {
        let upload = self.store.resume_upload(state, PARTS_IN_FLIGHT).await?;
        Ok(self.paced(upload))
    }

    fn paced(&self, upload: Upload) -> Upload {
        upload.within(self.memory.share(PARTS_SHARE))
    }

    /// Whether nobody wants the run to end.
    ///
    /// # Errors
    /// [`FailureKind::Cancelled`].
    pub(crate) fn may_go_on(&self) -> Result<(), Failure> {
        match self.cancel.is_cancelled() {
            true => Err(cancelled()),
            false => Ok(()),
        }
    }
}

pub(crate) fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "the run was cancelled")
}
