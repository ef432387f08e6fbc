//! `mongotar verify --against`: an archive and a live database, and every way in which they can differ.

use bson::{DateTime, Document, doc};
use serde_json::{Value, json};

use super::looking::{damage, python_tar};
use super::{Shell, archive, named, numbered, text};
use crate::{rig, support};

/// A connection string that names the database.
fn naming(uri: &str, database: &str) -> String {
    let with = uri.replacen("/?", &format!("/{database}?"), 1);
    assert_ne!(with, uri, "the rig's connection strings have options");
    with
}

fn of_shared(database: &str) -> String {
    naming(&rig::shared_replica_set().uri(), database)
}

async fn db(database: &str) -> mongodb::Database {
    rig::shared_replica_set().client().await.database(database)
}

async fn run(database: &str, command: Document) {
    db(database)
        .await
        .run_command(command.clone())
        .await
        .unwrap_or_else(|error| panic!("{command}: {error}"));
}

/// A database with one of each kind, backed up: the shell, the database and the archive.
async fn one_of_each() -> (Shell, String, String) {
    let (shell, database) = Shell::with_orders(numbered(0..20)).await;
    let client = rig::shared_replica_set().client().await;
    let options = doc! {"create": "users", "validator": {"text": {"$type": "string"}}, "collation": {"locale": "de"}};
    run(&database, options).await;
    support::insert(&client, &database, "users", numbered(0..5)).await;
    run(
        &database,
        doc! {"createIndexes": "users", "indexes": [{"key": {"text": 1}, "name": "by_text", "sparse": true}]},
    )
    .await;
    run(
        &database,
        doc! {"create": "readings", "timeseries": {"timeField": "ts", "metaField": "meta"}},
    )
    .await;
    let reading = |n: i64| doc! {"_id": n, "ts": DateTime::from_millis(n * 1000), "meta": {"b": 1, "a": n % 3}, "v": n};
    support::insert(&client, &database, "readings", (0..30).map(reading).collect()).await;
    run(
        &database,
        doc! {"create": "recent", "viewOn": "orders", "pipeline": [{"$match": {"_id": {"$gt": 3}}}]},
    )
    .await;
    run(&database, doc! {"create": "empty"}).await;
    let archive = archive(&shell.backed_up(&[]));
    (shell, database, archive)
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(text).collect()
}

