//! The state machine of restore where several functions load.

use serde_json::{Value, json};

use super::restore::{planned, restored};
use super::{Answered, actions, run_of_input, stage_of_restore};

fn with_loads(event: &Value, before: usize) -> Answered {
    if event["dry_run"] == true {
        return planned();
    }
    match (
        event["action"].as_str().expect("the state machine names the action"),
        before,
    ) {
        ("begin", 0) => Ok(json!({"status": "continue"})),
        ("begin", _) => Ok(json!({"status": "loading", "run": event["run"], "loads": [0, 1]})),
        ("load", 0) if event["load"] == 1 => Ok(json!({"status": "continue", "load": 1})),
        ("load", _) => Ok(json!({"status": "complete", "load": event["load"]})),
        ("finish", 0) => Ok(json!({"status": "continue"})),
        ("finish", _) => Ok(restored("complete")),
        (other, _) => panic!("nobody asked for {other}"),
    }
}

fn input() -> Value {
    json!({"archive": "s3://b/a", "workers": 2, "approved": true, "run": run_of_input()})
}

#[tokio::test]
async fn each_load_is_called_until_it_is_complete_and_then_the_restore_is_finished() {
    let stage = stage_of_restore(with_loads).await;
    let output = stage.run(&stage.machines.approved, input()).await.succeeded();
    assert_eq!(output["status"], "complete");
    let events = stage.restore.events();
    assert_eq!(
        actions(&events),
        ["dry run", "begin", "begin", "load", "load", "load", "finish", "finish"]
    );
    assert!(events[0].get("workers").is_none(), "a plan is the same for any number");
    for event in &events[1..] {
        assert_eq!(
            (&event["workers"], &event["confirm"], &event["run"]),
            (&json!(2), &json!("token-of-the-plan"), &run_of_input())
        );
        assert!(event.get("approved").is_none(), "{event}");
    }
    let mut loads: Vec<u64> = events.iter().filter_map(|event| event["load"].as_u64()).collect();
    loads.sort_unstable();
    assert_eq!(loads, [0, 1, 1]);
}

#[tokio::test]
async fn a_load_that_fails_is_for_finish_to_find() {
    let stage = stage_of_restore(
        |event, before| match (event["action"].as_str(), event["load"].as_u64(), before) {
            (Some("load"), Some(0), _) => Err(("ArchiveDamaged", "segment 7")),
            (Some("finish"), _, 1) => Ok(restored("partial")),
            _ => with_loads(event, before),
        },
    )
    .await;
    let execution = stage.engine.execute(&stage.machines.approved, input()).await;
    let question = stage.topic.next().await;
    assert_eq!(question.subject, "mongotar restore is not complete: shop");
    stage.engine.succeed(&question.token(), json!({"undo": false})).await;
    assert_eq!(execution.ended().await.failed().0, "RestorePartial");
    let actions = actions(&stage.restore.events());
    assert_eq!(
        actions[3..],
        ["load", "load", "load", "finish", "finish"],
        "the other load went on"
    );
}

#[tokio::test]
async fn where_there_is_nothing_to_fan_out_begin_is_all() {
    let stage = stage_of_restore(|event, _| match event["dry_run"] == true {
        true => planned(),
        false => Ok(restored("complete")),
    })
    .await;
    let output = stage.run(&stage.machines.approved, input()).await.succeeded();
    assert_eq!(output["status"], "complete");
    assert_eq!(actions(&stage.restore.events()), ["dry run", "begin"]);
}
