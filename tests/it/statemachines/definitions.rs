//! What the local engine does not check, and AWS does, or nobody would.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::rig::StateMachines;

const NAMES: [&str; 6] = ["backup", "restore", "drill", "watch", "increment", "unfinished"];

/// Errors that another try may not meet again.
const PASSING: [&str; 23] = [
    "Database",
    "Store",
    "CloudWatch.CloudWatchException",
    "CloudWatch.InternalServiceException",
    "CloudWatch.SdkClientException",
    "Sfn.SdkClientException",
    "Sfn.SfnException",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "SNS.InternalErrorException",
    "SNS.KMSThrottlingException",
    "SNS.SdkClientException",
    "SNS.ThrottledException",
    "Sandbox.Timedout",
    "States.Timeout",
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.SdkClientException",
];

/// Every machine of a definition: itself, and those of its maps.
fn machines() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, Value)> = NAMES
        .iter()
        .map(|name| {
            let definition = StateMachines::definition(name);
            let definition = serde_json::from_str(&definition).unwrap_or_else(|error| panic!("{name}: {error}"));
            ((*name).to_owned(), definition)
        })
        .collect();
    while let Some((name, machine)) = open.pop() {
        for (state, definition) in states(&machine) {
            if let Some(inner) = definition.get("ItemProcessor") {
                open.push((format!("{name}/{state}"), inner.clone()));
            }
        }
        found.push((name, machine));
    }
    found
}

fn states(machine: &Value) -> &Map<String, Value> {
    machine["States"].as_object().expect("a machine has states")
}

/// Where a state may lead.
fn exits(state: &Value) -> Vec<&str> {
    let branches = ["Choices", "Catch"].map(|branches| state[branches].as_array().into_iter().flatten());
    let mut exits: Vec<&str> = branches
        .into_iter()
        .flatten()
        .filter_map(|branch| branch["Next"].as_str())
        .collect();
    exits.extend(["Next", "Default"].iter().filter_map(|field| state[*field].as_str()));
    exits
}

#[test]
fn every_state_is_reached_and_leads_somewhere() {
    for (name, machine) in machines() {
        let states = states(&machine);
        let mut open = vec![machine["StartAt"].as_str().expect("a start")];
        let mut reached = BTreeSet::new();
        while let Some(state) = open.pop() {
            if reached.insert(state) {
                let definition = states
                    .get(state)
                    .unwrap_or_else(|| panic!("{name} leads to {state:?}, which is not there"));
                let ends = definition["End"] == true || definition["Type"] == "Fail";
                assert!(
                    ends != (definition["Type"] == "Choice" || definition["Next"].is_string()),
                    "{name}: {state:?}"
                );
                open.extend(exits(definition));
            }
        }
        let all: BTreeSet<&str> = states.keys().map(String::as_str).collect();
        assert_eq!(reached, all, "{name}");
    }
}

/// What a function is told to have died of, when it takes too much.
const DIED: [&str; 3] = ["Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory"];

fn is_repeated(call: &Value, error: &str) -> bool {
    let retries = call["Retry"].as_array().into_iter().flatten();
    retries
        .flat_map(|retry| retry["ErrorEquals"].as_array().into_iter().flatten())
        .any(|one| one == error)
}

/// Whether what killed a call has it asked again with half the memory, before all other errors are caught.
fn goes_on_with_half(call: &Value) -> bool {
    let payload = call["Arguments"]["Payload"].as_str().unwrap_or_default();
    let catches = call["Catch"].as_array().map(Vec::as_slice).unwrap_or_default();
    let at = |wanted: &Value| catches.iter().position(|catch| catch["ErrorEquals"] == *wanted);
    let (died, all) = (at(&Value::from(DIED.to_vec())), at(&serde_json::json!(["States.ALL"])));
    let (Some(died), Some(all)) = (died, all) else {
        return false;
    };
    let caught = catches[died].to_string();
    died < all && payload.contains("less") && caught.contains("memory") && caught.contains("half")
}

