//! Threads for work that would block the runtime's own.

use crate::failure::{Failure, FailureKind};

/// Computes, on one of the runtime's threads for what takes long.
pub(super) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Failure::new(
            FailureKind::Store,
            format!("a worker thread ended unexpectedly: {error}"),
        )
    })
}

/// Walks through a tar, on a thread of its own.
pub(super) fn walk(work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(work);
    thread.map(drop).map_err(|error| {
        let why = format!("the system gives no thread to read the archive on: {error}");
        Failure::new(FailureKind::Store, why).passing(true)
    })
}

pub(super) fn ended_unexpectedly() -> Failure {
    Failure::new(
        FailureKind::Store,
        "the thread that read the archive ended unexpectedly",
    )
}
