//! The outcome of a planned collection, and what it allows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counted::Loaded;
use super::sample::SampleHashes;
use crate::digest::Digest;
use crate::failure::Failure;
use crate::mongo::MongoError;

/// What became of one planned collection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// What the load counted.
    pub(super) loaded: Loaded,
    /// What the database has of it.
    pub(super) database: Option<Digest>,
    /// What the sample came to. Taken before the commit: after it documents may expire.
    pub(super) sample: Option<SampleHashes>,
    /// Indexes that could not be built, and why.
    pub(super) failed_indexes: Vec<(String, MongoError)>,
    /// The UUID of the collection that was read back and proven. Under its final name there must be no other.
    #[serde(default)]
    pub(super) uuid: Option<String>,
    /// Where it was loaded beside; gone after the commit.
    pub(super) temporary: Option<String>,
    /// What went wrong; the collection is then not what was planned.
    pub(super) error: Option<Failure>,
    /// How many documents the collection's validator would refuse.
    pub(super) validator_violations: Option<u64>,
    /// The `_id`s of some of them.
    pub(super) violating: Vec<String>,
    /// How many documents were past their time to live before it was in force.
    #[serde(default)]
    pub(super) past_expiry: Option<u64>,
}

/// What became of each planned collection, by its place in the plan.
pub(super) type Outcomes = BTreeMap<usize, Outcome>;

impl Outcome {
    pub(super) fn failed(error: impl Into<Failure>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::default()
        }
    }

    /// Whether it may take the place of another collection: every document and index of the archive is there.
    pub(super) fn may_replace(&self) -> bool {
        self.documents_are_equal()
            && self.failed_indexes.is_empty()
            && self.sample.as_ref().is_none_or(SampleHashes::are_equal)
    }

    /// Whether every document of the archive is in the database, and was read back as it is there.
    pub(super) fn documents_are_equal(&self) -> bool {
        self.error.is_none() && self.loaded.rejected == 0 && self.database == Some(self.loaded.archive)
    }
}

/// Whether the target was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is what it was.
    Nothing,
    /// It may have changed.
    Something,
}
