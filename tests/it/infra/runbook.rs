//! The Automation runbook: its steps lead somewhere, its references exist, and its scripts, which are run here, hand on
//! exactly what was approved.

use std::process::Command;

use mongotar::restore::RestoreRequest;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::template::{Template, parse, text_of};

const FILE: &str = "infra/runbook/restore.yaml";

fn runbook() -> Value {
    parse(&text_of(FILE))
}

fn steps(runbook: &Value) -> &[Value] {
    runbook["mainSteps"].as_array().expect("a runbook has steps")
}

fn step<'a>(runbook: &'a Value, name: &str) -> &'a Value {
    let found = steps(runbook).iter().find(|step| step["name"] == name);
    found.unwrap_or_else(|| panic!("there is no step {name}"))
}

/// What is wrong with the structure of a runbook.
fn findings(runbook: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    if runbook["schemaVersion"] != "0.3" {
        findings.push("an Automation runbook has the schema 0.3".to_owned());
    }
    let names: Vec<&str> = steps(runbook).iter().filter_map(|step| step["name"].as_str()).collect();
    // What may be referred to: parameters, and what earlier steps put out.
    let parameters = runbook["parameters"].as_object().expect("a runbook has parameters");
    let mut known: Vec<String> = parameters.keys().cloned().collect();
    for (at, step) in steps(runbook).iter().enumerate() {
        let name = names[at];
        for target in [&step["nextStep"], &step["onFailure"]] {
            let target = target.as_str().map_or("", |target| target.trim_start_matches("step:"));
            let word = ["", "Abort", "Continue"].contains(&target);
            if !word && names.iter().position(|name| *name == target).is_none_or(|to| to <= at) {
                findings.push(format!("{name}: leads to {target}, which does not come later"));
            }
        }
        if step["onFailure"].is_null() || step["timeoutSeconds"].is_null() {
            findings.push(format!(
                "{name}: does not say how long it may take, or what happens if it fails"
            ));
        }
        let ends = step["isEnd"] == true;
        if ends == step["nextStep"].is_string() {
            findings.push(format!("{name}: leads nowhere, or has an end and goes on"));
        }
        for reference in references(&step["inputs"]) {
            if !known.contains(&reference) {
                findings.push(format!("{name}: {reference} is not known by then"));
            }
        }
        known.extend(outputs(name, step));
    }
    for output in runbook["outputs"].as_array().into_iter().flatten() {
        if !known.iter().any(|known| output == known.as_str()) {
            findings.push(format!("the output {output} is none of a step"));
        }
    }
    if runbook["assumeRole"] != json!({"Fn::GetAtt": ["RunbookRole", "Arn"]}) {
        findings.push("whoever starts it chooses its role".to_owned());
    }
    for step in steps(runbook) {
        let (action, inputs) = (step["action"].as_str().unwrap_or_default(), &step["inputs"]);
        if action == "aws:approve" && inputs["Approvers"] != json!({"Ref": "Approvers"}) {
            findings.push("whoever starts it chooses who approves".to_owned());
        }
        // What was approved is restored by the machine that nobody else may start.
        let machine = match step["name"] == "Restore" {
            true => "ApprovedMachine",
            false => "RestoreMachine",
        };
        if action == "aws:executeStateMachine" && inputs["stateMachineArn"]["Ref"] != machine {
            findings.push(format!("{}: starts another machine than {machine}", step["name"]));
        }
    }
    findings
}

