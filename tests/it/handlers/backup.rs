//! The backup function.

use bson::doc;
use mongotar::archive::ArchiveName;
use mongotar::backup::{BackupRequest, Retention};
use mongotar::restore::RestoreRequest;
use mongotar::run::Memory;
use mongotar_shell::lambda::RestoreEvent;
use serde_json::{Value, json};

use super::{BACKUP, answer, names, scheduled_event, shop, text};
use crate::support;

#[tokio::test]
async fn a_bare_scheduled_event_makes_a_backup_configured_by_the_environment_alone() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[]);
    let report = answer(&function, scheduled_event(json!({}))).await;
    assert_eq!(report["status"], "complete");
    assert_eq!(report["database"], json!(shop.database));
    assert_eq!(names(&report["collections"]), ["orders", "users"]);
    assert_eq!(
        (&report["totals"]["documents"], &report["failed"]),
        (&json!(5), &json!([]))
    );
    assert_eq!(report["consistency"]["level"], "snapshot");
    let archive = text(&report["archive"]);
    let summary = text(&report["summary"]);
    assert!(
        summary.starts_with(&format!(
            "{} is backed up whole: 2 collections, 5 documents (",
            shop.database
        )),
        "{summary}"
    );
    assert!(summary.ends_with(&format!("to {archive}")), "{summary}");
    assert!(archive.starts_with(&shop.folder.to_string()), "{archive}");

    let tools = support::tools().await;
    let verified = mongotar::verify::verify(
        &tools.store,
        &archive.parse().expect("a place"),
        Memory::default(),
        &tools.progress,
    )
    .await;
    assert!(
        verified
            .expect("it opens")
            .collections
            .iter()
            .all(|checked| checked.equal)
    );
    assert_eq!(
        support::visible(&tools.store, &shop.folder).await.len(),
        2,
        "archive and manifest"
    );

    // EventBridge Scheduler sends what its target's input says, which is mostly nothing.
    assert_eq!(answer(&function, json!({})).await["status"], "complete");
    assert_eq!(answer(&function, json!(null)).await["status"], "complete");
}

#[tokio::test]
async fn an_event_overrides_the_environment() {
    let (configured, meant) = (shop().await, shop().await);
    let function = configured.function(BACKUP, &[]);
    meant.insert("readings", 0..1).await;
    let event = json!({
        "database": meant.database,
        "destination": meant.folder.to_string(),
        "include": ["o*", "r*"],
        "exclude": ["re*"],
        "payload": "bson",
        "compression": "none",
        "consistency": "require",
    });
    for event in [event.clone(), scheduled_event(event)] {
        let report = answer(&function, event).await;
        assert_eq!(report["database"], json!(meant.database));
        assert_eq!(names(&report["collections"]), ["orders"]);
        assert_eq!(
            (&report["payload"], &report["compression"]),
            (&json!("bson"), &json!("none"))
        );
        let archive = text(&report["archive"]);
        assert!(
            archive.starts_with(&meant.folder.to_string()) && archive.ends_with(".tar"),
            "{archive}"
        );
    }
    let [plain, pretty] = [false, true].map(|pretty| json!({"pretty": pretty, "compression": "none"}));
    let (plain, pretty) = (answer(&function, plain).await, answer(&function, pretty).await);
    let bytes = |report: &Value| report["collections"][0]["entry_bytes"].as_u64();
    assert!(
        bytes(&pretty) > bytes(&plain),
        "documents over several lines take more room"
    );
    let tools = support::tools().await;
    assert_eq!(
        support::visible(&tools.store, &configured.folder).await.len(),
        4,
        "the last two are here"
    );
}

/// A result that nobody may take for a whole backup.
#[tokio::test]
async fn a_partial_backup_says_so_and_what_is_missing() {
    let (uri, database) = support::half_readable().await;
    let shop = shop().await;
    let function = shop.function(BACKUP, &[("MONGO_URI", &uri), ("MONGO_DB", &database)]);
    let report = answer(&function, scheduled_event(json!({}))).await;
    assert_eq!(report["status"], "partial");
    assert_eq!(names(&report["failed"]), ["secret"]);
    assert!(text(&report["failed"][0]["error"]).contains("secret"), "{report}");
    let summary = text(&report["summary"]);
    assert!(
        summary.contains("NOT backed up whole") && summary.contains("secret ("),
        "{summary}"
    );
    let log = function.wait_for_log("backup ends").await;
    assert!(log.contains("Partial"), "{log}");
}

