//! Alarms and dashboard: every one reaches the topic, and no metric is asked for that nobody writes.

use serde_json::Value;

use super::permissions::statements;
use super::template::{Template, branches, list, texts};

/// What the functions write, in the namespace `mongotar`.
const METRICS: [&str; 12] = [
    "Documents",
    "Bytes",
    "ArchiveBytes",
    "Seconds",
    "FailedCollections",
    "Lanes",
    "SnapshotAgeSeconds",
    "Complete",
    "Partial",
    "Continued",
    "DrillFailed",
    "NearDeadline",
];
/// What is used of AWS's own.
const OF_AWS: [(&str, &[&str]); 2] = [
    ("AWS/Lambda", &["Errors", "Duration"]),
    (
        "AWS/States",
        &["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsSucceeded"],
    ),
];

fn is_written(namespace: &str, metric: &str) -> bool {
    match namespace {
        "mongotar" => METRICS.contains(&metric),
        _ => OF_AWS
            .iter()
            .any(|(known, metrics)| *known == namespace && metrics.contains(&metric)),
    }
}

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        for kind in ["AlarmActions", "OKActions", "InsufficientDataActions"] {
            let told: Vec<String> = list(&properties[kind]).into_iter().flat_map(texts).collect();
            let fits = told == ["${Topic}"] || told.is_empty() && kind != "AlarmActions";
            if !fits {
                findings.push(format!("{name}: {kind} is {told:?}, not the topic"));
            }
        }
        let namespace = properties["Namespace"].as_str().unwrap_or_default();
        let metric = properties["MetricName"].as_str().unwrap_or_default();
        if !is_written(namespace, metric) {
            findings.push(format!("{name}: nobody writes {namespace} {metric}"));
        }
        for dimensions in branches(&properties["Dimensions"]) {
            let names: Vec<&str> = list(dimensions)
                .iter()
                .filter_map(|named| named["Name"].as_str())
                .collect();
            // Functions write no others: see `shell/src/metrics.rs`.
            let sets: [&[&str]; 2] = [&["Stack", "Function"], &["Stack", "Function", "Database"]];
            if namespace == "mongotar" && !sets.contains(&&names[..]) {
                findings.push(format!(
                    "{name}: would count what other stacks of the account write: {names:?}"
                ));
            }
            for dimension in list(dimensions) {
                let (key, value) = (
                    dimension["Name"].as_str().unwrap_or_default(),
                    texts(&dimension["Value"]),
                );
                let known = match (namespace, key) {
                    ("mongotar", "Stack") => value == ["${AWS::StackName}"],
                    ("mongotar", "Function") => value == ["backup"] || value == ["restore"],
                    ("mongotar", "Database") => value == ["${Database}"],
                    ("AWS/Lambda", "FunctionName") => is_reference(template, &value, "AWS::Serverless::Function"),
                    ("AWS/States", "StateMachineArn") => {
                        is_reference(template, &value, "AWS::Serverless::StateMachine")
                    }
                    _ => false,
                };
                if !known {
                    findings.push(format!("{name}: no metric has the dimension {key}={value:?}"));
                }
            }
        }
        if properties["TreatMissingData"].is_null() || properties["Dimensions"].is_null() {
            findings.push(format!(
                "{name}: does not say what missing data means, or of which dimension"
            ));
        }
    }
    must_exist(template, &mut findings);
    dashboard(template, &mut findings);
    for owner in ["Key", "TopicPolicy"] {
        let served = statements(template)
            .iter()
            .any(|s| s.owner == owner && s.allows && s.raw["Principal"]["Service"] == "cloudwatch.amazonaws.com");
        if !served {
            findings.push(format!("{owner}: alarms cannot reach the topic"));
        }
    }
    findings
}

fn is_reference(template: &Template, value: &[String], kind: &str) -> bool {
    let name = value
        .first()
        .map(|name| name.trim_start_matches("${").trim_end_matches('}'));
    name.is_some_and(|name| template.resource(name)["Type"] == kind)
}

