//! The last look: compares what is there with the plan.

use super::outcome::{Committed, Outcome, Outcomes};
use super::report::{Changed, FailedIndex, Verification, VerifiedCollection};
use super::sample::SampleHashes;
use super::work::Restoring;
use crate::catalog::{Catalog, Collection, Definition, Kind, says_expiry, without_expiry};
use crate::failure::{Failure, FailureKind};
use crate::plan::{Action, Diff, Planned, without_own};

/// Compares what is there with the plan.
///
/// # Errors
/// If a passing fault keeps us from the target, and the run can be resumed.
pub(super) async fn verify(
    run: &Restoring<'_>,
    mut outcomes: Outcomes,
    committed: Committed,
) -> Result<Verification, Failure> {
    run.tools.progress.step("verifying");
    let surveyed = survey(run, committed).await;
    if let Err(failure) = &surveyed
        && failure.passes()
        && run.record.is_kept()
    {
        return Err(failure.clone());
    }
    let mut collections = Vec::new();
    for (place, planned) in run.rows() {
        if planned.action == Action::Skip {
            collections.extend(planned.not_taken.then(|| not_taken(planned)));
            continue;
        }
        let outcome = outcomes.remove(&place).unwrap_or_else(|| {
            Outcome::failed(Failure::new(
                FailureKind::Database,
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
            Err(error) => verified.fail(format!("the final state could not be read ({error})")),
        }
        collections.push(verified);
    }
    Ok(Verification {
        equal: collections.iter().all(|collection| collection.equal),
        collections,
    })
}

/// The target as it is, when a majority has what was done: whatever one member says alone may be undone.
async fn survey(run: &Restoring<'_>, committed: Committed) -> Result<Catalog, Failure> {
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
            "{} is another collection than the one loaded and proven: restore again",
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

/// What was asked for and cannot be there: a restore without it is less than was asked for.
fn not_taken(planned: &Planned) -> VerifiedCollection {
    let failure = Failure::new(FailureKind::Database, format!("not restored: {}", planned.reason));
    VerifiedCollection {
        changed: Changed::No,
        ..of_outcome(planned, Outcome::failed(failure))
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
        past_expiry: outcome.past_expiry,
        parked: planned.parked.clone(),
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
        // What the target had beside the archive stays; what the archive has must be there. Options, and indexes that
        // are there under the same name, a merge leaves as they are: so they differ as the plan says.
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
            "{} is a {}, not a {}",
            planned.name, present.kind, planned.kind
        ));
    }
    verified.equal &= verified.options_diff.is_empty() && verified.index_diff.is_empty();
}

fn expected_indexes(planned: &Planned, expiry: Expiry) -> Vec<Definition> {
    let mut expected = without_own(&planned.indexes);
    expected.retain(|index| expiry == Expiry::Begun || !says_expiry(index));
    expected
}

fn expected_options(planned: &Planned, expiry: Expiry) -> Definition {
    match expiry {
        Expiry::Begun => planned.options.clone(),
        Expiry::ToCome => without_expiry(&planned.options),
    }
}
