//! The schedules: what they start, with what, and that the input says which run it is.

use serde_json::Value;

use super::permissions::{may, statements};
use super::template::{Template, texts};

/// How the name of the bucket with the copies is made of its ARN.
const COPIES: &str = r#"{"Fn::Select":[5,{"Fn::Split":[":",{"Fn::Sub":"${SecondBucketArn}:::::"}]}]}"#;

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let statements = statements(template);
    for (name, machine, condition, fields) in [
        (
            "BackupEvery",
            "${BackupMachine}",
            "BackupIsScheduled",
            &["database", "destination", "lanes", "retention", "run"][..],
        ),
        (
            "IncrementEvery",
            "${IncrementMachine}",
            "IncrementIsScheduled",
            &["database", "destination", "lanes", "retention", "run"],
        ),
        ("DrillEvery", "${DrillMachine}", "DrillIsScheduled", &["archive", "run"]),
        (
            "CopyDrillEvery",
            "${DrillMachine}",
            "CopyDrillIsScheduled",
            &["archive", "run", "state_to"],
        ),
    ] {
        let schedule = template.resource(name);
        let target = &schedule["Properties"]["Target"];
        let mut expect = |holds: bool, what: String| {
            if !holds {
                findings.push(format!("{name}: {what}"));
            }
        };
        expect(schedule["Condition"] == condition, "is no choice".to_owned());
        expect(texts(&target["Arn"]) == [machine], format!("does not start {machine}"));
        let role = target["RoleArn"]["Fn::GetAtt"][0].as_str().unwrap_or_default();
        expect(
            may(&statements, role, "states:StartExecution", machine),
            "its role may not start it".to_owned(),
        );
        let inputs = texts(&target["Input"]);
        expect(!inputs.is_empty(), "no input".to_owned());
        for input in inputs {
            // A number is no text in JSON; what stands for it here is none.
            let plain = input.replace("${Lanes}", "4").replace(COPIES, "copies");
            let Ok(input) = serde_json::from_str::<Value>(&plain) else {
                expect(false, format!("the input is no JSON: {input}"));
                continue;
            };
            let found: Vec<&str> = input
                .as_object()
                .into_iter()
                .flatten()
                .map(|(field, _)| field.as_str())
                .collect();
            expect(found == fields, format!("the input has the fields {found:?}"));
            // Two that are due at the same time keep their state in the same folder.
            let id = match name {
                "CopyDrillEvery" => "<aws.scheduler.scheduled-time>/copies",
                _ => "<aws.scheduler.scheduled-time>",
            };
            expect(
                input["run"]["id"] == id,
                "the run has another id for each attempt: delivered twice it is two archives".to_owned(),
            );
            expect(
                input["run"]["time"] == "<aws.scheduler.scheduled-time>",
                "the run has not the time that was scheduled: delivered twice it is two archives".to_owned(),
            );
        }
    }
    let compacts = template.resource("CompactEvery");
    let target = &compacts["Properties"]["Target"];
    let role = target["RoleArn"]["Fn::GetAtt"][0].as_str().unwrap_or_default();
    let input = texts(&target["Input"]);
    let asks = input
        .iter()
        .filter_map(|input| serde_json::from_str::<Value>(input).ok());
    let compacts = compacts["Condition"] == "Compacts"
        && texts(&target["Arn"]) == ["${CompactFunction.Arn}"]
        && may(&statements, role, "lambda:InvokeFunction", "${CompactFunction.Arn}")
        && asks.map(|input| input["action"].clone()).eq(["compact"]);
    if !compacts {
        findings.push("CompactEvery: makes no full archives of chains".to_owned());
    }
    // Schedules have metrics by their group only.
    for (name, schedule) in template.of_type("AWS::Scheduler::Schedule") {
        if schedule["Properties"]["GroupName"]["Ref"] != "Schedules" {
            findings.push(format!("{name}: what it drops is told of no stack"));
        }
    }
    let watch = template.resource("WatchEvery");
    let role = watch["Properties"]["Target"]["RoleArn"]["Fn::GetAtt"][0].as_str();
    let watches = watch["Condition"] == "AnyScheduled"
        && watch["Properties"]["ScheduleExpression"] == "rate(1 hour)"
        && texts(&watch["Properties"]["Target"]["Arn"]) == ["${WatchMachine}"]
        && role.is_some_and(|role| may(&statements, role, "states:StartExecution", "${WatchMachine}"));
    if !watches {
        findings.push("WatchEvery: nobody measures how old the last backup is".to_owned());
    }
    // What nobody reads the answer of goes on all the same.
    let rule = &template.resource("Unfinished")["Properties"];
    let config = &template.resource("BackupFunction")["Properties"]["EventInvokeConfig"]["DestinationConfig"];
    let role = rule["Targets"][0]["RoleArn"]["Fn::GetAtt"][0].as_str();
    let goes_on = rule["EventPattern"]["detail"]["responsePayload"]["status"] == serde_json::json!(["continue"])
        && texts(&rule["EventPattern"]["resources"][0]["prefix"]) == ["${BackupFunction.Arn}:"]
        && texts(&rule["Targets"][0]["Arn"]) == ["${BackupMachine}"]
        && role.is_some_and(|role| may(&statements, role, "states:StartExecution", "${BackupMachine}"))
        && texts(&config["OnSuccess"]["Destination"])
            .iter()
            .any(|bus| may(&statements, "BackupRole", "events:PutEvents", bus));
    if !goes_on {
        findings.push("Unfinished: an asynchronous invocation that has to be continued is not".to_owned());
    }
    findings.extend(continued_restores(template));
    let conditions = template.at("/Conditions/DrillIsScheduled").to_string();
    let drills = template.resource("DrillFunction");
    let connection = texts(&drills["Properties"]["Environment"]["Variables"]["MONGO_URI_SECRET"]);
    let of_copies = template.at("/Conditions/CopyDrillIsScheduled").to_string();
    let named = |conditions: &str| conditions.contains("\"OwnDrillSecret\"");
    if !named(&conditions) || !named(&of_copies) || connection != ["${DrillConnectionSecretArn}"] {
        findings.push("DrillEvery: loads a cluster that nobody named for drills".to_owned());
    }
    let databases: Vec<Value> = texts(&template.resource("BackupEvery")["Properties"]["Target"]["Input"])
        .iter()
        .filter_map(|input| serde_json::from_str::<Value>(&input.replace("${Lanes}", "4")).ok())
        .map(|input| input["database"].clone())
        .collect();
    if !(databases.iter().any(Value::is_string) && databases.iter().any(Value::is_array)) {
        findings.push("BackupEvery: one database is a text, several are a list".to_owned());
    }
    findings
}

