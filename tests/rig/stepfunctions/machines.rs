//! The project's own state machines, as `infra/statemachines/` defines them.

use super::StepFunctions;
use super::topic::Topic;
use std::path::Path;

/// The state machines around one pair of functions and a topic.
#[derive(Debug)]
pub struct StateMachines {
    /// Their ARNs.
    pub backup: String,
    pub restore: String,
    /// The same where consent in the input counts.
    pub approved: String,
    pub drill: String,
    pub watch: String,
    pub increment: String,
    pub unfinished: String,
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
    /// Creates the state machines for these functions, as `{prefix}-backup` and so on, of a stack of that name that
    /// backs up the database `shop` into `s3://b/`.
    pub async fn state_machines(&self, prefix: &str, backup: &str, restore: &str, topic: &Topic) -> StateMachines {
        let substitutions = [
            ("BackupFunctionArn", backup),
            ("RestoreFunctionArn", restore),
            ("DrillFunctionArn", backup),
            ("TopicArn", topic.arn()),
            ("StackName", prefix),
            ("Databases", "shop"),
            ("Destination", "s3://b/"),
            ("BackupConcurrency", "0"),
            ("RestoreConcurrency", "0"),
        ];
        let create = async |name: &str, more: &[(&str, &str)]| {
            let definition = StateMachines::definition(name);
            let substitutions = [&substitutions[..], more].concat();
            let ending = if more.contains(&("ConsentInInput", "true")) {
                "-approved"
            } else {
                ""
            };
            self.state_machine(&format!("{prefix}-{name}{ending}"), &definition, &substitutions)
                .await
        };
        let backup = create("backup", &[]).await;
        StateMachines {
            restore: create("restore", &[("ConsentInInput", "false")]).await,
            approved: create("restore", &[("ConsentInInput", "true")]).await,
            drill: create("drill", &[]).await,
            watch: create("watch", &[("BackupMachineArn", &backup)]).await,
            increment: create("increment", &[("BackupMachineArn", &backup)]).await,
            unfinished: create("unfinished", &[]).await,
            backup,
        }
    }
}
