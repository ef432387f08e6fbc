//! The local Step Functions engine: what the tests of the state machines rely on.

use super::super::names::unique_name;
use super::super::shared_step_functions;
use serde_json::json;

#[tokio::test]
async fn a_state_machine_calls_a_bootstrap_retries_what_it_names_and_catches_the_rest() {
    let engine = shared_step_functions();
    let function = engine
        .scripted(&unique_name("flaky"), |event, before| match before {
            0 => Err(("Database", "away")),
            _ if event["fail"] == true => Err(("InvalidRequest", "wrong")),
            _ => Ok(json!({"seen": event, "before": before})),
        })
        .await;
    let definition = json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Call",
        "States": {
            "Call": {
                "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {"FunctionName": "${FunctionArn}", "Payload": "{% $states.input %}"},
                "Retry": [{"ErrorEquals": ["Database"], "IntervalSeconds": 30, "MaxAttempts": 2}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput %}", "Next": "Caught"}],
                "Output": "{% $states.result.Payload %}", "End": true
            },
            "Caught": {"Type": "Fail", "Error": "{% $states.input.Error %}", "Cause": "{% $states.input.Cause %}"}
        }
    });
    let machine = engine
        .state_machine(
            &unique_name("probe"),
            &definition.to_string(),
            &[("FunctionArn", function.arn())],
        )
        .await;
    let answered = engine
        .execute(&machine, json!({"a": 1}))
        .await
        .ended()
        .await
        .succeeded();
    assert_eq!(answered, json!({"seen": {"a": 1}, "before": 1}));
    let (error, cause) = engine
        .execute(&machine, json!({"fail": true}))
        .await
        .ended()
        .await
        .failed();
    assert_eq!(error, "InvalidRequest");
    assert!(cause.contains("wrong"), "{cause}");
    assert_eq!(function.events().len(), 3, "once retried, once refused");
}

#[tokio::test]
async fn a_task_waits_for_the_token_that_its_message_carries() {
    let engine = shared_step_functions();
    let topic = engine.topic(&unique_name("probe")).await;
    let definition = json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Ask",
        "States": {"Ask": {
            "Type": "Task", "Resource": "arn:aws:states:::sns:publish.waitForTaskToken",
            "Arguments": {"TopicArn": "${TopicArn}", "Subject": "a question", "Message": "{% '--task-token ' & $states.context.Task.Token & ' is it' %}"},
            "TimeoutSeconds": 120, "Output": "{% $states.result %}", "End": true
        }}
    });
    let machine = engine
        .state_machine(
            &unique_name("probe"),
            &definition.to_string(),
            &[("TopicArn", topic.arn())],
        )
        .await;
    let execution = engine.execute(&machine, json!({})).await;
    let told = topic.next().await;
    assert_eq!(told.subject, "a question");
    engine.succeed(&told.token(), json!({"approved": true})).await;
    assert_eq!(execution.ended().await.succeeded(), json!({"approved": true}));
    topic.assert_empty().await;
}

#[tokio::test]
async fn the_engine_listens_on_the_loopback_interface_only() {
    let engine = shared_step_functions();
    let port: u16 = engine
        .endpoint()
        .rsplit_once(':')
        .expect("a port")
        .1
        .parse()
        .expect("a number");
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the rig runs on Linux");
    let local: Vec<&str> = sockets
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|address| address.ends_with(&format!(":{port:04X}")))
        .collect();
    assert!(!local.is_empty(), "it listens");
    assert!(local.iter().all(|address| address.starts_with("0100007F")), "{local:?}");
}
