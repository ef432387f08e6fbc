//! What the restore function does in more than one invocation: restores, verifications and drills.
//!
//! Each is a [run](crate::run). An invocation takes it up, does its part from the state that the last one left, and lets go of it again; near its deadline it answers
//! `continue`, and the same event goes on. How far each of the three can pause, and what it has to remember, is its own matter.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backup::RunStatus;
use crate::failure::{Failure, FailureKind};
use crate::run::{Journal, Lease, Run, Taken};
use crate::store::{Location, Store, StoreError};
use crate::wording::count;

/// What an invocation has to say of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Continued<R> {
    /// It is at its end.
    Finished(Box<R>),
    /// It is not.
    Unfinished(Unfinished),
}

/// A run that is not at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unfinished {
    /// `continue`: the same event again goes on. `running`: another invocation is at it.
    pub status: RunStatus,
    /// One sentence for a notification.
    pub summary: String,
    /// Which run it is: an event that had none of its own goes on with this one.
    pub run: Run,
    /// Which archive it is about, where that is known yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<String>,
    /// Into which database, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub database: Option<String>,
    /// How many invocations there were, this one included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub invocations: Option<u32>,
}

/// What has a status.
pub trait Ended {
    /// How it ended.
    fn status(&self) -> RunStatus;
}

impl<R: Ended> Continued<R> {
    /// How it stands.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Finished(report) => report.status(),
            Self::Unfinished(unfinished) => unfinished.status,
        }
    }
}

impl Unfinished {
    /// Somebody else is at it.
    pub(crate) fn running(run: &Run, what: &str) -> Self {
        Self {
            status: RunStatus::Running,
            summary: format!("{what} is being carried on by another invocation"),
            run: run.clone(),
            archive: None,
            database: None,
            invocations: None,
        }
    }

    /// The time was up; `done` says how far it is.
    pub(crate) fn paused(run: &Run, (what, done): (&str, &str), archive: &str, invocations: u32) -> Self {
        Self {
            status: RunStatus::Continue,
            summary: format!(
                "{what} goes on: {done} after {}",
                count(invocations.into(), "invocation")
            ),
            archive: Some(archive.to_owned()),
            invocations: Some(invocations),
            ..Self::running(run, what)
        }
    }
}

/// What came of an attempt to take a run up.
#[derive(Debug)]
pub(crate) enum TakenUp {
    /// It is ours.
    Ours(Journal),
    /// Another invocation is at it.
    Running,
    /// Nothing can be kept where its state would be. It can still be done, within this one invocation.
    Nowhere,
}

/// Where a run is one that only its state can be gone on with, and [`Nowhere`](TakenUp::Nowhere) is where it would be.
pub(crate) fn must_be_kept(folder: &Location, what: &str) -> Failure {
    Failure::new(
        FailureKind::StoreDenied,
        format!(
            "{folder}: nothing can be written there, so nobody would learn what {what} came to: allow s3:PutObject"
        ),
    )
}

/// Takes a run up whose state is in that folder.
///
/// # Errors
/// What the store answered.
pub(crate) async fn take_up(store: &Store, folder: Location) -> Result<TakenUp, Failure> {
    match Lease::take(store, &folder).await {
        Ok(Taken::Ours(lease)) => Ok(TakenUp::Ours(Journal::new(store, folder, lease))),
        Ok(Taken::Running) => Ok(TakenUp::Running),
        Err(failure) if matches!(failure.kind, FailureKind::StoreDenied | FailureKind::ArchiveNotFound) => {
            tracing::warn!(%failure, "nothing can be kept of this run, so it has to end within this invocation");
            Ok(TakenUp::Nowhere)
        }
        Err(failure) => Err(failure),
    }
}

/// Lets go of a run, as what came of it asks for.
pub(crate) async fn let_go<R>(journal: Journal, answer: &Result<Continued<R>, Failure>) {
    match answer {
        Ok(Continued::Finished(_)) => journal.end().await,
        Ok(Continued::Unfinished(_)) => journal.pause().await,
        Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
        Err(failure) if failure.is_worth_another_try() => journal.pause().await,
        // A wrong event must not end a run that another one has begun.
        Err(_) if journal.has_refused() => journal.pause().await,
        Err(_) => journal.end().await,
    }
}

/// Where what came of runs is kept, after their state has gone.
#[derive(Debug)]
pub(crate) struct Outcomes<'a> {
    store: &'a Store,
    location: Location,
    run: &'a Run,
    /// What was asked for.
    request: String,
}

/// What is kept of a run that is at its end.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<R> {
    run: Run,
    request: String,
    report: R,
}

impl<'a> Outcomes<'a> {
    /// For a run of that kind, in the folder below which its state is.
    ///
    /// # Errors
    /// Where the run is none.
    pub(crate) fn of(
        kind: &str,
        (run, request): (&'a Run, String),
        store: &'a Store,
        folder: &Location,
    ) -> Result<Self, Failure> {
        let name = run.folder(folder)?.file_name();
        let name = name.split_once('_').map_or(name.as_str(), |(_, name)| name);
        Ok(Self {
            store,
            location: folder.join(&format!("{kind}_{name}.report.json")),
            run,
            request,
        })
    }

    /// What came of the run, where it is at its end.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] where it was another request; what the store answered.
    pub(crate) async fn find<R: DeserializeOwned>(&self) -> Result<Option<R>, Failure> {
        let text = match self.store.load(&self.location).await {
            Ok(Some((text, _))) => text,
            // Who may not list is not told whether it is there.
            Ok(None) | Err(StoreError::Denied { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Ok(kept) = serde_json::from_slice::<Kept<R>>(&text) else {
            return Ok(None);
        };
        self.run.check_request(&kept.request, &self.request)?;
        Ok(Some(kept.report))
    }

    /// Lets go of the run, as [`let_go`], and keeps what came of it. Where that cannot be kept, the state stays, which has it too.
    pub(crate) async fn let_go<R: Serialize>(&self, journal: Journal, answer: &Result<Continued<R>, Failure>) {
        if let Ok(Continued::Finished(report)) = answer
            && let Err(error) = self.keep(report).await
        {
            tracing::warn!(%error, "the report could not be kept; the run's state still has it");
            return journal.pause().await;
        }
        let_go(journal, answer).await;
    }

    async fn keep<R: Serialize>(&self, report: &R) -> Result<(), StoreError> {
        let content = Kept {
            run: self.run.clone(),
            request: self.request.clone(),
            report,
        };
        let text = serde_json::to_vec(&content).expect("a report has text keys only");
        let put = self.store.put(&self.location, Bytes::from(text), "application/json");
        match put.await {
            // It has been answered with it before.
            Err(StoreError::Exists(_)) => Ok(()),
            put => put,
        }
    }
}