/// How often a call is repeated after an error, and whether that goes on for more than an hour.
fn patience(call: &Value, error: &str) -> (u64, bool) {
    let retries = call["Retry"].as_array().into_iter().flatten();
    let by = |retry: &&Value| {
        retry["ErrorEquals"]
            .as_array()
            .is_some_and(|errors| errors.iter().any(|one| one == error))
    };
    let retry = retries.into_iter().find(by).expect("it is repeated");
    let number = |field: &str, without: u64| retry[field].as_u64().unwrap_or(without);
    let (mut pause, mut seconds) = (number("IntervalSeconds", 1), 0);
    for _ in 0..number("MaxAttempts", 3) {
        // Full jitter takes half of a pause, on average.
        seconds += pause / 2;
        pause = (pause * 2).min(number("MaxDelaySeconds", u64::MAX));
    }
    (number("MaxAttempts", 3), seconds > 3_600)
}

#[test]
fn every_call_has_a_limit_and_an_end_and_only_what_may_pass_is_tried_again() {
    let mut calls = 0;
    for (name, machine) in machines() {
        for (state, definition) in states(&machine)
            .iter()
            .filter(|(_, definition)| definition["Type"] == "Task")
        {
            let place = format!("{name}: {state:?}");
            for retry in definition["Retry"].as_array().expect(&place) {
                for error in retry["ErrorEquals"].as_array().expect(&place) {
                    assert!(
                        PASSING.iter().any(|passing| error == passing),
                        "{place} tries {error} again"
                    );
                }
                assert_eq!(
                    (&retry["BackoffRate"], &retry["JitterStrategy"]),
                    (&Value::from(2), &Value::from("FULL")),
                    "{place}"
                );
            }
            let last = definition["Catch"]
                .as_array()
                .and_then(|catch| catch.last())
                .expect(&place);
            assert_eq!(last["ErrorEquals"][0], "States.ALL", "{place}");
            let resource = definition["Resource"].as_str().expect(&place);
            if resource.ends_with(":lambda:invoke") {
                calls += 1;
                assert_eq!(
                    patience(definition, "Lambda.TooManyRequestsException"),
                    (90, true),
                    "{place}"
                );
                // What takes too much memory or time takes as much again: the next try has half of it, unless it holds
                // nothing.
                let holds_nothing = ["Databases", "Abort"].contains(&state.as_str());
                for died in DIED {
                    match holds_nothing {
                        true => assert_eq!(patience(definition, died), (1, false), "{place}"),
                        false => assert!(!is_repeated(definition, died), "{place}"),
                    }
                }
                assert_ne!(holds_nothing, goes_on_with_half(definition), "{place}");
                // A function ends after 900 seconds: what has not answered by then never will.
                assert_eq!(definition["TimeoutSeconds"], 930, "{place}");
            } else if resource.ends_with(".waitForTaskToken") {
                assert!(definition["TimeoutSeconds"].is_u64(), "{place} waits for ever");
            }
        }
    }
    assert!(calls > 10, "the calls were found");
}

#[test]
fn whatever_is_left_open_is_known_to_the_template() {
    for name in NAMES {
        let definition = StateMachines::definition(name);
        let mut open: BTreeSet<&str> = definition
            .split("${")
            .skip(1)
            .map(|rest| rest.split_once('}').expect("a substitution has an end").0)
            .collect();
        let known = [
            "BackupFunctionArn",
            "RestoreFunctionArn",
            "TopicArn",
            "StackName",
            "Partition",
        ];
        for known in known.into_iter().chain([
            "Databases",
            "Destination",
            "BackupMachineArn",
            "ConsentInInput",
            "DrillFunctionArn",
            "BackupConcurrency",
            "RestoreConcurrency",
        ]) {
            open.remove(known);
        }
        assert!(open.is_empty(), "{name}: {open:?}");
        // The local engine ignores what a Succeed state is to give.
        assert!(
            !definition.contains("\"Succeed\""),
            "{name}: a Pass state at the end gives an output everywhere"
        );
    }
}
