//! Verifies an archive by itself: every byte is read and checked, without a database. [`against()`] compares it with
//! one.
//!
//! Opening has already checked footer, trailer and manifest. The regions that the manifest lists remain: each header
//! and each segment against its BLAKE3, each segment decoded to the documents it claims, and each collection's
//! documents against its digest. Damage is named, and the rest is checked all the same.
//!
//! [`verify_run`] does it in as many invocations as it takes.

mod against;
mod request;
mod run;

use crate::failure::Failure;
use crate::open::{Source, open};
use crate::progress::Progress;
use crate::run::{Deadline, Memory, Went};
use crate::soundness::Checked;
use crate::store::Store;

pub use crate::soundness::{CheckedCollection, VerifyReport};
pub use request::{VerifyJob, VerifyRequest};
pub use run::verify_run;

pub use against::{AgainstJob, AgainstReport, ComparedCollection, Comparison, Side, against};

/// Reads an archive from end to end.
///
/// # Errors
/// If it cannot be opened at all; damage behind that is in the report.
pub async fn verify(
    store: &Store,
    source: impl Into<Source<'_>>,
    memory: Memory,
    progress: &Progress,
) -> Result<VerifyReport, Failure> {
    let source = source.into();
    progress.step(format!("opening {}", source.location));
    let file = open(store, source, memory).await?;
    let mut checked = Checked::nothing_of(&file);
    while checked.go_on(&file, progress, Deadline::never()).await == Went::Paused(()) {}
    Ok(checked.report(&file))
}
