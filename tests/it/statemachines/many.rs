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

/// A machine of backups on a stage, with so much concurrency.
async fn machine(stage: &Stage, definition: &str, concurrency: &str) -> String {
    let substitutions = [
        ("BackupFunctionArn", stage.backup.arn()),
        ("RestoreFunctionArn", stage.restore.arn()),
        ("TopicArn", stage.topic.arn()),
        ("StackName", &stage.stack),
        ("Databases", "*"),
        ("Destination", "s3://b/"),
        ("BackupConcurrency", concurrency),
    ];
    let name = rig::unique_name("many");
    stage.engine.state_machine(&name, definition, &substitutions).await
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
fn five_thousand_databases_of_twenty_lanes_are_within_the_limits_of_step_functions() {
    const EVENTS: usize = 25_000;
    const BYTES: usize = 256 * 1024;
    const DATABASES: usize = 5_000;
    const LANES: usize = 20;
    const CHARACTER: usize = 4;
    const MOST: usize = 200;
    let definition: Value = serde_json::from_str(&StateMachines::definition("backup")).expect("JSON");
    let states = &definition["States"];
    let text = |state: &str, field: &str| states[state][field].to_string();
    let number = |text: &str, before: &str| -> usize {
        let rest = text
            .split_once(before)
            .unwrap_or_else(|| panic!("{before:?} is in {text}"))
            .1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let group = number(&text("Each group", "Items"), "$group ? 1 : ");
    assert_eq!(number(&text("Many?", "Choices"), "$count($databases) > "), group);
    let alone = json!("{% $group and $count($databases) > 1 %}");
    assert_eq!(
        states["A group?"]["Choices"][0],
        json!({"Condition": alone, "Next": "Each group"})
    );

    // A task is entered, scheduled, started, succeeds and is left; another state is entered and left; an iteration begins
    // and ends. Each try more fails, is scheduled and started. A call of an execution is submitted, too.
    let (task, other, iteration, retry) = (5, 2, 2, 3);
    let call = iteration + task + 1 + other;
    // A database of a group has an execution of its own. Each of its lanes is continued and throttled so often.
    let of_a_database = |continued: usize, throttled: usize| {
        let lane = iteration + (1 + continued) * (task + other) + other + throttled * retry;
        let around = 12 * other + iteration + 5 * (5 * (task + other) + 90 * retry);
        LANES * lane + around
    };
    // An invocation works for 14 minutes at least: 38 hours without a wait, 11 hours of which each lane waits for half,
    // tried again every minute; and lanes that need all of their tries three times.
    let invocations = |hours: usize| hours * 60 / 14;
    let half = invocations(11) / 2;
    for (continued, throttled) in [(invocations(38), 0), (half, half * 14), (10, 90 * 3)] {
        let events = of_a_database(continued, throttled);
        assert!(
            events < EVENTS,
            "{continued} times continued, {throttled} throttled: {events}"
        );
    }
    // A group asks for each of its databases; the first execution for each group of each page of the function's.
    assert!(group * call + 12 * other < EVENTS);
    assert!(include_str!("../../../shell/src/lambda/answers.rs").contains(&format!("MOST: usize = {MOST};")));
    let (pages, groups) = (DATABASES.div_ceil(MOST), MOST.div_ceil(group));
    assert!(
        pages * (groups * call + 5 * (task + other) + 90 * retry) < EVENTS,
        "{pages} pages of {groups} groups"
    );

    // A character has four bytes at most. What a database and a group say of themselves, as many as there are at once, and
    // all of them.
    let said = text("Group done", "Output");
    let said =
        ["$tally.all > 0 ? ", " : "].map(|before| number(said.rsplit_once("'\\\\n'), 0, ").expect("an end").1, before));
    assert!((said[0] * CHARACTER + 100) * groups < BYTES, "{said:?}");
    assert!((said[1] * CHARACTER + 100) * group < BYTES, "{said:?}");
    let kept = number(&text("Each group", "Assign"), "'\\\\n'), 0, ") * CHARACTER;
    let told = number(&text("Sum up", "Assign"), "'\\\\n'), 0, ") * CHARACTER;
    assert!(kept + told < BYTES, "{kept} {told}");
}

/// A large cluster that is down: each of its databases has something to say.
#[tokio::test]
async fn whole_pages_of_databases_that_fail_lose_none() {
    const MANY: usize = 500;
    const MOST: usize = 200;
    let stage = stage(
        |event, _| match event["action"].as_str() {
            Some("databases") => {
                let after = event["after"]
                    .as_str()
                    .map_or(0, |name| name[1..].parse::<usize>().expect("a number") + 1);
                let listed: Vec<Value> = (after..MANY.min(after + MOST))
                    .map(|at| json!({"database": format!("n{at:04}"), "destination": "s3://b/"}))
                    .collect();
                let last = listed.last().map(|last| last["database"].clone());
                Ok(match after + MOST < MANY {
                    true => json!({"databases": listed, "next": last}),
                    false => json!({"databases": listed}),
                })
            }
            _ => panic!("a group was asked for by {event}"),
        },
        |event, _| panic!("{event}"),
    )
    .await;
    // The groups' executions are one that answers for them.
    let group = json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Group",
        "States": {"Group": {
            "Type": "Pass",
            "End": true,
            "Output": {
                "good": 0,
                "all": "{% $count($states.input.group) %}",
                "kept": 0,
                "lines": "\u{e9}".repeat(200),
            },
        }}
    });
    let group = stage
        .engine
        .state_machine(&rig::unique_name("group"), &group.to_string(), &[])
        .await;
    let definition = StateMachines::definition("backup").replace("{% $states.context.StateMachine.Id %}", &group);
    let machine = machine(&stage, &definition, "0").await;
    let ended = stage.run(&machine, json!({"database": "*"})).await;
    let turns = ended.states.iter().filter(|name| *name == "Each group").count();
    assert_eq!(turns, 3, "{ended:?}");
    assert_eq!(ended.failed().0, "BackupFailed");
    let told = stage.topic.next().await;
    assert_eq!(told.subject, format!("mongotar backup FAILED: 0 of {MANY} databases"));
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
    let machine = machine(&stage, &StateMachines::definition("backup"), "1").await;
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

/// Those of a group have executions that know nothing of each other.
#[tokio::test]
async fn two_invocations_are_shared_by_the_databases_of_a_group() {
    let stage = stage(
        |event, before| match (event["action"].as_str(), database(event)) {
            (Some("databases"), _) => paged(event, 21, ""),
            (Some("plan"), "n000") => Ok(json!({"status": "planned", "lanes": [0, 1, 2]})),
            (Some("plan"), _) => Ok(json!({"status": "planned", "lanes": [0]})),
            (Some("lane"), _) if before == 0 => Ok(json!({"status": "continue"})),
            (Some("lane"), _) => Ok(json!({"status": "complete"})),
            _ => Ok(backup_report(event, "complete")),
        },
        |_, _| Ok(json!({"status": "complete"})),
    )
    .await;
    let machine = machine(&stage, &StateMachines::definition("backup"), "2").await;
    let output = stage.run(&machine, json!({"database": "*"})).await.succeeded();
    assert_eq!(output["summary"], "Every database has its backup.");
    let (mut begun, mut at_once, mut lanes) = (Vec::new(), 0, Vec::new());
    for event in &stage.backup.events() {
        let name = database(event).to_owned();
        match event["action"].as_str() {
            Some("plan") => begun.push(name),
            Some("lane") => lanes.push(event["lane"].as_u64().expect("a lane")),
            Some("backup" | "compose") => begun.retain(|one| *one != name),
            _ => {}
        }
        at_once = at_once.max(begun.len());
        assert!(event.get("beside").is_none(), "{event}");
    }
    assert!(at_once <= 2, "{at_once} databases at once");
    assert_eq!(lanes, [0, 0, 1, 1, 2, 2], "one lane at once, beside another database");
}
