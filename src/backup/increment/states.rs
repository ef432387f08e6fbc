//! What became of the documents of a collection that changed: their states at both times.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};

use super::super::lane::{Lane, blank};
use super::super::metadata::too_many_segments;
use super::super::request::BackupJob;
use super::super::tools::Tools;
use super::changed::{ChangeOf, ChangedIds};
use super::ending::{NoIncrement, Times};
use super::entries::SmallEntry;
use super::journal::{self, NotTold};
use super::lookup::{Fingerprints, Later, Lookup, Present, out_of_history};
use crate::archive::{Delta, Entry, EntryName, Saved};
use crate::catalog::Collection;
use crate::digest::Digest;
use crate::failure::Failure;
use crate::mongo::{MongoError, id_key};
use crate::open::split_documents;

/// How many lookups are on their way at a time.
const AT_A_TIME: usize = 3;
/// Writes what changed of a collection. Where the server no longer has the old states, nothing of it counts: what is
/// given back then is to be read whole.
pub(super) async fn write(
    lane: &mut Lane<'_>,
    collection: &Collection,
    change: ChangeOf<'_>,
    times: Times,
) -> Result<Result<Saved, Saved>, NoIncrement> {
    lane.tools
        .progress
        .step(format!("reading what changed of {}", collection.name));
    let name = EntryName::new(&collection.name, lane.job.payload);
    let mut saved = blank(collection);
    let mut became = Became::of(change.ids);
    let lookup = Lookup::of(collection, times, lane.job, lane.tools);
    let looking = lookup.clone();
    let lookups = stream::iter(change.ids.lists.to_vec()).map(move |ids| looking.clone().at_both(ids));
    let mut lookups = std::pin::pin!(lookups.buffered(AT_A_TIME));
    let mut first = 0;
    for list in &change.ids.lists {
        let Some(looked) = lookups.next().await else { break };
        lane.tools.may_go_on()?;
        let numbers = first..first + list.len();
        let why = match looked {
            Ok(looked) => {
                let mut laid = Laid {
                    saved: &mut saved,
                    name: &name,
                };
                match laid.out(lane, looked.later, &lookup).await? {
                    Ok(present) => became.add(&looked.old, &present, numbers).err(),
                    Err(error) => Some(out_of_history(error)?),
                }
            }
            Err(error) => Some(out_of_history(error)?),
        };
        if let Some(why) = why {
            tracing::info!(collection = collection.name, "it is read whole: {why}");
            if lane.archive.is_open() {
                saved.abandoned.push(lane.archive.end(&name.abandoned(0)));
                lane.send().await?;
            }
            saved.forget_documents();
            return Ok(Err(saved));
        }
        first += list.len();
    }
    if lane.archive.is_open() {
        saved.entry = Some(lane.archive.end(&name.whole()));
    }
    let removals = removals(lane, &name, &became.gone).await?;
    lane.send().await?;
    let before = change.before.expected_digest();
    if became.old.documents() > before.documents() || became.old.bytes() > before.bytes() {
        let reason = format!(
            "{}: what it was at the parent's time is not what the parent has",
            collection.name
        );
        return Err(NoIncrement::Hole(reason));
    }
    let mut now = before.without(&became.old);
    now.merge(&became.new);
    (saved.documents, saved.bytes, saved.digest) = (now.documents(), now.bytes(), now.sum());
    let mut delta = Delta {
        documents: became.new.documents(),
        removed: became.removed,
        removals,
        ..Delta::default()
    };
    let told = journal::write(lane, (&name, &lookup), change.ids, (&became.states, before)).await?;
    match told {
        Ok(journal) => delta.journal = journal,
        Err(NotTold { why, abandoned }) => {
            tracing::info!(collection = collection.name, "moments in between are not kept: {why}");
            saved.abandoned.extend(abandoned);
            delta.no_journal = Some(why);
        }
    }
    saved.delta = Some(delta);
    Ok(Ok(saved))
}

