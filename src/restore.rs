//! Restore: an archive goes into a database, and what is there then is read back and compared.
//!
//! [`prepare`] looks and changes nothing: it opens the archive, surveys the target and makes the plan. A dry run ends there, and needs no more than read
//! rights. [`carry_out`] takes what was prepared, and only with consent:
//!
//! 1. the lock: one restore at a time into one database, and a second look at the target under it;
//! 2. a rehearsal: options, indexes and views that the target would refuse are found, all at once, and nothing is done;
//! 3. a way back: a backup of the target, verified, unless the caller waived it; then what a dead restore left beside goes;
//! 4. what will be changed in place is read through and checked: a damaged archive must be found out before the first change;
//! 5. regular collections are loaded *beside*, under temporary names, indexed, and read back; nothing that is there has changed yet;
//! 6. the commit, if the lock is still held: what was proven equal is renamed into place, what cannot be renamed is done in place; it is proven that this is what stands there now; then views and drops;
//! 7. what only now may act: time-to-live.
//!
//! [`restore_run`] does the same in as many invocations as it takes.
//!
//! A collection whose documents did not all arrive, or whose indexes could not all be built, does not replace one that is there; nothing is dropped when anything went wrong. The report
//! is `complete` only if everything that was planned is there and equal.

mod check;
mod collection;
mod collections;
mod commit;
mod continued;
mod create;
mod fan_out;
mod flow;
mod ids;
mod indexes;
mod insert;
mod kept;
mod leftovers;
mod load;
mod lock;
mod merge;
mod outcome;
mod privileges;
mod proof;
mod readback;
mod record;
mod rehearsal;
mod report;
mod request;
mod sample;
mod stride;
mod summary;
mod verification;
mod violations;
mod way_back;
mod work;

use std::time::Instant;

use commit::Committed;
pub use continued::restore_run;
pub(crate) use continued::{Until, part};
pub use fan_out::{Begun, LoadReport, LoadsReport, begin, finish, load};
pub(crate) use kept::Keeper;
pub(crate) use load::not_what_was_promised;
use lock::Lock;
pub use readback::read_back;
pub use report::{
    Changed, MergeCounts, RejectedDocument, RestoreReport, SnapshotReport, Verification, VerifiedCollection,
};
pub(crate) use request::find_archive;
pub use request::{ArchiveChoice, Consent, RestoreJob, RestoreRequest, WayBack};
pub(crate) use verification::without_own;
pub(crate) use way_back::{folder_for, folder_for_choice};
use work::Stop;

use crate::backup::Tools;
use crate::catalog::Catalog;
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Source, open};
use crate::plan::{Part, RestorePlan, plan};

/// A restore that could be carried out.
#[derive(Debug)]
pub struct Prepared {
    /// The archive.
    pub archive: ArchiveFile,
    /// The target as it is now.
    pub target: Catalog,
    /// What would be done.
    pub plan: RestorePlan,
}

/// Opens the archive, surveys the target, and plans. Changes nothing.
///
/// # Errors
/// Where the archive or the target cannot be read, or [`FailureKind::PlanConflicts`] with all that is in the way.
pub async fn prepare(job: &RestoreJob, tools: &Tools) -> Result<Prepared, Failure> {
    let location = request::find_archive(&job.archive, &tools.store).await?;
    tools.progress.step(format!("opening {location}"));
    let source = Source {
        location: &location,
        database: job.source_database.as_deref(),
    };
    let archive = open(&tools.store, source, tools.memory).await?;
    let target = tools.mongo.on_primary().survey(&job.policy.database).await?;
    let mut plan = plan(&archive.contents(), &target, &job.policy)
        .map_err(|conflicts| Failure::new(FailureKind::PlanConflicts, conflicts.to_string()))?;
    plan.warnings.extend(archive.warnings());
    Ok(Prepared { archive, target, plan })
}

