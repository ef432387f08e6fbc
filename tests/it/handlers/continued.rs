//! Runs that take more than one invocation, or get more than they need: the same event again goes on, finds what is
//! done, or waits for who is at it.

use std::time::Duration;

use mongotar::run::{Lease, Memory, Run, Taken};
use serde_json::{Value, json};

use super::{BACKUP, Shop, answer, shop, text};
use crate::rig::LambdaFunction;
use crate::support;

/// Five replies: as many invocations at least, where each does as little as it can.
const MEBIBYTES: u64 = 40;

async fn large_shop() -> Shop {
    let shop = shop().await;
    support::insert_mebibytes(&shop.client, &shop.database, "images", MEBIBYTES).await;
    shop
}

/// Each invocation does as little as it can, however fast the machine is.
const LITTLE: [(&str, &str); 1] = [("MONGOTAR_DEADLINE_MARGIN", "3600")];
/// What AWS gives a function at the most.
const ENOUGH: Duration = Duration::from_secs(900);

fn event(id: &str) -> Value {
    json!({"run": {"id": id, "time": "2026-11-21T02:00:00Z"}})
}

/// The same event until the run is at its end; gives the answers.
async fn to_the_end(function: &LambdaFunction, event: &Value, each: Duration) -> Vec<Value> {
    let mut answers = Vec::new();
    for _ in 0..3_000 {
        // One that was killed leaves its lease behind, which runs out: then the next takes over.
        match function.invoke(event.clone(), each).await {
            Ok(answer) if answer["status"] == "running" => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(answer) => {
                answers.push(answer);
                if !["continue", "running"].contains(&answers[answers.len() - 1]["status"].as_str().unwrap_or("")) {
                    return answers;
                }
            }
            Err(error) => panic!("{error}\n{}", function.logs().join("\n")),
        }
    }
    panic!("it does not come to an end: {answers:?}")
}

