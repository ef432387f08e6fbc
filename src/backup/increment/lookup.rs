//! Documents that changed, looked up at a cluster time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::request::BackupJob;
use super::super::segment::{EncodedSegment, EncoderPool};
use super::super::tools::Tools;
use super::ending::Times;
use super::entries::SEGMENT;
use crate::archive::ClusterTime;
use crate::catalog::Collection;
use crate::digest::{Digest, Hashing};
use crate::extjson::Style;
use crate::failure::Failure;
use crate::mongo::{Batches, IdList, Mongo, MongoError, ReadAt, code, ended, id_alone, id_key, patiently};
use crate::open::split_documents;

/// How much BSON a lookup holds before it is laid out, but for its last reply: changed documents may be larger than the
/// average.
const HELD: usize = 4 << 20;

/// What a lookup gave.
pub(super) struct Looked {
    pub(super) later: Later,
    /// The states that were there at the earlier time.
    pub(super) old: Fingerprints,
}

/// What states hash to.
pub(super) struct Fingerprints {
    /// All of them.
    pub(super) all: Digest,
    pub(super) each: Present,
    /// Their `_id`s: a document for each.
    pub(super) ids: Vec<u8>,
}

/// The documents that were there, by their keys, and what each hashes to.
pub(super) type Present = HashMap<u128, Digest>;

/// The states at the later time, or as many of them as are held at a time.
pub(super) struct Later {
    pub(super) segments: Vec<EncodedSegment>,
    /// Whose they are, and what each hashes to.
    pub(super) present: Present,
    /// What is still to be looked up.
    pub(super) more: Option<IdList>,
}

/// Where documents are looked up, and how their states are encoded.
#[derive(Clone)]
pub(super) struct Lookup {
    mongo: Mongo,
    /// Database and collection.
    name: Arc<(String, String)>,
    average: u64,
    times: Times,
    encoders: Arc<EncoderPool>,
}

impl Lookup {
    pub(super) fn of(collection: &Collection, times: Times, job: &BackupJob, tools: &Tools) -> Self {
        let style = if job.pretty { Style::Pretty } else { Style::Compact };
        Self {
            mongo: tools.mongo.clone(),
            name: Arc::new((job.database.clone(), collection.name.clone())),
            average: collection.average_bytes(),
            times,
            encoders: EncoderPool::new(job.payload, job.compression, style),
        }
    }

    pub(super) async fn at_both(self, ids: Arc<IdList>) -> Result<Looked, MongoError> {
        let (later, earlier) = futures_util::join!(self.later(&ids), self.hashed(&ids, self.times.0));
        Ok(Looked {
            later: later?,
            old: earlier?,
        })
    }

    async fn open(&self, ids: &IdList, at: ClusterTime) -> Result<Batches, MongoError> {
        let name = (self.name.0.as_str(), self.name.1.as_str());
        self.mongo
            .read_ids_at(name, ids, ReadAt::Snapshot(at), self.average)
            .await
    }

    /// The states at the later time: all, or as many as come to some megabytes.
    pub(super) async fn later(&self, ids: &IdList) -> Result<Later, MongoError> {
        patiently!(self.mongo, async {
            let mut batches = self.open(ids, self.times.1).await?;
            let (mut segments, mut present, mut bytes) = (Vec::new(), Present::new(), 0);
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                for document in batch.all_documents() {
                    let document = document?;
                    present.extend(id_key(document).map(|key| (key, digest_of(document))));
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
            let more = (bytes >= HELD).then(|| ids.without(|key| present.contains_key(&key)));
            Ok::<_, MongoError>(Later {
                segments,
                more: more.filter(|more| !more.is_empty()),
                present,
            })
        })
    }

    /// What the states at a time hash to.
    pub(super) async fn hashed(&self, ids: &IdList, at: ClusterTime) -> Result<Fingerprints, MongoError> {
        patiently!(self.mongo, async {
            let mut batches = self.open(ids, at).await?;
            let mut hashed = Fingerprints {
                all: Digest::default(),
                each: Present::new(),
                ids: Vec::new(),
            };
            while let Some(batch) = batches.next().await {
                for document in batch?.all_documents() {
                    let document = document?;
                    let digest = digest_of(document);
                    hashed.all.merge(&digest);
                    hashed.each.extend(id_key(document).map(|key| (key, digest)));
                    if let Some(id) = id_alone(document, "_id") {
                        hashed.ids.extend_from_slice(id.as_bytes());
                    }
                }
            }
            Ok::<_, MongoError>(hashed)
        })
    }

    /// The states at a time as they are: all, or as many as come to some megabytes, and what is left then.
    pub(super) async fn states(
        self,
        ids: Arc<IdList>,
        at: ClusterTime,
    ) -> Result<(Vec<u8>, Option<IdList>), MongoError> {
        patiently!(self.mongo, async {
            let mut batches = self.open(&ids, at).await?;
            let mut documents = Vec::new();
            while let Some(batch) = batches.next().await {
                for document in batch?.all_documents() {
                    documents.extend_from_slice(document?);
                }
                if documents.len() >= HELD {
                    let keys: HashSet<u128> = split_documents(&documents).filter_map(id_key).collect();
                    return Ok((documents, Some(ids.without(|key| keys.contains(&key)))));
                }
            }
            Ok::<_, MongoError>((documents, None))
        })
    }
}

pub(super) fn digest_of(document: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.add_document(document);
    digest
}

/// That the server no longer has old states.
///
/// # Errors
/// If it is something else.
pub(super) fn out_of_history(error: MongoError) -> Result<String, Failure> {
    match is_out_of_history(&error) {
        true => Ok(format!("the server no longer has its old states ({})", error.reason)),
        false => Err(error.into()),
    }
}

/// Whether the server no longer has the states at that time.
pub(super) fn is_out_of_history(error: &MongoError) -> bool {
    error.is(code::SNAPSHOT_TOO_OLD) || error.is(code::SNAPSHOT_UNAVAILABLE)
}
