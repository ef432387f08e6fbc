//! Backup: a database goes into one archive.
//!
//! The order of events is that of [`backup`]: take a moment (one cluster time, and the catalog that holds at it), begin an upload, write the archive through
//! it, look whether a collection vanished meanwhile, append the manifest, and commit. Until the commit nothing is visible; whatever goes
//! wrong before it, or a cancellation, aborts the upload.
//!
//! A collection that cannot be read does not stop the others: the archive is then `partial`, and says so in its manifest, in the report and in the entry's name.
//!
//! Memory is bounded by constants, not by data: see `pipeline`. A backup that takes more than one invocation is [`backup_run`]; one that takes more than one worker is planned, written and
//! composed by [`plan_lanes`], [`lane`](lane()) and [`compose`]. All of them write by the same `lane`.

mod abreast;
mod allowance;
mod chapters;
mod collection;
mod continued;
mod cut;
mod growth;
mod lane;
mod lanes;
mod metadata;
mod piece;
mod pipeline;
mod reader;
mod report;
mod request;
mod retention;
mod segment;
mod several;
mod shares;
mod state;
mod write;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

pub use continued::backup_run;
use continued::{Head, finish, finished_before};
use lane::Lane;
pub use lanes::{LaneReport, LanesReport, PlanAnswer, abort as abort_run, compose, lane, plan as plan_lanes};
pub use report::{BackupAnswer, BackupReport, CollectionReport, FailedCollection, Totals, UnfinishedBackup};
pub use request::{BackupJob, BackupOrder, BackupRequest, ConsistencyDemand, DatabaseChoice, Databases};
pub use retention::Retention;
pub use several::{DatabaseReport, FailedDatabase, SeveralReport, backup_several, jobs};
use state::{Begun, Stage, State};

use crate::archive::{ArchiveName, ArchiveWriter, Consistency, ConsistencyLevel, Extent, METADATA_ENTRY, Manifest};
use crate::catalog::Catalog;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Moment, Mongo};
use crate::progress::Progress;
pub use crate::run::RunStatus;
use crate::run::{Deadline, Memory, Run, rfc3339};
use crate::store::{Location, Object, Store, StoreError, Upload};

/// How many parts are on their way at a time: enough to hide S3's latency.
const PARTS_IN_FLIGHT: usize = 5;
/// How much of the memory budget they may take, in hundredths.
const PARTS_SHARE: u64 = 26;
/// How often a name that is taken is replaced by that of the next second.
const NAME_TRIES: u64 = 5;

/// What every operation works with.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The deployment.
    pub mongo: Mongo,
    /// S3 and the file system.
    pub store: Store,
    /// Where an operation says how far it is.
    pub progress: Arc<Progress>,
    /// Asked between steps; a cancelled run undoes what it began.
    pub cancel: CancellationToken,
    /// Asked between segments; a run that can be gone on with pauses when it is near.
    pub deadline: Deadline,
    /// How much may be held at a time.
    pub memory: Memory,
}

impl Tools {
    /// An upload that keeps to its share of the memory.
    fn paced(&self, upload: Upload) -> Upload {
        upload.within(self.memory.share(PARTS_SHARE))
    }
}

/// Backs a database up, from the beginning to the end.
///
/// # Errors
/// Where there is no archive now. A collection that failed is not an error: the report's status is then `partial`.
pub async fn backup(job: &BackupJob, tools: &Tools) -> Result<BackupReport, Failure> {
    let started = Instant::now();
    let (mut upload, begun, head) = Box::pin(begin(job, tools, None)).await?;
    let written = match begun.lane(job, tools, &mut upload, None) {
        Ok(lane) => Box::pin(write_and_commit(lane, &head)).await,
        Err(failure) => Err(failure),
    };
    let committed = written.and_then(|written| {
        written.map_err(|_| {
            Failure::new(
                FailureKind::Cancelled,
                "a backup that cannot be gone on with was paused: this is a bug",
            )
        })
    });
    match committed {
        Ok((manifest, archive)) => {
            let sidecar = put_sidecar(job, tools, &manifest).await;
            let report = BackupReport::new(&manifest, &archive, sidecar, started.elapsed());
            Ok(report.kept(class(job, &manifest.name)).warning(tools.mongo.warnings()))
        }
        Err(failure) => {
            abort(upload, &failure).await;
            Err(failure)
        }
    }
}

