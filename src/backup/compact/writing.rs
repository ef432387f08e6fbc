//! A chain's documents on their way into a new archive: which segments are copied, which documents are written anew.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::job::CompactTools;
use crate::archive::{ArchiveWriter, Compression, Entry, EntryName, FrameEncoder, Payload, Saved};
use crate::backup::metadata::{out_of_memory, too_many_segments};
use crate::backup::segment::{EncodedSegment, EncoderPool};
use crate::digest::{Digest, Hashing};
use crate::failure::{Failure, FailureKind};
use crate::open::{Chunk, CollectionStream, SegmentOrigin, not_what_was_promised};
use crate::store::{Location, Object, Upload};

/// How many chunks of documents are encoded at a time, or wait for that.
const AT_A_TIME: usize = 3;
/// How much BSON a segment has at least, but for a collection's last one.
const SEGMENT: usize = 1 << 20;
/// A segment with less BSON than that is not copied, but written anew with others: each compaction would add to them.
const COPIED_FROM: usize = SEGMENT / 4;
/// How documents are written, and whether over several lines.
type SegmentForm = (Payload, Compression, bool);

/// What comes next of a collection.
enum Step {
    /// A segment as it is somewhere else.
    Copied(Chunk),
    /// Documents to be encoded.
    Written(Chunk),
}

/// A collection on its way from one archive to the other.
struct Passing {
    stream: CollectionStream,
    /// What was taken of it already.
    next: Option<Chunk>,
    hashing: Hashing,
    /// The form in which a segment may be copied.
    copied: Option<SegmentForm>,
}

impl Passing {
    async fn chunk(&mut self) -> Option<Result<Chunk, Failure>> {
        match self.next.take() {
            Some(chunk) => Some(Ok(chunk)),
            None => self.stream.chunks.recv().await,
        }
    }

    /// A segment to be copied, a chunk, or several small ones as one, since each increment gives its own.
    async fn step(&mut self) -> Option<Result<Step, Failure>> {
        let first = match self.chunk().await? {
            Ok(chunk) => chunk,
            Err(failure) => return Some(Err(failure)),
        };
        if self.can_be_copied(&first) {
            return Some(Ok(Step::Copied(first)));
        }
        if first.bson.len() >= SEGMENT {
            return Some(Ok(Step::Written(first)));
        }
        let mut documents = first.bson.to_vec();
        while documents.len() < SEGMENT {
            match self.chunk().await {
                Some(Ok(next)) if self.can_be_copied(&next) => {
                    self.next = Some(next);
                    break;
                }
                Some(Ok(next)) => documents.extend_from_slice(&next.bson),
                Some(Err(failure)) => return Some(Err(failure)),
                None => break,
            }
        }
        Some(Ok(Step::Written(first.rewritten(documents, self.hashing))))
    }

    /// Whether a chunk is a segment that may be copied.
    fn can_be_copied(&self, chunk: &Chunk) -> bool {
        let is_so = |origin: &SegmentOrigin| {
            self.copied == Some(origin.form) && matches!(origin.object.location, Location::S3 { .. })
        };
        chunk.bson.len() >= COPIED_FROM && chunk.origin.as_deref().is_some_and(is_so)
    }
}

/// What is to be laid out.
enum LaidOut {
    Copied(Chunk),
    Encoded(EncodedSegment),
}

/// An archive that is being written.
pub(super) struct Writing<'a> {
    pub(super) archive: ArchiveWriter,
    pub(super) small: FrameEncoder,
    pub(super) upload: &'a mut Upload,
    pub(super) tools: &'a CompactTools,
    pub(super) payload: Payload,
    pub(super) encoders: Arc<EncoderPool>,
    /// The form in which a segment may be copied; none if none may.
    pub(super) copied: Option<SegmentForm>,
    /// The objects that segments are copied from.
    pub(super) sources: Vec<Object>,
    pub(super) copied_bytes: u64,
}

impl Writing<'_> {
    /// All documents of a collection, which must be those that its manifest says.
    pub(super) async fn collection(&mut self, stream: CollectionStream, saved: &mut Saved) -> Result<(), Failure> {
        self.tools.progress.step(format!("writing {}", saved.name));
        let (file, hashing) = (EntryName::new(&saved.name, self.payload).whole(), saved.hashing);
        let (mut digest, encoders) = (Digest::default(), Arc::clone(&self.encoders));
        saved.wrapped = 0;
        self.archive.begin(&[&file]);
        let passing = Passing {
            stream,
            next: None,
            hashing,
            copied: self.copied,
        };
        let steps = stream::unfold(passing, async |mut passing| {
            let step = passing.step().await?;
            Some((step, passing))
        });
        let laying = steps.map(|step| {
            let encoders = Arc::clone(&encoders);
            async move {
                let chunk = match step? {
                    Step::Copied(chunk) => return Ok(LaidOut::Copied(chunk)),
                    Step::Written(chunk) => chunk,
                };
                let encoded = tokio::task::spawn_blocking(move || encoders.encode_chunk(&chunk, hashing)).await;
                let encoded = encoded.map_err(|error| Failure::new(FailureKind::ArchiveDamaged, error.to_string()))?;
                encoded.map(LaidOut::Encoded).map_err(Failure::from)
            }
        });
        let mut laying = std::pin::pin!(laying.buffered(AT_A_TIME));
        while let Some(laid) = laying.next().await {
            self.tools.may_go_on()?;
            let laid: LaidOut = laid?;
            if self.archive.is_full() {
                return Err(too_many_segments().at(&saved.name));
            }
            let of_segment = match laid {
                LaidOut::Copied(chunk) => {
                    if let Some(origin) = &chunk.origin {
                        let source = self.source(&origin.object);
                        self.archive.copied(source, &origin.segment, &origin.stored);
                    }
                    chunk.digest
                }
                LaidOut::Encoded(segment) => {
                    self.archive.segment(&segment.frame, segment.documents);
                    saved.wrapped += segment.wrapped;
                    segment.digest
                }
            };
            digest.merge(&of_segment);
            self.tools.progress.add(of_segment.documents(), of_segment.bytes());
            self.send().await?;
        }
        saved.entry = Some(self.archive.end(&file));
        self.send().await?;
        match digest == saved.expected_digest() {
            true => Ok(()),
            false => Err(not_what_was_promised(&digest, &saved.expected_digest()).at(&saved.name)),
        }
    }

    pub(super) async fn small_entry(&mut self, file: &str, content: &[u8]) -> Result<Entry, Failure> {
        let entry = self.archive.entry(file, content, &mut self.small);
        let entry = entry.map_err(|error| out_of_memory(&error))?;
        self.send().await?;
        Ok(entry)
    }

    /// The number of an object that is copied from.
    fn source(&mut self, object: &Object) -> u32 {
        let known = self.sources.iter().position(|known| known.location == object.location);
        let number = known.unwrap_or_else(|| {
            self.sources.push(object.clone());
            self.sources.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    pub(super) async fn send(&mut self) -> Result<(), Failure> {
        while let Some(part) = self.archive.next_part() {
            self.upload.send(part).await?;
        }
        while let Some(part) = self.archive.next_copied() {
            let source = &self.sources[part.source as usize];
            self.upload.copy(part.number, part.offset, source, part.extent).await?;
            self.copied_bytes += part.extent.length;
        }
        Ok(())
    }
}
