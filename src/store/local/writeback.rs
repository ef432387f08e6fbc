//! Writes bytes to the disk while others are still being read. Otherwise all of them would wait until the end, and the
//! final sync with them.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// How much is written before the disk is asked for it: enough to keep it busy, and little is left at the end.
const EVERY: u64 = 64 << 20;

/// What of a file is on its way to the disk.
#[derive(Debug, Default)]
pub(super) struct Writeback(Mutex<WritebackState>);

#[derive(Debug, Default)]
struct WritebackState {
    /// How much was written since the disk was asked last.
    waiting: u64,
    going: Option<JoinHandle<io::Result<()>>>,
    /// A file says only once that bytes were lost, to whoever asks first: it is not forgotten.
    failed: Option<(io::ErrorKind, String)>,
}

impl Writeback {
    /// So much more was written.
    ///
    /// # Errors
    /// If what was written before did not arrive.
    pub(super) fn wrote(&self, file: &Arc<File>, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        state.waiting += bytes;
        let done = state.going.take_if(|going| going.is_finished());
        state.note(done.and_then(FutureExt::now_or_never));
        if state.waiting >= EVERY && state.going.is_none() {
            let file = Arc::clone(file);
            state.waiting = 0;
            state.going = Some(spawn_blocking(move || file.sync_data()));
        }
        state.check()
    }

    /// Waits until nothing is on its way.
    ///
    /// # Errors
    /// If what was written did not arrive.
    pub(super) async fn settle(&self) -> io::Result<()> {
        let going = self.state().going.take();
        let done = match going {
            Some(going) => Some(going.await),
            None => None,
        };
        let mut state = self.state();
        state.note(done);
        state.check()
    }

    fn state(&self) -> MutexGuard<'_, WritebackState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WritebackState {
    fn note(&mut self, done: Option<Result<io::Result<()>, JoinError>>) {
        if let Some(Err(error)) = done.map(|done| done.unwrap_or_else(|error| Err(io::Error::other(error)))) {
            self.failed = Some((error.kind(), error.to_string()));
        }
    }

    fn check(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some((kind, reason)) => Err(io::Error::new(*kind, reason.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of a pipe takes bytes and can never say that they are on a disk.
    #[tokio::test]
    async fn bytes_that_did_not_arrive_fail_everything_that_follows() {
        let (_reader, writer) = io::pipe().expect("a pipe");
        let file = Arc::new(File::from(std::os::fd::OwnedFd::from(writer)));
        let writeback = Writeback::default();
        writeback.wrote(&file, EVERY - 1).expect("the disk is not asked yet");
        writeback.settle().await.expect("nothing is on its way");
        writeback.wrote(&file, 1).expect("it is asked");
        assert!(writeback.settle().await.is_err());
        assert!(writeback.wrote(&file, 1).is_err(), "it is said once, and not forgotten");
        assert!(writeback.settle().await.is_err());
    }
}
