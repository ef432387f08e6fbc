//! Writing the archive: definitions, collections in order, manifest.

use bson::{RawArrayBuf, RawDocumentBuf, cstr};
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;

use super::pipeline::{Piece, Pipeline, Reading, hashing};
use super::segment::EncoderPool;
use super::{BackupJob, ConsistencyDemand, Tools, cancelled, consistency, rfc3339};
use crate::archive::{
    ArchiveName, ArchiveWriter, EntryName, Exception, FORMAT_VERSION, FrameEncoder, METADATA_ENTRY, Manifest,
    PartSchedule, Payload, Saved, SavedStatus, Source, Status,
};
use crate::catalog::{Catalog, Collection, Definition, Kind};
use crate::digest::Digest;
use crate::extjson::Style;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Moment, MongoError, ReadAt, VANISHED};
use crate::store::Upload;

/// Writes everything but the commit.
pub(super) async fn write(
    job: &BackupJob,
    tools: &Tools,
    moment: &Moment,
    catalog: Catalog,
    name: ArchiveName,
    upload: &mut Upload,
) -> Result<Manifest, Failure> {
    let created = rfc3339(OffsetDateTime::now_utc());
    let estimate = catalog
        .collections
        .iter()
        .filter_map(|collection| collection.bytes)
        .sum();
    let mut assembly = Assembly {
        job,
        tools,
        upload,
        // Text is larger than BSON, compression smaller; twice the estimate is on the safe side of both.
        archive: ArchiveWriter::new(name.clone(), job.compression, PartSchedule::for_estimate(estimate)),
        small: FrameEncoder::new(job.compression).map_err(|error| out_of_memory(&error))?,
        exceptions: Vec::new(),
    };
    let metadata = assembly.small_entry(METADATA_ENTRY, &metadata_text(&catalog)).await?;
    let with_documents: Vec<Collection> = catalog
        .collections
        .iter()
        .filter(|collection| collection.kind != Kind::View && !moment.undefined.contains_key(&collection.name))
        .cloned()
        .collect();
    let mut pipeline = Pipeline::start(reading(job, tools, moment), with_documents);
    let read = assembly.collections(&catalog, &moment.undefined, &mut pipeline).await;
    pipeline.stop().await;
    let mut collections = read?;
    assembly.empty_collections(&catalog, &mut collections).await?;

    let failed = collections.iter().any(|saved| saved.status != SavedStatus::Complete);
    let exceptions = std::mem::take(&mut assembly.exceptions);
    let manifest = Manifest {
        format: "mongotar".to_owned(),
        version: FORMAT_VERSION.to_owned(),
        kind: "full".to_owned(),
        name,
        created,
        finished: rfc3339(OffsetDateTime::now_utc()),
        writer: concat!("mongotar ", env!("CARGO_PKG_VERSION")).to_owned(),
        status: if failed { Status::Partial } else { Status::Complete },
        source: Source {
            database: catalog.database,
            server: catalog.server,
        },
        selection: job.selection.clone(),
        payload: job.payload,
        pretty: job.pretty,
        compression: job.compression,
        consistency: consistency(moment, exceptions),
        metadata,
        collections,
    };
    assembly.finish(&manifest).await?;
    Ok(manifest)
}

/// The manifest as it stands in the archive and beside it.
pub(super) fn manifest_text(manifest: &Manifest) -> Vec<u8> {
    let mut text = serde_json::to_vec(manifest).expect("a manifest has text keys only");
    text.push(b'\n');
    text
}

fn reading(job: &BackupJob, tools: &Tools, moment: &Moment) -> Reading {
    let style = if job.pretty { Style::Pretty } else { Style::Compact };
    Reading {
        mongo: tools.mongo.clone(),
        database: job.database.clone(),
        at: moment.time.map_or(moment.fallback(), ReadAt::Snapshot),
        fallback: moment.fallback(),
        demand: job.consistency,
        encoders: EncoderPool::new(job.payload, job.compression, style),
    }
}

struct Assembly<'a> {
    job: &'a BackupJob,
    tools: &'a Tools,
    upload: &'a mut Upload,
    archive: ArchiveWriter,
    /// For entries that are no documents.
    small: FrameEncoder,
    exceptions: Vec<Exception>,
}

