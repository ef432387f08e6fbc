//! How an invocation takes up a run and lets go of it: the only place that decides whether a failure ends a run.
//!
//! An invocation works from the state that the last one left. Its result decides what becomes of the state:
//!
//! | what came of it | the state |
//! |---|---|
//! | a report | goes, once the same event finds the report without it |
//! | the time was up; a failure that may pass; a request that is not what the run is about | stays, and the lease ends, so that the next invocation need not wait |
//! | another invocation has taken over | is that one's |
//! | any other failure | goes: it would fail again |

use serde::Serialize;

use super::answer::{Answer, Ended, Reports};
use super::journal::Journal;
use super::lease::{Lease, Taken};
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store};

/// Takes a run up whose state is in that folder; nothing if another invocation is at it. Where nothing can be kept
/// there, the run has to end within this invocation.
///
/// # Errors
/// What the store answered.
pub(crate) async fn take_up(store: &Store, folder: Location) -> Result<Option<Journal>, Failure> {
    match take_up_kept(store, folder).await {
        Err(failure) if matches!(failure.kind, FailureKind::StoreDenied | FailureKind::ArchiveNotFound) => {
            tracing::warn!(%failure, "this run's state cannot be saved, so it must end within this invocation");
            Ok(Some(Journal::nowhere()))
        }
        taken => taken,
    }
}

/// The same of a run that others wait for, who find only what is kept.
///
/// # Errors
/// What the store answered.
pub(crate) async fn take_up_kept(store: &Store, folder: Location) -> Result<Option<Journal>, Failure> {
    Ok(match Lease::take(store, &folder).await? {
        Taken::Ours(lease) => Some(Journal::new(store, folder, lease)),
        Taken::Running => None,
    })
}

/// Lets go of a run, as what came of it asks for.
pub(crate) async fn let_go<R: Ended, U>(
    journal: Journal,
    answer: Result<Answer<R, U>, Failure>,
) -> Result<Answer<R, U>, Failure> {
    match &answer {
        Ok(Answer::Finished(report)) if report.is_found_again() => Box::pin(journal.end()).await,
        Ok(_) => Box::pin(journal.pause()).await,
        Err(failure) => Box::pin(let_go_after(journal, failure)).await,
    }
    answer
}

/// The same of a run that failed.
pub(crate) async fn let_go_after(journal: Journal, failure: &Failure) {
    match journal.outlives(failure) {
        // A lease that is another's is not given back.
        true if failure.kind == FailureKind::RunTakenOver => {}
        true => journal.pause().await,
        false => journal.end().await,
    }
}

/// The same, and keeps its report. Where that cannot be kept, the state stays, which has it too.
pub(crate) async fn let_go_reporting<R: Ended + Serialize, U>(
    journal: Journal,
    reports: &Reports<'_>,
    answer: Result<Answer<R, U>, Failure>,
) -> Result<Answer<R, U>, Failure> {
    if journal.is_kept()
        && let Ok(Answer::Finished(report)) = &answer
        && let Err(error) = reports.keep(report).await
    {
        tracing::warn!(%error, "the report could not be saved; the run's state still has it");
        Box::pin(journal.pause()).await;
        return answer;
    }
    Box::pin(let_go(journal, answer)).await
}
