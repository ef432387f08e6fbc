//! The functions' answers, and how Lambda shows a failure.

use lambda_runtime::Diagnostic;
use serde::Serialize;

use mongotar::backup::{
    BackupAnswer, BackupJob, CompactedReport, DatabaseReport, LaneReport, LanesReport, RunStatus, SeveralReport,
};
use mongotar::drill::DrillReport;
use mongotar::failure::Failure;
use mongotar::restore::{LoadReport, LoadsReport, RestoreReport};
use mongotar::run::Answer;
use mongotar::store::Location;
use mongotar::verify::VerifyReport;

use crate::notify::Notice;

/// What the backup function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum BackedUp {
    /// To a backup of one database.
    One(BackupAnswer),
    /// To one of several.
    Several(SeveralReport),
    /// To the question which they are.
    Databases(ListedDatabases),
    /// To a plan: the lanes.
    Planned(LanesReport),
    /// To one lane.
    Lane(LaneReport),
    /// To `compact`.
    Compacted(CompactedReport),
    /// To an abort.
    Aborted {
        /// `aborted`, or `running` if somebody is at it.
        status: RunStatus,
    },
}

impl BackedUp {
    /// The backups that ended, of which a watchdog hears.
    pub(super) fn backups(&self) -> Vec<Notice> {
        let of_answer = |answer: &BackupAnswer| match answer {
            BackupAnswer::Finished(report) => Some(Notice::of_backup("backup", report)),
            BackupAnswer::Unfinished(_) => None,
        };
        match self {
            Self::One(answer) => of_answer(answer).into_iter().collect(),
            Self::Several(report) => {
                let answers = report.databases.iter().filter_map(|report| match report {
                    DatabaseReport::Answer(answer) => of_answer(answer),
                    DatabaseReport::Failed(_) => None,
                });
                answers.collect()
            }
            _ => Vec::new(),
        }
    }
}

/// How long the names of a page may be together, with what stands around them: well within what an answer may have.
const PAGE: usize = 150_000;
/// How many they may be: the state machine divides them by an expression, which takes the square of their number.
const MOST: usize = 200;
/// What stands around the names of one.
const AROUND: usize = 64;

/// The databases that a request means, or a page of them.
#[derive(Debug, Serialize)]
pub struct ListedDatabases {
    databases: Vec<ListedDatabase>,
    /// The last one's name, if there are more: the same event with `after` lists those.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One of them, as a request of its own needs it.
#[derive(Debug, Serialize)]
pub struct ListedDatabase {
    database: String,
    destination: Location,
}

impl ListedDatabases {
    /// Those after a name, in the order of their names; without a name, and where all fit, as they were asked for.
    pub(super) fn of(jobs: Vec<BackupJob>, after: Option<&str>) -> Self {
        let length = |job: &BackupJob| job.database.len() + job.destination.to_string().len() + AROUND;
        let mut jobs = jobs;
        if after.is_some() || jobs.len() > MOST || jobs.iter().map(length).sum::<usize>() > PAGE {
            jobs.sort_unstable_by(|a, b| a.database.cmp(&b.database));
        }
        let mut page = Self {
            databases: Vec::new(),
            next: None,
        };
        let mut room = PAGE;
        for job in jobs {
            if after.is_some_and(|after| job.database.as_str() <= after) {
                continue;
            }
            let length = length(&job);
            if page.databases.len() == MOST || length > room && !page.databases.is_empty() {
                page.next = page.databases.last().map(|last| last.database.clone());
                break;
            }
            room = room.saturating_sub(length);
            page.databases.push(ListedDatabase {
                database: job.database,
                destination: job.destination,
            });
        }
        page
    }
}

/// What the restore function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Restored {
    /// To `begin`: the shares.
    Loads(LoadsReport),
    /// To `load`.
    Load(LoadReport),
    /// To a restore.
    Archive(Answer<RestoreReport>),
    /// To a drill.
    Drill(Answer<DrillReport>),
    /// To a verification.
    Verified(Answer<VerifyReport>),
}

/// What Lambda shows of a failure: `error_type` is the failure's kind.
pub(super) fn diagnostic(failure: Failure) -> Diagnostic {
    Diagnostic {
        error_type: failure.kind.to_string(),
        error_message: failure.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongotar::backup::BackupRequest;
    use mongotar::config::Environment;
    use serde_json::json;

    /// As many as an answer does not hold: the list was emptied, and no database backed up.
    #[test]
    fn five_thousand_databases_are_listed_in_pages_that_an_answer_holds() {
        let environment = Environment::default();
        let all: Vec<BackupJob> = {
            let name = |at: usize| format!("{:x<57}{at:06}", "");
            let job = |at: usize| {
                let request =
                    json!({"database": name(at), "destination": format!("s3://bucket/{}/", "folder".repeat(20))});
                let order = BackupRequest::from_event(request).and_then(|request| request.into_order(&environment));
                order.and_then(|order| order.single()).expect("a job")
            };
            (0..5_000).rev().map(job).collect()
        };
        let (mut listed, mut after, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let page = ListedDatabases::of(all.clone(), after.as_deref());
            assert!(serde_json::to_string(&page).expect("JSON").len() < 200_000);
            assert!(page.databases.len() <= MOST, "{}", page.databases.len());
            listed.extend(page.databases.iter().map(|one| one.database.clone()));
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut expected: Vec<String> = all.iter().map(|job| job.database.clone()).collect();
        expected.sort_unstable();
        assert_eq!(listed, expected);
        assert_eq!(pages, 25);
        let few: Vec<String> = ListedDatabases::of(all[..3].to_vec(), None)
            .databases
            .iter()
            .map(|one| one.database[57..].to_owned())
            .collect();
        assert_eq!(few, ["004999", "004998", "004997"], "as they were asked for");
    }
}
