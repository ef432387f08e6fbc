//! Puts the report together, and sums up the restore in one sentence for a notification.

use std::time::Duration;

use super::outcome::Committed;
use super::prepare::Prepared;
use super::report::{RestoreReport, SnapshotReport, Verification, VerifiedCollection};
use crate::archive::Status;
use crate::backup::RunStatus;
use crate::wording::{count, duration, first_few, size, with_reason};

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
            archive: prepared.archive.named().to_string(),
            database: prepared.plan.database.clone(),
            confirm: prepared.plan.confirm.to_string(),
            plan: prepared.plan,
            snapshot,
            verification,
            seconds: took.as_secs_f64(),
        };
        report.summary = of(&report);
        report
    }
}

/// The whole report in one sentence.
fn of(report: &RestoreReport) -> String {
    let (archive, database) = (&report.archive, &report.database);
    let not_taken = report.plan.collections.iter().filter(|row| row.not_taken).count() as u64;
    let asked = match &report.verification {
        Some(_) => not_taken,
        None => 0,
    };
    let collections = count(report.plan.totals.collections + asked, "collection");
    let took = duration(report.seconds);
    let way_back = match &report.snapshot {
        Some(snapshot) => format!("; the way back is {}", snapshot.archive),
        None => String::new(),
    };
    let verified = report.verification.iter().flat_map(|verified| &verified.collections);
    let way_back = format!("{}{way_back}", of_expiry(verified.clone()));
    let documents = count(verified.clone().map(|verified| verified.db_count).sum(), "document");
    let unequal: Vec<String> = verified
        .filter(|verified| !verified.equal)
        .map(|verified| with_reason(&verified.name, &shortcoming(verified)))
        .collect();
    match report.status {
        RunStatus::Planned => planned(report),
        RunStatus::Complete => format!(
            "{database} is restored and proven equal to {archive}: {collections}, {documents} in {took}{way_back}"
        ),
        RunStatus::Failed => format!(
            "NOTHING was changed in {database} by the restore of {archive}, which failed after {took}: {}{way_back}",
            first_few(unequal)
        ),
        _ if unequal.is_empty() => format!(
            "{database} equals all that {archive} holds, but that archive is PARTIAL: {collections}, {documents} in {took}{way_back}"
        ),
        _ => format!(
            "{database} is NOT restored whole from {archive} after {took}: of {collections}, {} not equal: {}{way_back}",
            match unequal.len() {
                1 => "1 is".to_owned(),
                many => format!("{many} are"),
            },
            first_few(unequal)
        ),
    }
}

/// What is not in force, and what will not be there for long.
pub(crate) fn of_expiry<'a>(verified: impl Iterator<Item = &'a VerifiedCollection> + Clone) -> String {
    let parked = verified.clone().map(|verified| verified.parked.len() as u64).sum();
    let past: u64 = verified.filter_map(|verified| verified.past_expiry).sum();
    let expire = match past {
        0 => String::new(),
        past => format!("; {} past the time to live", count(past, "document")),
    };
    match parked {
        0 => expire,
        parked => format!(
            "; the only difference: {}, off until switched on{expire}",
            count(parked, "parked time") + " to live"
        ),
    }
}

fn planned(report: &RestoreReport) -> String {
    let totals = &report.plan.totals;
    let dropped = match totals.collections_to_drop {
        0 => String::new(),
        dropped => format!(
            " and drop {} with {}",
            count(dropped, "collection"),
            count(totals.documents_to_drop, "document")
        ),
    };
    let uncounted = match totals.uncounted_collections {
        0 => None,
        uncounted => Some(format!("all of {uncounted} time series")),
    };
    let replaced = match totals.documents_to_replace {
        0 => None,
        replaced => Some(format!("{} that are there", count(replaced, "document"))),
    };
    let lost: Vec<String> = replaced.into_iter().chain(uncounted).collect();
    let replaced = match lost.is_empty() {
        true => String::new(),
        false => format!(", instead of {}", lost.join(" and ")),
    };
    format!(
        "planned, and nothing changed: a restore of {} would put {}, {}{} ({}) into {}{replaced}{dropped}",
        report.archive,
        count(totals.collections, "collection"),
        count(totals.documents, "document"),
        report.plan.of_buckets(),
        size(totals.bytes),
        report.database
    )
}

