//! Full archives made of chains, without their databases: of [one](one::compact), or of those of
//! [several](below::compact_below) databases.

mod below;
mod job;
mod one;
mod writing;

pub use below::{CompactedReport, UncompactedChain, compact_below};
pub use job::{CompactJob, CompactTools};
pub use one::compact;
