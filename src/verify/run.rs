//! A verification in as many invocations as it takes: what was found so far is kept, and the next one goes on behind the last segment that was read.

use serde::{Deserialize, Serialize};

use super::VerifyReport;
use super::request::VerifyJob;
use crate::backup::RunStatus;
use crate::choice::{find_archive, folder_for_choice};
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Source, open};
use crate::progress::Progress;
use crate::run::{Answer, Deadline, Ended, Journal, Memory, Run, SAVED_EVERY, Unfinished, let_go, take_up};
use crate::soundness::{Checked, Pace};
use crate::store::{Location, Store};
use crate::wording::count;

impl VerifyJob {
    /// Below which folder its runs keep their state.
    ///
    /// # Errors
    /// Where that is no place.
    pub fn folder(&self) -> Result<Location, Failure> {
        folder_for_choice(&self.archive)
    }
}

impl Ended for VerifyReport {
    fn status(&self) -> RunStatus {
        self.status
    }

    fn summary(&self) -> &str {
        &self.summary
    }
}

/// What another invocation must know to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// What was asked for.
    request: String,
    /// Which archive that meant, and which version of it.
    archive: String,
    etag: String,
    invocations: u32,
    checked: Checked,
}

/// Verifies the run's archive, or goes on with it; ends near the deadline. A run that is at its end leaves nothing behind: asked again, it reads the archive again.
///
/// # Errors
/// As [`verify`](super::verify()). Where the same may succeed later, the run's state is kept.
pub async fn verify_run(
    job: &VerifyJob,
    run: &Run,
    (store, memory, progress): (&Store, Memory, &Progress),
    deadline: Deadline,
) -> Result<Answer<VerifyReport>, Failure> {
    let folder = run.folder(&job.folder()?)?;
    let Some(journal) = take_up(store, folder).await? else {
        let running = Unfinished::running(run, "the verification");
        return Ok(Answer::Unfinished(running));
    };
    let answer = Box::pin(go_on(job, run, (store, memory, progress), deadline, &journal)).await;
    let_go(journal, &answer).await;
    answer
}

/// One invocation's part.
async fn go_on(
    job: &VerifyJob,
    run: &Run,
    (store, memory, progress): (&Store, Memory, &Progress),
    deadline: Deadline,
    journal: &Journal,
) -> Result<Answer<VerifyReport>, Failure> {
    let request = serde_json::json!(job).to_string();
    let recorded = journal.read::<State>().await?.map(|recorded| recorded.state);
    let location = match &recorded {
        Some(state) => {
            run.check_request(&state.request, &request)
                .inspect_err(|_| journal.refuse())?;
            state.archive.parse()?
        }
        None => find_archive(&job.archive, store).await?,
    };
    progress.step(format!("opening {location}"));
    let source = Source {
        location: &location,
        database: job.source_database.as_deref(),
    };
    let file = open(store, source, memory).await?;
    let mut state = match recorded {
        Some(state) => State {
            invocations: state.invocations + 1,
            ..state.of_this(&file)?
        },
        None => State {
            request,
            archive: location.to_string(),
            etag: file.object.etag.clone(),
            invocations: 1,
            checked: Checked::nothing_of(&file),
        },
    };
    loop {
        let pace = state.checked.go_on(&file, progress, deadline.or_in(SAVED_EVERY)).await;
        if pace == Pace::Finished {
            return Ok(Answer::Finished(Box::new(state.checked.report(&file))));
        }
        journal.write(&state, &[]).await?;
        if journal.must_pause(deadline) {
            let done = format!("{} are checked", count(state.checked.segments(), "segment"));
            let what = format!("the verification of {}", state.archive);
            let paused = Unfinished::paused(run, (&what, &done), &state.archive, state.invocations);
            return Ok(Answer::Unfinished(paused));
        }
    }
}

impl State {
    /// What was found of another version of the archive says nothing about this one.
    fn of_this(self, file: &ArchiveFile) -> Result<Self, Failure> {
        match self.etag == file.object.etag {
            true => Ok(self),
            false => Err(Failure::new(
                FailureKind::ArchiveDamaged,
                format!(
                    "{} was replaced while it was being verified: begin a new run",
                    self.archive
                ),
            )),
        }
    }
}
