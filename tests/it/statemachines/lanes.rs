//! The state machine of backup where several functions write one archive.

use serde_json::{Value, json};

use super::{Answered, actions, backup_report, stage};

fn with_lanes(event: &Value, before: usize) -> Answered {
    match event["action"].as_str().expect("the state machine names the action") {
        "databases" => Ok(json!({"databases": [{"database": "shop", "destination": "s3://b/"}]})),
        "plan" => Ok(json!({"status": "planned", "run": event["run"], "archive": "s3://b/a", "lanes": [0, 1, 2]})),
        "lane" => {
            let status = match (event["lane"].as_u64(), before) {
                (Some(1), 0..2) => "continue",
                (Some(2), 0) => "running",
                _ => "complete",
            };
            Ok(json!({"status": status, "lane": event["lane"], "documents": 1, "bytes": 100}))
        }
        "compose" if before == 0 => Ok(json!({"status": "continue"})),
        "compose" if before == 1 => Ok(json!({"status": "running"})),
        "compose" => Ok(backup_report(event, "complete")),
        "abort" => Ok(json!({"status": "aborted"})),
        other => panic!("nobody asked for {other}"),
    }
}

#[tokio::test]
async fn each_lane_is_called_until_it_is_complete_and_then_they_are_composed() {
    let stage = stage(with_lanes, |_, _| Ok(json!({"status": "complete"}))).await;
    let input = json!({"database": "shop", "lanes": 3});
    let output = stage.run(&stage.machines.backup, input).await.succeeded();
    assert_eq!(output["databases"][0]["status"], "complete");
    let events = stage.backup.events();
    let actions = actions(&events);
    assert_eq!(actions[..2], ["databases", "plan"]);
    assert_eq!(actions[2..8], ["lane"; 6]);
    assert_eq!(actions[8..], ["compose"; 3]);
    let mut lanes: Vec<u64> = events[2..8].iter().filter_map(|event| event["lane"].as_u64()).collect();
    lanes.sort_unstable();
    assert_eq!(lanes, [0, 1, 1, 1, 2, 2]);
    for event in &events[2..] {
        let mut same = event.clone();
        for own in ["action", "lane"] {
            same.as_object_mut().expect("an object").remove(own);
        }
        let expected = json!({"database": "shop", "destination": "s3://b/", "lanes": 3, "run": events[0]["run"]});
        assert_eq!(same, expected);
    }
    assert_eq!(super::actions(&stage.restore.events()), ["verify"]);
}

#[tokio::test]
async fn a_lane_that_fails_is_aborted_when_no_other_is_writing() {
    let stage = stage(
        |event, before| match (event["action"] == "lane", event["lane"].as_u64()) {
            (true, Some(0)) => Err(("InvalidRequest", "no such lane")),
            _ => with_lanes(event, before),
        },
        |event, _| panic!("there is nothing to verify: {event}"),
    )
    .await;
    let (error, cause) = stage
        .run(&stage.machines.backup, json!({"database": "shop", "lanes": 3}))
        .await
        .failed();
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("BackupFailed", "shop: no backup: InvalidRequest: no such lane")
    );
    let actions = actions(&stage.backup.events());
    assert_eq!(actions.last().map(String::as_str), Some("abort"));
    assert_eq!(
        actions.iter().filter(|action| *action == "lane").count(),
        6,
        "the others went on to their ends: {actions:?}"
    );
    assert!(!actions.contains(&"compose".to_owned()));
}
