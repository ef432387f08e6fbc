//! `mongotar restore`: each option that says what is to be done has its effect, and without it there is none.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

use super::looking::python_tar;
use super::{Shell, archive, collections, ids, named, numbered, text};
use crate::{rig, support};

async fn database_of(name: &str) -> mongodb::Database {
    rig::shared_replica_set().client().await.database(name)
}

/// An archive of `orders` (three documents) and `users` (one).
async fn archived() -> (Shell, String, String) {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "users", numbered(0..1)).await;
    let archive = archive(&shell.backed_up(&[]));
    (shell, database, archive)
}

fn restored(shell: &Shell, code: i32, archive: &str, options: &[&str]) -> Value {
    let arguments: Vec<&str> = ["restore", archive, "--yes"]
        .into_iter()
        .chain(options.iter().copied())
        .collect();
    shell.json(code, &arguments)
}

#[tokio::test]
async fn replace_existing_replaces_what_would_be_merged_into() {
    let (shell, database, archive) = archived().await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", numbered(7..8)).await;
    let report = restored(&shell, 0, &archive, &[]);
    assert_eq!(
        named(&report["verification"]["collections"], "orders")["action"],
        "merge"
    );
    assert_eq!(ids(&database, "orders").await, [0, 1, 2, 7]);
    let report = restored(&shell, 0, &archive, &["--replace-existing"]);
    assert_eq!(
        named(&report["verification"]["collections"], "orders")["action"],
        "replace"
    );
    assert_eq!(ids(&database, "orders").await, [0, 1, 2]);
}

#[tokio::test]
async fn users_are_taken_along_and_restored_where_that_is_asked_for() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let create = doc! {"createUser": "app", "pwd": "old secret", "roles": ["readWrite"]};
    database_of(&database).await.run_command(create).await.expect("a user");
    let without = archive(&shell.backed_up(&[]));
    let taken = shell.backed_up(&["--users"]);
    assert_eq!(taken["users"], json!({"users": 1, "roles": 0}));
    let archive = archive(&taken);
    let target = rig::fresh_database_name("target");
    let run = |code: i32, arguments: &[&str]| {
        let said = shell.run(arguments).expect(code);
        for word in ["storedKey", "serverKey", "iterationCount"] {
            assert!(
                !said.out.contains(word) && !said.err.contains(word),
                "{}{}",
                said.out,
                said.err
            );
        }
        said
    };
    let into = ["--mongo-db", target.as_str()];
    let with = |before: &[&'static str]| [before, &[archive.as_str()][..], &into[..]].concat();
    assert!(run(0, &["show", &archive]).out.contains("users (1) and roles (0)"));
    assert!(run(0, &["cat", &archive, "orders"]).out.lines().count() == 3);
    assert!(
        run(0, &with(&["plan", "--users"]))
            .out
            .contains("users that are made: app")
    );
    let there = async || {
        let info = database_of(&target).await.run_command(doc! {"usersInfo": 1}).await;
        info.expect("told").get_array("users").expect("a list").len()
    };
    let plain = run(0, &with(&["restore", "--yes"])).out;
    assert!(
        plain.contains("--users restores them, after the collections") && there().await == 0,
        "{plain}"
    );
    let restored = run(0, &with(&["restore", "--yes", "--users", "--run", "one"])).out;
    assert!(
        restored.contains("1 user and 0 roles were restored") && there().await == 1,
        "{restored}"
    );
    let again = run(0, &with(&["restore", "--yes", "--users"])).out;
    assert!(again.contains("are there already, and as in the archive: 1"), "{again}");
    assert!(!again.contains("--users"), "they were asked for: {again}");
    let again = shell.json(0, &with(&["restore", "--yes", "--users"]));
    assert_eq!(again["users"]["planned"]["users"]["app"], "keep_equal", "{again}");
    assert_eq!(
        (&again["users"]["users"], &again["status"]),
        (&json!(0), &json!("complete")),
        "{again}"
    );

    for (arguments, word) in [
        (vec!["restore", &archive, "--grant-elsewhere"], "--users"),
        (vec!["restore", &without, "--users", "--yes"], "no users"),
        (
            vec!["backup", "--users", "--mongo-db", "a,b", "--to", "to"],
            "one database",
        ),
    ] {
        let refused = run(2, &arguments);
        assert!(refused.err.contains(word), "{}", refused.err);
    }
}

