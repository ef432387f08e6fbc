//! One pass through a foreign archive: the documents of the wanted collections, in the order of the tar.
//!
//! The thread that walks the tar hands on each collection once its first documents have come, and moves on once all of
//! them are on their way; a limit in bytes bounds these. So several small collections are loaded at a time, as from our
//! archives.
//!
//! Only one pass per archive has the full width. Another reader meanwhile takes little, and waits for others like it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::budget::{DOCUMENTS_SHARE, RANGES, range};
use super::foreign::{StoreTrouble, Stored, failure};
use super::threads::{ended_unexpectedly, walk};
use super::{ArchiveFile, Chunk, CollectionStream};
use crate::archive::foreign::{self, Flow, Packing, Survey};
use crate::digest::Hashing;
use crate::failure::Failure;
use crate::run::Pool;

/// What a pass may take.
struct Width {
    range: u64,
    documents: Pool,
    _turn: OwnedSemaphorePermit,
}

impl ArchiveFile {
    async fn width(&self) -> Width {
        match Arc::clone(&self.passes.wide).try_acquire_owned() {
            Ok(turn) => Width {
                range: range(self.memory),
                documents: Pool::of(self.memory.share(DOCUMENTS_SHARE)),
                _turn: turn,
            },
            Err(_) => Width {
                range: *RANGES.start(),
                // What is larger is held alone: one chunk at a time.
                documents: Pool::of(1),
                _turn: Arc::clone(&self.passes.narrow)
                    .acquire_owned()
                    .await
                    .expect("it is never closed"),
            },
        }
    }

    pub(super) async fn foreign_documents(
        &self,
        survey: Arc<Survey>,
        packing: Packing,
        wanted: Vec<(String, Hashing)>,
        streams: mpsc::Sender<CollectionStream>,
    ) {
        let width = self.width().await;
        let trouble = StoreTrouble::default();
        let names = wanted.iter().map(|(name, _)| name.as_str());
        // A reader asks for its first range when it begins, so that the passes behind the first one wait for their
        // turn.
        let passes: Vec<Vec<String>> = survey
            .passes(names)
            .into_iter()
            .map(|pass| pass.into_iter().map(str::to_owned).collect())
            .collect();
        let (store, object, range) = (self.store.clone(), self.object.clone(), width.range);
        let location = self.object.location.clone();
        let mut out = HandOut {
            order: wanted.iter().map(|(name, _)| name.clone()).collect(),
            wanted: wanted.into_iter().collect(),
            current: None,
            runtime: Handle::current(),
            width,
            streams: streams.clone(),
        };
        let first = out.order.first().cloned();
        let begun = walk(move || {
            let read = catch_unwind(AssertUnwindSafe(|| {
                let _within = out.runtime.clone();
                let _within = _within.enter();
                passes.iter().try_for_each(|pass| {
                    let stored = Stored::of(&store, &object, range, trouble.clone());
                    let wanted = pass.iter().map(String::as_str);
                    foreign::read_documents(packing.unpack(stored), &survey, wanted, |chunk| out.take(chunk))
                })
            }));
            match read {
                Ok(Ok(())) => out.end(),
                Ok(Err(error)) => out.fail(failure(&error, &trouble).at(location)),
                Err(_) => out.fail(ended_unexpectedly()),
            }
        });
        if let (Err(failure), Some(name)) = (begun, first) {
            let (chunks, stream) = CollectionStream::channel(name);
            // The channel has room, and a receiver that is gone has failed already.
            let _ = chunks.send(Err(failure)).await;
            let _ = streams.send(stream).await;
        }
    }
}

/// Hands documents on, from the thread that reads them.
struct HandOut {
    /// Those that are wanted, and how their digests are made, until their first documents have come.
    wanted: HashMap<String, Hashing>,
    order: Vec<String>,
    current: Option<Current>,
    runtime: Handle,
    // Dropped in this order: who sees the end of the streams may begin the next pass at full width.
    width: Width,
    streams: mpsc::Sender<CollectionStream>,
}

/// The collection whose documents are being read.
struct Current {
    name: String,
    hashing: Hashing,
    chunks: mpsc::Sender<Result<Chunk, Failure>>,
}

impl HandOut {
    fn take(&mut self, chunk: foreign::HandedOn<'_>) -> Flow {
        let Some(current) = self.current_of(chunk.collection) else {
            return Flow::Stop;
        };
        // Nobody listens where the load has failed; the next collection may be wanted all the same.
        let flow = match current.chunks.is_closed() {
            true => Flow::SkipEntry,
            false => {
                let (hashing, chunks) = (current.hashing, current.chunks.clone());
                // Held from here on: until its documents are in, or dropped.
                let memory = self.width.documents.take(chunk.bson.len() as u64);
                let memory = self.runtime.block_on(memory);
                let chunk = Chunk::new(chunk.bson.into(), hashing).holding(memory);
                match chunks.blocking_send(Ok(chunk)) {
                    Ok(()) => Flow::Continue,
                    Err(_) => Flow::SkipEntry,
                }
            }
        };
        match flow == Flow::SkipEntry && self.streams.is_closed() {
            true => Flow::Stop,
            false => flow,
        }
    }

    /// The collection that documents are of; handed on when its first ones come. `None` if nobody wants more.
    fn current_of(&mut self, name: &str) -> Option<&Current> {
        if self.current.as_ref().is_none_or(|current| current.name != name) {
            // All of the one before are on their way.
            self.current = None;
            let hashing = self.wanted.remove(name)?;
            let (chunks, stream) = CollectionStream::channel(name.to_owned());
            self.streams.blocking_send(stream).ok()?;
            self.current = Some(Current {
                name: name.to_owned(),
                hashing,
                chunks,
            });
        }
        self.current.as_ref()
    }

    /// Hands on those of which no document has come: they have none.
    fn end(mut self) {
        self.current = None;
        for name in std::mem::take(&mut self.order) {
            if self.wanted.contains_key(&name) && self.streams.blocking_send(CollectionStream::channel(name).1).is_err()
            {
                return;
            }
        }
    }

    /// Tells a failure to whom it meets first: the collection that is being read, or the next one.
    fn fail(mut self, failure: Failure) {
        if let Some(current) = self.current.take() {
            // Nobody listens where the load has already failed.
            let _ = current.chunks.blocking_send(Err(failure));
            return;
        }
        let Some(name) = self.order.iter().find(|name| self.wanted.contains_key(*name)) else {
            return;
        };
        let (chunks, stream) = CollectionStream::channel(name.clone());
        let _ = chunks.blocking_send(Err(failure));
        let _ = self.streams.blocking_send(stream);
    }
}
