//! The chains of several databases, one after the other, in the time of one invocation.
//!
//! Each database has a folder of its own below the destination. The smallest come first, so that one that takes longer
//! than an invocation keeps no other from being done. Nothing of a folder goes on in another invocation: what time ran
//! out for is undone, and named.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::{CompactJob, CompactTools};
use super::one::compact;
use crate::archive::ArchiveName;
use crate::backup::report::BackupReport;
use crate::choice::{folder_in, in_folder};
use crate::deadline::Deadline;
use crate::failure::{Failure, FailureKind};
use crate::run::RunStatus;
use crate::store::Location;
use crate::wording::count;

/// How often it is looked whether time has run out.
const LOOKED: Duration = Duration::from_millis(200);

/// What became of the chains below a folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CompactedReport {
    /// `complete` where each chain is an archive now, or nothing was to be done; `partial` where some are not; `failed`
    /// where none is.
    pub status: RunStatus,
    /// One sentence for a notification.
    pub summary: String,
    /// The archives that were made.
    pub made: Vec<BackupReport>,
    /// The chains that are as they were, and why.
    pub failed: Vec<UncompactedChain>,
}

/// A chain that could not be made an archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UncompactedChain {
    /// Its folder.
    pub folder: Location,
    /// What kind of failure.
    pub error_type: FailureKind,
    /// What happened.
    pub message: String,
}

/// Makes full archives of the newest chains in a folder and in the folders directly below it. Where the newest archive
/// is a full one, nothing is done.
///
/// # Errors
/// If the folder cannot be listed. What fails in one of them is in the report.
pub async fn compact_below(
    job: &CompactJob,
    tools: &CompactTools,
    deadline: Deadline,
) -> Result<CompactedReport, Failure> {
    let mut folders = Vec::new();
    let names = tools.store.folders(&job.folder, "").await?;
    let is_of_a_database = |name: &&String| ArchiveName::of_chain(name).is_none() && !name.starts_with('.');
    let below = names.iter().filter(is_of_a_database);
    let below = below.map(|name| folder_in(&job.folder, name));
    for folder in [job.folder.clone()].into_iter().chain(below) {
        if let Some(bytes) = chain_in(&folder, tools).await? {
            folders.push((bytes, folder));
        }
    }
    folders.sort_by_cached_key(|(bytes, folder)| (*bytes, folder.to_string()));
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for (_, folder) in folders {
        let of_folder = CompactJob {
            folder: folder.clone(),
            ..job.clone()
        };
        match in_time(&of_folder, tools, deadline).await {
            Ok(report) => made.push(report),
            // Or somebody else has just made it.
            Err(failure) if matches!(failure.kind, FailureKind::NoChain | FailureKind::ArchiveExists) => {}
            Err(failure) => failed.push(UncompactedChain {
                folder,
                error_type: failure.kind,
                message: failure.message,
            }),
        }
    }
    Ok(CompactedReport {
        status: match (made.is_empty(), failed.is_empty()) {
            (_, true) => RunStatus::Complete,
            (false, false) => RunStatus::Partial,
            (true, false) => RunStatus::Failed,
        },
        summary: summary(&made, &failed),
        made,
        failed,
    })
}

/// How many bytes the newest full archive has that increments continue, if there are some. Of increments without one
/// that is nothing; whoever wants to read them is told.
async fn chain_in(folder: &Location, tools: &CompactTools) -> Result<Option<u64>, Failure> {
    let fulls = in_folder(&tools.store, folder).await?;
    let newest = fulls.iter().rev().find_map(|full| Some((full, full.objects.first()?)));
    let Some((full, (_, object))) = newest else {
        let names = tools.store.folders(folder, "backup_").await?;
        return Ok(names
            .iter()
            .any(|name| ArchiveName::of_chain(name).is_some())
            .then_some(0));
    };
    let increments = in_folder(&tools.store, &folder_in(folder, &full.name.chain())).await?;
    let has_some = increments.iter().any(|increment| !increment.objects.is_empty());
    Ok(has_some.then_some(object.bytes))
}

/// One of them, unless time runs out.
async fn in_time(job: &CompactJob, tools: &CompactTools, deadline: Deadline) -> Result<BackupReport, Failure> {
    let out_of_time = || {
        let why = "the time of this invocation was over before: compact it with the command line, or let a full backup begin the next chain";
        Failure::new(FailureKind::Cancelled, why)
    };
    if deadline.is_near() {
        return Err(out_of_time());
    }
    let tools = CompactTools {
        cancel: tools.cancel.child_token(),
        ..tools.clone()
    };
    let near = async {
        while !deadline.is_near() {
            tokio::time::sleep(LOOKED).await;
        }
        tools.cancel.cancel();
        std::future::pending().await
    };
    let made = tokio::select! {
        made = Box::pin(compact(job, &tools)) => made,
        never = near => never,
    };
    made.map_err(
        |failure| match failure.kind == FailureKind::Cancelled && deadline.is_near() {
            true => out_of_time(),
            false => failure,
        },
    )
}

fn summary(made: &[BackupReport], failed: &[UncompactedChain]) -> String {
    let of = |chains: usize| count(chains as u64, "chain");
    match (made.len(), failed.first()) {
        (0, None) => "no chain has anything to be put together".to_owned(),
        (some, None) => format!("{} became full archives", of(some)),
        (some, Some(first)) => format!(
            "{} became full archives, {} did not: {}: {}",
            of(some),
            failed.len(),
            first.folder,
            first.message
        ),
    }
}
