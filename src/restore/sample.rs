//! The sample hash: the first documents of a collection, looked up again by their `_id`s.
//!
//! The digest over everything says more, but the ancestor's users compare this one. Documents without an `_id`
//! (measurements need none) are left out; of several with the same `_id` (measurements may share one), only those in
//! the sample count.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DocumentHasher, Hashing};
use crate::mongo::{IdList, Mongo, MongoError, patiently};

/// The first documents of a collection that have an `_id`.
#[derive(Debug)]
pub(super) struct Sample {
    wanted: u64,
    hashing: Hashing,
    digest: Digest,
    /// How often each document is in it.
    documents: HashMap<Digest, u64>,
    ids: IdList,
}

/// What the sample came to, there and here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SampleHashes {
    pub(super) archive: String,
    pub(super) database: String,
}

impl SampleHashes {
    pub(super) fn are_equal(&self) -> bool {
        self.archive == self.database
    }
}

impl Sample {
    pub(super) fn new(wanted: u32, hashing: Hashing) -> Self {
        Self {
            wanted: u64::from(wanted),
            hashing,
            digest: Digest::default(),
            documents: HashMap::new(),
            ids: IdList::default(),
        }
    }

    /// Whether nothing is missing.
    pub(super) fn is_full(&self) -> bool {
        self.digest.documents() >= self.wanted || self.ids.is_full()
    }

    /// Takes what is still missing.
    pub(super) fn take<'a>(&mut self, documents: impl Iterator<Item = &'a [u8]>) {
        for document in documents {
            if self.is_full() {
                return;
            }
            if self.ids.push(document) {
                let one = digest_of(document, self.hashing);
                self.digest.merge(&one);
                *self.documents.entry(one).or_default() += 1;
            }
        }
    }

    /// Looks the documents up; `None` if there are none.
    pub(super) async fn compare(
        self,
        mongo: &Mongo,
        database: &str,
        collection: &str,
    ) -> Result<Option<SampleHashes>, MongoError> {
        if self.ids.is_empty() {
            return Ok(None);
        }
        let found = patiently!(mongo, self.found(mongo, database, collection))?;
        Ok(Some(SampleHashes {
            archive: self.digest.to_string(),
            database: found.to_string(),
        }))
    }

    /// What of them is there.
    async fn found(&self, mongo: &Mongo, database: &str, collection: &str) -> Result<Digest, MongoError> {
        let (mut found, mut missing) = (Digest::default(), self.documents.clone());
        let mut batches = mongo
            .read_ids(database, collection, &self.ids, self.digest.average())
            .await?;
        while let Some(batch) = batches.next().await {
            for document in batch?.all_documents() {
                let one = digest_of(document?, self.hashing);
                if let Some(missing) = missing.get_mut(&one).filter(|missing| **missing > 0) {
                    *missing -= 1;
                    found.merge(&one);
                }
            }
        }
        Ok(found)
    }
}

fn digest_of(document: &[u8], hashing: Hashing) -> Digest {
    let mut hasher = DocumentHasher::new(hashing);
    hasher.add_document(document);
    hasher.digest()
}
