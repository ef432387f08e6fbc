//! One run of a state machine.

use super::api::Api;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// No execution of a test takes a third of it, on a machine that is busy with others.
const LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);

/// An execution under way.
#[derive(Debug)]
pub struct Execution {
    arn: String,
    api: Api,
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `SUCCEEDED` or `FAILED`.
    pub status: String,
    /// What it gave; null where it failed.
    pub output: Value,
    /// The error's name and cause where it failed.
    pub error: String,
    pub cause: String,
    /// The names of the states that were entered, outside of maps.
    pub states: Vec<String>,
}

impl Ended {
    /// The output, where the execution succeeded.
    pub fn succeeded(self) -> Value {
        assert_eq!(self.status, "SUCCEEDED", "{self:?}");
        self.output
    }

    /// The error's name and cause, where the execution failed.
    pub fn failed(self) -> (String, String) {
        assert_eq!(self.status, "FAILED", "{self:?}");
        (self.error, self.cause)
    }
}

impl Execution {
    pub(super) fn new(api: Api, started: &Value) -> Self {
        let arn = started["executionArn"]
            .as_str()
            .expect("a started execution has an ARN");
        Execution {
            arn: arn.to_owned(),
            api,
        }
    }

    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Waits for the end, or panics with the events so far.
    pub async fn ended(&self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        loop {
            let now = self.describe().await;
            let text = |name: &str| now[name].as_str().unwrap_or_default().to_owned();
            if now["status"] != "RUNNING" {
                return Ended {
                    status: text("status"),
                    output: match now["status"] == "SUCCEEDED" {
                        true => serde_json::from_str(&text("output")).expect("an output is JSON"),
                        false => Value::Null,
                    },
                    error: text("error"),
                    cause: text("cause"),
                    states: self.states().await,
                };
            }
            assert!(
                Instant::now() < deadline,
                "{} does not end within {LIMIT:?}; its events: {:#}",
                self.arn,
                self.history().await
            );
            tokio::time::sleep(POLL).await;
        }
    }

    async fn describe(&self) -> Value {
        self.api
            .states("DescribeExecution", json!({"executionArn": self.arn}))
            .await
    }

    /// Everything that happened so far.
    pub async fn history(&self) -> Value {
        let request = json!({"executionArn": self.arn, "maxResults": 1000});
        self.api.states("GetExecutionHistory", request).await["events"].clone()
    }

    async fn states(&self) -> Vec<String> {
        let history = self.history().await;
        let events = history.as_array().into_iter().flatten();
        let names = events.filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str());
        names.map(str::to_owned).collect()
    }
}
