//! What became of the documents of a collection that changed: their states at both times.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::super::lane::{Lane, blank};
use super::super::metadata::{out_of_memory, too_many_segments};
use super::super::request::BackupJob;
use super::super::segment::{EncodedSegment, EncoderPool};
use super::super::tools::Tools;
use super::changed::ChangeOf;
use super::ending::{NoIncrement, Times};
use crate::archive::{ClusterTime, Delta, Entry, EntryName, Payload, Saved};
use crate::catalog::Collection;
use crate::digest::{Digest, DocumentHasher, Hashing};
use crate::extjson::{Encoder, Style};
use crate::failure::Failure;
use crate::mongo::{Batches, IdList, Mongo, MongoError, ReadAt, code, ended, id_alone, id_key, patiently};
use crate::open::split_documents;

/// How many lookups are on their way at a time.
const AT_A_TIME: usize = 3;
/// How much BSON goes into a segment, about.
const SEGMENT: usize = 2 << 20;
/// How much of it a lookup holds before it is laid out, but for its last reply: changed documents may be larger than
/// the average.
const HELD: usize = 4 << 20;

/// What a lookup gave.
struct Looked {
    later: Later,
    /// What the states hash to that were there at the earlier time.
    old: Digest,
    /// The `_id`s that were there then: a document for each.
    were: Vec<u8>,
}

/// The states at the later time, or as many of them as are held at a time.
struct Later {
    segments: Vec<EncodedSegment>,
    /// Whose they are.
    present: HashSet<u128>,
    /// What is still to be looked up.
    more: Option<IdList>,
}

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
    let (mut old, mut new) = (Digest::default(), Digest::default());
    let (mut gone, mut removed) = (Vec::new(), 0);
    let lookup = Lookup::of(collection, times, lane.job, lane.tools);
    let looking = lookup.clone();
    let lookups = stream::iter(change.ids.to_vec()).map(move |ids| looking.clone().at_both(ids));
    let mut lookups = std::pin::pin!(lookups.buffered(AT_A_TIME));
    while let Some(looked) = lookups.next().await {
        lane.tools.may_go_on()?;
        let laid_out = match looked {
            Ok(looked) => {
                old.merge(&looked.old);
                let mut laid = Laid {
                    saved: &mut saved,
                    new: &mut new,
                    name: &name,
                };
                let present = laid.out(lane, looked.later, &lookup).await?;
                present.map(|present| {
                    for document in split_documents(&looked.were).filter(|document| is_not_in(&present, document)) {
                        gone.extend_from_slice(document);
                        removed += 1;
                    }
                })
            }
            Err(error) => Err(error),
        };
        match laid_out {
            Ok(()) => {}
            Err(error) if is_out_of_history(&error) => {
                tracing::info!(%error, collection = collection.name, "its old states are gone: it is read whole");
                if lane.archive.is_open() {
                    saved.abandoned.push(lane.archive.end(&name.abandoned(0)));
                    lane.send().await?;
                }
                saved.forget_documents();
                return Ok(Err(saved));
            }
            Err(error) => return Err(Failure::from(error).into()),
        }
    }
    if lane.archive.is_open() {
        saved.entry = Some(lane.archive.end(&name.whole()));
    }
    let removals = match removed {
        0 => None,
        _ => Some(removals(lane, &name, (&gone, removed))?),
    };
    lane.send().await?;
    let before = change.before.expected_digest();
    if old.documents() > before.documents() || old.bytes() > before.bytes() {
        let reason = format!(
            "{}: what it was at the parent's time is not what the parent has",
            collection.name
        );
        return Err(NoIncrement::Hole(reason));
    }
    let mut now = before.without(&old);
    now.merge(&new);
    (saved.documents, saved.bytes, saved.digest) = (now.documents(), now.bytes(), now.sum());
    saved.delta = Some(Delta {
        documents: new.documents(),
        removed,
        removals,
    });
    Ok(Ok(saved))
}

/// What has been laid out of a collection.
struct Laid<'a> {
    saved: &'a mut Saved,
    new: &'a mut Digest,
    name: &'a EntryName,
}

