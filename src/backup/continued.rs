//! A backup by one worker, in as many invocations as it takes, for an event that may be delivered more than once.
//!
//! The first invocation takes the moment and begins the upload; its decisions ([`BackupHead`]) hold for all that
//! follow. Each resumes from the state that the last one left, and saves its own near the deadline.

use super::commit::{Announced, commit, finished_before};
use super::head::{BackupHead, TakenMoment, Writers, select};
use super::lane::Lane;
use super::metadata::metadata_text;
use super::name::begin_upload;
use super::report::{BackupAnswer, BackupReport, Totals, UnfinishedBackup};
use super::request::BackupJob;
use super::state::{LaneStart, LaneState};
use super::tools::Tools;
use super::write::{self, MomentTaken};
use crate::archive::{ArchiveWriter, Entry, METADATA_ENTRY, Manifest};
use crate::failure::Failure;
use crate::run::{Journal, Run, Running, Went, let_go, take_up_kept};
use crate::store::Upload;

/// Backs a whole database up, from the beginning to the end.
///
/// # Errors
/// As [`backup`](super::backup()).
pub(crate) async fn full(job: &BackupJob, tools: &Tools) -> Result<BackupReport, Failure> {
    let (run, journal) = (Run::nameless(), Journal::nowhere());
    Box::pin(go_on(job, &run, tools, &journal)).await?.report()
}

/// The same as a run, in as many invocations as it takes.
///
/// # Errors
/// As [`backup_run`](super::backup_run).
pub(crate) fn full_run<'a>(job: &'a BackupJob, run: &'a Run, tools: &'a Tools) -> Running<'a, BackupAnswer> {
    Box::pin(async move {
        let Some(journal) = take_up_kept(&tools.store, run.folder(&job.destination)?).await? else {
            return Ok(BackupAnswer::Unfinished(UnfinishedBackup::running(run, job)));
        };
        let answer = Box::pin(go_on(job, run, tools, &journal)).await;
        let_go(journal, answer).await
    })
}

/// One invocation's part: the moment, the collections, the commit, and the report.
async fn go_on(job: &BackupJob, run: &Run, tools: &Tools, journal: &Journal) -> Result<BackupAnswer, Failure> {
    let ((head, metadata), mut upload, begun) = match journal.open().await? {
        None => {
            if journal.is_kept()
                && let Some(answer) = finished_before(job, run, tools).await?
            {
                return Ok(answer);
            }
            Box::pin(begin(job, run, tools, journal)).await?
        }
        Some(left) => {
            let head: BackupHead = left.head()?;
            head.check(job, run, journal)?;
            let Writers::One(metadata) = &head.writers else {
                journal.refuse();
                return Err(divided(run));
            };
            if let Some(announced) = Announced::find(journal)? {
                return Box::pin(announced.commit(job, tools, journal)).await;
            }
            let (upload, begun) = Box::pin(LaneState::go_on(tools, left)).await?;
            let metadata = metadata.clone();
            ((head, metadata), upload, begun)
        }
    };
    tracing::info!(archive = %head.name, invocation = journal.invocations(), "the run resumes");
    let written = match Lane::new(begun, job, tools, &mut upload, journal) {
        Ok(lane) => Box::pin(write_all(lane, &head, metadata)).await,
        Err(failure) => Err(failure),
    };
    let answer = match written {
        Ok(Went::Done(manifest)) => Box::pin(commit(&mut upload, &manifest, job, tools, journal)).await,
        Ok(Went::Paused(totals)) => {
            let paused = UnfinishedBackup::paused(run, job, upload.location(), journal.invocations(), totals);
            return Ok(BackupAnswer::Unfinished(paused));
        }
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &answer
        && !journal.outlives(failure)
    {
        abort(upload, failure).await;
    }
    answer
}

/// Takes a moment, and begins an upload with the first entry.
async fn begin(
    job: &BackupJob,
    run: &Run,
    tools: &Tools,
    journal: &Journal,
) -> Result<((BackupHead, Entry), Upload, LaneStart), Failure> {
    let moment = TakenMoment::of(job, tools).await?;
    let (name, mut upload) = begin_upload(job, run, tools).await?;
    let schedule = write::schedule(&moment.catalog, &job.destination, tools.memory);
    let archive = ArchiveWriter::new(name.clone(), job.compression, schedule);
    let begun = async {
        let mut lane = Lane::new(LaneStart::new(archive), job, tools, &mut upload, journal)?;
        let metadata = metadata_text(&moment.catalog)?;
        let metadata = lane.small_entry(METADATA_ENTRY, &metadata).await?;
        let begun = LaneStart::new(lane.archive);
        let head = moment.head(
            job,
            journal.is_kept().then_some(run),
            name,
            Writers::One(metadata.clone()),
        );
        journal.begin(&head).await?;
        Ok(((head, metadata), begun))
    };
    match begun.await {
        Ok((head, begun)) => Ok((head, upload, begun)),
        Err(failure) => {
            abort(upload, &failure).await;
            Err(failure)
        }
    }
}

/// Everything up to the commit. What came of it so far, where the deadline came first.
async fn write_all(mut lane: Lane<'_>, head: &BackupHead, metadata: Entry) -> Result<Went<Totals, Manifest>, Failure> {
    // A crash from here on finds the upload again.
    lane.save().await?;
    let catalog = select(lane.job, &head.moment)?;
    let tasks = lane.progress.tasks(&catalog, &head.moment.undefined);
    let taken = match lane.journal.is_resumed() {
        true => MomentTaken::Before,
        false => MomentTaken::Now,
    };
    match Box::pin(write::read(&mut lane, &head.moment, &catalog, tasks, taken)).await? {
        Went::Paused(()) => Ok(Went::Paused(lane.progress.totals())),
        Went::Done(()) => {
            let done = std::mem::take(&mut lane.progress);
            let mut manifest = write::manifest(
                lane.job,
                head,
                catalog,
                metadata,
                done.saved,
                (done.exceptions, done.unproven),
            );
            Box::pin(write::finish(lane, &mut manifest)).await?;
            Ok(Went::Done(manifest))
        }
    }
}

async fn abort(upload: Upload, first: &Failure) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, after = %first, "the unfinished upload could not be removed; the bucket's lifecycle rule will");
    }
}

fn divided(run: &Run) -> Failure {
    Failure::invalid(format!(
        "the run {:?} is divided into lanes: its steps are the actions \"lane\" and \"compose\", or \"abort\"",
        run.id
    ))
}
