//! Why a whole operation failed: one type for every shell.
//!
//! Callers go by the **kind**: its name is stable (`error_type` in a Lambda's answer, the text before the colon in the
//! CLI), and each means a different next step. The message says what happened, where, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hidden::hidden;

/// What kind of failure it is. The names are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum FailureKind {
    /// Something that must be configured is missing: see the message for its name.
    ConfigurationMissing,
    /// The request itself is wrong: correct it.
    InvalidRequest,
    /// The database cannot be reached, or a command failed.
    Database,
    /// The database user lacks a privilege.
    DatabaseUnauthorized,
    /// S3 or the file system failed.
    Store,
    /// The role, the file's permissions, or the object's storage class do not allow it.
    StoreDenied,
    /// The archive is not there.
    ArchiveNotFound,
    /// An object of that name is there already.
    ArchiveExists,
    /// The archive is truncated, damaged or altered.
    ArchiveDamaged,
    /// The archive was written in a format that this program does not know.
    ArchiveUnsupported,
    /// `consistency: require` could not be kept.
    ConsistencyNotReached,
    /// The plan cannot be carried out; nothing was changed.
    PlanConflicts,
    /// The restore needs `confirm` or `yes`; nothing was changed.
    ConsentMissing,
    /// Archive, request, target or cluster is not that of the plan that was confirmed: the message says which; nothing
    /// was changed.
    ConsentStale,
    /// The way back could not be made, or is not what was written; nothing was changed.
    SnapshotFailed,
    /// Another restore into the same database is running; nothing was changed.
    RestoreRunning,
    /// A worker's share of a restore is not in; nothing was changed.
    LoadMissing,
    /// Another invocation of the same run has taken over from this one, and goes on.
    RunTakenOver,
    /// The run was interrupted before its end. What it has done is kept: the same command goes on.
    RunPaused,
    /// What a run has left is damaged, incomplete, or of another version, and cannot be gone on from: begin a new run.
    RunUnusable,
    /// No increment can be made, since there is nothing that it could continue: make a full backup.
    NoChain,
    /// Somebody could not be told of what a topic had: the message is handed on again.
    NotifyFailed,
    /// The run was cancelled; what it began was undone.
    Cancelled,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A failed operation.
#[derive(Clone, Debug, Error, Serialize, Deserialize)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What happened, where, and what to do next. Never holds credentials.
    pub message: String,
    /// Whether it was a fault that passes.
    #[serde(skip)]
    passes: bool,
}

impl Failure {
    /// A failure with its message; connection strings in it are hidden.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            message: hidden(&message).into_owned(),
            passes: false,
        }
    }

    /// The same, of a fault that passes by itself.
    #[must_use]
    pub(crate) fn passing(self, passes: bool) -> Self {
        Self { passes, ..self }
    }

    /// Whether the way to the database or the store failed, and nothing is known to be wrong with the request: the run
    /// resumes from there.
    pub fn passes(&self) -> bool {
        self.passes
    }

    /// A request that cannot be carried out as it stands.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::InvalidRequest, message)
    }

    /// Whether the same may succeed when it is tried again: nothing was wrong with it as such. A run that ends so can
    /// be taken up again.
    pub fn is_worth_another_try(&self) -> bool {
        matches!(self.kind, FailureKind::Database | FailureKind::Store)
    }

    /// The same failure, with where it happened.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = hidden(&format!("{place}: {}", self.message)).into_owned();
        self
    }
}
