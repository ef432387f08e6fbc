//! Scale-out: several workers write one archive, in four steps that a state machine calls.
//!
//! 1. [`plan`] takes the moment that all of them read at, divides the catalog into lanes, and begins the archive's upload;
//! 2. [`lane`], once for each lane and all at once, writes its share as an object of its own below the run's folder;
//! 3. [`compose`] has the store join those objects ([`Composer`]), adds the manifest, and commits;
//! 4. [`abort`], where a lane could not be written: nothing stays.
//!
//! Each step is known by the run and can be sent again: it goes on where it stopped, or finds itself done. What is small is not divided: then [`plan`] says
//! so, and the run is an ordinary backup.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::cut::{Share, cut};
use super::lane::{Begun, Keeper, Stage, State};
use super::pipeline::Task;
use super::{
    BackupAnswer, BackupJob, Head, PARTS_IN_FLIGHT, RunStatus, Tools, Totals, Unfinished, begin_upload,
    demand_consistency, finish, finished_before, nothing_there, select, write,
};
use crate::archive::{
    ArchiveWriter, Composer, EntryName, Exception, FrameEncoder, LaneContent, METADATA_ENTRY, Manifest, Payload, Piece,
    Saved, SavedStatus, join,
};
use crate::catalog::{Catalog, Kind};
use crate::failure::{Failure, FailureKind};
use crate::mongo::IdRange;
use crate::run::{Journal, Lease, Recorded, Run, Taken, peek, remove_run, rfc3339};
use crate::store::{Location, Object, Store, Tags, UploadState};

/// What a lane's object is called in its folder.
const DATA: &str = "data";

/// One worker's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LanePlan {
    /// Which collections, in the catalog's order.
    collections: Vec<String>,
    /// Which documents of the one collection, where it is divided.
    range: Option<IdRange>,
}

/// A run that is divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Planned {
    lanes: Vec<LanePlan>,
    /// The archive's upload, with the parts that were joined so far.
    upload: UploadState,
    /// When the lanes were found to be there: a manifest that is made once more is the same.
    finished: Option<String>,
}

/// What a lane came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LaneDone {
    content: LaneContent,
    saved: Vec<Saved>,
    exceptions: Vec<Exception>,
}

/// The answer to `plan`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LanesReport {
    /// `planned`.
    pub status: RunStatus,
    /// One sentence for a notification.
    pub summary: String,
    /// Which run it is.
    pub run: Run,
    /// What is being backed up.
    pub database: String,
    /// Where the archive will be; not known yet where there are no lanes.
    pub archive: Option<Location>,
    /// The lanes' numbers. None where the archive is one worker's: the run is then an ordinary backup.
    pub lanes: Vec<u32>,
}

/// The answer to `plan`: lanes, or what came of the run before.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum PlanAnswer {
    /// What to do.
    Planned(LanesReport),
    /// It is done, or another invocation is at it.
    Answer(BackupAnswer),
}

/// The answer to `lane`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LaneReport {
    /// `complete`, `continue` or `running`. What of a collection could not be read is in the archive's report.
    pub status: RunStatus,
    /// Which lane.
    pub lane: u32,
    /// What it has laid out.
    pub totals: Totals,
}

/// What each invocation of a lane must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LaneHead {
    invocations: u32,
}

/// Takes the moment and divides the work. The run's upload begins here, where there is more than one lane.
///
/// # Errors
/// As [`backup_run`](super::backup_run).
pub async fn plan(job: &BackupJob, run: &Run, most: u32, tools: &Tools) -> Result<PlanAnswer, Failure> {
    let folder = run.folder(&job.destination)?;
    let lease = match Lease::take(&tools.store, &folder).await? {
        Taken::Ours(lease) => lease,
        Taken::Running => {
            return Ok(PlanAnswer::Answer(BackupAnswer::Unfinished(Unfinished::running(
                run, job,
            ))));
        }
    };
    let journal = Journal::new(&tools.store, folder, lease);
    let planned = Box::pin(plan_held(job, run, most, tools, &journal)).await;
    match &planned {
        // Nothing was written that another step needs.
        Ok(PlanAnswer::Answer(_)) => journal.end().await,
        Ok(PlanAnswer::Planned(report)) if report.archive.is_none() => journal.end().await,
        Err(failure) if !failure.is_worth_another_try() => journal.end().await,
        _ => journal.pause().await,
    }
    planned
}