fn outputs(name: &str, step: &Value) -> Vec<String> {
    let built_in: &[&str] = match step["action"].as_str() {
        Some("aws:executeStateMachine") => &["executionArn", "output", "status"],
        _ => &[],
    };
    let own = step["outputs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|output| output["Name"].as_str());
    built_in
        .iter()
        .copied()
        .chain(own)
        .map(|output| format!("{name}.{output}"))
        .collect()
}

/// What stands between `{{` and `}}`.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let parts = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
            parts.map(|(name, _)| name.trim().to_owned()).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(fields) => fields.values().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Runs a step's script as Automation does; `Err` is what it raised.
fn run(step: &Value, payload: &Value) -> Result<Value, String> {
    let inputs = &step["inputs"];
    let (script, handler) = (inputs["Script"].as_str(), inputs["Handler"].as_str());
    let program = format!(
        "{}\nimport json, sys\nprint(json.dumps({}(json.loads(sys.argv[1]), None)))",
        script.expect("a script"),
        handler.expect("a handler")
    );
    let ran = Command::new("python3")
        .args(["-c", &program, &payload.to_string()])
        .output();
    let ran = ran.expect("python3 is there, as for the rig");
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
    }
    let said: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    // What a later step takes must be there.
    for output in step["outputs"].as_array().into_iter().flatten() {
        let selector = output["Selector"]
            .as_str()
            .and_then(|path| path.strip_prefix("$.Payload."));
        assert!(said[selector.expect("a selector")].is_string(), "{output}: {said}");
    }
    Ok(said)
}

fn text_as_json(value: &Value) -> Value {
    serde_json::from_str(value.as_str().expect("a text")).expect("JSON in a text")
}

#[test]
fn the_steps_of_the_runbook_lead_somewhere_and_know_what_they_refer_to() {
    assert_eq!(findings(&runbook()), Vec::<String>::new());
    let actions: Vec<&str> = steps(&runbook())
        .iter()
        .filter_map(|step| step["action"].as_str())
        .map(|action| match action {
            "aws:executeStateMachine" => "machine",
            "aws:approve" => "approve",
            "aws:executeScript" => "script",
            other => panic!("an action that nobody looked at: {other}"),
        })
        .collect();
    assert_eq!(actions, ["script", "machine", "script", "approve", "machine", "script"]);
}

#[test]
fn a_runbook_that_leads_nowhere_is_found() {
    let text = text_of(FILE);
    for (from, to, finding) in [
        ("nextStep: Approve", "nextStep: Aprove", "leads to Aprove"),
        ("nextStep: Approve", "nextStep: Ask", "leads to Ask"),
        ("onFailure: Abort", "onFailure: step:Undo", "leads to Undo"),
        ("    nextStep: Approve\n", "", "leads nowhere"),
        (
            "'{{ ReadPlan.Restore }}'",
            "'{{ ReadPlan.Restored }}'",
            "ReadPlan.Restored is not known",
        ),
        (
            "'{{ Ask.DryRun }}'",
            "'{{ ReadPlan.Restore }}'",
            "ReadPlan.Restore is not known by then",
        ),
        ("- Verify.Status", "- Verify.Verdict", "is none of a step"),
        (
            "assumeRole: {'Fn::GetAtt': [RunbookRole, Arn]}",
            "assumeRole: '{{ Role }}'",
            "whoever starts it chooses its role",
        ),
        (
            "Approvers: {Ref: Approvers}",
            "Approvers: '{{ Include }}'",
            "whoever starts it chooses who approves",
        ),
        (
            "stateMachineArn: {Ref: RestoreMachine}",
            "stateMachineArn: {Ref: ApprovedMachine}",
            "starts another machine than RestoreMachine",
        ),
        ("'0.3'", "'2.2'", "schema"),
        ("    timeoutSeconds: 86400\n", "", "how long"),
    ] {
        assert!(text.contains(from), "the runbook has no {from:?}: correct this test");
        let found = findings(&parse(&text.replacen(from, to, 1)));
        assert!(
            found.iter().any(|found| found.contains(finding)),
            "{from:?} became {to:?}: {found:?}"
        );
    }
}

