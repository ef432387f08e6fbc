//! Reports as text for people.

use std::fmt::Write as _;

use mongotar::archive::{SavedStatus, TakenUsers};
use mongotar::backup::{BackupAnswer, BackupReport, DatabaseReport, RunStatus, SeveralReport};
use mongotar::catalog::LeftOut;
use mongotar::plan::{Action, RestorePlan};
use mongotar::restore::{Changed, MergeCounts, RestoreReport, VerifiedCollection};
use mongotar::users::RestoredUsers;

use serde::Serialize;

use crate::plain::{one_line, word as word_of};
use crate::table::{megabytes, row, table};

/// Adds a line besides the tables. Names, messages and `_id`s in it may hold line breaks.
macro_rules! note {
    ($out:expr, $($text:tt)*) => {{
        let _ = writeln!($out, "! {}", one_line(&format!($($text)*)));
    }};
}

/// Adds a line of ours, which stays one whatever it names.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{
        let _ = writeln!($out, "{}", one_line(&format!($($text)*)));
    }};
}

mod estimated;
mod looking;

/// Whether a report's warning is still to be said. What is left out of the connection string was said when it was
/// connected, on standard error, whatever becomes of the run then; a report says it to those who read only that.
pub fn unsaid(warning: &&String) -> bool {
    !warning.starts_with("the connection string: ") || !mongotar_shell::logging::warns_of_connections()
}

/// A plan as a person sees it who has seen the warnings before it.
pub fn plan(plan: &RestorePlan) -> String {
    let mut plan = plan.clone();
    plan.warnings.retain(|warning| unsaid(&warning));
    plan.to_string()
}

pub use estimated::estimate;
pub use looking::{against, buckets_follow, coverage, cut_short, list, nothing_there, show, verify};

fn word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Complete => "complete",
        RunStatus::Partial => "PARTIAL",
        RunStatus::Planned => "planned",
        RunStatus::Failed => "FAILED",
        RunStatus::Continue => "not finished",
        RunStatus::Running => "running",
        RunStatus::Loading => "loading",
        RunStatus::Aborted => "aborted",
    }
}

/// Each database as by itself, and the summary of all.
pub fn backups(report: &SeveralReport) -> String {
    let mut text = String::new();
    for database in &report.databases {
        match database {
            DatabaseReport::Answer(BackupAnswer::Finished(report)) => text.push_str(&backup(report)),
            DatabaseReport::Answer(BackupAnswer::Unfinished(unfinished)) => line!(text, "{}", unfinished.summary),
            DatabaseReport::Failed(failed) => line!(
                text,
                "{}  {}  {}: {}",
                word(failed.status),
                failed.database,
                failed.error_type,
                failed.error
            ),
        }
        text.push('\n');
    }
    line!(text, "{}  {}", word(report.status), report.summary);
    text
}

pub fn backup(report: &BackupReport) -> String {
    let mut rows = vec![row(&[
        &"collection",
        &"documents",
        &"BSON",
        &"in the archive",
        &"digest",
    ])];
    for saved in &report.collections {
        let mark = match saved.status {
            SavedStatus::Complete => "",
            SavedStatus::Partial => " (PARTIAL)",
            SavedStatus::Failed => " (FAILED)",
        };
        let name = format!("{}{mark}", saved.name);
        let (bytes, stored) = (megabytes(saved.bytes), megabytes(saved.stored_bytes));
        rows.push(match saved.kind {
            mongotar::catalog::Kind::View => row(&[&name, &"view"]),
            _ => row(&[&name, &saved.documents, &bytes, &stored, &saved.digest]),
        });
    }
    let mut out = table(&rows);
    for failed in &report.failed {
        note!(out, "{}: {}", failed.name, failed.error);
    }
    left_out(&report.left_out, &mut out);
    for exception in &report.consistency.exceptions {
        note!(
            out,
            "{}: not read at the snapshot: {}",
            exception.collection,
            exception.reason
        );
    }
    for warning in report.warnings.iter().filter(unsaid) {
        note!(out, "{warning}");
    }
    line!(
        out,
        "{}: {} documents, {} of BSON in {} of archive, {:.1} s ({:.0} MB/s), consistency: {}",
        word(report.status),
        report.totals.documents,
        megabytes(report.totals.bytes),
        megabytes(report.archive_bytes),
        report.seconds,
        report.totals.bytes as f64 / 1e6 / report.seconds.max(0.001),
        report.consistency
    );
    line!(out, "{}", report.archive);
    out
}

fn left_out(left_out: &[LeftOut], out: &mut String) {
    for LeftOut { name, reason } in left_out {
        note!(out, "{} is left out: {reason}", row(&[name]).concat());
    }
}

/// An operation's report, and what became of users.
#[derive(Debug, Serialize)]
pub struct Along<R, U> {
    #[serde(flatten)]
    pub report: R,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<U>,
}

