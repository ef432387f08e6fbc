//! Opening an archive that lies in a store, and handing out its documents.
//!
//! An archive of ours is opened by its last bytes and read by extents: what is not asked for is not fetched. An archive that others wrote has no table of contents;
//! it is read once from end to end to survey it, and once more for its documents. Either way what comes out is [`Contents`] for the plan and
//! [`Chunk`]s of raw BSON for the load.
//!
//! An archive of ours that has lost its footer is refused and never read as a foreign one: its first bytes tell.

use std::sync::Arc;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncRead, BufReader};
use tokio::sync::mpsc;
use tokio_util::io::SyncIoBridge;

use crate::archive::foreign::{self, Choice, Flow, Survey};
use crate::archive::{
    ArchiveError, ArchiveName, Compression, Entry, Extent, FOOTER_SUFFIX, Footer, Manifest, Opened, Payload, Status,
    is_ours, sniff,
};
use crate::digest::{Digest, DocumentHasher, Hashing};
use crate::extjson::{Decoder, Limits, Position};
use crate::failure::{Failure, FailureKind};
use crate::plan::{ArchiveIdentity, Contents, Coverage};
use crate::store::{Location, Object, Store};

/// The first read of an archive's end: footer and, of all but large archives, the manifest with it.
const SUFFIX: u64 = 256 << 10;
/// How many segments are fetched and decoded ahead.
const AHEAD: usize = 4;

/// A run of whole documents.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Raw BSON, one document behind the other.
    pub bson: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
}

impl Chunk {
    /// The documents one by one.
    pub fn documents(&self) -> impl Iterator<Item = &[u8]> {
        split_documents(&self.bson)
    }

    fn new(bson: Vec<u8>, hashing: Hashing) -> Self {
        let mut hasher = DocumentHasher::new(hashing);
        split_documents(&bson).for_each(|document| hasher.add_document(document));
        Self {
            digest: hasher.digest(),
            bson,
        }
    }
}

/// Splits concatenated BSON; what does not add up to whole documents is not given out, and is missing from every count.
fn split_documents(bson: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bson;
    std::iter::from_fn(move || {
        let length = usize::try_from(i32::from_le_bytes(*rest.first_chunk()?)).ok()?;
        let (document, after) = rest.split_at_checked(length.max(5))?;
        rest = after;
        Some(document)
    })
}

/// An archive that can be read.
#[derive(Clone, Debug)]
pub struct ArchiveFile {
    store: Store,
    /// The object itself.
    pub object: Object,
    /// What kind of archive it is.
    pub form: Form,
}

/// Who wrote an archive.
#[derive(Clone, Debug)]
pub enum Form {
    /// We did: footer and manifest have been checked.
    Native(Arc<Opened>),
    /// Somebody else, or an older program.
    Foreign(Arc<Survey>, Compression),
}

/// The documents of one collection, on their way.
#[derive(Debug)]
pub struct CollectionStream {
    /// The collection's name in the archive.
    pub name: String,
    /// Its documents; ends after the first error.
    pub chunks: mpsc::Receiver<Result<Chunk, Failure>>,
}

/// Opens an archive. A foreign one is read through to its end.
///
/// # Errors
/// [`FailureKind::ArchiveNotFound`], [`FailureKind::ArchiveDamaged`] or [`FailureKind::ArchiveUnsupported`], or what the store answered.
pub async fn open(store: &Store, location: &Location) -> Result<ArchiveFile, Failure> {
    let object = store.find(location).await?;
    let suffix = read_end(store, &object, SUFFIX).await?;
    let form = match Footer::find(last(&suffix, FOOTER_SUFFIX), object.bytes) {
        Ok(footer) => {
            let trailer = trailer(store, &object, &footer, &suffix).await?;
            Form::Native(Arc::new(
                Opened::verify(footer, &trailer).map_err(|error| Failure::from(error).at(location))?,
            ))
        }
        Err(ArchiveError::NoFooter) => survey(store, &object).await?,
        Err(error) => return Err(Failure::from(error).at(location)),
    };
    Ok(ArchiveFile {
        store: store.clone(),
        object,
        form,
    })
}

