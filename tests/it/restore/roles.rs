//! The roles of MongoDB that the documentation names, by name: each is enough for what it is named for.

use bson::{Document, doc};
use mongotar::backup::{BackupRequest, RunStatus, backup, jobs};
use mongotar::catalog::Selection;
use mongotar::config::Environment;
use mongotar::drill::{DrillRequest, DrillVerdict, drill};
use mongotar::failure::{Failure, FailureKind};
use mongotar::plan::Ttl;
use mongotar::store::Store;
use mongotar::verify::{AgainstJob, against};
use serde_json::json;

use crate::rig;
use crate::support::{self, shared_authenticated};

/// A collection of each kind, and a reader for the archive.
async fn filled(database: &str) {
    let client = shared_authenticated().client().await;
    let db = client.database(database);
    support::insert(
        &client,
        database,
        "orders",
        (0..20).map(|n| doc! {"_id": n, "at": bson::DateTime::now()}).collect(),
    )
    .await;
    for command in [
        doc! {"createIndexes": "orders", "indexes": [{"key": {"at": 1}, "name": "ttl", "expireAfterSeconds": 90_000}]},
        doc! {"create": "checked", "validator": {"n": {"$type": "int"}}},
        doc! {"create": "seen", "viewOn": "orders", "pipeline": []},
        doc! {"create": "weather", "timeseries": {"timeField": "at"}, "expireAfterSeconds": 90_000},
    ] {
        db.run_command(command).await.expect("done");
    }
    support::insert(
        &client,
        database,
        "weather",
        vec![doc! {"at": bson::DateTime::now(), "t": 1}],
    )
    .await;
}

async fn user(roles: Vec<Document>) -> mongotar::backup::Tools {
    let uri = shared_authenticated().create_user(&rig::fresh_database_name("role"), roles);
    support::tools_for(&uri, Store::with_client(rig::shared_s3().client().await)).await
}

#[tokio::test]
async fn the_documented_roles_are_enough_to_back_up_and_to_restore() {
    let [source, target] = [(); 2].map(|()| rig::fresh_database_name("roles"));
    filled(&source).await;
    let of_all = |role: &str| doc! {"role": role, "db": "admin"};
    let of_one = |role: &str, database: &str| doc! {"role": role, "db": database};

    let mut archive = None;
    for role in [of_all("backup"), of_one("read", &source)] {
        let saved = support::back_up(&user(vec![role.clone()]).await, &source, &support::folder()).await;
        assert_eq!(saved.status, RunStatus::Complete, "{role}: {:?}", saved.failed);
        archive = Some(saved.archive);
    }
    let archive = archive.expect("saved").to_string();

    for roles in [
        vec![of_one("readWrite", &target), of_one("dbAdmin", &target)],
        vec![of_one("readWrite", &target), of_all("restore")],
    ] {
        let tools = user(roles.clone()).await;
        for _ in 0..2 {
            let event = json!({"archive": archive, "database": target, "replace_existing": true});
            let report = support::restore(&tools, event)
                .await
                .unwrap_or_else(|failure| panic!("{roles:?}: {failure}"));
            assert_eq!(
                report.status,
                RunStatus::Complete,
                "{roles:?}: {:?}",
                report.verification
            );
        }
    }

    // A drill has a database of its own each time.
    let drills = user(vec![of_all("readWriteAnyDatabase"), of_all("dbAdminAnyDatabase")]).await;
    let job = DrillRequest::from_event(json!({"archive": archive})).expect("a request");
    let drilled = drill(&job.into_job(&Environment::default()).expect("a job"), &drills).await;
    let drilled = drilled.expect("a drill");
    assert_eq!(
        (drilled.verdict, drilled.dropped),
        (DrillVerdict::Passed, true),
        "{drilled:?}"
    );

    // Who may restore but not read cannot compare: that is said before the first change, with the collection.
    let tools = user(vec![of_all("restore")]).await;
    let event = json!({"archive": archive, "database": target, "replace_existing": true, "snapshot": false});
    let failure = support::restore(&tools, event).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
}