#[tokio::test]
async fn a_database_that_has_not_changed_is_equal_in_every_collection() {
    let (shell, database, archive) = one_of_each().await;
    let report = shell.json(0, &["verify", &archive, "--against", &of_shared(&database)]);
    assert_eq!(report["status"], "complete", "{report:#}");
    assert_eq!(report["database"], json!(database));
    let rows = report["collections"].as_array().expect("rows");
    assert_eq!(
        super::names(&report["collections"]),
        ["empty", "orders", "readings", "recent", "users"]
    );
    for row in rows {
        assert_eq!(
            (&row["outcome"], row.get("differences")),
            (&json!("equal"), None),
            "{row}"
        );
        assert_eq!(row["archive"], row["database"], "{row}");
    }
    assert_eq!(named(&report["collections"], "readings")["database"]["documents"], 30);
    assert_eq!(
        named(&report["collections"], "recent").get("database"),
        None,
        "a view has no documents"
    );
    let shown = shell.json(0, &["show", &archive]);
    assert_eq!(
        named(&report["collections"], "orders")["database"]["digest"],
        named(&shown["collections"], "orders")["digest"]
    );
    // The database's name suffices where the environment has the connection string.
    let said = shell.run(&["verify", &archive, "--against", &database]).expect(0);
    assert!(
        said.out.contains("complete: 5 of 5 collections are equal") && !said.out.contains("! "),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn every_kind_of_drift_is_named_and_ends_with_3() {
    let (shell, database, archive) = one_of_each().await;
    let client = rig::shared_replica_set().client().await;
    // The same number of documents, one of them another.
    let orders = client.database(&database).collection::<Document>("orders");
    orders
        .update_one(doc! {"_id": 3}, doc! {"$set": {"text": "y"}})
        .await
        .expect("updated");
    run(&database, doc! {"collMod": "users", "validationLevel": "moderate"}).await;
    run(&database, doc! {"dropIndexes": "users", "index": "by_text"}).await;
    run(
        &database,
        doc! {"createIndexes": "users", "indexes": [{"key": {"x": 1}, "name": "by_x"}]},
    )
    .await;
    let late = vec![doc! {"_id": 99, "ts": DateTime::from_millis(99), "meta": {}}];
    support::insert(&client, &database, "readings", late).await;
    run(&database, doc! {"collMod": "recent", "viewOn": "users", "pipeline": []}).await;
    run(&database, doc! {"drop": "empty"}).await;
    support::insert(&client, &database, "later", numbered(0..4)).await;
    run(
        &database,
        doc! {"create": "view_since", "viewOn": "users", "pipeline": []},
    )
    .await;
    // Our own leftovers are no data.
    support::insert(&client, &database, "mongotar.tmp.1", numbered(0..1)).await;

    let report = shell.json(3, &["verify", &archive, "--against", &database]);
    assert_eq!(report["status"], "partial", "{report:#}");
    assert_eq!(names(&report["drifted"]), ["orders", "readings", "recent", "users"]);
    assert_eq!(names(&report["missing"]), ["empty"]);
    assert_eq!(names(&report["extra"]), ["later", "view_since"]);
    let of = |name: &str| named(&report["collections"], name);
    let said_of = |name: &str| names(&of(name)["differences"]).join(" | ");
    assert!(
        said_of("orders").starts_with("both have 20 documents, but not the same"),
        "{}",
        said_of("orders")
    );
    assert_eq!(said_of("readings"), "the archive has 30 documents, the database 31");
    assert_eq!(
        said_of("users"),
        "options only in the database: validationLevel | indexes only in the archive: by_text; only in the database: by_x"
    );
    assert_eq!(
        of("users")["archive"],
        of("users")["database"],
        "its documents are the same"
    );
    assert!(said_of("recent").contains("viewOn") && said_of("recent").contains("pipeline"));
    assert_eq!(of("empty")["archive"]["documents"], 0);
    assert_eq!(of("later")["database"]["documents"], 4);

    let said = shell.run(&["verify", &archive, "--against", &database]).expect(3);
    for part in [
        "PARTIAL: 0 of 7 collections are equal, 4 drifted, 1 missing, 2 extra",
        "MISSING",
        "EXTRA",
        "! users: indexes only in the archive: by_text",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
}

#[tokio::test]
async fn a_collection_that_became_something_else_has_drifted() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "was_collection", numbered(0..3)).await;
    run(
        &database,
        doc! {"create": "was_view", "viewOn": "orders", "pipeline": []},
    )
    .await;
    let archive = archive(&shell.backed_up(&[]));
    for name in ["was_collection", "was_view"] {
        run(&database, doc! {"drop": name}).await;
    }
    run(
        &database,
        doc! {"create": "was_collection", "viewOn": "orders", "pipeline": []},
    )
    .await;
    support::insert(&client, &database, "was_view", numbered(0..3)).await;
    let report = shell.json(3, &["verify", &archive, "--against", &database]);
    assert_eq!(names(&report["drifted"]), ["was_collection", "was_view"]);
    let differences = &named(&report["collections"], "was_collection")["differences"];
    assert_eq!(
        text(&differences[0]),
        "the archive has a collection, the database a view"
    );
}

#[tokio::test]
async fn only_what_is_chosen_is_compared() {
    let (shell, database, archive) = one_of_each().await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", numbered(50..51)).await;
    support::insert(&client, &database, "later", numbered(0..1)).await;
    let against = |code: i32, more: &[&str]| {
        let arguments: Vec<&str> = ["verify", &archive, "--against", &database]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        shell.json(code, &arguments)
    };
    let report = against(0, &["--exclude", "orders", "--exclude", "later"]);
    assert_eq!(
        super::names(&report["collections"]),
        ["empty", "readings", "recent", "users"]
    );
    let report = against(3, &["--include", "or*", "--include", "users"]);
    assert_eq!(super::names(&report["collections"]), ["orders", "users"]);
    assert_eq!(names(&report["drifted"]), ["orders"]);
    // What only the database has can be asked for, too; what neither has is mistyped.
    let report = against(3, &["--include", "later"]);
    assert_eq!(names(&report["extra"]), ["later"]);
    let failure = against(2, &["--include", "ordres"]);
    let message = text(&failure["message"]);
    assert!(message.contains("ordres") && message.contains("orders"), "{message}");
    against(2, &["--include", "orders", "--exclude", "o*"]);
    shell.json(2, &["verify", &archive, "--include", "orders"]);
}

#[tokio::test]
async fn what_a_selective_backup_was_not_to_have_is_not_extra() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "users", numbered(0..3)).await;
    let archive = archive(&shell.backed_up(&["--include", "or*"]));
    let report = shell.json(0, &["verify", &archive, "--against", &database]);
    assert_eq!(super::names(&report["collections"]), ["orders"]);
    support::insert(&client, &database, "orbits", numbered(0..3)).await;
    let report = shell.json(3, &["verify", &archive, "--against", &database]);
    assert_eq!(names(&report["extra"]), ["orbits"], "the backup would have had it");
}