async fn check(shop: &Shop, archive: &str) {
    let location = archive.parse().expect("a location");
    let tools = support::tools().await;
    let checked = mongotar::verify::verify(&tools.store, &location, Memory::default(), &tools.progress).await;
    let checked = checked.expect("it can be verified");
    assert_eq!(
        checked.status,
        mongotar::backup::RunStatus::Complete,
        "{:?}",
        checked.damaged
    );
    let mut names = support::visible(&tools.store, &shop.folder).await;
    names.sort_unstable();
    assert_eq!(
        names,
        ["backup_20261121_020000.manifest.json", "backup_20261121_020000.tar.zst"]
    );
    assert_eq!(support::unfinished(&shop.folder).await, Vec::<String>::new());
    let in_progress = shop.folder.join(".in-progress/");
    let left = tools.store.list(&in_progress, "").await.expect("a listing");
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_stops_before_its_deadline_and_the_same_event_goes_on() {
    let shop = large_shop().await;
    let function = shop.function(BACKUP, &LITTLE);
    let answers = to_the_end(&function, &event("short"), ENOUGH).await;
    let (last, before) = answers.split_last().expect("an answer");
    assert_eq!(last["status"], "complete", "{last}");
    assert_eq!(last["totals"]["documents"], 5 + MEBIBYTES);
    assert!(before.len() >= 5, "{} invocations are not many", before.len());
    for (at, answer) in before.iter().enumerate() {
        assert_eq!(answer["status"], "continue", "{answer}");
        assert_eq!(answer["invocations"], at + 1);
        assert_eq!(answer["run"]["id"], "short");
    }
    check(&shop, &text(&last["archive"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_goes_on_from_its_last_state() {
    let shop = large_shop().await;
    let little = shop.function(BACKUP, &LITTLE);
    let mut first = answer(&little, event("killed")).await;
    while first["totals"]["bytes"].as_u64() < Some(20 << 20) {
        assert_eq!(first["status"], "continue", "{first}");
        first = answer(&little, event("killed")).await;
    }
    let done = first["invocations"].as_u64().expect("a number");

    let function = std::sync::Arc::new(shop.function(BACKUP, &[]));
    let invoked = tokio::spawn({
        let function = std::sync::Arc::clone(&function);
        async move { function.invoke(event("killed"), ENOUGH).await }
    });
    // In the middle of it.
    let going_on = |line: &&String| line.contains("the run resumes");
    support::eventually("the second invocation goes on", || {
        function.logs().iter().find(going_on).is_some()
    })
    .await;
    assert!(function.kill(), "it is at an invocation");
    let error = invoked.await.expect("a task").expect_err("it was killed");
    assert!(error.error_type.contains("Exit"), "{error}");

    let answers = to_the_end(&function, &event("killed"), ENOUGH).await;
    let last = &answers[answers.len() - 1];
    assert_eq!(last["status"], "complete", "{last}");
    assert_eq!(last["totals"]["documents"], 5 + MEBIBYTES);
    // The one that was killed counts, and the next one went on.
    let goings: Vec<String> = function.logs().into_iter().filter(|line| going_on(&line)).collect();
    assert_eq!(goings.len(), 2, "{goings:?}");
    for (line, invocation) in goings.iter().zip(done + 1..) {
        let number = format!("\"invocation\":{invocation}");
        assert!(
            line.contains(&number) && line.contains("\"run\":\"killed\""),
            "{goings:?}"
        );
    }
    check(&shop, &text(&last["archive"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_delivered_twice_makes_one_archive() {
    let shop = large_shop().await;
    let functions = [shop.function(BACKUP, &[]), shop.function(BACKUP, &[])];
    let event = event("twice");
    let (one, two) = tokio::join!(
        to_the_end(&functions[0], &event, ENOUGH),
        to_the_end(&functions[1], &event, ENOUGH)
    );
    let (one, two) = (&one[one.len() - 1], &two[two.len() - 1]);
    for field in ["status", "archive", "etag", "totals", "collections", "consistency"] {
        assert_eq!(one[field], two[field], "{field}");
    }
    assert_eq!(one["status"], "complete", "{one}");
    check(&shop, &text(&one["archive"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_delivery_says_that_the_first_is_running() {
    let shop = shop().await;
    let run: Run = serde_json::from_value(event("running")["run"].clone()).expect("a run");
    let folder = run.folder(&shop.folder).expect("a folder");
    let store = support::tools().await.store;
    let Taken::Ours(lease) = Lease::take(&store, &folder).await.expect("a lease") else {
        panic!("nobody is at it");
    };
    let function = shop.function(BACKUP, &[]);
    let waiting = answer(&function, event("running")).await;
    assert_eq!(
        (&waiting["status"], &waiting["run"]["id"]),
        (&json!("running"), &json!("running"))
    );
    assert_eq!(support::visible(&store, &shop.folder).await, Vec::<String>::new());
    // Its holder keeps it for as long as it lives, and gives it back.
    let until = async || {
        let loaded = store.load(&folder.join("lease.json")).await.expect("an answer");
        let (text, _) = loaded.expect("a lease");
        let lease: Value = serde_json::from_slice(&text).expect("JSON");
        lease["until"].as_u64().expect("a time")
    };
    let taken = until().await;
    support::eventually_so("the lease is renewed", async || until().await > taken).await;
    assert_eq!(answer(&function, event("running")).await["status"], "running");
    lease.release().await;
    assert_eq!(answer(&function, event("running")).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_have_an_archive_each_and_one_that_fails_stops_no_other() {
    let (one, two) = (shop().await, shop().await);
    let function = one.function(BACKUP, &[]);
    let missing = crate::rig::fresh_database_name("missing");
    let event = json!({"database": [one.database, missing, two.database], "run": {"id": "all", "time": "2026-11-21T02:00:00Z"}});
    let report = answer(&function, event.clone()).await;
    assert_eq!(report["status"], "partial", "{report}");
    let of = |at: usize| report["databases"][at].clone();
    for (at, shop) in [(0, &one), (2, &two)] {
        assert_eq!(of(at)["status"], "complete");
        let archive = format!("{}{}/backup_20261121_020000.tar.zst", one.folder, shop.database);
        assert_eq!(of(at)["archive"], archive);
    }
    assert_eq!(of(1)["status"], "failed");
    assert_eq!(of(1)["error_type"], "InvalidRequest");
    assert_eq!(report["totals"]["documents"], 10);
    assert!(text(&report["summary"]).contains(&missing), "{report}");
    let again = answer(&function, event).await;
    assert_eq!(again["databases"][0]["etag"], of(0)["etag"]);

    let listed = answer(&function, json!({"action": "databases", "database": "*"})).await;
    let listed = listed["databases"].as_array().expect("a list").clone();
    for shop in [&one, &two] {
        let destination = format!("{}{}/", one.folder, shop.database);
        assert!(listed.contains(&json!({"database": shop.database, "destination": destination})));
    }
    assert!(
        !listed
            .iter()
            .any(|entry| ["admin", "local", "config"].contains(&entry["database"].as_str().unwrap_or("")))
    );
}
