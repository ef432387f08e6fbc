//! What a restore says when it is done: the plan, the way back, and what was found in the database.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::collection::Run;
use super::commit::Committed;
use super::create::without_expiry;
use super::indexes::is_expiring;
pub use super::merge::MergeCounts;
use super::outcome::{Outcome, Outcomes};
use super::sample::SampleHashes;
use super::{Prepared, summary};
use crate::archive::{ConsistencyLevel, Status, hex_sum};
use crate::backup::RunStatus;
use crate::catalog::{Catalog, Collection, Definition, Kind};
use crate::digest::Sum;
use crate::failure::Failure;
use crate::plan::{Action, Diff, Planned, RestorePlan};
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
    /// Every collection of the plan that was to change.
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
    /// How many documents have no `_id` in the archive, and were given one that is made of their content; left out where there is none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub ids_given: u64,
    /// What a merge found. Where an invocation died in the middle, what it had put in after its last saved state counts as unchanged.
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
    /// It could not be found out: the restore or one of its invocations broke off in it, or the server did not answer any more.
    Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A document that is in the archive and not in the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RejectedDocument {
    /// Its `_id`, as Extended JSON.
    pub id: String,
    /// The server's code.
    pub code: i32,
    /// The server's reason.
    pub message: String,
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

impl RestoreReport {
    /// The answer of a dry run.
    pub fn planned(prepared: Prepared) -> Self {
        Self::new(RunStatus::Planned, prepared, None, None, Duration::ZERO)
    }

    pub(super) fn finished(
        prepared: Prepared,
        snapshot: Option<SnapshotReport>,
        (committed, verification): (Committed, Verification),
        took: Duration,
    ) -> Self {
        let status = match (committed, verification.equal, prepared.archive.status()) {
            (Committed::Nothing, ..) => RunStatus::Failed,
            (_, true, Status::Complete) => RunStatus::Complete,
            _ => RunStatus::Partial,
        };
        Self::new(status, prepared, snapshot, Some(verification), took)
    }

    fn new(
        status: RunStatus,
        prepared: Prepared,
        snapshot: Option<SnapshotReport>,
        verification: Option<Verification>,
        took: Duration,
    ) -> Self {
        let mut report = Self {
            status,
            summary: String::new(),
            archive: prepared.archive.object.location.to_string(),
            database: prepared.plan.database.clone(),
            confirm: prepared.plan.confirm.to_string(),
            plan: prepared.plan,
            snapshot,
            verification,
            seconds: took.as_secs_f64(),
        };
        report.summary = summary::of(&report);
        report
    }
}

/// Compares what is there with what was to be there.
///
/// # Errors
/// Where the target cannot be looked at for what passes, and the run can be gone on with.
pub(super) async fn verify(
    run: &Run<'_>,
    mut outcomes: Outcomes,
    committed: Committed,
) -> Result<Verification, Failure> {
    run.tools.progress.step("verifying");
    let surveyed = survey(run, committed).await;
    if let Err(failure) = &surveyed
        && failure.passes()
        && run.can_be_gone_on_with()
    {
        return Err(failure.clone());
    }
    let mut collections = Vec::new();
    for (place, planned) in run.rows().filter(|(_, planned)| planned.action != Action::Skip) {
        let outcome = outcomes.remove(&place).unwrap_or_else(|| {
            Outcome::failed(crate::failure::Failure::new(
                crate::failure::FailureKind::Database,
                "not begun, because of an earlier failure",
            ))
        });
        let (repeated, uuid) = (outcome.loaded.repeated, outcome.uuid.clone());
        let mut verified = of_outcome(planned, outcome);
        let before = run.prepared.target.get(&planned.name);
        match &surveyed {
            _ if committed == Committed::Nothing => verified.changed = Changed::No,
            Ok(now) => verified.changed = changed(before, now.get(&planned.name), &verified),
            Err(_) => {}
        }
        // What a dead invocation has merged counts as unchanged.
        if repeated && verified.changed == Changed::No && committed == Committed::Something {
            verified.changed = Changed::Unknown;
        }
        match &surveyed {
            Ok(now) => {
                compare(planned, now, Expiry::Begun, &mut verified);
                if committed == Committed::Something {
                    check_identity(planned, uuid.as_deref(), now, &mut verified);
                }
            }
            Err(error) => verified.fail(format!("what is there in the end could not be looked at ({error})")),
        }
        collections.push(verified);
    }
    Ok(Verification {
        equal: collections.iter().all(|collection| collection.equal),
        collections,
    })
}

/// The target as it is, when a majority has what was done: whatever one member says alone may be undone.
async fn survey(run: &Run<'_>, committed: Committed) -> Result<Catalog, Failure> {
    if committed == Committed::Something {
        run.lock.confirm().await?;
    }
    Ok(run.mongo().survey_definitions(run.database()).await?)
}

/// The name must stand for the very collection whose documents were proven.
fn check_identity(planned: &Planned, uuid: Option<&str>, now: &Catalog, verified: &mut VerifiedCollection) {
    let (Some(proven), Some(present)) = (uuid, now.get(&planned.name)) else {
        return;
    };
    if present.uuid.as_deref() != Some(proven) {
        verified.fail(format!(
            "{} is another collection than the one that was loaded and proven: restore again",
            planned.name
        ));
    }
}

/// Whether time-to-live is in force already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It is set last of all.
    ToCome,
    /// It is.
    Begun,
}

/// Whether a collection is there as it was planned: documents, options and indexes.
pub(super) fn is_as_planned(planned: &Planned, outcome: &Outcome, now: &Catalog, expiry: Expiry) -> bool {
    let mut verified = of_outcome(planned, outcome.clone());
    compare(planned, now, expiry, &mut verified);
    verified.equal
}

