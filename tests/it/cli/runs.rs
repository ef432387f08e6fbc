//! `--run NAME`: the same command goes on with what was begun under a name.

use bson::{Document, doc};
use mongotar::plan::LOCK_COLLECTION;

use super::signals::{Hold, files, until_it_heard};
use super::{Shell, archive, collections, numbered};
use crate::restore::Running;
use crate::rig::{self, shared_replica_set};
use crate::support;

/// Which collection is held, of those in the database.
const HELD: &str = "zebras";

/// A database of two collections, of which the second is read, and loaded, last.
async fn shell() -> Shell {
    let (shell, database) = Shell::with_orders(numbered(0..30)).await;
    let client = shared_replica_set().client().await;
    support::insert(&client, &database, HELD, numbered(0..40)).await;
    shell
}

/// Their names and states; the lock of the folder is nobody's.
fn names_of_runs(shell: &Shell, folder: &str) -> Vec<String> {
    let mut names = files(shell.path(folder).join(".in-progress"));
    names.retain(|name| name != ".lock");
    names
}

/// Begins a command, and ends it when the server holds what it has sent.
async fn disturbed(shell: &Shell, hold: &Hold, arguments: &[&str], signal: Option<&str>) -> Option<i32> {
    let mut running = Running::start(shell.command(arguments));
    hold.holds().await;
    let Some(signal) = signal else {
        running.kill();
        hold.let_go();
        return None;
    };
    running.signal(signal);
    let said = until_it_heard(&mut running);
    hold.let_go();
    let code = running.0.wait().expect("a child").code();
    drop(said);
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_ended_goes_on_under_its_name() {
    for (signal, code) in [(Some("TERM"), Some(1)), (Some("INT"), Some(1)), (None, None)] {
        let shell = shell().await;
        let hold = Hold::on("find", HELD);
        let shell = shell.set("MONGO_URI", &hold.wire.uri());
        let command = ["backup", "--to", "to", "--run", "nightly"];
        let ended = disturbed(&shell, &hold, &command, signal).await;
        assert!(ended == code || ended == Some(0), "{signal:?}: {ended:?}");
        let begun = names_of_runs(&shell, "to");
        let report = shell.json(0, &command);
        assert_eq!(report["status"], "complete", "{report}");
        assert_eq!(report["totals"]["documents"], 70, "{report}");
        if ended != Some(0) {
            assert_eq!(begun.len(), 2, "a name and a state: {begun:?}");
            let time = begun
                .iter()
                .find_map(|name| name.strip_prefix("backup_"))
                .expect("a state");
            let name = report["name"].as_str().expect("a name");
            assert!(name.ends_with(&time[..15]), "{name} goes on with {time}");
        }
        assert_eq!(names_of_runs(&shell, "to"), Vec::<String>::new(), "nothing is left");
        // The name is free: what is done under it now is another backup.
        let next = shell.json(0, &command);
        assert_ne!(next["archive"], report["archive"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_goes_on_under_its_name_with_the_consent_to_its_own_plan() {
    let shell = shell().await;
    let report = shell.json(0, &["backup", "--to", "to"]);
    let archive = archive(&report);
    let target = rig::fresh_database_name("cli_run");
    let hold = Hold::on("insert", HELD);
    let shell = shell.set("MONGO_URI", &hold.wire.uri()).set("MONGO_DB", &target);
    let plan = shell.json(0, &["plan", &archive, "--replace-existing"]);
    let confirm = plan["confirm"].as_str().expect("a token").to_owned();
    let command = [
        "restore",
        &archive,
        "--replace-existing",
        "--run",
        "bring back",
        "--confirm",
        &confirm,
    ];
    disturbed(&shell, &hold, &command, None).await;
    assert_eq!(names_of_runs(&shell, "to/pre-restore").len(), 2);
    let shell = shell.set("MONGO_URI", &shared_replica_set().uri());
    // Another request under the same name.
    let other = shell.json(2, &["restore", &archive, "--run", "bring back", "--yes"]);
    assert_eq!(other["error_type"], "InvalidRequest", "{other}");
    let report = shell.json(0, &command);
    assert_eq!(report["status"], "complete", "{report}");
    assert_eq!(names_of_runs(&shell, "to/pre-restore"), Vec::<String>::new());
    assert_eq!(collections(&target).await, ["orders", HELD]);
}

/// As if fifteen seconds had passed since the only run there was killed.
fn let_the_lease_run_out(shell: &Shell, folder: &str) {
    let names = names_of_runs(shell, folder);
    let run = names.iter().find(|name| name.starts_with("backup_")).expect("a run");
    let lease = shell.path(folder).join(".in-progress").join(run).join("lease.json");
    let text = std::fs::read(&lease).expect("a lease");
    let mut said: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    said["until"] = 0.into();
    std::fs::write(&lease, said.to_string()).expect("written");
}

/// The lock stays for fifteen minutes, and only the same run has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_while_it_took_the_lock_goes_on_under_its_name() {
    let shell = shell().await;
    let archive = archive(&shell.json(0, &["backup", "--to", "to"]));
    let target = rig::fresh_database_name("cli_run");
    let hold = Hold::on("findAndModify", LOCK_COLLECTION);
    let shell = shell.set("MONGO_URI", &hold.wire.uri()).set("MONGO_DB", &target);
    let command = ["restore", &archive, "--run", "bring back", "--yes"];
    disturbed(&shell, &hold, &command, None).await;
    there_is_a_document_in(&target, LOCK_COLLECTION).await;
    let_the_lease_run_out(&shell, "to/pre-restore");
    let report = shell.json(0, &command);
    assert_eq!(report["status"], "complete", "{report}");
    assert_eq!(collections(&target).await, ["orders", HELD]);
}

/// A drill takes no database that it did not make itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_was_killed_while_it_took_its_database_goes_on_in_it() {
    let shell = shell().await;
    let archive = archive(&shell.json(0, &["backup", "--to", "to"]));
    let scratch = rig::fresh_database_name("cli_drill");
    let hold = Hold::on("findAndModify", "mongotar.drill");
    let shell = shell.set("MONGO_URI", &hold.wire.uri());
    let command = ["drill", &archive, "--run", "proof", "--scratch", &scratch];
    disturbed(&shell, &hold, &command, None).await;
    there_is_a_document_in(&scratch, "mongotar.drill").await;
    let_the_lease_run_out(&shell, "to/pre-restore");
    let drill = shell.json(0, &command);
    assert_eq!(drill["verdict"], "passed", "{drill}");
    assert_eq!(collections(&scratch).await, Vec::<String>::new());
}

/// What a dead one has sent, the server does all the same.
async fn there_is_a_document_in(database: &str, collection: &str) {
    let client = shared_replica_set().client().await;
    let collection = client.database(database).collection::<Document>(collection);
    while collection.find_one(doc! {}).await.expect("an answer").is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_and_a_verification_have_names_too() {
    let shell = shell().await;
    let report = shell.json(0, &["backup", "--to", "to"]);
    let archive = archive(&report);
    let drill = shell.json(0, &["drill", &archive, "--run", "proof"]);
    assert_eq!(drill["verdict"], "passed", "{drill}");
    let verified = shell.json(0, &["verify", &archive, "--run", "proof"]);
    assert_eq!(verified["status"], "complete", "{verified}");
    assert_eq!(names_of_runs(&shell, "to/pre-restore"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_another_process_is_at_is_left_to_it() {
    let shell = shell().await;
    let hold = Hold::on("find", HELD);
    let shell = shell.set("MONGO_URI", &hold.wire.uri());
    let command = ["backup", "--to", "to", "--run", "nightly"];
    let mut running = Running::start(shell.command(&command));
    hold.holds().await;
    let failed = shell.json(1, &command);
    assert_eq!(failed["error_type"], "RunTakenOver", "{failed}");
    hold.let_go();
    assert_eq!(running.0.wait().expect("a child").code(), Some(0));
    let several = shell.json(2, &["backup", "--to", "to", "--mongo-db", "a,b", "--run", "nightly"]);
    assert!(
        several["message"]
            .as_str()
            .is_some_and(|said| said.contains("one database"))
    );
}
