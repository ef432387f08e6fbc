//! How old the last good backup is: what the state machines measure, on an engine that keeps metrics.

use serde_json::{Value, json};

use super::{Answered, Stage, backup_report, stage};
use crate::rig;

/// A function that lists the databases of a request, and backs up all but one.
fn without(bad: &'static str) -> impl Fn(&Value, usize) -> Answered + Send + Sync + 'static {
    move |event, _| match event["action"].as_str() {
        Some("databases") => {
            let names: Vec<&str> = event["database"].as_str().unwrap_or("shop").split(',').collect();
            let listed: Vec<Value> = names
                .iter()
                .map(|name| json!({"database": name, "destination": "s3://b/"}))
                .collect();
            Ok(json!({"databases": listed}))
        }
        Some("plan") => Ok(json!({"status": "planned", "lanes": [0]})),
        Some("abort") => Ok(json!({"status": "aborted"})),
        _ if event["exclude"] == json!([bad]) || event["database"] == bad => Err(("InvalidRequest", "it is bad")),
        _ => Ok(backup_report(event, "complete")),
    }
}

async fn staged() -> Stage {
    stage(without("bad"), |_, _| Ok(json!({"status": "complete"}))).await
}

#[tokio::test]
async fn only_a_run_of_everything_that_is_configured_says_how_fresh_the_backups_are() {
    let stage = staged().await;
    // What a person backs up by hand hides nothing.
    for other in [
        json!({"database": "other"}),
        json!({"database": "shop", "destination": "s3://elsewhere/"}),
        json!({"database": "shop", "include": ["orders"]}),
        json!({"database": "shop", "exclude": ["orders"]}),
    ] {
        stage.run(&stage.machines.backup, other).await.succeeded();
    }
    assert_eq!(
        stage.engine.metric("AllComplete", &stage.stack).await,
        Vec::<f64>::new()
    );
    for (all, value) in [
        (json!({"database": ["shop"], "destination": "s3://b/"}), 1.0),
        (json!({}), 1.0),
    ] {
        let ended = stage.run(&stage.machines.backup, all).await;
        assert!(ended.states.contains(&"Measure".to_owned()), "{:?}", ended.states);
        ended.succeeded();
        let measured = stage.engine.metric("AllComplete", &stage.stack).await;
        assert_eq!(measured.last(), Some(&value));
    }
}

#[tokio::test]
async fn a_run_in_which_one_database_failed_is_measured_as_that() {
    let stage = stage(
        |event, before| match event["action"].as_str() {
            Some("backup") => Err(("InvalidRequest", "it is bad")),
            _ => without("bad")(event, before),
        },
        |event, _| panic!("there is nothing to verify: {event}"),
    )
    .await;
    stage
        .run(&stage.machines.backup, json!({"database": "shop"}))
        .await
        .failed();
    assert_eq!(stage.engine.metric("AllComplete", &stage.stack).await, [0.0]);
}

fn hours_ago(hours: i64) -> String {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let time = time::OffsetDateTime::from_unix_timestamp(now - hours * 3_600).expect("a time");
    time.format(&time::format_description::well_known::Rfc3339)
        .expect("a time")
}

#[tokio::test]
async fn ages_count_from_the_last_success_or_from_the_making_of_the_stack() {
    let stage = staged().await;
    let (stack, machine) = (stage.stack.as_str(), &stage.machines.watch);
    let age = |output: &Value, name: &str| output[name].as_f64().expect("an age");
    let output = stage.run(machine, json!({})).await.succeeded();
    for name in ["backup_hours", "drill_days"] {
        assert!(
            (0.0..0.1).contains(&age(&output, name)),
            "a stack of a moment ago: {output}"
        );
    }
    for metric in ["BackupAgeHours", "DrillAgeDays"] {
        assert_eq!(stage.engine.metric(metric, stack).await.len(), 1, "{metric}");
    }

    // Of a stack that was made long ago, by what is measured of it.
    let old = rig::unique_name("old");
    let definition = rig::StateMachines::definition("watch")
        .replace("$toMillis($states.result.CreationDate)", "$millis() - 30 * 86400000");
    let substitutions = [
        ("BackupMachineArn", stage.machines.backup.as_str()),
        ("StackName", &old),
    ];
    let machine = stage.engine.state_machine(&old, &definition, &substitutions).await;
    let of = [("Stack", old.as_str())];
    let restores = [("Stack", old.as_str()), ("Function", "restore")];
    for (hours, good) in [(50, 1.0), (30, 1.0), (6, 0.0)] {
        let time = hours_ago(hours);
        stage.engine.measured("AllComplete", &of, &time, good).await;
        stage.engine.measured("DrillFailed", &restores, &time, 1.0 - good).await;
    }
    // Another stack's success is none of this one's.
    let now = hours_ago(0);
    stage
        .engine
        .measured("AllComplete", &[("Stack", "staging")], &now, 1.0)
        .await;
    let output = stage.run(&machine, json!({})).await.succeeded();
    // A metric is of the hour in which it was written.
    assert!((30.0..31.1).contains(&age(&output, "backup_hours")), "{output}");
    assert!((1.25..1.3).contains(&age(&output, "drill_days")), "{output}");
}
