//! What was found out of a deployment's snapshot reads. It is believed for a minute: then another server may answer under
//! the same name.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long it is believed what was found out.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// What was found out of a deployment, and when.
#[derive(Debug, Default)]
pub(super) struct FoundOut(Mutex<WhatAndWhen>);

#[derive(Debug, Default)]
struct WhatAndWhen {
    /// That it refuses a read at a time before all history, as it must.
    refuses_what_is_too_old: Option<Instant>,
    /// Whether it reads at the time that it confirms.
    is_honest: Option<(Instant, bool)>,
}

impl FoundOut {
    fn known(&self) -> MutexGuard<'_, WhatAndWhen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refuses_what_is_too_old(&self) -> bool {
        let known = self.known().refuses_what_is_too_old;
        known.is_some_and(|since| since.elapsed() < BELIEVED_FOR)
    }

    pub(super) fn put_refuses_what_is_too_old(&self) {
        self.known().refuses_what_is_too_old = Some(Instant::now());
    }

    /// Whether it reads at the time that it confirms, if that is known.
    pub(super) fn is_honest(&self) -> Option<bool> {
        let known = self.known().is_honest;
        known
            .filter(|(since, _)| since.elapsed() < BELIEVED_FOR)
            .map(|(_, is_honest)| is_honest)
    }

    pub(super) fn put_is_honest(&self, is_honest: Option<bool>) {
        self.known().is_honest = is_honest.map(|is_honest| (Instant::now(), is_honest));
    }
}
