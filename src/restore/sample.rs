//! The sample hash: the first documents of a collection, in the archive and in the database.

use std::collections::HashMap;

use bson::RawArrayBuf;

use super::readback::id_of;
use crate::digest::{Digest, DocumentHasher, Hashing, Sum};
use crate::mongo::{Mongo, MongoError};
use crate::open::Chunk;

/// The first documents of a collection that have an `_id` to find them by.
#[derive(Debug)]
pub(super) struct Sample {
    wanted: u64,
    hashing: Hashing,
    digest: Digest,
    /// How often each document is in it. In a time series several documents can have the same `_id`.
    documents: HashMap<Sum, u64>,
    ids: RawArrayBuf,
}

impl Default for Sample {
    fn default() -> Self {
        Self::new(0, Hashing::Raw)
    }
}

impl Sample {
    pub(super) fn new(wanted: u32, hashing: Hashing) -> Self {
        Self {
            wanted: u64::from(wanted),
            hashing,
            digest: Digest::default(),
            documents: HashMap::new(),
            ids: RawArrayBuf::new(),
        }
    }

    pub(super) fn take(&mut self, chunk: &Chunk) {
        let missing = self.wanted - self.digest.documents();
        let found = chunk
            .documents()
            .filter_map(|document| Some((document, id_of(document)?)));
        for (document, id) in found.take(usize::try_from(missing).unwrap_or(usize::MAX)) {
            let hash = self.hash(document);
            self.digest.merge(&hash);
            *self.documents.entry(hash.sum()).or_default() += 1;
            self.ids.push(id);
        }
    }

    fn hash(&self, document: &[u8]) -> Digest {
        let mut hasher = DocumentHasher::new(self.hashing);
        hasher.add_document(document);
        hasher.digest()
    }

    /// The digests of the sample in the archive and of what the database has of it; `None` for a sample of nothing.
    ///
    /// # Errors
    /// What the server answered.
    pub(super) async fn compare(
        &self,
        mongo: &Mongo,
        database: &str,
        collection: &str,
    ) -> Result<Option<(String, String)>, MongoError> {
        if self.digest.documents() == 0 {
            return Ok(None);
        }
        let mut missing = self.documents.clone();
        let mut found = Digest::default();
        let mut replies = mongo.read_ids(database, collection, self.ids.clone()).await?;
        while let Some(reply) = replies.next().await {
            for document in reply?.all_documents() {
                let hash = self.hash(document?);
                if let Some(count @ 1..) = missing.get_mut(&hash.sum()) {
                    *count -= 1;
                    found.merge(&hash);
                }
            }
        }
        Ok(Some((self.digest.to_string(), found.to_string())))
    }
}
