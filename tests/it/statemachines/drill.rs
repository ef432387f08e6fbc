//! The state machine of the drill.

use serde_json::json;

use super::{actions, run_of_input, stage_of_restore};

#[tokio::test]
async fn a_drill_is_continued_until_there_is_a_verdict_and_it_is_told() {
    let stage = stage_of_restore(|event, before| match before {
        0 => Ok(json!({"status": "continue", "run": event["run"]})),
        1 => Err(("Store", "for now")),
        _ => Ok(json!({"status": "complete", "verdict": "passed", "archive": "s3://b/a", "summary": "it restores", "markdown": "# All of it"})),
    })
    .await;
    let input = json!({"archive": {"latest": "s3://b/"}, "run": run_of_input()});
    let output = stage.run(&stage.machines.drill, input.clone()).await.succeeded();
    assert_eq!(
        (&output["verdict"], &output["archive"]),
        (&json!("passed"), &json!("s3://b/a"))
    );
    let mut event = input;
    event["action"] = json!("drill");
    assert_eq!(stage.restore.events(), [event.clone(), event.clone(), event]);
    let told = stage.topic.next().await;
    assert_eq!(told.subject, "mongotar drill passed");
    assert!(
        told.message.starts_with("it restores\n\n# All of it"),
        "{}",
        told.message
    );
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn a_drill_that_did_not_pass_or_could_not_be_done_is_a_failure() {
    let stage = stage_of_restore(|event, _| match event["archive"].as_str() {
        Some("s3://b/partial") => Ok(json!({"status": "partial", "verdict": "failed", "archive": "s3://b/partial", "problems": ["\"orders\": it is not equal", "left behind"]})),
        _ => Err(("ArchiveNotFound", "there is no archive in s3://b/")),
    })
    .await;
    for (archive, expected) in [
        (
            "s3://b/partial",
            "The drill of s3://b/partial has failed.\n\"orders\": it is not equal\nleft behind",
        ),
        ("s3://b/", "ArchiveNotFound: there is no archive in s3://b/"),
    ] {
        let (error, cause) = stage
            .run(&stage.machines.drill, json!({"archive": archive}))
            .await
            .failed();
        assert_eq!((error.as_str(), cause.as_str()), ("DrillFailed", expected));
        assert_eq!(stage.topic.next().await.subject, "mongotar drill FAILED");
    }
    assert_eq!(
        actions(&stage.restore.events()),
        ["drill", "drill"],
        "neither is worth another try"
    );
}
