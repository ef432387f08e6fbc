//! Whether an archive is sound: reads and checks every byte, without a database.
//!
//! It can pause between two segments, so a verification, a restore's way back and a drill all check in as many
//! invocations as it takes.

mod regions;
mod report;
mod step;

pub(crate) use regions::Checked;
pub use report::{CheckedCollection, VerifyReport};
pub(crate) use step::check;
