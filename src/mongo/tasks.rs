//! The outcomes of tasks that read or write. A panicked one has failed, and says so like any other.

use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::MongoError;

/// How a task ended. It can be asked once.
pub(crate) async fn ended<T>(task: &mut JoinHandle<Result<T, MongoError>>, action: &str) -> Result<T, MongoError> {
    task.await.unwrap_or_else(|error| Err(panicked(action, &error)))
}

/// How the next of some tasks ended; nothing if all have.
pub(crate) async fn next_ended<T: 'static>(
    tasks: &mut JoinSet<Result<T, MongoError>>,
    action: &str,
) -> Option<Result<T, MongoError>> {
    let ended = tasks.join_next().await?;
    Some(ended.unwrap_or_else(|error| Err(panicked(action, &error))))
}

fn panicked(action: &str, error: &JoinError) -> MongoError {
    MongoError::unexpected(action, error.to_string())
}
