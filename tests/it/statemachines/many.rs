//! The state machine of backup for more databases than one execution holds, and with few invocations.

use serde_json::{Value, json};

use super::{Answered, Stage, backup_report, stage};
use crate::rig::{self, StateMachines};

const PAGE: usize = 25;

fn names(many: usize) -> Vec<String> {
    (0..many).map(|at| format!("n{at:03}")).collect()
}

/// The database of an event, without which it is none.
fn database(event: &Value) -> &str {
    event["database"].as_str().unwrap_or_default()
}

/// Lists databases by pages, as the function does, and backs all up but one.
fn paged(event: &Value, many: usize, bad: &str) -> Answered {
    match event["action"].as_str() {
        Some("databases") => {
            let after = event["after"].as_str().unwrap_or_default().to_owned();
            let mut left = names(many).into_iter().filter(|name| *name > after).peekable();
            let page: Vec<String> = left.by_ref().take(PAGE).collect();
            let listed: Vec<Value> = page
                .iter()
                .map(|name| json!({"database": name, "destination": format!("s3://b/{name}/")}))
                .collect();
            Ok(match left.peek() {
                Some(_) => json!({"databases": listed, "next": page.last()}),
                None => json!({"databases": listed}),
            })
        }
        Some("plan") => Ok(json!({"status": "planned", "lanes": [0]})),
        Some("abort") => Ok(json!({"status": "aborted"})),
        _ if database(event) == bad => Err(("DatabaseUnauthorized", "not this one")),
        _ => Ok(backup_report(event, "complete")),
    }
}

async fn of_many(many: usize, bad: &'static str) -> Stage {
    stage(
        move |event, _| paged(event, many, bad),
        |_, _| Ok(json!({"status": "complete"})),
    )
    .await
}

#[tokio::test]
async fn many_databases_are_backed_up_group_by_group_and_one_that_fails_is_named() {
    for (many, bad, expected) in [(45, "n031", "PARTIAL: 44 of 45"), (21, "", "complete: 21 of 21")] {
        let stage = of_many(many, bad).await;
        let input = json!({"database": "*", "compression": "gzip"});
        let ended = stage.run(&stage.machines.backup, input).await;
        let (groups, pages) = (
            ended.states.iter().filter(|name| *name == "Each group").count(),
            many / PAGE + 1,
        );
        assert_eq!(groups, pages, "{:?}", ended.states);
        let told = stage.topic.next().await;
        assert_eq!(told.subject, format!("mongotar backup {expected} databases"));
        stage.topic.assert_empty().await;
        if bad.is_empty() {
            assert_eq!(ended.succeeded()["summary"], "Every database has its backup.");
        } else {
            let (error, cause) = ended.failed();
            assert_eq!(
                (error.as_str(), cause.as_str()),
                ("BackupPartial", "n031: no backup: DatabaseUnauthorized: not this one")
            );
        }
        let events = stage.backup.events();
        let mut backed_up: Vec<&str> = events
            .iter()
            .filter(|event| event["action"] == "backup")
            .inspect(|event| {
                assert_eq!(
                    (&event["run"], &event["compression"]),
                    (&events[0]["run"], &json!("gzip"))
                );
                assert!(event.get("group").is_none() && event.get("after").is_none(), "{event}");
            })
            .map(database)
            .collect();
        backed_up.sort_unstable();
        assert_eq!(backed_up, names(many), "each once");
    }
}