async fn read_end(store: &Store, object: &Object, length: u64) -> Result<Bytes, Failure> {
    let length = length.min(object.bytes);
    let extent = Extent {
        offset: object.bytes - length,
        length,
    };
    Ok(store.read(object, extent).await?)
}

fn last(bytes: &[u8], length: u64) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    &bytes[bytes.len().saturating_sub(length)..]
}

/// The trailer, out of what has been read already or by a read of its own.
async fn trailer(store: &Store, object: &Object, footer: &Footer, suffix: &Bytes) -> Result<Bytes, Failure> {
    let have_from = object.bytes - suffix.len() as u64;
    match footer.trailer.offset.checked_sub(have_from) {
        Some(start) => {
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            let end = start + usize::try_from(footer.trailer.length).unwrap_or(0);
            Ok(suffix.slice(start..end))
        }
        None => Ok(store.read(object, footer.trailer).await?),
    }
}

/// Reads an archive without a footer from end to end.
async fn survey(store: &Store, object: &Object) -> Result<Form, Failure> {
    let head_extent = Extent {
        offset: 0,
        length: object.bytes.min(4096),
    };
    let head = store.read(object, head_extent).await?;
    if is_ours(&head) {
        return Err(Failure::from(ArchiveError::NoFooter).at(&object.location));
    }
    let compression = sniff(&head);
    let reader = decompressed(store, object, compression).await?;
    let survey = on_blocking_thread(move || foreign::survey(SyncIoBridge::new(reader), &Choice::default()))
        .await?
        .map_err(|error| foreign_failure(&error).at(&object.location))?;
    Ok(Form::Foreign(Arc::new(survey), compression))
}

fn foreign_failure(error: &foreign::ForeignError) -> Failure {
    Failure::new(FailureKind::ArchiveDamaged, error.to_string())
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;

async fn decompressed(store: &Store, object: &Object, compression: Compression) -> Result<Reader, Failure> {
    let stored = BufReader::with_capacity(1 << 20, store.stream(object).await?);
    Ok(match compression {
        Compression::None => Box::new(stored),
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(stored);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(stored);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
    })
}

async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Failure::new(
            FailureKind::Store,
            format!("a worker thread ended unexpectedly: {error}"),
        )
    })
}

