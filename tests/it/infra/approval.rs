//! A restore is approved by others than those who ask for it, and no input says otherwise.

use serde_json::json;

use super::permissions::{may, statements};
use super::template::{Template, list, texts};

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let statements = statements(template);
    let consent = |machine: &str| {
        let given = &template.resource(machine)["Properties"]["DefinitionSubstitutions"]["ConsentInInput"];
        texts(given)
    };
    let allowed = template.at("/Parameters/AllowConsentInInput");
    if consent("RestoreMachine") != ["${AllowConsentInInput}"] || allowed["Default"] != "false" {
        findings.push("RestoreMachine: an input approves itself".to_owned());
    }
    if consent("ApprovedMachine") != ["true"] {
        findings.push("ApprovedMachine: asks for what was approved".to_owned());
    }
    if template.resource("Runbook")["Condition"] != "HasApprovers" {
        findings.push("Runbook: is there where nobody can approve".to_owned());
    }
    // Only the runbook starts what asks nobody any more.
    let mut owners: Vec<&str> = statements.iter().map(|statement| statement.owner.as_str()).collect();
    owners.dedup();
    for owner in owners {
        let starts = may(&statements, owner, "states:StartExecution", "${ApprovedMachine}");
        if starts != (owner == "RunbookRole") {
            findings.push(format!("{owner}: starts what was approved, or cannot: {starts}"));
        }
        let answers = ["states:SendTaskSuccess", "ssm:SendAutomationSignal"];
        let answers = answers.iter().any(|action| {
            statements
                .iter()
                .any(|one| one.owner == owner && one.allows && one.actions.iter().any(|known| known == action))
        });
        if answers != (owner == "Approver") {
            findings.push(format!("{owner}: approves, or cannot: {answers}"));
        }
    }
    for (owner, machines) in [
        (
            "Operator",
            &["${BackupMachine}", "${RestoreMachine}", "${DrillMachine}"][..],
        ),
        ("Approver", &[]),
        ("Auditor", &[]),
    ] {
        for machine in [
            "${BackupMachine}",
            "${RestoreMachine}",
            "${DrillMachine}",
            "${WatchMachine}",
        ] {
            let starts = may(&statements, owner, "states:StartExecution", machine);
            if starts != machines.contains(&machine) {
                findings.push(format!("{owner}: starts {machine}: {starts}"));
            }
        }
        let invokes = statements
            .iter()
            .any(|one| one.owner == owner && one.actions.iter().any(|action| action.starts_with("lambda:")));
        if invokes {
            findings.push(format!("{owner}: calls a function past its state machine"));
        }
        for archive in ["mongodb/backup_20261121_020000.tar.zst", "mongodb/pre-restore/a.tar"] {
            let archive = format!("arn:aws:s3:::archives/{archive}");
            for action in ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] {
                if may(&statements, owner, action, &archive) {
                    findings.push(format!("{owner}: {action} of archives"));
                }
            }
        }
        let outputs = template.at("/Outputs").as_object().into_iter().flatten();
        if !outputs
            .into_iter()
            .any(|(_, output)| output["Value"] == json!({"Ref": owner}))
        {
            findings.push(format!("{owner}: nobody finds it"));
        }
    }
    let passed: Vec<String> = statements
        .iter()
        .filter(|one| one.actions.iter().any(|action| action == "iam:PassRole"))
        .flat_map(|one| {
            list(&one.raw["Resource"])
                .into_iter()
                .flat_map(texts)
                .collect::<Vec<_>>()
        })
        .collect();
    if passed != ["${RunbookRole.Arn}"] {
        findings.push(format!("roles that can be passed on: {passed:?}"));
    }
    findings
}