#[tokio::test]
async fn a_time_series_and_a_view_go_through_the_function_too() {
    let shop = shop().await;
    let db = shop.client.database(&shop.database);
    for command in [
        doc! {"create": "readings", "timeseries": {"timeField": "ts"}},
        doc! {"create": "seen", "viewOn": "orders", "pipeline": []},
    ] {
        db.run_command(command).await.expect("created");
    }
    let report = answer(&shop.function(BACKUP, &[]), json!({})).await;
    let kinds: Vec<String> = report["collections"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|saved| text(&saved["kind"]))
        .collect();
    assert_eq!(kinds, ["collection", "timeseries", "view", "collection"]);
}

/// The events that README and design show are events.
#[test]
fn the_documented_events_are_understood() {
    let readme = include_str!("../../../README.md");
    let mut seen = (0, 0);
    for block in readme.split("```json").skip(1) {
        let block = block.split("```").next().expect("a fence ends");
        let event: Value = serde_json::from_str(block).expect("JSON");
        if event.get("archive").is_some() {
            RestoreEvent::read(event).expect("a request of the restore function");
            seen.1 += 1;
        } else {
            BackupRequest::from_event(event).expect("a backup request");
            seen.0 += 1;
        }
    }
    assert!(
        seen.0 > 0 && seen.1 > 0,
        "the README shows events for both functions: {seen:?}"
    );
    let everything = json!({
        "database": "shop", "destination": "s3://backups/nightly/", "include": ["*"], "exclude": ["tmp_*"], "payload": "jsonl",
        "compression": "gzip", "pretty": true, "consistency": "auto", "retention": "auto",
    });
    BackupRequest::from_event(everything).expect("every field of a backup");
    let mut everything = json!({
        "archive": {"latest": "s3://backups/nightly/"}, "source_database": "shop", "database": "shop", "rename": ["a=b"],
        "include": ["*"], "exclude": ["tmp_*"], "dry_run": true, "confirm": "token", "yes": true, "force": true,
        "replace_existing": true, "keep_extra": true, "snapshot": false, "snapshot_to": "s3://backups/safe/",
        "infer_timeseries": false, "batch_size": 10, "verify_sample_size": 5,
    });
    RestoreRequest::from_event(everything.clone()).expect("every field of a restore");
    everything["archive"] = json!("s3://backups/nightly/backup_20261121_020000.tar.zst");
    RestoreRequest::from_event(scheduled_event(everything)).expect("and within an EventBridge event");
}

/// Archive and manifest expire together, or a bucket fills with manifests of what is gone.
#[tokio::test]
async fn an_archive_and_its_manifest_are_tagged_with_the_class_that_was_asked_for() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[("MONGOTAR_RETENTION", "monthly")]);
    for (event, class) in [
        (json!({"retention": "weekly"}), Some(Retention::Weekly)),
        (json!({}), Some(Retention::Monthly)),
        (json!({"retention": "auto"}), None),
    ] {
        let report = answer(&function, event).await;
        let (name, _) = ArchiveName::of_object(&text(&report["archive"])).expect("an archive's name");
        let begun = time::OffsetDateTime::from_unix_timestamp(name.unix_seconds()).expect("a time");
        let class = class.unwrap_or(Retention::Auto.class_at(begun)).to_string();
        assert_eq!(report["retention"], json!(class));
        for object in ["archive", "manifest"] {
            let location = text(&report[object]).parse().expect("a location");
            let expected = [("mongotar-retention".to_owned(), class.clone())];
            assert_eq!(support::tags(&location).await, expected, "{location}");
        }
    }
    // A role that may not tag can still back up, where nothing asks for tags.
    let report = answer(&shop.function(BACKUP, &[]), json!({})).await;
    let location = text(&report["archive"]).parse().expect("a location");
    assert_eq!(
        (support::tags(&location).await, report.get("retention")),
        (Vec::new(), None)
    );
}