impl ArchiveFile {
    /// Its manifest, where it has one.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.form {
            Form::Native(opened) => Some(&opened.manifest),
            Form::Foreign(..) => None,
        }
    }

    /// What it holds, for planning.
    pub fn contents(&self) -> Contents {
        let location = self.object.location.to_string();
        let etag = Some(self.object.etag.clone()).filter(|etag| !etag.is_empty());
        match &self.form {
            Form::Native(opened) => {
                let manifest = &opened.manifest;
                Contents {
                    archive: ArchiveIdentity {
                        location,
                        name: manifest.name.to_string(),
                        etag,
                        manifest: opened.footer.blake3.to_hex().to_string(),
                    },
                    status: manifest.status,
                    database: Some(manifest.source.database.clone()),
                    coverage: if manifest.selection.is_everything() {
                        Coverage::Whole
                    } else {
                        Coverage::Part("the backup was made of a selection of the database's collections".to_owned())
                    },
                    collections: manifest.collections.clone(),
                    signals: foreign::Signals::default(),
                }
            }
            Form::Foreign(survey, _) => {
                let name = ArchiveName::of_object(&location)
                    .map_or_else(|| self.object.location.file_name(), |(name, _)| name.to_string());
                Contents {
                    archive: ArchiveIdentity {
                        location,
                        name,
                        etag,
                        manifest: survey.digest.clone(),
                    },
                    status: survey.status(),
                    database: survey.database.clone(),
                    coverage: survey.incomplete.clone().map_or(Coverage::Whole, Coverage::Part),
                    collections: survey.collections.clone(),
                    signals: survey.signals.clone(),
                }
            }
        }
    }

    /// Whether the archive has everything that it was to have.
    pub fn status(&self) -> Status {
        match &self.form {
            Form::Native(opened) => opened.manifest.status,
            Form::Foreign(survey, _) => survey.status(),
        }
    }

    /// What is noteworthy about a foreign archive.
    pub fn warnings(&self) -> Vec<String> {
        match &self.form {
            Form::Native(_) => Vec::new(),
            Form::Foreign(survey, _) => survey.warnings.clone(),
        }
    }

    /// Hands out the documents of `wanted` (names in the archive, with the way their digests are made), one collection after the other, each exactly
    /// once, also the empty ones. The order is the archive's.
    pub fn documents(&self, wanted: Vec<(String, Hashing)>) -> mpsc::Receiver<CollectionStream> {
        let (sender, receiver) = mpsc::channel(1);
        let file = self.clone();
        tokio::spawn(async move {
            match &file.form {
                Form::Native(opened) => file.native_documents(Arc::clone(opened), wanted, sender).await,
                Form::Foreign(survey, compression) => {
                    file.foreign_documents(Arc::clone(survey), *compression, wanted, sender)
                        .await
                }
            }
        });
        receiver
    }

    async fn native_documents(
        &self,
        opened: Arc<Opened>,
        wanted: Vec<(String, Hashing)>,
        sender: mpsc::Sender<CollectionStream>,
    ) {
        for (name, hashing) in wanted {
            let Some(saved) = opened.manifest.get(&name) else {
                continue;
            };
            let (chunks, receiver) = mpsc::channel(1);
            if sender.send(CollectionStream { name, chunks: receiver }).await.is_err() {
                return;
            }
            let Some(entry) = saved.entry.clone().map(Arc::new) else {
                continue;
            };
            let mut decoded = stream::iter(0..entry.segments.len())
                .map(|index| self.chunk(Arc::clone(&opened), Arc::clone(&entry), index, hashing))
                .buffered(AHEAD);
            while let Some(chunk) = decoded.next().await {
                let failed = chunk.is_err();
                if chunks.send(chunk).await.is_err() || failed {
                    break;
                }
            }
        }
    }

    /// Fetches, checks and decodes one segment.
    pub(crate) async fn chunk(
        &self,
        opened: Arc<Opened>,
        entry: Arc<Entry>,
        index: usize,
        hashing: Hashing,
    ) -> Result<Chunk, Failure> {
        let stored = self.store.read(&self.object, entry.segments[index].extent).await?;
        let location = self.object.location.clone();
        on_blocking_thread(move || decode(&opened, &entry, index, &stored, hashing))
            .await?
            .map_err(|error| Failure::from(error).at(location))
    }

    /// Reads bytes of the object.
    pub(crate) async fn read(&self, extent: Extent) -> Result<Bytes, Failure> {
        Ok(self.store.read(&self.object, extent).await?)
    }

    /// The decoded text of one segment, checked.
    pub(crate) async fn segment_text(
        &self,
        opened: &Arc<Opened>,
        entry: &Entry,
        index: usize,
    ) -> Result<Vec<u8>, Failure> {
        let stored = self.read(entry.segments[index].extent).await?;
        let (opened, entry) = (Arc::clone(opened), entry.clone());
        let location = self.object.location.clone();
        on_blocking_thread(move || {
            let mut text = Vec::new();
            opened.decode(&entry, index, &stored, &mut text).map(|()| text)
        })
        .await?
        .map_err(|error| Failure::from(error).at(location))
    }

    async fn foreign_documents(
        &self,
        survey: Arc<Survey>,
        compression: Compression,
        wanted: Vec<(String, Hashing)>,
        sender: mpsc::Sender<CollectionStream>,
    ) {
        let mut rest = wanted.clone();
        let reader = match decompressed(&self.store, &self.object, compression).await {
            Ok(reader) => reader,
            Err(failure) => return fail_next(&sender, &wanted, failure).await,
        };
        let (names, mut named) = mpsc::channel::<(String, Result<Chunk, Failure>)>(2);
        let location = self.object.location.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = foreign::read_documents(SyncIoBridge::new(reader), &survey, |chunk| {
                let Some((name, hashing)) = wanted.iter().find(|(wanted, _)| wanted == chunk.collection) else {
                    return Flow::SkipEntry;
                };
                match names.blocking_send((name.clone(), Ok(Chunk::new(chunk.bson, *hashing)))) {
                    Ok(()) => Flow::Continue,
                    Err(_) => Flow::Stop,
                }
            });
            read.map_err(|error| foreign_failure(&error).at(location))
        });
        let mut current: Option<(String, mpsc::Sender<Result<Chunk, Failure>>)> = None;
        while let Some((name, chunk)) = named.recv().await {
            if current.as_ref().is_none_or(|(current, _)| *current != name) {
                rest.retain(|(wanted, _)| *wanted != name);
                let (chunks, receiver) = mpsc::channel(1);
                let stream = CollectionStream {
                    name: name.clone(),
                    chunks: receiver,
                };
                if sender.send(stream).await.is_err() {
                    return;
                }
                current = Some((name, chunks));
            }
            if let Some((_, chunks)) = &current
                && chunks.send(chunk).await.is_err()
            {
                return;
            }
        }
        match read.await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => match current {
                Some((_, chunks)) => {
                    // Nobody listens where the load has already failed.
                    let _ = chunks.send(Err(failure)).await;
                    return;
                }
                None => return fail_next(&sender, &rest, failure).await,
            },
            Err(error) => return fail_next(&sender, &rest, Failure::new(FailureKind::Store, error.to_string())).await,
        }
        drop(current);
        for (name, _) in rest {
            let (_, chunks) = mpsc::channel(1);
            if sender.send(CollectionStream { name, chunks }).await.is_err() {
                return;
            }
        }
    }
}

