//! Entries of an increment whose documents come one by one.

use super::super::lane::Lane;
use super::super::metadata::{out_of_memory, too_many_segments};
use crate::archive::{Entry, Payload};
use crate::extjson::{Encoder, Style};
use crate::failure::Failure;

/// How much text or BSON goes into a segment, about.
pub(super) const SEGMENT: usize = 2 << 20;

/// An entry that is being written.
pub(super) struct SmallEntry {
    file: String,
    content: Vec<u8>,
    documents: u64,
    encoder: Encoder,
}

impl SmallEntry {
    pub(super) fn begin(lane: &mut Lane<'_>, file: String) -> Self {
        lane.archive.begin(&[&file]);
        Self {
            file,
            content: Vec::new(),
            documents: 0,
            encoder: Encoder::new(Style::Compact),
        }
    }

    pub(super) async fn push(&mut self, lane: &mut Lane<'_>, document: &[u8]) -> Result<(), Failure> {
        match lane.job.payload {
            Payload::Bson => self.content.extend_from_slice(document),
            Payload::Jsonl => drop(self.encoder.encode(document, &mut self.content)),
        }
        self.documents += 1;
        match self.content.len() >= SEGMENT {
            true => self.flush(lane).await,
            false => Ok(()),
        }
    }

    pub(super) async fn end(mut self, lane: &mut Lane<'_>) -> Result<Entry, Failure> {
        self.flush(lane).await?;
        Ok(lane.archive.end(&self.file))
    }

    async fn flush(&mut self, lane: &mut Lane<'_>) -> Result<(), Failure> {
        if self.documents == 0 {
            return Ok(());
        }
        if lane.archive.is_full() {
            return Err(too_many_segments().at(&self.file));
        }
        let frame = lane.small.encode(&mut self.content);
        let frame = frame.map_err(|error| out_of_memory(&error))?;
        lane.archive.segment(&frame, self.documents);
        self.content.clear();
        self.documents = 0;
        lane.send().await
    }
}
