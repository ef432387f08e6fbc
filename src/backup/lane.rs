//! A **lane**: entries that one worker writes one after the other, collection by collection, segment by segment.
//!
//! Between two segments a lane can stop, and another invocation resumes the same upload, in the same entry, after the
//! last document laid out. It needs the [`LaneState`]: which parts were sent, the bytes that were not yet, the part
//! that waits for its entry's header, the counts so far, and the place in the collection.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::time::timeout;

use super::metadata::{mongodump_metadata, out_of_memory, too_many_segments};
use super::piece::{Behind, CollectionPiece, CollectionPieces, hashing};
use super::pipeline::Pipeline;
use super::request::{BackupJob, ConsistencyDemand};
use super::state::{LANE, LaneProgress, LaneStart, LaneState, OpenCollection};
use super::tools::Tools;
use crate::archive::{ArchiveWriter, Entry, EntryName, Exception, FrameEncoder, Payload, Saved, SavedStatus, Segment};
use crate::catalog::{Catalog, Collection};
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{IdRange, MongoError, Position};
use crate::run::{AT_LEAST_EVERY, Chapters, Journal, SAVED_EVERY, Went};
use crate::store::Upload;

/// One worker's part of an archive.
pub(super) struct Lane<'a> {
    pub(super) job: &'a BackupJob,
    pub(super) tools: &'a Tools,
    pub(super) upload: &'a mut Upload,
    pub(super) archive: ArchiveWriter,
    /// For entries that are no documents.
    pub(super) small: FrameEncoder,
    pub(super) progress: LaneProgress,
    /// Where states are saved.
    pub(super) journal: &'a Journal,
    /// Under which name the part that waits is kept already.
    held: Option<(u32, String)>,
    /// Which rows of its segments are kept already.
    pub(super) rows: Chapters<Segment>,
    saved_at: Instant,
    /// Whether this invocation has come any further. One that has not must not stop, or the run would never end.
    moved: bool,
    /// Which documents of its one collection, where that is divided.
    pub(super) range: Option<IdRange>,
}

impl<'a> Lane<'a> {
    /// The lane that goes on from there.
    ///
    /// # Errors
    /// If a compressor cannot be had.
    pub(super) fn new(
        begun: LaneStart,
        job: &'a BackupJob,
        tools: &'a Tools,
        upload: &'a mut Upload,
        journal: &'a Journal,
    ) -> Result<Self, Failure> {
        Ok(Self {
            job,
            tools,
            upload,
            archive: begun.archive,
            small: FrameEncoder::new(job.compression).map_err(|error| out_of_memory(&error))?,
            progress: begun.progress,
            journal,
            held: begun.held,
            rows: begun.rows,
            saved_at: Instant::now(),
            moved: false,
            range: None,
        })
    }

    /// Every collection in the catalog's order that is not done yet. Those without documents get their entry later.
    pub(super) async fn collections(
        &mut self,
        catalog: &Catalog,
        undefined: &BTreeMap<String, String>,
        pipeline: &mut Pipeline,
    ) -> Result<Went, Failure> {
        while let Some(collection) = catalog.collections.get(self.progress.saved.len()) {
            self.may_go_on(&collection.name)?;
            if self.progress.open.is_none() && self.should_save() {
                self.save().await?;
                if self.must_pause() {
                    return Ok(Went::Paused(()));
                }
            }
            let going_on = self.progress.open.take();
            let saved = going_on.map_or_else(|| blank(collection), |open| open.saved);
            match self.collection(collection, saved, undefined, pipeline).await? {
                Went::Done(saved) => self.done_with(saved),
                Went::Paused(()) => return Ok(Went::Paused(())),
            }
        }
        Ok(Went::Done(()))
    }

    /// One of them, from where it is.
    pub(super) async fn collection(
        &mut self,
        collection: &Collection,
        mut saved: Saved,
        undefined: &BTreeMap<String, String>,
        pipeline: &mut Pipeline,
    ) -> Result<Went<(), Saved>, Failure> {
        self.tools.progress.step(format!("reading {}", collection.name));
        if let Some(reason) = undefined.get(&collection.name) {
            self.fail(&mut saved, SavedStatus::Failed, reason.clone())?;
            return Ok(Went::Done(saved));
        }
        if self.job.payload == Payload::Bson && saved.definition.is_none() && self.range.is_none() {
            let name = EntryName::new(&collection.name, Payload::Bson).definition();
            saved.definition = Some(self.small_entry(&name, &mongodump_metadata(collection)).await?);
        }
        if let Some(pieces) = pipeline.pieces_of(&collection.name)
            && self.documents(pieces, &mut saved).await? == Went::Paused(())
        {
            return Ok(Went::Paused(()));
        }
        Ok(Went::Done(saved))
    }

