//! The drill: proof that a backup restores, made by restoring it.
//!
//! An archive is restored into a scratch database, read back and compared as every restore is, and the scratch database
//! goes again; and since a restore reads only what it needs, every byte of the archive is checked besides. What is left
//! is the
//! [`DrillReport`]: which archive, how old, how long it took, every collection's counts and digests, and a verdict. It is what one shows an auditor.
//!
//! The drill never touches a database that it did not create: it begins by making sure that there is nothing under the
//! scratch name, leaves a mark there that only this run knows, and drops the database only where it finds that mark
//! again.
//!
//! [`drill_run`] does it in as many invocations as it takes.

mod continued;
mod report;
mod request;
mod scratch;

pub use continued::{drill, drill_run};
pub use report::{DrillReport, DrillVerdict};
pub use request::{DrillJob, DrillRequest};