impl Laid<'_> {
    /// Lays out what a lookup gave, and what it still gives; says which documents are there.
    async fn out(
        &mut self,
        lane: &mut Lane<'_>,
        mut later: Later,
        lookup: &Lookup,
    ) -> Result<Result<HashSet<u128>, MongoError>, Failure> {
        let mut present = HashSet::new();
        loop {
            for segment in later.segments {
                if !lane.archive.is_open() {
                    lane.archive.begin(&self.name.endings(0).each_ref().map(String::as_str));
                }
                if lane.archive.is_full() {
                    return Err(too_many_segments().at(&self.saved.name));
                }
                lane.archive.segment(&segment.frame, segment.documents);
                self.new.merge(&segment.digest);
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

fn is_not_in(present: &HashSet<u128>, document: &[u8]) -> bool {
    id_key(document).is_some_and(|key| !present.contains(&key))
}

/// Whether the server no longer has the states at that time.
pub(super) fn is_out_of_history(error: &MongoError) -> bool {
    error.is(code::SNAPSHOT_TOO_OLD) || error.is(code::SNAPSHOT_UNAVAILABLE)
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
    for ids in change.ids {
        let (old, _) = lookup.hashed(ids, times.0).await?;
        if old.documents() > now.documents() || old.bytes() > now.bytes() {
            return Ok(None);
        }
        let (new, _) = lookup.hashed(ids, times.1).await?;
        now = now.without(&old);
        now.merge(&new);
    }
    Ok(Some(now))
}

/// The entry with the `_id`s of what is gone.
fn removals(lane: &mut Lane<'_>, name: &EntryName, (gone, removed): (&[u8], u64)) -> Result<Entry, Failure> {
    let mut content = Vec::new();
    let mut encoder = Encoder::new(Style::Compact);
    let file = name.removals();
    lane.archive.begin(&[&file]);
    let (mut in_segment, mut left) = (0, removed);
    for document in split_documents(gone) {
        match lane.job.payload {
            Payload::Bson => content.extend_from_slice(document),
            Payload::Jsonl => drop(encoder.encode(document, &mut content)),
        }
        (in_segment, left) = (in_segment + 1, left - 1);
        if content.len() >= SEGMENT || left == 0 {
            let frame = lane.small.encode(&mut content).map_err(|error| out_of_memory(&error))?;
            lane.archive.segment(&frame, in_segment);
            content.clear();
            in_segment = 0;
        }
    }
    Ok(lane.archive.end(&file))
}

/// Where documents are looked up, and how their states are encoded.
#[derive(Clone)]
struct Lookup {
    mongo: Mongo,
    /// Database and collection.
    name: Arc<(String, String)>,
    average: u64,
    times: Times,
    encoders: Arc<EncoderPool>,
}

impl Lookup {
    fn of(collection: &Collection, times: Times, job: &BackupJob, tools: &Tools) -> Self {
        let style = if job.pretty { Style::Pretty } else { Style::Compact };
        Self {
            mongo: tools.mongo.clone(),
            name: Arc::new((job.database.clone(), collection.name.clone())),
            average: collection.average_bytes(),
            times,
            encoders: EncoderPool::new(job.payload, job.compression, style),
        }
    }

    async fn at_both(self, ids: Arc<IdList>) -> Result<Looked, MongoError> {
        let (later, earlier) = futures_util::join!(self.later(&ids), self.hashed(&ids, self.times.0));
        let (later, (old, were)) = (later?, earlier?);
        Ok(Looked { later, old, were })
    }

    async fn open(&self, ids: &IdList, at: ClusterTime) -> Result<Batches, MongoError> {
        let name = (self.name.0.as_str(), self.name.1.as_str());
        self.mongo
            .read_ids_at(name, ids, ReadAt::Snapshot(at), self.average)
            .await
    }

    /// The states at the later time: all, or as many as come to some megabytes.
    async fn later(&self, ids: &IdList) -> Result<Later, MongoError> {
        patiently!(self.mongo, async {
            let mut batches = self.open(ids, self.times.1).await?;
            let (mut segments, mut present, mut bytes) = (Vec::new(), HashSet::new(), 0);
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                for document in batch.all_documents() {
                    present.extend(id_key(document?));
                }
                for slice in batch.slices(SEGMENT)? {
                    let (batch, encoders) = (batch.clone(), Arc::clone(&self.encoders));
                    let encode = move || encoders.encode(&batch, &slice, Hashing::Raw);
                    let mut encoding = tokio::task::spawn_blocking(encode);
                    segments.push(ended(&mut encoding, "encoding a segment").await?);
                }
                bytes += batch.reply_bytes();
                if bytes >= HELD {
                    break;
                }
            }
            let more = (bytes >= HELD).then(|| ids.without(&present));
            Ok::<_, MongoError>(Later {
                segments,
                more: more.filter(|more| !more.is_empty()),
                present,
            })
        })
    }

    /// What the states at a time hash to, and the `_id`s of what was there.
    async fn hashed(&self, ids: &IdList, at: ClusterTime) -> Result<(Digest, Vec<u8>), MongoError> {
        patiently!(self.mongo, async {
            let mut batches = self.open(ids, at).await?;
            let (mut hasher, mut were) = (DocumentHasher::new(Hashing::Raw), Vec::new());
            while let Some(batch) = batches.next().await {
                for document in batch?.all_documents() {
                    let document = document?;
                    hasher.add_document(document);
                    if let Some(id) = id_alone(document, "_id") {
                        were.extend_from_slice(id.as_bytes());
                    }
                }
            }
            Ok::<_, MongoError>((hasher.digest(), were))
        })
    }
}