/// Takes a moment, and begins an upload with the first entry.
async fn begin(job: &BackupJob, tools: &Tools, run: Option<&Run>) -> Result<(Upload, Begun, Head), Failure> {
    let created = rfc3339(OffsetDateTime::now_utc());
    let moment = tools.mongo.moment(&job.database).await?;
    demand_consistency(job, &moment)?;
    if moment.catalog.collections.is_empty() {
        return Err(nothing_there(job, tools).await);
    }
    let catalog = select(job, &moment)?;
    let (name, mut upload) = begin_upload(job, tools, run).await?;
    let archive = ArchiveWriter::new(
        name.clone(),
        job.compression,
        write::schedule(&catalog, &job.destination, tools.memory),
    );
    let first = async {
        let mut lane = Begun::new(archive).lane::<()>(job, tools, &mut upload, None)?;
        let metadata = lane
            .small_entry(METADATA_ENTRY, &metadata::metadata_text(&catalog)?)
            .await?;
        Ok((metadata, Begun::new(lane.archive)))
    };
    match first.await {
        Ok((metadata, begun)) => {
            let head = Head {
                request: job.fingerprint(),
                run: run.map(|run| run.id.clone()),
                name,
                created,
                moment,
                metadata: Some(metadata),
                invocations: 1,
            };
            Ok((upload, begun, head))
        }
        Err(failure) => {
            abort(upload, &failure).await;
            Err(failure)
        }
    }
}

fn demand_consistency(job: &BackupJob, moment: &Moment) -> Result<(), Failure> {
    match &moment.reason {
        Some(reason) if job.consistency == ConsistencyDemand::Require => Err(Failure::new(
            FailureKind::ConsistencyNotReached,
            format!(
                "no snapshot of {} can be read: {reason}. Use consistency \"auto\" to back up without one",
                job.database
            ),
        )),
        _ => Ok(()),
    }
}

/// A database without collections is one that does not exist: most likely its name is mistyped, and an archive of nothing would hide that for months.
async fn nothing_there(job: &BackupJob, tools: &Tools) -> Failure {
    let there = match tools.mongo.database_names().await {
        Some(names) if !names.is_empty() => format!("; there are: {}", names.join(", ")),
        _ => String::new(),
    };
    Failure::invalid(format!(
        "there is no database {:?}, or nothing in it: correct the name{there}",
        job.database
    ))
}

/// The part of the catalog that was asked for.
fn select(job: &BackupJob, moment: &Moment) -> Result<Catalog, Failure> {
    let mut catalog = moment.catalog.clone();
    let names: Vec<&str> = moment
        .catalog
        .collections
        .iter()
        .map(|collection| collection.name.as_str())
        .collect();
    let idle = job.selection.idle_includes(&names);
    if !idle.is_empty() {
        return Err(Failure::invalid(format!(
            "nothing in {} matches include {:?}; there are: {}",
            job.database,
            idle.join(", "),
            names.join(", ")
        )));
    }
    // Neither what a dead restore left beside nor the lock of one that lives is data.
    let is_data = |name: &str| !name.starts_with(crate::plan::INTERNAL_PREFIX);
    catalog
        .collections
        .retain(|collection| job.selection.selects(&collection.name) && is_data(&collection.name));
    if catalog.collections.is_empty() {
        return Err(Failure::invalid(format!(
            "nothing of {} is left to back up; there are: {}",
            job.database,
            names.join(", ")
        )));
    }
    Ok(catalog)
}

