//! A moment between two archives of a chain: what the later one says of what changed by then.
//!
//! Its journal is read from its end to its beginning. What changed after the moment is passed over. Of each other
//! document the newest change decides: where it is its last, the document is in the increment's entry, or gone for
//! good; where it is not, it is among the states in between, or was gone then. What did not change by then is left to
//! the archives before.

use std::collections::HashSet;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use super::chunk::Chunk;
use super::file::{ArchiveFile, Link, Within};
use super::layer::{CameBefore, Layer, NoMore, Out, UpTo};
use crate::archive::{
    ClusterTime, ConsistencyLevel, Continues, Entry, Exception, JournalLine, JournalMoment, Manifest, Opened, Saved,
};
use crate::choice::said;
use crate::digest::Hashing;
use crate::failure::{Failure, FailureKind};

/// How many journals are looked into at a time.
const AT_A_TIME: usize = 8;
/// How much is handed out at a time, of documents that are picked one by one.
const HANDED_OUT: usize = 1 << 20;

impl Within {
    /// What there was at a moment before the end of an increment; `None` if it is that end.
    ///
    /// # Errors
    /// If it is before the increment's beginning, if the increment keeps no moments, or if it cannot be read.
    pub(super) async fn of(
        end: &Link,
        continues: &Continues,
        parent: &Link,
        at: ClusterTime,
    ) -> Result<Option<Self>, Failure> {
        let (manifest, location) = (&end.opened.manifest, &end.file.object.location);
        let until = manifest.consistency.cluster_time.unwrap_or(continues.from);
        if at >= until {
            return Ok(None);
        }
        if at < continues.from {
            let why = format!(
                "it holds what changed from {} to {until}: {at} is before that",
                continues.from
            );
            return Err(Failure::invalid(why).at(location));
        }
        if !continues.journal {
            let why = "it does not say when what changed: only its end can be read, and not a moment before";
            return Err(Failure::new(FailureKind::ArchiveUnsupported, why).at(location));
        }
        let mut opened = (*end.opened).clone();
        let text = [opened.footer.blake3.to_hex().as_str(), "@", &at.to_string()].concat();
        opened.footer.blake3 = blake3::hash(text.as_bytes());
        let mut view = View::of(manifest, &parent.opened.manifest, (continues.from, at, until));
        let journals = view.collections.iter().map(|saved| {
            let lines = manifest.get(&saved.name).and_then(lines_of);
            moment_in(&end.file, &end.opened, lines, at)
        });
        let journals: Vec<_> = journals.collect();
        let mut moments = stream::iter(journals).buffered(AT_A_TIME);
        let mut found = Vec::new();
        while let Some(moment) = moments.next().await {
            found.push(moment?);
        }
        drop(moments);
        for (saved, moment) in view.collections.iter_mut().zip(found) {
            if let Some(digest) = moment.map(|moment| moment.digest) {
                (saved.documents, saved.bytes, saved.digest) = (digest.documents(), digest.bytes(), digest.sum());
            }
        }
        let consistency = &mut opened.manifest.consistency;
        consistency.cluster_time = Some(at);
        consistency.level = match view.exceptions.is_empty() {
            true => ConsistencyLevel::Snapshot,
            false => ConsistencyLevel::Mixed,
        };
        consistency.exceptions = view.exceptions;
        opened.manifest.collections = view.collections;
        Ok(Some(Self {
            at,
            opened: Arc::new(opened),
        }))
    }
}

fn lines_of(saved: &Saved) -> Option<Arc<Entry>> {
    let journal = saved.delta.as_ref()?.journal.as_ref()?;
    Some(Arc::new(journal.lines.clone()))
}

/// The newest time in a journal up to a moment.
async fn moment_in(
    file: &ArchiveFile,
    opened: &Arc<Opened>,
    lines: Option<Arc<Entry>>,
    at: ClusterTime,
) -> Result<Option<JournalMoment>, Failure> {
    let Some(lines) = lines else { return Ok(None) };
    let segments = 0..lines.count();
    let mut chunks = pin!(file.chunks_of((opened, Arc::clone(&lines)), segments, Hashing::Raw));
    while let Some(chunk) = chunks.next().await {
        for line in chunk?.documents() {
            match line_of(line, &lines)? {
                JournalLine::Moment(moment) if moment.at <= at => return Ok(Some(moment)),
                _ => {}
            }
        }
    }
    Ok(None)
}

fn line_of(line: &[u8], entry: &Entry) -> Result<JournalLine, Failure> {
    let damaged = || {
        let why = format!("{}: a line of the journal is not of a known form", entry.path);
        Failure::new(FailureKind::ArchiveDamaged, why)
    };
    JournalLine::of(line).ok_or_else(damaged)
}

/// The collections at a moment between an increment's parent and its end, as far as definitions tell: those of the
/// parent.
struct View {
    collections: Vec<Saved>,
    exceptions: Vec<Exception>,
}

