//! Users and roles are taken along and put back only where that is asked for, and their credentials are shown nowhere.

use std::path::{Path, PathBuf};

use bson::{Document, doc};
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupJob, BackupRequest, RunStatus, Tools, backup};
use mongotar::failure::{Failure, FailureKind};
use mongotar::inspect::show;
use mongotar::open::Source;
use mongotar::progress::Progress;
use mongotar::restore::RestoreRequest;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::users::{Grants, RestoredUsers, UserAction, UserRestore, take};
use mongotar::verify::verify;
use serde_json::json;

use crate::foreign::mongodump::Archive;
use crate::rig;
use crate::support::{self, shared_authenticated};

/// Which of the words of a credential stands in a text.
fn credentials_in(text: &str) -> Vec<&'static str> {
    let words = ["storedKey", "serverKey", "iterationCount", "\"salt\""];
    words.into_iter().filter(|word| text.contains(word)).collect()
}

fn shows_no_credentials(text: &str) {
    assert_eq!(credentials_in(text), [""; 0], "{text}");
}

async fn run(mongod: &rig::Mongod, database: &str, command: Document) -> Document {
    let client = mongod.client().await;
    client.database(database).run_command(command).await.expect("done")
}

/// A collection, two users and two roles; the rights of one user reach beyond the database.
async fn filled(database: &str) {
    let mongod = shared_authenticated();
    support::insert(&mongod.client().await, database, "orders", vec![doc! {"_id": 1}]).await;
    let restrictions = vec![doc! {"clientSource": ["127.0.0.1"]}];
    let on = doc! {"resource": {"db": database, "collection": "orders"}, "actions": ["insert", "find"]};
    for command in [
        doc! {"createRole": "base", "privileges": [], "roles": []},
        doc! {
            "createRole": "auditor", "privileges": [on], "roles": ["read", "base"],
            "authenticationRestrictions": &restrictions,
        },
        doc! {
            "createUser": "app", "pwd": "old secret", "customData": {"team": "shop"},
            "roles": ["readWrite", "auditor", {"role": "read", "db": "elsewhere"}],
            "authenticationRestrictions": restrictions,
        },
        doc! {"createUser": "idle", "pwd": "x", "roles": []},
    ] {
        run(mongod, database, command).await;
    }
}

async fn tools_of(mongod: &rig::Mongod, roles: &[(&str, &str)]) -> Tools {
    let roles = roles.iter().map(|(role, db)| doc! {"role": *role, "db": *db}).collect();
    let uri = mongod.create_user(&rig::fresh_database_name("keeper"), roles);
    support::tools_for(&uri, Store::with_client(rig::shared_s3().client().await)).await
}

/// Whether `app` can log in, and do something there.
async fn may_write(mongod: &rig::Mongod, database: &str, password: &str) -> bool {
    let password = password.replace(' ', "%20");
    let uri = format!(
        "mongodb://app:{password}@127.0.0.1:{}/?directConnection=true&authSource={database}",
        mongod.port()
    );
    let client = mongodb::Client::with_uri_str(uri).await.expect("a connection string");
    let orders = client.database(database).collection::<Document>("orders");
    orders.insert_one(doc! {"by": "app"}).await.is_ok()
}

async fn prepared(tools: &Tools, archive: &Location, database: &str, grants: Grants) -> Result<UserRestore, Failure> {
    UserRestore::prepare(Source::from(archive), database, grants, tools).await
}

/// What the command line does with `--users`: nobody may see a credential of it.
async fn restored(tools: &Tools, archive: &Location, database: &str, grants: Grants) -> RestoredUsers {
    let users = prepared(tools, archive, database, grants).await.expect("a plan");
    users.check().expect("allowed");
    shows_no_credentials(&format!("{users:?} {:?}", users.said()));
    let restored = users.carry_out(RunStatus::Complete, tools).await;
    shows_no_credentials(&serde_json::to_string(&restored).expect("JSON"));
    shows_no_credentials(&format!("{restored:?} {:?} {}", restored.said(), restored.summary()));
    restored
}

