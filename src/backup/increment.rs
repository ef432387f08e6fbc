//! **Increments**: what changed in a database since an archive, as an archive of its own.
//!
//! A chain begins with a full archive. Its increments lie beside it, in `{archive name}.chain/`, each from the cluster
//! time of its parent, the one before it, to a later one. An increment costs what the changes cost, not the database:
//!
//! 1. the change stream says *which* documents changed between the two times ([`changed`]);
//! 2. snapshot reads say what they are at the later time, and what they were at the earlier ([`states`]).
//!
//! So the digest and the number of documents of each collection at the later time are exact, though most of it was not
//! read: `digest(to) = digest(from) − Σ h(old state) + Σ h(new state)`. There is nothing to replay, and no document is
//! half changed.
//!
//! **Some collections are read whole**, as in a full backup: new ones and those that were made anew or renamed, which
//! show by their UUIDs; capped ones and time series in which anything changed, and those of the server's names, which
//! have no change events that serve; those whose old states the server no longer has; and those of which so much changed that it would cost more
//! to look it up than to read everything, or more than fits into memory.
//!
//! **A full backup proves the chain before it** ([`proof`]): at its cluster time, what the chain leads to must be what was
//! read.
//!
//! **Nothing is bridged.** Where the server no longer has the changes since the parent, the chain ends, and a full
//! backup begins the next one. An increment is whole, or it is not written.

mod changed;
mod ending;
mod entries;
mod journal;
mod lookup;
mod parent;
mod proof;
mod states;
mod write;

use super::continued::{full, full_run};
use super::report::{BackupAnswer, BackupReport};
use super::request::BackupJob;
use super::tools::Tools;
use crate::catalog::Topology;
use crate::failure::{Failure, FailureKind};
use crate::mongo::code;
use crate::run::{Left, Run};
use ending::NoIncrement;
use parent::{NoParent, Parent};
use write::increment;

/// Continues the newest chain in the job's folder by an increment; where there is none to continue, or its changes are
/// no longer to be had, backs the whole database up, which begins a chain.
///
/// # Errors
/// As [`backup`](super::backup), and if this server or user sees no changes: no chain can be made then.
pub(super) async fn incremental(job: &BackupJob, run: Option<&Run>, tools: &Tools) -> Result<BackupAnswer, Failure> {
    if let Some(run) = run
        && Left::find(&tools.store, &run.folder(&job.destination)?)
            .await?
            .is_some()
    {
        // A full backup that an earlier invocation has begun.
        return full_run(job, run, tools).await;
    }
    let (reason, old) = match Parent::find(job, tools).await? {
        Ok(parent) => match Box::pin(increment(job, &parent, tools)).await {
            Ok(answer) => return Ok(answer),
            Err(NoIncrement::Failed(failure)) => return Err(failure),
            Err(NoIncrement::Hole(reason)) => {
                let parent = &parent.manifest.name;
                tracing::warn!(%parent, reason, "the chain ends: a full backup begins the next one");
                let reason = format!("the chain of {} ends with {parent}: {reason}", job.destination);
                (reason, None)
            }
        },
        Err(NoParent { reason, old }) => (reason, old),
    };
    if job.no_full {
        let why = format!("no increment could be made, and no full backup was to be made instead: {reason}");
        return Err(Failure::new(FailureKind::NoChain, why));
    }
    may_see_changes(job, tools).await?;
    let answer = match run {
        Some(run) => full_run(job, run, tools).await?,
        None => BackupAnswer::Finished(Box::new(full(job, tools).await?)),
    };
    Ok(match answer {
        BackupAnswer::Finished(report) => {
            let mut report = begins(*report, &reason);
            if let Some(old) = &old {
                let proof = Box::pin(proof::of(job, old, &report, tools)).await;
                report = report.proving(proof);
            }
            BackupAnswer::Finished(Box::new(report))
        }
        unfinished => unfinished,
    })
}

/// What a full backup says that was made in place of an increment.
fn begins(report: BackupReport, reason: &str) -> BackupReport {
    let mut said = vec![format!("a full backup, which begins a chain: {reason}")];
    let consistency = &report.consistency;
    if let Some(reason) = consistency
        .reason
        .as_ref()
        .filter(|_| consistency.cluster_time.is_none())
    {
        said.push(format!(
            "no increment can continue this archive, since it shows no moment: {reason}"
        ));
    } else if report.status != super::RunStatus::Complete {
        said.push("no increment can continue this archive, since it is not complete".to_owned());
    }
    report.warning(said)
}

/// Refuses what would make a full backup every time.
async fn may_see_changes(job: &BackupJob, tools: &Tools) -> Result<(), Failure> {
    let refused = |why: String| {
        Failure::invalid(format!(
            "no increment can be made of {}: {why}. Leave \"incremental\" (--incremental) out",
            job.database
        ))
    };
    if tools.mongo.server().topology == Topology::Standalone {
        let why = "a standalone server keeps no changes; one can be made a replica set of one member";
        return Err(refused(why.to_owned()));
    }
    match tools.mongo.has_changes(&job.database).await {
        Err(error) if error.is(code::UNAUTHORIZED) => Err(error
            .granting(&format!("read on {}, which may see its changes", job.database))
            .into()),
        Err(error) if error.is_refusal() => Err(refused(error.to_string())),
        seen => Ok(seen?),
    }
}
