//! What came of a run as a text file for Prometheus: node_exporter's textfile collector reads every `*.prom` of a
//! folder (<https://github.com/prometheus/node_exporter#textfile-collector>).
//!
//! A file is of one operation of one database. It says when that last ended, and when it last ended complete: a run that
//! fails keeps the latter from the file that it replaces, so that an alert can ask how old the newest complete backup
//! is.
//!
//! The format is that of <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::Write as _;

use time::OffsetDateTime;

use crate::metrics::{Metric, Metrics};

/// When the operation last ended complete.
const LAST_COMPLETE: &str = "mongotar_last_complete_timestamp_seconds";

/// The content of a file, which replaces an earlier one.
pub fn page(
    operation: &str,
    database: Option<&str>,
    metrics: &Metrics,
    now: OffsetDateTime,
    earlier: Option<&str>,
) -> String {
    let labels = match database {
        Some(database) => format!("{{operation=\"{operation}\",database=\"{}\"}}", escaped(database)),
        None => format!("{{operation=\"{operation}\"}}"),
    };
    let now = now.unix_timestamp();
    let is_complete = metrics.get(Metric::Complete) == Some(1.0);
    let last_complete = match is_complete {
        true => Some(now.to_string()),
        false => earlier.and_then(|text| value_of(text, LAST_COMPLETE, &labels)),
    };
    let mut page = String::new();
    let mut add = |name: &str, help: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = write!(
            page,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{labels} {value}\n"
        );
    };
    add(
        "mongotar_last_run_timestamp_seconds",
        "When the operation last ended.",
        &now.to_string(),
    );
    if let Some(time) = last_complete {
        add(LAST_COMPLETE, "When the operation last ended complete.", &time);
    }
    for (metric, name, help) in [
        (
            Metric::Complete,
            "mongotar_complete",
            "Whether the last run ended complete.",
        ),
        (
            Metric::Documents,
            "mongotar_documents",
            "How many documents the last run saved, or has in the database now.",
        ),
        (Metric::Bytes, "mongotar_bytes", "Their size as BSON."),
        (
            Metric::ArchiveBytes,
            "mongotar_archive_bytes",
            "The length of the archive.",
        ),
        (
            Metric::Seconds,
            "mongotar_duration_seconds",
            "How long the last run took.",
        ),
        (
            Metric::FailedCollections,
            "mongotar_failed_collections",
            "How many collections are not whole, or not equal.",
        ),
        (
            Metric::SnapshotAgeSeconds,
            "mongotar_snapshot_age_seconds",
            "How old the moment that the archive shows was when the run ended.",
        ),
    ] {
        if let Some(value) = metrics.get(metric) {
            add(name, help, &value.to_string());
        }
    }
    page
}

/// A value that a file has under exactly these labels.
fn value_of(text: &str, name: &str, labels: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(labels))?;
    value.trim().parse::<i64>().ok().map(|time| time.to_string())
}

/// A label's value: three characters are escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_795_000_000 + seconds).expect("a time")
    }

    #[test]
    fn a_run_that_fails_keeps_when_the_last_complete_one_was() {
        let complete = Metrics::default()
            .and(Metric::Complete, 1.0)
            .and(Metric::Documents, 5.0);
        let first = page("backup", Some("shop"), &complete, at(0), None);
        assert!(
            first.contains("mongotar_documents{operation=\"backup\",database=\"shop\"} 5\n"),
            "{first}"
        );
        let second = page("backup", Some("shop"), &Metrics::lost(), at(60), Some(&first));
        for line in [
            "mongotar_last_run_timestamp_seconds{operation=\"backup\",database=\"shop\"} 1795000060\n",
            "mongotar_last_complete_timestamp_seconds{operation=\"backup\",database=\"shop\"} 1795000000\n",
            "mongotar_complete{operation=\"backup\",database=\"shop\"} 0\n",
        ] {
            assert!(second.contains(line), "{second}");
        }
        // Not that of somebody else.
        let other = page("backup", Some("other"), &Metrics::lost(), at(60), Some(&first));
        assert!(!other.contains(LAST_COMPLETE), "{other}");
        let junk = page("backup", Some("shop"), &Metrics::lost(), at(60), Some("junk\n# TYPE"));
        assert!(!junk.contains(LAST_COMPLETE), "{junk}");
    }

    #[test]
    fn every_line_is_of_the_format_whatever_a_database_is_called() {
        let metrics = Metrics::default().and(Metric::Complete, 0.0).and(Metric::Seconds, 2.5);
        let page = page("restore", Some("a\"b\\c\nd"), &metrics, at(0), None);
        assert!(page.contains(r#"database="a\"b\\c\nd"} 2.5"#), "{page}");
        for line in page.lines() {
            assert!(line.starts_with("# ") || line.starts_with("mongotar_"), "{line}");
        }
        assert!(page.ends_with('\n'));
    }
}