/// An archive with users, and what is said of it on the way.
async fn archived(database: &str, folder: PathBuf, tools: &Tools, how: (Payload, Compression)) -> Location {
    let job = BackupJob {
        payload: how.0,
        compression: how.1,
        users: Some(take(&tools.mongo, database).await.expect("read")),
        ..support::job(database, &Location::Local(folder.clone()))
    };
    shows_no_credentials(&format!("{job:?}"));
    let report = backup(&job, tools).await.expect("a backup");
    assert_eq!(report.status, RunStatus::Complete);
    let checked = verify(&tools.store, &report.archive, Memory::default(), &Progress::default()).await;
    assert_eq!(checked.expect("read").status, RunStatus::Complete);
    let shown = show(&tools.store, &report.archive, Memory::default())
        .await
        .expect("shown");
    for text in [serde_json::to_string(&report), serde_json::to_string(&shown)] {
        shows_no_credentials(&text.expect("JSON"));
    }
    for file in std::fs::read_dir(&folder).expect("a folder").flatten() {
        if file.file_name().to_string_lossy().ends_with(".manifest.json") {
            let sidecar = std::fs::read_to_string(file.path()).expect("a manifest");
            shows_no_credentials(&sidecar);
            assert!(sidecar.contains("$admin.system.users.bson"), "{sidecar}");
        }
    }
    report.archive
}

/// What stock tools find in an archive of payload `bson`, in a folder as `mongodump --dumpDbUsersAndRoles` leaves it.
fn as_a_dump(archive: &Location, scratch: &Path, database: &str) -> Location {
    let out = scratch.join("out");
    rig::libarchive_extract(archive.to_string().as_ref(), &out);
    let name = archive.file_name();
    let inside = out.join(name.split('.').next().expect("a name"));
    for (file, word) in [("users", "storedKey"), ("roles", "auditor"), ("version", "authSchema")] {
        let bytes = std::fs::read(inside.join(format!("$admin.system.{file}.bson"))).expect("a member");
        assert!(String::from_utf8_lossy(&bytes).contains(word), "{file}");
    }
    let dump = scratch.join("dump").join(database);
    std::fs::create_dir_all(&dump).expect("a folder");
    for file in std::fs::read_dir(inside).expect("members").flatten() {
        let name = file.file_name().into_string().expect("a name");
        if name.ends_with(".bson") || name == "orders.metadata.json" {
            std::fs::copy(file.path(), dump.join(name)).expect("copied");
        }
    }
    Location::Local(dump)
}

/// The same as one file, as `mongodump --archive --dumpDbUsersAndRoles` writes it.
fn as_one_file(dump: &Location, database: &str) -> Location {
    let Location::Local(folder) = dump else {
        panic!("a folder");
    };
    let documents = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).expect("a member");
        let mut rest = bytes.as_slice();
        let mut all = Vec::new();
        while !rest.is_empty() {
            all.push(Document::from_reader(&mut rest).expect("a document"));
        }
        all
    };
    let definition = std::fs::read_to_string(folder.join("orders.metadata.json")).expect("a definition");
    let collections = [
        "orders",
        "$admin.system.users",
        "$admin.system.roles",
        "$admin.system.version",
    ];
    let definitions = collections.map(|name| (database, name, if name == "orders" { definition.as_str() } else { "" }));
    let mut archive = Archive::of(&definitions);
    for name in collections {
        archive = archive.block(database, name, &documents(&format!("{name}.bson")));
    }
    for name in collections {
        archive = archive.end(database, name, &documents(&format!("{name}.bson")));
    }
    let path = folder.with_extension("archive");
    std::fs::write(&path, archive.0).expect("written");
    Location::Local(path)
}

