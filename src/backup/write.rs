//! Writing the archive: definitions, collections in order, manifest.

use time::OffsetDateTime;

use super::head::BackupHead;
use super::lane::Lane;
use super::metadata::{manifest_text, out_of_memory};
use super::piece::{CurrentMember, ReadSettings, Task};
use super::pipeline::Pipeline;
use super::request::{BackupJob, ConsistencyDemand};
use super::segment::EncoderPool;
use super::tools::Tools;
use crate::archive::{
    ArchiveKind, ArchiveWriter, Entry, EntryName, Exception, FORMAT_VERSION, FrameEncoder, Manifest, PartSchedule,
    Saved, SavedFrom, SavedStatus, Status, TakenUsers,
};
use crate::catalog::{Catalog, Kind};
use crate::extjson::Style;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Moment, REFUTED, ReadAt, Testimony, VANISHED};
use crate::run::{Memory, Went, rfc3339};
use crate::store::{Location, Store, Upload};

/// From which memory budget on the parts of an archive are of the usual size.
const ROOMY: u64 = 128_000_000;

/// When the moment was taken that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MomentTaken {
    /// By this invocation, which has heard witnesses of it.
    Now,
    /// By another one.
    Before,
}

/// Reads and writes what is left of a lane's collections, or as much as there is time for; then the state is saved.
/// Where another invocation has taken the moment, the server is asked again whether it reads at it.
pub(super) async fn read(
    lane: &mut Lane<'_>,
    moment: &Moment,
    catalog: &Catalog,
    tasks: Vec<Task>,
    taken: MomentTaken,
) -> Result<Went, Failure> {
    let resumable = lane.journal.is_kept();
    let mut reading = reading(lane.job, lane.tools, moment, resumable).await?;
    if taken == MomentTaken::Before && moment.time.is_some() && !tasks.is_empty() {
        match lane.tools.mongo.still_testifies(&lane.job.database).await? {
            Testimony::Proven => {}
            Testimony::Unproven(reason) => lane.progress.unproven = Some(reason),
            Testimony::Refuted if lane.job.consistency == ConsistencyDemand::Require => {
                return Err(Failure::new(FailureKind::ConsistencyNotReached, REFUTED));
            }
            Testimony::Refuted => reading.doubt = Some(REFUTED.to_owned()),
        }
    }
    let mut pipeline = Pipeline::start(
        reading,
        tasks,
        (lane.tools.memory, lane.archive.rows().len() as u64),
        &lane.tools.cancel,
    );
    let read = lane.collections(catalog, &moment.undefined, &mut pipeline).await;
    pipeline.stop().await;
    let went = read?;
    if went == Went::Done(()) {
        empty_collections(lane, catalog).await?;
    }
    Ok(went)
}

