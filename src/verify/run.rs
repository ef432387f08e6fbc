//! A verification in as many invocations as it takes: findings are kept, and the next one resumes after the last
//! segment read.

use serde::{Deserialize, Serialize};

use super::VerifyReport;
use super::request::VerifyJob;
use crate::choice::{find_archive, folder_for_choice};
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Source, open};
use crate::progress::Progress;
use crate::run::{
    Answer, Deadline, Ended, Journal, Left, Memory, Run, RunStatus, Running, Unfinished, Went, let_go, take_up,
};
use crate::soundness::check;
use crate::store::{Location, Store};
use crate::wording::count;

impl VerifyJob {
    /// Below which folder its runs keep their state.
    ///
    /// # Errors
    /// If that is no place.
    pub fn folder(&self) -> Result<Location, Failure> {
        match &self.state_to {
            Some(folder) => Ok(folder.clone()),
            None => folder_for_choice(&self.archive),
        }
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

/// What is decided once.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct VerifyHead {
    /// What was asked for.
    request: String,
    /// Which archive that meant, and which version of it.
    archive: String,
    etag: String,
}

/// Begins or resumes verifying the run's archive; ends near the deadline. A complete run leaves nothing behind: called
/// again, it reads the archive again.
///
/// # Errors
/// As [`verify`](super::verify()). If the same may succeed later, the run's state is kept.
pub fn verify_run<'a>(
    job: &'a VerifyJob,
    run: &'a Run,
    (store, memory, progress): (&'a Store, Memory, &'a Progress),
    deadline: Deadline,
) -> Running<'a, Answer<VerifyReport>> {
    Box::pin(async move {
        let folder = run.folder(&job.folder()?)?;
        let Some(journal) = take_up(store, folder).await? else {
            let running = Unfinished::running(run, "the verification");
            return Ok(Answer::Unfinished(running));
        };
        let answer = Box::pin(go_on(job, run, (store, memory, progress), deadline, &journal)).await;
        let_go(journal, answer).await
    })
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
    let left = journal.open().await?;
    let head: Option<VerifyHead> = left.map(Left::head).transpose()?;
    let location = match &head {
        Some(head) => {
            run.check_request(&head.request, &request)
                .inspect_err(|_| journal.refuse())?;
            head.archive.parse()?
        }
        None => find_archive(&job.archive, store).await?,
    };
    progress.step(format!("opening {location}"));
    let source = Source {
        location: &location,
        database: job.source_database.as_deref(),
    };
    let file = open(store, source, memory).await?;
    match head {
        Some(head) => head.check(&file)?,
        None => {
            let (archive, etag) = (location.to_string(), file.object.etag.clone());
            journal.begin(&VerifyHead { request, archive, etag }).await?;
        }
    }
    Ok(match check(&file, progress, deadline, journal).await? {
        Went::Done(report) => Answer::Finished(Box::new(report)),
        Went::Paused(segments) => {
            let done = format!("{} are checked", count(segments, "segment"));
            let (archive, what) = (location.to_string(), format!("the verification of {location}"));
            let paused = Unfinished::paused(run, (&what, &done), &archive, journal.invocations());
            Answer::Unfinished(paused)
        }
    })
}

impl VerifyHead {
    /// What was found of another version of the archive says nothing about this one.
    fn check(&self, file: &ArchiveFile) -> Result<(), Failure> {
        match self.etag == file.object.etag {
            true => Ok(()),
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
