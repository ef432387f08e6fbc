//! What the functions refuse: by a stable `errorType`, with a message that helps and holds no credentials.

use serde_json::json;

use super::{BACKUP, RESTORE, answer, refusal, scheduled_event, shop};
use crate::{rig, support};

#[tokio::test]
async fn wrong_events_are_refused_with_the_name_of_what_is_wrong() {
    let shop = shop().await;
    let no_mount = [("MONGOTAR_MOUNT", "")];
    let (backup, restore) = (shop.function(BACKUP, &no_mount), shop.function(RESTORE, &no_mount));
    for (function, event, word) in [
        (&backup, json!({"destinatoin": "s3://b/"}), "destinatoin"),
        (&backup, scheduled_event(json!({"databse": "shop"})), "databse"),
        (&backup, json!({"database": 5}), "database"),
        (&backup, json!({"include": "orders"}), "include"),
        (&backup, json!({"pretty": "yes", "database": "shop"}), "pretty"),
        (&backup, json!({"compression": "lzma"}), "lzma"),
        (&backup, json!({"payload": "csv"}), "csv"),
        (&backup, json!({"consistency": true}), "consistency"),
        (&backup, json!({"retention": "hourly"}), "retention"),
        // It was complete, and gone with the function.
        (&backup, json!({"destination": "/tmp/x"}), "/tmp/x"),
        (&restore, json!({"archive": "backup.tar"}), "function's own disk"),
        (&restore, json!({"archive": {"latest": "/tmp"}}), "function's own disk"),
        (
            &restore,
            json!({"action": "verify", "archive": "/tmp/x.tar"}),
            "function's own disk",
        ),
        (
            &restore,
            json!({"archive": "s3://b/x.tar", "snapshot_to": "/tmp"}),
            "function's own disk",
        ),
        (&backup, json!({"payload": "bson", "pretty": true}), "pretty"),
        (&backup, json!({"destination": "gs://b/"}), "gs://b/"),
        (&backup, json!({"database": "a.b"}), "a.b"),
        (&backup, json!({"database": "not_there"}), "not_there"),
        (&backup, json!({"include": ["ordres"]}), "ordres"),
        (&backup, json!("shop"), "object"),
        // A list was taken for the fields in their order.
        (&backup, json!([shop.database]), "object"),
        (&backup, json!([]), "object"),
        (&restore, json!({"archive": "s3://b/x.tar", "dryrun": true}), "dryrun"),
        (
            &restore,
            json!({"archive": "s3://b/x.tar", "dry_run": "yes"}),
            "dry_run",
        ),
        (&restore, json!({"archive": 5}), "latest"),
        // What stood beside `latest` was ignored.
        (
            &restore,
            json!({"archive": {"latest": "s3://b/", "before": "2026"}}),
            "archive",
        ),
        (
            &restore,
            json!({"archive": "s3://b/x.tar", "batch_size": 0}),
            "batch_size",
        ),
        (
            &restore,
            json!({"archive": "s3://b/x.tar", "batch_size": -1}),
            "batch_size",
        ),
        (&restore, json!({"archive": "s3://b/x.tar", "rename": ["a"]}), "a"),
        (&restore, json!({"archive": "gs://b/x.tar"}), "gs://b/x.tar"),
    ] {
        let shown = event.to_string();
        let error = refusal(function, event).await;
        assert_eq!(error.error_type, "InvalidRequest", "{shown}: {error}");
        assert!(error.error_message.contains(word), "{shown}: {error}");
    }
    let tools = support::tools().await;
    assert!(
        support::visible(&tools.store, &shop.folder).await.is_empty(),
        "nothing was written"
    );
    // And the process is as warm and well as before.
    let pid = backup.warm_pid();
    assert_eq!(answer(&backup, json!({})).await["status"], "complete");
    assert_eq!(backup.warm_pid(), pid);
}

#[tokio::test]
async fn what_is_not_configured_is_named() {
    let shop = shop().await;
    for (binary, missing, event, words) in [
        (
            BACKUP,
            "MONGO_URI",
            scheduled_event(json!({})),
            ["MONGO_URI", "no connection string"],
        ),
        (
            BACKUP,
            "MONGO_DB",
            scheduled_event(json!({})),
            ["MONGO_DB", "\"database\""],
        ),
        (
            BACKUP,
            "MONGOTAR_TO",
            scheduled_event(json!({})),
            ["MONGOTAR_TO", "\"destination\""],
        ),
        (
            RESTORE,
            "MONGO_URI",
            json!({"archive": "s3://b/x.tar"}),
            ["MONGO_URI", "no connection string"],
        ),
        (
            RESTORE,
            "MONGO_DB",
            json!({"archive": "s3://b/x.tar"}),
            ["MONGO_DB", "\"database\""],
        ),
        (
            RESTORE,
            "NOTHING",
            scheduled_event(json!({})),
            ["no archive", "\"latest\""],
        ),
    ] {
        let error = refusal(&shop.function(binary, &[(missing, "")]), event).await;
        assert_eq!(error.error_type, "ConfigurationMissing", "{missing}: {error}");
        for word in words {
            assert!(error.error_message.contains(word), "{missing}: {error}");
        }
    }
}