#[tokio::test]
async fn drop_missing_drops_what_an_archive_without_that_claim_leaves_alone() {
    let (shell, database, _) = archived().await;
    python_tar(&shell, "export.tar", &json!({"orders.json": "{\"_id\": 1}\n"}));
    restored(&shell, 0, "export.tar", &[]);
    assert_eq!(collections(&database).await, ["orders", "users"]);
    let refused = restored(&shell, 2, "export.tar", &["--drop-missing", "--keep-extra"]);
    assert_eq!(refused["error_type"], "InvalidRequest", "{refused}");
    restored(&shell, 0, "export.tar", &["--drop-missing"]);
    assert_eq!(collections(&database).await, ["orders"]);
}

#[tokio::test]
async fn keep_extra_keeps_what_would_be_dropped() {
    let (shell, database, archive) = archived().await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "extra", numbered(0..1)).await;
    restored(&shell, 0, &archive, &["--keep-extra"]);
    assert_eq!(collections(&database).await, ["extra", "orders", "users"]);
    restored(&shell, 0, &archive, &[]);
    assert_eq!(collections(&database).await, ["orders", "users"]);
}

#[tokio::test]
async fn include_exclude_and_rename_choose_what_goes_where() {
    let (shell, _, archive) = archived().await;
    for (options, expected) in [
        (&["--include", "or*"][..], &["orders"][..]),
        (&["--exclude", "or*"], &["users"]),
        (&["--include", "*", "--exclude", "users"], &["orders"]),
        (&["--include", "users", "--include", "orders"], &["orders", "users"]),
        (
            &["--rename", "orders=sales", "--rename", "users=people"],
            &["people", "sales"],
        ),
    ] {
        let target = rig::fresh_database_name("cli");
        let options: Vec<&str> = options.iter().copied().chain(["--mongo-db", &target]).collect();
        restored(&shell, 0, &archive, &options);
        assert_eq!(collections(&target).await, expected, "{options:?}");
    }
    let failure = shell.json(2, &["plan", &archive, "--rename", "orders"]);
    assert!(text(&failure["message"]).contains("orders"), "{failure}");
}

#[tokio::test]
async fn no_snapshot_waives_the_way_back_and_snapshot_to_says_where_it_goes() {
    let (shell, database, archive) = archived().await;
    let report = restored(&shell, 0, &archive, &["--no-snapshot"]);
    assert_eq!(report["snapshot"], Value::Null);
    assert!(!shell.path("to/pre-restore").exists());
    let report = restored(&shell, 0, &archive, &["--snapshot-to", "safe"]);
    assert!(
        text(&report["snapshot"]["archive"]).starts_with("safe/backup_"),
        "{report}"
    );
    assert!(!shell.path("to/pre-restore").exists());
    let listed = shell.json(0, &["list", "safe"]);
    assert_eq!(listed[0]["summary"]["database"], json!(database));
}

#[tokio::test]
async fn force_puts_in_what_a_validator_refuses() {
    let (shell, database, _) = archived().await;
    let db = database_of(&database).await;
    db.run_command(doc! {"collMod": "orders", "validator": {"text": "y"}})
        .await
        .expect("a validator that no document passes");
    let archive = archive(&shell.backed_up(&[]));
    let said = shell.run(&["restore", &archive, "--yes", "--replace-existing"]);
    // Nothing of this collection could take the old one's place; `users` could.
    let said = said.expect(3);
    assert!(said.out.contains("3 documents were refused"), "{}", said.out);
    let report = restored(&shell, 0, &archive, &["--replace-existing", "--force"]);
    let orders = named(&report["verification"]["collections"], "orders");
    assert_eq!(
        (&orders["equal"], &orders["validator_violations"]),
        (&json!(true), &json!(3))
    );
}

