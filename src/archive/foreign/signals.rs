//! What a survey of a foreign archive saw besides documents: enough to tell a time series from a collection later.

use std::collections::BTreeMap;

use super::{Buckets, Outline};
use crate::digest::Sum;

/// What was seen, by collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// Whether the archive has definitions at all: `collections_metadata.json`, or a `.metadata.json` per collection.
    pub metadata: bool,
    /// What was seen of each collection that has documents or buckets in it.
    pub collections: BTreeMap<String, Seen>,
}

/// What was seen of one collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Whether the definitions mention it. Then they decide, even if they do not call it a time series.
    pub described: bool,
    /// Whether the archive has `system.buckets.{name}`.
    pub buckets: bool,
    /// What its first documents have in common.
    pub outline: Outline,
    /// The digest's sum with [`Hashing::SortedFields`](crate::digest::Hashing::SortedFields): the one to expect if the
    /// collection is made a time series.
    pub digest_by_fields: Sum,
    /// What its documents hold, if they are a time series' buckets and not its measurements.
    pub held: Option<Buckets>,
}
