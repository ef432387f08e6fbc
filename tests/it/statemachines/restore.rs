//! The state machine of restore: plan, approval, restore.

use serde_json::{Value, json};

use super::{Answered, Stage, actions, run_of_input, stage_of_restore};
use crate::rig::{self, StateMachines};

const ARCHIVE: &str = "s3://b/backup_20261121_020000.tar.zst";

/// What a restore function answers to a dry run.
pub fn planned() -> Answered {
    Ok(
        json!({"status": "planned", "archive": ARCHIVE, "database": "shop", "confirm": "token-of-the-plan",
        "summary": "2 collections into shop", "plan": {"to_drop": ["extra", "old"], "to_restore": ["orders", "users"]}}),
    )
}

/// What it answers at the end, with a way back.
pub fn restored(status: &str) -> Value {
    json!({"status": status, "archive": ARCHIVE, "database": "shop", "summary": format!("2 collections restored, {status}"),
        "verification": {"equal": status == "complete", "collections": [{"name": "orders"}]},
        "snapshot": {"archive": "s3://b/pre-restore/x", "undo": {"archive": "s3://b/pre-restore/x", "database": "shop", "replace_existing": true}}})
}

fn plain(event: &Value, before: usize) -> Answered {
    match (event["dry_run"] == true, before) {
        (true, _) => planned(),
        (false, 0) => Ok(json!({"status": "continue"})),
        (false, 1) => Ok(json!({"status": "running"})),
        _ => Ok(restored("complete")),
    }
}

/// An execution that has asked for approval, and the token that it waits for.
async fn asked(stage: &Stage, input: Value) -> (rig::Execution, String) {
    let execution = stage.engine.execute(&stage.machines.restore, input).await;
    let question = stage.topic.next().await;
    assert_eq!(question.subject, "mongotar restore waits for your approval: shop");
    assert!(
        question
            .message
            .starts_with("2 collections into shop\nIt drops: extra, old\n"),
        "{}",
        question.message
    );
    assert!(
        question.message.contains("--task-output '{\"approved\":true}'\n"),
        "{}",
        question.message
    );
    let token = question.token();
    (execution, token)
}

#[tokio::test]
async fn nothing_changes_before_the_plan_is_approved() {
    let stage = stage_of_restore(plain).await;
    let input =
        json!({"archive": {"latest": "s3://b/"}, "database": "shop", "replace_existing": true, "run": run_of_input()});
    let (execution, token) = asked(&stage, input).await;
    assert_eq!(actions(&stage.restore.events()), ["dry run"]);
    stage.engine.succeed(&token, json!({"approved": true})).await;
    let output = execution.ended().await.succeeded();
    assert_eq!(
        (&output["status"], &output["snapshot"]),
        (&json!("complete"), &json!("s3://b/pre-restore/x"))
    );
    let expected = json!({"archive": ARCHIVE, "database": "shop", "replace_existing": true, "run": run_of_input(), "confirm": "token-of-the-plan"});
    assert_eq!(
        stage.restore.events()[1..],
        [expected.clone(), expected.clone(), expected],
        "the archive and the plan that were approved"
    );
    let told = stage.topic.next().await;
    assert_eq!(told.subject, "mongotar restore complete: shop");
    assert!(
        told.message.contains("2 collections restored, complete") && told.message.contains("\"replace_existing\":true"),
        "{}",
        told.message
    );
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn a_plan_that_is_declined_or_answered_with_anything_else_changes_nothing() {
    let stage = stage_of_restore(plain).await;
    for answer in [
        json!({"approved": false}),
        json!({}),
        json!("yes"),
        json!({"approved": "true"}),
    ] {
        let (execution, token) = asked(&stage, json!({"archive": ARCHIVE})).await;
        stage.engine.succeed(&token, answer).await;
        let (error, cause) = execution.ended().await.failed();
        assert_eq!(
            (error.as_str(), cause.as_str()),
            ("NotApproved", "the plan was declined; nothing was changed")
        );
        assert_eq!(stage.topic.next().await.subject, "mongotar restore FAILED: shop");
    }
    assert_eq!(actions(&stage.restore.events()), ["dry run"; 4]);
}

#[tokio::test]
async fn a_plan_that_nobody_answers_changes_nothing() {
    let stage = stage_of_restore(plain).await;
    // As it is deployed, but that a day is over sooner.
    let hasty = StateMachines::definition("restore").replace("86400", "1");
    let substitutions = [
        ("RestoreFunctionArn", stage.restore.arn()),
        ("TopicArn", stage.topic.arn()),
        ("ConsentInInput", "false"),
        ("RestoreConcurrency", "0"),
    ];
    let machine = stage
        .engine
        .state_machine(&rig::unique_name("hasty"), &hasty, &substitutions)
        .await;
    let (error, cause) = stage.run(&machine, json!({"archive": ARCHIVE})).await.failed();
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("NotApproved", "nobody approved the plan in time; nothing was changed")
    );
    assert_eq!(actions(&stage.restore.events()), ["dry run"]);
}