/// Restores go on with the consent that they were invoked with: only their functions may say so, and only the rule
/// starts what goes on.
fn continued_restores(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let statements = statements(template);
    let rule = &template.resource("UnfinishedRestores")["Properties"];
    let of_the_bus = |name: &str| {
        let config = &template.resource(name)["Properties"];
        let config = config.get("EventInvokeConfig").unwrap_or(config);
        let said = texts(&config["DestinationConfig"]["OnSuccess"]["Destination"]);
        said.iter()
            .all(|bus| bus.ends_with(":event-bus/${AWS::StackName}-unfinished"))
            && said.len() == 1
    };
    let goes_on = rule["EventPattern"]["detail"]["responsePayload"]["status"] == serde_json::json!(["continue"])
        && texts(&rule["EventBusName"]) == ["${UnfinishedBus}"]
        && texts(&rule["Targets"][0]["Arn"]) == ["${UnfinishedMachine}"]
        && ["RestoreFunction", "RestoreLatest", "DrillFunction", "DrillLatest"]
            .into_iter()
            .all(of_the_bus);
    if !goes_on {
        findings.push("UnfinishedRestores: a restore or drill that has to be continued is not".to_owned());
    }
    let policy = &template.resource("UnfinishedBusPolicy")["Properties"]["Statement"];
    let written_by: Vec<String> = super::template::list(&policy["Condition"]["ArnNotEquals"]["aws:PrincipalArn"])
        .into_iter()
        .flat_map(texts)
        .collect();
    let closed = policy["Effect"] == "Deny"
        && policy["Principal"] == "*"
        && policy["Action"] == "events:PutEvents"
        && written_by == ["${RestoreRole.Arn}", "${DrillRole.Arn}"];
    if !closed {
        findings.push("UnfinishedBus: others could continue a restore that nobody approved".to_owned());
    }
    for owner in statements.iter().map(|statement| statement.owner.as_str()) {
        let starts = may(&statements, owner, "states:StartExecution", "${UnfinishedMachine}");
        if starts != (owner == "UnfinishedRole") {
            findings.push(format!("{owner}: continues restores, or cannot: {starts}"));
        }
    }
    findings
}
