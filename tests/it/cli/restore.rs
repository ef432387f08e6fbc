//! `mongotar restore` and `plan`: consent, the report, the way back.

use bson::doc;
use serde_json::{Value, json};

use super::looking::damage;
use super::{Shell, archive, collections, ids, named, names, numbered, text};
use crate::{rig, support};

/// A database whose `orders` has changed since its backup, and which has `extra` too.
async fn changed() -> (Shell, String, String) {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let archive = archive(&shell.backed_up(&[]));
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", numbered(10..12)).await;
    support::insert(&client, &database, "extra", numbered(0..1)).await;
    (shell, database, archive)
}

#[tokio::test]
async fn plan_and_dry_run_say_the_same_and_change_nothing() {
    let (shell, database, archive) = changed().await;
    let plan = shell.json(0, &["plan", &archive]);
    assert_eq!(plan["status"], "planned");
    assert_eq!((&plan["verification"], &plan["snapshot"]), (&Value::Null, &Value::Null));
    assert_eq!(plan["plan"]["to_drop"], json!(["extra"]));
    assert_eq!(named(&plan["plan"]["collections"], "orders")["action"], "merge");
    for consent in [&[][..], &["--yes"], &["--confirm", "x"]] {
        let arguments: Vec<&str> = ["restore", &archive, "--dry-run"]
            .into_iter()
            .chain(consent.iter().copied())
            .collect();
        assert_eq!(shell.json(0, &arguments), plan, "{consent:?}: a dry run stays dry");
    }
    let said = shell.run(&["plan", &archive]).expect(0);
    let command = format!("--confirm {}", text(&plan["confirm"]));
    assert!(
        said.out.contains("extra") && said.out.contains(&command),
        "{}",
        said.out
    );
    assert_eq!(ids(&database, "orders").await, [0, 1, 2, 10, 11]);
    assert_eq!(collections(&database).await, ["extra", "orders"]);
    assert!(!shell.path("to/pre-restore").exists());
}

#[tokio::test]
async fn without_consent_and_without_a_terminal_nothing_is_changed() {
    let (shell, database, archive) = changed().await;
    let failure = shell.json(1, &["restore", &archive]);
    assert_eq!(failure["error_type"], "ConsentMissing");
    let message = text(&failure["message"]);
    assert!(message.contains("--confirm") && message.contains("--yes"), "{message}");
    assert_eq!(collections(&database).await, ["extra", "orders"]);
}

#[tokio::test]
async fn the_token_of_a_plan_is_consent_to_it_and_to_no_other() {
    let (shell, database, archive) = changed().await;
    let confirm = text(&shell.json(0, &["plan", &archive])["confirm"]);
    let failure = shell.json(1, &["restore", &archive, "--confirm", &confirm, "--replace-existing"]);
    assert_eq!(failure["error_type"], "ConsentStale");
    assert!(text(&failure["message"]).contains("the request differs"), "{failure}");
    let failure = shell.json(2, &["restore", &archive, "--confirm", &confirm[1..]]);
    assert_eq!(failure["error_type"], "InvalidRequest");
    assert!(text(&failure["message"]).contains("not a confirm token"), "{failure}");
    assert_eq!(collections(&database).await, ["extra", "orders"]);
    let report = shell.json(0, &["restore", &archive, "--confirm", &confirm]);
    assert_eq!(report["status"], "complete");
    assert_eq!(collections(&database).await, ["orders"]);
}

#[tokio::test]
async fn the_report_is_one_json_document_with_everything_that_is_promised() {
    let (shell, database, archive) = changed().await;
    let said = shell
        .run(&["restore", &archive, "--yes", "--replace-existing", "--json"])
        .expect(0);
    assert_eq!(said.err, "", "standard error is no terminal, so it shows no progress");
    let report = said.json();
    assert_eq!(
        (&report["status"], &report["database"]),
        (&json!("complete"), &json!(database))
    );
    assert_eq!(report["plan"]["to_drop"], json!(["extra"]));
    assert_eq!(report["verification"]["equal"], true);
    let verified = &report["verification"]["collections"];
    assert_eq!(names(verified), ["orders", "extra"]);
    let orders = named(verified, "orders");
    assert_eq!((&orders["file_count"], &orders["db_count"]), (&json!(3), &json!(3)));
    assert_eq!(orders["digest_archive"], orders["digest_database"]);
    assert_eq!((&orders["equal"], &orders["action"]), (&json!(true), &json!("replace")));
    assert_eq!(ids(&database, "orders").await, [0, 1, 2]);

    // The way back is an archive like any other, and the event that is given for it brings everything back.
    let snapshot = &report["snapshot"];
    assert_eq!(snapshot["documents"], 6);
    let undo = text(&snapshot["undo"]["archive"]);
    assert!(undo.starts_with("to/pre-restore/"), "{undo}");
    let undone = shell.json(0, &["restore", &undo, "--yes", "--replace-existing"]);
    assert_eq!(undone["status"], "complete");
    assert_eq!(ids(&database, "orders").await, [0, 1, 2, 10, 11]);
    assert_eq!(collections(&database).await, ["extra", "orders"]);
}