/// Does what was planned.
///
/// # Errors
/// Where nothing was changed: consent or a privilege is missing, another restore is running, or there is no way back. What goes wrong after the first change is in the report, whose
/// status is then not `complete`.
pub async fn carry_out(prepared: Prepared, job: &RestoreJob, tools: &Tools) -> Result<RestoreReport, Failure> {
    check_consent(&prepared.plan, &job.consent)?;
    Box::pin(privileges::check(&prepared, job, &tools.mongo)).await?;
    let lock = Box::pin(Lock::take(&prepared, job, None, &tools.mongo)).await?;
    let restored = Box::pin(restore(prepared, job, tools, &lock)).await;
    Box::pin(lock.release()).await;
    restored
}

/// Everything that nobody else may do at the same time.
async fn restore(prepared: Prepared, job: &RestoreJob, tools: &Tools, lock: &Lock) -> Result<RestoreReport, Failure> {
    let started = Instant::now();
    let target = look_again(&prepared, job, tools).await?;
    rehearsal::rehearse(&prepared, job, tools).await?;
    let snapshot = Box::pin(way_back::take(&prepared, job, tools)).await?;
    leftovers::remove(&target, tools).await;
    let run = work::Run::new(&prepared, job, tools, lock, None);
    let changed = Box::pin(change(&run)).await.map_err(|stop| match stop {
        Stop::Failed(failure) => failure,
        Stop::Paused | Stop::Divided => Failure::new(
            FailureKind::Cancelled,
            "a restore that cannot be gone on with was paused: this is a bug",
        ),
    })?;
    Ok(RestoreReport::finished(prepared, snapshot, changed, started.elapsed()))
}

/// Loads, commits and verifies.
async fn change(run: &work::Run<'_>) -> Result<(Committed, Verification), Stop> {
    let mut outcomes = run.load_beside().await?;
    let committed = commit::commit(run, &mut outcomes).await?;
    let verification = verification::verify(run, outcomes, committed).await?;
    Ok((committed, verification))
}

/// The target as it is now that nobody else restores into it; it must be what was planned for.
async fn look_again(prepared: &Prepared, job: &RestoreJob, tools: &Tools) -> Result<Catalog, Failure> {
    let target = tools.mongo.on_primary().survey(&job.policy.database).await?;
    let now = plan(&prepared.archive.contents(), &target, &job.policy);
    match now.is_ok_and(|now| now.confirm == prepared.plan.confirm) {
        true => Ok(target),
        false => Err(Failure::new(
            FailureKind::ConsentStale,
            "the target was changed after the plan was made, and before this restore could begin; nothing was changed by it. Make a new plan",
        )),
    }
}

fn check_consent(plan: &RestorePlan, consent: &Consent) -> Result<(), Failure> {
    match consent {
        Consent::Yes => Ok(()),
        Consent::Token(token) => match plan.changed_since(token) {
            Ok(changed) if changed.is_empty() => Ok(()),
            Ok(changed) => Err(stale(plan, &changed)),
            Err(error) => Err(Failure::invalid(format!(
                "\"confirm\" (--confirm) is {error}. Nothing was changed"
            ))),
        },
        Consent::None => Err(Failure::new(
            FailureKind::ConsentMissing,
            format!(
                "a restore changes the database: make a dry run, look at its plan, and give \"confirm\": \"{}\" (--confirm), or \"yes\": true (--yes). Nothing was changed",
                plan.confirm
            ),
        )),
    }
}

fn stale(plan: &RestorePlan, changed: &[Part]) -> Failure {
    let elsewhere = changed.contains(&Part::Cluster);
    // The collections of another cluster are others, and saying that they have changed would lead astray.
    let told = changed.iter().filter(|&&part| !(elsewhere && part == Part::Target));
    let told: Vec<String> = told.map(ToString::to_string).collect();
    Failure::new(
        FailureKind::ConsentStale,
        format!(
            "{}; nothing was changed. Make a new dry run, look at its plan, and confirm it with {}",
            told.join("; and "),
            plan.confirm
        ),
    )
}
