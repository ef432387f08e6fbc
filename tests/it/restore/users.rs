//! Users and roles are taken along and put back only where that is asked for, and their credentials are shown nowhere.

use std::path::Path;

use bson::{Document, doc};
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupJob, RunStatus, TakeUsers, Tools, backup};
use mongotar::failure::FailureKind;
use mongotar::inspect::show;
use mongotar::plan::Action;
use mongotar::progress::Progress;
use mongotar::restore::RestoreReport;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::verify;
use serde_json::{Value, json};

use crate::rig;
use crate::support::{self, shared_authenticated};

/// Which of the words of a credential stands in a text.
fn credentials_in(text: &str) -> Vec<&'static str> {
    let words = ["storedKey", "serverKey", "SCRAM-SHA", "iterationCount"];
    words.into_iter().filter(|word| text.contains(word)).collect()
}

async fn run(database: &str, command: Document) -> Document {
    let client = shared_authenticated().client().await;
    client.database(database).run_command(command).await.expect("done")
}

/// A collection, two users and a role, whose rights reach beyond the database.
async fn filled(database: &str) {
    let client = shared_authenticated().client().await;
    support::insert(&client, database, "orders", vec![doc! {"_id": 1}]).await;
    let restrictions = vec![doc! {"clientSource": ["127.0.0.1"]}];
    let privileges = vec![doc! {"resource": {"db": database, "collection": "orders"}, "actions": ["insert", "find"]}];
    run(database, doc! {"createRole": "base", "privileges": [], "roles": []}).await;
    run(
        database,
        doc! {
            "createRole": "auditor", "privileges": privileges, "roles": ["read", "base"],
            "authenticationRestrictions": &restrictions,
        },
    )
    .await;
    run(database, doc! {
        "createUser": "app", "pwd": "old secret", "roles": ["readWrite", "auditor", {"role": "read", "db": "elsewhere"}],
        "customData": {"team": "shop"}, "authenticationRestrictions": restrictions,
    })
    .await;
    run(database, doc! {"createUser": "idle", "pwd": "x", "roles": []}).await;
}

async fn tools_of(roles: &[(&str, &str)]) -> Tools {
    let roles = roles.iter().map(|(role, db)| doc! {"role": *role, "db": *db}).collect();
    let uri = shared_authenticated().create_user(&rig::fresh_database_name("keeper"), roles);
    support::tools_for(&uri, Store::with_client(rig::shared_s3().client().await)).await
}

/// Whether somebody can log in, and do something there.
async fn may_write(database: &str, password: &str) -> bool {
    let uri = shared_authenticated().uri();
    let (_, host) = uri.rsplit_once('@').expect("a host");
    let host = host.replace("authSource=admin", "");
    let password = password.replace(' ', "%20");
    let uri = format!(
        "mongodb://app:{password}@{}&authSource={database}",
        host.trim_end_matches('&')
    );
    let client = mongodb::Client::with_uri_str(uri).await.expect("a connection string");
    let orders = client.database(database).collection::<Document>("orders");
    orders.insert_one(doc! {"by": "app"}).await.is_ok()
}

async fn restore(tools: &Tools, archive: &Location, database: &str, fields: Value) -> RestoreReport {
    let mut event = json!({"archive": archive.to_string(), "database": database, "users": true});
    for (key, value) in fields.as_object().expect("fields") {
        event[key] = value.clone();
    }
    let report = support::restore(tools, event).await.expect("restored");
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(credentials_in(&text), [""; 0], "{text}");
    report
}

/// An archive of payload `bson` holds what `mongodump --dumpDbUsersAndRoles` writes: as a dump, it is read, too.
async fn of_a_dump(extracted: &Path, dump: &Path, database: &str) {
    let folder = dump.join(database);
    std::fs::create_dir_all(&folder).expect("a folder");
    for inside in std::fs::read_dir(extracted).expect("archives").flatten() {
        for file in std::fs::read_dir(inside.path()).expect("members").flatten() {
            let name = file.file_name().into_string().expect("a name");
            if name.ends_with(".bson") || name == "orders.metadata.json" {
                std::fs::copy(file.path(), folder.join(name)).expect("copied");
            }
        }
    }
    let target = rig::fresh_database_name("users");
    let restorer = tools_of(&[("readWrite", &target), ("restore", "admin")]).await;
    let archive = Location::Local(folder);
    let plain = restore(&restorer, &archive, &target, json!({"users": false})).await;
    let named = |warning: &String| warning.contains("$admin.system.users.bson") && warning.contains("--users");
    assert!(
        plain.plan.warnings.iter().any(named) && plain.users.is_none(),
        "{:?}",
        plain.plan.warnings
    );
    let report = restore(&restorer, &archive, &target, json!({})).await;
    let restored = report.users.expect("restored");
    assert_eq!(
        (restored.users, restored.roles, restored.equal),
        (2, 2, true),
        "{restored:?}"
    );
    assert!(may_write(&target, "old secret").await);
}

