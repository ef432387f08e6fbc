//! What a store fails with.

use thiserror::Error;

use super::Location;
use crate::failure::{Failure, FailureKind};

/// What went wrong in a store, as far as callers act differently.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The object is not there.
    #[error("{0} does not exist")]
    NotFound(Location),
    /// Nor is its bucket.
    #[error("{0}: there is no such bucket; correct its name, or make it")]
    NoBucket(Location),
    /// An object of that name is there already; nothing is ever overwritten.
    #[error("{0} exists already: nothing is overwritten; start again for a new name")]
    Exists(Location),
    /// The object was replaced while it was read.
    #[error("{0} was changed while it was being read: start again")]
    Changed(Location),
    /// How S3 is spoken to is not how this one can be spoken to, or cannot be understood.
    #[error("{0}")]
    Misconfigured(String),
    /// The credentials do not allow it.
    #[error("access to {location} is denied ({action}): {reason}")]
    Denied {
        /// What was accessed.
        location: Location,
        /// The S3 action or file operation that was refused.
        action: &'static str,
        /// What the service or the system answered, and what can be done.
        reason: String,
    },
    /// The object lies in a tier that cannot be read at once.
    #[error("{0} lies in an archive tier (Glacier): have S3 restore it first, then read it")]
    Archived(Location),
    /// Anything else.
    #[error("{action} {location}: {reason}")]
    Failed {
        /// What was accessed.
        location: Location,
        /// What was tried.
        action: &'static str,
        /// What the service or the system answered.
        reason: String,
    },
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::NotFound(_) | StoreError::NoBucket(_) => FailureKind::ArchiveNotFound,
            StoreError::Exists(_) => FailureKind::ArchiveExists,
            StoreError::Misconfigured(_) => FailureKind::InvalidRequest,
            StoreError::Denied { .. } | StoreError::Archived(_) => FailureKind::StoreDenied,
            StoreError::Changed(_) | StoreError::Failed { .. } => FailureKind::Store,
        };
        let passes = matches!(error, StoreError::Failed { .. });
        Self::new(kind, error.to_string()).passing(passes)
    }
}
