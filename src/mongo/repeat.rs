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

impl Mongo {
    /// Sends a command that may be repeated, as often as the connection breaks or the primary changes; says how often it was sent.
    pub async fn repeated(
        &self,
        database: &str,
        command: RawDocumentBuf,
        action: &str,
    ) -> (Result<(), MongoError>, u32) {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.raw_command(database, command.clone(), action).await {
                Err(error) if error.transient && tries < TRIES && began.elapsed() < PATIENCE => {
                    tracing::warn!(%error, tries, "a command is repeated");
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
                answered => return (answered.map(|_| ()), tries),
            }
        }
    }
}