#[tokio::test]
async fn each_kind_of_failure_has_its_error_type_and_shows_no_credentials() {
    let shop = shop().await;
    let archive = shop.archive().await;
    let (wrong_uri, unreachable) = (
        "mongodb://clerk:hush@",
        "mongodb://clerk:hush@127.0.0.1:1/?serverSelectionTimeoutMS=300",
    );
    let refused = format!(
        "mongodb://clerk:hush@127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=5000",
        support::shared_authenticated().port()
    );
    let gone = shop.folder.join("backup_20200101_000000.tar").to_string();
    let empty = support::bucket().await.to_string();
    let cases = [
        (BACKUP, ("MONGO_URI", wrong_uri), json!({}), "InvalidRequest"),
        (BACKUP, ("MONGO_URI", unreachable), json!({}), "Database"),
        (BACKUP, ("MONGO_URI", &refused), json!({}), "Database"),
        (BACKUP, ("MONGO_DB", unreachable), json!({}), "InvalidRequest"),
        (BACKUP, ("MONGOTAR_TO", unreachable), json!({}), "InvalidRequest"),
        (BACKUP, ("AWS_SECRET_ACCESS_KEY", "hush"), json!({}), "StoreDenied"),
        (
            RESTORE,
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            json!({"archive": archive}),
            "StoreDenied",
        ),
        (RESTORE, ("A", ""), json!({"archive": gone}), "ArchiveNotFound"),
        (
            RESTORE,
            ("A", ""),
            json!({"archive": {"latest": empty}}),
            "ArchiveNotFound",
        ),
        (RESTORE, ("A", ""), json!({"archive": archive}), "ConsentMissing"),
        (
            RESTORE,
            ("A", ""),
            json!({"archive": archive, "confirm": "stale"}),
            "InvalidRequest",
        ),
        (
            RESTORE,
            ("A", ""),
            json!({"archive": archive, "confirm": (["0123456789abcdef"; 4].join("-"))}),
            "ConsentStale",
        ),
        (
            RESTORE,
            ("A", ""),
            json!({"archive": archive, "include": ["ordres"], "yes": true}),
            "PlanConflicts",
        ),
        (RESTORE, ("A", ""), json!({"archive": unreachable}), "InvalidRequest"),
    ];
    for (binary, variable, event, kind) in cases {
        let shown = format!("{binary} {variable:?} {event}");
        let function = shop.function(binary, &[variable]);
        let error = refusal(&function, event).await;
        assert_eq!(error.error_type, kind, "{shown}: {error}");
        assert!(error.error_message.len() > 20, "{shown}: {error}");
        function.wait_for_log("failed").await;
        let said = format!("{} {}", error.raw, function.logs().join("\n"));
        for secret in ["hush", "clerk"] {
            assert!(!said.contains(secret), "{shown}: {said}");
        }
    }
    assert_eq!(shop.collections().await, ["orders", "users"]);
}

/// The client is made with the first event, so that a database that is away is an error with a name, and no function
/// that cannot start.
#[tokio::test]
async fn a_database_that_was_away_is_found_by_the_same_process_when_it_is_back() {
    let mongod = rig::Mongod::replica_set();
    support::insert(&mongod.client().await, "shop", "orders", vec![bson::doc! {"_id": 1}]).await;
    let shop = shop().await;
    let uri = format!("{}&serverSelectionTimeoutMS=500", mongod.uri());
    let function = shop.function(BACKUP, &[("MONGO_URI", &uri), ("MONGO_DB", "shop")]);
    mongod.kill();
    let error = refusal(&function, json!({})).await;
    assert_eq!(error.error_type, "Database");
    assert!(error.error_message.contains("no server can be reached"), "{error}");
    let pid = function.warm_pid();
    mongod.restart();
    let report = answer(&function, json!({})).await;
    assert_eq!(report["totals"]["documents"], 1);
    assert_eq!(function.warm_pid(), pid);
}
