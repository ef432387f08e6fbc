//! The drill: proof that a backup restores, made by restoring it.
//!
//! An archive is restored into a scratch database, read back and compared like every restore, and the scratch database
//! is dropped. A restore reads only what it needs, so the drill also checks every byte of the archive. The result is
//! the [`DrillReport`]: which archive, how old, how long it took, every collection's counts and digests, and a verdict.
//! Show it to your auditor.
//!
//! The drill never touches a database that it did not create: it first makes sure that the scratch name is unused,
//! leaves a mark there that only this run knows, and drops the database only if it finds that mark again.
//!
//! [`drill_run`] does it in as many invocations as it takes.

mod continued;
mod report;
mod request;
mod scratch;

pub use continued::{drill, drill_run};
pub use report::{DrillReport, DrillVerdict};
pub use request::{DrillJob, DrillRequest};
