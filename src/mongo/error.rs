//! What a server or the way to it answered.

use mongodb::error::ErrorKind;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::reason::{self, refusal};
use crate::failure::{Failure, FailureKind};

/// Server error codes that somebody acts on (`src/mongo/base/error_codes.yml` of the server).
pub mod code {
    /// Not allowed.
    pub const UNAUTHORIZED: i32 = 13;
    /// Among other things: nested too deeply.
    pub const OVERFLOW: i32 = 15;
    /// What is not BSON.
    pub const INVALID_BSON: i32 = 22;
    /// What is BSON, but not of the form that its types have.
    pub const NON_CONFORMANT_BSON: i32 = 378;
    /// User or password are wrong, or no longer right.
    pub const AUTHENTICATION_FAILED: i32 = 18;
    /// There is no such collection or database.
    pub const NAMESPACE_NOT_FOUND: i32 = 26;
    /// The cursor is gone: the server was restarted, or nobody asked for too long.
    pub const CURSOR_NOT_FOUND: i32 = 43;
    /// The name is taken.
    pub const NAMESPACE_EXISTS: i32 = 48;
    /// A document that the validator refuses.
    pub const DOCUMENT_VALIDATION_FAILURE: i32 = 121;
    /// Azure's and FerretDB's engine does not know what was asked.
    pub const COMMAND_NOT_SUPPORTED: i32 = 115;
    /// Amazon DocumentDB does not know what was asked.
    pub const FEATURE_NOT_SUPPORTED: i32 = 303;
    /// No server's: a read at a snapshot was answered, but not with the time of a snapshot.
    pub const NOT_AT_THE_SNAPSHOT: i32 = -1;
    /// No server's: the place to resume from belongs to a server that has restarted since.
    pub const PLACE_LOST: i32 = -2;
    /// An option that this command does not know.
    pub const INVALID_OPTIONS: i32 = 72;
    /// This server cannot read at a snapshot (a standalone).
    pub const ILLEGAL_OPERATION_NOT_REPLICA_SET: i32 = 123;
    /// The place to resume from does not exist.
    pub const KEY_NOT_FOUND: i32 = 211;
    /// The server has ended a cursor, and says why in its message (`src/mongo/db/query/plan_executor_impl.cpp`).
    pub const QUERY_PLAN_KILLED: i32 = 175;
    /// The snapshot is older than the server's history.
    pub const SNAPSHOT_TOO_OLD: i32 = 239;
    /// This collection cannot be read at that time.
    pub const SNAPSHOT_UNAVAILABLE: i32 = 246;
    /// A change stream's place is no longer in the log.
    pub const CHANGE_STREAM_HISTORY_LOST: i32 = 286;
    /// A change stream cannot go on, and never will.
    pub const CHANGE_STREAM_FATAL: i32 = 280;
    /// What a cursor would read next of the log is gone.
    pub const CAPPED_POSITION_LOST: i32 = 136;
    /// The command took longer than its own `maxTimeMS`.
    pub const MAX_TIME_EXPIRED: i32 = 50;
    /// There is a database whose name differs in case only.
    pub const DATABASE_DIFFERS_IN_CASE: i32 = 13297;
    /// The `_id` or another unique key is there already.
    pub const DUPLICATE_KEY: i32 = 11000;
    /// A field of a command that this server does not know.
    pub const UNKNOWN_FIELD: i32 = 40415;
}

/// A failed command or connection. The message never holds credentials.
#[derive(Clone, Debug, Error, Serialize, Deserialize)]
#[error("{action}: {reason}")]
pub struct MongoError {
    /// What was tried, with the namespace.
    pub action: String,
    /// What came back.
    pub reason: String,
    /// The server's code, if the server answered.
    pub code: Option<i32>,
    /// Whether the same may succeed when it is tried again: a network failure or a change of primary.
    pub transient: bool,
}