#[tokio::test]
async fn users_and_roles_come_back_where_they_are_asked_for() {
    let [database, target] = [(); 2].map(|()| rig::fresh_database_name("users"));
    filled(&database).await;
    let folder = rig::ScratchDir::new("users");
    let keeper = tools_of(&[("backup", "admin")]).await;
    let mut archives = Vec::new();
    for (number, (payload, compression)) in [
        (Payload::Bson, Compression::Gzip),
        (Payload::Jsonl, Compression::None),
        (Payload::Jsonl, Compression::Zstd),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        let job = BackupJob {
            payload,
            compression,
            users: TakeUsers::Yes,
            ..support::job(&database, &Location::Local(path))
        };
        let report = backup(&job, &keeper).await.expect("a backup");
        assert_eq!(report.status, RunStatus::Complete);
        let checked = verify(&keeper.store, &report.archive, Memory::default(), &Progress::default()).await;
        assert_eq!(checked.expect("read").status, RunStatus::Complete);
        let shown = show(&keeper.store, &report.archive, Memory::default())
            .await
            .expect("shown");
        for text in [serde_json::to_string(&report), serde_json::to_string(&shown)] {
            let text = text.expect("JSON");
            assert_eq!(credentials_in(&text), [""; 0], "{text}");
        }
        archives.push(report.archive);
    }
    // What `mongorestore --restoreDbUsersAndRoles` reads.
    for archive in &archives[..2] {
        let out = folder.path().join("out");
        rig::libarchive_extract(archive.to_string().as_ref(), &out);
        let name = archive.file_name();
        let inside = out.join(name.split('.').next().expect("a name"));
        for (file, word) in [("users", "storedKey"), ("roles", "auditor"), ("version", "authSchema")] {
            let bytes = std::fs::read(inside.join(format!("$admin.system.{file}.bson"))).expect("a member");
            assert!(String::from_utf8_lossy(&bytes).contains(word), "{file}");
        }
    }
    let archive = archives.pop().expect("the last");
    of_a_dump(&folder.path().join("out"), &folder.path().join("dump"), &database).await;

    // Who may not read users learns it before anything is written.
    let reader = tools_of(&[("read", &database)]).await;
    let beside = folder.path().join("refused");
    let job = BackupJob {
        users: TakeUsers::Yes,
        ..support::job(&database, &Location::Local(beside.clone()))
    };
    let failure = backup(&job, &reader).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
    assert!(
        failure.message.contains("the role backup") && !beside.exists(),
        "{failure}"
    );

    // Nor may whoever restores collections put users back.
    let narrow = tools_of(&[("readWrite", &target), ("dbAdmin", &target), ("userAdmin", &target)]).await;
    let event = json!({"archive": archive.to_string(), "database": &target, "users": true});
    let failure = support::restore(&narrow, event).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
    assert!(failure.message.contains("createUser on all databases"), "{failure}");

    let restorer = tools_of(&[("readWrite", &target), ("restore", "admin")]).await;
    let plain = restore(&restorer, &archive, &target, json!({"users": false})).await;
    assert!(plain.users.is_none() && !may_write(&target, "old secret").await);
    assert!(
        plain
            .plan
            .warnings
            .iter()
            .any(|warning| warning.contains("users (2) and roles (2)"))
    );

    let first = restore(&restorer, &archive, &target, json!({})).await;
    assert_eq!(first.status, RunStatus::Complete, "{:?}", first.users);
    let restored = first.users.expect("restored");
    assert_eq!(
        (restored.users, restored.roles, restored.equal),
        (2, 2, true),
        "{restored:?}"
    );
    assert!(first.summary.contains("2 users and 2 roles"), "{}", first.summary);
    let left_out = first.plan.users.expect("planned").left_out;
    assert_eq!(left_out, ["user app: role read on elsewhere"]);
    assert!(may_write(&target, "old secret").await);
    let app = |database: &str| {
        let database = database.to_owned();
        async move {
            run(&database, doc! {"usersInfo": "app", "showCustomData": true})
                .await
                .to_string()
        }
    };
    let info = app(&target).await;
    assert!(
        info.contains("team") && info.contains("auditor") && !info.contains("elsewhere"),
        "{info}"
    );
    let admin = shared_authenticated().client().await.database("admin");
    let left = admin.list_collection_names().await.expect("names");
    assert!(!left.iter().any(|name| name.contains("temp")), "{left:?}");

    // One that is there stays as it is; dropped, it comes back.
    run(&target, doc! {"updateUser": "app", "pwd": "new", "roles": []}).await;
    let kept = restore(&restorer, &archive, &target, json!({})).await;
    assert_eq!(kept.plan.users.expect("planned").users["app"], Action::Skip);
    assert!(!may_write(&target, "old secret").await);
    run(&target, doc! {"dropUser": "app"}).await;
    let all = json!({"grant_elsewhere": true, "replace_existing": true});
    let again = restore(&restorer, &archive, &target, all).await;
    assert_eq!(again.status, RunStatus::Complete, "{:?}", again.users);
    assert!(may_write(&target, "old secret").await && app(&target).await.contains("elsewhere"));

    let without = backup(
        &support::job(&database, &Location::Local(folder.path().join("w"))),
        &keeper,
    )
    .await;
    let archive = without.expect("a backup").archive.to_string();
    let event = json!({"archive": archive, "database": &target, "users": true});
    let failure = support::restore(&restorer, event).await.expect_err("none there");
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
}
