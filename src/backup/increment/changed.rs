//! Which documents of which collections changed since the parent and when, and what else has to be read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::super::request::BackupJob;
use super::super::tools::Tools;
use super::ending::Times;
use super::parent::Parent;
use crate::archive::{ClusterTime, Saved, SavedStatus};
use crate::catalog::{Catalog, Collection, Kind, is_system};
use crate::mongo::{Change, IdList, MongoError, id_key};

/// How much of the memory budget the `_id`s of all changed documents may take, in hundredths.
const IDS_SHARE: u64 = 20;
/// How many bytes of documents are looked up at a time, about.
const LOOKUP: u64 = 2 << 20;
/// How many documents are looked up at a time at the most.
const MOST: u64 = 2_000;
/// Looking up a changed document, as it is and as it was, takes as long as reading so many bytes of the collection from
/// its beginning to its end: from there on, reading everything costs less. Measured (`docs/PERFORMANCE.md`).
const A_LOOKUP: u64 = 12 << 10;
/// What the server's names of the collections begin with in which it keeps time series.
const BUCKETS: &str = "system.buckets.";
/// So few are looked up in any case: it is one lookup.
const FEW: u64 = MOST;
/// What an `_id` takes besides its own bytes: to know that it came before, and what its document hashes to at both times.
const KNOWN: usize = 110;
/// What each change takes, to know when it was, and what its document hashes to then.
const EVENT: usize = 60;

/// The collections of which only changes are to be read, as far as their definitions tell.
#[derive(Debug)]
pub(super) struct Since {
    ids: HashMap<String, ChangedIds>,
}

/// What changed.
#[derive(Debug)]
pub(super) struct Changes {
    ids: HashMap<String, ChangedIds>,
    /// The collections that are read whole though their changes are known, and why.
    whole: Vec<(String, &'static str)>,
    /// Whether a collection was dropped or renamed, or the database dropped.
    drops: bool,
    /// The collections whose definitions changed.
    redefined: HashSet<String>,
}

/// What changed of a collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChangeOf<'a> {
    /// As it was in the parent.
    pub(super) before: &'a Saved,
    /// The documents that changed.
    pub(super) ids: &'a ChangedIds,
}

/// That a document changed at a time: its number among those that did.
pub(super) type Event = (ClusterTime, u32);

/// The `_id`s of the documents of a collection that changed, each once.
#[derive(Debug)]
pub(super) struct ChangedIds {
    pub(super) lists: Vec<Arc<IdList>>,
    /// The number of each, by its key.
    pub(super) known: HashMap<u128, u32>,
    /// When they changed, in the order in which that was told; `None` if that is more than fits into memory.
    pub(super) events: Option<Vec<Event>>,
    /// How many are looked up at a time.
    pub(super) at_a_time: usize,
    /// What all that takes.
    bytes: usize,
    /// How many changes cost less than reading everything.
    most: u64,
}

impl Since {
    /// By a catalog, and what the parent has.
    pub(super) fn of(catalog: &Catalog, undefined: &BTreeMap<String, String>, parent: &Parent) -> Self {
        let mut ids = HashMap::new();
        // Whether buckets change, the server says only where it is asked for events of its own collections.
        let sees_buckets = catalog.server.features.definition_events();
        for collection in &catalog.collections {
            if let Some(before) = parent.manifest.get(&collection.name)
                && is_the_same(before, collection)
                && !undefined.contains_key(&collection.name)
            {
                let is_whole_when_changed = collection.kind == Kind::Timeseries || collection.is_capped();
                let changed = match is_whole_when_changed {
                    true if collection.kind == Kind::Timeseries && !sees_buckets => continue,
                    true => ChangedIds::new(1, 0),
                    false if is_exception(collection, parent) => continue,
                    false => ChangedIds::of(collection, before),
                };
                ids.insert(collection.name.clone(), changed);
            }
        }
        Self { ids }
    }

    /// Reads which of their documents changed.
    ///
    /// # Errors
    /// What the server answered.
    pub(super) async fn changes(mut self, job: &BackupJob, times: Times, tools: &Tools) -> Result<Changes, MongoError> {
        let budget = usize::try_from(tools.memory.share(IDS_SHARE)).unwrap_or(usize::MAX);
        let (mut taken, mut whole, mut drops) = (0_usize, Vec::new(), false);
        let mut redefined = HashSet::new();
        let seen = tools.mongo.changes(&job.database, times, |change| {
            match change {
                Change::Document(collection, key, time) => {
                    let collection = collection.strip_prefix(BUCKETS).unwrap_or(collection);
                    if let Some(ids) = self.ids.get_mut(collection) {
                        taken += ids.add(key.as_bytes(), time);
                        if ids.known.len() as u64 > ids.most {
                            if ids.most > 0 {
                                let why = "so much of it changed that reading all of it costs less";
                                whole.push((collection.to_owned(), why));
                            }
                            taken -= self.ids.remove(collection).map_or(0, |ids| ids.bytes);
                        }
                    }
                }
                Change::Collection(collection) => {
                    let collection = collection.strip_prefix(BUCKETS).unwrap_or(collection);
                    drops = true;
                    redefined.insert(collection.to_owned());
                    taken -= self.ids.remove(collection).map_or(0, |ids| ids.bytes);
                }
                Change::Definition(collection) => {
                    redefined.insert(collection.to_owned());
                }
                Change::Dropped => drops = true,
            }
            while taken > budget
                && let Some(collection) = self.largest()
            {
                // When its documents changed is given up before which they are.
                match self.ids.get_mut(&collection).map_or(0, ChangedIds::forget_times) {
                    0 => {
                        taken -= self.ids.remove(&collection).map_or(0, |ids| ids.bytes);
                        whole.push((collection, "more of it changed than fits into memory"));
                    }
                    given_up => taken -= given_up,
                }
            }
            Ok(())
        });
        Box::pin(seen).await?;
        for (collection, why) in &whole {
            tracing::info!(collection, why, "it is read whole");
        }
        Ok(Changes {
            ids: self.ids,
            whole,
            drops,
            redefined,
        })
    }