#[tokio::test]
async fn the_text_names_each_collection_and_the_way_back() {
    let (shell, database, archive) = changed().await;
    let said = shell.run(&["restore", &archive, "--yes"]).expect(0);
    // As it stands there it can be pasted, also where MONGO_DB names another database.
    let into = format!(" --mongo-db {database} --replace-existing");
    for word in [
        "orders",
        "merge",
        "extra",
        "drop",
        "yes",
        "the way back: mongotar restore to/pre-restore/",
        &into,
        "complete: ",
    ] {
        assert!(said.out.contains(word), "{word}: {}", said.out);
    }
    assert_eq!(said.err, "");
}

#[tokio::test]
async fn a_merge_says_what_it_changed_and_the_second_one_that_it_changed_nothing() {
    let (shell, database, archive) = changed().await;
    let client = rig::shared_replica_set().client().await;
    let orders = client.database(&database).collection::<bson::Document>("orders");
    orders.delete_one(doc! {"_id": 0}).await.expect("deleted");
    for said in [
        "orders: inserted 1, replaced 0, unchanged 2\n",
        "orders: inserted 0, replaced 0, unchanged 3: already up to date\n",
    ] {
        let restored = shell.run(&["restore", &archive, "--yes"]).expect(0);
        assert!(restored.out.contains(said), "{}", restored.out);
    }
}

#[tokio::test]
async fn latest_takes_the_newest_archive_of_a_folder() {
    let (shell, database) = Shell::with_orders(numbered(0..1)).await;
    let bucket = support::bucket().await.to_string();
    shell.json(0, &["backup", "--to", &bucket]);
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", numbered(1..2)).await;
    let newer = archive(&shell.json(0, &["backup", "--to", &bucket]));
    let target = rig::fresh_database_name("cli");
    let report = shell.json(0, &["restore", "--latest", &bucket, "--mongo-db", &target, "--yes"]);
    assert_eq!(text(&report["archive"]), newer);
    assert_eq!(ids(&target, "orders").await, [0, 1]);
    assert_eq!(report["snapshot"], Value::Null, "there was nothing to save");
    let failure = shell.json(1, &["plan", "--latest", "nowhere"]);
    assert_eq!(failure["error_type"], "ArchiveNotFound");
    assert!(text(&failure["message"]).contains("nowhere"), "{failure}");
}

#[tokio::test]
async fn a_restore_that_cannot_do_all_of_it_ends_with_3() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let db = rig::shared_replica_set().client().await.database(&database);
    let unique = doc! {"createIndexes": "orders", "indexes": [{"key": {"n": 1}, "name": "unique_n", "unique": true, "sparse": true}]};
    db.run_command(unique).await.expect("an index");
    let archive = archive(&shell.backed_up(&[]));
    let gone = doc! {"dropIndexes": "orders", "index": "unique_n"};
    db.run_command(gone).await.expect("dropped");
    let orders = db.collection("orders");
    orders
        .insert_many([doc! {"_id": 8, "n": 1}, doc! {"_id": 9, "n": 1}])
        .await
        .expect("inserted");
    let report = shell.json(3, &["restore", &archive, "--yes"]);
    assert_eq!(report["status"], "partial");
    let verified = named(&report["verification"]["collections"], "orders");
    assert_eq!(verified["equal"], false);
    assert_eq!(verified["failed_indexes"][0]["name"], "unique_n");
    let said = shell.run(&["restore", &archive, "--yes", "--no-snapshot"]).expect(3);
    assert!(
        said.out.contains("PARTIAL") && said.out.contains("unique_n"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn a_restore_that_changed_nothing_ends_with_1() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let archive = archive(&shell.backed_up(&["--compression", "none"]));
    damage(&shell, &archive);
    let report = shell.json(1, &["restore", &archive, "--yes", "--replace-existing"]);
    assert_eq!(report["status"], "failed");
    let verified = named(&report["verification"]["collections"], "orders");
    assert!(text(&verified["error"]).contains("orders"), "{verified}");
    let said = shell
        .run(&["restore", &archive, "--yes", "--replace-existing"])
        .expect(1);
    assert!(
        said.out.contains("FAILED") && said.out.contains("! orders"),
        "{}",
        said.out
    );
    assert_eq!(ids(&database, "orders").await, [0, 1, 2]);
}
