//! A run in numbers, as CloudWatch reads them from a function's log: the embedded metric format.
//!
//! One JSON line per invocation that ended a run, gave it up, failed, or continues; no call, no client, no permission.
//! The format is that of
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//! Every value is given for the whole function, and for each of its databases if known; where a stack is named
//! (`MONGOTAR_STACK`), for that stack alone, so that another stack of the account hides nothing.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use mongotar::backup::{BackupReport, RunStatus, SeveralReport};
use mongotar::drill::{DrillReport, DrillVerdict};
use mongotar::restore::RestoreReport;
use mongotar::verify::{AgainstReport, VerifyReport};

/// Where CloudWatch shows them.
const NAMESPACE: &str = "mongotar";
/// How long a dimension's value may be.
const LONGEST_DIMENSION: usize = 1024;

/// What is measured. The names are part of the interface: alarms and dashboards use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// How many documents were saved, or are in the database after a restore.
    Documents,
    /// Their size as BSON.
    Bytes,
    /// The archive's length.
    ArchiveBytes,
    /// How long it took.
    Seconds,
    /// How many collections are not whole, or not equal.
    FailedCollections,
    /// How many workers wrote the archive.
    Lanes,
    /// How old the moment that the archive shows was when the archive became visible.
    SnapshotAgeSeconds,
    /// 1 for a run that ended complete, 0 for any other end.
    Complete,
    /// 1 for a run in which something is missing or differs.
    Partial,
    /// 1 for an answer that asks to be called again.
    Continued,
    /// 1 for a drill that did not pass, 0 for one that did.
    DrillFailed,
    /// 1 for a pause with hardly any time left: the next might come too late. 0 for other answers.
    NearDeadline,
    /// 1 for an invocation that failed. Another one may mend it: what became of the run is `Complete`.
    Failed,
}

impl Metric {
    fn unit(self) -> &'static str {
        match self {
            Self::Bytes | Self::ArchiveBytes => "Bytes",
            Self::Seconds | Self::SnapshotAgeSeconds => "Seconds",
            _ => "Count",
        }
    }

    fn name(self) -> String {
        format!("{self:?}")
    }
}

/// Whose values they are: what alarms tell them apart by.
#[derive(Clone, Copy, Debug)]
pub struct Dimensions<'a> {
    /// The stack that the function belongs to, if it is of one.
    pub stack: Option<&'a str>,
    /// `backup` or `restore`.
    pub function: &'a str,
    /// The database, if known.
    pub database: Option<&'a str>,
}

/// The values of one invocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<(Metric, f64)>);

impl Metrics {
    /// Of a backup that ended now.
    pub fn of_backup(report: &BackupReport, now: OffsetDateTime) -> Self {
        let mut metrics = Self::ended(report.status)
            .and(Metric::Documents, report.totals.documents as f64)
            .and(Metric::Bytes, report.totals.bytes as f64)
            .and(Metric::ArchiveBytes, report.archive_bytes as f64)
            .and(Metric::Seconds, report.seconds)
            .and(Metric::FailedCollections, report.failed.len() as f64)
            .and(Metric::Lanes, f64::from(report.lanes));
        if let Some(time) = report.consistency.cluster_time {
            // The server's clock may be ahead of this one.
            let age = now.unix_timestamp() - i64::from(time.t);
            metrics = metrics.and(Metric::SnapshotAgeSeconds, age.max(0) as f64);
        }
        metrics
    }

    /// Of backups of several databases, as one.
    pub fn of_backups(report: &SeveralReport) -> Self {
        Self::ended(report.status)
            .and(Metric::Documents, report.totals.documents as f64)
            .and(Metric::Bytes, report.totals.bytes as f64)
    }

