//! Our archives: read by extents, so that only what is needed is fetched.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{Semaphore, mpsc};

use super::budget::{self, LARGE, LONGEST_DOCUMENT, room, room_for};
use super::chunk::SegmentOrigin;
use super::threads::on_blocking_thread;
use super::{ArchiveFile, Chunk, CollectionStream, Form};
use crate::archive::{
    ArchiveError, Compression, Entry, Extent, Footer, Located, MAX_SEGMENT_BYTES, Opened, Payload, Segment,
};
use crate::digest::Hashing;
use crate::extjson::{Decoder, Limits, TextPosition};
use crate::failure::Failure;
use crate::run::{Pool, give_back};
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

/// More documents than a segment can hold.
const MOST_DOCUMENTS: u64 = MAX_SEGMENT_BYTES / 4;

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
            let permit = permit.ok().map(Arc::new);
            let (chunks, receiver) = mpsc::channel(1);
            let entry = saved.entry.clone().map(Arc::new);
            let (mut passed, mut alone) = (0, None);
            if let Some(entry) = entry {
                let within = self.segments_within(&opened, &entry, behind).await;
                let first = within.as_ref().map_or(0, |(first, _)| *first);
                passed = within.as_ref().map_or(0, |(_, documents)| *documents);
                alone = permit.clone().filter(|_| entry.largest_segment() > LARGE);
                let (file, opened) = (self.clone(), Arc::clone(&opened));
                tokio::spawn(async move {
                    match within {
                        Ok(_) => {
                            file.chunks(opened, entry.clone(), first..entry.count(), hashing, chunks)
                                .await
                        }
                        // Nobody listens where the run has already failed.
                        Err(failure) => drop(chunks.send(Err(failure)).await),
                    }
                    drop(permit);
                });
            }
            let stream = CollectionStream {
                name,
                passed,
                chunks: receiver,
                alone,
            };
            if sender.send(stream).await.is_err() {
                return;
            }
        }
    }

    /// The documents of some segments of one collection; `None` if an archive of ours has no such segments.
    pub(crate) fn segments(&self, name: &str, hashing: Hashing, segments: Range<usize>) -> Option<CollectionStream> {
        let Form::Native(opened) = &self.form else { return None };
        let entry = Arc::new(opened.manifest.get(name)?.entry.clone()?);
        (segments.start <= segments.end && segments.end <= entry.count()).then_some(())?;
        let passed = match entry.rows {
            None => entry.segments[..segments.start]
                .iter()
                .map(|segment| segment.documents)
                .sum(),
            // The rows before are not read for it: as many as there can be at the most, so that each document still has
            // a number of its own.
            Some(_) => MOST_DOCUMENTS.saturating_mul(segments.start as u64),
        };
        let (chunks, receiver) = mpsc::channel(1);
        let (file, opened) = (self.clone(), Arc::clone(opened));
        tokio::spawn(async move { file.chunks(opened, entry, segments, hashing, chunks).await });
        Some(CollectionStream {
            name: name.to_owned(),
            passed,
            chunks: receiver,
            alone: None,
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
        let decoded = self.chunks_of((&opened, entry), segments, hashing);
        let mut decoded = std::pin::pin!(decoded);
        while let Some(chunk) = decoded.next().await {
            let failed = chunk.is_err();
            if chunks.send(chunk).await.is_err() || failed {
                break;
            }
        }
    }

    /// The documents of a region's segments, one chunk for each, read ahead as far as memory and cores allow. What
    /// fails does not keep the others from being read.
    pub(crate) fn chunks_of<'a>(
        &'a self,
        (opened, entry): (&'a Arc<Opened>, Arc<Entry>),
        segments: Range<usize>,
        hashing: Hashing,
    ) -> impl Stream<Item = Result<Chunk, Failure>> + 'a {
        let pool = budget::segments(self.memory);
        stream::iter(segments)
            .map(move |index| self.chunk((Arc::clone(opened), Arc::clone(&entry)), index, hashing, pool.clone()))
            .buffered(ahead())
    }

    /// Fetches, checks and decodes one segment. Its memory is counted from before it is fetched.
    async fn chunk(
        &self,
        (opened, entry): (Arc<Opened>, Arc<Entry>),
        index: usize,
        hashing: Hashing,
        pool: Pool,
    ) -> Result<Chunk, Failure> {
        let segment = self.located(&opened, &entry, index).await?.segment;
        let mut memory = pool.take(needed(&opened, &segment)).await;
        let stored = self.store.read(&self.object, segment.extent).await?;
        let location = self.object.location.clone();
        let manifest = &opened.manifest;
        let origin = self.origins.then(|| SegmentOrigin {
            object: self.object.clone(),
            segment,
            stored: stored.clone(),
            form: (manifest.payload, manifest.compression, manifest.pretty),
        });
        let decoding = move || {
            let entry = &*entry;
            decode(&opened, Located { entry, index, segment }, stored, hashing)
        };
        let chunk = on_blocking_thread(decoding)
            .await?
            .map_err(|error| Failure::from(error).at(location))?;
        let kept = origin.as_ref().map_or(0, |origin| origin.stored.len());
        give_back(&mut memory, chunk.bson.len() + kept);
        let chunk = chunk.holding(memory);
        Ok(match origin {
            Some(origin) => chunk.of_segment(origin),
            None => chunk,
        })
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
        let segment = self.located(opened, entry, index).await?.segment;
        let stored = self.read(segment.extent).await?;
        let (opened, entry) = (Arc::clone(opened), entry.clone());
        let location = self.object.location.clone();
        on_blocking_thread(move || {
            let (entry, mut text) = (&entry, Vec::new());
            let decoded = opened.decode(Located { entry, index, segment }, &stored, &mut text);
            decoded.map(|()| text)
        })
        .await?
        .map_err(|error| Failure::from(error).at(location))
    }
}

