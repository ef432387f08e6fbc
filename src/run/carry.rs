//! How an invocation takes a run up, and how it lets go of it: the one place in which it is decided whether a failure ends a run.
//!
//! Whoever has taken a run up does its part from the state that the last one left. What came of that decides what becomes of the state:
//!
//! | what came of it | the state |
//! |---|---|
//! | a report | goes, when the report is kept where the same event finds it |
//! | the time was up; a failure that may pass; a request that is not what the run is about | stays, and the lease ends, so that the next invocation need not wait |
//! | another invocation has taken over | is that one's |
//! | any other failure | goes: the same would fail again |

use serde::Serialize;

use super::answer::{Answer, Reports};
use super::{Journal, Lease, Taken};
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store};

/// Takes a run up whose state is in that folder; nothing where another invocation is at it. Where nothing can be kept there, the run has to end within this invocation.
///
/// # Errors
/// What the store answered.
pub(crate) async fn take_up(store: &Store, folder: Location) -> Result<Option<Journal>, Failure> {
    match Lease::take(store, &folder).await {
        Ok(Taken::Ours(lease)) => Ok(Some(Journal::new(store, folder, lease))),
        Ok(Taken::Running) => Ok(None),
        Err(failure) if matches!(failure.kind, FailureKind::StoreDenied | FailureKind::ArchiveNotFound) => {
            tracing::warn!(%failure, "nothing can be kept of this run, so it has to end within this invocation");
            Ok(Some(Journal::nowhere()))
        }
        Err(failure) => Err(failure),
    }
}

/// The same of a run that only its state can be gone on with.
///
/// # Errors
/// [`FailureKind::StoreDenied`] where nothing can be kept; what the store answered.
pub(crate) async fn take_up_kept(store: &Store, folder: Location, what: &str) -> Result<Option<Journal>, Failure> {
    let taken = take_up(store, folder.clone()).await?;
    match &taken {
        Some(journal) if !journal.is_kept() => Err(Failure::new(
            FailureKind::StoreDenied,
            format!(
                "{folder}: nothing can be written there, so nobody would learn what {what} came to: allow s3:PutObject"
            ),
        )),
        _ => Ok(taken),
    }
}

/// Lets go of a run, as what came of it asks for.
pub(crate) async fn let_go<R, U>(journal: Journal, answer: &Result<Answer<R, U>, Failure>) {
    match answer {
        Ok(Answer::Finished(_)) => journal.end().await,
        Ok(Answer::Unfinished(_)) => journal.pause().await,
        Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
        Err(failure) if failure.is_worth_another_try() => journal.pause().await,
        // A wrong event must not end a run that another one has begun.
        Err(_) if journal.has_refused() => journal.pause().await,
        Err(_) => journal.end().await,
    }
}

/// The same, and keeps its report. Where that cannot be kept, the state stays, which has it too.
pub(crate) async fn let_go_reporting<R: Serialize, U>(
    journal: Journal,
    reports: &Reports<'_>,
    answer: &Result<Answer<R, U>, Failure>,
) {
    if journal.is_kept()
        && let Ok(Answer::Finished(report)) = answer
        && let Err(error) = reports.keep(report).await
    {
        tracing::warn!(%error, "the report could not be kept; the run's state still has it");
        return journal.pause().await;
    }
    let_go(journal, answer).await;
}
