//! What a drill found, for machines and for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::archive::{ArchiveName, Status};
use crate::backup::RunStatus;
use crate::failure::Failure;
use crate::mongo::MongoError;
use crate::plan::RestorePlan;
use crate::restore::{RestoreReport, Verification, of_expiry};
use crate::run::rfc3339;
use crate::soundness::VerifyReport;
use crate::store::Location;
use crate::wording::{count, duration, first_few, size};

/// The one word at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DrillVerdict {
    /// All that the archive holds was restored and is equal, and the archive is whole.
    Passed,
    /// Anything else.
    Failed,
}

/// The answer of `{"action": "drill"}` and of `mongotar drill --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DrillReport {
    /// `complete` where the drill passed and left nothing behind; `partial` where something differs or remains;
    /// `failed` where nothing was restored.
    pub status: RunStatus,
    /// The whole report in one sentence, for a notification.
    #[serde(default)]
    pub summary: String,
    /// Whether the backup restores.
    pub verdict: DrillVerdict,
    /// Which archive; `null` where none was found.
    pub archive: Option<String>,
    /// How old it was, in seconds.
    pub archive_age_seconds: Option<i64>,
    /// How many bytes of it were read and checked; `null` where it could not be opened.
    pub archive_bytes_checked: Option<u64>,
    /// When the drill began, RFC 3339, UTC.
    pub started: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The scratch database.
    pub scratch: String,
    /// Whether it is gone again.
    pub dropped: bool,
    /// Other scratch databases with a name of ours: of drills that run now, or that were killed. They are left alone.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub other_scratch_databases: Vec<String>,
    /// Every collection's counts and digests; `null` where nothing was restored.
    pub verification: Option<Verification>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
    /// What must be known of what was proven: what was left out by intent, and what the plan says of archive and
    /// collections.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// The report as Markdown.
    pub markdown: String,
}

/// What the steps of a drill came to.
#[derive(Debug)]
pub(super) struct DrillFindings {
    pub(super) restored: Result<RestoreReport, Failure>,
    /// The archive's bytes; none if it could not be restored at all.
    pub(super) checked: Option<Result<VerifyReport, Failure>>,
    pub(super) scratch: String,
    pub(super) dropped: Result<(), MongoError>,
    pub(super) others: Vec<String>,
}

impl DrillReport {
    pub(super) fn new(began: OffsetDateTime, took: Duration, found: DrillFindings) -> Self {
        let mut report = Self {
            status: RunStatus::Failed,
            summary: String::new(),
            verdict: DrillVerdict::Failed,
            archive: None,
            archive_age_seconds: None,
            archive_bytes_checked: None,
            started: rfc3339(began),
            seconds: took.as_secs_f64(),
            scratch: found.scratch,
            dropped: found.dropped.is_ok(),
            other_scratch_databases: found.others,
            verification: None,
            problems: Vec::new(),
            notes: Vec::new(),
            markdown: String::new(),
        };
        match found.restored {
            Ok(restored) => report.take(restored, began),
            Err(failure) => report.problems.push(failure.to_string()),
        }
        match found.checked {
            Some(Ok(checked)) => {
                report.archive_bytes_checked = Some(checked.archive_bytes);
                if checked.status != RunStatus::Complete && checked.damaged.is_empty() {
                    report
                        .problems
                        .push("not every byte of the archive is proven sound".to_owned());
                }
                report.problems.extend(checked.damaged);
            }
            Some(Err(failure)) => report.problems.push(failure.to_string()),
            // What could not be restored has said so.
            None if report.problems.is_empty() => {
                report.problems.push("the archive's bytes were not checked".to_owned())
            }
            None => {}
        }
        if report.problems.is_empty() && report.status == RunStatus::Complete {
            report.verdict = DrillVerdict::Passed;
        }
        report
            .problems
            .extend(found.dropped.err().map(|error| error.to_string()));
        if !report.problems.is_empty() && report.status == RunStatus::Complete {
            report.status = RunStatus::Partial;
        }
        report.markdown = markdown(&report);
        report.summary = summary(&report);
        report
    }