/// What the profiler saw go into the database: how many documents each insert command had.
async fn inserts(database: &str) -> Vec<i32> {
    let profile = database_of(database).await.collection::<Document>("system.profile");
    let seen = profile.find(doc! {"op": "insert"}).await.expect("a cursor");
    let seen: Vec<Document> = seen.try_collect().await.expect("what was profiled");
    let mut sizes: Vec<i32> = seen
        .iter()
        .map(|operation| operation.get_i32("ninserted").expect("a number"))
        .collect();
    sizes.sort_unstable();
    sizes
}

#[tokio::test]
async fn batch_size_limits_the_documents_of_one_insert_command() {
    let (shell, _) = Shell::with_orders(numbered(0..20)).await;
    let archive = archive(&shell.backed_up(&[]));
    for (options, expected) in [(&["--batch-size", "7"][..], &[6, 7, 7][..]), (&[], &[20])] {
        let target = rig::fresh_database_name("cli");
        let db = database_of(&target).await;
        db.run_command(doc! {"profile": 2}).await.expect("a profiler");
        let options: Vec<&str> = options.iter().copied().chain(["--mongo-db", &target]).collect();
        let report = restored(&shell, 0, &archive, &options);
        db.run_command(doc! {"profile": 0}).await.expect("a profiler");
        assert_eq!(report["status"], "complete", "{report}");
        assert_eq!(inserts(&target).await, expected, "{options:?}");
    }
    for wrong in ["0", "100001"] {
        let failure = shell.json(2, &["plan", &archive, "--batch-size", wrong]);
        assert!(text(&failure["message"]).contains("100000"), "{failure}");
    }
}

#[tokio::test]
async fn verify_sample_size_is_how_many_documents_the_sample_hash_covers() {
    let (shell, _) = Shell::with_orders(numbered(0..20)).await;
    let archive = archive(&shell.backed_up(&[]));
    let mut hashes = Vec::new();
    for size in [&["--verify-sample-size", "1"][..], &["--verify-sample-size", "19"], &[]] {
        let target = rig::fresh_database_name("cli");
        let options: Vec<&str> = size.iter().copied().chain(["--mongo-db", &target]).collect();
        let report = restored(&shell, 0, &archive, &options);
        let orders = named(&report["verification"]["collections"], "orders");
        assert_eq!(orders["sample_hash_archive"], orders["sample_hash_database"]);
        hashes.push(text(&orders["sample_hash_archive"]));
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 3, "each covers other documents");
}

#[tokio::test]
async fn no_infer_timeseries_takes_a_collection_for_what_it_is_called() {
    let shell = Shell::new();
    let reading = |n: i32| {
        format!(
            "{{\"_id\": {n}, \"ts\": {{\"$date\": \"2025-09-26T07:00:0{n}Z\"}}, \"meta\": {{\"station\": 1}}, \"aqi\": 1.5}}\n"
        )
    };
    let lines: String = (0..5).map(reading).collect();
    python_tar(
        &shell,
        "readings.tar",
        &json!({"backup_20250926_073727/waqi.jsonl": lines}),
    );
    for (options, kind) in [(&[][..], "timeseries"), (&["--no-infer-timeseries"], "collection")] {
        let target = rig::fresh_database_name("cli");
        let options: Vec<&str> = options.iter().copied().chain(["--mongo-db", &target]).collect();
        let report = restored(&shell, 0, "readings.tar", &options);
        let planned = named(&report["plan"]["collections"], "waqi");
        assert_eq!(planned["kind"], json!(kind), "{planned}");
        let listed = database_of(&target).await.list_collections().await.expect("a list");
        let listed: Vec<_> = listed.try_collect().await.expect("a list");
        let is_series = listed
            .iter()
            .any(|entry| entry.name == "waqi" && entry.options.timeseries.is_some());
        assert_eq!(is_series, kind == "timeseries");
    }
}