    /// The collection whose changes take the most memory.
    fn largest(&self) -> Option<String> {
        let largest = self.ids.iter().max_by_key(|(_, ids)| ids.bytes);
        largest.map(|(name, _)| name.clone())
    }
}

/// Whether a collection is the one that the parent has, and the server says whether it changed.
fn is_the_same(before: &Saved, collection: &Collection) -> bool {
    let has_changes = collection.kind != Kind::View && !is_system(&collection.name);
    has_changes
        && (collection.kind == Kind::Timeseries || collection.has_unique_ids())
        && before.kind == collection.kind
        && before.uuid.is_some()
        && before.uuid == collection.uuid
        && before.status == SavedStatus::Complete
}

/// Whether the parent has it as of another moment than its own. That of a collection that is read whole may be later:
/// what came in between is then among the changes, too.
fn is_exception(collection: &Collection, parent: &Parent) -> bool {
    let mut exceptions = parent.manifest.consistency.exceptions.iter();
    exceptions.any(|exception| exception.collection == collection.name)
}

impl Changes {
    /// Whether only changes are to be read of a collection.
    pub(super) fn has(&self, collection: &str) -> bool {
        self.ids.contains_key(collection)
    }

    /// Whether something happened by which the parent's collections can be gone.
    pub(super) fn has_seen_drops(&self, parent: &Parent) -> bool {
        // Views come and go without a word.
        self.drops || parent.manifest.collections.iter().all(|saved| saved.kind == Kind::View)
    }

    /// Whether a collection's indexes may be others than the parent's.
    pub(super) fn have_redefined(&self, collection: &str) -> bool {
        self.redefined.contains(collection)
    }

    /// What is said of the collections that were read whole though their changes are known.
    pub(super) fn said(&self) -> Vec<String> {
        let whole = self.whole.iter();
        whole
            .map(|(name, why)| format!("{name} is in the increment whole: {why}"))
            .collect()
    }

    /// Whether anything changed of a collection of which only that is read.
    pub(super) fn is_any(&self, collection: &str) -> bool {
        self.ids.get(collection).is_some_and(|ids| !ids.lists.is_empty())
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
    fn of(collection: &Collection, before: &Saved) -> Self {
        let at_a_time = usize::try_from((LOOKUP / collection.average_bytes()).clamp(1, MOST)).unwrap_or(1);
        Self::new(at_a_time, FEW.max(before.bytes / A_LOOKUP))
    }

    fn new(at_a_time: usize, most: u64) -> Self {
        Self {
            lists: Vec::new(),
            known: HashMap::new(),
            events: Some(Vec::new()),
            at_a_time,
            bytes: 0,
            most,
        }
    }

    /// Adds a change of a document, and its `_id`, unless that came before; says how much memory that takes.
    fn add(&mut self, document: &[u8], time: ClusterTime) -> usize {
        let Some(key) = id_key(document) else { return 0 };
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let number = *self.known.entry(key).or_insert(next);
        let mut taken = 0;
        if number == next {
            let is_full = |list: &Arc<IdList>| list.len() >= self.at_a_time || list.is_full();
            if self.lists.last().is_none_or(is_full) {
                self.lists.push(Arc::default());
            }
            if let Some(list) = self.lists.last_mut() {
                Arc::make_mut(list).push(document);
            }
            taken += document.len() + KNOWN;
        }
        // Several changes in one transaction are one.
        if let Some(events) = &mut self.events
            && events.last() != Some(&(time, number))
        {
            events.push((time, number));
            taken += EVENT;
        }
        self.bytes += taken;
        taken
    }

    /// Gives up when they changed; says how much memory that gives back.
    fn forget_times(&mut self) -> usize {
        let given_up = self.events.take().map_or(0, |events| events.len() * EVENT);
        self.bytes -= given_up;
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn an_id_counts_once_and_lookups_are_short() {
        let mut ids = ChangedIds::new(3, FEW);
        let at = |i: u32| ClusterTime { t: 1, i };
        let keys: Vec<_> = (0..7).map(|id| rawdoc! {"_id": id}).collect();
        let twice = keys.iter().chain(&keys).zip(0..);
        let taken: usize = twice.map(|(key, time)| ids.add(key.as_bytes(), at(time))).sum();
        assert_eq!(ids.lists.iter().map(|list| list.len()).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(taken, ids.bytes);
        assert!(taken >= 7 * KNOWN + 14 * EVENT);
        let expected: Vec<Event> = (0..14).map(|time| (at(time), time % 7)).collect();
        assert_eq!(ids.events.as_ref(), Some(&expected));
        // Twice in one transaction.
        assert_eq!(ids.add(keys[6].as_bytes(), at(13)), 0);
        assert_eq!(ids.forget_times(), 14 * EVENT);
        assert_eq!((ids.forget_times(), ids.bytes), (0, taken - 14 * EVENT));
        // What is equal to the server, but not the same.
        assert!(ids.add(rawdoc! {"_id": 1_i64}.as_bytes(), at(20)) > 0);
    }
}
