//! A store's errors.

use std::fmt;

use thiserror::Error;

use super::Location;
use crate::failure::{Failure, FailureKind};

/// Errors of a store, as far as callers act differently.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The object is not there.
    #[error("{0} does not exist{1}")]
    NotFound(Location, Said),
    /// Nor is its bucket.
    #[error("{0}: there is no such bucket; correct its name, or create it{1}")]
    NoBucket(Location, Said),
    /// An object of that name is there already; nothing is ever overwritten.
    #[error("{0} exists already: nothing is overwritten; start again for a new name{1}")]
    Exists(Location, Said),
    /// The object was replaced while it was read.
    #[error("{0} was changed while it was being read: start again{1}")]
    Changed(Location, Said),
    /// It is on this machine, and neither a file nor a folder.
    #[error("{0} is {1}")]
    NoFile(Location, &'static str),
    /// How S3 is spoken to is not how this one can be spoken to, or cannot be understood.
    #[error("{0}")]
    Misconfigured(String),
    /// The credentials do not allow it.
    #[error("access to {location} is denied ({action}): {reason}")]
    Denied {
        /// What was accessed.
        location: Location,
        /// The operation of S3, or on files, that was refused.
        action: &'static str,
        /// What the service or the system answered, and what can be done.
        reason: String,
        /// The region in which the bucket is, if it was asked for in another.
        elsewhere: Option<String>,
    },
    /// The object lies in a tier that cannot be read at once.
    #[error("{0} is in an archive tier (Glacier): have S3 restore it first, then read it{1}")]
    Archived(Location, Said),
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

/// What a service answered: status, code, message and request id. Nothing if it was not asked: it displays as the end
/// of a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(Option<Box<str>>);

impl Said {
    /// Nothing was asked, or the answer was not a refusal.
    pub const NOTHING: Self = Self(None);
}

impl From<String> for Said {
    fn from(answer: String) -> Self {
        Self(Some(answer.into()))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(answer) => write!(f, ". The store said: {answer}"),
            None => Ok(()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::NotFound(..) | StoreError::NoBucket(..) => FailureKind::ArchiveNotFound,
            StoreError::Exists(..) => FailureKind::ArchiveExists,
            StoreError::NoFile(..) => FailureKind::ArchiveUnsupported,
            StoreError::Misconfigured(_) => FailureKind::InvalidRequest,
            StoreError::Denied { .. } | StoreError::Archived(..) => FailureKind::StoreDenied,
            StoreError::Changed(..) | StoreError::Failed { .. } => FailureKind::Store,
        };
        let passes = matches!(error, StoreError::Failed { .. });
        Self::new(kind, error.to_string()).passing(passes)
    }
}
