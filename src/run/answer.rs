//! What an invocation says of a run, and what is kept of a finished one.

use std::pin::Pin;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::Run;
use super::status::RunStatus;
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store, StoreError};
use crate::wording::count;

/// A running operation. Boxed: an `async fn` is compiled again, with all that it calls, in each crate that awaits it,
/// and lies on the awaiter's stack.
pub type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// What an invocation has to say of a run.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Answer<R, U = Unfinished> {
    /// It is at its end.
    Finished(Box<R>),
    /// It is not.
    Unfinished(U),
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

/// A result with a status and a one-sentence summary.
pub trait Ended {
    /// How it ended, or stands.
    fn status(&self) -> RunStatus;
    /// That sentence.
    fn summary(&self) -> &str;
    /// Whether the same event finds it again when the run's state has gone.
    fn is_found_again(&self) -> bool {
        true
    }
}

impl Ended for Unfinished {
    fn status(&self) -> RunStatus {
        self.status
    }

    fn summary(&self) -> &str {
        &self.summary
    }
}

impl<R: Ended, U: Ended> Answer<R, U> {
    /// How it stands.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Finished(report) => report.status(),
            Self::Unfinished(unfinished) => unfinished.status(),
        }
    }
}

impl<R, U: Ended> Answer<R, U> {
    /// The report. An unfinished run is a failure.
    ///
    /// # Errors
    /// [`FailureKind::RunPaused`], with its progress; [`FailureKind::RunTakenOver`] if another process is at it.
    pub fn report(self) -> Result<R, Failure> {
        match self {
            Self::Finished(report) => Ok(*report),
            Self::Unfinished(unfinished) => {
                let kind = match unfinished.status() {
                    RunStatus::Running => FailureKind::RunTakenOver,
                    _ => FailureKind::RunPaused,
                };
                Err(Failure::new(kind, unfinished.summary()))
            }
        }
    }
}

impl Unfinished {
    /// Somebody else is at it.
    pub(crate) fn running(run: &Run, what: &str) -> Self {
        Self {
            status: RunStatus::Running,
            summary: format!("another invocation is working on {what}"),
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
                "{what} continues: {done} after {}",
                count(invocations.into(), "invocation")
            ),
            archive: Some(archive.to_owned()),
            invocations: Some(invocations),
            ..Self::running(run, what)
        }
    }
}

/// Where the reports of runs are kept, after their state has gone: the same event again is answered with them.
#[derive(Debug)]
pub(crate) struct Reports<'a> {
    store: &'a Store,
    location: Location,
    run: &'a Run,
    /// What was asked for.
    request: String,
}

/// What is kept of a run that is at its end.
#[derive(Debug, Serialize, Deserialize)]
struct KeptReport<R> {
    run: Run,
    request: String,
    report: R,
}

impl<'a> Reports<'a> {
    /// For a run of that kind, in the folder below which its state is.
    ///
    /// # Errors
    /// If the run is none.
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
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) if it was another request; what the store
    /// answered.
    pub(crate) async fn find<R: DeserializeOwned>(&self) -> Result<Option<R>, Failure> {
        let text = match self.store.load(&self.location).await {
            Ok(Some((text, _))) => text,
            // Who may not list is not told whether it is there.
            Ok(None) | Err(StoreError::Denied { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Ok(kept) = serde_json::from_slice::<KeptReport<R>>(&text) else {
            return Ok(None);
        };
        self.run.check_request(&kept.request, &self.request)?;
        Ok(Some(kept.report))
    }

    /// Keeps what came of the run. One that was kept before stays.
    ///
    /// # Errors
    /// What the store answered.
    pub(super) async fn keep<R: Serialize>(&self, report: &R) -> Result<(), StoreError> {
        let content = KeptReport {
            run: self.run.clone(),
            request: self.request.clone(),
            report,
        };
        let text = serde_json::to_vec(&content).expect("a report has text keys only");
        let put = self.store.put(&self.location, Bytes::from(text), "application/json");
        match put.await {
            // It has been answered with it before.
            Err(StoreError::Exists(..)) => Ok(()),
            put => put,
        }
    }
}