async fn plan_held(
    job: &BackupJob,
    run: &Run,
    most: u32,
    tools: &Tools,
    journal: &Journal,
) -> Result<PlanAnswer, Failure> {
    let report = |archive: Option<Location>, lanes: usize| {
        let lanes: Vec<u32> = (0..).take(lanes).collect();
        PlanAnswer::Planned(LanesReport {
            status: RunStatus::Planned,
            summary: match lanes.len() {
                0 => format!("the backup of {} is one worker's", job.database),
                many => format!("the backup of {} is divided among {many} workers", job.database),
            },
            run: run.clone(),
            database: job.database.clone(),
            archive,
            lanes,
        })
    };
    match journal.read::<State<Head>>().await? {
        Some(recorded) if !recorded.state.head.is_of(job) => return Err(run.of_another_request()),
        Some(recorded) => {
            return Ok(match recorded.state.stage {
                Stage::Planned(planned) => report(Some(planned.upload.location), planned.lanes.len()),
                _ => report(None, 0),
            });
        }
        None => {}
    }
    if let Some(report) = finished_before(job, run, tools).await? {
        return Ok(PlanAnswer::Answer(BackupAnswer::Finished(Box::new(report))));
    }
    let created = rfc3339(OffsetDateTime::now_utc());
    let moment = tools.mongo.moment(&job.database).await?;
    demand_consistency(job, &moment)?;
    if moment.catalog.collections.is_empty() {
        return Err(nothing_there(job, tools).await);
    }
    let catalog = select(job, &moment)?;
    let readable: Vec<_> = catalog
        .collections
        .iter()
        .filter(|collection| collection.kind != Kind::View && !moment.undefined.contains_key(&collection.name))
        .collect();
    let lanes = lanes(job, tools, cut(&readable, most)).await?;
    if lanes.len() < 2 {
        return Ok(report(None, 0));
    }
    let (name, mut upload) = begin_upload(job, tools, Some(run)).await?;
    let planned = Planned {
        lanes,
        upload: upload.state().await?,
        finished: None,
    };
    let answer = report(Some(planned.upload.location.clone()), planned.lanes.len());
    let head = Head {
        request: job.fingerprint(),
        run: Some(run.id.clone()),
        name,
        created,
        moment,
        metadata: None,
        invocations: 1,
    };
    let stage = Stage::Planned(Box::new(planned));
    journal.write(&State { head, stage }, &[]).await?;
    Ok(answer)
}

/// The lanes of shares: ranges get their bounds from the documents that are there.
async fn lanes(job: &BackupJob, tools: &Tools, shares: Vec<Share>) -> Result<Vec<LanePlan>, Failure> {
    let mut lanes = Vec::new();
    for share in shares {
        match share {
            Share::Packed(collections) => lanes.push(LanePlan {
                collections,
                range: None,
            }),
            Share::Split(collection, ranges) => {
                let bounds = tools.mongo.cut_points(&job.database, &collection, ranges).await?;
                let from = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
                let to = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
                lanes.extend(from.zip(to).map(|(from, to)| LanePlan {
                    collections: vec![collection.clone()],
                    range: Some(IdRange { from, to }),
                }));
            }
        }
    }
    Ok(lanes)
}

/// Writes one lane, or goes on with it.
///
/// # Errors
/// As [`backup_run`](super::backup_run), and where there is no such lane.
pub async fn lane(job: &BackupJob, run: &Run, number: u32, tools: &Tools) -> Result<LaneReport, Failure> {
    let folder = run.folder(&job.destination)?;
    let (head, planned) = planned(job, run, tools).await?;
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let share = planned.lanes.get(index).ok_or_else(|| {
        let last = planned.lanes.len().saturating_sub(1);
        Failure::invalid(format!("there is no lane {number}: they are 0 to {last}"))
    })?;
    let report = |status, totals| LaneReport {
        status,
        lane: number,
        totals,
    };
    let folder = lane_folder(&folder, number);
    let lease = match Lease::take(&tools.store, &folder).await? {
        Taken::Ours(lease) => lease,
        Taken::Running => return Ok(report(RunStatus::Running, Totals::default())),
    };
    let mut journal = Journal::new(&tools.store, folder.clone(), lease);
    let written = Box::pin(write_lane(job, tools, (&head, share), &folder, &mut journal)).await;
    match &written {
        Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
        _ => journal.pause().await,
    }
    Ok(match written? {
        Ok(done) => report(RunStatus::Complete, Totals::of(&done.saved)),
        Err(totals) => report(RunStatus::Continue, totals),
    })
}