    /// Of a restore; none for a plan, which is not a run.
    pub fn of_restore(report: &RestoreReport) -> Option<Self> {
        let verified = &report.verification.as_ref()?.collections;
        let unequal = verified.iter().filter(|collection| !collection.equal).count();
        let documents: u64 = verified.iter().map(|collection| collection.db_count).sum();
        let metrics = Self::ended(report.status)
            .and(Metric::Documents, documents as f64)
            .and(Metric::Bytes, report.plan.totals.bytes as f64)
            .and(Metric::Seconds, report.seconds)
            .and(Metric::FailedCollections, unequal as f64);
        Some(metrics)
    }

    /// Of a drill that ended.
    pub fn of_drill(report: &DrillReport) -> Self {
        let failed = report.verdict == DrillVerdict::Failed;
        Self::ended(report.status)
            .and(Metric::Seconds, report.seconds)
            .and(Metric::DrillFailed, flag(failed))
    }

    /// Of a verification that ended.
    pub fn of_verification(report: &VerifyReport) -> Self {
        let unequal = report.collections.iter().filter(|collection| !collection.equal).count();
        Self::ended(report.status)
            .and(Metric::ArchiveBytes, report.archive_bytes as f64)
            .and(Metric::FailedCollections, unequal as f64)
    }

    /// Of a comparison with a live database.
    pub fn of_comparison(report: &AgainstReport) -> Self {
        let unequal = [
            &report.drifted,
            &report.missing,
            &report.extra,
            &report.not_compared,
            &report.damaged,
        ];
        let unequal: usize = unequal.iter().map(|names| names.len()).sum();
        Self::ended(report.status).and(Metric::FailedCollections, unequal as f64)
    }

    /// Of an answer that asks to be called again.
    pub fn continued() -> Self {
        Self::default().and(Metric::Continued, 1.0)
    }

    /// Of an invocation that failed, which is no outcome yet.
    pub fn failed() -> Self {
        Self::default().and(Metric::Failed, 1.0)
    }

    /// Of a run that is given up, or of one database of several that got no backup.
    pub fn lost() -> Self {
        Self::default().and(Metric::Complete, 0.0)
    }

    fn ended(status: RunStatus) -> Self {
        Self::default()
            .and(Metric::Complete, flag(status == RunStatus::Complete))
            .and(Metric::Partial, flag(status == RunStatus::Partial))
            .and(Metric::Continued, 0.0)
    }

    /// Of an answer, whether it asks to be called again; nothing of a failure.
    pub(crate) fn is_of_a_pause(&self) -> Option<bool> {
        self.get(Metric::Continued).map(|continued| continued > 0.0)
    }

    /// One of them, if it is among these.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        let found = self.0.iter().find(|(given, _)| *given == metric);
        found.map(|(_, value)| *value)
    }

    /// These, and one more.
    #[must_use]
    pub fn and(mut self, metric: Metric, value: f64) -> Self {
        self.0.push((metric, value));
        self
    }

    /// The line that CloudWatch reads, with its line break. `properties` are for people who search the log; they are
    /// not metrics.
    pub fn line(&self, of: Dimensions<'_>, now: OffsetDateTime, properties: &[(&str, &str)]) -> String {
        let mut record = Map::new();
        for (name, value) in properties {
            record.insert((*name).to_owned(), json!(value));
        }
        let mut names = Vec::new();
        for (name, value) in [("Stack", of.stack), ("Function", Some(of.function))] {
            if let Some(value) = value {
                record.insert(name.to_owned(), json!(dimension(value)));
                names.push(name);
            }
        }
        let mut dimensions = vec![json!(names)];
        if let Some(database) = of.database {
            record.insert("Database".to_owned(), json!(dimension(database)));
            names.push("Database");
            dimensions.push(json!(names));
        }
        let metrics: Vec<Value> = self
            .0
            .iter()
            .map(|(metric, value)| {
                record.insert(metric.name(), json!(value));
                json!({"Name": metric.name(), "Unit": metric.unit()})
            })
            .collect();
        let milliseconds = now.unix_timestamp() * 1_000 + i64::from(now.millisecond());
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics});
        record.insert(
            "_aws".to_owned(),
            json!({"Timestamp": milliseconds, "CloudWatchMetrics": [directive]}),
        );
        format!("{}\n", Value::Object(record))
    }
}

