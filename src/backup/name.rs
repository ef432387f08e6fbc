//! The archive's name, its upload, and its retention.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use time::OffsetDateTime;

use super::request::BackupJob;
use super::retention::Retention;
use super::tools::Tools;
use crate::archive::ArchiveName;
use crate::failure::Failure;
use crate::run::Run;
use crate::store::{Said, Store, StoreError, Upload};

/// How often a name that is taken is replaced by that of the next second.
const TRIES: u64 = 5;

/// The names that a run's archive may have, the first choice first.
pub(super) fn names(run: &Run) -> Result<impl Iterator<Item = ArchiveName>, Failure> {
    let due = run.due()?;
    Ok((0..=TRIES).map(move |later| ArchiveName::at(due + Duration::from_secs(later))))
}

/// Begins the upload of a run's archive.
pub(super) async fn begin_upload(job: &BackupJob, run: &Run, tools: &Tools) -> Result<(ArchiveName, Upload), Failure> {
    let mut names = names(run)?.peekable();
    while let Some(name) = names.next() {
        let location = job.destination.join(&name.object(job.compression));
        let upload = match is_taken(job, tools, &name).await {
            true => Err(StoreError::Exists(location, Said::NOTHING)),
            false => tools.upload(&tagged(job, tools, &name), &location).await,
        };
        match upload {
            Ok(upload) => return Ok((name, upload)),
            // Another backup began within the same second; the next second is free.
            Err(StoreError::Exists(..)) if names.peek().is_some() => {
                // Two who gave way to each other must not meet again in the next second.
                let scatter = RandomState::new().build_hasher().finish() % 700;
                tokio::time::sleep(Duration::from_millis(1_000 + scatter)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Exists(job.destination.clone(), Said::NOTHING).into())
}

/// Whether an archive of that name is there, however it is compressed: the manifest's copy beside it has but one name.
/// Who may not list finds out when that is written.
async fn is_taken(job: &BackupJob, tools: &Tools, name: &ArchiveName) -> bool {
    let listed = tools.store.list(&job.destination, &name.to_string()).await;
    listed.is_ok_and(|objects| !objects.is_empty())
}

/// How long the archive of that name is to be kept: its name's time decides, so that a run that is continued does not
/// change its mind.
pub(super) fn class(job: &BackupJob, name: &ArchiveName) -> Option<Retention> {
    let time = OffsetDateTime::from_unix_timestamp(name.unix_seconds()).ok()?;
    Some(job.retention?.class_at(time))
}

/// The store that tags what is written by the archive's class.
pub(super) fn tagged(job: &BackupJob, tools: &Tools, name: &ArchiveName) -> Store {
    let tags = class(job, name).map(Retention::tags);
    tools.store.tagged(tags.unwrap_or_default())
}
