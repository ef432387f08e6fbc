//! A backup in as many invocations as it takes, for an event that may be delivered more than once.
//!
//! The first invocation takes the moment and begins the upload; what it decided ([`Head`]) holds for all that follow. Each goes on from the state that the last one left, and saves its own
//! near the deadline. The commit is announced in the state before it is made: whoever finds that announcement commits again, and finds that it was done. A run that is at its
//! end is known by its id in the manifest beside the archive, so the same event again is answered with what came of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::state::{Keeper, Stage, State};
use super::{
    BackupAnswer, BackupJob, BackupReport, NAME_TRIES, PARTS_IN_FLIGHT, Tools, UnfinishedBackup, abort, begin, class,
    put_sidecar, write_and_commit,
};
use crate::archive::{ArchiveName, Entry, Manifest};
use crate::failure::{Failure, FailureKind};
use crate::mongo::Moment;
use crate::run::{Journal, Lease, Recorded, Run, Taken, between};
use crate::store::{Location, Object};

/// Begins the run's backup, or goes on with it; ends near the deadline. The same run again goes on, or finds what came of it.
///
/// # Errors
/// As [`backup`](super::backup). Where the same may succeed later, the run's state is kept.
pub async fn backup_run(job: &BackupJob, run: &Run, tools: &Tools) -> Result<BackupAnswer, Failure> {
    let folder = run.folder(&job.destination)?;
    let lease = match Lease::take(&tools.store, &folder).await? {
        Taken::Ours(lease) => lease,
        Taken::Running => return Ok(BackupAnswer::Unfinished(UnfinishedBackup::running(run, job))),
    };
    let mut journal = Journal::new(&tools.store, folder, lease);
    let recorded = match journal.read::<State<Head>>().await {
        Ok(Some(recorded)) if !recorded.state.head.is_of(job) => {
            journal.pause().await;
            return Err(run.of_another_request());
        }
        Ok(Some(recorded)) if !matches!(recorded.state.stage, Stage::Writing(_) | Stage::Committing { .. }) => {
            journal.pause().await;
            return Err(Failure::invalid(format!(
                "the run {:?} is divided into lanes: its steps are the actions \"lane\" and \"compose\", or \"abort\"",
                run.id
            )));
        }
        recorded => recorded,
    };
    let answer = match recorded {
        Ok(recorded) => Box::pin(go_on(job, run, tools, &mut journal, recorded)).await,
        Err(failure) => Err(failure),
    };
    match &answer {
        // By that copy the same event would find the archive: where it could not be written, the state stays, and the next delivery writes it.
        Ok(BackupAnswer::Finished(report)) if report.manifest.is_none() => journal.pause().await,
        Ok(BackupAnswer::Finished(_)) => journal.end().await,
        Ok(BackupAnswer::Unfinished(_)) => journal.pause().await,
        Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
        Err(failure) if failure.is_worth_another_try() => journal.pause().await,
        Err(_) => journal.end().await,
    }
    answer
}

