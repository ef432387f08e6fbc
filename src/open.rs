//! Opening an archive that lies in a store, and handing out its documents.
//!
//! An archive of ours is opened by its last bytes and read by extents: what is not asked for is not fetched. An archive that others wrote has no table of contents;
//! it is read once from end to end to survey it, and once more for its documents. Either way what comes out is [`Contents`] for the plan and
//! [`Chunk`]s of raw BSON for the load.
//!
//! An archive of ours that has lost its footer is refused and never read as a foreign one: its first bytes tell.

mod chunk;
mod foreign;
mod native;
mod pages;
mod pass;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::archive::foreign::{Choice, Signals, Survey};
use crate::archive::{
    ArchiveError, ArchiveName, Compression, Extent, FOOTER_SUFFIX, Footer, Manifest, Opened, Status, is_ours,
};
use crate::digest::Hashing;
use crate::failure::{Failure, FailureKind};
use crate::plan::{ArchiveIdentity, Contents, Coverage};
use crate::run::{Memory, Pool};
use crate::store::{Location, Object, Store};

pub use chunk::Chunk;
use pass::Passes;

/// The first read of an archive's end: footer and, of all but large archives, the manifest with it.
const SUFFIX: u64 = 256 << 10;

/// How many collections' documents are on their way at a time, where memory is not scarce.
const ROOM: u64 = 8;
/// What a small collection takes on its way: its segment, its text, and what is sent to a server. So many bytes of memory for so many of BSON.
const PLACE: u64 = 1 << 20;
const BSON_IN_A_PLACE: u64 = 128 << 10;
/// Collections up to this many places count alike, where memory is not scarce: each costs more round trips than bytes.
const SMALL: u64 = 8;
/// How much of the memory budget small collections may take together, and the segments of a large one, in hundredths.
const SMALL_SHARE: u64 = 50;
const SEGMENTS_SHARE: u64 = 40;
/// Of a foreign archive: what is kept of its members, the two ranges that are read ahead, and the documents on their way.
const MEMBERS_SHARE: u64 = 50;
const RANGES_SHARE: u64 = 16;
const DOCUMENTS_SHARE: u64 = 24;
/// How much of an object is asked for at a time, bytes.
const RANGES: std::ops::RangeInclusive<u64> = 1 << 20..=8 << 20;
/// A segment that decodes to more than so many bytes holds a large document. Of two collections that have such segments, one is read when the other is done.
const LARGE: u64 = 8 << 20;
/// The longest document that a server holds.
const LONGEST_DOCUMENT: u64 = (16 << 20) + (16 << 10);

/// How much of an archive's documents is on its way at a time, in [`room_for`] collections.
pub(crate) fn room(memory: Memory) -> usize {
    usize::try_from((memory.share(SMALL_SHARE) / PLACE).clamp(1, ROOM * SMALL)).unwrap_or(1)
}

/// How much of that [`room`] a collection of so many bytes of BSON takes. Small ones share it, since each costs more round trips than bytes; a large one takes all
/// of it, since its segments are many at a time by themselves. So several collections at once need no more memory than a large one.
pub(crate) fn room_for(bytes: u64, room: usize) -> usize {
    let needed = usize::try_from(bytes / BSON_IN_A_PLACE).map_or(room, |places| places.saturating_add(1));
    needed.max(room.div_ceil(ROOM as usize)).min(room)
}

/// Which archive, and which database of it: a dump of others can hold several.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Where the archive is.
    pub location: &'a Location,
    /// The database, or the folder in the tar, that is meant; none where there is only one. An archive of ours has only one.
    pub database: Option<&'a str>,
}

impl<'a> From<&'a Location> for Source<'a> {
    fn from(location: &'a Location) -> Self {
        Self {
            location,
            database: None,
        }
    }
}

/// An archive that can be read.
#[derive(Clone, Debug)]
pub struct ArchiveFile {
    store: Store,
    /// The object itself.
    pub object: Object,
    /// What kind of archive it is.
    pub form: Form,
    /// How much of it may be on its way at a time.
    memory: Memory,
    /// What was read last of the table that lists its segments.
    pages: Arc<pages::Pages>,
    /// Who reads it through at a time, where it is foreign.
    passes: Passes,
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
    /// How many of its documents were left out from the beginning.
    pub passed: u64,
    /// Its documents; ends after the first error.
    pub chunks: mpsc::Receiver<Result<Chunk, Failure>>,
    /// Where its documents are large: until this is dropped, no other collection of the archive is read.
    alone: Option<Arc<OwnedSemaphorePermit>>,
}

impl CollectionStream {
    /// What keeps other collections from being read while this one is worked on, though its documents have been read.
    pub(crate) fn alone(&self) -> Option<Arc<OwnedSemaphorePermit>> {
        self.alone.clone()
    }
}

