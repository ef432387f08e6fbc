//! A restore plan as a value: the JSON that an auditor reads and the operation obeys.

use serde::{Deserialize, Serialize};

use super::{ArchiveIdentity, Diff, Inferred, NotAToken, Parked, Policy, Token, TokenPart};
use crate::archive::Status;
use crate::catalog::{Definition, Kind};
use crate::digest::{Digest, Hashing, Sum};
use crate::wording::{USERS_LEFT_OUT, USERS_RESTORED};

/// What a restore will do, collection by collection.
///
/// The first three lists are names on the target, sorted. `to_restore` is everything that gets documents or a
/// definition from the archive, `to_create` the part of it that the target does not have yet, `to_drop` what only the
/// target has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RestorePlan {
    /// From which archive.
    pub archive: ArchiveIdentity,
    /// Whether that archive has everything.
    pub status: Status,
    /// The database that the archive was made of, where it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_database: Option<String>,
    /// Into which database.
    pub database: String,
    /// What was asked for.
    pub policy: Policy,
    /// Consent to exactly this plan: see [`RestorePlan::changed_since`].
    pub confirm: Token,
    /// On the target, not in the archive: these go.
    pub to_drop: Vec<String>,
    /// In the archive, not on the target.
    pub to_create: Vec<String>,
    /// Everything that is restored from the archive.
    pub to_restore: Vec<String>,
    /// Sums over the collections.
    pub totals: PlanTotals,
    /// What a person should know before consenting, beyond single collections.
    pub warnings: Vec<String>,
    /// Every collection of the archive and of the target, in the order of execution: collections, time series, views
    /// (each after those it reads from), what is skipped, what is dropped.
    pub collections: Vec<Planned>,
}

impl RestorePlan {
    /// Leaves out what it says of users to those who have not asked for them.
    pub fn with_users(&mut self) {
        let is_hint = |warning: &String| warning.ends_with(USERS_RESTORED) || warning.ends_with(USERS_LEFT_OUT);
        self.warnings.retain(|warning| !is_hint(warning));
    }

    /// What has changed since the plan with that token: nothing if the token consents to this plan.
    ///
    /// # Errors
    /// If it is not a token.
    pub fn changed_since(&self, token: &str) -> Result<Vec<TokenPart>, NotAToken> {
        Ok(self.confirm.differing(&token.parse()?))
    }

    /// The row that changes, or leaves alone, the collection of that name on the target. A collection of the archive
    /// that is left out because another one gets its name is not meant.
    pub fn get(&self, name: &str) -> Option<&Planned> {
        let rows = || self.collections.iter().filter(|planned| planned.name == name);
        rows()
            .find(|planned| planned.action != Action::Skip)
            .or_else(|| rows().next())
    }

    /// The rows that are restored from the archive, in the order of execution.
    pub fn restored(&self) -> impl Iterator<Item = &Planned> {
        self.collections.iter().filter(|planned| planned.action.restores())
    }
}

/// Sums over a plan's collections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlanTotals {
    /// How many collections, time series and views are restored.
    pub collections: u64,
    /// How many documents they have.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// How many collections are dropped.
    pub collections_to_drop: u64,
    /// How many documents those have, as the server estimates.
    pub documents_to_drop: u64,
    /// How many documents are in collections that are replaced, as the server estimates.
    pub documents_to_replace: u64,
    /// How many collections are dropped or replaced of whose documents the server gives no number: time series.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub uncounted_collections: u64,
}

/// What happens to one collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Planned {
    /// Its name on the target.
    pub name: String,
    /// Its name in the archive; none for what only the target has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// What it will be; for what is not restored, what it is.
    pub kind: Kind,
    /// What happens.
    pub action: Action,
    /// How.
    pub method: Method,
    /// Why so.
    pub reason: String,
    /// Whether the archive has it whole, and the target cannot take it. The restore is then `partial`, and drops
    /// nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub not_taken: bool,
    /// What is destroyed, where something is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<String>,
    /// How many documents the archive has of it.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// How many documents the target has of it, as the server estimates; none where it has no such collection or does
    /// not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub documents_present: Option<u64>,
    /// What the archive's documents amount to; none for views, and for what is not restored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fingerprint: Option<Fingerprint>,
    /// Why it is taken for a time series.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeseries: Option<Inferred>,
    /// The buckets that go in, where the archive has a time series as those.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub buckets: Option<PlannedBuckets>,
    /// The options to create it with; empty where nothing is created.
    #[serde(skip_serializing_if = "Definition::is_empty", default)]
    pub options: Definition,
    /// The indexes to build, without the one on `_id` that comes with a collection. For a merge, those that the target
    /// lacks.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub indexes: Vec<Definition>,
    /// What documents do not expire by until it is switched on, where that was asked for; indexes and options are then
    /// those that are made.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parked: Vec<Parked>,
    /// How the archive's options differ from those that are there now.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub options_diff: Diff,
    /// How the archive's indexes differ from those that are there now.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub index_diff: Diff,
    /// What a person should know about it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A time series whose documents are the server's own buckets, which go in as they are and are read back as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlannedBuckets {
    /// The server's own collection that they go into.
    pub collection: String,
    /// How many measurements they hold.
    pub measurements: u64,
}

/// What happens to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// It is made anew; the target has none of that name.
    Create,
    /// It becomes what the archive holds.
    Replace,
    /// The archive's documents are put into it by `_id`.
    Merge,
    /// It goes.
    Drop,
    /// It is left alone.
    Skip,
}

impl Action {
    /// Whether something of the archive ends up on the target.
    pub fn restores(self) -> bool {
        matches!(self, Self::Create | Self::Replace | Self::Merge)
    }
}

/// How a collection is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// Loaded beside under a temporary name, verified, and renamed into place: a failure leaves what was there.
    Aside,
    /// Loaded beside and verified; then what has the name is dropped, since the server would not rename over it, and
    /// the rename follows at once.
    AsideAfterDrop,
    /// Changed under its own name: a failure halfway is visible.
    InPlace,
    /// Not changed.
    None,
}

/// What a collection's documents amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fingerprint {
    /// The digest's sum, as 32 hex digits in JSON.
    #[serde(with = "crate::archive::hex_sum")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub digest: Sum,
    /// What it is made of.
    #[serde(with = "hashing")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub hashing: Hashing,
}

impl Planned {
    /// The digest that the archive's documents must have.
    pub fn expected_digest(&self) -> Option<Digest> {
        let sum = self.fingerprint?.digest;
        Some(Digest::from_parts(sum, self.documents, self.bytes))
    }

    /// What its documents are to a server, and into which collection they go, where it goes by `name`.
    pub(crate) fn goes_into<'a>(&'a self, name: &'a str) -> (Kind, &'a str) {
        match &self.buckets {
            Some(buckets) => (Kind::Collection, &buckets.collection),
            None => (self.kind, name),
        }
    }
}

mod hashing {
    use crate::digest::Hashing;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(hashing: &Hashing, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match hashing {
            Hashing::Raw => "raw",
            Hashing::SortedFields => "sorted-fields",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hashing, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "raw" => Ok(Hashing::Raw),
            "sorted-fields" => Ok(Hashing::SortedFields),
            other => Err(de::Error::custom(format!("unknown hashing {other:?}"))),
        }
    }
}
