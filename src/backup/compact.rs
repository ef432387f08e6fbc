//! A full archive made of a chain, without its database.
//!
//! The chain is read as one archive, up to its newest increment, and written anew as a full one that shows the same
//! moment. So the database is read whole once, and later increments continue from here. What is written must give the
//! digests that the increment's manifest states, collection by collection; else nothing is committed.
//!
//! The archive has the name of that increment, in the folder of the full ones: archives are named by their moments. The
//! chain stays where it is.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::metadata::{catalog_of, manifest_text, metadata_text, mongodump_metadata, out_of_memory, too_many_segments};
use super::report::BackupReport;
use super::retention::Retention;
use super::segment::EncoderPool;
use super::tools::{PARTS_IN_FLIGHT, PARTS_SHARE, cancelled};
use super::write::{close, schedule};
use crate::archive::{
    ArchiveKind, ArchiveWriter, Entry, EntryName, FORMAT_VERSION, FrameEncoder, METADATA_ENTRY, MadeOf, Manifest,
    Payload, Saved,
};
use crate::catalog::Kind;
use crate::choice::{ArchiveChoice, find_archive};
use crate::digest::{Digest, Hashing};
use crate::extjson::Style;
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Chunk, CollectionStream, Form, not_what_was_promised, open};
use crate::progress::Progress;
use crate::run::{Memory, between, rfc3339};
use crate::store::{Location, Said, Store, StoreError, Upload};

/// How many chunks of documents are encoded at a time, or wait for that.
const AT_A_TIME: usize = 3;
/// How much BSON a segment has at least, but for a collection's last one.
const SEGMENT: usize = 1 << 20;
/// How much of the memory budget reading may take, in hundredths; the rest is for what is written.
const READING: u64 = 60;

/// Which chain is made an archive of its own.
#[derive(Clone, Debug)]
pub struct CompactJob {
    /// The folder with the full archive that the newest chain begins with.
    pub folder: Location,
    /// How long the archive is to be kept.
    pub retention: Option<Retention>,
}

/// What it is made with: there is no database among it.
#[derive(Clone, Debug)]
pub struct CompactTools {
    /// S3 and the file system.
    pub store: Store,
    /// Where the operation says how far it is.
    pub progress: Arc<Progress>,
    /// Checked between segments; a cancelled run undoes what it began.
    pub cancel: CancellationToken,
    /// How much may be held at a time.
    pub memory: Memory,
}

