//! The drill: proof that a backup restores, made by restoring it.
//!
//! An archive is restored into a scratch database, read back and compared as every restore is, and the scratch database goes again; and since a restore reads only what
//! it needs, every byte of the archive is checked besides. What is left is the
//! [`DrillReport`]: which archive, how old, how long it took, every collection's counts and digests, and a verdict. It is what one shows an auditor.
//!
//! The drill never touches a database that it did not create: it begins by making sure that there is nothing under the scratch name, leaves a mark there
//! that only this run knows, and drops the database only where it finds that mark again.
//!
//! [`drill_run`] does it in as many invocations as it takes.

mod continued;
mod report;
mod request;
mod scratch;

use std::time::Instant;

use time::OffsetDateTime;

pub use continued::drill_run;
pub use report::{DrillReport, DrillVerdict};
pub use request::{DrillJob, DrillRequest};

use crate::backup::Tools;
use crate::failure::Failure;
use crate::open::Source;
use crate::restore::{RestoreReport, carry_out, prepare};
use crate::store::Location;
use crate::verify::{VerifyReport, verify};
use report::Found;
use scratch::Scratch;

/// Restores an archive into a scratch database, compares, and drops it again.
///
/// # Errors
/// Where the drill could not begin: no archive is named, the database is not reachable, the scratch database exists. An archive that cannot be restored is no error of
/// the drill but its finding: the report's verdict is then `failed`.
pub async fn drill(job: &DrillJob, tools: &Tools) -> Result<DrillReport, Failure> {
    let (began, started) = (OffsetDateTime::now_utc(), Instant::now());
    let scratch = Scratch::claim(&tools.mongo, job.scratch.as_deref()).await?;
    tools.progress.step(format!("restoring into {}", scratch.name()));
    let restored = restore_into(&scratch, job, tools).await;
    tools.progress.step(format!("dropping {}", scratch.name()));
    let dropped = scratch.release(&tools.mongo).await;
    let found = Found {
        checked: check_every_byte(&restored, job, tools).await,
        restored,
        scratch: scratch.name().to_owned(),
        dropped,
        others: scratch.others(&tools.mongo).await,
    };
    Ok(DrillReport::new(began, started.elapsed(), found))
}

/// An archive that could not be opened has said so already.
async fn check_every_byte(
    restored: &Result<RestoreReport, Failure>,
    job: &DrillJob,
    tools: &Tools,
) -> Option<Result<VerifyReport, Failure>> {
    let location = restored.as_ref().ok()?.archive.parse::<Location>().ok()?;
    let source = Source {
        location: &location,
        database: job.source_database(),
    };
    Some(verify(&tools.store, source, tools.memory, &tools.progress).await)
}

async fn restore_into(scratch: &Scratch, job: &DrillJob, tools: &Tools) -> Result<RestoreReport, Failure> {
    let restore = job.restore_into(scratch.name())?;
    let prepared = Box::pin(prepare(&restore, tools)).await?;
    Box::pin(carry_out(prepared, &restore, tools)).await
}