/// How many users and roles an archive has.
#[derive(Debug, Serialize)]
pub struct HowMany {
    users: u64,
    roles: u64,
}

impl From<&TakenUsers> for HowMany {
    fn from(taken: &TakenUsers) -> Self {
        Self {
            users: taken.users(),
            roles: taken.roles(),
        }
    }
}

/// Each as a line besides the tables.
pub fn lines(said: Vec<String>) -> String {
    let mut out = String::new();
    for line in said {
        note!(out, "{line}");
    }
    out
}

pub fn backup_along(Along { report, users }: &Along<BackupReport, HowMany>) -> String {
    let users = users.iter().map(|taken| in_it(taken.users, taken.roles));
    lines(users.collect()) + &backup(report)
}

fn in_it(users: u64, roles: u64) -> String {
    format!(
        "the archive holds the database's users ({users}) and roles ({roles}) with hashed credentials: keep it as secret as the server's own"
    )
}

pub fn restore_along(Along { report, users }: &Along<RestoreReport, RestoredUsers>) -> String {
    let users = users.iter().flat_map(RestoredUsers::said);
    lines(users.collect()) + &restore(report)
}

pub fn restore(report: &RestoreReport) -> String {
    let mut rows = vec![row(&[&"collection", &"action", &"archive", &"database", &"equal"])];
    let mut notes = String::new();
    for verified in report
        .verification
        .iter()
        .flat_map(|verification| &verification.collections)
    {
        let action = format!("{:?}", verified.action).to_lowercase();
        let equal = match (verified.equal, verified.parked.is_empty()) {
            (false, _) => "NO",
            (true, false) => "but expiry",
            (true, true) => "yes",
        };
        rows.push(row(&[
            &verified.name,
            &action,
            &verified.file_count,
            &verified.db_count,
            &equal,
        ]));
        notes_on(verified, &mut notes);
    }
    for warning in report.plan.warnings.iter().filter(unsaid) {
        note!(notes, "{warning}");
    }
    let mut out = table(&rows) + &merges(report) + &notes;
    if let Some(snapshot) = &report.snapshot {
        line!(
            out,
            "the way back: mongotar restore {} --mongo-db {} --replace-existing",
            word_of(&snapshot.archive.to_string()),
            word_of(&report.database)
        );
    }
    line!(
        out,
        "{}: {} into {}, {:.1} s",
        word(report.status),
        report.archive,
        report.database,
        report.seconds
    );
    out
}

/// What merges did to documents, if anything.
fn merges(report: &RestoreReport) -> String {
    let all = report
        .verification
        .iter()
        .flat_map(|verification| &verification.collections);
    let merged = all.filter(|verified| verified.action == Action::Merge && verified.error.is_none());
    let mut out = String::new();
    for verified in merged {
        let counts = verified.merged.unwrap_or_default();
        let (inserted, MergeCounts { replaced, unchanged }) = (verified.inserted, counts);
        let nothing = if inserted + replaced + verified.rejected == 0 {
            ": already up to date"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "  {}: inserted {inserted}, replaced {replaced}, unchanged {unchanged}{nothing}",
            row(&[&verified.name]).concat()
        );
    }
    out
}

fn notes_on(verified: &VerifiedCollection, out: &mut String) {
    let name = &verified.name;
    if let Some(error) = &verified.error {
        let changed = match verified.changed {
            Changed::No => "not changed",
            Changed::Yes => "CHANGED",
            Changed::Unknown => "perhaps changed",
        };
        note!(out, "{name} ({changed}): {error}");
    }
    if verified.rejected > 0 {
        note!(out, "{name}: {} documents were refused, among them:", verified.rejected);
    }
    for rejected in verified.rejections.iter().take(10) {
        note!(out, "  {}: {}", rejected.id, rejected.message);
    }
    for index in &verified.failed_indexes {
        note!(out, "{name}: index {} could not be built: {}", index.name, index.error);
    }
    if let Some(violations) = verified.validator_violations.filter(|&violations| violations > 0) {
        let some = verified.validator_violation_ids.iter().take(5);
        let some: Vec<&str> = some.map(String::as_str).collect();
        note!(
            out,
            "{name}: {violations} documents do not pass its validator, among them {}",
            some.join(", ")
        );
    }
    for parked in &verified.parked {
        note!(out, "{name}: expiry is off: {parked}");
    }
    if let Some(past) = verified.past_expiry.filter(|&past| past > 0) {
        note!(out, "{name}: {past} documents are past their time to live");
    }
    for (what, diff) in [("options", &verified.options_diff), ("indexes", &verified.index_diff)] {
        if !diff.is_empty() {
            note!(out, "{name}: {what} differ: {diff}");
        }
    }
}