/// What the lane came to; or what it has laid out so far, where the deadline came first.
async fn write_lane(
    job: &BackupJob,
    tools: &Tools,
    (head, share): (&Head, &LanePlan),
    folder: &Location,
    journal: &mut Journal,
) -> Result<Result<LaneDone, Totals>, Failure> {
    let catalog = catalog_of(job, head, share)?;
    let of_state = |tools: &Tools| tools.store.tagged(Tags::in_progress());
    let (mut upload, begun, lane_head) = match journal.read::<State<LaneHead>>().await? {
        Some(Recorded { state, bytes }) => {
            let lane_head = LaneHead {
                invocations: state.head.invocations + 1,
            };
            match state.stage {
                Stage::Writing(lane) => {
                    let (upload, begun) = lane.revive(tools, journal, &bytes).await?;
                    (upload, begun, lane_head)
                }
                Stage::Written(upload, done) => {
                    commit_lane(tools, journal, lane_head, upload, &done).await?;
                    return Ok(Ok(*done));
                }
                Stage::Done(done) => return Ok(Ok(*done)),
                Stage::Planned(_) | Stage::Committing { .. } => return Err(foreign_state()),
            }
        }
        None => {
            let upload = of_state(tools).upload(&folder.join(DATA), PARTS_IN_FLIGHT).await?;
            let archive = ArchiveWriter::lane(head.name.clone(), job.compression, write::schedule(&catalog));
            (upload, Begun::new(archive), LaneHead { invocations: 1 })
        }
    };
    tracing::info!(archive = %head.name, invocation = lane_head.invocations, collections = catalog.collections.len(), "the lane goes on");
    let keeper = Keeper {
        journal,
        head: lane_head.clone(),
    };
    let mut lane = begun.lane(job, tools, &mut upload, Some(keeper))?;
    lane.range.clone_from(&share.range);
    lane.save().await?;
    let tasks = lane.progress.tasks(&catalog, &BTreeMap::new());
    let tasks = tasks.into_iter().map(|task| Task {
        range: share.range.clone(),
        ..task
    });
    if !write::read(&mut lane, &head.moment, &catalog, tasks.collect()).await? {
        return Ok(Err(lane.progress.totals()));
    }
    let progress = std::mem::take(&mut lane.progress);
    let (parts, content) = lane.archive.finish_lane();
    for part in parts {
        lane.upload.send(part).await?;
    }
    let sent = lane.upload.state().await?;
    let done = LaneDone {
        content,
        saved: progress.saved,
        exceptions: progress.exceptions,
    };
    commit_lane(tools, journal, lane_head, sent, &done).await?;
    Ok(Ok(done))
}

/// Makes the lane's object visible, and writes down what is in it. One of no bytes needs no object.
async fn commit_lane(
    tools: &Tools,
    journal: &mut Journal,
    head: LaneHead,
    upload: UploadState,
    done: &LaneDone,
) -> Result<(), Failure> {
    let written = Stage::Written(upload.clone(), Box::new(done.clone()));
    journal
        .write(
            &State {
                head: &head,
                stage: written,
            },
            &[],
        )
        .await?;
    journal.lease().confirm().await?;
    let mut upload = tools.store.resume_upload(upload, PARTS_IN_FLIGHT).await?;
    match done.content.bytes {
        0 => upload.abort().await?,
        _ => {
            upload.commit().await?;
        }
    }
    let stage = Stage::Done(Box::new(done.clone()));
    journal.write(&State { head, stage }, &[]).await
}

/// Joins the lanes, adds the manifest, and commits.
///
/// # Errors
/// As [`backup_run`](super::backup_run), and where a lane is not at its end.
pub async fn compose(job: &BackupJob, run: &Run, tools: &Tools) -> Result<BackupAnswer, Failure> {
    let folder = run.folder(&job.destination)?;
    let lease = match Lease::take(&tools.store, &folder).await? {
        Taken::Ours(lease) => lease,
        Taken::Running => return Ok(BackupAnswer::Unfinished(Unfinished::running(run, job))),
    };
    let journal = Journal::new(&tools.store, folder.clone(), lease);
    let composed = Box::pin(compose_held(job, run, tools, &journal)).await;
    match &composed {
        Ok(BackupAnswer::Finished(report)) => {
            for number in 0..report.lanes {
                let lane = lane_folder(&folder, number);
                if let Err(error) = remove_run(&tools.store, &lane).await {
                    tracing::warn!(%error, "a lane could not be removed; the bucket's lifecycle rule will");
                }
            }
            journal.end().await;
        }
        Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
        // What the lanes have written is not thrown away for a failure: `abort` does that.
        _ => journal.pause().await,
    }
    composed
}