#[tokio::test]
async fn users_and_roles_come_back_on_another_server() {
    let (source, mongod) = (shared_authenticated(), rig::Mongod::builder().authentication().start());
    let database = rig::fresh_database_name("users");
    filled(&database).await;
    let folder = rig::ScratchDir::new("users");
    let keeper = tools_of(source, &[("backup", "admin")]).await;
    let mut archives = Vec::new();
    for (number, how) in [
        (Payload::Bson, Compression::Gzip),
        (Payload::Jsonl, Compression::None),
        (Payload::Jsonl, Compression::Zstd),
    ]
    .into_iter()
    .enumerate()
    {
        archives.push(archived(&database, folder.path().join(number.to_string()), &keeper, how).await);
    }
    archives.push(as_a_dump(&archives[0], folder.path(), &database));
    archives.push(as_one_file(&archives[3], &database));

    for (number, archive) in archives.iter().enumerate() {
        let target = rig::fresh_database_name("users");
        let restorer = tools_of(&mongod, &[("readWrite", &target), ("restore", "admin")]).await;
        // Whoever asks for nothing gets nothing, and is told.
        let event = json!({"archive": archive.to_string(), "database": target});
        let plain = support::restore(&restorer, event).await.expect("restored");
        let told = |warning: &String| warning.contains("--users");
        assert!(plain.plan.warnings.iter().any(told), "{:?}", plain.plan.warnings);
        // Those of a dump are told by name; of ours, how many there are.
        let named = plain.plan.warnings.iter().any(|warning| warning.contains("user app; "));
        assert_eq!(named, number >= 3, "{:?}", plain.plan.warnings);
        assert!(!may_write(&mongod, &target, "old secret").await);

        let users = restored(&restorer, archive, &target, Grants::Within).await;
        assert!(users.equal, "{number}: {users:?}");
        assert_eq!((users.users, users.roles), (2, 2), "{number}: {users:?}");
        assert_eq!(users.planned.not_granted, ["user app: role read on elsewhere"]);
        assert!(may_write(&mongod, &target, "old secret").await, "{number}");
        let ask = doc! {"usersInfo": {"user": "app", "db": &target}, "showAuthenticationRestrictions": true};
        let info = run(&mongod, &target, ask).await.to_string();
        for word in ["team", "auditor", "clientSource"] {
            assert!(info.contains(word), "{word}: {info}");
        }
        assert!(!info.contains("elsewhere"), "{info}");
    }

    // Those that are there stay as they are: whoever restores may be one of them.
    let (archive, target) = (&archives[2], rig::fresh_database_name("users"));
    let restorer = tools_of(&mongod, &[("readWrite", &target), ("restore", "admin")]).await;
    run(
        &mongod,
        &target,
        doc! {"createUser": "app", "pwd": "new", "roles": ["readWrite"]},
    )
    .await;
    let users = restored(&restorer, archive, &target, Grants::Elsewhere).await;
    assert_eq!(users.planned.users["app"], UserAction::KeepDifferent);
    assert_eq!((users.equal, users.users, users.roles), (true, 1, 2), "{users:?}");
    assert!(may_write(&mongod, &target, "new").await && !may_write(&mongod, &target, "old secret").await);
    run(&mongod, &target, doc! {"dropUser": "app"}).await;
    let users = restored(&restorer, archive, &target, Grants::Elsewhere).await;
    assert!(users.equal && users.planned.not_granted.is_empty(), "{users:?}");
    assert!(may_write(&mongod, &target, "old secret").await);
    let info = run(&mongod, &target, doc! {"usersInfo": "app"}).await.to_string();
    assert!(info.contains("elsewhere"), "{info}");
    let again = restored(&restorer, archive, &target, Grants::Within).await;
    assert_eq!(again.planned.users["app"], UserAction::KeepEqual, "{again:?}");

    // Where the collections failed, nobody is made.
    let empty = rig::fresh_database_name("users");
    let users = prepared(&restorer, archive, &empty, Grants::Within)
        .await
        .expect("a plan");
    let users = users.carry_out(RunStatus::Failed, &restorer).await;
    assert!(!users.equal && users.users == 0, "{users:?}");
    assert!(!may_write(&mongod, &empty, "old secret").await);
}

/// They met in `admin.tempusers`, which has one name in a whole cluster.
#[tokio::test]
async fn restores_of_users_at_the_same_time_do_not_meet() {
    let mongod = shared_authenticated();
    let database = rig::fresh_database_name("users");
    filled(&database).await;
    let folder = rig::ScratchDir::new("users");
    let keeper = tools_of(mongod, &[("backup", "admin")]).await;
    let how = (Payload::default(), Compression::default());
    let archive = archived(&database, folder.path().join("a"), &keeper, how).await;
    let targets = [(); 3].map(|()| rig::fresh_database_name("users"));
    let restorer = tools_of(mongod, &[("restore", "admin")]).await;
    // Two into each.
    let into = targets.iter().chain(&targets);
    let all = into.map(|target| restored(&restorer, &archive, target, Grants::Within));
    for users in futures_util::future::join_all(all).await {
        assert!(users.equal, "{users:?}");
    }
    for target in &targets {
        let made = run(mongod, target, doc! {"usersInfo": 1}).await;
        assert_eq!(made.get_array("users").expect("a list").len(), 2, "{made}");
    }
    let admin = mongod.client().await.database("admin");
    let left = admin.list_collection_names().await.expect("names");
    assert!(!left.iter().any(|name| name.contains("temp")), "{left:?}");
}

