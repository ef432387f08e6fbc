//! The state machine of increments.

use serde_json::{Value, json};

use super::{Answered, Stage, backup_report, run_of_input, stage};

fn input() -> Value {
    json!({"database": "shop", "destination": "s3://b/", "lanes": 4, "retention": "auto", "run": run_of_input()})
}

fn increment(database: &str, behind: i64) -> Value {
    let to = time::OffsetDateTime::now_utc().unix_timestamp() - behind;
    json!({"status": "complete", "kind": "increment", "database": database, "to": {"t": to, "i": 1},
        "consistency": {"level": "snapshot", "unproven": "nothing was inserted"},
        "collections": [{"name": "orders", "changed": 3, "removed": 1}, {"name": "users", "changed": 2, "removed": 0}, {"name": "new"}]})
}

/// Increments as given; and full backups that are complete.
async fn of_increments(answers: impl Fn(usize) -> Answered + Send + Sync + 'static) -> Stage {
    stage(
        move |event, before| match (event["incremental"] == true, event["action"].as_str()) {
            (true, _) => answers(before),
            (_, Some("databases")) => Ok(json!({"databases": [{"database": "shop", "destination": "s3://b/"}]})),
            (_, Some("plan")) => Ok(json!({"status": "planned", "lanes": [0]})),
            _ => Ok(backup_report(event, "complete")),
        },
        |_, _| Ok(json!({"status": "complete"})),
    )
    .await
}

#[tokio::test]
async fn an_increment_is_measured_and_nobody_is_told() {
    let stage = of_increments(|before| match before {
        0 => Ok(json!({"status": "continue"})),
        _ => Ok(increment("shop", 40)),
    })
    .await;
    let output = stage.run(&stage.machines.increment, input()).await.succeeded();
    assert_eq!(output["status"], "complete");
    let event = json!({"database": "shop", "destination": "s3://b/", "run": run_of_input(), "retention": "daily", "incremental": true, "no_full": true});
    assert_eq!(stage.backup.events(), [event.clone(), event]);
    for (metric, value) in [
        ("Increment", 1.0),
        ("IncrementChanged", 5.0),
        ("IncrementRemoved", 1.0),
        ("IncrementUnproven", 1.0),
    ] {
        assert_eq!(stage.engine.metric(metric, &stage.stack).await, [value], "{metric}");
    }
    let lag = stage.engine.metric("IncrementLagSeconds", &stage.stack).await[0];
    assert!((40.0..70.0).contains(&lag), "{lag}");
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn a_failure_is_measured_and_is_no_failure_of_the_machine() {
    let stage = of_increments(|_| Err(("DatabaseUnauthorized", "no"))).await;
    let output = stage.run(&stage.machines.increment, input()).await.succeeded();
    assert_eq!(output["error"]["Error"], "DatabaseUnauthorized");
    assert_eq!(stage.engine.metric("Increment", &stage.stack).await, [0.0]);
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn where_a_chain_has_ended_one_full_backup_is_begun_and_not_one_every_minute() {
    let stage = of_increments(|_| Err(("NoChain", "the oplog is too short"))).await;
    let output = stage.run(&stage.machines.increment, input()).await.succeeded();
    assert_eq!(output["status"], "a full backup begins the next chain");
    // It is told of as any backup.
    assert_eq!(
        stage.topic.next().await.subject,
        "mongotar backup complete: 1 of 1 database"
    );
    let full = stage.backup.events();
    let full = full
        .iter()
        .find(|event| event["action"] == "backup")
        .expect("a full backup");
    assert_eq!(
        (&full["lanes"], &full["retention"], full.get("incremental")),
        (&json!(4), &json!("auto"), None)
    );
    let output = stage.run(&stage.machines.increment, input()).await.succeeded();
    assert_eq!(output["status"], "waiting for a full backup");
    assert_eq!(stage.engine.metric("Increment", &stage.stack).await, Vec::<f64>::new());
    stage.topic.assert_empty().await;
}

#[tokio::test]
async fn of_several_databases_the_one_that_is_farthest_behind_counts_and_one_ended_chain_begins_a_full_backup() {
    let stage = of_increments(|before| match before {
        0 => Ok(json!({"status": "complete", "databases": [increment("a", 10), increment("b", 100)]})),
        1 => Ok(json!({"status": "partial", "databases": [
            increment("a", 10), {"status": "failed", "database": "b", "error_type": "Store", "error": "no"}]})),
        _ => Ok(json!({"status": "partial", "databases": [
            increment("a", 10), {"status": "failed", "database": "b", "error_type": "NoChain", "error": "no"}]})),
    })
    .await;
    let run = || stage.run(&stage.machines.increment, input());
    assert_eq!(run().await.succeeded()["status"], "complete");
    let lag = stage.engine.metric("IncrementLagSeconds", &stage.stack).await[0];
    assert!((100.0..130.0).contains(&lag), "{lag}");
    assert_eq!(run().await.succeeded()["status"], "partial");
    assert_eq!(run().await.succeeded()["status"], "a full backup begins the next chain");
}

/// The reports of some thousands do not fit into an answer: their list is empty then, and was taken for no failure.
#[tokio::test]
async fn of_too_many_databases_to_be_told_the_status_of_all_counts() {
    let stage = of_increments(|before| match before {
        0 => Ok(json!({"status": "continue", "databases": [], "report": "s3://b/several.report.json"})),
        1 => Ok(json!({"status": "partial", "databases": [], "report": "s3://b/several.report.json"})),
        _ => Ok(json!({"status": "complete", "databases": [], "report": "s3://b/several.report.json"})),
    })
    .await;
    let run = || stage.run(&stage.machines.increment, input());
    assert_eq!(run().await.succeeded()["status"], "partial");
    assert_eq!(stage.engine.metric("Increment", &stage.stack).await, [0.0]);
    assert_eq!(run().await.succeeded()["status"], "complete");
}