async fn compose_held(job: &BackupJob, run: &Run, tools: &Tools, journal: &Journal) -> Result<BackupAnswer, Failure> {
    let Some(Recorded { state, .. }) = journal.read::<State<Head>>().await? else {
        let finished = finished_before(job, run, tools).await?;
        return finished
            .map(|report| BackupAnswer::Finished(Box::new(report)))
            .ok_or_else(|| not_planned(run));
    };
    if !state.head.is_of(job) {
        return Err(run.of_another_request());
    }
    let mut head = state.head;
    head.invocations += 1;
    let mut planned = match state.stage {
        Stage::Planned(planned) => *planned,
        Stage::Committing { upload, manifest } => {
            let mut upload = tools.store.resume_upload(upload, PARTS_IN_FLIGHT).await?;
            journal.lease().confirm().await?;
            let archive = upload.commit().await?;
            return finish(job, tools, &manifest, &archive).await;
        }
        _ => return Err(not_planned(run)),
    };
    let lanes = done_lanes(job, run, tools, planned.lanes.len()).await?;
    let finished = planned
        .finished
        .get_or_insert_with(|| rfc3339(OffsetDateTime::now_utc()))
        .clone();
    let (manifest, pieces) = layout(job, &head, &planned, &lanes, finished)?;

    let mut upload = tools
        .store
        .resume_upload(planned.upload.clone(), PARTS_IN_FLIGHT)
        .await?;
    let folder = run.folder(&job.destination)?;
    let sources = Sources::find(tools, &folder, &lanes).await?;
    let mut moved = false;
    for part in join(pieces) {
        if upload.has(part.number) {
            continue;
        }
        if tools.cancel.is_cancelled() {
            return Err(super::cancelled());
        }
        journal.lease().check()?;
        if moved && tools.deadline.is_near() {
            planned.upload = upload.state().await?;
            let stage = Stage::Planned(Box::new(planned));
            journal.write(&State { head: &head, stage }, &[]).await?;
            let totals = Totals::of(&manifest.collections);
            let (location, invocations) = (upload.location().clone(), head.invocations);
            return Ok(BackupAnswer::Unfinished(Unfinished::paused(
                run,
                job,
                &location,
                invocations,
                totals,
            )));
        }
        sources.send(part, &mut upload).await?;
        moved = true;
    }
    let stage = Stage::Committing {
        upload: upload.state().await?,
        manifest: Box::new(manifest.clone()),
    };
    journal.write(&State { head, stage }, &[]).await?;
    journal.lease().confirm().await?;
    let archive = upload.commit().await?;
    finish(job, tools, &manifest, &archive).await
}

/// The lanes' objects.
struct Sources {
    store: Store,
    objects: HashMap<u32, Object>,
}

impl Sources {
    async fn find(tools: &Tools, folder: &Location, lanes: &[LaneDone]) -> Result<Self, Failure> {
        let mut objects = HashMap::new();
        for (number, lane) in (0..).zip(lanes) {
            if lane.content.bytes == 0 {
                continue;
            }
            let object = tools.store.find(&lane_folder(folder, number).join(DATA)).await?;
            if object.bytes != lane.content.bytes {
                return Err(Failure::new(
                    FailureKind::Store,
                    format!("{} is not what was written: begin a new run", object.location),
                ));
            }
            objects.insert(number, object);
        }
        Ok(Self {
            store: tools.store.clone(),
            objects,
        })
    }

    fn object(&self, lane: u32) -> Result<&Object, Failure> {
        self.objects
            .get(&lane)
            .ok_or_else(|| Failure::new(FailureKind::Store, format!("lane {lane} has no object")))
    }

    /// Copies what lies in one lane; puts together anything else.
    async fn send(&self, part: crate::archive::JoinedPart, upload: &mut crate::store::Upload) -> Result<(), Failure> {
        if let [Piece::Lane { lane, extent }] = part.pieces.as_slice() {
            let (source, extent) = (self.object(*lane)?.clone(), *extent);
            upload.copy(part.number, part.offset, &source, extent).await?;
            return Ok(());
        }
        let mut bytes = Vec::new();
        for piece in part.pieces {
            match piece {
                Piece::Bytes(made) => bytes.extend_from_slice(&made),
                Piece::Lane { lane, extent } => {
                    bytes.extend_from_slice(&self.store.read(self.object(lane)?, extent).await?);
                }
            }
        }
        let (number, offset) = (part.number, part.offset);
        upload.send(crate::archive::Part { number, offset, bytes }).await?;
        Ok(())
    }
}