impl VerifiedCollection {
    /// How many documents of the archive it is known of what became of them: all, or something has been lost silently.
    pub fn accounted_for(&self) -> u64 {
        let merged = self.merged.unwrap_or_default();
        self.inserted + merged.replaced + merged.unchanged + self.rejected
    }

    fn fail(&mut self, reason: String) {
        self.equal = false;
        self.error.get_or_insert(reason);
    }
}

fn of_outcome(planned: &Planned, outcome: Outcome) -> VerifiedCollection {
    let has_documents = planned.kind != Kind::View && planned.action.restores();
    let documents_equal = outcome.documents_are_equal() || (!has_documents && outcome.error.is_none());
    let samples_equal = outcome.sample.as_ref().is_none_or(SampleHashes::are_equal);
    let database = outcome.database.unwrap_or_default();
    let (sample_hash_archive, sample_hash_database) =
        outcome.sample.map(|sample| (sample.archive, sample.database)).unzip();
    let mut verified = VerifiedCollection {
        name: planned.name.clone(),
        kind: planned.kind,
        action: planned.action,
        file_count: outcome.loaded.archive.documents(),
        db_count: database.documents(),
        digest_archive: outcome.loaded.archive.sum(),
        digest_database: database.sum(),
        equal: documents_equal && samples_equal && outcome.failed_indexes.is_empty(),
        changed: Changed::Unknown,
        sample_hash_archive,
        sample_hash_database,
        inserted: outcome.loaded.inserted,
        ids_given: outcome.loaded.ids_given,
        merged: outcome.loaded.merged,
        rejected: outcome.loaded.rejected,
        rejections: outcome.loaded.rejections,
        options_diff: Diff::default(),
        index_diff: Diff::default(),
        failed_indexes: outcome
            .failed_indexes
            .into_iter()
            .map(|(name, error)| FailedIndex {
                name,
                error: error.to_string(),
            })
            .collect(),
        validator_violations: outcome.validator_violations,
        validator_violation_ids: outcome.violating,
        error: outcome.error.map(|failure| failure.to_string()),
    };
    if verified.error.is_none() && verified.accounted_for() != verified.file_count {
        verified.fail(format!(
            "of {} documents of the archive {} are accounted for (inserted, replaced, unchanged or rejected)",
            verified.file_count,
            verified.accounted_for()
        ));
    }
    verified
}

/// Told by the server's own UUIDs, not by what was tried: an answer can be lost.
fn changed(before: Option<&Collection>, now: Option<&Collection>, verified: &VerifiedCollection) -> Changed {
    let (before, now) = match (before, now) {
        (None, None) => return Changed::No,
        (Some(before), Some(now)) => (before, now),
        _ => return Changed::Yes,
    };
    let merged = verified.merged.unwrap_or_default();
    let defined_alike = before.options == now.options && before.indexes.len() == now.indexes.len();
    match () {
        () if before.kind != now.kind || before.uuid != now.uuid || !defined_alike => Changed::Yes,
        () if verified.action != Action::Merge && (now.uuid.is_some() || now.kind == Kind::View) => Changed::No,
        () if verified.action != Action::Merge || verified.error.is_some() => Changed::Unknown,
        () if verified.inserted + merged.replaced > 0 => Changed::Yes,
        () => Changed::No,
    }
}

/// Adds what differs in definitions.
fn compare(planned: &Planned, now: &Catalog, expiry: Expiry, verified: &mut VerifiedCollection) {
    let present = now.get(&planned.name);
    let Some(present) = present.filter(|_| planned.action != Action::Drop) else {
        let is_as_planned = present.is_none() == (planned.action == Action::Drop);
        if !is_as_planned {
            verified.fail(format!(
                "{} is {}",
                planned.name,
                if present.is_some() { "still there" } else { "not there" }
            ));
        }
        return;
    };
    if planned.action == Action::Merge && planned.kind != Kind::View {
        // What the target had beside the archive stays; what the archive has must be there. Options, and indexes that are there under the same name, a merge leaves as they are: so they
        // differ as the plan says.
        let mut diff = Diff::of_indexes(&expected_indexes(planned, expiry), &present.indexes);
        let others = planned.index_diff.changed.iter();
        let others: Vec<String> = others.filter(|name| !diff.changed.contains(*name)).cloned().collect();
        diff.changed.extend(others);
        verified.index_diff = Diff {
            removed: Vec::new(),
            ..diff
        };
        verified.options_diff = Diff {
            removed: Vec::new(),
            ..planned.options_diff.clone()
        };
    } else {
        verified.options_diff = Diff::of_options(&expected_options(planned, expiry), &present.options);
        verified.index_diff = Diff::of_indexes(&expected_indexes(planned, expiry), &without_own(&present.indexes));
    }
    if present.kind != planned.kind && planned.action != Action::Merge {
        verified.fail(format!(
            "{} is a {} and not a {}",
            planned.name, present.kind, planned.kind
        ));
    }
    verified.equal &= verified.options_diff.is_empty() && verified.index_diff.is_empty();
}

fn expected_indexes(planned: &Planned, expiry: Expiry) -> Vec<Definition> {
    let mut expected = without_own(&planned.indexes);
    expected.retain(|index| expiry == Expiry::Begun || !is_expiring(index));
    expected
}

fn expected_options(planned: &Planned, expiry: Expiry) -> Definition {
    match expiry {
        Expiry::Begun => planned.options.clone(),
        Expiry::ToCome => without_expiry(&planned.options),
    }
}

/// Indexes without those that come with a collection.
pub(crate) fn without_own(indexes: &[Definition]) -> Vec<Definition> {
    indexes
        .iter()
        .filter(|index| index.get_str("name") != Some("_id_") && index.get_bool("clustered") != Some(true))
        .cloned()
        .collect()
}