#[tokio::test]
async fn consent_in_the_input_is_not_asked_for_again_where_the_stack_allows_that() {
    let stage = stage_of_restore(|event, _| match event["dry_run"] == true {
        true => planned(),
        false => Ok(restored("complete")),
    })
    .await;
    let sent = |more: Value| {
        let mut event = json!({"archive": ARCHIVE, "run": run_of_input()});
        for (name, value) in more.as_object().expect("fields") {
            event[name] = value.clone();
        }
        event
    };
    for (consent, expected) in [
        (json!({"approved": true}), json!({"confirm": "token-of-the-plan"})),
        (json!({"yes": true}), json!({"yes": true})),
        (json!({"confirm": "token of mine"}), json!({"confirm": "token of mine"})),
    ] {
        stage.run(&stage.machines.approved, sent(consent)).await.succeeded();
        let events = stage.restore.events();
        assert_eq!(events.last(), Some(&sent(expected)));
        assert_eq!(stage.topic.next().await.subject, "mongotar restore complete: shop");
    }
    assert_eq!(stage.restore.events().len(), 6);
}

/// Whoever may start an execution could approve it, too.
#[tokio::test]
async fn consent_in_the_input_approves_nothing_unless_the_stack_allows_that() {
    let stage = stage_of_restore(plain).await;
    for consent in ["approved", "yes", "confirm"] {
        let mut input = json!({"archive": ARCHIVE, "run": run_of_input()});
        input[consent] = match consent {
            "confirm" => json!("token of mine"),
            _ => json!(true),
        };
        for input in [input.clone(), crate::handlers::scheduled_event(input)] {
            let (execution, token) = asked(&stage, input).await;
            stage.engine.succeed(&token, json!({"approved": false})).await;
            assert_eq!(execution.ended().await.failed().0, "NotApproved");
            assert_eq!(stage.topic.next().await.subject, "mongotar restore FAILED: shop");
        }
    }
    let events = stage.restore.events();
    assert_eq!(actions(&events), ["dry run"; 6]);
    for event in events {
        assert!(event.get("yes").is_none() && event.get("confirm").is_none(), "{event}");
    }
}

#[tokio::test]
async fn a_plan_that_drops_nothing_does_not_say_that_it_drops_something() {
    let stage = stage_of_restore(|event, _| {
        assert_eq!(event["dry_run"], true);
        let mut plan = planned()?;
        plan["plan"]["to_drop"] = json!([]);
        Ok(plan)
    })
    .await;
    let execution = stage
        .engine
        .execute(&stage.machines.restore, json!({"archive": ARCHIVE}))
        .await;
    let question = stage.topic.next().await;
    assert!(!question.message.contains("drops"), "{}", question.message);
    stage
        .engine
        .succeed(&question.token(), json!({"approved": false}))
        .await;
    execution.ended().await.failed();
}

#[tokio::test]
async fn a_dry_run_is_a_plan_and_no_question() {
    let stage = stage_of_restore(plain).await;
    let output = stage
        .run(
            &stage.machines.restore,
            json!({"archive": ARCHIVE, "dry_run": true, "yes": true}),
        )
        .await
        .succeeded();
    assert_eq!(
        (&output["status"], &output["confirm"], &output["archive"]),
        (&json!("planned"), &json!("token-of-the-plan"), &json!(ARCHIVE))
    );
    assert_eq!(actions(&stage.restore.events()), ["dry run"]);
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn an_error_is_told_of_under_its_own_name() {
    let stage = stage_of_restore(
        |event, before| match (event["dry_run"] == true, event["archive"].as_str(), before) {
            (_, Some("s3://b/wrong"), _) => Err(("ArchiveDamaged", "the footer is damaged")),
            (true, ..) => planned(),
            (false, _, 0) => Err(("Database", "for now")),
            _ => Err((
                "ConsentStale",
                "the target's collections have changed; nothing was changed",
            )),
        },
    )
    .await;
    for (archive, expected) in [
        ("s3://b/wrong", ("ArchiveDamaged", "the footer is damaged")),
        (
            ARCHIVE,
            (
                "ConsentStale",
                "the target's collections have changed; nothing was changed",
            ),
        ),
    ] {
        let (error, cause) = stage
            .run(
                &stage.machines.approved,
                json!({"archive": archive, "database": "größe", "approved": true}),
            )
            .await
            .failed();
        assert_eq!((error.as_str(), cause.as_str()), expected);
        let told = stage.topic.next().await;
        // SNS refuses a subject that is not ASCII. The name is the plan's where there is one.
        let name = if archive == ARCHIVE { "shop" } else { "gr??e" };
        assert_eq!(told.subject, format!("mongotar restore FAILED: {name}"));
        assert!(
            told.message.starts_with(&format!("{}: {}", expected.0, expected.1)),
            "{}",
            told.message
        );
    }
    assert_eq!(
        actions(&stage.restore.events()),
        ["dry run", "dry run", "restore", "restore"]
    );
}