/// Removes everything that a run has begun.
///
/// # Errors
/// Where it could not be removed, or somebody is at it.
pub async fn abort(job: &BackupJob, run: &Run, tools: &Tools) -> Result<RunStatus, Failure> {
    let folder = run.folder(&job.destination)?;
    let Taken::Ours(lease) = Lease::take(&tools.store, &folder).await? else {
        return Ok(RunStatus::Running);
    };
    let journal = Journal::new(&tools.store, folder.clone(), lease);
    let recorded = journal.read::<State<Head>>().await?;
    let (upload, lanes) = match recorded.map(|recorded| recorded.state.stage) {
        Some(Stage::Planned(planned)) => (Some(planned.upload), planned.lanes.len()),
        Some(Stage::Writing(lane)) => (Some(lane.upload_state().clone()), 0),
        Some(Stage::Committing { upload, .. }) => (Some(upload), 0),
        _ => (None, 0),
    };
    for number in (0..).take(lanes) {
        let folder = lane_folder(&folder, number);
        let state = peek::<State<LaneHead>>(&tools.store, &folder).await?;
        if let Some(Stage::Writing(lane)) = state.map(|recorded| recorded.state.stage) {
            let upload = tools.store.resume_upload(lane.upload_state().clone(), 1).await?;
            upload.abort().await?;
        }
        remove_run(&tools.store, &folder).await?;
    }
    if let Some(upload) = upload {
        tools.store.resume_upload(upload, 1).await?.abort().await?;
    }
    journal.end().await;
    Ok(RunStatus::Aborted)
}

/// The plan of a run, as its steps read it.
async fn planned(job: &BackupJob, run: &Run, tools: &Tools) -> Result<(Head, Planned), Failure> {
    let folder = run.folder(&job.destination)?;
    let recorded = peek::<State<Head>>(&tools.store, &folder).await?;
    let state = recorded.ok_or_else(|| not_planned(run))?.state;
    match state.stage {
        _ if !state.head.is_of(job) => Err(run.of_another_request()),
        Stage::Planned(planned) => Ok((state.head, *planned)),
        _ => Err(not_planned(run)),
    }
}

async fn done_lanes(job: &BackupJob, run: &Run, tools: &Tools, count: usize) -> Result<Vec<LaneDone>, Failure> {
    let folder = run.folder(&job.destination)?;
    let mut lanes = Vec::with_capacity(count);
    for number in (0..).take(count) {
        let state = peek::<State<LaneHead>>(&tools.store, &lane_folder(&folder, number)).await?;
        match state.map(|recorded| recorded.state.stage) {
            Some(Stage::Done(done)) => lanes.push(*done),
            _ => {
                return Err(Failure::invalid(format!(
                    "lane {number} is not at its end: call the action \"lane\" for it until it answers \"complete\""
                )));
            }
        }
    }
    Ok(lanes)
}