/// Opens an archive, to be read within a memory budget. A foreign one is read through to its end.
///
/// # Errors
/// [`FailureKind::ArchiveNotFound`], [`FailureKind::ArchiveDamaged`] or [`FailureKind::ArchiveUnsupported`], or what the store answered.
/// [`FailureKind::InvalidRequest`] where a dump holds several databases and none is chosen, or one that it has not.
pub async fn open(store: &Store, source: impl Into<Source<'_>>, memory: Memory) -> Result<ArchiveFile, Failure> {
    let Source { location, database } = source.into();
    let object = store.find(location).await?;
    let suffix = read_end(store, &object, SUFFIX).await?;
    let form = match Footer::find(last(&suffix, FOOTER_SUFFIX), object.bytes) {
        Ok(footer) => {
            let trailer = native::trailer(store, &object, &footer, &suffix).await?;
            let opened = Opened::verify(footer, &trailer).map_err(|error| Failure::from(error).at(location))?;
            check_database(&opened.manifest, database).map_err(|failure| failure.at(location))?;
            Form::Native(Arc::new(opened))
        }
        Err(ArchiveError::NoFooter) if object.bytes == 0 => {
            let empty = "an archive of 0 bytes holds nothing: it was never written, or its content is lost";
            return Err(Failure::new(FailureKind::ArchiveDamaged, empty).at(location));
        }
        Err(ArchiveError::NoFooter) => {
            let head = read_head(store, &object).await?;
            if is_ours(&head) {
                return Err(Failure::from(ArchiveError::NoFooter).at(location));
            }
            let choice = Choice {
                database: database.map(str::to_owned),
                memory: memory.share(MEMBERS_SHARE),
                ..Choice::default()
            };
            foreign::survey((store, &object), &head, choice, range(memory)).await?
        }
        Err(error) => return Err(Failure::from(error).at(location)),
    };
    Ok(ArchiveFile {
        store: store.clone(),
        object,
        form,
        memory,
        pages: Arc::default(),
        passes: Passes::default(),
    })
}

/// How much of an object that is read from end to end is asked for at a time.
fn range(memory: Memory) -> u64 {
    (memory.share(RANGES_SHARE) / 2).clamp(*RANGES.start(), *RANGES.end())
}

fn check_database(manifest: &Manifest, chosen: Option<&str>) -> Result<(), Failure> {
    match chosen {
        Some(chosen) if chosen != manifest.source.database => Err(Failure::invalid(format!(
            "the archive holds the database {:?}, and not the source_database {chosen:?}",
            manifest.source.database
        ))),
        _ => Ok(()),
    }
}

async fn read_head(store: &Store, object: &Object) -> Result<Bytes, Failure> {
    let extent = Extent {
        offset: 0,
        length: object.bytes.min(4096),
    };
    Ok(store.read(object, extent).await?)
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

async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Failure::new(
            FailureKind::Store,
            format!("a worker thread ended unexpectedly: {error}"),
        )
    })
}

impl ArchiveFile {
    /// What the documents of one collection may take, from their segment to the server's answer.
    fn pool(&self) -> Pool {
        Pool::of(self.memory.share(SEGMENTS_SHARE))
    }

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
                    signals: Signals::default(),
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
                    coverage: survey.coverage.clone(),
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

    /// Hands out the documents of `wanted` (names in the archive, with the way their digests are made), each collection exactly once, also the empty
    /// ones. They come in the archive's order; small ones are read several at a time, and can be listened to at the same time or one after the other.
    pub fn documents(&self, wanted: Vec<(String, Hashing)>) -> mpsc::Receiver<CollectionStream> {
        self.documents_behind(wanted.into_iter().map(|(name, hashing)| (name, hashing, 0)).collect())
    }

    /// The same, of each collection only what comes behind so many documents. Whole segments of ours are not read; where that cannot be had, [`CollectionStream::passed`] is less than
    /// what was asked for.
    pub(crate) fn documents_behind(&self, wanted: Vec<(String, Hashing, u64)>) -> mpsc::Receiver<CollectionStream> {
        let (sender, receiver) = mpsc::channel(1);
        let file = self.clone();
        tokio::spawn(async move {
            match &file.form {
                Form::Native(opened) => file.native_documents(Arc::clone(opened), wanted, sender).await,
                Form::Foreign(survey, compression) => {
                    let wanted = wanted.into_iter().map(|(name, hashing, _)| (name, hashing)).collect();
                    file.foreign_documents(Arc::clone(survey), *compression, wanted, sender)
                        .await
                }
            }
        });
        receiver
    }
}