/// Step Functions ends an execution at 25,000 events, and hands on 256 KB.
#[test]
fn five_thousand_databases_are_within_the_limits_of_step_functions() {
    const EVENTS: usize = 25_000;
    const BYTES: usize = 256 * 1024;
    let definition: Value = serde_json::from_str(&StateMachines::definition("backup")).expect("JSON");
    let states = &definition["States"];
    let text = |state: &str, field: &str| states[state][field].to_string();
    let number = |text: &str, before: &str| -> usize {
        let rest = text.split_once(before).expect("it is there").1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let group = number(&text("Each group", "Items"), "$ceil($count($databases) / ");
    assert_eq!(number(&text("Many?", "Choices"), "$count($databases) > "), group);

    // A task is entered, scheduled, started, succeeds and is left; another state is entered and left; an iteration begins
    // and ends. Each try more fails, is scheduled and started.
    let (task, other, iteration, retry) = (5, 2, 2, 3);
    // The most of one database: 20 lanes, each continued four times and throttled ten times, and as much around them.
    let lane = iteration + 5 * (task + other) + other + 10 * retry;
    let around = iteration + 4 * other + 4 * (5 * (task + other) + 10 * retry);
    assert!(
        group * (20 * lane + around) < 2 * EVENTS,
        "{}",
        group * (20 * lane + around)
    );
    // The usual: four lanes, each continued once, and nothing throttled.
    let usual = iteration + 6 * other + 4 * 2 * (task + other) + 4 * (iteration + 2 * (task + other));
    assert!(group * usual * 5 < EVENTS, "{}", group * usual);
    // Who asks: by group an iteration, a call that is submitted, too, and what follows it.
    let groups = 5_000_usize.div_ceil(group) + 50;
    assert!(groups * (iteration + task + 1 + other) < EVENTS, "{groups}");

    // A page of the function's (`shell/src/lambda/answers.rs`), what each group says of itself, and all of them.
    let said = number(&text("Group done", "Output"), "'\\\\n'), 0, ");
    let page_of_groups = 150_000_usize.div_ceil(64).div_ceil(group);
    let shortest_page = 150_000 / 200;
    assert!(said * usize::div_ceil(shortest_page, group) < BYTES, "{said}");
    assert!(page_of_groups < 1_000, "iterations of one map");
    let kept = number(&text("Each group", "Assign"), "'\\\\n'), 0, ");
    assert!(kept + 1_000 < BYTES, "{kept}");
}

#[tokio::test]
async fn with_one_invocation_all_is_done_one_after_the_other() {
    let stage = stage(
        |event, before| match event["action"].as_str() {
            // Somebody else has it for a while.
            _ if before == 0 => Err(("Lambda.TooManyRequestsException", "no invocation is free")),
            Some("databases") => paged(event, 3, ""),
            Some("plan") => Ok(json!({"status": "planned", "lanes": [0, 1, 2]})),
            Some("lane") if before == 1 => Ok(json!({"status": "continue"})),
            Some("lane") => Ok(json!({"status": "complete"})),
            _ => Ok(backup_report(event, "complete")),
        },
        |_, _| Ok(json!({"status": "complete"})),
    )
    .await;
    let substitutions = [
        ("BackupFunctionArn", stage.backup.arn()),
        ("RestoreFunctionArn", stage.restore.arn()),
        ("TopicArn", stage.topic.arn()),
        ("StackName", &stage.stack),
        ("Databases", "*"),
        ("Destination", "s3://b/"),
        ("BackupConcurrency", "1"),
    ];
    let machine = stage
        .engine
        .state_machine(
            &rig::unique_name("one"),
            &StateMachines::definition("backup"),
            &substitutions,
        )
        .await;
    let output = stage.run(&machine, json!({"database": "*"})).await.succeeded();
    assert_eq!(output["status"], "complete");
    let events = stage.backup.events();
    let work: Vec<(&str, u64)> = events
        .iter()
        .filter(|event| event["action"] == "lane")
        .map(|event| (database(event), event["lane"].as_u64().expect("a lane")))
        .collect();
    let expected: Vec<(String, u64)> = names(3)
        .into_iter()
        .flat_map(|name| (0..3).flat_map(move |lane| vec![(name.clone(), lane); 3]))
        .collect();
    let expected: Vec<(&str, u64)> = expected.iter().map(|(name, lane)| (name.as_str(), *lane)).collect();
    assert_eq!(work, expected, "no two at once");
}