impl MongoError {
    pub(super) fn new(
        action: impl Into<String>,
        error: &mongodb::error::Error,
        uri: &super::MongoUri,
        seen: &super::seen::SeenServers,
    ) -> Self {
        let action = action.into();
        if let ErrorKind::ServerSelection { message, .. } = error.kind.as_ref()
            && let Some(age) = reason::age(message)
        {
            return Self {
                reason: uri.redact(&age),
                action,
                code: None,
                transient: false,
            };
        }
        let (code, reason) = match error.kind.as_ref() {
            ErrorKind::Command(command) => (
                Some(command.code),
                format!(
                    "{} ({})",
                    reason::without_command(&command.message),
                    format!("{} {}", command.code, command.code_name).trim_end()
                ),
            ),
            ErrorKind::ServerSelection { .. } => (None, seen.why()),
            ErrorKind::Authentication { message, .. } => (
                Some(code::AUTHENTICATION_FAILED),
                seen.refused(&refusal(error, message)),
            ),
            kind => (None, reason::of(kind)),
        };
        let in_vain = || matches!(*error.kind, ErrorKind::ServerSelection { .. }) && seen.none_will_fit();
        let transient = is_of_the_network(&error.kind) && !in_vain()
            || error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR)
            || error.contains_label("RetryableError")
            || code.is_some_and(|code| is_passing(code, &reason));
        Self {
            reason: uri.redact(&reason),
            action,
            code,
            transient,
        }
    }

    /// What a server answered, by its code.
    pub(super) fn answered(action: impl Into<String>, reason: impl Into<String>, code: Option<i32>) -> Self {
        let reason = reason::without_command(&reason.into());
        Self {
            action: action.into(),
            transient: code.is_some_and(|code| is_passing(code, &reason)),
            reason,
            code,
        }
    }

    /// A server that keeps the connection open and says nothing.
    pub(super) fn silent(action: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            transient: true,
            ..Self::unexpected(action, reason)
        }
    }

    /// An answer that is not of the expected form.
    pub(crate) fn unexpected(action: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            reason: crate::hidden::hidden(&reason.into()).into_owned(),
            code: None,
            transient: false,
        }
    }

    /// The same, with what to grant to the user where a privilege is missing: the server names only a command.
    #[must_use]
    pub(crate) fn granting(mut self, roles: &str) -> Self {
        if self.is(code::UNAUTHORIZED) && self.reason.contains("requires authentication") {
            self.reason += ". Write a user and a password into the connection string, before the hosts";
        } else if self.is(code::UNAUTHORIZED) {
            self.reason += &format!(". Grant the user {roles}");
        }
        self
    }

    /// The same, for who only reads a database.
    #[must_use]
    pub(crate) fn granting_read(self, database: &str) -> Self {
        self.granting(&format!("read on {database}, or the role backup on admin"))
    }

    /// Whether the engine has no snapshot reads at all: it refuses them, or answers as if none had been requested.
    pub fn has_no_snapshots(&self) -> bool {
        [
            code::INVALID_OPTIONS,
            code::COMMAND_NOT_SUPPORTED,
            code::FEATURE_NOT_SUPPORTED,
            code::NOT_AT_THE_SNAPSHOT,
        ]
        .iter()
        .any(|&code| self.is(code))
    }

    /// Whether a command was refused for one of the documents in it.
    pub(super) fn is_of_a_document(&self) -> bool {
        [code::OVERFLOW, code::INVALID_BSON, code::NON_CONFORMANT_BSON]
            .iter()
            .any(|&code| self.is(code))
    }

    /// Whether the server answered with that code.
    pub fn is(&self, code: i32) -> bool {
        self.code == Some(code)
    }
}

impl From<MongoError> for Failure {
    fn from(error: MongoError) -> Self {
        let kind = match error.is(code::UNAUTHORIZED) {
            true => FailureKind::DatabaseUnauthorized,
            false => FailureKind::Database,
        };
        Self::new(kind, error.to_string()).passing(error.may_pass())
    }
}

/// Whether the server was not reached, or not heard.
fn is_of_the_network(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::ServerSelection { .. } => true,
        #[cfg(feature = "socks5")]
        ErrorKind::ProxyConnect { .. } => true,
        _ => false,
    }
}

/// Whether what a code stands for passes by itself: a change of primary, a shutdown, a network between servers, a
/// server under load, members that are slow to confirm.
fn is_passing(code: i32, reason: &str) -> bool {
    match code {
        6 | 7 | 50 | 64 | 89 | 91 | 189 | 262 | 9001 | 10107 | 11600 | 11602 | 13435 | 13436 => true,
        // A member that rolls back ends all of its cursors so. One whose collection was dropped is ended with the same
        // code, and by another reason.
        code::QUERY_PLAN_KILLED => reason.contains("catalog was closed and reopened"),
        _ => false,
    }
}
