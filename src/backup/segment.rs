//! From a slice of a batch to a stored segment: the hot loop of a backup.
//!
//! Documents are hashed and encoded one after the other into a buffer, which is compressed as a whole, or,
//! uncompressed, is the segment. No document costs an allocation, or a copy except into that buffer.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedSemaphorePermit;

use crate::archive::{Compression, FrameEncoder, Payload, StoredFrame};
use crate::digest::{Digest, DocumentHasher, Hashing};
use crate::extjson::{Carried, Encoder, Style};
use crate::mongo::{Batch, MongoError, Slice};
use crate::open::Chunk;

/// Documents larger than this are not spread over lines (FORMAT 4): indentation could make them many times as large.
const MAX_PRETTY: usize = 1 << 20;

/// A segment that is ready to be laid out.
#[derive(Debug)]
pub(super) struct EncodedSegment {
    pub(super) frame: StoredFrame,
    pub(super) documents: u64,
    pub(super) wrapped: u64,
    pub(super) digest: Digest,
    /// The room that it takes.
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Encodes segments; keeps its buffers and the compressor's state.
#[derive(Debug)]
struct SegmentEncoder {
    payload: Payload,
    compact: Encoder,
    pretty: Option<Encoder>,
    frame: FrameEncoder,
    text: Vec<u8>,
}

impl SegmentEncoder {
    fn encode<'a>(
        &mut self,
        of: impl Iterator<Item = Result<&'a [u8], MongoError>>,
        hashing: Hashing,
    ) -> Result<EncodedSegment, MongoError> {
        let mut hasher = DocumentHasher::new(hashing);
        let (mut documents, mut wrapped) = (0, 0);
        for document in of {
            let document = document?;
            documents += 1;
            hasher.add_document(document);
            match self.payload {
                Payload::Bson => self.text.extend_from_slice(document),
                Payload::Jsonl => {
                    let encoder = match &mut self.pretty {
                        Some(pretty) if document.len() <= MAX_PRETTY => pretty,
                        _ => &mut self.compact,
                    };
                    if encoder.encode(document, &mut self.text) == Carried::Wrapped {
                        wrapped += 1;
                    }
                }
            }
        }
        Ok(EncodedSegment {
            frame: self
                .frame
                .encode(&mut self.text)
                .map_err(|error| out_of_memory(&error))?,
            documents,
            wrapped,
            digest: hasher.digest(),
            memory: None,
        })
    }
}

fn out_of_memory(error: &io::Error) -> MongoError {
    MongoError {
        action: "compressing a segment".to_owned(),
        reason: error.to_string(),
        code: None,
        transient: false,
    }
}

/// Encoders for as many workers as there are at a time.
#[derive(Debug)]
pub(super) struct EncoderPool {
    payload: Payload,
    style: Style,
    compression: Compression,
    idle: Mutex<Vec<SegmentEncoder>>,
}

impl EncoderPool {
    pub(super) fn new(payload: Payload, compression: Compression, style: Style) -> Arc<Self> {
        Arc::new(Self {
            payload,
            style,
            compression,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// What it makes of documents.
    pub(super) fn form(&self) -> (Payload, Compression) {
        (self.payload, self.compression)
    }

    /// Encodes a segment on the calling thread.
    pub(super) fn encode(&self, batch: &Batch, slice: &Slice, hashing: Hashing) -> Result<EncodedSegment, MongoError> {
        self.with_idle(|encoder| encoder.encode(batch.documents(slice), hashing))
    }

    /// The same of documents out of an archive.
    pub(super) fn encode_chunk(&self, chunk: &Chunk, hashing: Hashing) -> Result<EncodedSegment, MongoError> {
        self.with_idle(|encoder| encoder.encode(chunk.documents().map(Ok), hashing))
    }

    fn with_idle(
        &self,
        encode: impl FnOnce(&mut SegmentEncoder) -> Result<EncodedSegment, MongoError>,
    ) -> Result<EncodedSegment, MongoError> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut encoder = match idle {
            Some(encoder) => encoder,
            None => SegmentEncoder {
                payload: self.payload,
                compact: Encoder::new(Style::Compact),
                pretty: (self.style == Style::Pretty).then(|| Encoder::new(Style::Pretty)),
                frame: FrameEncoder::new(self.compression).map_err(|error| out_of_memory(&error))?,
                text: Vec::new(),
            },
        };
        let encoded = encode(&mut encoder);
        // After an error its frame is half-written: such an encoder is not used again.
        if encoded.is_ok()
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(encoder);
        }
        encoded
    }
}