/// One invocation's part of a run.
async fn go_on(
    job: &BackupJob,
    run: &Run,
    tools: &Tools,
    journal: &mut Journal,
    recorded: Option<Recorded<State<Head>>>,
) -> Result<BackupAnswer, Failure> {
    let (mut upload, begun, head) = match recorded {
        None => {
            if let Some(report) = finished_before(job, run, tools).await? {
                return Ok(BackupAnswer::Finished(Box::new(report)));
            }
            Box::pin(begin(job, tools, Some(run))).await?
        }
        Some(Recorded { state, bytes }) => {
            let mut head = state.head;
            head.invocations += 1;
            match state.stage {
                Stage::Writing(lane) => {
                    let (upload, begun) = Box::pin(lane.revive(tools, journal, &bytes)).await?;
                    (upload, begun, head)
                }
                Stage::Committing { upload, manifest } => {
                    let mut upload = tools.store.resume_upload(upload, PARTS_IN_FLIGHT).await?;
                    journal.confirm().await?;
                    let archive = upload.commit().await?;
                    return finish(job, tools, &manifest, &archive).await;
                }
                // Nothing that is divided comes here: see above.
                Stage::Planned(_) | Stage::Written(..) | Stage::Done(_) => return Err(run.of_another_request()),
            }
        }
    };
    tracing::info!(archive = %head.name, invocation = head.invocations, "the run goes on");
    let keeper = Keeper {
        journal,
        head: head.clone(),
    };
    let written = match begun.lane(job, tools, &mut upload, Some(keeper)) {
        Ok(lane) => Box::pin(write_and_commit(lane, &head)).await,
        Err(failure) => Err(failure),
    };
    match written {
        Ok(Ok((manifest, archive))) => finish(job, tools, &manifest, &archive).await,
        Ok(Err(paused)) => Ok(BackupAnswer::Unfinished(UnfinishedBackup::paused(
            run,
            job,
            upload.location(),
            head.invocations,
            paused,
        ))),
        Err(failure) => {
            if !failure.is_worth_another_try() && failure.kind != FailureKind::RunTakenOver {
                abort(upload, &failure).await;
            }
            Err(failure)
        }
    }
}

/// What follows the commit.
pub(super) async fn finish(
    job: &BackupJob,
    tools: &Tools,
    manifest: &Manifest,
    archive: &Object,
) -> Result<BackupAnswer, Failure> {
    let sidecar = put_sidecar(job, tools, manifest).await;
    let report = report(job, manifest, archive, sidecar).warning(tools.mongo.warnings());
    Ok(BackupAnswer::Finished(Box::new(report)))
}

/// What is said of a finished run: the same whenever its event comes, since all of it is in the manifest.
fn report(job: &BackupJob, manifest: &Manifest, archive: &Object, sidecar: Result<Location, String>) -> BackupReport {
    let took = between(&manifest.created, &manifest.finished);
    BackupReport::new(manifest, archive, sidecar, took).kept(class(job, &manifest.name))
}

/// What is decided when a backup begins, and holds in every invocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// What was asked for.
    pub(super) request: String,
    pub(super) run: Option<String>,
    pub(super) name: ArchiveName,
    pub(super) created: String,
    pub(super) moment: Moment,
    /// The entry that was written first; where there are lanes, none was.
    pub(super) metadata: Option<Entry>,
    /// How many there were, this one included.
    pub(super) invocations: u32,
}

impl Head {
    /// The same event means the same request; if it does not, somebody has given two requests one id.
    pub(super) fn is_of(&self, job: &BackupJob) -> bool {
        self.request == job.fingerprint()
    }
}

/// What came of this run when its event was delivered before: the manifests beside the archives say which run wrote them.
pub(super) async fn finished_before(
    job: &BackupJob,
    run: &Run,
    tools: &Tools,
) -> Result<Option<BackupReport>, Failure> {
    for later in 0..=NAME_TRIES {
        let name = ArchiveName::at(run.due()? + Duration::from_secs(later));
        let location = job.destination.join(&name.sidecar());
        let Some((text, _)) = tools.store.load(&location).await? else {
            continue;
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else {
            continue;
        };
        if manifest.run.as_deref() == Some(run.id.as_str()) {
            if !was_asked_for(job, &manifest) {
                return Err(run.of_another_request());
            }
            let object = manifest.name.object(manifest.compression);
            let listed = tools.store.list(&job.destination, &object).await?;
            let found = listed.into_iter().find(|found| found.location.file_name() == object);
            return Ok(
                found.map(|archive| report(job, &manifest, &archive, Ok(location)).warning(tools.mongo.warnings()))
            );
        }
    }
    Ok(None)
}

/// Whether an archive is what a job would make, as far as its manifest says.
fn was_asked_for(job: &BackupJob, manifest: &Manifest) -> bool {
    manifest.source.database == job.database
        && manifest.selection == job.selection
        && manifest.payload == job.payload
        && manifest.pretty == job.pretty
        && manifest.compression == job.compression
}
