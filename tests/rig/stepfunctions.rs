//! Step Functions without AWS: MiniStack runs the real state machines, which call real bootstrap binaries.
//!
//! As on AWS: a function gets its own environment variables, as many environments as there are concurrent invocations,
//! right deadlines, and its end at the timeout; states retry, catch, map and wait for task tokens; a topic tells its
//! subscribers. Unlike on AWS (1.5.33): jitter, `MaxDelaySeconds`, a state machine's own `TimeoutSeconds`, limits of
//! payloads and permissions are ignored, `TimeoutSeconds` must be a plain number, a `Succeed` state ignores `Output`,
//! messages carry no attributes, and much is accepted that AWS refuses: the definitions are tested for that apart.

mod api;
mod execution;
mod function;
mod machines;
mod server;
mod topic;
mod zip;

pub use execution::{Ended, Execution};
pub use function::{Function, Scripted};
pub use machines::StateMachines;
pub use topic::{Notification, Topic};

use super::process::Process;
use super::scratch::ScratchDir;
use api::Api;
use serde_json::json;
use std::sync::OnceLock;

/// The engine that the tests of one process share: keep to functions, topics and state machines of your own. It
/// shortens what states wait.
pub fn shared_step_functions() -> &'static StepFunctions {
    static SHARED: OnceLock<StepFunctions> = OnceLock::new();
    SHARED.get_or_init(|| StepFunctions::start(Waits::Shortened))
}

/// How long `Wait` states and the pauses before retries last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// What the definition says.
    AsWritten,
    /// A thousandth of it.
    Shortened,
}

/// A running MiniStack on 127.0.0.1. It, its functions and its data are gone when this drops, or when this process
/// ends.
#[derive(Debug)]
pub struct StepFunctions {
    server: Option<Server>,
    api: Api,
}

#[derive(Debug)]
struct Server {
    process: Process, // before `scratch`: it must be dead when its directory goes
    scratch: ScratchDir,
}

impl StepFunctions {
    /// One that somebody else has started, by its endpoint.
    pub fn at(endpoint: &str) -> StepFunctions {
        StepFunctions {
            server: None,
            api: Api::new(endpoint),
        }
    }

    /// `http://127.0.0.1:PORT`: the endpoint of Step Functions, Lambda, SNS and SQS.
    pub fn endpoint(&self) -> String {
        self.api.endpoint()
    }

    /// Creates a state machine; every `${Name}` in its definition is replaced. Gives its ARN.
    pub async fn state_machine(&self, name: &str, definition: &str, substitutions: &[(&str, &str)]) -> String {
        let mut definition = definition.to_owned();
        for (name, value) in substitutions.iter().chain(&[("Partition", "aws")]) {
            definition = definition.replace(&format!("${{{name}}}"), value);
        }
        assert!(
            !definition.contains("${"),
            "{name} has a substitution that nobody gives a value: {definition}"
        );
        let created = self.api.states(
            "CreateStateMachine",
            json!({"name": name, "definition": definition, "roleArn": "arn:aws:iam::000000000000:role/rig"}),
        );
        let arn = created.await["stateMachineArn"].clone();
        arn.as_str().expect("a created state machine has an ARN").to_owned()
    }

    /// Starts an execution.
    pub async fn execute(&self, state_machine: &str, input: serde_json::Value) -> Execution {
        let started = self.api.states(
            "StartExecution",
            json!({"stateMachineArn": state_machine, "input": input.to_string()}),
        );
        Execution::new(self.api.clone(), &started.await)
    }

    /// Writes a metric of the namespace `mongotar` as of a time, as a function's log would.
    pub async fn measured(&self, metric: &str, dimensions: &[(&str, &str)], time: &str, value: f64) {
        let value = value.to_string();
        let first = "MetricData.member.1";
        let mut fields = vec![
            ("Action".to_owned(), "PutMetricData"),
            ("Namespace".to_owned(), "mongotar"),
            (format!("{first}.MetricName"), metric),
            (format!("{first}.Timestamp"), time),
            (format!("{first}.Value"), &value),
        ];
        for (at, (name, value)) in (1..).zip(dimensions) {
            fields.push((format!("{first}.Dimensions.member.{at}.Name"), name));
            fields.push((format!("{first}.Dimensions.member.{at}.Value"), value));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.api.query("monitoring", &fields).await;
    }

    /// The values of a metric of a stack, which has no other dimension, as of a day in the past up to one to come.
    pub async fn metric(&self, metric: &str, stack: &str) -> Vec<f64> {
        let fields = [
            ("Action", "GetMetricStatistics"),
            ("Namespace", "mongotar"),
            ("MetricName", metric),
            ("Dimensions.member.1.Name", "Stack"),
            ("Dimensions.member.1.Value", stack),
            ("StartTime", "2020-01-01T00:00:00Z"),
            ("EndTime", "2100-01-01T00:00:00Z"),
            ("Period", "1"),
            ("Statistics.member.1", "Maximum"),
        ];
        let answer = self.api.query("monitoring", &fields).await;
        let values = answer.split("<Maximum>").skip(1);
        let values = values.filter_map(|rest| rest.split_once('<')?.0.parse().ok());
        values.collect()
    }

    /// Answers a task that waits for its token.
    pub async fn succeed(&self, token: &str, output: serde_json::Value) {
        let answer = json!({"taskToken": token, "output": output.to_string()});
        self.api.states("SendTaskSuccess", answer).await;
    }
}
