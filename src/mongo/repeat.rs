//! Commands that are sent again.
//!
//! One broken connection fails everything else in flight, since the driver then closes all of its connections; and it
//! repeats no raw command. So a command that may run twice is sent again as [`Patience`](crate::patience::Patience)
//! says; for one that may not ([`Mongo::send`]), the sender looks up the outcome.

use bson::{Document, RawDocumentBuf};

use super::concern::WriteErrors;
use super::{Mongo, MongoError, code};
use crate::patience;

/// Asks a server what may be asked twice, until it answers or [patience](Mongo::attempts) is at its end. What is asked
/// is an expression, since it is made anew each time.
macro_rules! patiently {
    ($mongo:expr, $asked:expr) => {{
        let mut attempts = $mongo.attempts();
        loop {
            match Box::pin($asked).await {
                Err(error) if attempts.again_after(&error).await => {}
                answered => break answered,
            }
        }
    }};
}
pub(crate) use patiently;

/// The attempts at one thing that is asked of a server.
#[derive(Debug)]
pub struct Repeats(patience::Attempts);

impl Repeats {
    /// How many have failed.
    pub fn failed(&self) -> u32 {
        self.0.failed()
    }

    /// Whether it has been failing for longer than an election or a restart takes.
    pub fn is_long(&self) -> bool {
        self.0.is_long()
    }

    /// Some of it has succeeded: what fails next is another failure.
    pub fn succeeded(&mut self) {
        self.0.succeeded();
    }

    /// Counts one that failed for a passing reason, and waits before the next; false if there is none.
    pub async fn again(&mut self) -> bool {
        self.0.again().await
    }

    /// Counts one that failed, and waits before the next; false if there is none, or the failure does not pass.
    pub async fn again_after(&mut self, error: &MongoError) -> bool {
        if !error.may_pass() || !self.0.again().await {
            return false;
        }
        let failed = self.0.failed();
        tracing::warn!(%error, failed, "tried again");
        true
    }
}

impl MongoError {
    /// Whether the same may be answered when it is asked again: the way to the server, its role, or a cursor was lost.
    pub fn may_pass(&self) -> bool {
        self.transient || self.is(code::CURSOR_NOT_FOUND)
    }

    /// Whether the server understood the request and refuses it: it will answer the same next time.
    pub fn is_refusal(&self) -> bool {
        self.code.is_some() && !self.may_pass()
    }
}

impl Mongo {
    /// Before the first attempt at something.
    pub fn attempts(&self) -> Repeats {
        Repeats(self.patience.attempts())
    }

    /// Sends a command that may be carried out twice, until it is answered; says how often it failed before.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn repeated(
        &self,
        database: &str,
        command: RawDocumentBuf,
        action: &str,
    ) -> (Result<Document, MongoError>, u32) {
        let mut attempts = self.attempts();
        loop {
            match Box::pin(self.send(database, command.clone(), action, WriteErrors::Fatal)).await {
                Err(error) if attempts.again_after(&error).await => {}
                sent => return (sent, attempts.failed()),
            }
        }
    }
}
