//! The state machine of backup, but for lanes.

use serde_json::{Value, json};

use super::{Answered, actions, backup_report, run_of_input, stage};

/// A function that backs up every database at once, with one lane.
fn plain(event: &Value) -> Answered {
    match event["action"].as_str().expect("the state machine names the action") {
        "databases" => Ok(json!({"databases": [{"database": event["database"], "destination": "s3://b/"}]})),
        "plan" => Ok(json!({"status": "planned", "run": event["run"], "archive": "s3://b/a", "lanes": [0]})),
        "backup" => Ok(backup_report(event, "complete")),
        "abort" => Ok(json!({"status": "aborted"})),
        other => panic!("nobody asked for {other}"),
    }
}

fn verified(status: &str) -> Answered {
    Ok(json!({"status": status, "summary": format!("verification is {status}"), "damaged": []}))
}

#[tokio::test]
async fn a_backup_is_continued_waited_for_verified_and_told_of_once() {
    let stage = stage(
        |event, before| match (event["action"] == "backup", before) {
            (true, 0) => Ok(json!({"status": "continue", "run": event["run"]})),
            (true, 1) => Ok(json!({"status": "running"})),
            _ => plain(event),
        },
        |_, before| verified(if before == 0 { "continue" } else { "complete" }),
    )
    .await;
    let input = json!({"database": "shop", "compression": "gzip", "lanes": 4});
    let execution = stage.engine.execute(&stage.machines.backup, input.clone()).await;
    let output = execution.ended().await.succeeded();

    let events = stage.backup.events();
    assert_eq!(actions(&events), ["databases", "plan", "backup", "backup", "backup"]);
    let run = &events[0]["run"];
    assert_eq!(
        run["id"],
        execution.arn(),
        "without a run in the input it is the execution's"
    );
    assert!(run["time"].as_str().is_some_and(|time| time.starts_with("20")), "{run}");
    for event in &events {
        assert_eq!(
            (&event["run"], &event["compression"], &event["lanes"]),
            (run, &json!("gzip"), &json!(4))
        );
    }
    assert_eq!(events[2], events[4], "the same event continues");
    assert_eq!(
        events[2]["destination"], "s3://b/",
        "what `databases` said of the database"
    );
    let archive = json!("s3://b/shop/backup_20261121_020000.tar.zst");
    // A drill of the same time keeps its state beside the archive, too.
    let own = json!({"id": format!("{}/verify", execution.arn()), "time": run["time"]});
    let verify = json!({"action": "verify", "archive": archive, "run": own});
    assert_eq!(stage.restore.events(), [verify.clone(), verify]);

    assert_eq!((&output["status"], &output["run"]), (&json!("complete"), run));
    let database = &output["databases"][0];
    assert_eq!(
        (&database["status"], &database["archive"], &database["documents"]),
        (&json!("complete"), &archive, &json!(3))
    );
    assert!(
        database.get("collections").is_none(),
        "only what is needed is passed on"
    );
    let told = stage.topic.next().await;
    assert_eq!(told.subject, "mongotar backup complete: 1 of 1 database");
    assert!(
        told.message.contains("shop: 3 documents of shop, complete\n"),
        "{}",
        told.message
    );
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn a_scheduled_event_is_its_own_run_and_an_input_may_name_one() {
    let stage = stage(|event, _| plain(event), |_, _| verified("complete")).await;
    let event = crate::handlers::scheduled_event(json!({"database": "shop"}));
    stage.run(&stage.machines.backup, event.clone()).await.succeeded();
    stage
        .run(
            &stage.machines.backup,
            json!({"database": "shop", "run": run_of_input()}),
        )
        .await
        .succeeded();
    let events = stage.backup.events();
    let (first, second) = events.split_at(3);
    for sent in first {
        assert_eq!(sent["run"], json!({"id": event["id"], "time": event["time"]}));
        assert!(sent.get("detail").is_none() && sent["database"] == "shop", "{sent}");
    }
    for sent in second {
        assert_eq!(sent["run"], run_of_input());
    }
}

/// Nobody reads the answer of an asynchronous invocation; Lambda tells EventBridge of it.
#[tokio::test]
async fn what_was_invoked_asynchronously_goes_on_with_its_run() {
    let stage = stage(|event, _| plain(event), |_, _| verified("complete")).await;
    let run = json!({"id": "of the request", "time": "2026-11-21T02:00:00Z"});
    let asked = json!({"database": "shop", "compression": "gzip"});
    for request in [asked.clone(), crate::handlers::scheduled_event(asked)] {
        let told = json!({
            "id": "of the telling", "time": "2026-11-21T02:15:00Z", "source": "lambda",
            "detail-type": "Lambda Function Invocation Result - Success",
            "detail": {"requestPayload": request, "responsePayload": {"status": "continue", "run": run}}
        });
        stage.run(&stage.machines.backup, told).await.succeeded();
        for sent in &stage.backup.events() {
            assert_eq!(
                (&sent["run"], &sent["database"], &sent["compression"]),
                (&run, &json!("shop"), &json!("gzip"))
            );
        }
    }
    assert_eq!(stage.backup.events().len(), 6);
}

#[tokio::test]
async fn a_run_that_has_finished_already_is_only_verified() {
    let stage = stage(
        |event, before| match (event["action"] == "plan", before) {
            (true, 0) => Ok(json!({"status": "running"})),
            (true, _) => Ok(backup_report(event, "complete")),
            _ => plain(event),
        },
        |_, _| verified("complete"),
    )
    .await;
    let output = stage
        .run(&stage.machines.backup, json!({"database": "shop"}))
        .await
        .succeeded();
    assert_eq!(output["databases"][0]["status"], "complete");
    assert_eq!(actions(&stage.backup.events()), ["databases", "plan", "plan"]);
    assert_eq!(actions(&stage.restore.events()), ["verify"]);
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    const PASSING: [&str; 4] = [
        "Store",
        "Database",
        "Sandbox.Timedout",
        "Lambda.TooManyRequestsException",
    ];
    let stage = stage(
        |event, before| match (event["action"] == "backup", PASSING.get(before)) {
            (true, Some(error)) => Err((error, "for now")),
            _ => plain(event),
        },
        |_, before| match before {
            0 => Err(("Runtime.ExitError", "out of memory")),
            _ => verified("complete"),
        },
    )
    .await;
    stage
        .run(&stage.machines.backup, json!({"database": "shop"}))
        .await
        .succeeded();
    assert_eq!(actions(&stage.backup.events())[2..], ["backup"; 5]);
    assert_eq!(stage.restore.events().len(), 2);
}

/// Where the account has few invocations left, lanes waited for two minutes, held their slots, and the night was lost.
#[tokio::test]
async fn throttling_is_waited_out_for_an_hour_and_what_died_twice_is_not_tried_again() {
    let stage = stage(
        |event, before| match (event["action"] == "backup", before) {
            (true, ..70) => Err(("Lambda.TooManyRequestsException", "no invocation is free")),
            _ => plain(event),
        },
        |_, before| match before {
            0 | 1 => Err(("Runtime.OutOfMemory", "killed")),
            _ => verified("complete"),
        },
    )
    .await;
    let run = stage.run(&stage.machines.backup, json!({"database": "shop"})).await;
    let (error, _) = run.failed();
    assert_eq!(actions(&stage.backup.events())[2..], ["backup"; 71]);
    assert_eq!((error.as_str(), stage.restore.events().len()), ("BackupPartial", 2));
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again_but_aborted_told_of_and_a_failure() {
    let stage = stage(
        |event, _| match event["action"] == "backup" {
            true => Err(("InvalidRequest", "\"pretty\" is for payload jsonl;\nBSON has no lines")),
            false => plain(event),
        },
        |event, _| panic!("there is nothing to verify: {event}"),
    )
    .await;
    let (error, cause) = stage
        .run(&stage.machines.backup, json!({"database": "shop"}))
        .await
        .failed();
    let message = "shop: no backup: InvalidRequest: \"pretty\" is for payload jsonl;\nBSON has no lines";
    assert_eq!((error.as_str(), cause.as_str()), ("BackupFailed", message));
    let events = stage.backup.events();
    assert_eq!(actions(&events), ["databases", "plan", "backup", "abort"]);
    assert_eq!(
        (&events[3]["database"], &events[3]["run"]),
        (&events[2]["database"], &events[2]["run"])
    );
    let told = stage.topic.next().await;
    assert_eq!(told.subject, "mongotar backup FAILED: 0 of 1 database");
    assert!(told.message.starts_with(message), "{}", told.message);
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn an_abort_that_fails_does_not_hide_why_there_is_no_backup() {
    let stage = stage(
        |event, _| match event["action"].as_str() {
            Some("plan") => Err(("ConsistencyNotReached", "a standalone")),
            Some("abort") => Err(("StoreDenied", "no")),
            _ => plain(event),
        },
        |event, _| panic!("there is nothing to verify: {event}"),
    )
    .await;
    let (error, cause) = stage
        .run(&stage.machines.backup, json!({"database": "shop"}))
        .await
        .failed();
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("BackupFailed", "shop: no backup: ConsistencyNotReached: a standalone")
    );
}

#[tokio::test]
async fn one_database_that_fails_stops_no_other() {
    let stage = stage(
        |event, _| match (event["action"].as_str(), event["database"].as_str()) {
            (Some("databases"), _) => Ok(json!({"databases": [
                {"database": "a", "destination": "s3://b/a/"},
                {"database": "b", "destination": "s3://b/b/"},
                {"database": "c", "destination": "s3://b/c/"}
            ]})),
            (Some("backup"), Some("b")) => Err(("DatabaseUnauthorized", "not b")),
            _ => plain(event),
        },
        |_, _| verified("complete"),
    )
    .await;
    let ended = stage.run(&stage.machines.backup, json!({"database": "*"})).await;
    let (error, cause) = ended.failed();
    assert_eq!(error, "BackupPartial");
    assert_eq!(
        cause.lines().collect::<Vec<_>>(),
        [
            "a: 3 documents of a, complete",
            "b: no backup: DatabaseUnauthorized: not b",
            "c: 3 documents of c, complete"
        ]
    );
    let events = stage.backup.events();
    let of = |action: &str| {
        let mut databases: Vec<(String, String)> = events
            .iter()
            .filter(|event| event["action"] == action)
            .map(|event| {
                (
                    crate::handlers::text(&event["database"]),
                    crate::handlers::text(&event["destination"]),
                )
            })
            .collect();
        databases.sort();
        databases
    };
    let pair = |name: &str| (name.to_owned(), format!("s3://b/{name}/"));
    assert_eq!(of("backup"), ["a", "b", "c"].map(pair));
    assert_eq!(of("abort"), ["b"].map(pair));
    assert_eq!(stage.restore.events().len(), 2);
    assert_eq!(
        stage.topic.next().await.subject,
        "mongotar backup PARTIAL: 2 of 3 databases"
    );
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn neither_a_partial_backup_nor_one_that_is_not_proven_is_complete() {
    let stage = stage(
        |event, _| match (event["action"].as_str(), event["database"].as_str()) {
            (Some("databases"), _) => {
                Ok(json!({"databases": [{"database": "half"}, {"database": "damaged"}, {"database": "unread"}]}))
            }
            (Some("backup"), Some("half")) => Ok(backup_report(event, "partial")),
            _ => plain(event),
        },
        |event, _| match event["archive"].as_str() {
            Some(archive) if archive.contains("/damaged/") => verified("partial"),
            Some(archive) if archive.contains("/unread/") => Err(("ArchiveDamaged", "no footer")),
            _ => verified("complete"),
        },
    )
    .await;
    let (error, cause) = stage
        .run(
            &stage.machines.backup,
            json!({"database": ["half", "damaged", "unread"]}),
        )
        .await
        .failed();
    assert_eq!(error, "BackupPartial");
    let lines: Vec<&str> = cause.lines().collect();
    assert_eq!(lines[0], "half: 3 documents of half, partial");
    assert_eq!(
        lines[1],
        "damaged: 3 documents of damaged, complete; verification: verification is partial"
    );
    assert_eq!(
        lines[2],
        "unread: the archive s3://b/unread/backup_20261121_020000.tar.zst was written and could not be verified: ArchiveDamaged: no footer"
    );
    assert_eq!(
        stage.topic.next().await.subject,
        "mongotar backup PARTIAL: 0 of 3 databases"
    );
    assert!(
        !actions(&stage.backup.events()).contains(&"abort".to_owned()),
        "an archive that is there stays"
    );
}

#[tokio::test]
async fn a_backup_of_nothing_is_a_failure_that_somebody_hears_of() {
    let stage = stage(
        |event, _| match event["run"] == run_of_input() {
            true => Ok(json!({"databases": []})),
            false => Err(("ConfigurationMissing", "no destination")),
        },
        |event, _| panic!("there is nothing to verify: {event}"),
    )
    .await;
    for (input, expected) in [
        (
            json!({"database": "*"}),
            "No backup: ConfigurationMissing: no destination",
        ),
        (
            json!({"database": "*", "run": run_of_input()}),
            "No backup: there is no database to back up.",
        ),
    ] {
        let (error, cause) = stage.run(&stage.machines.backup, input).await.failed();
        assert_eq!((error.as_str(), cause.as_str()), ("BackupFailed", expected));
        let told = stage.topic.next().await;
        assert_eq!(told.subject, "mongotar backup FAILED: 0 of 0 databases");
        assert!(told.message.starts_with(expected), "{}", told.message);
    }
}
