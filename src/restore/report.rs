//! What a restore reports: the plan, the way back, and what was found in the database.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::counted::{MergeCounts, RejectedDocument};
use crate::archive::{ConsistencyLevel, hex_sum};
use crate::backup::RunStatus;
use crate::catalog::Kind;
use crate::digest::Sum;
use crate::plan::{Action, Diff, Parked, RestorePlan, is_zero};
use crate::store::Location;

/// The answer of the restore handler and of `mongotar restore --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RestoreReport {
    /// `complete`, `partial`, `failed` (nothing was changed), or `planned` (a dry run).
    pub status: RunStatus,
    /// The whole report in one sentence, for a notification.
    #[serde(default)]
    pub summary: String,
    /// From which archive.
    pub archive: String,
    /// Into which database.
    pub database: String,
    /// What consents to this plan.
    pub confirm: String,
    /// What was to be done.
    pub plan: RestorePlan,
    /// The way back; `null` where it was waived, where there was nothing to save, and in a dry run.
    pub snapshot: Option<SnapshotReport>,
    /// What is in the database now; `null` in a dry run.
    pub verification: Option<Verification>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// The backup that was made before the first change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SnapshotReport {
    /// Where it is.
    pub archive: Location,
    /// How many documents are in it.
    pub documents: u64,
    /// How long it is.
    pub bytes: u64,
    /// Whether every byte of it was read again and found to be what was written. A restore does not begin without that.
    pub verified: bool,
    /// What moment it shows.
    pub consistency: ConsistencyLevel,
    /// The event that brings the target back.
    pub undo: Value,
}

/// What the database was found to hold after the restore.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Verification {
    /// Whether all that was restored is equal to the archive, and all that was to go is gone.
    pub equal: bool,
    /// Every collection of the plan that was to change, and what the target could not take.
    pub collections: Vec<VerifiedCollection>,
}

/// One collection: what the archive has of it, and what the database has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerifiedCollection {
    /// Its name on the target.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What was to be done.
    pub action: Action,
    /// How many documents were read from the archive.
    pub file_count: u64,
    /// How many of them the database has.
    pub db_count: u64,
    /// The digest of the archive's documents, as a server keeps them.
    #[serde(with = "hex_sum")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub digest_archive: Sum,
    /// The digest of the documents that were read back.
    #[serde(with = "hex_sum")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub digest_database: Sum,
    /// Whether documents, options and indexes are what the archive says.
    pub equal: bool,
    /// Whether the target's collection is another than it was before the restore.
    pub changed: Changed,
    /// The digest of the archive's first documents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sample_hash_archive: Option<String>,
    /// The digest of those of them that the database has, looked up by their `_id`s.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sample_hash_database: Option<String>,
    /// How many documents were put in.
    pub inserted: u64,
    /// How many documents have no `_id` in the archive, and were given one that is made of their content; left out
    /// where there is none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub ids_given: u64,
    /// What a merge found. Where an invocation died in the middle, what it had put in after its last saved state counts
    /// as unchanged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merged: Option<MergeCounts>,
    /// How many documents the server refused.
    pub rejected: u64,
    /// Each of them, up to a thousand; the log has all.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rejections: Vec<RejectedDocument>,
    /// How the options that are there differ from the archive's.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub options_diff: Diff,
    /// How the indexes that are there differ from the archive's.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub index_diff: Diff,
    /// Indexes that could not be built.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failed_indexes: Vec<FailedIndex>,
    /// How many documents the collection's validator would refuse; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validator_violations: Option<u64>,
    /// The `_id`s of some of them, as Extended JSON.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub validator_violation_ids: Vec<String>,
    /// How many documents were past their time to live at the end, and expire as soon as they may; absent where nothing
    /// expires, or counting them would have taken long.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub past_expiry: Option<u64>,
    /// What documents do not expire by until it is switched on: that is the only difference there may be where it is
    /// `equal`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parked: Vec<Parked>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// Whether a restore changed a collection of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    /// It is what it was.
    No,
    /// It was created, replaced, merged into or dropped.
    Yes,
    /// It could not be found out: the restore or one of its invocations broke off in it, or the server did not answer
    /// any more.
    Unknown,
}

/// An index that is in the archive and not in the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FailedIndex {
    /// Its name.
    pub name: String,
    /// Why it could not be built.
    pub error: String,
}