impl View {
    fn of(end: &Manifest, parent: &Manifest, (from, at, until): (ClusterTime, ClusterTime, ClusterTime)) -> Self {
        let mut view = Self {
            collections: parent.collections.clone(),
            exceptions: parent.consistency.exceptions.clone(),
        };
        let (from, until) = (said(from), said(until));
        for before in &parent.collections {
            let Some(after) = end.get(&before.name) else {
                let why = format!("it was dropped or renamed by {until}, and is as of {from}");
                view.excepts(&before.name, why);
                continue;
            };
            let is_other = before.uuid != after.uuid || before.kind != after.kind;
            let seconds = after.delta.as_ref().and_then(|delta| delta.journal.as_ref());
            match &after.delta {
                None if is_other || before.expected_digest() != after.expected_digest() => {
                    let why = format!(
                        "the increment has all of it as of {until}, and not what changed when: it is as of {from}"
                    );
                    view.excepts(&before.name, why);
                }
                Some(delta) if delta.no_journal.is_some() => {
                    let why = delta.no_journal.as_deref().unwrap_or_default();
                    view.excepts(&before.name, format!("it is as of {from}: {why}"));
                }
                _ if seconds.is_some_and(|journal| journal.seconds) && at.i != u32::MAX => {
                    let why = "so much of it changed that it is kept as of the ends of seconds, and shown as of the one before";
                    view.excepts(&before.name, why.to_owned());
                }
                _ => {}
            }
            if before.options != after.options || before.indexes != after.indexes {
                let why = format!("its options or indexes were changed by {until}, and are as of {from}");
                view.excepts(&before.name, why);
            }
        }
        for after in end.collections.iter().filter(|after| parent.get(&after.name).is_none()) {
            let why = format!("it was made between {from} and {until}, and is left out");
            view.excepts(&after.name, why);
        }
        view
    }

    fn excepts(&mut self, collection: &str, reason: String) {
        self.exceptions.push(Exception {
            collection: collection.to_owned(),
            reason,
        });
    }
}

/// Documents of an entry, one by one.
struct States<S> {
    chunks: Pin<Box<S>>,
    chunk: Bytes,
}

impl<S: Stream<Item = Result<Chunk, Failure>>> States<S> {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.chunk.is_empty() {
            match self.chunks.next().await {
                Some(chunk) => self.chunk = chunk?.bson,
                None => return Ok(None),
            }
        }
        let length = self
            .chunk
            .first_chunk()
            .map_or(0, |length| u32::from_le_bytes(*length) as usize);
        let length = length.clamp(5.min(self.chunk.len()), self.chunk.len());
        Ok(Some(self.chunk.split_to(length)))
    }
}

impl Layer {
    /// Its documents up to a moment, as they were then.
    pub(super) async fn hand_out_until(
        &self,
        until: &UpTo,
        seen: &mut CameBefore,
        out: &Out<'_>,
    ) -> Result<(), NoMore> {
        // Of which the last change was by then: what became of them, the other entries say.
        let mut settled: HashSet<u128> = HashSet::new();
        let mut states = until.states.as_ref().map(|entry| States {
            chunks: Box::pin(self.chunks(entry, Hashing::Raw)),
            chunk: Bytes::new(),
        });
        let (mut is_by_then, mut picked) = (false, Vec::new());
        let mut lines = pin!(self.chunks(&until.lines, Hashing::Raw));
        while let Some(chunk) = lines.next().await {
            for line in chunk?.documents() {
                match line_of(line, &until.lines)? {
                    JournalLine::Moment(moment) => {
                        is_by_then = moment.at <= until.at;
                        for _ in 0..moment.states {
                            let state = match &mut states {
                                Some(states) => states.next().await?,
                                None => None,
                            };
                            let state = state.ok_or_else(|| lacking(&until.lines))?;
                            let key = seen.new_key(&state).filter(|key| is_by_then && !settled.contains(key));
                            if let Some(key) = key {
                                seen.came(key);
                                picked.extend_from_slice(&state);
                            }
                            if picked.len() >= HANDED_OUT {
                                out.send(Chunk::new(std::mem::take(&mut picked).into(), out.hashing))
                                    .await?;
                            }
                        }
                    }
                    change if is_by_then => {
                        let key = seen.new_key(line).filter(|key| !settled.contains(key));
                        match (key, change) {
                            (Some(key), JournalLine::Last) => drop(settled.insert(key)),
                            (Some(key), _) => seen.came(key),
                            (None, _) => {}
                        }
                    }
                    _ => {}
                }
            }
        }
        out.send(Chunk::new(picked.into(), out.hashing)).await?;
        if let Some(entry) = &self.entry {
            let mut documents = pin!(self.chunks(entry, Hashing::Raw));
            while let Some(chunk) = documents.next().await {
                let chunk = chunk?;
                let mut picked = Vec::new();
                for document in chunk.documents() {
                    if let Some(key) = seen.new_key(document).filter(|key| settled.contains(key)) {
                        seen.came(key);
                        picked.extend_from_slice(document);
                    }
                }
                out.send(chunk.rewritten(picked, out.hashing)).await?;
            }
        }
        // What is left of them is gone.
        settled.into_iter().for_each(|key| seen.came(key));
        Ok(())
    }
}

fn lacking(lines: &Entry) -> Failure {
    let why = format!("{}: there are fewer states than it says", lines.path);
    Failure::new(FailureKind::ArchiveDamaged, why)
}
