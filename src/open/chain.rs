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

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::budget::{self, LARGE, room, room_for};
use super::chunk::Chunk;
use super::file::{ArchiveFile, Chain, Form, Link, Within};
use super::layer::{CameBefore, Layer, NoMore, Out, UpTo};
use super::own::open_own;
use super::stream::CollectionStream;
use crate::archive::{ChainMember, ClusterTime, Compression, Continues, Opened, Saved};
use crate::catalog::Definition;
use crate::digest::Hashing;
use crate::failure::{Failure, FailureKind};

/// What is known of an `_id` takes so many bytes.
const KEY: u64 = 40;

impl Chain {
    /// Opens what an increment continues, one after the other. Its end is the increment's, or a moment before that.
    pub(super) async fn of(file: &ArchiveFile, opened: Arc<Opened>, at: Option<ClusterTime>) -> Result<Self, Failure> {
        let mut links = vec![Link {
            file: file.clone(),
            opened,
        }];
        let mut moment = None;
        while let Some(last) = links.last()
            && let Some(continues) = &last.opened.manifest.continues
        {
            let parent = last.parent(continues).await?;
            if let (Some(at), 1) = (at, links.len()) {
                moment = Within::of(last, continues, &parent, at).await?;
            }
            links.push(parent.with_documents_alone());
        }
        Ok(Self { links, moment })
    }

    /// What has the documents of a collection, the newest first: up to the first that has all of them.
    fn layers(&self, collection: &str, origins: bool) -> Result<Vec<Layer>, Failure> {
        let mut layers = Vec::new();
        for (number, Link { file, opened }) in self.links.iter().enumerate() {
            // What did not change is not kept of those before the end.
            let Some(saved) = opened.manifest.get(collection) else {
                continue;
            };
            let until = match self.moment.as_ref().filter(|_| number == 0) {
                None => None,
                Some(within) => match saved.delta.as_ref().and_then(|delta| delta.journal.as_ref()) {
                    Some(journal) => Some(UpTo::of(within.at, journal)),
                    // Nothing happened, or nobody knows when.
                    None => continue,
                },
            };
            // How many of a segment's documents are wrapped, nobody knows.
            let origins = origins && saved.wrapped == 0;
            let layer = Layer {
                file: ArchiveFile {
                    origins,
                    ..file.clone()
                },
                opened: Arc::clone(opened),
                entry: saved.entry.clone().map(Arc::new),
                removals: saved.removals().cloned().map(Arc::new),
                ids: saved.delta.as_ref().map_or(0, |delta| delta.documents + delta.removed)
                    + until.as_ref().map_or(0, |until| until.lines.documents()),
                until,
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
        let parent = find(&self.file, continues).await?;
        let Form::Native(opened) = &parent.form else {
            return Err(damaged(format!(
                "what it continues, {}, is no archive of ours",
                continues.parent
            )));
        };
        let before = ChainMember::of(&opened.manifest, opened.text, parent.object.bytes);
        let member = ChainMember::of(own, self.opened.text, self.file.object.bytes);
        member.check_parent(&before).map_err(damaged)?;
        let opened = Arc::clone(opened);
        Ok(Self { file: parent, opened })
    }

    /// Without what is not read of it. A chain may be long, and a database have many collections.
    fn with_documents_alone(self) -> Self {
        let mut opened = Arc::unwrap_or_clone(self.opened);
        opened.manifest.collections.retain(has_documents);
        for saved in &mut opened.manifest.collections {
            (saved.options, saved.indexes) = (Definition::default(), Vec::new());
        }
        let opened = Arc::new(opened);
        let form = Form::Native(Arc::clone(&opened));
        Self {
            file: ArchiveFile { form, ..self.file },
            opened,
        }
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
            let layers = chain.layers(&name, self.origins);
            let known = layers
                .as_ref()
                .map_or(0, |layers| layers.iter().map(|layer| layer.ids).sum());
            // Taken here, in the order in which collections are handed out: nobody waits for one that comes later.
            let memory = ids.take(known.saturating_mul(KEY)).await;
            let passes = known.saturating_mul(KEY).div_ceil(ids.bytes()).max(1);
            let (chunks, mut stream) = CollectionStream::channel(name);
            let large = |layer: &Layer| {
                let states = layer.until.iter().filter_map(|until| until.states.as_ref());
                let mut entries = layer.entry.iter().chain(states);
                entries.any(|entry| entry.largest_segment() > LARGE)
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
        let mut seen = CameBefore::in_pass(pass, passes);
        for (number, layer) in layers.iter().enumerate() {
            let out = Out { hashing, chunks };
            let is_newer = number + 1 < layers.len();
            let merged = match &layer.until {
                None => layer.hand_out(&mut seen, is_newer, &out).await,
                Some(until) => layer.hand_out_until(until, &mut seen, &out).await,
            };
            match merged {
                Ok(()) => {}
                Err(NoMore::Failed(failure)) => return drop(chunks.send(Err(failure)).await),
                Err(NoMore::Unwanted) => return,
            }
        }
    }
}