    pub(super) fn done_with(&mut self, saved: Saved) {
        self.progress.saved.push(saved);
        self.moved = true;
    }

    /// The segments of one collection, up to its end, its failure, or the deadline.
    async fn documents(&mut self, mut pieces: CollectionPieces, saved: &mut Saved) -> Result<Went, Failure> {
        let name = EntryName::new(&saved.name, self.job.payload);
        let mut failure = None;
        // Behind everything that was laid out, where that is a place to go on from.
        let mut place: Option<Position> = None;
        loop {
            let Ok(piece) = timeout(AT_LEAST_EVERY, pieces.next()).await else {
                self.may_go_on(&saved.name)?;
                if self.must_pause()
                    && let Some(from) = place.clone()
                {
                    self.save_within(saved, Some(from)).await?;
                    return Ok(Went::Paused(()));
                }
                continue;
            };
            self.may_go_on(&saved.name)?;
            let taken = match piece {
                Ok(Some(CollectionPiece::Exception(reason))) => {
                    self.exception(&saved.name, reason)?;
                    continue;
                }
                Ok(Some(CollectionPiece::Anew)) => {
                    self.abandon(saved, &name).await?;
                    if self.must_pause() {
                        return Ok(Went::Paused(()));
                    }
                    self.progress.open = None;
                    place = None;
                    continue;
                }
                Ok(Some(CollectionPiece::Segment(pending, behind))) => {
                    pending.ready().await.map(|segment| (segment, behind))
                }
                Ok(None) => break,
                Err(error) => Err(error),
            };
            let (segment, behind) = match taken {
                Ok(taken) => taken,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            if !self.archive.is_open() {
                self.archive
                    .begin(&name.endings(saved.abandoned.len()).each_ref().map(String::as_str));
            }
            if self.archive.is_full() {
                return Err(too_many_segments().at(&saved.name));
            }
            self.archive.segment(&segment.frame, segment.documents);
            count(saved, &segment.digest, segment.wrapped);
            self.tools.progress.add(segment.documents, segment.digest.bytes());
            self.send().await?;
            place = None;
            match behind {
                Behind::More => continue,
                Behind::Nothing if self.must_pause() => {
                    failure = Some(cannot_be_gone_on_with(saved));
                    break;
                }
                Behind::Nothing => self.moved = true,
                Behind::Place(from) => {
                    self.moved = true;
                    if self.should_save() {
                        self.save_within(saved, Some(from.clone())).await?;
                        if self.must_pause() {
                            return Ok(Went::Paused(()));
                        }
                        self.progress.open = None;
                    }
                    place = Some(from);
                }
            }
        }
        let open = self.archive.is_open();
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
            self.fail(saved, status, error.granting_read(&self.job.database).to_string())?;
        }
        Ok(Went::Done(()))
    }

    /// What was laid out of a collection is worth nothing, and it comes anew. The bytes stay, as an entry that nobody
    /// takes for the collection.
    async fn abandon(&mut self, saved: &mut Saved, name: &EntryName) -> Result<(), Failure> {
        if self.archive.is_open() {
            let file = name.abandoned(saved.abandoned.len());
            saved.abandoned.push(self.archive.end(&file));
            self.send().await?;
        }
        saved.forget_documents();
        // At which time it was read says nothing of how it will be.
        self.progress
            .exceptions
            .retain(|exception| exception.collection != saved.name);
        self.moved = true;
        self.save_within(saved, None).await
    }

    /// See [`fail`].
    pub(super) fn fail(&self, saved: &mut Saved, status: SavedStatus, error: String) -> Result<(), Failure> {
        fail(self.job, saved, status, error)
    }