/// Tells a failure as the first thing about the next collection.
async fn fail_next(sender: &mpsc::Sender<CollectionStream>, rest: &[(String, Hashing)], failure: Failure) {
    let Some((name, _)) = rest.first() else { return };
    let (chunks, receiver) = mpsc::channel(1);
    // The channel has room, and a receiver that is gone has failed already.
    let _ = chunks.send(Err(failure)).await;
    let stream = CollectionStream {
        name: name.clone(),
        chunks: receiver,
    };
    let _ = sender.send(stream).await;
}

/// From a segment's stored bytes to its documents.
fn decode(
    opened: &Opened,
    entry: &Entry,
    index: usize,
    stored: &[u8],
    hashing: Hashing,
) -> Result<Chunk, ArchiveError> {
    let mut content = Vec::new();
    opened.decode(entry, index, stored, &mut content)?;
    let bson = match opened.manifest.payload {
        Payload::Bson => content,
        Payload::Jsonl => {
            let mut bson = Vec::with_capacity(content.len() / 2);
            let mut decoder = Decoder::new(Limits::default());
            let mut position = Position::default();
            while decoder
                .decode_next(&content, &mut position, &mut bson)
                .map_err(|error| Opened::segment_error(entry, index, format!("is not Extended JSON: {error}")))?
            {
            }
            bson
        }
    };
    let chunk = Chunk::new(bson, hashing);
    let whole =
        chunk.digest.bytes() == chunk.bson.len() as u64 && chunk.digest.documents() == entry.segments[index].documents;
    if !whole {
        let reason = format!(
            "holds {} whole documents where {} were written",
            chunk.digest.documents(),
            entry.segments[index].documents
        );
        return Err(Opened::segment_error(entry, index, reason));
    }
    Ok(chunk)
}