async fn begin_upload(job: &BackupJob, tools: &Tools, run: Option<&Run>) -> Result<(ArchiveName, Upload), Failure> {
    let due = run.map(Run::due).transpose()?;
    let mut tries = 0;
    loop {
        let time = due.map_or_else(OffsetDateTime::now_utc, |due| due + Duration::from_secs(tries));
        let name = ArchiveName::at(time);
        let location = job.destination.join(&name.object(job.compression));
        let upload = match is_taken(job, tools, &name).await {
            true => Err(StoreError::Exists(location)),
            false => tagged(job, tools, &name).upload(&location, PARTS_IN_FLIGHT).await,
        };
        match upload {
            Ok(upload) => return Ok((name, tools.paced(upload))),
            // Another backup began within the same second; the next second is free.
            Err(StoreError::Exists(_)) if tries < NAME_TRIES => {
                tries += 1;
                // Two who gave way to each other must not meet again in the next second.
                let scatter = RandomState::new().build_hasher().finish() % 700;
                tokio::time::sleep(Duration::from_millis(1_000 + scatter)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How long the archive of that name is to be kept: its name's time decides, so that a run that is continued does not change its mind.
fn class(job: &BackupJob, name: &ArchiveName) -> Option<Retention> {
    let time = OffsetDateTime::from_unix_timestamp(name.unix_seconds()).ok()?;
    Some(job.retention?.class_at(time))
}

/// The store that tags what is written by the archive's class.
fn tagged(job: &BackupJob, tools: &Tools, name: &ArchiveName) -> Store {
    let tags = class(job, name).map(Retention::tags);
    tools.store.tagged(tags.unwrap_or_default())
}

/// Whether an archive of that name is there, however it is compressed: the manifest's copy beside it has but one name. Who may not list finds out when that is written.
async fn is_taken(job: &BackupJob, tools: &Tools, name: &ArchiveName) -> bool {
    let listed = tools.store.list(&job.destination, &name.to_string()).await;
    listed.is_ok_and(|objects| !objects.is_empty())
}

/// Everything up to the commit, and the commit. What came of it so far, where the deadline came first.
async fn write_and_commit(
    mut lane: Lane<'_, Head>,
    head: &Head,
) -> Result<Result<(Manifest, Object), Totals>, Failure> {
    // A crash from here on finds the upload again.
    lane.save().await?;
    let catalog = select(lane.job, &head.moment)?;
    let tools = lane.tools;
    let tasks = lane.progress.tasks(&catalog, &head.moment.undefined);
    if !Box::pin(write::read(&mut lane, &head.moment, &catalog, tasks)).await? {
        return Ok(Err(lane.progress.totals()));
    }
    let metadata = head.metadata.clone().ok_or_else(|| {
        Failure::new(
            FailureKind::RunUnusable,
            "the run's state has no first entry: begin a new run",
        )
    })?;
    let done = std::mem::take(&mut lane.progress);
    let mut manifest = write::manifest(lane.job, head, catalog, metadata, done.saved, done.exceptions);
    let (upload, keeper) = Box::pin(write::finish(lane, &mut manifest)).await?;
    if let Some(keeper) = keeper {
        let stage = Stage::Committing {
            upload: upload.state().await?,
            manifest: Box::new(manifest.clone()),
        };
        keeper.journal.write(&State { head, stage }, &[]).await?;
        keeper.journal.confirm().await?;
    }
    // The last parts may take their time, in which the run can still be cancelled.
    upload.settle().await?;
    if tools.cancel.is_cancelled() {
        return Err(cancelled().at(manifest.name));
    }
    let archive = upload.commit().await?;
    Ok(Ok((manifest, archive)))
}

async fn abort(upload: Upload, first: &Failure) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, after = %first, "the unfinished upload could not be removed; the bucket's lifecycle rule will");
    }
}

/// The manifest's copy beside the archive. The archive is whole without it, so a failure is a warning.
async fn put_sidecar(job: &BackupJob, tools: &Tools, manifest: &Manifest) -> Result<Location, String> {
    let location = job.destination.join(&manifest.name.sidecar());
    let text = metadata::manifest_text(manifest).map_err(|failure| failure.message)?;
    let text = bytes::Bytes::from(text);
    let store = tagged(job, tools, &manifest.name);
    match store.put(&location, text.clone(), "application/json").await {
        Ok(()) => Ok(location),
        // The answer was lost, the request repeated, and it met its own object.
        Err(StoreError::Exists(_)) if holds(tools, &location, &text).await => Ok(location),
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
    object.bytes == content.len() as u64
        && tools
            .store
            .read(&object, whole)
            .await
            .is_ok_and(|bytes| bytes == content)
}

pub(crate) fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "the run was cancelled")
}

/// What can be claimed of a moment with its exceptions.
fn consistency(moment: &Moment, exceptions: Vec<crate::archive::Exception>) -> Consistency {
    let level = match (moment.time, exceptions.is_empty()) {
        (None, _) => ConsistencyLevel::None,
        (Some(_), true) => ConsistencyLevel::Snapshot,
        (Some(_), false) => ConsistencyLevel::Mixed,
    };
    Consistency {
        level,
        cluster_time: moment.time,
        reason: moment.reason.clone(),
        exceptions,
    }
}
