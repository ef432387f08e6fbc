//! A full backup that begins a chain proves the one before it.
//!
//! The old chain is led on to the full backup's cluster time, as an increment would, and the digests are compared:
//! those that it adds up to, and those of what was read whole. Nothing is written for that.

use super::super::metadata::catalog_of;
use super::super::report::{BackupReport, ChainProof};
use super::super::request::BackupJob;
use super::super::tools::Tools;
use super::changed::Since;
use super::parent::Parent;
use super::states::now;
use crate::archive::{ClusterTime, Manifest};
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::ordered::map;

/// Compares. What stands in the way is in the proof: the backup is none the worse for it.
pub(super) async fn of(job: &BackupJob, old: &Parent, report: &BackupReport, tools: &Tools) -> ChainProof {
    let mut proof = ChainProof {
        chain: old.base.to_string(),
        last: old.manifest.name.to_string(),
        equal: 0,
        different: Vec::new(),
        not_compared: Vec::new(),
        reason: None,
    };
    if let Err(failure) = compare(job, old, report, tools, &mut proof).await {
        tracing::warn!(%failure, chain = proof.chain, "the chain could not be compared with the full backup");
        proof.reason = Some(failure.message);
    }
    for collection in &proof.different {
        tracing::error!(
            collection,
            chain = proof.chain,
            "the chain leads to other documents than a full backup has"
        );
    }
    proof
}

async fn compare(
    job: &BackupJob,
    old: &Parent,
    report: &BackupReport,
    tools: &Tools,
    proof: &mut ChainProof,
) -> Result<(), Failure> {
    tools.progress.step("comparing with the chain before");
    let (full, to) = manifest_of(report, tools).await?;
    let catalog = catalog_of(&full);
    let since = Since::of(&catalog, &map([]), old);
    let times = (old.time, to);
    let changes = since.changes(job, times, tools).await?;
    for (saved, collection) in full.collections.iter().zip(&catalog.collections) {
        tools.may_go_on()?;
        let Some(change) = changes.of(old, &saved.name) else {
            // Read whole by an increment, too: there is nothing that could differ.
            continue;
        };
        match Box::pin(now(collection, change, times, job, tools)).await {
            Ok(digest) if digest == Some(saved.expected_digest()) => proof.equal += 1,
            Ok(_) => proof.different.push(saved.name.clone()),
            Err(error) if is_gone(&error) => proof.not_compared.push(saved.name.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What the full backup wrote, and its cluster time.
async fn manifest_of(report: &BackupReport, tools: &Tools) -> Result<(Manifest, ClusterTime), Failure> {
    let lacking = |what: &str| Failure::new(FailureKind::ArchiveNotFound, format!("the full backup {what}"));
    let beside = report
        .manifest
        .as_ref()
        .ok_or_else(|| lacking("has no manifest beside it"))?;
    let text = tools.store.load(beside).await?;
    let (text, _) = text.ok_or_else(|| lacking("has no manifest beside it"))?;
    let manifest = Manifest::from_sidecar(&text)?;
    let time = manifest.consistency.cluster_time;
    let time = time.ok_or_else(|| lacking("shows no moment"))?;
    Ok((manifest, time))
}

/// Whether the server no longer has the states that would have to be compared.
fn is_gone(error: &MongoError) -> bool {
    super::lookup::is_out_of_history(error)
}