/// The archive of these lanes: its manifest, and its pieces.
fn layout(
    job: &BackupJob,
    head: &Head,
    planned: &Planned,
    lanes: &[LaneDone],
    finished: String,
) -> Result<(Manifest, Vec<Piece>), Failure> {
    let catalog = select(job, &head.moment)?;
    let out_of_memory = |error: std::io::Error| write::out_of_memory(&error);
    let mut small = FrameEncoder::new(job.compression).map_err(out_of_memory)?;
    let mut composer = Composer::new(head.name.clone(), job.compression);
    let metadata = composer
        .entry(METADATA_ENTRY, &write::metadata_text(&catalog), &mut small)
        .map_err(out_of_memory)?;

    let mut found: HashMap<String, Saved> = HashMap::new();
    let mut number = 0;
    while let Some(plan) = planned.lanes.get(number) {
        // The ranges of one collection follow one another.
        let same = |other: &&LanePlan| other.range.is_some() && other.collections == plan.collections;
        let ranges = planned.lanes[number..].iter().take_while(same).count();
        let of = |index: usize| (u32::try_from(index).unwrap_or(u32::MAX), &lanes[index].content);
        if ranges == 0 {
            let entries = composer.lane(of(number).0, of(number).1);
            let by_path: HashMap<String, _> = entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
            let placed = |entry: &Option<crate::archive::Entry>| {
                entry.as_ref().and_then(|entry| by_path.get(&entry.path)).cloned()
            };
            for saved in &lanes[number].saved {
                let saved = Saved {
                    definition: placed(&saved.definition),
                    entry: placed(&saved.entry),
                    ..saved.clone()
                };
                found.insert(saved.name.clone(), saved);
            }
            number += 1;
            continue;
        }
        let of_ranges = &lanes[number..number + ranges];
        let mut saved = joined(of_ranges.iter().flat_map(|lane| &lane.saved)).ok_or_else(|| {
            Failure::new(
                FailureKind::Store,
                format!("lane {number} says nothing of its collection"),
            )
        })?;
        let name = EntryName::new(&saved.name, job.payload);
        if let (Payload::Bson, Some(collection)) = (job.payload, catalog.get(&saved.name)) {
            let text = write::mongodump_metadata(collection);
            saved.definition = Some(
                composer
                    .entry(&name.definition(), &text, &mut small)
                    .map_err(out_of_memory)?,
            );
        }
        let file = match saved.status {
            SavedStatus::Complete => name.whole(),
            SavedStatus::Partial | SavedStatus::Failed => name.partial(),
        };
        let contents: Vec<_> = (number..number + ranges).map(of).collect();
        saved.entry = Some(composer.split(&file, &contents));
        found.insert(saved.name.clone(), saved);
        number += ranges;
    }
    let mut collections = Vec::with_capacity(catalog.collections.len());
    for collection in &catalog.collections {
        let saved = match found.remove(&collection.name) {
            Some(saved) => saved,
            None => unread(job, head, collection, &mut composer, &mut small)?,
        };
        collections.push(saved);
    }
    let mut exceptions: Vec<Exception> = Vec::new();
    for exception in lanes.iter().flat_map(|lane| &lane.exceptions) {
        if !exceptions.iter().any(|known| known.collection == exception.collection) {
            exceptions.push(exception.clone());
        }
    }
    let mut manifest = write::manifest(job, head, catalog, metadata, collections, exceptions);
    manifest.finished = finished;
    manifest.lanes = u32::try_from(lanes.len()).ok();
    let (pieces, _) = composer
        .finish(&write::manifest_text(&manifest), &mut small)
        .map_err(out_of_memory)?;
    Ok((manifest, pieces))
}

/// A view, or a collection whose definition the server would not give: no lane reads these.
fn unread(
    job: &BackupJob,
    head: &Head,
    collection: &crate::catalog::Collection,
    composer: &mut Composer,
    small: &mut FrameEncoder,
) -> Result<Saved, Failure> {
    let mut saved = super::lane::blank(collection);
    if let Some(reason) = head.moment.undefined.get(&collection.name) {
        super::lane::fail(job, &mut saved, SavedStatus::Failed, reason.clone())?;
    } else if job.payload == Payload::Bson {
        let name = EntryName::new(&collection.name, Payload::Bson).definition();
        let entry = composer.entry(&name, &write::mongodump_metadata(collection), small);
        saved.definition = Some(entry.map_err(|error| write::out_of_memory(&error))?);
    }
    Ok(saved)
}

/// One collection of its ranges. It is whole where each of them is.
fn joined<'a>(ranges: impl Iterator<Item = &'a Saved>) -> Option<Saved> {
    ranges.cloned().reduce(|mut sum, range| {
        let mut digest = sum.expected_digest();
        digest.merge(&range.expected_digest());
        sum.documents = digest.documents();
        sum.bytes = digest.bytes();
        sum.digest = digest.sum();
        sum.wrapped += range.wrapped;
        if range.status != SavedStatus::Complete || sum.status != SavedStatus::Complete {
            sum.status = SavedStatus::Partial;
            sum.error = sum.error.or(range.error);
        }
        sum
    })
}

fn catalog_of(job: &BackupJob, head: &Head, share: &LanePlan) -> Result<Catalog, Failure> {
    let mut catalog = select(job, &head.moment)?;
    catalog
        .collections
        .retain(|collection| share.collections.contains(&collection.name));
    Ok(catalog)
}

fn lane_folder(folder: &Location, number: u32) -> Location {
    folder.join(&format!("lane-{number:05}"))
}

fn not_planned(run: &Run) -> Failure {
    Failure::invalid(format!(
        "the run {:?} is not divided into lanes: call the action \"plan\" first, and where it names none the action \"backup\"",
        run.id
    ))
}

fn foreign_state() -> Failure {
    Failure::new(
        FailureKind::Store,
        "the lane's state is that of something else: begin a new run",
    )
}
