//! Archives of ours: read by extents, so that what is not asked for is not fetched.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Semaphore, mpsc};

use super::{ArchiveFile, Chunk, CollectionStream, Form, SEGMENTS_SHARE, on_blocking_thread, room, room_for};
use crate::archive::{ArchiveError, Entry, Extent, Footer, Opened, Payload, Segment};
use crate::digest::Hashing;
use crate::extjson::{Decoder, Limits, Position};
use crate::failure::Failure;
use crate::store::{Object, Store};

/// The trailer, out of what has been read already or by a read of its own.
pub(super) async fn trailer(store: &Store, object: &Object, footer: &Footer, suffix: &Bytes) -> Result<Bytes, Failure> {
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

impl ArchiveFile {
    pub(super) async fn native_documents(
        &self,
        opened: Arc<Opened>,
        wanted: Vec<(String, Hashing, u64)>,
        sender: mpsc::Sender<CollectionStream>,
    ) {
        let most = room(self.memory);
        let room = Arc::new(Semaphore::new(most));
        for (name, hashing, behind) in wanted {
            let Some(saved) = opened.manifest.get(&name) else {
                continue;
            };
            let needed = u32::try_from(room_for(saved.bytes, most)).unwrap_or(1);
            let permit = Arc::clone(&room).acquire_many_owned(needed).await;
            let (chunks, receiver) = mpsc::channel(1);
            let entry = saved.entry.clone().map(Arc::new);
            let mut passed = 0;
            if let Some(entry) = entry {
                let (first, documents) = segments_within(&entry, behind);
                passed = documents;
                let (file, opened) = (self.clone(), Arc::clone(&opened));
                tokio::spawn(async move {
                    let segments = first..entry.segments.len();
                    file.chunks(opened, entry, segments, hashing, chunks).await;
                    drop(permit);
                });
            }
            let stream = CollectionStream {
                name,
                passed,
                chunks: receiver,
            };
            if sender.send(stream).await.is_err() {
                return;
            }
        }
    }

    /// The documents of some segments of one collection; `None` where an archive of ours has no such segments.
    pub(crate) fn segments(&self, name: &str, hashing: Hashing, segments: Range<usize>) -> Option<CollectionStream> {
        let Form::Native(opened) = &self.form else { return None };
        let entry = Arc::new(opened.manifest.get(name)?.entry.clone()?);
        let before = entry.segments.get(..segments.start)?;
        let passed = before.iter().map(|segment| segment.documents).sum();
        entry.segments.get(segments.clone())?;
        let (chunks, receiver) = mpsc::channel(1);
        let (file, opened) = (self.clone(), Arc::clone(opened));
        tokio::spawn(async move { file.chunks(opened, entry, segments, hashing, chunks).await });
        Some(CollectionStream {
            name: name.to_owned(),
            passed,
            chunks: receiver,
        })
    }

    /// Some segments of one entry, in their order, up to the first that fails.
    async fn chunks(
        &self,
        opened: Arc<Opened>,
        entry: Arc<Entry>,
        segments: Range<usize>,
        hashing: Hashing,
        chunks: mpsc::Sender<Result<Chunk, Failure>>,
    ) {
        let ahead = self.ahead(&entry);
        let mut decoded = stream::iter(segments)
            .map(|index| self.chunk(Arc::clone(&opened), Arc::clone(&entry), index, hashing))
            .buffered(ahead);
        while let Some(chunk) = decoded.next().await {
            let failed = chunk.is_err();
            if chunks.send(chunk).await.is_err() || failed {
                break;
            }
        }
    }

    /// How many segments of an entry are fetched and decoded ahead: some more than there are cores, to hide the store's latency, where memory is not scarce.
    pub(crate) fn ahead(&self, entry: &Entry) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Its stored bytes, its text, and the documents, which are shorter.
        let taken = |segment: &Segment| {
            segment
                .extent
                .length
                .saturating_add(segment.decoded_bytes.saturating_mul(2))
        };
        let largest = entry.segments.iter().map(taken).max().unwrap_or(1).max(1);
        let affordable = usize::try_from(self.memory.share(SEGMENTS_SHARE) / largest).unwrap_or(usize::MAX);
        affordable.clamp(1, cores + 4)
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
}

/// How many segments from the beginning hold no more than so many documents, and how many they hold.
fn segments_within(entry: &Entry, documents: u64) -> (usize, u64) {
    let mut passed = 0;
    for (index, segment) in entry.segments.iter().enumerate() {
        if passed + segment.documents > documents {
            return (index, passed);
        }
        passed += segment.documents;
    }
    (entry.segments.len(), passed)
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
