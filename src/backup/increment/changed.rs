//! Which documents of which collections changed since the parent, and what else has to be read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::super::request::BackupJob;
use super::super::tools::Tools;
use super::ending::Times;
use super::parent::Parent;
use crate::archive::{Saved, SavedStatus};
use crate::catalog::{Catalog, Collection, Kind, is_system};
use crate::mongo::{Change, IdList, MongoError, id_key};

/// How much of the memory budget the `_id`s of all changed documents may take, in hundredths.
const IDS_SHARE: u64 = 20;
/// How many bytes of documents are looked up at a time, about.
const LOOKUP: u64 = 2 << 20;
/// How many documents are looked up at a time at the most.
const MOST: u64 = 2_000;
/// What an `_id` takes besides its own bytes, to know that it came before.
const KNOWN: usize = 40;

/// The collections of which only changes are to be read, as far as their definitions tell.
#[derive(Debug)]
pub(super) struct Since {
    ids: HashMap<String, ChangedIds>,
}

/// What changed.
#[derive(Debug)]
pub(super) struct Changes {
    ids: HashMap<String, Vec<Arc<IdList>>>,
}

/// What changed of a collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChangeOf<'a> {
    /// As it was in the parent.
    pub(super) before: &'a Saved,
    /// The documents that changed.
    pub(super) ids: &'a [Arc<IdList>],
}

/// The `_id`s of the documents of a collection that changed, each once.
#[derive(Debug)]
struct ChangedIds {
    lists: Vec<IdList>,
    known: HashSet<u128>,
    /// How many are looked up at a time.
    at_a_time: usize,
    bytes: usize,
}

impl Since {
    /// By a catalog, and what the parent has.
    pub(super) fn of(catalog: &Catalog, undefined: &BTreeMap<String, String>, parent: &Parent) -> Self {
        let same = catalog.collections.iter().filter(|collection| {
            let before = parent.manifest.get(&collection.name);
            let known = before.is_some_and(|before| is_the_same(before, collection, parent));
            known && !undefined.contains_key(&collection.name)
        });
        let ids = same.map(|collection| (collection.name.clone(), ChangedIds::of(collection)));
        Self { ids: ids.collect() }
    }

    /// Reads which of their documents changed.
    ///
    /// # Errors
    /// What the server answered.
    pub(super) async fn changes(mut self, job: &BackupJob, times: Times, tools: &Tools) -> Result<Changes, MongoError> {
        let budget = usize::try_from(tools.memory.share(IDS_SHARE)).unwrap_or(usize::MAX);
        let mut taken = 0_usize;
        let seen = tools.mongo.changes(&job.database, times, |change| {
            match change {
                Change::Document(collection, key) => {
                    if let Some(ids) = self.ids.get_mut(collection) {
                        taken += ids.add(key.as_bytes());
                    }
                }
                Change::Collection(collection) => {
                    taken -= self.ids.remove(collection).map_or(0, |ids| ids.bytes);
                }
            }
            while taken > budget {
                taken = taken.saturating_sub(self.give_up_the_largest());
            }
            Ok(())
        });
        Box::pin(seen).await?;
        let lists = |ids: ChangedIds| ids.lists.into_iter().map(Arc::new).collect();
        let ids = self.ids.into_iter().map(|(name, ids)| (name, lists(ids)));
        Ok(Changes { ids: ids.collect() })
    }

    /// Reads the collection whole of which most changed; says how much memory that frees.
    fn give_up_the_largest(&mut self) -> usize {
        let largest = self.ids.iter().max_by_key(|(_, ids)| ids.bytes);
        let Some(collection) = largest.map(|(name, _)| name.clone()) else {
            return usize::MAX;
        };
        tracing::info!(collection, "more of it changed than fits into memory: it is read whole");
        self.ids.remove(&collection).map_or(0, |ids| ids.bytes)
    }
}

/// Whether a collection is the one that the parent has, and its changes can be had.
fn is_the_same(before: &Saved, collection: &Collection, parent: &Parent) -> bool {
    let exceptions = &parent.manifest.consistency.exceptions;
    let is_of_the_moment = !exceptions
        .iter()
        .any(|exception| exception.collection == collection.name);
    let has_changes = collection.kind == Kind::Collection && !collection.is_capped() && !is_system(&collection.name);
    has_changes
        && is_of_the_moment
        && collection.has_unique_ids()
        && before.kind == collection.kind
        && before.uuid.is_some()
        && before.uuid == collection.uuid
        && before.status == SavedStatus::Complete
}

impl Changes {
    /// Whether only changes are to be read of a collection.
    pub(super) fn has(&self, collection: &str) -> bool {
        self.ids.contains_key(collection)
    }

    /// Whether anything changed of a collection of which only that is read.
    pub(super) fn is_any(&self, collection: &str) -> bool {
        self.ids.get(collection).is_some_and(|lists| !lists.is_empty())
    }

    /// What changed of a collection; `None` if all of it is to be read.
    pub(super) fn of<'a>(&'a self, parent: &'a Parent, collection: &str) -> Option<ChangeOf<'a>> {
        Some(ChangeOf {
            ids: self.ids.get(collection)?,
            before: parent.manifest.get(collection)?,
        })
    }
}

impl ChangedIds {
    fn of(collection: &Collection) -> Self {
        Self {
            lists: Vec::new(),
            known: HashSet::new(),
            at_a_time: usize::try_from((LOOKUP / collection.average_bytes()).clamp(1, MOST)).unwrap_or(1),
            bytes: 0,
        }
    }

    /// Adds the `_id` of a document, unless it came before; says how much memory that takes.
    fn add(&mut self, document: &[u8]) -> usize {
        let is_new = id_key(document).is_some_and(|key| self.known.insert(key));
        if !is_new {
            return 0;
        }
        let is_full = |list: &IdList| list.len() >= self.at_a_time || list.is_full();
        if self.lists.last().is_none_or(is_full) {
            self.lists.push(IdList::default());
        }
        if let Some(list) = self.lists.last_mut() {
            list.push(document);
        }
        let taken = document.len() + KNOWN;
        self.bytes += taken;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn an_id_counts_once_and_lookups_are_short() {
        let mut ids = ChangedIds {
            lists: Vec::new(),
            known: HashSet::new(),
            at_a_time: 3,
            bytes: 0,
        };
        let keys: Vec<_> = (0..7).map(|id| rawdoc! {"_id": id}).collect();
        let taken: usize = keys.iter().chain(&keys).map(|key| ids.add(key.as_bytes())).sum();
        assert_eq!(ids.lists.iter().map(IdList::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(taken, ids.bytes);
        assert!(taken >= 7 * KNOWN);
        // What is equal to the server, but not the same.
        assert!(ids.add(rawdoc! {"_id": 1_i64}.as_bytes()) > 0);
    }
}