#[test]
fn what_is_restored_is_the_plan_that_was_approved() {
    let runbook = runbook();
    // Automation may hand a Boolean over as text, and an empty list with one empty text in it.
    let asked = json!({"archive": "s3://b/nightly/", "database": "shop", "include": ["orders", ""], "replace_existing": "true", "keep_extra": false});
    let said = run(step(&runbook, "Ask"), &asked).expect("a request");
    let dry_run = json!({
        "archive": {"latest": "s3://b/nightly/"}, "database": "shop", "include": ["orders"],
        "replace_existing": true, "keep_extra": false, "dry_run": true
    });
    assert_eq!(text_as_json(&said["dry_run"]), dry_run);
    RestoreRequest::deserialize(&dry_run).expect("the restore function takes it");
    assert_eq!(step(&runbook, "Plan")["inputs"]["input"], "{{ Ask.DryRun }}");

    let plan = json!({"status": "planned", "confirm": "c0ffee", "summary": "Restore it.", "archive": "s3://b/nightly/backup_20261121_020000.tar.zst", "drops": "tmp"});
    let read = step(&runbook, "ReadPlan");
    assert_eq!(read["inputs"]["InputPayload"]["output"], "{{ Plan.output }}");
    assert_eq!(read["inputs"]["InputPayload"]["request"], "{{ Ask.Request }}");
    // The output of an execution is JSON in a text; Automation may have read it already.
    for output in [json!(plan.to_string()), plan] {
        let found = run(read, &json!({"request": said["request"], "output": output})).expect("a plan");
        assert_eq!(found["confirm"], "c0ffee");
        assert_eq!(found["summary"], "Restore it. It drops: tmp");
        let restore = json!({
            "archive": "s3://b/nightly/backup_20261121_020000.tar.zst", "database": "shop", "include": ["orders"],
            "replace_existing": true, "keep_extra": false, "confirm": "c0ffee"
        });
        assert_eq!(text_as_json(&found["restore"]), restore);
    }
    assert_eq!(step(&runbook, "Approve")["inputs"]["Message"], "{{ ReadPlan.Summary }}");
    assert_eq!(step(&runbook, "Restore")["inputs"]["input"], "{{ ReadPlan.Restore }}");
}

#[test]
fn without_a_plan_there_is_nothing_to_approve() {
    let runbook = runbook();
    for output in [
        json!({"status": "failed", "summary": "no"}),
        json!({"status": "planned", "summary": "no consent to it"}),
    ] {
        let refused = run(step(&runbook, "ReadPlan"), &json!({"request": "{}", "output": output}));
        assert!(refused.expect_err("no plan").contains("there is no plan to approve"));
    }
}

#[test]
fn only_a_restore_that_is_complete_and_equal_passes() {
    let runbook = runbook();
    let verify = step(&runbook, "Verify");
    assert_eq!(verify["inputs"]["InputPayload"]["output"], "{{ Restore.output }}");
    let complete =
        json!({"status": "complete", "equal": true, "summary": "All of it.", "snapshot": "s3://b/pre-restore/x"});
    let said = run(verify, &json!({"output": complete.to_string()})).expect("it passes");
    assert_eq!(
        said,
        json!({"status": "complete", "summary": "All of it.", "snapshot": "s3://b/pre-restore/x"})
    );
    for (field, value) in [
        ("status", json!("partial")),
        ("equal", json!(false)),
        ("equal", Value::Null),
    ] {
        let mut report = complete.clone();
        report[field] = value;
        let refused = run(verify, &json!({"output": report.to_string()}));
        assert!(refused.expect_err("not proven").contains("the restore is not proven"));
    }
}

#[test]
fn the_template_deploys_the_runbook_with_what_it_refers_to() {
    let template = Template::real();
    let content = &template.resource("Runbook")["Properties"]["Content"]["Fn::Transform"];
    assert_eq!(
        content,
        &json!({"Name": "AWS::Include", "Parameters": {"Location": FILE}})
    );
    let text = text_of(FILE);
    // An included file is no place for short forms.
    assert!(
        !text.contains(": !") && !text.contains("- !"),
        "AWS::Include knows no short forms"
    );
    let runbook = runbook();
    for (name, machine) in [("Plan", "RestoreMachine"), ("Restore", "ApprovedMachine")] {
        assert_eq!(step(&runbook, name)["inputs"]["stateMachineArn"]["Ref"], machine);
        assert_eq!(template.resource(machine)["Type"], "AWS::Serverless::StateMachine");
    }
    assert_eq!(
        step(&runbook, "Approve")["inputs"]["NotificationArn"],
        json!({"Fn::GetAtt": ["TheTopic", "Value"]})
    );
    assert_eq!(template.at("/Parameters/Approvers/Type"), "CommaDelimitedList");
    assert_eq!(template.resource("RunbookRole")["Type"], "AWS::IAM::Role");
}