/// The server says nothing of the databases that a user may not read: the backup was `complete`, "1 database".
#[tokio::test]
async fn all_databases_are_backed_up_only_by_whom_may_list_them_all() {
    let [mine, other] = [(); 2].map(|()| rig::fresh_database_name("all"));
    let client = shared_authenticated().client().await;
    for database in [&mine, &other] {
        support::insert(&client, database, "orders", vec![doc! {"_id": 1}]).await;
    }
    let event = json!({"database": "*", "destination": support::folder().to_string()});
    let request = BackupRequest::from_event(event).expect("a request");
    let order = request.into_order(&Environment::default()).expect("an order");
    let one = doc! {"role": "read", "db": &mine};
    let failure = jobs(&order, &user(vec![one.clone()]).await).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
    for words in ["readAnyDatabase on admin", "listDatabases", "name the databases"] {
        assert!(failure.message.contains(words), "{failure}");
    }
    for role in ["readAnyDatabase", "backup"] {
        let tools = user(vec![one.clone(), doc! {"role": role, "db": "admin"}]).await;
        let jobs = jobs(&order, &tools).await.expect(role);
        assert!(jobs.iter().any(|job| job.database == other), "{role}");
    }
}

/// There was only the server's text, which names a command and no role.
#[tokio::test]
async fn who_lacks_a_right_learns_which_roles_to_grant() {
    let [source, target] = [(); 2].map(|()| rig::fresh_database_name("grants"));
    let client = shared_authenticated().client().await;
    for database in [&source, &target] {
        support::insert(&client, database, "orders", vec![doc! {"_id": 1}]).await;
    }
    let root = user(vec![doc! {"role": "root", "db": "admin"}]).await;
    let archive = support::back_up(&root, &source, &support::folder())
        .await
        .archive
        .to_string();
    let said = |failure: Failure, roles: &[&str]| {
        assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
        assert!(failure.message.contains("not authorized"), "{failure}");
        for words in roles {
            assert!(failure.message.contains(words), "{words}: {failure}");
        }
    };

    let privilege = doc! {"resource": {"db": &source, "collection": "orders"}, "actions": ["find"]};
    let role = doc! {"createRole": &source, "roles": [], "privileges": [privilege]};
    client.database("admin").run_command(role).await.expect("a role");
    let narrow = user(vec![doc! {"role": &source, "db": "admin"}]).await;
    let reading = format!("Grant the user read on {source}, or the role backup on admin");
    let job = support::job(&source, &support::folder());
    said(backup(&job, &narrow).await.expect_err("refused"), &[&reading]);
    let job = AgainstJob {
        archive: archive.parse().expect("a location"),
        source_database: None,
        database: source.clone(),
        selection: Selection::default(),
        ttl: Ttl::On,
    };
    said(against(&job, &narrow).await.expect_err("refused"), &[&reading]);

    let restorer = user(vec![doc! {"role": "restore", "db": "admin"}]).await;
    let event = json!({"archive": archive, "database": target, "dry_run": true});
    let failure = support::restore(&restorer, event).await.expect_err("refused");
    said(
        failure,
        &[
            &format!("readWrite and dbAdmin on {target}"),
            "readWrite on it and the role restore",
        ],
    );

    let one = user(vec![doc! {"role": "readWrite", "db": &target}]).await;
    let job = DrillRequest::from_event(json!({"archive": archive})).expect("a request");
    let job = job.into_job(&Environment::default()).expect("a job");
    let failure = drill(&job, &one).await.expect_err("refused");
    said(failure, &["readWriteAnyDatabase and dbAdminAnyDatabase on admin"]);
}

/// A grant on one collection counted as one on all, and a restore was refused in its middle.
#[tokio::test]
async fn a_right_to_one_collection_is_none_to_another() {
    let mongod = shared_authenticated();
    let database = rig::fresh_database_name("narrow");
    let client = mongod.client().await;
    for collection in ["orders", "users"] {
        support::insert(&client, &database, collection, vec![doc! {"_id": 1}]).await;
    }
    let root = support::tools_for(&mongod.uri(), Store::with_client(rig::shared_s3().client().await)).await;
    let archive = support::back_up(&root, &database, &support::folder()).await.archive;
    let before = support::raw_database(&client, &root, &database).await;
    let all = [
        "find",
        "insert",
        "update",
        "remove",
        "createIndex",
        "dropCollection",
        "createCollection",
    ];
    let role = doc! {"createRole": &database, "roles": [{"role": "read", "db": &database}], "privileges": [
        {"resource": {"db": &database, "collection": "orders"}, "actions": all.to_vec()},
        {"resource": {"db": &database, "collection": "mongotar.lock"}, "actions": all.to_vec()},
    ]};
    client.database("admin").run_command(role).await.expect("a role");
    let narrow = user(vec![doc! {"role": &database, "db": "admin"}]).await;
    let event =
        json!({"archive": archive.to_string(), "database": database, "replace_existing": true, "snapshot": false});
    let failure = support::restore(&narrow, event).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
    for words in [
        format!("dropCollection on {database}.mongotar.tmp.*, {database}.users"),
        format!("insert on {database}.mongotar.tmp.*"),
    ] {
        assert!(failure.message.contains(&words), "{failure}");
    }
    assert!(!failure.message.contains(&format!("{database}.orders")), "{failure}");
    assert_eq!(support::raw_database(&client, &root, &database).await, before);
}

