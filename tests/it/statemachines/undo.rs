//! The state machine of restore where the result is not complete.

use serde_json::{Value, json};

use super::restore::{planned, restored};
use super::{Answered, actions, run_of_input, stage_of_restore};
use crate::rig::{self, StateMachines};

/// A restore that is partial, and an undoing that is continued once and then as `undone` says.
fn partial(event: &Value, before: usize, undone: &str) -> Answered {
    let is_undo = event["archive"] == "s3://b/pre-restore/x";
    match (event["dry_run"] == true, is_undo) {
        (true, _) => planned(),
        (false, false) => Ok(restored("partial")),
        // The restore itself has been counted, too.
        (false, true) if before == 1 => Ok(json!({"status": "continue"})),
        (false, true) => {
            Ok(json!({"status": undone, "archive": event["archive"], "database": "shop", "summary": "back as it was"}))
        }
    }
}

#[tokio::test]
async fn whoever_is_asked_can_go_back_to_what_was_there_before() {
    for (undone, name, subject) in [
        ("complete", "RestoreUndone", "mongotar restore undone: shop"),
        (
            "partial",
            "UndoIncomplete",
            "mongotar restore undone NOT COMPLETELY: shop",
        ),
    ] {
        let stage = stage_of_restore(move |event, before| partial(event, before, undone)).await;
        let input = json!({"archive": "s3://b/a", "database": "shop", "approved": true, "run": run_of_input()});
        let execution = stage.engine.execute(&stage.machines.approved, input).await;
        let question = stage.topic.next().await;
        assert_eq!(question.subject, "mongotar restore is not complete: shop");
        assert!(
            question.message.starts_with("2 collections restored, partial\n"),
            "{}",
            question.message
        );
        assert!(
            question.message.contains("--task-output '{\"undo\":true}'\n"),
            "{}",
            question.message
        );
        assert_eq!(
            actions(&stage.restore.events()),
            ["dry run", "restore"],
            "not before somebody says so"
        );
        stage.engine.succeed(&question.token(), json!({"undo": true})).await;
        let (error, cause) = execution.ended().await.failed();
        assert_eq!(error, name);
        assert_eq!(cause, "back as it was Before that: 2 collections restored, partial");

        let events = stage.restore.events();
        assert_eq!(events.len(), 4);
        assert_eq!(events[2], events[3], "the same event continues");
        let mut undo = events[2].clone();
        let run = undo
            .as_object_mut()
            .and_then(|fields| fields.remove("run"))
            .expect("a run");
        assert_eq!(
            undo,
            json!({"archive": "s3://b/pre-restore/x", "database": "shop", "replace_existing": true, "yes": true})
        );
        assert_eq!(run["id"], "nightly/undo");
        assert_ne!(
            run["time"],
            run_of_input()["time"],
            "its snapshot must not have the name of the archive that it restores"
        );
        assert_eq!(stage.topic.next().await.subject, subject);
        stage.topic.assert_empty().await;
    }
}

#[tokio::test]
async fn without_a_yes_the_target_is_left_as_it_is() {
    let stage = stage_of_restore(|event, before| partial(event, before, "complete")).await;
    let input = json!({"archive": "s3://b/a", "database": "shop", "approved": true});
    let execution = stage.engine.execute(&stage.machines.approved, input.clone()).await;
    stage
        .engine
        .succeed(&stage.topic.next().await.token(), json!({"undo": false}))
        .await;
    let declined = execution.ended().await.failed();
    // As it is deployed, but that a day is over sooner.
    let hasty = StateMachines::definition("restore").replace("86400", "1");
    let substitutions = [
        ("RestoreFunctionArn", stage.restore.arn()),
        ("TopicArn", stage.topic.arn()),
        ("ConsentInInput", "true"),
        ("RestoreConcurrency", "0"),
    ];
    let machine = stage
        .engine
        .state_machine(&rig::unique_name("hasty"), &hasty, &substitutions)
        .await;
    let unanswered = stage.run(&machine, input).await.failed();
    for (error, cause) in [declined, unanswered] {
        assert_eq!(error, "RestorePartial");
        assert!(
            cause.starts_with("2 collections restored, partial The event that brings the target back as it was: {"),
            "{cause}"
        );
        assert!(cause.contains("s3://b/pre-restore/x"), "{cause}");
    }
    assert_eq!(
        actions(&stage.restore.events()),
        ["dry run", "restore", "dry run", "restore"]
    );
}

#[tokio::test]
async fn without_a_snapshot_there_is_nothing_to_ask() {
    let stage = stage_of_restore(|event, _| match event["dry_run"] == true {
        true => planned(),
        false => {
            let mut report = restored("failed");
            report["snapshot"] = Value::Null;
            Ok(report)
        }
    })
    .await;
    let (error, cause) = stage
        .run(
            &stage.machines.approved,
            json!({"archive": "s3://b/a", "yes": true, "snapshot": false}),
        )
        .await
        .failed();
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("RestoreFailed", "2 collections restored, failed")
    );
    assert_eq!(stage.topic.next().await.subject, "mongotar restore FAILED: shop");
    stage.topic.assert_empty().await;
}
