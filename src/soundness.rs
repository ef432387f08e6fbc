//! Whether an archive is sound: every byte of it is read and checked, without a database.
//!
//! It can pause between two segments, so that a verification, the way back of a restore and a drill all check in as
//! many invocations as it takes.

mod regions;
mod report;
mod step;

pub(crate) use regions::Checked;
pub use report::{CheckedCollection, VerifyReport};
pub(crate) use step::check;
