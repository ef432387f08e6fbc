//! What is told of a run.

use mongotar::archive::ArchiveKind;
use mongotar::backup::{BackupReport, RunStatus, SeveralReport};
use mongotar::drill::{DrillReport, DrillVerdict};
use mongotar::failure::Failure;
use mongotar::hidden::hidden;
use mongotar::restore::RestoreReport;
use mongotar::verify::{AgainstReport, VerifyReport};
use serde::Serialize;
use serde_json::Value;

use super::address::AddressKind;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeOutcome {
    /// As it should.
    Complete,
    /// With something missing, or not equal.
    Partial,
    /// Without a result.
    Failed,
}

/// What is told of a run: also the body of a webhook, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// The command or the operation: `backup`, `restore`, `drill`, `verify`, `compact`, `watch`; `topic` for what a topic had.
    pub operation: String,
    /// How it ended; `null` for what a topic had and is no run, such as an alarm.
    pub outcome: Option<NoticeOutcome>,
    /// `full` or `increment`, of a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ArchiveKind>,
    /// Which database, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The archive that was made or read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// One line.
    pub title: String,
    /// What a person should know.
    pub text: String,
}

/// A message of a topic (Amazon SNS), as a function gets it.
#[derive(Clone, Debug)]
pub struct TopicMessage<'a> {
    /// Its subject, if it has one.
    pub subject: Option<&'a str>,
    /// Its text.
    pub message: &'a str,
}

impl Notice {
    fn new(operation: &str, outcome: Option<NoticeOutcome>, database: Option<&str>, summary: &str) -> Self {
        let of = database.map(|database| format!(" of {database}")).unwrap_or_default();
        let came = match outcome {
            Some(NoticeOutcome::Complete) => ": complete",
            Some(NoticeOutcome::Partial) => ": PARTIAL",
            Some(NoticeOutcome::Failed) => ": FAILED",
            None => "",
        };
        Self {
            operation: operation.to_owned(),
            outcome,
            kind: None,
            database: database.map(str::to_owned),
            archive: None,
            title: hidden(&format!("mongotar {operation}{of}{came}")).into_owned(),
            text: hidden(summary).into_owned(),
        }
    }

    fn archive(self, archive: impl ToString) -> Self {
        Self {
            archive: Some(hidden(&archive.to_string()).into_owned()),
            ..self
        }
    }

    /// Of a backup, or of a compaction, that has an archive.
    pub fn of_backup(operation: &str, report: &BackupReport) -> Self {
        let notice = Self::new(
            operation,
            Some(outcome(report.status)),
            Some(&report.database),
            &report.summary,
        );
        Self {
            kind: Some(report.kind),
            ..notice.archive(&report.archive)
        }
    }

    /// The same where the ones before had failed, which people were told.
    #[must_use]
    pub fn after_failures(self) -> Self {
        Self {
            kind: None,
            text: format!("It goes on after failures. {}", self.text),
            ..self
        }
    }

    /// Of backups of several databases.
    pub fn of_backups(report: &SeveralReport) -> Self {
        Self::new("backup", Some(outcome(report.status)), None, &report.summary)
    }

    /// Of a restore that was carried out.
    pub fn of_restore(report: &RestoreReport) -> Self {
        Self::new(
            "restore",
            Some(outcome(report.status)),
            Some(&report.database),
            &report.summary,
        )
        .archive(&report.archive)
    }

    /// Of a drill.
    pub fn of_drill(report: &DrillReport) -> Self {
        let outcome = match (report.verdict, report.status) {
            (DrillVerdict::Failed, RunStatus::Complete) => NoticeOutcome::Partial,
            (_, status) => outcome(status),
        };
        let notice = Self::new("drill", Some(outcome), None, &report.summary);
        match &report.archive {
            Some(archive) => notice.archive(archive),
            None => notice,
        }
    }

    /// Of a verification.
    pub fn of_verification(report: &VerifyReport) -> Self {
        let outcome = outcome(report.status);
        let damaged = report.collections.iter().filter(|one| !one.equal).count();
        let summary = match damaged {
            0 => format!("{} was read from end to end", report.archive),
            some => format!(
                "{}: {some} of its collections are not as they were written",
                report.archive
            ),
        };
        Self::new("verify", Some(outcome), None, &summary).archive(&report.archive)
    }

    /// Of a comparison with a live database.
    pub fn of_comparison(report: &AgainstReport) -> Self {
        let differ = [&report.drifted, &report.missing, &report.extra, &report.not_compared];
        let differ: usize = differ.iter().map(|names| names.len()).sum();
        let summary = match differ + report.damaged.len() {
            0 => format!("the database is what {} says", report.archive),
            some => format!("{some} collections are not what {} says", report.archive),
        };
        Self::new("verify", Some(outcome(report.status)), Some(&report.database), &summary).archive(&report.archive)
    }