/// How many segments are fetched and decoded ahead, where memory is not scarce: some more than there are cores, to hide
/// the store's latency.
fn ahead() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) + 4
}

/// What a segment takes at the most until it is documents: its stored bytes and its content, and then its content and
/// the documents.
fn needed(opened: &Opened, segment: &Segment) -> u64 {
    let content = segment.decoded_bytes;
    let stored = match opened.manifest.compression {
        // Its very bytes are the content.
        Compression::None => 0,
        Compression::Gzip | Compression::Zstd => segment.extent.length,
    };
    let documents = match opened.manifest.payload {
        // Its very bytes are the documents.
        Payload::Bson => 0,
        Payload::Jsonl => longest(segment),
    };
    content.saturating_add(stored.max(documents))
}

/// What a segment's documents come to at the most: they are shorter than their text, and none is longer than a server
/// allows.
fn longest(segment: &Segment) -> u64 {
    let allowed = segment.documents.saturating_mul(LONGEST_DOCUMENT);
    segment.decoded_bytes.min(allowed)
}

/// From a segment's stored bytes to its documents.
fn decode(opened: &Opened, located: Located<'_>, stored: Bytes, hashing: Hashing) -> Result<Chunk, ArchiveError> {
    let content = opened.content(located, stored)?;
    let bson = match opened.manifest.payload {
        Payload::Bson => content,
        Payload::Jsonl => {
            // Of small documents half as much as their text is enough; of a large one no more is ever moved.
            let segment = &located.segment;
            let room = match segment.decoded_bytes > LARGE {
                true => usize::try_from(longest(segment)).unwrap_or(0),
                false => content.len() / 2,
            };
            let mut bson = Vec::with_capacity(room);
            let mut decoder = Decoder::new(Limits::default());
            let mut position = TextPosition::default();
            while decoder
                .decode_next(&content, &mut position, &mut bson)
                .map_err(|error| located.damaged(format!("is not Extended JSON: {error}")))?
            {}
            Bytes::from(bson)
        }
    };
    let chunk = Chunk::new(bson, hashing);
    let expected = located.segment.documents;
    let whole = chunk.digest.bytes() == chunk.bson.len() as u64 && chunk.digest.documents() == expected;
    if !whole {
        return Err(located.damaged(format!(
            "holds {} whole documents, but {expected} were written",
            chunk.digest.documents()
        )));
    }
    Ok(chunk)
}