#[tokio::test]
async fn who_may_not_is_told_what_is_missing_before_the_first_change() {
    let mongod = shared_authenticated();
    let [database, target] = [(); 2].map(|()| rig::fresh_database_name("users"));
    filled(&database).await;
    let reader = tools_of(mongod, &[("read", &database)]).await;
    let failure = take(&reader.mongo, &database).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
    for word in ["find on admin.system.users", "the role backup", "viewUser"] {
        assert!(failure.message.contains(word), "{word}: {failure}");
    }
    let failure = take(&reader.mongo, "admin").await.expect_err("the cluster's");
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");

    // Asked for, and not read where they lie.
    let keeper = tools_of(mongod, &[("read", &database), ("userAdmin", &database)]).await;
    let folder = rig::ScratchDir::new("users");
    let how = (Payload::default(), Compression::default());
    let archive = archived(&database, folder.path().join("a"), &keeper, how).await;

    // One action after the other is missing; the others are all that it takes.
    let client = mongod.client().await;
    let on = |database: &str, collection: &str, actions: &[&str]| {
        doc! {"resource": {"db": database, "collection": collection}, "actions": actions.to_vec()}
    };
    let needed = ["createRole", "grantRole", "setAuthenticationRestriction", "insert"];
    for missing in needed.into_iter().chain([""]) {
        let role = rig::fresh_database_name("lacking");
        let of_roles: Vec<&str> = ["viewRole", "viewUser"].into_iter().chain(needed).collect();
        let of_roles: Vec<&str> = of_roles.into_iter().filter(|action| *action != missing).collect();
        let of_users: Vec<&str> = ["find", "insert"]
            .into_iter()
            .filter(|action| *action != missing)
            .collect();
        let privileges = vec![on(&target, "", &of_roles), on("admin", "system.users", &of_users)];
        let create = doc! {"createRole": &role, "roles": [], "privileges": privileges};
        client.database("admin").run_command(create).await.expect("a role");
        let tools = tools_of(mongod, &[(&role, "admin")]).await;
        let users = prepared(&tools, &archive, &target, Grants::Within)
            .await
            .expect("a plan");
        if missing.is_empty() {
            users.check().expect("allowed");
            let users = users.carry_out(RunStatus::Complete, &tools).await;
            assert!(users.equal, "{users:?}");
            continue;
        }
        let failure = users.check().expect_err(missing);
        assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
        let place = match missing {
            "insert" => "admin.system.users",
            _ => target.as_str(),
        };
        assert!(failure.message.contains(&format!("{missing} on {place}.")), "{failure}");
        assert!(
            users.said().iter().any(|said| said.contains(missing)),
            "{:?}",
            users.said()
        );
    }
    let blind = tools_of(mongod, &[("readWrite", &target)]).await;
    let failure = prepared(&blind, &archive, &target, Grants::Within)
        .await
        .expect_err("refused");
    assert_eq!(failure.kind, FailureKind::DatabaseUnauthorized, "{failure}");
    assert!(failure.message.contains("insert on admin.system.users"), "{failure}");
}

/// They compared as equal, though nobody could log in.
#[tokio::test]
async fn who_cannot_log_in_on_the_target_is_named() {
    let source = shared_authenticated();
    let database = rig::fresh_database_name("users");
    support::insert(&source.client().await, &database, "orders", vec![doc! {"_id": 1}]).await;
    let create = doc! {"createUser": "app", "pwd": "old secret", "roles": [], "mechanisms": ["SCRAM-SHA-256"]};
    run(source, &database, create).await;
    let folder = rig::ScratchDir::new("users");
    let keeper = tools_of(source, &[("backup", "admin")]).await;
    let how = (Payload::default(), Compression::default());
    let archive = archived(&database, folder.path().join("a"), &keeper, how).await;

    let builder = rig::Mongod::builder().authentication();
    let mongod = builder.parameter("authenticationMechanisms", "SCRAM-SHA-1").start();
    let restorer = tools_of(&mongod, &[("restore", "admin")]).await;
    let users = prepared(&restorer, &archive, &database, Grants::Within)
        .await
        .expect("a plan");
    let planned = users.said().join("\n");
    assert!(planned.contains("user app will not be able to log in"), "{planned}");
    let users = users.carry_out(RunStatus::Complete, &restorer).await;
    assert!(!users.equal && users.users == 1, "{users:?}");
    let said = users.said().join("\n");
    assert!(said.contains("user app is restored, but cannot log in"), "{said}");
}

#[tokio::test]
async fn an_archive_without_users_and_a_function_that_is_asked_for_them_say_so() {
    let tools = support::tools().await;
    let database = rig::fresh_database_name("users");
    support::insert(
        &rig::shared_replica_set().client().await,
        &database,
        "orders",
        vec![doc! {"_id": 1}],
    )
    .await;
    let archive = support::back_up(&tools, &database, &support::folder()).await.archive;
    let failure = prepared(&tools, &archive, &database, Grants::Within)
        .await
        .expect_err("none");
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
    assert!(failure.message.contains("--users"), "{failure}");
    for refused in [
        BackupRequest::from_event(json!({"users": true})).map(drop),
        RestoreRequest::from_event(json!({"archive": "a.tar", "users": true})).map(drop),
    ] {
        let failure = refused.expect_err("not known to events");
        assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
        assert!(failure.message.contains("users"), "{failure}");
    }
}
