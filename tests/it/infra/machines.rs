//! The state machines: logs, roles, and that template and definition speak of the same substitutions.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::permissions::statements;
use super::template::{Template, file, texts};

const MACHINE: &str = "AWS::Serverless::StateMachine";

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let statements = statements(template);
    for (name, machine) in template.of_type(MACHINE) {
        let properties = &machine["Properties"];
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                findings.push(format!("{name}: {what}"));
            }
        };
        let logging = &properties["Logging"];
        expect(matches!(logging["Level"].as_str(), Some("ERROR" | "ALL")), "no logs");
        let destination = &logging["Destinations"][0]["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0];
        let log = template.resource(destination.as_str().unwrap_or_default());
        expect(log["Type"] == "AWS::Logs::LogGroup", "no log group of this template");
        expect(
            log["Properties"]["LogGroupName"]["Fn::Sub"]
                .as_str()
                .is_some_and(|group| group.starts_with("/aws/vendedlogs/")),
            "its log group counts against the limit of resource policies",
        );
        expect(properties["Tracing"]["Enabled"] == true, "no traces");
        expect(
            properties["Type"] == "STANDARD",
            "not STANDARD: it would end after five minutes",
        );

        // Not every cloud makes a text of a number there, and LocalStack makes a number of a text that consists of one
        // parameter.
        for (substitution, value) in properties["DefinitionSubstitutions"].as_object().into_iter().flatten() {
            let alone = value["Fn::Sub"]
                .as_str()
                .and_then(|text| text.strip_prefix("${")?.strip_suffix('}'));
            let parameter = value["Ref"].as_str().or(alone).unwrap_or_default();
            expect(
                !value.is_number() && template.at(&format!("/Parameters/{parameter}/Type")) != "Number",
                &format!("{substitution} is a number, and no text"),
            );
        }

        // It may call just what it is given, and tell just the topic.
        let role = properties["Role"]["Fn::GetAtt"][0].as_str().unwrap_or_default();
        let resources_of = |action: &str| -> BTreeSet<String> {
            let speaking = statements.iter().filter(|statement| {
                statement.owner == role && statement.allows && statement.actions.iter().any(|known| known == action)
            });
            speaking.flat_map(|statement| statement.resources.clone()).collect()
        };
        let given = |ending: &str| -> BTreeSet<String> {
            let substitutions = properties["DefinitionSubstitutions"].as_object();
            let named = substitutions
                .into_iter()
                .flatten()
                .filter(|(name, _)| name.ends_with(ending));
            named.flat_map(|(_, value)| texts(value)).collect()
        };
        expect(
            resources_of("lambda:InvokeFunction") == given("FunctionArn"),
            "may invoke other functions than it is given",
        );
        expect(
            resources_of("sns:Publish") == given("TopicArn"),
            "may publish to other topics than it is given",
        );
    }
    let names: Vec<&str> = template.of_type(MACHINE).map(|(name, _)| name).collect();
    if names
        != [
            "ApprovedMachine",
            "BackupMachine",
            "DrillMachine",
            "IncrementMachine",
            "RestoreMachine",
            "UnfinishedMachine",
            "WatchMachine",
        ]
    {
        findings.push(format!("the state machines are {names:?}"));
    }
    findings
}

/// What does not fit between the template and the definitions that it names.
pub fn definition_findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, machine) in template.of_type(MACHINE) {
        let uri = machine["Properties"]["DefinitionUri"].as_str().unwrap_or_default();
        let given = machine["Properties"]["DefinitionSubstitutions"].as_object();
        let given: BTreeSet<&str> = given.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        match fs::read_to_string(file(uri)) {
            Ok(definition) => findings.extend(
                misfits(&definition, &given)
                    .into_iter()
                    .map(|misfit| format!("{name}: {misfit}")),
            ),
            Err(error) => findings.push(format!("{name}: {uri}: {error}")),
        }
    }
    findings
}

fn misfits(definition: &str, given: &BTreeSet<&str>) -> Vec<String> {
    if let Err(error) = serde_json::from_str::<Value>(definition) {
        return vec![format!("the definition is no JSON: {error}")];
    }
    let used: BTreeSet<&str> = definition
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .collect();
    let unused = given
        .difference(&used)
        .map(|name| format!("{name} is given and not used"));
    let missing = used
        .difference(given)
        .map(|name| format!("{name} is used and not given"));
    unused.chain(missing).collect()
}

#[test]
fn a_substitution_that_is_given_in_vain_or_missing_is_found() {
    let given = BTreeSet::from(["RestoreFunctionArn", "TopicArn"]);
    let both = r#"{"a": "${RestoreFunctionArn}", "b": "${TopicArn}"}"#;
    assert_eq!(misfits(both, &given), Vec::<String>::new());
    assert_eq!(
        misfits(r#"{"b": "${TopicArn}"}"#, &given),
        ["RestoreFunctionArn is given and not used"]
    );
    let more = both.replace("\"a\"", "\"${BackupFunctionArn}\"");
    assert_eq!(misfits(&more, &given), ["BackupFunctionArn is used and not given"]);
    assert!(misfits("{", &given)[0].starts_with("the definition is no JSON"));
}