#[tokio::test]
async fn read_rights_suffice_nothing_changes_and_the_password_shows_nowhere() {
    let mongod = support::shared_authenticated();
    let database = rig::fresh_database_name("against");
    let client = mongod.client().await;
    support::insert(&client, &database, "orders", numbered(0..10)).await;
    let store = mongotar::store::Store::with_client(rig::shared_s3().client().await);
    let root = support::tools_for(&mongod.uri(), store).await;
    let to = support::bucket().await;
    let archive = support::back_up(&root, &database, &to).await.archive.to_string();
    support::insert(&client, &database, "orders", numbered(10..11)).await;
    let before = support::raw_database(&client, &root, &database).await;

    let reader = mongod.create_user(
        &format!("{database}_reader"),
        vec![doc! {"role": "read", "db": &database}],
    );
    let shell = Shell::new().unset("MONGO_URI");
    let uri = naming(&reader, &database);
    let wrong = uri.replacen(&support::password_of(&uri), "hush-hush", 1);
    for (uri, code) in [(&uri, 3), (&wrong, 1)] {
        for json in [&[][..], &["--json"]] {
            let arguments: Vec<&str> = ["verify", &archive, "--against", uri]
                .into_iter()
                .chain(json.iter().copied())
                .collect();
            let said = shell.run(&arguments).expect(code);
            let all = format!("{}{}", said.out, said.err);
            assert!(!all.contains(&support::password_of(uri)), "{all}");
        }
    }
    let report = shell.json(3, &["verify", &archive, "--against", &uri]);
    assert_eq!(names(&report["drifted"]), ["orders"]);
    assert_eq!(support::raw_database(&client, &root, &database).await, before);

    // One that may not read a collection is told which.
    let (half, database) = support::half_readable().await;
    let archive = support::back_up(&root, &database, &to).await.archive.to_string();
    let report = shell.json(3, &["verify", &archive, "--against", &naming(&half, &database)]);
    assert_eq!(names(&report["not_compared"]), ["secret"], "{report:#}");
    assert_eq!(named(&report["collections"], "open")["outcome"], "equal");
}

#[tokio::test]
async fn a_collection_whose_backup_failed_cannot_be_compared_and_that_is_not_equal() {
    let (uri, database) = support::half_readable().await;
    let shell = Shell::new().set("MONGO_URI", &uri).set("MONGO_DB", &database);
    let archive = archive(&shell.json(3, &["backup", "--to", "to"]));
    let root = naming(&support::shared_authenticated().uri(), &database);
    let report = shell.json(3, &["verify", &archive, "--against", &root]);
    assert_eq!(names(&report["not_compared"]), ["secret"]);
    let reason = text(&named(&report["collections"], "secret")["differences"][0]);
    assert!(reason.contains("its backup failed"), "{reason}");
    let report = shell.json(0, &["verify", &archive, "--against", &root, "--exclude", "secret"]);
    assert_eq!(report["status"], "complete", "all that was chosen is equal");
}

