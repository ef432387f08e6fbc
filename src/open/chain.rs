//! A chain of increments is read as one archive: the database as it was at the end of the one that was asked for.
//!
//! **Opening** goes from the increment to its parent, and so on, to the full archive that the chain begins with. Each
//! names its parent by the hash of its manifest, so that what is read is what was continued, or nothing.
//!
//! **Reading** a collection merges: the newest increment's documents first, then those of older ones, and at last those
//! of the archive that has it whole, each time without the documents whose `_id` came before, as a newer state or as
//! gone. What is known of those `_id`s takes memory; where they are too many for the budget, the archives are read in
//! several passes, each for a part of all `_id`s. Nobody need trust this: the documents must give the digest that the
//! increment's manifest says.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, mpsc};

use super::budget::{self, LARGE, room, room_for};
use super::chunk::Chunk;
use super::file::{ArchiveFile, Chain, Form, Link};
use super::own::open_own;
use super::stream::CollectionStream;
use crate::archive::{ChainMember, Compression, Continues, Entry, Opened, Saved};
use crate::catalog::Definition;
use crate::digest::Hashing;
use crate::failure::{Failure, FailureKind};
use crate::mongo::id_key;

/// What is known of an `_id` takes so many bytes.
const KEY: u64 = 40;

impl Chain {
    /// Opens what an increment continues, one after the other.
    pub(super) async fn of(file: &ArchiveFile, opened: Arc<Opened>) -> Result<Self, Failure> {
        let mut links = vec![Link {
            file: file.clone(),
            opened,
        }];
        while let Some(last) = links.last()
            && let Some(continues) = &last.opened.manifest.continues
        {
            links.push(last.parent(continues).await?);
        }
        Ok(Self(links))
    }

    /// What has the documents of a collection, the newest first: up to the first that has all of them.
    fn layers(&self, collection: &str) -> Result<Vec<Layer>, Failure> {
        let mut layers = Vec::new();
        for Link { file, opened } in &self.0 {
            // What did not change is not kept of those before the end.
            let Some(saved) = opened.manifest.get(collection) else {
                continue;
            };
            let layer = Layer {
                file: file.clone(),
                opened: Arc::clone(opened),
                entry: saved.entry.clone().map(Arc::new),
                removals: saved.removals().cloned().map(Arc::new),
                ids: saved.delta.as_ref().map_or(0, |delta| delta.documents + delta.removed),
            };
            let is_whole = saved.delta.is_none();
            layers.push(layer);
            if is_whole {
                return Ok(layers);
            }
        }
        let why = format!("no archive of the chain has the collection {collection:?} whole");
        Err(Failure::new(FailureKind::ArchiveDamaged, why))
    }
}

impl Link {
    async fn parent(&self, continues: &Continues) -> Result<Self, Failure> {
        let (own, location) = (&self.opened.manifest, &self.file.object.location);
        let damaged = |why: String| Failure::new(FailureKind::ArchiveDamaged, why).at(location);
        let mut parent = find(&self.file, continues).await?;
        let Form::Native(opened) = &parent.form else {
            return Err(damaged(format!(
                "what it continues, {}, is no archive of ours",
                continues.parent
            )));
        };
        let before = ChainMember::of(&opened.manifest, opened.text, parent.object.bytes);
        let member = ChainMember::of(own, self.opened.text, self.file.object.bytes);
        member.check_parent(&before).map_err(damaged)?;
        let mut opened = (**opened).clone();
        // A chain may be long, and a database have many collections. Of those before its end only what is read is kept.
        opened.manifest.collections.retain(has_documents);
        for saved in &mut opened.manifest.collections {
            (saved.options, saved.indexes) = (Definition::default(), Vec::new());
        }
        let opened = Arc::new(opened);
        parent.form = Form::Native(Arc::clone(&opened));
        Ok(Self { file: parent, opened })
    }
}

fn has_documents(saved: &Saved) -> bool {
    saved.delta.is_none() || saved.entry.is_some() || saved.removals().is_some()
}

/// The archive that an increment continues: beside it, or, where that is the chain's first, one folder above.
async fn find(file: &ArchiveFile, continues: &Continues) -> Result<ArchiveFile, Failure> {
    let beside = file.object.location.parent();
    let is_base = continues.parent == continues.base;
    let folders = match is_base {
        true => vec![beside.above(), beside],
        false => vec![beside],
    };
    for folder in &folders {
        for compression in Compression::ALL {
            let location = folder.join(&continues.parent.object(compression));
            match open_own(&file.store, &location, file.memory).await {
                // Who may not list is told of an object that is not there that it is denied.
                Err(failure) if matches!(failure.kind, FailureKind::ArchiveNotFound | FailureKind::StoreDenied) => {}
                opened => return opened,
            }
        }
    }
    let why = format!(
        "the archive that it continues, {}, is not in {}: without it an increment cannot be read",
        continues.parent, folders[0]
    );
    Err(Failure::new(FailureKind::ArchiveNotFound, why).at(&file.object.location))
}

