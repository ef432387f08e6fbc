//! The Lambda emulator, against a bootstrap in Python that speaks the protocol by hand.

use super::super::{LambdaFunction, ScratchDir, python};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

const BOOTSTRAP: &str = r#"
import json, os, sys, time, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
def post(path, value):
    try:
        urllib.request.urlopen(urllib.request.Request(api + path, json.dumps(value).encode(), method="POST")).read()
    except urllib.error.HTTPError as e:
        print("status", e.code, flush=True)
if os.environ.get("BROKEN"):
    post("init/error", {"errorType": "Broken", "errorMessage": "no start"})
    sys.exit(1)
served = 0
while True:
    with urllib.request.urlopen(api + "invocation/next") as next:
        event, id = json.load(next), next.headers["Lambda-Runtime-Aws-Request-Id"]
        left = int(next.headers["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000
    served += 1
    print("event", json.dumps(event), flush=True)
    time.sleep(event.get("sleep", 0))
    if "exit" in event: sys.exit(event["exit"])
    if "fail" in event: post(f"invocation/{id}/error", {"errorType": event["fail"], "errorMessage": "told to"})
    elif "large" in event: post(f"invocation/{id}/response", "x" * event["large"])
    else: post(f"invocation/{id}/response", {"served": served, "left": left, "env": dict(os.environ)})
"#;

const SECOND: Duration = Duration::from_secs(1);

fn bootstrap() -> (ScratchDir, PathBuf) {
    let scratch = ScratchDir::new("lambda");
    let path = scratch.path().join("bootstrap");
    // Written by another process: a file this one holds open for writing while a sibling test forks cannot be executed.
    let write = "import os, sys; open(sys.argv[1], 'w').write(sys.stdin.read()); os.chmod(sys.argv[1], 0o755)";
    let source = format!("#!{}\n{BOOTSTRAP}", python().interpreter().display());
    python().stdout(write, &[&path], source.as_bytes());
    (scratch, path)
}

#[tokio::test]
async fn a_function_stays_warm_and_sees_only_its_own_environment() {
    let (_scratch, binary) = bootstrap();
    let function = LambdaFunction::builder(&binary)
        .name("backup")
        .env([("MONGO_URI", "mongodb://here")])
        .start();
    let first = function.invoke(json!({"n": 1}), 30 * SECOND).await.expect("an answer");
    let second = function.invoke(json!({"n": 2}), 30 * SECOND).await.expect("an answer");
    assert_eq!((&first["served"], &second["served"]), (&json!(1), &json!(2)));
    let left = second["left"].as_f64().expect("a number");
    assert!((25_000.0..=30_001.0).contains(&left), "the deadline is {left} ms ahead");
    assert_eq!(first["env"]["MONGO_URI"], "mongodb://here");
    assert_eq!(first["env"]["AWS_LAMBDA_FUNCTION_NAME"], "backup");
    assert!(first["env"].get("CARGO_MANIFEST_DIR").is_none(), "nothing is inherited");
    assert_eq!(function.wait_for_log(r#"{"n": 2}"#).await, r#"event {"n": 2}"#);
}

#[tokio::test]
async fn errors_ends_and_timeouts_are_told_apart() {
    let (_scratch, binary) = bootstrap();
    let function = LambdaFunction::builder(&binary).start();
    let failed = function
        .invoke(json!({"fail": "Conflict"}), 30 * SECOND)
        .await
        .expect_err("told to fail");
    assert_eq!(
        (failed.error_type.as_str(), failed.error_message.as_str()),
        ("Conflict", "told to")
    );
    let warm = function.warm_pid().expect("an error leaves the process warm");

    let large = function
        .invoke(json!({"large": 7_000_000}), 30 * SECOND)
        .await
        .expect_err("over 6 MB");
    assert_eq!(large.error_type, "Function.ResponseSizeTooLarge");
    function.wait_for_log("status 413").await;

    let ended = function
        .invoke(json!({"exit": 3}), 30 * SECOND)
        .await
        .expect_err("told to exit");
    assert_eq!(ended.error_type, "Runtime.ExitError");
    assert!(ended.error_message.ends_with("exit status 3"), "{ended}");

    let late = function
        .invoke(json!({"sleep": 60}), SECOND)
        .await
        .expect_err("told to sleep");
    assert_eq!(late.error_type, "Sandbox.Timedout");
    assert!(
        late.error_message.ends_with("Task timed out after 1.00 seconds"),
        "{late}"
    );
    let again = function.invoke(json!({}), 30 * SECOND).await.expect("a new process");
    assert_eq!(again["served"], 1);
    assert_ne!(function.warm_pid(), Some(warm));
}

#[tokio::test]
async fn a_failed_start_is_reported_as_such() {
    let (_scratch, binary) = bootstrap();
    let function = LambdaFunction::start(&binary, [("BROKEN", "1")]);
    assert_eq!(
        function.invoke(json!({}), SECOND).await.expect_err("broken").error_type,
        "Broken"
    );
}
