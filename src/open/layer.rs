//! What one archive of a chain has of a collection, and what of it newer ones have already given.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::chunk::Chunk;
use super::file::ArchiveFile;
use crate::archive::{ClusterTime, Entry, Opened, SavedJournal};
use crate::digest::Hashing;
use crate::failure::Failure;
use crate::mongo::id_key;

/// What one archive of a chain has of a collection.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) file: ArchiveFile,
    pub(super) opened: Arc<Opened>,
    pub(super) entry: Option<Arc<Entry>>,
    pub(super) removals: Option<Arc<Entry>>,
    /// How many `_id`s newer layers keep from coming again.
    pub(super) ids: u64,
    /// Where only what happened up to a moment counts.
    pub(super) until: Option<UpTo>,
}

/// A moment before an increment's end, and when what changed.
#[derive(Debug)]
pub(super) struct UpTo {
    pub(super) at: ClusterTime,
    pub(super) lines: Arc<Entry>,
    pub(super) states: Option<Arc<Entry>>,
}

impl UpTo {
    pub(super) fn of(at: ClusterTime, journal: &SavedJournal) -> Self {
        Self {
            at,
            lines: Arc::new(journal.lines.clone()),
            states: journal.states.clone().map(Arc::new),
        }
    }
}

/// Why no more documents are handed out.
pub(super) enum NoMore {
    /// They cannot be read.
    Failed(Failure),
    /// Nobody takes them any more.
    Unwanted,
}

impl From<Failure> for NoMore {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Where documents go.
pub(super) struct Out<'a> {
    pub(super) hashing: Hashing,
    pub(super) chunks: &'a mpsc::Sender<Result<Chunk, Failure>>,
}

impl Out<'_> {
    pub(super) async fn send(&self, chunk: Chunk) -> Result<(), NoMore> {
        if chunk.bson.is_empty() {
            return Ok(());
        }
        self.chunks.send(Ok(chunk)).await.map_err(|_| NoMore::Unwanted)
    }
}

impl Layer {
    /// What an entry of it holds.
    pub(super) fn chunks<'a>(
        &'a self,
        entry: &Arc<Entry>,
        hashing: Hashing,
    ) -> impl Stream<Item = Result<Chunk, Failure>> + 'a {
        let segments = 0..entry.count();
        self.file
            .chunks_of((&self.opened, Arc::clone(entry)), segments, hashing)
    }

    /// All of its documents that did not come before.
    pub(super) async fn hand_out(&self, seen: &mut CameBefore, is_newer: bool, out: &Out<'_>) -> Result<(), NoMore> {
        if let Some(entry) = &self.entry {
            let mut documents = pin!(self.chunks(entry, out.hashing));
            while let Some(chunk) = documents.next().await {
                out.send(seen.unseen(chunk?, is_newer, out.hashing)).await?;
            }
        }
        if let Some(removals) = &self.removals {
            let mut gone = pin!(self.chunks(removals, Hashing::Raw));
            while let Some(chunk) = gone.next().await {
                seen.remember(&chunk?);
            }
        }
        Ok(())
    }
}

/// The `_id`s that came before, of this pass.
pub(super) struct CameBefore {
    keys: HashSet<u128>,
    /// Which pass of how many.
    of: (u64, u64),
}

impl CameBefore {
    pub(super) fn in_pass(pass: u64, passes: u64) -> Self {
        Self {
            keys: HashSet::new(),
            of: (pass, passes),
        }
    }

    /// The key of an `_id` of this pass that did not come before.
    pub(super) fn new_key(&self, document: &[u8]) -> Option<u128> {
        let (pass, passes) = self.of;
        let is_of_pass = |key: &u128| (key >> 64) as u64 % passes == pass;
        id_key(document).filter(|key| is_of_pass(key) && !self.keys.contains(key))
    }

    /// From then on it came before.
    pub(super) fn came(&mut self, key: u128) {
        self.keys.insert(key);
    }

    /// Whether a document's `_id` is of this pass, and did not come before. From then on it did, where that is asked.
    fn is_new(&mut self, document: &[u8], remember: bool) -> bool {
        let (pass, passes) = self.of;
        let Some(key) = id_key(document) else { return pass == 0 };
        if (key >> 64) as u64 % passes != pass {
            return false;
        }
        match remember {
            true => self.keys.insert(key),
            false => !self.keys.contains(&key),
        }
    }

    /// From then on these came before.
    pub(super) fn remember(&mut self, chunk: &Chunk) {
        for document in chunk.documents() {
            self.is_new(document, true);
        }
    }

    /// What of a chunk did not come before.
    pub(super) fn unseen(&mut self, chunk: Chunk, remember: bool, hashing: Hashing) -> Chunk {
        if !remember && self.keys.is_empty() && self.of.1 == 1 {
            return chunk;
        }
        let mut kept: Option<Vec<u8>> = None;
        let mut before = 0;
        for document in chunk.documents() {
            match (self.is_new(document, remember), &mut kept) {
                (true, None) => {}
                (true, Some(kept)) => kept.extend_from_slice(document),
                (false, None) => kept = Some(chunk.bson[..before].to_vec()),
                (false, Some(_)) => {}
            }
            before += document.len();
        }
        match kept {
            Some(kept) => chunk.rewritten(kept, hashing),
            None => chunk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn chunk(ids: impl IntoIterator<Item = i32>) -> Chunk {
        let bson: Vec<u8> = ids
            .into_iter()
            .flat_map(|id| rawdoc! {"_id": id}.into_bytes())
            .collect();
        Chunk::new(bson.into(), Hashing::Raw)
    }

    #[test]
    fn the_newest_state_comes_and_no_other() {
        for passes in [1, 3] {
            let mut documents = 0;
            for pass in 0..passes {
                let mut seen = CameBefore::in_pass(pass, passes);
                for (ids, remember) in [(0..10, true), (5..15, true), (0..100, false)] {
                    documents += seen.unseen(chunk(ids), remember, Hashing::Raw).digest.documents();
                }
            }
            assert_eq!(documents, 100, "{passes} passes");
        }
    }
}