/// What became of the documents that changed.
struct Became<'a> {
    ids: &'a ChangedIds,
    /// What each hashes to, at the earlier time and at the later; what is not there hashes to nothing.
    states: Vec<(Digest, Digest)>,
    old: Digest,
    new: Digest,
    /// The `_id`s of those that are no longer there.
    gone: Vec<u8>,
    removed: u64,
}

impl<'a> Became<'a> {
    fn of(ids: &'a ChangedIds) -> Self {
        Self {
            ids,
            states: vec![<(Digest, Digest)>::default(); ids.known.len()],
            old: Digest::default(),
            new: Digest::default(),
            gone: Vec::new(),
            removed: 0,
        }
    }

    /// Adds what a lookup of those numbers gave.
    ///
    /// # Errors
    /// A lookup may give a document whose `_id` is equal to one that was asked for, but not the same (1 and 1.0). If that
    /// is one of another lookup, it would count twice.
    fn add(&mut self, old: &Fingerprints, present: &Present, numbers: Range<usize>) -> Result<(), String> {
        let of_others = || "several of its `_id`s are equal for the server, and not the same".to_owned();
        let number = |key: &u128| {
            let number = self.ids.known.get(key).and_then(|&number| usize::try_from(number).ok());
            number.filter(|number| numbers.contains(number)).ok_or_else(of_others)
        };
        for (key, digest) in &old.each {
            self.states[number(key)?].0 = *digest;
            self.old.merge(digest);
        }
        for (key, digest) in present {
            self.states[number(key)?].1 = *digest;
            self.new.merge(digest);
        }
        for document in split_documents(&old.ids).filter(|document| is_not_in(present, document)) {
            self.gone.extend_from_slice(document);
            self.removed += 1;
        }
        Ok(())
    }
}

/// What has been laid out of a collection.
struct Laid<'a> {
    saved: &'a mut Saved,
    name: &'a EntryName,
}

impl Laid<'_> {
    /// Lays out what a lookup gave, and what it still gives; says which documents are there.
    async fn out(
        &mut self,
        lane: &mut Lane<'_>,
        mut later: Later,
        lookup: &Lookup,
    ) -> Result<Result<Present, MongoError>, Failure> {
        let mut present = Present::new();
        loop {
            for segment in later.segments {
                if !lane.archive.is_open() {
                    lane.archive.begin(&self.name.endings(0).each_ref().map(String::as_str));
                }
                if lane.archive.is_full() {
                    return Err(too_many_segments().at(&self.saved.name));
                }
                lane.archive.segment(&segment.frame, segment.documents);
                self.saved.wrapped += segment.wrapped;
                lane.tools.progress.add(segment.documents, segment.digest.bytes());
                lane.send().await?;
            }
            present.extend(later.present);
            let Some(more) = later.more else { return Ok(Ok(present)) };
            later = match lookup.later(&more).await {
                Ok(later) => later,
                Err(error) => return Ok(Err(error)),
            };
        }
    }
}

fn is_not_in(present: &Present, document: &[u8]) -> bool {
    id_key(document).is_some_and(|key| !present.contains_key(&key))
}

/// What a collection comes to by its changes; `None` if they do not fit what it was.
pub(super) async fn now(
    collection: &Collection,
    change: ChangeOf<'_>,
    times: Times,
    job: &BackupJob,
    tools: &Tools,
) -> Result<Option<Digest>, MongoError> {
    let lookup = Lookup::of(collection, times, job, tools);
    let mut now = change.before.expected_digest();
    for ids in &change.ids.lists {
        let old = lookup.hashed(ids, times.0).await?.all;
        if old.documents() > now.documents() || old.bytes() > now.bytes() {
            return Ok(None);
        }
        let new = lookup.hashed(ids, times.1).await?.all;
        now = now.without(&old);
        now.merge(&new);
    }
    Ok(Some(now))
}

/// The entry with the `_id`s of what is gone.
async fn removals(lane: &mut Lane<'_>, name: &EntryName, gone: &[u8]) -> Result<Option<Entry>, Failure> {
    if gone.is_empty() {
        return Ok(None);
    }
    let mut entry = SmallEntry::begin(lane, name.removals());
    for document in split_documents(gone) {
        entry.push(lane, document).await?;
    }
    entry.end(lane).await.map(Some)
}