pub(crate) fn flag(so: bool) -> f64 {
    if so { 1.0 } else { 0.0 }
}

/// A dimension's value is ASCII without control characters; a database's name can be anything.
fn dimension(name: &str) -> String {
    name.chars()
        .flat_map(|c| match c {
            ' '..='~' => vec![c],
            other => other.escape_default().collect(),
        })
        .take(LONGEST_DIMENSION)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of the specification's JSON schema ("PutLogEvents requests ... embedded metric format schema"), as far
    /// as they bind a writer:
    ///
    /// - the root is an object with `_aws`; `_aws` has `Timestamp`, an integer of milliseconds, and
    ///   `CloudWatchMetrics`, a list of at least one directive;
    /// - a directive has `Namespace` (1 to 1024 characters), `Dimensions` (at least one set, each of at most 30 names
    ///   of 1 to 250 characters) and `Metrics` (at most 100, each with a `Name` of 1 to 1024 characters and a `Unit`
    ///   that CloudWatch knows);
    /// - every dimension is a text member of the root of 1 to 1024 characters, every metric a number or a list of
    ///   numbers;
    /// - a line is at most 256 KB.
    fn check_against_the_specification(line: &str) -> Value {
        const UNITS: [&str; 27] = [
            "Seconds",
            "Microseconds",
            "Milliseconds",
            "Bytes",
            "Kilobytes",
            "Megabytes",
            "Gigabytes",
            "Terabytes",
            "Bits",
            "Kilobits",
            "Megabits",
            "Gigabits",
            "Terabits",
            "Percent",
            "Count",
            "Bytes/Second",
            "Kilobytes/Second",
            "Megabytes/Second",
            "Gigabytes/Second",
            "Terabytes/Second",
            "Bits/Second",
            "Kilobits/Second",
            "Megabits/Second",
            "Gigabits/Second",
            "Terabits/Second",
            "Count/Second",
            "None",
        ];
        assert!(
            line.len() <= 256_000 && line.ends_with('\n') && line.lines().count() == 1,
            "{line}"
        );
        let record: Value = serde_json::from_str(line).expect("JSON");
        let aws = record["_aws"].as_object().expect("metadata");
        assert!(
            aws["Timestamp"].as_u64().is_some_and(|ms| ms > 1_500_000_000_000),
            "{line}"
        );
        let directives = aws["CloudWatchMetrics"].as_array().expect("directives");
        assert!(!directives.is_empty(), "{line}");
        let text_of = |value: &Value, longest: usize| {
            let text = value.as_str().expect("a text").to_owned();
            assert!((1..=longest).contains(&text.len()) && text.is_ascii(), "{text}");
            text
        };
        for directive in directives {
            text_of(&directive["Namespace"], 1024);
            let sets = directive["Dimensions"].as_array().expect("sets");
            assert!(!sets.is_empty(), "{line}");
            for set in sets {
                let set = set.as_array().expect("a set");
                assert!(set.len() <= 30, "{line}");
                for name in set {
                    text_of(&record[text_of(name, 250)], 1024);
                }
            }
            let metrics = directive["Metrics"].as_array().expect("metrics");
            assert!((1..=100).contains(&metrics.len()), "{line}");
            for metric in metrics {
                let value = &record[text_of(&metric["Name"], 1024)];
                assert!(value.as_f64().is_some_and(f64::is_finite), "{metric}: {value}");
                assert!(UNITS.contains(&text_of(&metric["Unit"], 64).as_str()), "{metric}");
            }
        }
        record
    }

    fn noon() -> OffsetDateTime {
        time::macros::datetime!(2026-11-21 12:00:00.042 UTC)
    }

    #[test]
    fn every_metric_is_written_as_the_specification_says() {
        let all = [
            Metric::Documents,
            Metric::Bytes,
            Metric::ArchiveBytes,
            Metric::Seconds,
            Metric::FailedCollections,
            Metric::Lanes,
            Metric::SnapshotAgeSeconds,
            Metric::Complete,
            Metric::Partial,
            Metric::Continued,
            Metric::DrillFailed,
            Metric::NearDeadline,
            Metric::Failed,
        ];
        let metrics = all
            .iter()
            .fold(Metrics::default(), |metrics, &metric| metrics.and(metric, 1.5));
        let line = metrics.line(of("backup", Some("shop")), noon(), &[("run", "r")]);
        let record = check_against_the_specification(&line);
        assert_eq!(record["_aws"]["Timestamp"], 1_795_262_400_042_i64);
        assert_eq!(
            record["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["Function"], ["Function", "Database"]])
        );
        assert_eq!(
            (&record["Database"], &record["ArchiveBytes"], &record["run"]),
            (&json!("shop"), &json!(1.5), &json!("r"))
        );
    }

    fn of<'a>(function: &'a str, database: Option<&'a str>) -> Dimensions<'a> {
        Dimensions {
            stack: None,
            function,
            database,
        }
    }

    /// Those of another stack in the account kept an alarm quiet.
    #[test]
    fn of_a_stack_nothing_is_told_without_its_name() {
        let of = Dimensions {
            stack: Some("staging"),
            ..of("backup", Some("shop"))
        };
        let record = check_against_the_specification(&Metrics::failed().line(of, noon(), &[]));
        assert_eq!(record["Stack"], "staging");
        assert_eq!(
            record["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["Stack", "Function"], ["Stack", "Function", "Database"]])
        );
    }

    #[test]
    fn a_database_that_is_not_known_is_no_dimension_and_a_strange_name_is_escaped() {
        let record = check_against_the_specification(&Metrics::failed().line(of("restore", None), noon(), &[]));
        assert_eq!(
            record["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["Function"]])
        );
        assert_eq!(
            (&record["Failed"], record.get("Database")),
            (&json!(1.0), None::<&Value>)
        );
        let record =
            check_against_the_specification(&Metrics::continued().line(of("backup", Some("bü\n")), noon(), &[]));
        assert_eq!(record["Database"], "b\\u{fc}\\n");
        let long = "ü".repeat(900);
        check_against_the_specification(&Metrics::failed().line(of("backup", Some(&long)), noon(), &[]));
    }

    #[test]
    fn a_backup_is_as_old_as_its_cluster_time_and_no_younger_than_nothing() {
        let report = |seconds: i64| -> BackupReport {
            serde_json::from_value(json!({
                "status": "partial", "archive": "s3://b/a.tar", "manifest": null, "name": "a", "etag": "", "archive_bytes": 7,
                "database": "shop", "payload": "jsonl", "compression": "zstd",
                "consistency": {"level": "snapshot", "cluster_time": {"t": noon().unix_timestamp() + seconds, "i": 1}},
                "collections": [], "failed": [{"name": "c", "documents": 0, "error": "no"}],
                "totals": {"collections": 1, "documents": 5, "bytes": 50}, "started": "", "finished": "", "seconds": 2.5,
            }))
            .expect("a report")
        };
        let line = Metrics::of_backup(&report(-30), noon()).line(of("backup", Some("shop")), noon(), &[]);
        let record = check_against_the_specification(&line);
        for (name, value) in [
            ("SnapshotAgeSeconds", 30.0),
            ("Documents", 5.0),
            ("Bytes", 50.0),
            ("ArchiveBytes", 7.0),
            ("Seconds", 2.5),
            ("FailedCollections", 1.0),
            ("Lanes", 1.0),
            ("Complete", 0.0),
            ("Partial", 1.0),
            ("Continued", 0.0),
        ] {
            assert_eq!(record[name], json!(value), "{name}");
        }
        let ahead = Metrics::of_backup(&report(3), noon()).line(of("backup", None), noon(), &[]);
        assert_eq!(
            check_against_the_specification(&ahead)["SnapshotAgeSeconds"],
            json!(0.0)
        );
    }
}