    fn exception(&mut self, collection: &str, reason: String) -> Result<(), Failure> {
        if self.job.consistency == ConsistencyDemand::Require {
            return Err(Failure::new(
                FailureKind::ConsistencyNotReached,
                format!("{collection}: {reason}"),
            ));
        }
        let exceptions = &mut self.progress.exceptions;
        // One that is gone on with outside of the snapshot is gone on with more than once.
        if !exceptions.iter().any(|exception| exception.collection == collection) {
            exceptions.push(Exception {
                collection: collection.to_owned(),
                reason,
            });
        }
        Ok(())
    }

    pub(super) async fn small_entry(&mut self, file: &str, content: &[u8]) -> Result<Entry, Failure> {
        let entry = self
            .archive
            .entry(file, content, &mut self.small)
            .map_err(|error| out_of_memory(&error))?;
        self.send().await?;
        Ok(entry)
    }

    /// A page of the table of contents.
    pub(super) async fn page(&mut self, page: (Vec<u8>, u64)) -> Result<(), Failure> {
        self.tools.may_go_on()?;
        let paged = self.archive.page(page, &mut self.small);
        paged.map_err(|error| out_of_memory(&error))?;
        self.send().await
    }

    pub(super) async fn send(&mut self) -> Result<(), Failure> {
        while let Some(part) = self.archive.next_part() {
            self.upload.send(part).await?;
        }
        Ok(())
    }

    fn may_go_on(&self, collection: &str) -> Result<(), Failure> {
        self.tools.may_go_on().map_err(|failure| failure.at(collection))?;
        self.journal.check()
    }

    fn must_pause(&self) -> bool {
        self.moved && self.journal.must_pause(self.tools.deadline)
    }

    fn should_save(&self) -> bool {
        self.must_pause() || self.journal.is_kept() && self.saved_at.elapsed() >= SAVED_EVERY
    }

    /// Saves where the lane is, in the middle of a collection.
    async fn save_within(&mut self, saved: &Saved, from: Option<Position>) -> Result<(), Failure> {
        let saved = saved.clone();
        self.progress.open = Some(OpenCollection { saved, from });
        self.save().await
    }

    /// Saves where the lane is.
    pub(super) async fn save(&mut self) -> Result<(), Failure> {
        if !self.journal.is_kept() {
            return Ok(());
        }
        let upload = self.upload.state().await?;
        let writer = self.archive.state();
        if let (Some(number), Some(bytes)) = (writer.held(), self.archive.held_bytes()) {
            if self.held.as_ref().is_none_or(|(kept, _)| *kept != number) {
                let name = format!("held-{:08}-{number}", self.journal.epoch());
                self.journal.keep(&name, bytes).await?;
                self.held = Some((number, name));
            }
        } else {
            self.held = None;
        }
        self.rows.keep(self.journal, self.archive.rows()).await?;
        let lane = LaneState {
            upload,
            writer,
            held: self.held.as_ref().map(|(_, name)| name.clone()),
            rows: self.rows.clone(),
            progress: self.progress.clone(),
        };
        self.journal.write(LANE, &lane, self.archive.current_bytes()).await?;
        self.saved_at = Instant::now();
        Ok(())
    }
}

/// A collection is not in the archive whole. The others go on, unless one moment for all was demanded.
pub(super) fn fail(job: &BackupJob, saved: &mut Saved, status: SavedStatus, error: String) -> Result<(), Failure> {
    if job.consistency == ConsistencyDemand::Require {
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

fn count(saved: &mut Saved, digest: &Digest, wrapped: u64) {
    let mut sum = saved.expected_digest();
    sum.merge(digest);
    saved.documents = sum.documents();
    saved.bytes = sum.bytes();
    saved.digest = sum.sum();
    saved.wrapped += wrapped;
}

fn cannot_be_gone_on_with(saved: &Saved) -> MongoError {
    MongoError::unexpected(
        format!("reading {}", saved.name),
        format!(
            "the invocation's time was up, and on this server reading a {} resumes only at a snapshot, and none could be read: use the command line, which has no deadline, or (from MongoDB 5.0 on) raise minSnapshotHistoryWindowInSeconds",
            saved.kind
        ),
    )
}

/// A collection of which nothing has been read.
pub(super) fn blank(collection: &Collection) -> Saved {
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
        abandoned: Vec::new(),
        delta: None,
    }
}
