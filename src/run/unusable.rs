//! What is said if a run cannot resume from its state.

use crate::failure::{Failure, FailureKind};
use crate::store::Location;

/// An object that a run has left is not what it should be.
pub(crate) fn unusable(location: &Location, why: &str) -> Failure {
    unusable_because(&format!("{location} {why}"))
}

/// The same of what is no single object.
pub(crate) fn unusable_because(why: &str) -> Failure {
    Failure::new(
        FailureKind::RunUnusable,
        format!("this run's state cannot be resumed: {why}. Begin a new run"),
    )
}