/// Makes a full archive of the newest chain in a folder.
///
/// # Errors
/// [`FailureKind::NoChain`] if the newest archive in the folder is a full one; [`FailureKind::ArchiveDamaged`] if the
/// chain does not give what its manifests say; or what the store answered. Nothing is left then.
pub async fn compact(job: &CompactJob, tools: &CompactTools) -> Result<BackupReport, Failure> {
    let began = rfc3339(OffsetDateTime::now_utc());
    let newest = find_archive(&ArchiveChoice::latest(job.folder.to_string()), &tools.store).await?;
    tools.progress.step(format!("opening {newest}"));
    let reading = Memory::of((tools.memory.bytes() / 100 * READING).max(Memory::LEAST))?;
    let chain = open(&tools.store, &newest, reading).await?;
    let mut manifest = manifest_of(&chain, &job.folder)?;
    let location = job.folder.join(&manifest.name.object(manifest.compression));
    let listed = tools.store.list(&job.folder, manifest.name.as_str()).await?;
    if !listed.is_empty() {
        return Err(StoreError::Exists(location, Said::NOTHING).into());
    }
    let retention = job.retention.map(|retention| {
        let time = OffsetDateTime::from_unix_timestamp(manifest.name.unix_seconds());
        retention.class_at(time.unwrap_or_else(|_| OffsetDateTime::now_utc()))
    });
    let store = tools.store.tagged(retention.map(Retention::tags).unwrap_or_default());
    let upload = store.upload(&location, PARTS_IN_FLIGHT).await?;
    let mut upload = upload.within(tools.memory.share(PARTS_SHARE));
    let written = write(&chain, &mut manifest, &mut upload, tools).await;
    let committed = match written {
        Ok(()) => upload.commit().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let archive = match committed {
        Ok(archive) => archive,
        Err(failure) => {
            if let Err(error) = upload.abort().await {
                tracing::warn!(%error, "the unfinished upload could not be removed; the bucket's lifecycle rule will");
            }
            return Err(failure);
        }
    };
    let beside = job.folder.join(&manifest.name.sidecar());
    let text = bytes::Bytes::from(manifest_text(&manifest)?);
    let put = store.put(&beside, text, "application/json").await;
    let sidecar = put
        .map(|()| beside)
        .map_err(|error| format!("the manifest's copy beside the archive could not be written: {error}"));
    let took = between(&began, &manifest.finished);
    Ok(BackupReport::new(&manifest, &archive, sidecar, took).kept(retention))
}

/// What the new archive says of itself, but for where its entries are.
fn manifest_of(chain: &ArchiveFile, folder: &Location) -> Result<Manifest, Failure> {
    let refused = |why: String| Err(Failure::new(FailureKind::NoChain, why).at(&chain.object.location));
    let Form::Chain(links) = &chain.form else {
        return refused(format!(
            "the newest archive in {folder} is a full one: there is nothing to put together"
        ));
    };
    let mut manifest = chain
        .manifest()
        .cloned()
        .ok_or_else(|| Failure::invalid("it has no manifest"))?;
    if manifest.users.is_some() {
        return refused("it has users and roles, which only a backup can take along: make a full backup".to_owned());
    }
    let Some(continues) = manifest.continues.take() else {
        return refused("it continues nothing".to_owned());
    };
    // That of the increment may have had a table; whether this one needs it shows at its end.
    manifest.version = FORMAT_VERSION.to_owned();
    manifest.kind = ArchiveKind::Full;
    manifest.made_of = Some(MadeOf {
        base: continues.base,
        last: manifest.name.clone(),
        archives: links.names().count() as u64,
    });
    manifest.writer = concat!("mongotar ", env!("CARGO_PKG_VERSION")).to_owned();
    (manifest.run, manifest.lanes, manifest.table) = (None, None, None);
    Ok(manifest)
}

async fn write(
    chain: &ArchiveFile,
    manifest: &mut Manifest,
    upload: &mut Upload,
    tools: &CompactTools,
) -> Result<(), Failure> {
    let catalog = catalog_of(manifest);
    let schedule = schedule(&catalog, upload.location(), tools.memory);
    let small = FrameEncoder::new(manifest.compression).map_err(|error| out_of_memory(&error))?;
    let mut writing = Writing {
        archive: ArchiveWriter::new(manifest.name.clone(), manifest.compression, schedule),
        small,
        upload,
        tools,
        payload: manifest.payload,
        encoders: EncoderPool::new(
            manifest.payload,
            manifest.compression,
            if manifest.pretty { Style::Pretty } else { Style::Compact },
        ),
    };
    manifest.metadata = writing.small_entry(METADATA_ENTRY, &metadata_text(&catalog)?).await?;
    let wanted = manifest.collections.iter().filter(|saved| saved.kind != Kind::View);
    let mut streams = chain.documents(wanted.map(|saved| (saved.name.clone(), saved.hashing)).collect());
    for (saved, collection) in manifest.collections.iter_mut().zip(&catalog.collections) {
        (saved.definition, saved.entry, saved.delta) = (None, None, None);
        saved.abandoned.clear();
        if writing.payload == Payload::Bson {
            let name = EntryName::new(&saved.name, Payload::Bson).definition();
            saved.definition = Some(writing.small_entry(&name, &mongodump_metadata(collection)).await?);
        }
        if saved.kind != Kind::View {
            let stream = streams.recv().await.filter(|stream| stream.name == saved.name);
            let stream =
                stream.ok_or_else(|| Failure::new(FailureKind::ArchiveDamaged, "it cannot be read").at(&saved.name))?;
            writing.collection(stream, saved).await?;
        }
    }
    manifest.finished = rfc3339(OffsetDateTime::now_utc());
    tools.progress.step("committing the archive");
    if let Some(table) = writing.archive.list(manifest) {
        for page in table.pages() {
            let paged = writing.archive.page(page, &mut writing.small);
            paged.map_err(|error| out_of_memory(&error))?;
            writing.send().await?;
        }
        writing.archive.end_table(manifest);
        writing.send().await?;
    }
    close(writing.archive, writing.small, writing.upload, None, manifest).await?;
    upload.settle().await?;
    may_go_on(tools)
}

fn may_go_on(tools: &CompactTools) -> Result<(), Failure> {
    match tools.cancel.is_cancelled() {
        true => Err(cancelled()),
        false => Ok(()),
    }
}

/// What comes next of a collection: a chunk, or several small ones as one, since each increment gives its own.
async fn joined(stream: &mut CollectionStream, hashing: Hashing) -> Option<Result<Chunk, Failure>> {
    let first = match stream.chunks.recv().await? {
        Ok(chunk) if chunk.bson.len() < SEGMENT => chunk,
        large_or_failed => return Some(large_or_failed),
    };
    let mut documents = first.bson.to_vec();
    while documents.len() < SEGMENT {
        match stream.chunks.recv().await {
            Some(Ok(next)) => documents.extend_from_slice(&next.bson),
            Some(failed) => return Some(failed),
            None => break,
        }
    }
    Some(Ok(first.rewritten(documents, hashing)))
}

/// An archive that is being written.
struct Writing<'a> {
    archive: ArchiveWriter,
    small: FrameEncoder,
    upload: &'a mut Upload,
    tools: &'a CompactTools,
    payload: Payload,
    encoders: Arc<EncoderPool>,
}

