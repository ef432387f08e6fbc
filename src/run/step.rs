//! A **step**: a named piece of a run. Repeating it is harmless.

use std::time::Duration;

/// How often a state is saved though nothing asks for it: what a crash costs at the most.
pub(crate) const SAVED_EVERY: Duration = Duration::from_secs(20);
/// How long the longest wait is in which nobody asks whether it is time to pause.
pub(crate) const AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// How far a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Went<P = (), D = ()> {
    /// The time was up; this is where it goes on.
    Paused(P),
    /// To its end; this is what later steps need of it.
    Done(D),
}