    fn take(&mut self, restored: RestoreReport, began: OffsetDateTime) {
        let file = restored
            .archive
            .parse::<Location>()
            .map(|location| location.file_name());
        let name = file.ok().and_then(|file| ArchiveName::of_object(&file));
        self.archive_age_seconds = name.map(|(name, _)| began.unix_timestamp() - name.unix_seconds());
        self.archive = Some(restored.archive);
        self.status = restored.status;
        self.notes = notes(&restored.plan);
        if restored.plan.status != Status::Complete {
            self.problems
                .push(format!("the archive itself is {}", restored.plan.status));
        }
        let verification = restored
            .verification
            .iter()
            .flat_map(|verification| &verification.collections);
        for collection in verification.filter(|collection| !collection.equal) {
            let why = collection.error.as_deref().unwrap_or("it is not equal to the archive");
            self.problems.push(format!("{:?}: {why}", collection.name));
        }
        // An archive of nothing proves nothing.
        if restored.plan.totals.collections == 0 {
            self.status = RunStatus::Failed;
            self.problems
                .push("no collection was restored, so nothing was proven".to_owned());
        }
        self.verification = restored.verification;
    }
}

/// What was left out by intent, and what the plan warns of.
fn notes(plan: &RestorePlan) -> Vec<String> {
    let policy = &plan.policy;
    let listed = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    let left_out = [
        listed("only these collections were restored", &policy.selection.include),
        listed("these collections were left out", &policy.selection.exclude),
        listed("these indexes were left out", &policy.exclude_indexes),
    ];
    let rows = plan.collections.iter();
    let of_rows = rows.flat_map(|row| row.warnings.iter().map(|warning| format!("{}: {warning}", row.name)));
    left_out
        .into_iter()
        .flatten()
        .chain(plan.warnings.iter().cloned())
        .chain(of_rows)
        .collect()
}

fn summary(report: &DrillReport) -> String {
    let archive = report.archive.as_deref().unwrap_or("no archive");
    let age = match report.archive_age_seconds {
        Some(age) => format!(" ({} old)", duration(age as f64)),
        None => String::new(),
    };
    let took = duration(report.seconds);
    let problems = first_few(report.problems.iter().cloned());
    if report.verdict == DrillVerdict::Failed {
        return format!("drill FAILED with {archive}{age} after {took}: {problems}");
    }
    let restored = report.verification.iter().flat_map(|restored| &restored.collections);
    let expiry = of_expiry(restored.clone());
    let proven = format!(
        "{}, {} restored and proven equal, {} of archive checked, in {took}{expiry}",
        count(restored.clone().count() as u64, "collection"),
        count(restored.map(|restored| restored.db_count).sum(), "document"),
        size(report.archive_bytes_checked.unwrap_or_default()),
    );
    match problems.as_str() {
        "" => format!("drill passed with {archive}{age}: {proven}"),
        problems => format!("drill passed with {archive}{age}: {proven}; but {problems}"),
    }
}

