//! What a function is asked after it was killed for what it took: the same, with half the memory; once in a row.

use serde_json::{Value, json};

use super::{Answered, Stage, actions, backup_report, run_of_input, stage, stage_of_restore};

const KILLED: Answered = Err(("Runtime.OutOfMemory", "signal: killed"));

/// Which events had half the memory.
fn halves(events: &[Value]) -> Vec<bool> {
    events.iter().map(|event| event["memory"] == "half").collect()
}

fn planned() -> Answered {
    Ok(json!({
        "status": "planned", "confirm": "token", "archive": "s3://b/a", "database": "shop", "plan": {"to_drop": []}
    }))
}

async fn of_lanes(lane: impl Fn(&Value, usize) -> Answered + Send + Sync + 'static) -> Stage {
    stage(
        move |event, before| match event["action"].as_str() {
            Some("databases") => Ok(json!({"databases": [{"database": "shop", "destination": "s3://b/"}]})),
            Some("plan") if before == 0 => Err(("Sandbox.Timedout", "Task timed out after 900.00 seconds")),
            Some("plan") => Ok(json!({"status": "planned", "lanes": [0, 1]})),
            Some("lane") => lane(event, before),
            Some("abort") => Ok(json!({"status": "aborted"})),
            _ => Ok(backup_report(event, "complete")),
        },
        |_, _| Ok(json!({"status": "complete"})),
    )
    .await
}

#[tokio::test]
async fn who_was_killed_goes_on_with_half_the_memory_and_may_be_killed_again_later() {
    let stage = of_lanes(|event, before| match (event["lane"] == 1, before) {
        (true, 0 | 2) => KILLED,
        (true, 1) => Ok(json!({"status": "continue"})),
        _ => Ok(json!({"status": "complete"})),
    })
    .await;
    let input = json!({"database": "shop", "run": run_of_input()});
    stage.run(&stage.machines.backup, input).await.succeeded();
    let events = stage.backup.events();
    let of = |action: &str, lane: Option<u64>| -> Vec<Value> {
        let meant = |event: &&Value| event["action"] == action && lane.is_none_or(|lane| event["lane"] == lane);
        events.iter().filter(meant).cloned().collect()
    };
    assert_eq!(halves(&of("plan", None)), [false, true]);
    assert_eq!(halves(&of("lane", Some(0))), [false], "a lane of its own");
    assert_eq!(halves(&of("lane", Some(1))), [false, true, true, true]);
    assert_eq!(halves(&of("compose", None)), [true], "the run was killed once");
    let mut second = of("lane", Some(1))[1].clone();
    second.as_object_mut().expect("an object").remove("memory");
    assert_eq!(second, of("lane", Some(1))[0], "nothing else is another");
}

#[tokio::test]
async fn who_is_killed_with_half_the_memory_too_has_failed() {
    let stage = of_lanes(|event, _| match event["lane"] == 1 {
        true => KILLED,
        false => Ok(json!({"status": "complete"})),
    })
    .await;
    let (error, cause) = stage
        .run(
            &stage.machines.backup,
            json!({"database": "shop", "run": run_of_input()}),
        )
        .await
        .failed();
    assert_eq!(error, "BackupFailed");
    assert!(cause.contains("Runtime.OutOfMemory"), "{cause}");
    let actions = actions(&stage.backup.events());
    assert_eq!(actions.iter().filter(|action| *action == "lane").count(), 3);
    assert_eq!(actions.last().map(String::as_str), Some("abort"));
}

#[tokio::test]
async fn a_backup_and_a_verification_that_were_killed_twice_are_told_of() {
    let stage = stage(
        |event, before| match (event["action"].as_str(), before) {
            (Some("databases"), _) => Ok(json!({"databases": [{"database": "shop", "destination": "s3://b/"}]})),
            (Some("plan"), _) => Ok(json!({"status": "planned", "lanes": [0]})),
            (Some("backup"), 0) => KILLED,
            _ => Ok(backup_report(event, "complete")),
        },
        |_, _| KILLED,
    )
    .await;
    let (error, cause) = stage
        .run(&stage.machines.backup, json!({"database": "shop"}))
        .await
        .failed();
    assert_eq!(error, "BackupPartial");
    assert!(cause.contains("could not be verified: Runtime.OutOfMemory"), "{cause}");
    assert_eq!(halves(&stage.backup.events()), [false, false, false, true]);
    assert_eq!(halves(&stage.restore.events()), [true, true], "the run had been killed");
}

#[tokio::test]
async fn a_restore_and_its_plan_go_on_with_half_the_memory() {
    let stage = stage_of_restore(|event, before| match (event["dry_run"] == true, before) {
        (_, 0) => KILLED,
        (true, _) => planned(),
        (false, _) => Ok(json!({"status": "complete", "archive": "s3://b/a", "verification": {"equal": true}})),
    })
    .await;
    let input = json!({"archive": "s3://b/a", "approved": true, "run": run_of_input()});
    let output = stage.run(&stage.machines.approved, input).await.succeeded();
    assert_eq!(output["status"], "complete");
    let events = stage.restore.events();
    assert_eq!(actions(&events), ["dry run", "dry run", "restore", "restore"]);
    assert_eq!(halves(&events), [false, true, true, true]);
}

#[tokio::test]
async fn a_restore_by_workers_goes_on_with_half_the_memory_and_fails_when_that_is_too_much() {
    let stage = stage_of_restore(
        |event, before| match (event["action"].as_str(), event["dry_run"] == true, before) {
            (None, true, _) => planned(),
            (Some("begin" | "load"), _, 0) => KILLED,
            (Some("begin"), ..) => Ok(json!({"status": "loading", "loads": [0]})),
            (Some("load"), ..) => Ok(json!({"status": "complete"})),
            _ => KILLED,
        },
    )
    .await;
    let input = json!({"archive": "s3://b/a", "approved": true, "workers": 2, "run": run_of_input()});
    let (error, _) = stage.run(&stage.machines.approved, input).await.failed();
    assert_eq!(error, "Runtime.OutOfMemory");
    let events = stage.restore.events();
    assert_eq!(
        actions(&events),
        ["dry run", "begin", "begin", "load", "load", "finish", "finish"]
    );
    assert_eq!(halves(&events), [false, false, true, false, true, true, true]);
}

#[tokio::test]
async fn a_drill_and_an_increment_go_on_with_half_the_memory_and_end_when_that_is_too_much() {
    let drills = stage_of_restore(|event, before| match (event["archive"].as_str(), before) {
        (Some("s3://b/a"), 1) => Ok(json!({"status": "complete", "verdict": "passed", "archive": "s3://b/a"})),
        _ => KILLED,
    })
    .await;
    drills
        .run(&drills.machines.drill, json!({"archive": "s3://b/a"}))
        .await
        .succeeded();
    assert_eq!(halves(&drills.restore.events()), [false, true]);
    let (error, cause) = drills
        .run(&drills.machines.drill, json!({"archive": "s3://b/b"}))
        .await
        .failed();
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("DrillFailed", "Runtime.OutOfMemory: signal: killed")
    );
    assert_eq!(halves(&drills.restore.events()), [false, true, false, true]);

    let increments = stage(|_, _| KILLED, |event, _| panic!("nothing is verified: {event}")).await;
    let input =
        json!({"database": "shop", "destination": "s3://b/", "lanes": 4, "retention": "auto", "run": run_of_input()});
    let output = increments.run(&increments.machines.increment, input).await.succeeded();
    assert_eq!(output["error"]["Error"], "Runtime.OutOfMemory");
    assert_eq!(halves(&increments.backup.events()), [false, true]);
}
