//! How an increment ends that is not written.

use crate::archive::ClusterTime;
use crate::failure::Failure;

/// From one cluster time to another.
pub(super) type Times = (ClusterTime, ClusterTime);

/// Why there is no increment.
#[derive(Debug)]
pub(super) enum NoIncrement {
    /// None can continue the chain.
    Hole(String),
    /// This one failed.
    Failed(Failure),
}

impl From<Failure> for NoIncrement {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
