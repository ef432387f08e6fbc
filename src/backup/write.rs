//! Writing the archive: definitions, collections in order, manifest.

use bson::{RawArrayBuf, RawDocumentBuf, cstr};
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;

use super::lane::{Lane, Pace};
use super::piece::{Chosen, Reading, Task};
use super::pipeline::Pipeline;
use super::segment::EncoderPool;
use super::state::Keeper;
use super::{BackupJob, Head, Tools, consistency};
use crate::archive::{
    Entry, EntryName, Exception, FORMAT_VERSION, Manifest, PartSchedule, Saved, SavedStatus, Source, Status,
};
use crate::catalog::{Catalog, Collection, Definition, Kind};
use crate::extjson::Style;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Moment, ReadAt, VANISHED};
use crate::run::{Memory, rfc3339};
use crate::store::Upload;

/// From which memory budget on the parts of an archive are of the usual size.
const ROOMY: u64 = 128_000_000;

/// Reads and writes what is left of a lane's collections; false where the deadline came first, and the state is saved.
pub(super) async fn read<H: Serialize>(
    lane: &mut Lane<'_, H>,
    moment: &Moment,
    catalog: &Catalog,
    tasks: Vec<Task>,
) -> Result<bool, Failure> {
    let resumable = lane.keeper.is_some();
    let mut pipeline = Pipeline::start(
        reading(lane.job, lane.tools, moment, resumable).await?,
        tasks,
        lane.tools.memory,
        &lane.tools.cancel,
    );
    let read = lane.collections(catalog, &moment.undefined, &mut pipeline).await;
    pipeline.stop().await;
    if read? == Pace::Paused {
        return Ok(false);
    }
    empty_collections(lane, catalog).await?;
    Ok(true)
}

/// What is said of an archive of these collections.
pub(super) fn manifest(
    job: &BackupJob,
    head: &Head,
    catalog: Catalog,
    metadata: Entry,
    collections: Vec<Saved>,
    exceptions: Vec<Exception>,
) -> Manifest {
    let failed = collections.iter().any(|saved| saved.status != SavedStatus::Complete);
    Manifest {
        format: "mongotar".to_owned(),
        version: FORMAT_VERSION.to_owned(),
        kind: "full".to_owned(),
        name: head.name.clone(),
        created: head.created.clone(),
        finished: rfc3339(OffsetDateTime::now_utc()),
        writer: concat!("mongotar ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: head.run.clone(),
        lanes: None,
        status: if failed { Status::Partial } else { Status::Complete },
        source: Source {
            database: catalog.database,
            server: catalog.server,
        },
        selection: job.selection.clone(),
        payload: job.payload,
        pretty: job.pretty,
        compression: job.compression,
        consistency: consistency(&head.moment, exceptions),
        metadata,
        collections,
        left_out: catalog.left_out,
    }
}

/// Appends the manifest, and sends the last parts.
pub(super) async fn finish<'a, H>(
    lane: Lane<'a, H>,
    manifest: &Manifest,
) -> Result<(&'a mut Upload, Option<Keeper<'a, H>>), Failure> {
    lane.tools.progress.step("committing the archive");
    let mut small = lane.small;
    let (parts, _) = lane
        .archive
        .finish(&manifest_text(manifest), &mut small)
        .map_err(|error| out_of_memory(&error))?;
    for part in parts {
        lane.upload.send(part).await?;
    }
    Ok((lane.upload, lane.keeper))
}

/// The size that an archive of these collections may come to, to choose its parts by.
pub(super) fn schedule(catalog: &Catalog, memory: Memory) -> PartSchedule {
    let estimate = catalog
        .collections
        .iter()
        .filter_map(|collection| collection.bytes)
        .sum();
    // Text is larger than BSON, compression smaller; twice the estimate is on the safe side of both.
    match memory.bytes() >= ROOMY {
        true => PartSchedule::for_estimate(estimate),
        false => PartSchedule::small_for_estimate(estimate),
    }
}