/// What one archive of a chain has of a collection.
#[derive(Debug)]
struct Layer {
    file: ArchiveFile,
    opened: Arc<Opened>,
    entry: Option<Arc<Entry>>,
    removals: Option<Arc<Entry>>,
    /// How many `_id`s newer layers keep from coming again.
    ids: u64,
}

impl ArchiveFile {
    /// The documents of some collections of a chain, as [`documents_behind`](Self::documents_behind) hands them out.
    pub(super) async fn merged_documents(
        &self,
        chain: Arc<Chain>,
        wanted: Vec<(String, Hashing)>,
        sender: mpsc::Sender<CollectionStream>,
    ) {
        let most = room(self.memory);
        let (room, ids) = (Arc::new(Semaphore::new(most)), budget::ids(self.memory));
        for (name, hashing) in wanted {
            let Some(saved) = chain.end().manifest.get(&name) else {
                continue;
            };
            let needed = u32::try_from(room_for(saved.bytes, most)).unwrap_or(1);
            let permit = Arc::clone(&room).acquire_many_owned(needed).await.ok().map(Arc::new);
            let layers = chain.layers(&name);
            let known = layers
                .as_ref()
                .map_or(0, |layers| layers.iter().map(|layer| layer.ids).sum());
            // Taken here, in the order in which collections are handed out: nobody waits for one that comes later.
            let memory = ids.take(known.saturating_mul(KEY)).await;
            let passes = known.saturating_mul(KEY).div_ceil(ids.bytes()).max(1);
            let (chunks, mut stream) = CollectionStream::channel(name);
            let large = |layer: &Layer| {
                layer
                    .entry
                    .as_ref()
                    .is_some_and(|entry| entry.largest_segment() > LARGE)
            };
            let is_large = layers.as_ref().is_ok_and(|layers| layers.iter().any(large));
            stream.alone = permit.clone().filter(|_| is_large);
            tokio::spawn(async move {
                match layers {
                    Ok(layers) => merge(&layers, passes, hashing, &chunks).await,
                    Err(failure) => drop(chunks.send(Err(failure)).await),
                }
                drop((permit, memory));
            });
            if sender.send(stream).await.is_err() {
                return;
            }
        }
    }
}

/// Hands out the documents of a collection, up to the first failure.
async fn merge(layers: &[Layer], passes: u64, hashing: Hashing, chunks: &mpsc::Sender<Result<Chunk, Failure>>) {
    for pass in 0..passes {
        let mut seen = CameBefore {
            keys: HashSet::new(),
            of: (pass, passes),
        };
        for (number, layer) in layers.iter().enumerate() {
            let is_newer = number + 1 < layers.len();
            if let Some(entry) = &layer.entry {
                let mut documents = pin!(layer.file.chunks_of(
                    (&layer.opened, Arc::clone(entry)),
                    0..entry.count(),
                    hashing
                ));
                while let Some(chunk) = documents.next().await {
                    let chunk = chunk.map(|chunk| seen.unseen(chunk, is_newer, hashing));
                    let failed = chunk.is_err();
                    let is_nothing = chunk.as_ref().is_ok_and(|chunk| chunk.bson.is_empty());
                    if !is_nothing && chunks.send(chunk).await.is_err() || failed {
                        return;
                    }
                }
            }
            if let Some(removals) = &layer.removals {
                let count = removals.count();
                let mut gone = pin!(layer.file.chunks_of(
                    (&layer.opened, Arc::clone(removals)),
                    0..count,
                    Hashing::Raw
                ));
                while let Some(chunk) = gone.next().await {
                    match chunk {
                        Ok(chunk) => seen.remember(&chunk),
                        Err(failure) => return drop(chunks.send(Err(failure)).await),
                    }
                }
            }
        }
    }
}

/// The `_id`s that came before, of this pass.
struct CameBefore {
    keys: HashSet<u128>,
    /// Which pass of how many.
    of: (u64, u64),
}

impl CameBefore {
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
    fn remember(&mut self, chunk: &Chunk) {
        for document in chunk.documents() {
            self.is_new(document, true);
        }
    }

    /// What of a chunk did not come before.
    fn unseen(&mut self, chunk: Chunk, remember: bool, hashing: Hashing) -> Chunk {
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
                let mut seen = CameBefore {
                    keys: HashSet::new(),
                    of: (pass, passes),
                };
                for (ids, remember) in [(0..10, true), (5..15, true), (0..100, false)] {
                    documents += seen.unseen(chunk(ids), remember, Hashing::Raw).digest.documents();
                }
            }
            assert_eq!(documents, 100, "{passes} passes");
        }
    }
}
