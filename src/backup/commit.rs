//! The commit, and what follows it.
//!
//! The journal announces the commit before it is made: whoever finds the announcement commits again, and finds it done.
//! The manifest beside the archive has the id of a finished run, so the same event again is answered with its result.

use serde::{Deserialize, Serialize};

use super::metadata::manifest_text;
use super::name::{class, names, tagged};
use super::report::{BackupAnswer, BackupReport};
use super::request::BackupJob;
use super::tools::Tools;
use crate::archive::{Extent, Manifest};
use crate::failure::Failure;
use crate::run::{Journal, Run, between};
use crate::store::{Location, Object, StoreError, Upload, UploadState};

/// The name of the step.
const STEP: &str = "commit";

/// Everything was sent; whether the commit came about is to be found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    /// All of its parts.
    pub(super) upload: UploadState,
    /// What was written last.
    manifest: Manifest,
}

impl Announced {
    /// What an earlier invocation has announced.
    pub(super) fn find(journal: &Journal) -> Result<Option<Self>, Failure> {
        journal.found(STEP)
    }

    /// Commits, unless that was done.
    pub(super) async fn commit(
        self,
        job: &BackupJob,
        tools: &Tools,
        journal: &Journal,
    ) -> Result<BackupAnswer, Failure> {
        let mut upload = tools.resume(self.upload).await?;
        journal.confirm().await?;
        let archive = upload.commit().await?;
        Ok(told(job, tools, &self.manifest, &archive).await)
    }
}

/// Announces the commit of everything that was sent, and makes it.
pub(super) async fn commit(
    upload: &mut Upload,
    manifest: &Manifest,
    job: &BackupJob,
    tools: &Tools,
    journal: &Journal,
) -> Result<BackupAnswer, Failure> {
    if journal.is_kept() {
        let announced = Announced {
            upload: upload.state().await?,
            manifest: manifest.clone(),
        };
        journal.write(STEP, &announced, &[]).await?;
        journal.confirm().await?;
    }
    // The last parts may take their time, in which the run can still be cancelled.
    upload.settle().await?;
    tools.may_go_on().map_err(|failure| failure.at(&manifest.name))?;
    let archive = upload.commit().await?;
    Ok(told(job, tools, manifest, &archive).await)
}

/// Reports on a committed archive, and writes its manifest beside it.
async fn told(job: &BackupJob, tools: &Tools, manifest: &Manifest, archive: &Object) -> BackupAnswer {
    let sidecar = put_sidecar(job, tools, manifest).await;
    let report = report(job, manifest, archive, sidecar).warning(tools.mongo.warnings());
    BackupAnswer::Finished(Box::new(report))
}

/// The same whenever the run's event comes, since all of it is in the manifest.
fn report(job: &BackupJob, manifest: &Manifest, archive: &Object, sidecar: Result<Location, String>) -> BackupReport {
    let took = between(&manifest.created, &manifest.finished);
    BackupReport::new(manifest, archive, sidecar, took).kept(class(job, &manifest.name))
}

/// The manifest's copy beside the archive. The archive is whole without it, so a failure is a warning.
async fn put_sidecar(job: &BackupJob, tools: &Tools, manifest: &Manifest) -> Result<Location, String> {
    let location = job.destination.join(&manifest.name.sidecar());
    let text = manifest_text(manifest).map_err(|failure| failure.message)?;
    let text = bytes::Bytes::from(text);
    let store = tagged(job, tools, &manifest.name);
    match store.put(&location, text.clone(), "application/json").await {
        Ok(()) => Ok(location),
        // The answer was lost, the request repeated, and it met its own object.
        Err(StoreError::Exists(..)) if holds(tools, &location, &text).await => Ok(location),
        Err(error) => {
            tracing::warn!(%error, "the manifest's copy beside the archive could not be written");
            Err(format!(
                "the manifest's copy beside the archive could not be written: {error}"
            ))
        }
    }
}

/// Whether an object has exactly that content.
async fn holds(tools: &Tools, location: &Location, content: &[u8]) -> bool {
    let Ok(object) = tools.store.find(location).await else {
        return false;
    };
    let whole = Extent {
        offset: 0,
        length: object.bytes,
    };
    let read = tools.store.read(&object, whole);
    object.bytes == content.len() as u64 && read.await.is_ok_and(|bytes| bytes == content)
}

/// This run's result if its event was delivered before: the manifests beside the archives say which run wrote them.
pub(super) async fn finished_before(
    job: &BackupJob,
    run: &Run,
    tools: &Tools,
) -> Result<Option<BackupAnswer>, Failure> {
    for name in names(run)? {
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
            let report = found.map(|archive| report(job, &manifest, &archive, Ok(location)));
            return Ok(report.map(|report| {
                let report = report.warning(tools.mongo.warnings());
                BackupAnswer::Finished(Box::new(report))
            }));
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
        && manifest.users.is_some() == job.users.is_some()
}