/// The manifest as it stands in the archive and beside it.
pub(super) fn manifest_text(manifest: &Manifest) -> Vec<u8> {
    let mut text = serde_json::to_vec(manifest).expect("a manifest has text keys only");
    text.push(b'\n');
    text
}

async fn reading(job: &BackupJob, tools: &Tools, moment: &Moment, resumable: bool) -> Result<Reading, Failure> {
    let style = if job.pretty { Style::Pretty } else { Style::Compact };
    let member = tools.mongo.member_to_read().await?;
    Ok(Reading {
        mongo: member.map_or_else(|| tools.mongo.clone(), |member| tools.mongo.reading_from(&member)),
        member: Chosen::default(),
        database: job.database.clone(),
        at: moment.time.map_or(moment.fallback(), ReadAt::Snapshot),
        fallback: moment.fallback(),
        demand: job.consistency,
        resumable,
        encoders: EncoderPool::new(job.payload, job.compression, style),
    })
}

/// Entries for the collections that gave no documents, unless they are gone: then nobody can tell whether they had some.
async fn empty_collections<H: Serialize>(lane: &mut Lane<'_, H>, catalog: &Catalog) -> Result<(), Failure> {
    let is_empty =
        |saved: &Saved| saved.kind != Kind::View && saved.entry.is_none() && saved.status == SavedStatus::Complete;
    let mut collections = std::mem::take(&mut lane.progress.saved);
    if collections.iter().any(is_empty) {
        let vanished = lane.tools.mongo.vanished(catalog).await;
        for saved in collections.iter_mut().filter(|saved| is_empty(saved)) {
            let doubt = match &vanished {
                Ok(vanished) => vanished.contains(&saved.name).then(|| VANISHED.to_owned()),
                // What was read before the server went away is still worth keeping.
                Err(error) => Some(format!("whether it was really empty could not be found out: {error}")),
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

/// `collections_metadata.json` (FORMAT 4).
pub(super) fn metadata_text(catalog: &Catalog) -> Vec<u8> {
    #[derive(Serialize)]
    struct Described<'a> {
        r#type: Kind,
        #[serde(skip_serializing_if = "Option::is_none")]
        uuid: Option<&'a str>,
        options: &'a Definition,
        indexes: &'a [Definition],
    }
    let described: BTreeMap<&str, Described<'_>> = catalog
        .collections
        .iter()
        .map(|collection| {
            let described = Described {
                r#type: collection.kind,
                uuid: collection.uuid.as_deref(),
                options: &collection.options,
                indexes: &collection.indexes,
            };
            (collection.name.as_str(), described)
        })
        .collect();
    let mut text = serde_json::to_vec_pretty(&described).expect("names are text keys");
    text.push(b'\n');
    text
}

/// `{collection}.metadata.json` as `mongodump` writes it (`mongodump/metadata_dump.go` of mongo-tools 100).
///
/// A time series is described by its indexes only: where `mongorestore` finds `timeseries` among the options, it takes the documents for buckets and puts them
/// into `system.buckets`, but they are measurements. So it fills a time series that is there, or else makes an ordinary collection.
pub(super) fn mongodump_metadata(collection: &Collection) -> Vec<u8> {
    let mut metadata = RawDocumentBuf::new();
    if !collection.options.is_empty() && collection.kind != Kind::Timeseries {
        metadata.append(cstr!("options"), collection.options.as_raw().to_owned());
    }
    let mut indexes = RawArrayBuf::new();
    for index in &collection.indexes {
        indexes.push(index.as_raw().to_owned());
    }
    metadata.append(cstr!("indexes"), indexes);
    if let (Some(uuid), Kind::Collection) = (&collection.uuid, collection.kind) {
        metadata.append(cstr!("uuid"), uuid.replace('-', "").as_str());
    }
    metadata.append(cstr!("collectionName"), collection.name.as_str());
    match collection.kind {
        Kind::Collection => metadata.append(cstr!("type"), "collection"),
        Kind::View => metadata.append(cstr!("type"), "view"),
        Kind::Timeseries => {}
    }
    Definition::new(metadata).to_json().into_bytes()
}

pub(super) fn out_of_memory(error: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Store, format!("compressing failed: {error}"))
}
