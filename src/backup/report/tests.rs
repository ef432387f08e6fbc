use super::*;
use serde_json::{Value, json};

fn report(more: Value) -> BackupReport {
    let mut report = json!({
        "status": "complete", "archive": "s3://b/n/backup_20261121_020000.tar.zst", "manifest": null, "name": "backup_20261121_020000",
        "etag": "e", "archive_bytes": 9_000_000, "database": "shop", "payload": "jsonl", "compression": "zstd",
        "consistency": {"level": "snapshot", "cluster_time": {"t": 1_795_226_400, "i": 1}}, "collections": [], "failed": [],
        "totals": {"collections": 12, "documents": 1_234, "bytes": 45_000_000},
        "started": "2026-11-21T02:00:01Z", "finished": "2026-11-21T02:00:13Z", "seconds": 12.1,
    });
    for (field, value) in more.as_object().expect("fields") {
        report[field] = value.clone();
    }
    serde_json::from_value(report).expect("a report")
}

#[test]
fn a_whole_backup_is_one_sentence() {
    assert_eq!(
        summary(&report(json!({}))),
        "shop is backed up whole: 12 collections, 1,234 documents (45 MB) in 12 s, as of 2026-11-21T02:00:00Z, to s3://b/n/backup_20261121_020000.tar.zst"
    );
}

#[test]
fn a_summary_claims_no_moment_that_was_not_had() {
    let exception = json!({"collection": "c", "reason": "capped"});
    let mixed = json!({"consistency": {"level": "mixed", "cluster_time": {"t": 1_795_226_400, "i": 1}, "exceptions": [exception]}});
    let mixed = summary(&report(mixed));
    assert!(
        mixed.contains("as of 2026-11-21T02:00:00Z except 1 collection read later"),
        "{mixed}"
    );
    let none = summary(&report(json!({"consistency": {"level": "none"}})));
    assert!(
        none.contains("one after the other from 2026-11-21T02:00:01Z on") && !none.contains("as of"),
        "{none}"
    );
}

#[test]
fn a_partial_backup_says_what_failed_and_why_before_what_was_saved() {
    let failed: Vec<Value> = (0..5)
        .map(|at| json!({"name": format!("c{at}"), "documents": 0, "error": "not authorised"}))
        .collect();
    let partial = summary(&report(json!({"status": "partial", "failed": failed})));
    assert!(
            partial.starts_with(
                "shop is NOT backed up whole: of 12 collections, 5 failed: c0 (not authorised); c1 (not authorised); c2 (not authorised); and 2 more. Saved: 1,234 documents"
            ),
            "{partial}"
        );
}
