//! The project's own state machines, as `infra/statemachines/` defines them.

use super::StepFunctions;
use super::topic::Topic;
use std::path::Path;

/// The three state machines around one pair of functions and a topic.
#[derive(Debug)]
pub struct StateMachines {
    /// Their ARNs.
    pub backup: String,
    pub restore: String,
    pub drill: String,
}

impl StateMachines {
    /// The definition of one of them, with its substitutions open.
    pub fn definition(name: &str) -> String {
        let path =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(format!("infra/statemachines/{name}.asl.json"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl StepFunctions {
    /// Creates the state machines for these functions, as `{prefix}-backup` and so on.
    pub async fn state_machines(&self, prefix: &str, backup: &str, restore: &str, topic: &Topic) -> StateMachines {
        let substitutions = [
            ("BackupFunctionArn", backup),
            ("RestoreFunctionArn", restore),
            ("TopicArn", topic.arn()),
        ];
        let [backup, restore, drill] = ["backup", "restore", "drill"].map(|name| async move {
            self.state_machine(
                &format!("{prefix}-{name}"),
                &StateMachines::definition(name),
                &substitutions,
            )
            .await
        });
        StateMachines {
            backup: backup.await,
            restore: restore.await,
            drill: drill.await,
        }
    }
}
