//! The metrics that CloudWatch reads out of a function's log.

use serde_json::{Value, json};

use super::{BACKUP, RESTORE, answer, refusal, scheduled_event, shop};
use crate::rig::LambdaFunction;
use crate::support;

/// The records that a function has written, once there are that many.
async fn records(function: &LambdaFunction, many: usize) -> Vec<Value> {
    let lines = || -> Vec<String> {
        let logs = function.logs();
        logs.into_iter().filter(|line| line.contains("\"_aws\"")).collect()
    };
    support::eventually("every invocation has its metrics", || lines().len() >= many).await;
    let records: Vec<Value> = lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(records.len(), many, "one each: {records:?}");
    records
}

/// CloudWatch takes a metric for what the directive names, with its unit, and nothing else.
fn metric(record: &Value, name: &str) -> Option<f64> {
    let directive = &record["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "mongotar");
    let named = directive["Metrics"].as_array().expect("metrics");
    named.iter().find(|metric| metric["Name"] == name)?;
    record[name].as_f64()
}

#[tokio::test]
async fn a_backup_and_its_failure_are_measured_for_the_function_and_the_database() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[("MONGOTAR_STACK", "staging")]);
    let report = answer(&function, scheduled_event(json!({}))).await;
    refusal(&function, json!({"include": ["ordres"]})).await;
    refusal(&function, json!({"database": "mongodb://clerk:hush@h/"})).await;
    let records = records(&function, 3).await;
    let [ended, failed, unknown] = &records[..] else {
        panic!("three")
    };
    for (name, value) in [
        ("Documents", report["totals"]["documents"].as_f64()),
        ("Bytes", report["totals"]["bytes"].as_f64()),
        ("ArchiveBytes", report["archive_bytes"].as_f64()),
        ("Seconds", report["seconds"].as_f64()),
        ("FailedCollections", Some(0.0)),
        ("Lanes", Some(1.0)),
        ("Complete", Some(1.0)),
        ("Partial", Some(0.0)),
        ("Continued", Some(0.0)),
        ("NearDeadline", Some(0.0)),
    ] {
        assert_eq!(metric(ended, name), value, "{name}: {ended}");
    }
    let age = metric(ended, "SnapshotAgeSeconds").expect("a replica set has a cluster time");
    assert!((0.0..120.0).contains(&age), "{age}");
    let both = json!([["Stack", "Function"], ["Stack", "Function", "Database"]]);
    for record in [ended, failed] {
        assert_eq!(record["_aws"]["CloudWatchMetrics"][0]["Dimensions"], both, "{record}");
        assert_eq!(
            (&record["Stack"], &record["Function"], &record["Database"]),
            (&json!("staging"), &json!("backup"), &json!(shop.database))
        );
    }
    assert_eq!(
        ended["run"],
        scheduled_event(json!({}))["id"],
        "a record is found by its run"
    );
    // A failure is no outcome: the next attempt may be a backup.
    assert_eq!(
        (
            metric(failed, "Failed"),
            metric(failed, "Complete"),
            metric(failed, "Documents")
        ),
        (Some(1.0), None, None)
    );
    // A connection string in the wrong place is neither a dimension nor anywhere else.
    assert_eq!(
        unknown["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
        json!([["Stack", "Function"]])
    );
    assert!(!unknown.to_string().contains("hush"), "{unknown}");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("later");
    let stamp = ended["_aws"]["Timestamp"].as_u64().expect("milliseconds");
    assert!(now.as_millis().abs_diff(stamp.into()) < 300_000, "{stamp}");
}

/// What a retry mends rang as a loss.
#[tokio::test]
async fn a_loss_is_measured_once_when_the_run_is_given_up() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[]);
    let run = json!({"id": "nightly", "time": "2026-11-21T02:00:00Z"});
    let event = |action: &str| json!({"action": action, "run": run, "exclude": ["users"]});
    answer(&function, event("plan")).await;
    refusal(
        &function,
        json!({"action": "lane", "lane": 7, "run": run, "exclude": ["users"]}),
    )
    .await;
    refusal(
        &function,
        json!({"action": "lane", "lane": 8, "run": run, "exclude": ["users"]}),
    )
    .await;
    let aborted = answer(&function, event("abort")).await;
    assert_eq!(aborted["status"], "aborted");
    let records = records(&function, 3).await;
    let complete: Vec<Option<f64>> = records.iter().map(|record| metric(record, "Complete")).collect();
    assert_eq!(complete, [None, None, Some(0.0)]);
    assert_eq!(records[2]["Database"], shop.database.as_str());
}

#[tokio::test]
async fn a_restore_and_a_drill_are_measured_and_a_plan_is_not() {
    let shop = shop().await;
    let archive = shop.archive().await;
    let function = shop.function(RESTORE, &[]);
    answer(&function, json!({"archive": archive, "dry_run": true})).await;
    answer(&function, json!({"archive": archive, "yes": true, "snapshot": false})).await;
    answer(&function, json!({"action": "drill", "archive": archive})).await;
    refusal(
        &function,
        json!({"action": "drill", "archive": "s3://", "scratch": "a.b"}),
    )
    .await;
    let records = records(&function, 3).await;
    let [restored, drilled, failed] = &records[..] else {
        panic!("three")
    };
    let of = |record, names: &[&str]| -> Vec<Option<f64>> { names.iter().map(|name| metric(record, name)).collect() };
    let names = ["Complete", "Partial", "Documents", "FailedCollections", "DrillFailed"];
    assert_eq!(of(restored, &names), [Some(1.0), Some(0.0), Some(5.0), Some(0.0), None]);
    assert_eq!(of(drilled, &names), [Some(1.0), Some(0.0), None, None, Some(0.0)]);
    assert_eq!(of(failed, &names), [None; 5]);
    assert_eq!(metric(failed, "Failed"), Some(1.0));
    assert_eq!(restored["Function"], "restore");
}

/// What a log line may not do: be taken for metrics, or break a record.
#[tokio::test]
async fn metrics_and_log_lines_do_not_mix_at_any_level() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[("MONGOTAR_LOG", "trace")]);
    answer(&function, json!({})).await;
    let records = records(&function, 1).await;
    assert_eq!(metric(&records[0], "Complete"), Some(1.0));
    for line in function.logs() {
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}