impl Writing<'_> {
    /// All documents of a collection, which must be those that its manifest says.
    async fn collection(&mut self, stream: CollectionStream, saved: &mut Saved) -> Result<(), Failure> {
        self.tools.progress.step(format!("writing {}", saved.name));
        let (file, hashing) = (EntryName::new(&saved.name, self.payload).whole(), saved.hashing);
        let (mut digest, encoders) = (Digest::default(), Arc::clone(&self.encoders));
        saved.wrapped = 0;
        self.archive.begin(&[&file]);
        let chunks = stream::unfold(stream, move |mut stream| async move {
            let chunk = joined(&mut stream, hashing).await?;
            Some((chunk, stream))
        });
        let encoding = chunks.map(|chunk| {
            let encoders = Arc::clone(&encoders);
            async move {
                let chunk = chunk?;
                let encoded = tokio::task::spawn_blocking(move || encoders.encode_chunk(&chunk, hashing)).await;
                let encoded = encoded.map_err(|error| Failure::new(FailureKind::ArchiveDamaged, error.to_string()))?;
                encoded.map_err(Failure::from)
            }
        });
        let mut encoding = std::pin::pin!(encoding.buffered(AT_A_TIME));
        while let Some(segment) = encoding.next().await {
            may_go_on(self.tools)?;
            let segment = segment?;
            if self.archive.is_full() {
                return Err(too_many_segments().at(&saved.name));
            }
            self.archive.segment(&segment.frame, segment.documents);
            digest.merge(&segment.digest);
            saved.wrapped += segment.wrapped;
            self.tools.progress.add(segment.documents, segment.digest.bytes());
            self.send().await?;
        }
        saved.entry = Some(self.archive.end(&file));
        self.send().await?;
        match digest == saved.expected_digest() {
            true => Ok(()),
            false => Err(not_what_was_promised(&digest, &saved.expected_digest()).at(&saved.name)),
        }
    }

    async fn small_entry(&mut self, file: &str, content: &[u8]) -> Result<Entry, Failure> {
        let entry = self.archive.entry(file, content, &mut self.small);
        let entry = entry.map_err(|error| out_of_memory(&error))?;
        self.send().await?;
        Ok(entry)
    }

    async fn send(&mut self) -> Result<(), Failure> {
        while let Some(part) = self.archive.next_part() {
            self.upload.send(part).await?;
        }
        Ok(())
    }
}