#[tokio::test]
async fn archives_of_others_are_compared_by_what_they_say() {
    let shell = Shell::new();
    let database = rig::fresh_database_name("against");
    let reading = |n: i64| {
        format!(
            "{{\"_id\": {n}, \"ts\": {{\"$date\": {}}}, \"meta\": {{\"b\": 1, \"a\": 2}}}}\n",
            n * 1000
        )
    };
    let folder = "backup_20250926_073727";
    let entries = json!({
        format!("{folder}/orders.jsonl"): "{\"n\": 1, \"_id\": 7}\n{\"n\": 2}\n",
        format!("{folder}/readings.jsonl"): (0..9).map(reading).collect::<String>(),
    });
    python_tar(&shell, "ancestors.tar", &entries);
    shell.json(0, &["restore", "ancestors.tar", "--mongo-db", &database, "--yes"]);
    // An index that an archive without definitions can know nothing of is no drift, but it is said.
    run(
        &database,
        doc! {"createIndexes": "orders", "indexes": [{"key": {"n": 1}, "name": "by_n"}]},
    )
    .await;
    let report = shell.json(0, &["verify", "ancestors.tar", "--against", &database]);
    assert_eq!(report["status"], "complete", "{report:#}");
    let orders = named(&report["collections"], "orders");
    assert_eq!(names(&orders["unknown"]), ["options", "indexes"]);
    assert_eq!(
        orders["database"]["documents"], 2,
        "one of them was given its _id by the restore"
    );
    assert_eq!(named(&report["collections"], "readings")["archive"]["documents"], 9);

    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", numbered(0..1)).await;
    support::insert(
        &client,
        &database,
        "readings",
        vec![doc! {"ts": DateTime::now(), "meta": {}}],
    )
    .await;
    let report = shell.json(3, &["verify", "ancestors.tar", "--against", &database]);
    assert_eq!(names(&report["drifted"]), ["orders", "readings"]);
    // A view holds no documents, whatever the archive does not say of it.
    run(&database, doc! {"drop": "orders"}).await;
    run(
        &database,
        doc! {"create": "orders", "viewOn": "readings", "pipeline": []},
    )
    .await;
    let report = shell.json(
        3,
        &["verify", "ancestors.tar", "--against", &database, "--include", "orders"],
    );
    assert_eq!(names(&report["drifted"]), ["orders"]);
}

#[tokio::test]
async fn a_damaged_archive_is_no_comparison_and_ends_with_1() {
    let (shell, database) = Shell::with_orders(numbered(0..20)).await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "users", vec![doc! {"_id": 1}]).await;
    let archive = archive(&shell.backed_up(&["--compression", "none"]));
    damage(&shell, &archive);
    let report = shell.json(1, &["verify", &archive, "--against", &database]);
    assert_eq!(report["status"], "failed");
    assert!(text(&report["damaged"][0]).contains("orders"), "{report:#}");
    assert_eq!(names(&report["not_compared"]), ["orders"]);
    assert_eq!(
        named(&report["collections"], "users")["outcome"],
        "equal",
        "damage does not keep the rest from being compared"
    );
}

#[tokio::test]
async fn a_database_that_is_not_there_misses_everything_and_one_that_is_not_named_is_asked_for() {
    let (shell, database, archive) = one_of_each().await;
    let gone = format!("{database}_gone");
    let report = shell.json(3, &["verify", &archive, "--against", &gone]);
    assert_eq!(report["missing"].as_array().map(Vec::len), Some(5));
    assert!(text(&report["warnings"][0]).contains(&gone), "{report:#}");
    let failure = shell.json(2, &["verify", &archive, "--against", &rig::shared_replica_set().uri()]);
    assert!(text(&failure["message"]).contains("names no database"), "{failure}");
    let failure = shell.json(2, &["verify", &archive, "--against", "mongodb://u:hush-hush@h/"]);
    assert!(!failure.to_string().contains("hush-hush"), "{failure}");
}
