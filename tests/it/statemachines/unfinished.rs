//! The state machine that goes on with restores, drills and verifications that were invoked asynchronously.

use serde_json::{Value, json};

use super::{run_of_input, stage, stage_of_restore};

/// What Lambda tells of an asynchronous invocation whose answer is to be continued.
fn told(function: &str, request: &Value) -> Value {
    json!({
        "id": "of the telling", "time": "2026-11-21T02:15:00Z", "source": "lambda",
        "detail-type": "Lambda Function Invocation Result - Success",
        "detail": {
            "requestContext": {"functionArn": format!("arn:aws:lambda:eu-central-1:1:function:{function}:live")},
            "requestPayload": request,
            "responsePayload": {"status": "continue", "run": run_of_input()}
        }
    })
}

#[tokio::test]
async fn a_restore_goes_on_with_its_run_and_its_consent_until_it_is_over_and_it_is_told() {
    let stage = stage_of_restore(|event, before| match (event["action"] == "verify", before) {
        (true, _) => Ok(json!({"status": "complete", "archive": "s3://b/a"})),
        (false, 0) => Ok(json!({"status": "continue", "run": event["run"]})),
        (false, 1) => Ok(json!({"status": "running"})),
        (false, 2) => Err(("Runtime.OutOfMemory", "killed")),
        _ => Ok(
            json!({"status": "complete", "archive": "s3://b/a", "database": "shop", "summary": "3 documents are back"}),
        ),
    })
    .await;
    let asked = json!({"archive": "s3://b/a", "database": "shop", "confirm": "token of the plan"});
    let output = stage
        .run(&stage.machines.unfinished, told("mongotar-restore", &asked))
        .await
        .succeeded();
    assert_eq!(
        (&output["status"], &output["action"], &output["run"]),
        (&json!("complete"), &json!("restore"), &run_of_input())
    );
    let mut event = asked;
    event["run"] = run_of_input();
    let events = stage.restore.events();
    assert_eq!(events[..3], [event.clone(), event.clone(), event.clone()]);
    event["memory"] = json!("half");
    assert_eq!(events[3..], [event]);
    let message = stage.topic.next().await;
    assert_eq!(message.subject, "mongotar restore complete");
    assert!(
        message.message.starts_with("3 documents are back"),
        "{}",
        message.message
    );

    // An event of EventBridge was invoked with, and a verification.
    let bridged = crate::handlers::scheduled_event(json!({"action": "verify", "archive": "s3://b/a"}));
    stage
        .run(&stage.machines.unfinished, told("mongotar-restore", &bridged))
        .await
        .succeeded();
    let last = stage.restore.events().pop().expect("an event");
    assert_eq!(
        last,
        json!({"action": "verify", "archive": "s3://b/a", "run": run_of_input()})
    );
    assert_eq!(stage.topic.next().await.subject, "mongotar verify complete");
}

#[tokio::test]
async fn what_does_not_end_well_is_a_failure_and_a_drill_goes_on_in_its_own_function() {
    // The double of the backup function stands for the one of drills.
    let stage = stage(
        |event, _| match event["archive"].as_str() {
            Some("s3://b/wrong") => Ok(json!({"status": "complete", "verdict": "failed", "archive": "s3://b/wrong"})),
            _ => Ok(json!({"status": "complete", "verdict": "passed", "archive": "s3://b/a"})),
        },
        |event, _| match event["archive"].as_str() {
            Some("s3://b/partial") => Ok(json!({"status": "partial", "archive": "s3://b/partial"})),
            _ => Err(("ConsentStale", "the target has changed")),
        },
    )
    .await;
    let drill = format!("{}-drill", stage.stack);
    let asked = |archive: &str| json!({"action": "drill", "archive": archive});
    stage
        .run(&stage.machines.unfinished, told(&drill, &asked("s3://b/a")))
        .await
        .succeeded();
    assert_eq!(stage.topic.next().await.subject, "mongotar drill complete");
    assert_eq!((stage.backup.events().len(), stage.restore.events().len()), (1, 0));
    for (function, request, error, subject) in [
        (&*drill, asked("s3://b/wrong"), "NotComplete", "mongotar drill FAILED"),
        (
            "x-restore",
            json!({"archive": "s3://b/partial"}),
            "NotComplete",
            "mongotar restore PARTIAL",
        ),
        (
            "x-restore",
            json!({"archive": "s3://b/a"}),
            "ConsentStale",
            "mongotar restore FAILED",
        ),
    ] {
        let run = stage.run(&stage.machines.unfinished, told(function, &request)).await;
        assert_eq!(run.failed().0, error);
        assert_eq!(stage.topic.next().await.subject, subject);
    }
}