/// What is said of an archive of these collections.
pub(super) fn manifest(
    job: &BackupJob,
    head: &BackupHead,
    catalog: Catalog,
    metadata: Entry,
    collections: Vec<Saved>,
    (exceptions, unproven): (Vec<Exception>, Option<String>),
) -> Manifest {
    let failed = collections.iter().any(|saved| saved.status != SavedStatus::Complete);
    Manifest {
        format: "mongotar".to_owned(),
        version: FORMAT_VERSION.to_owned(),
        kind: ArchiveKind::Full,
        continues: None,
        made_of: None,
        name: head.name.clone(),
        created: head.created.clone(),
        finished: rfc3339(OffsetDateTime::now_utc()),
        writer: concat!("mongotar ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: head.run.clone(),
        lanes: None,
        status: if failed { Status::Partial } else { Status::Complete },
        source: SavedFrom {
            database: catalog.database,
            server: catalog.server,
        },
        selection: job.selection.clone(),
        payload: job.payload,
        pretty: job.pretty,
        compression: job.compression,
        consistency: head.consistency(&collections, exceptions, unproven),
        metadata,
        collections,
        left_out: catalog.left_out,
        users: None,
        table: None,
    }
}

/// Lists the segments, appends the manifest, and sends the last parts.
pub(super) async fn finish(mut lane: Lane<'_>, manifest: &mut Manifest) -> Result<(), Failure> {
    lane.tools.progress.step("committing the archive");
    if let Some(table) = lane.archive.list(manifest) {
        for page in table.pages() {
            lane.page(page).await?;
        }
        lane.archive.end_table(manifest);
        lane.send().await?;
    }
    let users = lane.job.users.as_ref();
    close(lane.archive, lane.small, lane.upload, users, manifest).await
}

/// Appends users, roles and the manifest, and sends the last parts.
pub(super) async fn close(
    mut archive: ArchiveWriter,
    mut small: FrameEncoder,
    upload: &mut Upload,
    users: Option<&TakenUsers>,
    manifest: &mut Manifest,
) -> Result<(), Failure> {
    if let Some(taken) = users {
        let saved = archive.users(taken, &mut small);
        manifest.users = Some(saved.map_err(|error| out_of_memory(&error))?);
    }
    let ended = archive.finish(manifest_text(manifest)?, &mut small);
    let (parts, _) = ended.map_err(|error| out_of_memory(&error))?;
    for part in parts {
        upload.send(part).await?;
    }
    Ok(())
}

/// The size that an archive of these collections may come to, to choose its parts by.
pub(super) fn schedule(catalog: &Catalog, destination: &Location, memory: Memory) -> PartSchedule {
    let estimate = catalog
        .collections
        .iter()
        .filter_map(|collection| collection.bytes)
        .sum();
    // Text is larger than BSON, compression smaller; twice the estimate is on the safe side of both.
    if let Some(least) = Store::equal_parts(destination) {
        return PartSchedule::equal(least, estimate);
    }
    match (destination, memory.bytes() >= ROOMY) {
        (Location::Local(_), _) => PartSchedule::of_file_for_estimate(estimate),
        (Location::S3 { .. }, true) => PartSchedule::for_estimate(estimate),
        (Location::S3 { .. }, false) => PartSchedule::small_for_estimate(estimate),
    }
}

pub(super) async fn reading(
    job: &BackupJob,
    tools: &Tools,
    moment: &Moment,
    resumable: bool,
) -> Result<ReadSettings, Failure> {
    let style = if job.pretty { Style::Pretty } else { Style::Compact };
    let member = tools.mongo.member_to_read().await?;
    Ok(ReadSettings {
        mongo: member.map_or_else(|| tools.mongo.clone(), |member| tools.mongo.reading_from(&member)),
        member: CurrentMember::default(),
        database: job.database.clone(),
        at: moment.time.map_or(moment.fallback(), ReadAt::Snapshot),
        fallback: moment.fallback(),
        demand: job.consistency,
        doubt: None,
        resumable,
        encoders: EncoderPool::new(job.payload, job.compression, style),
    })
}

/// Entries for the collections that gave no documents, unless they are gone: then nobody can tell whether they had
/// some.
pub(super) async fn empty_collections(lane: &mut Lane<'_>, catalog: &Catalog) -> Result<(), Failure> {
    let is_empty = |saved: &Saved| {
        let may_be_empty = saved.kind != Kind::View && saved.entry.is_none() && saved.delta.is_none();
        may_be_empty && saved.status == SavedStatus::Complete
    };
    let mut collections = std::mem::take(&mut lane.progress.saved);
    if collections.iter().any(is_empty) {
        let vanished = lane.tools.mongo.vanished(catalog).await;
        for saved in collections.iter_mut().filter(|saved| is_empty(saved)) {
            let doubt = match &vanished {
                Ok(vanished) => vanished.contains(&saved.name).then(|| VANISHED.to_owned()),
                // What was read before the server went away is still worth keeping.
                Err(error) => Some(format!("could not check that it was really empty: {error}")),
            };
            if let Some(doubt) = doubt {
                lane.fail(saved, SavedStatus::Failed, doubt)?;
                continue;
            }
            let name = EntryName::new(&saved.name, lane.job.payload).whole();
            lane.archive.begin(&[&name]);
            saved.entry = Some(lane.archive.end(&name));
        }
    }
    lane.progress.saved = collections;
    lane.send().await
}