impl Assembly<'_> {
    /// Every collection in the catalog's order. Those without documents get their entry later.
    async fn collections(
        &mut self,
        catalog: &Catalog,
        undefined: &BTreeMap<String, String>,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<Saved>, Failure> {
        let mut saved = Vec::with_capacity(catalog.collections.len());
        let mut index = 0;
        for collection in &catalog.collections {
            if self.tools.cancel.is_cancelled() {
                return Err(cancelled().at(&collection.name));
            }
            self.tools.progress.step(format!("reading {}", collection.name));
            let mut entry = blank(collection);
            if let Some(reason) = undefined.get(&collection.name) {
                self.fail(&mut entry, SavedStatus::Failed, reason.clone())?;
                saved.push(entry);
                continue;
            }
            if self.job.payload == Payload::Bson {
                let name = EntryName::new(&collection.name, Payload::Bson).definition();
                entry.definition = Some(self.small_entry(&name, &mongodump_metadata(collection)).await?);
            }
            if collection.kind != Kind::View {
                let pieces = pipeline.next_collection(index);
                self.documents(pieces, &mut entry).await?;
                index += 1;
            }
            saved.push(entry);
        }
        Ok(saved)
    }

    /// The segments of one collection, up to its end or its failure.
    async fn documents(
        &mut self,
        mut pieces: tokio::sync::mpsc::Receiver<Piece>,
        saved: &mut Saved,
    ) -> Result<(), Failure> {
        let name = EntryName::new(&saved.name, self.job.payload);
        let mut digest = Digest::default();
        let mut open = false;
        let mut failure = None;
        loop {
            let piece = pieces
                .recv()
                .await
                .unwrap_or_else(|| Piece::Failed(reader_died(&saved.name)));
            if self.tools.cancel.is_cancelled() {
                return Err(cancelled().at(&saved.name));
            }
            let segment = match piece {
                Piece::Exception(reason) => {
                    self.exception(&saved.name, reason)?;
                    continue;
                }
                Piece::Failed(error) => {
                    failure = Some(error);
                    break;
                }
                Piece::End => break,
                Piece::Segment(pending) => match pending.ready().await {
                    Ok(segment) => segment,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                },
            };
            if !open {
                self.archive.begin(&[&name.whole(), &name.partial()]);
                open = true;
            }
            self.archive.segment(&segment.frame, segment.documents);
            digest.merge(&segment.digest);
            saved.wrapped += segment.wrapped;
            self.tools.progress.add(segment.documents, segment.digest.bytes());
            self.send().await?;
        }
        saved.documents = digest.documents();
        saved.bytes = digest.bytes();
        saved.digest = digest.sum();
        if open {
            let file = if failure.is_none() {
                name.whole()
            } else {
                name.partial()
            };
            saved.entry = Some(self.archive.end(&file));
            self.send().await?;
        }
        if let Some(error) = failure {
            let status = if open {
                SavedStatus::Partial
            } else {
                SavedStatus::Failed
            };
            self.fail(saved, status, error.to_string())?;
        }
        Ok(())
    }

    /// A collection is not in the archive whole. The others go on, unless one moment for all was demanded.
    fn fail(&self, saved: &mut Saved, status: SavedStatus, error: String) -> Result<(), Failure> {
        if self.job.consistency == ConsistencyDemand::Require {
            return Err(Failure::new(FailureKind::ConsistencyNotReached, error).at(&saved.name));
        }
        tracing::error!(
            collection = saved.name,
            error,
            "the collection could not be backed up whole"
        );
        saved.status = status;
        saved.error = Some(error);
        Ok(())
    }

    /// Entries for the collections that gave no documents, unless they are gone: then nobody can tell whether they had some.
    async fn empty_collections(&mut self, catalog: &Catalog, collections: &mut [Saved]) -> Result<(), Failure> {
        let is_empty =
            |saved: &Saved| saved.kind != Kind::View && saved.entry.is_none() && saved.status == SavedStatus::Complete;
        if !collections.iter().any(is_empty) {
            return Ok(());
        }
        let vanished = self.tools.mongo.vanished(catalog).await;
        for saved in collections.iter_mut().filter(|saved| is_empty(saved)) {
            let doubt = match &vanished {
                Ok(vanished) => vanished.contains(&saved.name).then(|| VANISHED.to_owned()),
                // What was read before the server went away is still worth keeping.
                Err(error) => Some(format!("whether it was really empty could not be found out: {error}")),
            };
            if let Some(doubt) = doubt {
                self.fail(saved, SavedStatus::Failed, doubt)?;
                continue;
            }
            let name = EntryName::new(&saved.name, self.job.payload).whole();
            self.archive.begin(&[&name]);
            saved.entry = Some(self.archive.end(&name));
        }
        self.send().await
    }

    fn exception(&mut self, collection: &str, reason: String) -> Result<(), Failure> {
        if self.job.consistency == ConsistencyDemand::Require {
            return Err(Failure::new(
                FailureKind::ConsistencyNotReached,
                format!("{collection}: {reason}"),
            ));
        }
        self.exceptions.push(Exception {
            collection: collection.to_owned(),
            reason,
        });
        Ok(())
    }

    async fn small_entry(&mut self, file: &str, content: &[u8]) -> Result<crate::archive::Entry, Failure> {
        let entry = self
            .archive
            .entry(file, content, &mut self.small)
            .map_err(|error| out_of_memory(&error))?;
        self.send().await?;
        Ok(entry)
    }

    async fn finish(mut self, manifest: &Manifest) -> Result<(), Failure> {
        self.tools.progress.step("committing the archive");
        let (parts, _) = self
            .archive
            .finish(&manifest_text(manifest), &mut self.small)
            .map_err(|error| out_of_memory(&error))?;
        for part in parts {
            self.upload.send(part).await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        while let Some(part) = self.archive.next_part() {
            self.upload.send(part).await?;
        }
        Ok(())
    }
}

fn reader_died(collection: &str) -> MongoError {
    MongoError {
        action: format!("reading {collection}"),
        reason: "the reader ended without having reached the collection's end: this is a bug, please report it"
            .to_owned(),
        code: None,
        transient: false,
    }
}

fn blank(collection: &Collection) -> Saved {
    Saved {
        name: collection.name.clone(),
        kind: collection.kind,
        uuid: collection.uuid.clone(),
        options: collection.options.clone(),
        indexes: collection.indexes.clone(),
        status: SavedStatus::Complete,
        error: None,
        documents: 0,
        bytes: 0,
        wrapped: 0,
        digest: Digest::default().sum(),
        hashing: hashing(collection.kind),
        definition: None,
        entry: None,
    }
}

/// `collections_metadata.json` (FORMAT 4).
fn metadata_text(catalog: &Catalog) -> Vec<u8> {
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
fn mongodump_metadata(collection: &Collection) -> Vec<u8> {
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

fn out_of_memory(error: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Store, format!("compressing failed: {error}"))
}
