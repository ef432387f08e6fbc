//! How far an operation is. Counters only: an operation never waits for whoever watches.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that an operation moves and a shell shows.
#[derive(Debug, Default)]
pub struct Progress {
    documents: AtomicU64,
    bytes: AtomicU64,
    step: Mutex<String>,
}

impl Progress {
    /// Says what is being done now, such as `reading orders`.
    pub fn step(&self, step: impl Into<String>) {
        let step = step.into();
        tracing::debug!(step);
        if let Ok(mut current) = self.step.lock() {
            *current = step;
        }
    }

    /// Counts documents and their bytes of BSON.
    pub fn add(&self, documents: u64, bytes: u64) {
        self.documents.fetch_add(documents, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Documents and bytes so far, and the present step.
    pub fn now(&self) -> (u64, u64, String) {
        let step = self.step.lock().map(|step| step.clone()).unwrap_or_default();
        (
            self.documents.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
            step,
        )
    }
}