fn markdown(report: &DrillReport) -> String {
    let mut out = String::new();
    let verdict = match report.verdict {
        DrillVerdict::Passed => "passed",
        DrillVerdict::Failed => "FAILED",
    };
    let _ = writeln!(out, "# Restore drill of {}: {verdict}\n", report.started);
    let archive = report.archive.as_deref().unwrap_or("none restored");
    let _ = writeln!(out, "- Archive: `{}`", on_one_line(archive));
    if let Some(age) = report.archive_age_seconds {
        let _ = writeln!(out, "- Its age: {} h {} min", age / 3600, age % 3600 / 60);
    }
    if let Some(bytes) = report.archive_bytes_checked {
        let _ = writeln!(out, "- Its bytes, all read and checked: {bytes}");
    }
    let left = if report.dropped {
        "dropped afterwards"
    } else {
        "STILL THERE"
    };
    let _ = writeln!(out, "- Scratch database: `{}`, {left}", on_one_line(&report.scratch));
    if !report.other_scratch_databases.is_empty() {
        let others = report.other_scratch_databases.iter();
        let others: Vec<String> = others.map(|name| on_one_line(name)).collect();
        let others = others.join("`, `");
        let _ = writeln!(
            out,
            "- Other scratch databases, of drills that run or were killed: `{others}`"
        );
    }
    let _ = writeln!(out, "- Time taken: {:.1} s", report.seconds);
    for problem in &report.problems {
        let _ = writeln!(out, "- **Problem**: {}", on_one_line(problem));
    }
    for note in &report.notes {
        let _ = writeln!(out, "- Note: {}", on_one_line(note));
    }
    let Some(verification) = &report.verification else {
        return out;
    };
    out.push_str("\n| collection | in the archive | in the database | digest of the archive | digest read back | equal |\n|---|---:|---:|---|---|---|\n");
    for collection in &verification.collections {
        let _ = writeln!(
            out,
            "| {} | {} | {} | `{}` | `{}` | {} |",
            on_one_line(&collection.name),
            collection.file_count,
            collection.db_count,
            collection.digest_archive,
            collection.digest_database,
            if collection.equal { "yes" } else { "**NO**" },
        );
    }
    out
}

/// A name or message within a Markdown table: neither a line break nor a bar may end its cell.
fn on_one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '|' | '`' => format!("\\{c}"),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn a_drill_that_restored_nothing_has_failed_and_says_what_remains() {
        let found = DrillFindings {
            restored: Err(Failure::new(
                FailureKind::ArchiveNotFound,
                "there is no archive in s3://b/a|b/",
            )),
            checked: None,
            scratch: "x".to_owned(),
            dropped: Err(MongoError::unexpected("dropping x", "no")),
            others: Vec::new(),
        };
        let report = DrillReport::new(OffsetDateTime::UNIX_EPOCH, Duration::ZERO, found);
        assert_eq!(
            (report.status, report.verdict),
            (RunStatus::Failed, DrillVerdict::Failed)
        );
        assert_eq!(report.problems.len(), 2);
        assert!(
            report
                .markdown
                .starts_with("# Restore drill of 1970-01-01T00:00:00Z: FAILED\n")
        );
        assert!(
            report.markdown.contains("a\\|b") && report.markdown.contains("STILL THERE"),
            "{}",
            report.markdown
        );
    }

    #[test]
    fn a_drill_is_one_sentence_whatever_came_of_it() {
        let report = |verdict: &str, problems: &[&str]| -> DrillReport {
            let digest = "0123456789abcdef0123456789abcdef";
            let orders = serde_json::json!({
                "name": "orders", "kind": "collection", "action": "create", "file_count": 10, "db_count": 10, "digest_archive": digest,
                "digest_database": digest, "equal": true, "changed": "yes", "inserted": 10, "rejected": 0,
            });
            serde_json::from_value(serde_json::json!({
                "status": "complete", "verdict": verdict, "archive": "s3://b/a.tar", "archive_age_seconds": 25_200,
                "archive_bytes_checked": 4_200_000, "started": "2026-11-21T02:00:00Z", "seconds": 12.0, "scratch": "x", "dropped": true,
                "verification": {"equal": true, "collections": [orders]}, "problems": problems, "markdown": "",
            }))
            .expect("a report")
        };
        let passed = "drill passed with s3://b/a.tar (7 h old): 1 collection, 10 documents restored and proven equal, 4.2 MB of archive checked, in 12 s";
        assert_eq!(summary(&report("passed", &[])), passed);
        assert_eq!(
            summary(&report("passed", &["x could not be dropped"])),
            format!("{passed}; but x could not be dropped")
        );
        assert_eq!(
            summary(&report("failed", &["a", "b", "c", "d"])),
            "drill FAILED with s3://b/a.tar (7 h old) after 12 s: a; b; c; and 1 more"
        );
    }
}
