//! A full archive made of a chain, without its database.
//!
//! The chain is read as one archive, up to its newest increment, and written anew as a full one that shows the same
//! moment. So the database is read whole once, and later increments continue from here. What is written must give the
//! digests that the increment's manifest states, collection by collection; else nothing is committed.
//!
//! What did not change is not sent again: a segment that is in an older archive as it would be written here is copied
//! within S3, several in a row as one. It is read all the same, since only so the digests are proven.
//!
//! The archive has the name of that increment, in the folder of the full ones: archives are named by their moments. The
//! chain stays where it is.

use time::OffsetDateTime;

use super::job::{CompactJob, CompactTools};
use super::writing::Writing;

use crate::archive::{
    ArchiveKind, ArchiveWriter, Compression, EntryName, FORMAT_VERSION, FrameEncoder, METADATA_ENTRY, MadeOf, Manifest,
    Payload,
};
use crate::backup::metadata::{catalog_of, manifest_text, metadata_text, mongodump_metadata, out_of_memory};
use crate::backup::report::BackupReport;
use crate::backup::retention::Retention;
use crate::backup::segment::EncoderPool;
use crate::backup::tools::{PARTS_IN_FLIGHT, PARTS_SHARE};
use crate::backup::write::{close, schedule};
use crate::catalog::Kind;
use crate::choice::{ArchiveChoice, find_archive};
use crate::extjson::Style;
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Form, open};
use crate::run::{Memory, between, rfc3339};
use crate::store::{Location, Said, Store, StoreError, Upload};

/// How much of the memory budget reading may take, in hundredths; the rest is for what is written.
const READING: u64 = 60;

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
    let chain = open(&tools.store, &newest, reading).await?.with_origins();
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
        Ok(copied) => upload
            .commit()
            .await
            .map(|archive| (archive, copied))
            .map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let (archive, copied_bytes) = match committed {
        Ok(committed) => committed,
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
    let mut report = BackupReport::new(&manifest, &archive, sidecar, took).kept(retention);
    report.copied_bytes = Some(copied_bytes).filter(|_| may_copy(&location));
    Ok(report)
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

/// Whether the store can copy: of a file nothing is gained, since it is read all the same.
fn may_copy(location: &Location) -> bool {
    matches!(location, Location::S3 { .. }) && Store::equal_parts(location).is_none()
}

/// Writes all of it, and says how many bytes of it are copied.
async fn write(
    chain: &ArchiveFile,
    manifest: &mut Manifest,
    upload: &mut Upload,
    tools: &CompactTools,
) -> Result<u64, Failure> {
    let catalog = catalog_of(manifest);
    let schedule = schedule(&catalog, upload.location(), tools.memory);
    let small = FrameEncoder::new(manifest.compression).map_err(|error| out_of_memory(&error))?;
    // The form of gzip ends with what is in all of it.
    let copies = may_copy(upload.location()) && manifest.compression != Compression::Gzip;
    let mut writing = Writing {
        copied: copies.then_some((manifest.payload, manifest.compression, manifest.pretty)),
        sources: Vec::new(),
        copied_bytes: 0,
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
    }
    writing.archive.end_copies();
    writing.send().await?;
    let copied_bytes = writing.copied_bytes;
    close(writing.archive, writing.small, writing.upload, None, manifest).await?;
    upload.settle().await?;
    tools.may_go_on().map(|()| copied_bytes)
}
