//! Commands that may be sent more than once.
//!
//! One broken connection fails whatever else is on its way at that moment, since the driver closes all of its connections then; and it repeats no command that it is only handed on.

use std::time::{Duration, Instant};

use bson::RawDocumentBuf;

use super::{Mongo, MongoError};

/// How often a command is sent when the connection breaks or the primary changes.
const TRIES: u32 = 5;
/// For how long. To find no server at all takes the driver a while by itself, and what has to be cleaned up may be many collections.
const PATIENCE: Duration = Duration::from_secs(30);

/// The attempts at one command.
#[derive(Debug)]
pub struct Attempts {
    began: Instant,
    made: u32,
}

impl Attempts {
    /// Before the first one.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            made: 0,
        }
    }

    /// How many there were.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Counts one that failed, and waits before the next; false where there is none.
    pub async fn again_after(&mut self, error: &MongoError) -> bool {
        self.made += 1;
        if !error.transient || self.made >= TRIES || self.began.elapsed() >= PATIENCE {
            return false;
        }
        let tries = self.made;
        tracing::warn!(%error, tries, "a command is repeated");
        tokio::time::sleep(Duration::from_millis(100 << tries)).await;
        true
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new()
    }
}

impl Mongo {
    /// Sends a command that may be repeated, as often as the connection breaks or the primary changes; says how often it was sent.
    pub async fn repeated(
        &self,
        database: &str,
        command: RawDocumentBuf,
        action: &str,
    ) -> (Result<(), MongoError>, u32) {
        let mut attempts = Attempts::new();
        loop {
            match self.raw_command(database, command.clone(), action).await {
                Err(error) if attempts.again_after(&error).await => {}
                Err(error) => return (Err(error), attempts.made()),
                Ok(_) => return (Ok(()), attempts.made() + 1),
            }
        }
    }
}
