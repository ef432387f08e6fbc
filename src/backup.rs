//! Backup: a database goes into one archive.
//!
//! The order of events is that of [`backup`]: take a moment (one cluster time, and the catalog that holds at it), begin an upload, write the archive through
//! it, look whether a collection vanished meanwhile, append the manifest, and commit. Until the commit nothing is visible; whatever goes
//! wrong before it, or a cancellation, aborts the upload.
//!
//! A collection that cannot be read does not stop the others: the archive is then `partial`, and says so in its manifest, in the report and in the entry's name.
//!
//! Memory is bounded by constants, not by data: see `pipeline`.

mod cut;
mod lane;
mod lanes;
mod pipeline;
mod reader;
mod report;
mod request;
mod retention;
mod segment;
mod several;
mod write;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use lane::{Begun, Keeper, Lane, Stage, State};
pub use lanes::{LaneReport, LanesReport, PlanAnswer, abort as abort_run, compose, lane, plan as plan_lanes};
pub use report::{BackupAnswer, BackupReport, CollectionReport, FailedCollection, RunStatus, Totals, Unfinished};
pub use request::{BackupJob, BackupOrder, BackupRequest, ConsistencyDemand, DatabaseChoice, Databases};
pub use retention::Retention;
pub use several::{DatabaseReport, FailedDatabase, SeveralReport, backup_several, jobs};

use crate::archive::{
    ArchiveName, ArchiveWriter, Consistency, ConsistencyLevel, Entry, Extent, METADATA_ENTRY, Manifest,
};
use crate::catalog::Catalog;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Moment, Mongo};
use crate::progress::Progress;
use crate::run::{Deadline, Journal, Lease, Recorded, Run, Taken, rfc3339};
use crate::store::{Location, Object, Store, StoreError, Upload};

/// How many parts are on their way at a time: enough to hide S3's latency, and 8 MiB of memory each.
const PARTS_IN_FLIGHT: usize = 4;
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
}

/// Backs a database up, from the beginning to the end.
///
/// # Errors
/// Where there is no archive now. A collection that failed is not an error: the report's status is then `partial`.
pub async fn backup(job: &BackupJob, tools: &Tools) -> Result<BackupReport, Failure> {
    let started = Instant::now();
    let (mut upload, begun, head) = begin(job, tools, None).await?;
    let written = match begun.lane(job, tools, &mut upload, None) {
        Ok(lane) => write_and_commit(lane, &head).await,
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
            Ok(BackupReport::new(&manifest, &archive, sidecar, started.elapsed()).kept(class(job, &manifest.name)))
        }
        Err(failure) => {
            abort(upload, &failure).await;
            Err(failure)
        }
    }
}

/// Begins the run's backup, or goes on with it; ends near the deadline. The same run again goes on, or finds what came of it.
///
/// # Errors
/// As [`backup`]. Where the same may succeed later, the run's state is kept.
pub async fn backup_run(job: &BackupJob, run: &Run, tools: &Tools) -> Result<BackupAnswer, Failure> {
    let folder = run.folder(&job.destination)?;
    let lease = match Lease::take(&tools.store, &folder).await? {
        Taken::Ours(lease) => lease,
        Taken::Running => return Ok(BackupAnswer::Unfinished(Unfinished::running(run, job))),
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
            begin(job, tools, Some(run)).await?
        }
        Some(Recorded { state, bytes }) => {
            let mut head = state.head;
            head.invocations += 1;
            match state.stage {
                Stage::Writing(lane) => {
                    let (upload, begun) = lane.revive(tools, journal, &bytes).await?;
                    (upload, begun, head)
                }
                Stage::Committing { upload, manifest } => {
                    let mut upload = tools.store.resume_upload(upload, PARTS_IN_FLIGHT).await?;
                    journal.lease().confirm().await?;
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
        Ok(Err(paused)) => Ok(BackupAnswer::Unfinished(Unfinished::paused(
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
async fn finish(
    job: &BackupJob,
    tools: &Tools,
    manifest: &Manifest,
    archive: &Object,
) -> Result<BackupAnswer, Failure> {
    let sidecar = put_sidecar(job, tools, manifest).await;
    let report =
        BackupReport::new(manifest, archive, sidecar, since(&manifest.created)).kept(class(job, &manifest.name));
    Ok(BackupAnswer::Finished(Box::new(report)))
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
    let archive = ArchiveWriter::new(name.clone(), job.compression, write::schedule(&catalog));
    let first = async {
        let mut lane = Begun::new(archive).lane::<()>(job, tools, &mut upload, None)?;
        let metadata = lane
            .small_entry(METADATA_ENTRY, &write::metadata_text(&catalog))
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

/// What is decided when a backup begins, and holds in every invocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Head {
    /// What was asked for.
    request: String,
    run: Option<String>,
    name: ArchiveName,
    created: String,
    moment: Moment,
    /// The entry that was written first; where there are lanes, none was.
    metadata: Option<Entry>,
    /// How many there were, this one included.
    invocations: u32,
}

impl Head {
    /// The same event means the same request; if it does not, somebody has given two requests one id.
    fn is_of(&self, job: &BackupJob) -> bool {
        self.request == job.fingerprint()
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
            Ok(upload) => return Ok((name, upload)),
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

/// What came of this run when its event was delivered before: the manifests beside the archives say which run wrote them.
async fn finished_before(job: &BackupJob, run: &Run, tools: &Tools) -> Result<Option<BackupReport>, Failure> {
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
            return Ok(found.map(|archive| {
                let took = between(&manifest.created, &manifest.finished);
                BackupReport::new(&manifest, &archive, Ok(location), took).kept(class(job, &manifest.name))
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
    if !write::read(&mut lane, &head.moment, &catalog, tasks).await? {
        return Ok(Err(lane.progress.totals()));
    }
    let metadata = head.metadata.clone().ok_or_else(|| {
        Failure::new(
            FailureKind::Store,
            "the run's state has no first entry: begin a new run",
        )
    })?;
    let done = std::mem::take(&mut lane.progress);
    let manifest = write::manifest(lane.job, head, catalog, metadata, done.saved, done.exceptions);
    let (upload, keeper) = write::finish(lane, &manifest).await?;
    if let Some(keeper) = keeper {
        let stage = Stage::Committing {
            upload: upload.state().await?,
            manifest: Box::new(manifest.clone()),
        };
        keeper.journal.write(&State { head, stage }, &[]).await?;
        keeper.journal.lease().confirm().await?;
    }
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
    let text = write::manifest_text(manifest);
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

/// How long ago that was; nothing where it is no time.
fn since(begun: &str) -> Duration {
    between(begun, &rfc3339(OffsetDateTime::now_utc()))
}

fn between(begun: &str, ended: &str) -> Duration {
    let parse = |text| OffsetDateTime::parse(text, &Rfc3339);
    let took = parse(begun).and_then(|begun| Ok(parse(ended)? - begun));
    took.ok().and_then(|took| took.try_into().ok()).unwrap_or_default()
}
