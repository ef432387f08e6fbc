//! The state machines of `infra/statemachines/`, executed by a local engine: each branch with functions whose answers
//! are scripted, and the main ways with the real functions, a real database and a real S3.

mod backup;
mod definitions;
mod drill;
mod increment;
mod lanes;
mod loads;
mod local;
mod many;
mod real;

mod restore;
mod thrift;
mod undo;
mod unfinished;
mod watch;

use serde_json::{Value, json};

use crate::rig::{self, Ended, Scripted, StateMachines, StepFunctions, Topic};

/// What a scripted function answers: a value, or an error's type and message.
pub type Answered = Result<Value, (&'static str, &'static str)>;

/// The state machines around two scripted functions.
pub struct Stage {
    pub engine: &'static StepFunctions,
    pub backup: Scripted,
    pub restore: Scripted,
    pub topic: Topic,
    pub machines: StateMachines,
    /// The name of the stack.
    pub stack: String,
}

/// A stage. Each function is asked with the event and with how many events of the same action it has had before.
pub async fn stage(
    backup: impl Fn(&Value, usize) -> Answered + Send + Sync + 'static,
    restore: impl Fn(&Value, usize) -> Answered + Send + Sync + 'static,
) -> Stage {
    let engine = rig::shared_step_functions();
    let backup = engine.scripted(&rig::unique_name("backup"), counted(backup)).await;
    let restore = engine.scripted(&rig::unique_name("restore"), counted(restore)).await;
    let topic = engine.topic(&rig::unique_name("mongotar")).await;
    let stack = rig::unique_name("mongotar");
    let machines = engine.state_machines(&stack, backup.arn(), restore.arn(), &topic).await;
    Stage {
        engine,
        backup,
        restore,
        topic,
        machines,
        stack,
    }
}

/// A stage on which the backup function is never asked.
pub async fn stage_of_restore(restore: impl Fn(&Value, usize) -> Answered + Send + Sync + 'static) -> Stage {
    stage(|event, _| panic!("the backup function is asked: {event}"), restore).await
}

/// Counts by what makes two events the same call again.
fn counted(
    answers: impl Fn(&Value, usize) -> Answered + Send + Sync + 'static,
) -> impl Fn(&Value, usize) -> Answered + Send + Sync + 'static {
    let before = std::sync::Mutex::new(std::collections::HashMap::<String, usize>::new());
    move |event, _| {
        let key = ["action", "database", "lane", "load", "dry_run"].map(|field| event[field].to_string());
        let mut before = before.lock().expect("no answer panics with it");
        let count = before.entry(key.join(" ")).or_default();
        let number = *count;
        *count += 1;
        drop(before);
        answers(event, number)
    }
}

impl Stage {
    /// Runs a state machine to its end.
    pub async fn run(&self, machine: &str, input: Value) -> Ended {
        self.engine.execute(machine, input).await.ended().await
    }
}

/// The actions of events, in their order; `restore` or `plan` of a restore by whether it was a dry run.
pub fn actions(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| match (&event["action"], &event["dry_run"]) {
            (Value::String(action), _) => action.clone(),
            (_, Value::Bool(true)) => "dry run".to_owned(),
            _ => "restore".to_owned(),
        })
        .collect()
}

/// A run of the test's own, as an input gives it.
pub fn run_of_input() -> Value {
    json!({"id": "nightly", "time": "2026-11-21T02:00:00Z"})
}

/// What a backup function answers at the end.
pub fn backup_report(event: &Value, status: &str) -> Value {
    let database = event["database"].as_str().unwrap_or("shop");
    json!({
        "status": status,
        "archive": format!("s3://b/{database}/backup_20261121_020000.tar.zst"),
        "archive_bytes": 512,
        "database": database,
        "totals": {"documents": 3, "bytes": 300},
        "collections": [{"name": "orders"}],
        "summary": format!("3 documents of {database}, {status}")
    })
}