/// The first of what makes a collection unequal.
fn shortcoming(verified: &VerifiedCollection) -> String {
    match verified {
        VerifiedCollection { error: Some(error), .. } => error.clone(),
        VerifiedCollection { rejected: 1.., .. } => format!("{} refused", count(verified.rejected, "document")),
        VerifiedCollection { failed_indexes, .. } if !failed_indexes.is_empty() => {
            let failed = failed_indexes.iter();
            format!(
                "index {}",
                first_few(failed.map(|index| with_reason(&index.name, &index.error)))
            )
        }
        _ if verified.file_count != verified.db_count => format!(
            "{} in the archive, {} in the database",
            count(verified.file_count, "document"),
            count(verified.db_count, "document")
        ),
        _ if verified.digest_archive != verified.digest_database => "the documents differ".to_owned(),
        _ => "options or indexes differ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Policy;
    use serde_json::{Value, json};

    fn verified(name: &str, more: Value) -> Value {
        let digest = "0123456789abcdef0123456789abcdef";
        let mut verified = json!({
            "name": name, "kind": "collection", "action": "create", "file_count": 10, "db_count": 10, "digest_archive": digest,
            "digest_database": digest, "equal": true, "changed": "yes", "inserted": 10, "rejected": 0,
        });
        for (field, value) in more.as_object().expect("fields") {
            verified[field] = value.clone();
        }
        verified
    }

    fn report(status: RunStatus, collections: &[Value]) -> RestoreReport {
        let token = ["0123456789abcdef"; 4].join("-");
        let plan = json!({
            "archive": {"location": "s3://b/a.tar", "name": "a", "manifest": ""}, "status": "complete", "database": "shop",
            "policy": Policy::new("shop"), "confirm": token, "to_drop": [], "to_create": [], "to_restore": [],
            "totals": {
                "collections": 2, "documents": 20, "bytes": 2_000, "collections_to_drop": 1, "documents_to_drop": 5, "documents_to_replace": 1_500,
            },
            "warnings": [], "collections": [],
        });
        let way_back = json!({
            "archive": "s3://b/pre-restore/s.tar.zst", "documents": 5, "bytes": 500, "verified": true, "consistency": "snapshot", "undo": {},
        });
        let carried_out = status != RunStatus::Planned;
        let equal = status == RunStatus::Complete;
        serde_json::from_value(json!({
            "status": status, "archive": "s3://b/a.tar", "database": "shop", "confirm": token, "plan": plan,
            "snapshot": if carried_out { way_back } else { Value::Null },
            "verification": if carried_out { json!({"equal": equal, "collections": collections}) } else { Value::Null },
            "seconds": 12.0,
        }))
        .expect("a report")
    }

    #[test]
    fn each_way_in_which_a_restore_ends_is_one_sentence() {
        let (a, b) = (verified("a", json!({})), verified("b", json!({})));
        let way_back = "; the way back is s3://b/pre-restore/s.tar.zst";
        let broken = verified("b", json!({"equal": false, "error": "Database: it went away"}));
        for (status, collections, expected) in [
            (
                RunStatus::Planned,
                &[][..],
                "planned, and nothing changed: a restore of s3://b/a.tar would put 2 collections, 20 documents (2.0 kB) into shop, instead of 1,500 documents that are there and drop 1 collection with 5 documents".to_owned(),
            ),
            (
                RunStatus::Complete,
                &[a.clone(), b.clone()],
                format!("shop is restored and proven equal to s3://b/a.tar: 2 collections, 20 documents in 12 s{way_back}"),
            ),
            (
                RunStatus::Partial,
                &[a.clone(), broken.clone()],
                format!("shop is NOT restored whole from s3://b/a.tar after 12 s: of 2 collections, 1 is not equal: b (Database: it went away){way_back}"),
            ),
            (
                RunStatus::Partial,
                &[a.clone(), b],
                format!("shop equals all that s3://b/a.tar holds, but that archive is PARTIAL: 2 collections, 20 documents in 12 s{way_back}"),
            ),
            (
                RunStatus::Failed,
                &[broken],
                format!("NOTHING was changed in shop by the restore of s3://b/a.tar, which failed after 12 s: b (Database: it went away){way_back}"),
            ),
        ] {
            assert_eq!(of(&report(status, collections)), expected);
        }
    }

    #[test]
    fn what_makes_a_collection_unequal_is_said_of_each() {
        for (more, expected) in [
            (json!({"rejected": 1, "db_count": 9}), "c (1 document refused)"),
            (
                json!({"failed_indexes": [{"name": "email_1", "error": "two alike"}]}),
                "c (index email_1 (two alike))",
            ),
            (
                json!({"db_count": 9}),
                "c (10 documents in the archive, 9 documents in the database)",
            ),
            (
                json!({"digest_database": "1123456789abcdef0123456789abcdef"}),
                "c (the documents differ)",
            ),
            (json!({}), "c (options or indexes differ)"),
        ] {
            let mut collection = verified("c", more);
            collection["equal"] = false.into();
            let said = of(&report(RunStatus::Partial, &[collection]));
            assert!(said.contains(&format!("1 is not equal: {expected};")), "{said}");
        }
    }
}