/// They were told one after the other: first that one collection's indexes may not be listed, then the next one's, and
/// then what else is missing.
#[tokio::test]
async fn all_that_is_missing_is_told_at_once() {
    let mongod = shared_authenticated();
    let database = rig::fresh_database_name("unseen");
    let client = mongod.client().await;
    for collection in ["orders", "users", "visits"] {
        support::insert(&client, &database, collection, vec![doc! {"_id": 1}]).await;
    }
    let root = user(vec![doc! {"role": "root", "db": "admin"}]).await;
    let archive = support::back_up(&root, &database, &support::folder()).await.archive;
    let role = doc! {"createRole": &database, "roles": [], "privileges": [
        {"resource": {"db": &database, "collection": ""}, "actions": ["listCollections"]},
        {"resource": {"db": &database, "collection": "orders"}, "actions": ["find", "listIndexes"]},
    ]};
    client.database("admin").run_command(role).await.expect("a role");
    let narrow = user(vec![doc! {"role": &database, "db": "admin"}]).await;
    for dry_run in [true, false] {
        let event = json!({"archive": archive.to_string(), "database": database, "dry_run": dry_run});
        let failure = support::restore(&narrow, event).await.expect_err("refused");
        assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
        for words in [
            format!("listing the indexes of {database}.users, {database}.visits"),
            format!("find on {database}.mongotar.lock, {database}.users, {database}.visits"),
            format!("insert on {database}.mongotar.lock, {database}.orders, {database}.users, {database}.visits"),
            format!("readWrite and dbAdmin on {database}"),
        ] {
            assert!(failure.message.contains(&words), "{words}: {failure}");
        }
    }
}

/// The server refused the first collection, in the middle of the restore.
/// It was found out when collections had been merged already.
#[tokio::test]
async fn a_view_that_may_not_be_redefined_is_said_before_the_first_change() {
    let [source, target] = [(); 2].map(|()| rig::fresh_database_name("roles"));
    filled(&source).await;
    let root = user(vec![doc! {"role": "root", "db": "admin"}]).await;
    let archive = support::back_up(&root, &source, &support::folder()).await.archive;
    let client = shared_authenticated().client().await;
    support::insert(&client, &target, "orders", vec![doc! {"_id": -1}]).await;
    let view = doc! {"create": "seen", "viewOn": "users", "pipeline": []};
    client.database(&target).run_command(view).await.expect("created");
    let event = json!({"archive": archive, "database": target, "include": ["orders", "seen"], "snapshot": false});
    let tools = user(vec![doc! {"role": "readWrite", "db": &target}]).await;
    let failure = support::restore(&tools, event).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
    assert!(failure.message.contains(&format!("collMod on {target}.")), "{failure}");
    assert!(failure.message.contains("seen"), "{failure}");
    assert_eq!(support::raw_documents(&client, &target, "orders").await.len(), 1);
}

#[tokio::test]
async fn a_database_that_differs_in_case_only_is_in_the_way_of_the_plan() {
    let tools = support::tools().await;
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("case");
    support::insert(&client, &database, "orders", vec![doc! {"_id": 1}]).await;
    let archive = support::back_up(&tools, &database, &support::folder()).await.archive;
    let other = database.to_uppercase();
    let event = json!({"archive": archive.to_string(), "database": other, "dry_run": true});
    let failure = support::restore(&tools, event).await.expect_err("no plan");
    assert_eq!(failure.kind, FailureKind::PlanConflicts, "{failure}");
    assert!(
        failure.message.contains(&format!("{database:?}")) && failure.message.contains("case"),
        "{failure}"
    );
}
