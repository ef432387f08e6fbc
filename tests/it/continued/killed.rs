//! `kill -9` in the middle of an invocation: the same event goes on from the last saved state, and ends as if nothing
//! had been.

use std::time::Duration;

use bson::doc;
use mongotar::run::Deadline;
use mongotar::store::Location;
use serde_json::{Value, json};

use super::run;
use crate::handlers::RESTORE;
use crate::restore::atomic::{fill_target, prepared};
use crate::restore::data;
use crate::restore::failpoints::Failing;
use crate::rig::{FunctionError, LambdaFunction};

/// What AWS gives a function at the most.
const ENOUGH: Duration = Duration::from_secs(900);

/// Sends an event, kills the function where the armed command stands still, and takes the failpoint away.
pub async fn kill_at_the_failpoint(failing: &Failing, function: &LambdaFunction, event: &Value) {
    let (killed, ()) = tokio::join!(invoke(function, event), async {
        failing.stands_still().await;
        assert!(function.kill(), "it is at an invocation");
    });
    assert_eq!(killed.expect_err("it was killed").error_type, "Runtime.ExitError");
    failing.end_what_stands_still().await;
    failing.disarm().await;
}

/// Waits for nobody: what a dead invocation holds, it holds for 15 seconds. `folder` is where runs have their state.
pub async fn let_all_leases_run_out(failing: &Failing, folder: &Location) {
    let store = &failing.place.tools.store;
    let Location::Local(path) = folder else {
        panic!("archives are on disk")
    };
    for run in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let location = Location::Local(run.path()).join("lease.json");
        if let Some((text, _)) = store.load(&location).await.expect("an answer") {
            let mut lease: Value = serde_json::from_slice(&text).expect("JSON");
            lease["until"] = json!(0);
            store
                .save(&location, lease.to_string().into_bytes().into())
                .await
                .expect("written");
        }
    }
}

async fn invoke(function: &LambdaFunction, event: &Value) -> Result<Value, FunctionError> {
    function.invoke(event.clone(), ENOUGH).await
}

/// Kills an invocation at a command, and sends the event again.
async fn killed_at(cases: &[(&str, i32)]) {
    let (failing, archive) = prepared().await;
    let place = &failing.place;
    let wanted = {
        let event = json!({"archive": archive, "database": place.database, "replace_existing": true});
        crate::support::restore(&place.tools, event).await.expect("a report");
        place.state().await
    };
    let function = LambdaFunction::start(
        &crate::rig::program(RESTORE),
        [
            ("MONGO_URI", failing.uri.as_str()),
            ("MONGO_DB", place.database.as_str()),
        ],
    );
    for &(command, skip) in cases {
        let at = format!("{command} after {skip}");
        fill_target(&failing).await;
        let before = data(place.state().await);
        let this = run();
        let undo = place.to.join(&crate::rig::unique_name("undo"));
        let event = json!({
            "archive": archive, "database": place.database, "replace_existing": true, "yes": true, "run": this,
            "snapshot_to": undo.to_string(),
        });
        let blocks = doc! {"blockConnection": true, "blockTimeMS": 600_000};
        failing.arm(doc! {"skip": skip}, command, blocks).await;
        kill_at_the_failpoint(&failing, &function, &event).await;
        if command != "renameCollection" && command != "drop" {
            assert_eq!(data(place.state().await), before, "killed at {at}");
        }

        let waiting = invoke(&function, &event).await.expect(&at);
        assert!(
            ["running", "complete"].contains(&waiting["status"].as_str().expect("text")),
            "{at}: {waiting}"
        );
        let_all_leases_run_out(&failing, &undo.join(".in-progress")).await;
        let report = invoke(&function, &event).await.expect(&at);
        assert_eq!(report["status"], "complete", "{at}: {report}");
        assert_eq!(place.state().await, wanted, "{at}: nothing of the dead one is left");
        let mut unequal = report["verification"]["collections"].as_array().expect("a list").iter();
        assert!(
            unequal
                .all(|collection| collection["inserted"] == collection["file_count"] || collection["action"] == "drop"),
            "{at}: {report}"
        );
        assert_eq!(invoke(&function, &event).await.expect(&at), report, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_anything_was_changed() {
    killed_at(&[
        ("findAndModify", 1),
        ("create", 0),
        ("create", 5),
        ("insert", 1),
        ("createIndexes", 3),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_the_commit() {
    killed_at(&[
        ("renameCollection", 0),
        ("renameCollection", 1),
        ("renameCollection", 2),
    ])
    .await;
}

/// Documents in doubt: those that the dead invocation had sent after its last saved state. Beside they are sent again,
/// a capped collection and a time series are begun anew.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_collections_that_were_half_loaded_before() {
    let failing = Failing::start().await;
    let place = &failing.place;
    super::restore::fill(place).await;
    let wanted = place.state().await;
    let archive = place.archive().await;
    let function = LambdaFunction::start(
        &crate::rig::program(RESTORE),
        [
            ("MONGO_URI", failing.uri.as_str()),
            ("MONGO_DB", place.database.as_str()),
        ],
    );
    let hurried = mongotar::backup::Tools {
        deadline: Deadline::within(Duration::ZERO, None),
        ..place.tools.clone()
    };
    // What of the target says how far it is, and how many inserts later it dies.
    for (until, skip) in [("mongotar.tmp.", 2), ("mongotar.tmp.", 5), ("series", 1)] {
        super::restore::change(place).await;
        let old_series = place.uuid_of("series").await;
        let this = run();
        let event = json!({
            "archive": archive, "database": place.database, "replace_existing": true, "yes": true, "run": this, "snapshot": false,
        });
        let is_there = async || match until {
            "series" => {
                let series = place.uuid_of("series").await;
                series.is_some() && series != old_series
            }
            prefix => place.names().await.iter().any(|name| name.starts_with(prefix)),
        };
        while !is_there().await {
            let request = mongotar::restore::RestoreRequest::from_event(event.clone()).expect("a request");
            let job = request
                .into_job(&mongotar::config::Environment::default())
                .expect("a job");
            let answer = mongotar::restore::restore_run(&job, &this, &hurried)
                .await
                .expect("an answer");
            assert_eq!(answer.status(), mongotar::backup::RunStatus::Continue);
        }
        let at = format!("insert {skip} after {until}");
        let blocks = doc! {"blockConnection": true, "blockTimeMS": 600_000};
        failing.arm(doc! {"skip": skip}, "insert", blocks).await;
        kill_at_the_failpoint(&failing, &function, &event).await;
        let_all_leases_run_out(&failing, &place.to.join("pre-restore").join(".in-progress")).await;
        let report = invoke(&function, &event).await.expect(&at);
        assert_eq!(report["status"], "complete", "{at}: {report}");
        assert_eq!(place.state().await, wanted, "{at}");
    }
}
