//! Versions of the functions: what is called, how a new one takes over, and how one goes back.

use serde_json::{Value, json};

use super::permissions::statements;
use super::template::{Template, list, texts};

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, function) in template.workers() {
        let properties = &function["Properties"];
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                findings.push(format!("{name}: {what}"));
            }
        };
        expect(properties["AutoPublishAlias"] == "live", "no alias");
        // By the contents SAM sees no parameter change: it would stay with what was.
        expect(
            properties["AutoPublishCodeSha256"]["Ref"] == "Release"
                && properties.get("AutoPublishAliasAllProperties").is_none(),
            "a release is no version",
        );
        expect(properties["PropagateTags"] == true, "what is made of it has no tag");
        let deployment = &properties["DeploymentPreference"];
        expect(
            deployment["Enabled"] == json!({"Fn::FindInMap": ["Deployments", {"Ref": "Deployment"}, "Gradual"]})
                && deployment["Type"]["Ref"] == "Deployment",
            "a new version does not take over as was asked for",
        );
        expect(
            deployment["PassthroughCondition"] == true,
            "its deployments are there without it",
        );
        expect(
            texts(&deployment["Role"]) == ["${DeploymentRole.Arn}"],
            "CodeDeploy has a role without the boundary",
        );
        let alarms: Vec<&str> = list(&deployment["Alarms"])
            .iter()
            .filter_map(|alarm| alarm["Ref"].as_str())
            .collect();
        let stops = |alarm: &&str| {
            let alarm = template.resource(alarm);
            // One of a state machine would be made after it, and it after the alias, which is made after the alarm.
            alarm["Type"] == "AWS::CloudWatch::Alarm"
                && alarm["Properties"]["Namespace"] == "mongotar"
                && alarm.get("Condition").is_none()
        };
        expect(alarms.len() == 2 && alarms.iter().all(stops), "nothing has it go back");
        expect(
            texts(&properties["CodeSigningConfigArn"]) == ["${CodeSigningConfigArn}"],
            "nobody asks for a signature",
        );

        let latest = template.resource(&name.replace("Function", "Latest"));
        let (own, of_latest) = (&properties["EventInvokeConfig"], &latest["Properties"]);
        let destination = |of: &Value, end: &str| texts(&of["DestinationConfig"][end]["Destination"]);
        expect(
            latest["Type"] == "AWS::Lambda::EventInvokeConfig"
                && latest["Condition"] == function["Condition"]
                && of_latest["Qualifier"] == "$LATEST"
                && ["MaximumRetryAttempts", "MaximumEventAgeInSeconds"]
                    .iter()
                    .all(|field| own[*field] == of_latest[*field])
                && ["OnFailure", "OnSuccess"]
                    .iter()
                    .all(|end| destination(own, end) == destination(of_latest, end)),
            "who leaves the alias out is told nothing",
        );
        // Who calls it calls the version, where there are versions.
        let called =
            json!({"Fn::If": ["HasVersions", {"Ref": format!("{name}.Alias")}, {"Fn::GetAtt": [name, "Arn"]}]});
        let machines = template.of_type("AWS::Serverless::StateMachine");
        for (machine, found) in machines {
            for (field, given) in found["Properties"]["DefinitionSubstitutions"]
                .as_object()
                .into_iter()
                .flatten()
            {
                let speaks = given.to_string().contains(&format!("\"{name}\""));
                if speaks && !given.to_string().contains(&called.to_string()) {
                    findings.push(format!("{machine}: {field} is called past its versions"));
                }
            }
        }
    }
    let gradual = template.at("/Mappings/Deployments");
    let allowed = list(template.at("/Parameters/Deployment/AllowedValues"));
    let by_code_deploy = |kind: &str| match kind.starts_with("Canary") || kind.starts_with("Linear") {
        true => "true",
        false => "false",
    };
    let known = allowed.iter().filter_map(|kind| kind.as_str());
    let fits = known
        .clone()
        .all(|kind| gradual[kind]["Gradual"] == by_code_deploy(kind))
        && template.at("/Parameters/Deployment/Default") == "NoVersions"
        && known.count() == gradual.as_object().map_or(0, serde_json::Map::len);
    if !fits {
        findings.push("Deployments: SAM knows not all of them".to_owned());
    }
    let shifting =
        |statement: &&super::permissions::Statement| statement.actions.iter().any(|one| one == "lambda:UpdateAlias");
    for statement in statements(template).iter().filter(shifting) {
        if !statement.resources.iter().all(|alias| alias.ends_with(":live")) {
            findings.push(format!("{}: changes more than aliases", statement.owner));
        }
    }
    findings
}