    /// Of a run without a result.
    pub fn of_failure(operation: &str, database: Option<&str>, failure: &Failure) -> Self {
        Self::new(operation, Some(NoticeOutcome::Failed), database, &failure.to_string())
    }

    /// What a topic had: results, approvals that are waited for, failures, alarms.
    pub fn of_topic(TopicMessage { subject, message }: &TopicMessage<'_>) -> Self {
        let alarm = serde_json::from_str(message)
            .ok()
            .and_then(|alarm: Value| of_alarm(&alarm));
        let (title, text) = alarm.unwrap_or_else(|| (subject.unwrap_or("mongotar").to_owned(), (*message).to_owned()));
        Self {
            title: hidden(&title).into_owned(),
            ..Self::new("topic", None, None, &text)
        }
    }

    /// Whether those who listen at such an address are told.
    pub(super) fn concerns(&self, kind: AddressKind) -> bool {
        let is_complete = self.outcome == Some(NoticeOutcome::Complete);
        let is_increment = self.kind == Some(ArchiveKind::Increment);
        match kind {
            AddressKind::Webhook => true,
            AddressKind::Slack | AddressKind::Teams => !(is_complete && is_increment),
            AddressKind::Ping => is_complete && self.operation == "backup",
        }
    }
}

fn outcome(status: RunStatus) -> NoticeOutcome {
    match status {
        RunStatus::Complete | RunStatus::Planned => NoticeOutcome::Complete,
        RunStatus::Partial => NoticeOutcome::Partial,
        _ => NoticeOutcome::Failed,
    }
}

/// What CloudWatch publishes of an alarm:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html>.
fn of_alarm(alarm: &Value) -> Option<(String, String)> {
    let field = |name: &str| alarm.get(name)?.as_str();
    let (name, state) = (field("AlarmName")?, field("NewStateValue")?);
    let why = [field("AlarmDescription"), field("NewStateReason")];
    let why: Vec<&str> = why.into_iter().flatten().collect();
    Some((format!("{state}: {name}"), why.join("\n\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn backup(status: &str, kind: &str) -> Notice {
        let report = serde_json::from_value(json!({
            "status": status, "archive": "s3://b/a.tar", "manifest": null, "name": "a", "etag": "", "archive_bytes": 7,
            "database": "shop", "payload": "jsonl", "compression": "zstd", "kind": kind, "summary": "backed up",
            "consistency": {"level": "snapshot"}, "collections": [], "failed": [],
            "totals": {"collections": 1, "documents": 5, "bytes": 50}, "started": "", "finished": "", "seconds": 2.5,
        }));
        Notice::of_backup("backup", &report.expect("a report"))
    }

    #[test]
    fn people_hear_of_all_but_complete_increments_and_a_watchdog_of_complete_backups_alone() {
        let failed = Notice::of_failure("backup", Some("shop"), &Failure::invalid("no"));
        let topic = Notice::of_topic(&TopicMessage {
            subject: Some("mongotar drill passed"),
            message: "all well",
        });
        let drill = Notice {
            operation: "drill".to_owned(),
            ..backup("complete", "full")
        };
        for (notice, people, ping) in [
            (backup("complete", "full"), true, true),
            (backup("complete", "increment"), false, true),
            (backup("partial", "full"), true, false),
            (backup("partial", "increment"), true, false),
            (failed, true, false),
            (topic, true, false),
            (drill, true, false),
        ] {
            assert_eq!(notice.concerns(AddressKind::Slack), people, "{notice:?}");
            assert_eq!(notice.concerns(AddressKind::Teams), people, "{notice:?}");
            assert_eq!(notice.concerns(AddressKind::Ping), ping, "{notice:?}");
            assert!(notice.concerns(AddressKind::Webhook));
        }
    }

    #[test]
    fn an_alarm_is_told_by_its_name_and_what_it_means() {
        let message =
            json!({"AlarmName": "shop-no-backup", "NewStateValue": "ALARM", "AlarmDescription": "No complete backup.",
            "NewStateReason": "Threshold Crossed", "Trigger": {"Threshold": 26}})
            .to_string();
        let notice = Notice::of_topic(&TopicMessage {
            subject: Some("ALARM: \"shop-no-backup\" in EU (Frankfurt)"),
            message: &message,
        });
        assert_eq!(notice.title, "ALARM: shop-no-backup");
        assert_eq!(notice.text, "No complete backup.\n\nThreshold Crossed");
    }

    #[test]
    fn a_failure_does_not_tell_a_connection_string() {
        let failure = Failure::invalid("cannot parse mongodb://clerk:SECRET@host/");
        let notice = Notice::of_failure("backup", None, &failure);
        assert!(!format!("{notice:?}").contains("SECRET"));
        assert_eq!(notice.title, "mongotar backup: FAILED");
    }
}