/// The alarms without which a backup can be missing for weeks.
fn must_exist(template: &Template, findings: &mut Vec<String>) {
    let exists = |namespace: &str, metric: &str, dimension: &str, fits: &dyn Fn(&Value) -> bool| {
        template.of_type("AWS::CloudWatch::Alarm").any(|(_, alarm)| {
            let properties = &alarm["Properties"];
            let branches = branches(&properties["Dimensions"]);
            let all = branches.iter().all(|branch| {
                list(branch)
                    .into_iter()
                    .any(|found| texts(&found["Value"]) == [dimension])
            });
            properties["Namespace"] == namespace && properties["MetricName"] == metric && all && fits(properties)
        })
    };
    let no_backup = |alarm: &Value| {
        alarm["Statistic"] == "Sum"
            && alarm["ComparisonOperator"] == "LessThanThreshold"
            && alarm["Threshold"] == 1
            && alarm["TreatMissingData"] == "breaching"
            && alarm["Period"] == 3600
            && alarm["EvaluationPeriods"]["Ref"] == "HoursWithoutBackup"
            && alarm["DatapointsToAlarm"]["Ref"] == "HoursWithoutBackup"
    };
    if !exists("mongotar", "Complete", "backup", &no_backup) {
        findings.push("no alarm for a backup that is not made".to_owned());
    }
    // CloudWatch looks back for seven days at most.
    if template
        .range(&serde_json::json!({"Ref": "HoursWithoutBackup"}))
        .is_none_or(|(least, most)| least < 1 || most > 168)
    {
        findings.push("HoursWithoutBackup: CloudWatch looks back for 168 hours at most".to_owned());
    }
    let not_complete =
        |alarm: &Value| alarm["Statistic"] == "Minimum" && alarm["ComparisonOperator"] == "LessThanThreshold";
    if !exists("mongotar", "Complete", "backup", &not_complete) {
        findings.push("no alarm for a backup that is partial".to_owned());
    }
    let any = |alarm: &Value| {
        alarm["Statistic"] == "Sum"
            && alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
            && alarm["Threshold"] == 1
    };
    let mut wanted = vec![
        ("mongotar", "DrillFailed", "restore".to_owned()),
        ("mongotar", "NearDeadline", "backup".to_owned()),
        ("mongotar", "NearDeadline", "restore".to_owned()),
    ];
    for (name, _) in template.of_type("AWS::Serverless::Function") {
        wanted.push(("AWS/Lambda", "Errors", format!("${{{name}}}")));
    }
    for (name, _) in template.of_type("AWS::Serverless::StateMachine") {
        wanted.push(("AWS/States", "ExecutionsFailed", format!("${{{name}}}")));
        wanted.push(("AWS/States", "ExecutionsTimedOut", format!("${{{name}}}")));
    }
    for (namespace, metric, dimension) in wanted {
        if !exists(namespace, metric, &dimension, &any) {
            findings.push(format!("no alarm for {metric} of {dimension}"));
        }
    }
}

fn dashboard(template: &Template, findings: &mut Vec<String>) {
    for (name, dashboard) in template.of_type("AWS::CloudWatch::Dashboard") {
        let Some(body) = dashboard["Properties"]["DashboardBody"]["Fn::Sub"].as_str() else {
            findings.push(format!("{name}: no body"));
            continue;
        };
        let body: Value = match serde_json::from_str(body) {
            Ok(body) => body,
            Err(error) => {
                findings.push(format!("{name}: the body is no JSON: {error}"));
                continue;
            }
        };
        let mut asked = 0;
        for row in list(&body["widgets"])
            .iter()
            .flat_map(|widget| list(&widget["properties"]["metrics"]))
        {
            asked += 1;
            let of = row.to_string();
            let is_of_this_stack = ["\"Stack\",\"${AWS::StackName}\"", "Stack=\\\"${AWS::StackName}\\\""];
            let is_ours = row[0] == "mongotar" || row[0]["expression"].is_string();
            if is_ours && !is_of_this_stack.iter().any(|named| of.contains(named)) {
                findings.push(format!("{name}: shows what other stacks of the account write: {of}"));
            }
            let (namespace, metric) = match row[0]["expression"].as_str() {
                Some(search) => (
                    "mongotar",
                    search
                        .split('"')
                        .collect::<Vec<_>>()
                        .windows(2)
                        .find(|pair| pair[0].ends_with("MetricName="))
                        .map_or("", |pair| pair[1]),
                ),
                None => (row[0].as_str().unwrap_or_default(), row[1].as_str().unwrap_or_default()),
            };
            if !is_written(namespace, metric) {
                findings.push(format!("{name}: nobody writes {namespace} {metric}"));
            }
        }
        if asked < 10 {
            findings.push(format!("{name}: shows {asked} metrics"));
        }
    }
}
