//! Alarms and dashboard: every one reaches the topic, and no metric is asked for that nobody writes.

use serde_json::Value;

use super::permissions::statements;
use super::template::{Template, branches, list, texts};

/// What the functions write, in the namespace `mongotar`.
const METRICS: [&str; 13] = [
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
    "Failed",
];
/// What the state machines write, of a whole stack.
const OF_THE_STACK: [&str; 8] = [
    "AllComplete",
    "BackupAgeHours",
    "DrillAgeDays",
    "Increment",
    "IncrementLagSeconds",
    "IncrementChanged",
    "IncrementRemoved",
    "IncrementUnproven",
];
/// What is used of AWS's own.
const OF_AWS: [(&str, &[&str]); 4] = [
    ("AWS/S3", &["OperationsFailedReplication"]),
    ("AWS/Lambda", &["AsyncEventsDropped", "Errors", "Duration"]),
    ("AWS/Scheduler", &["InvocationDroppedCount"]),
    (
        "AWS/States",
        &[
            "ExecutionsAborted",
            "ExecutionsFailed",
            "ExecutionsSucceeded",
            "ExecutionsTimedOut",
        ],
    ),
];

fn is_written(namespace: &str, metric: &str) -> bool {
    match namespace {
        "mongotar" => METRICS.contains(&metric) || OF_THE_STACK.contains(&metric),
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
            let fits = told == ["${TheTopic.Value}"] || told.is_empty() && kind != "AlarmActions";
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
            let of_functions: [&[&str]; 2] = [&["Stack", "Function"], &["Stack", "Function", "Database"]];
            let fits = match OF_THE_STACK.contains(&metric) {
                true => names == ["Stack"],
                false => of_functions.contains(&&names[..]),
            };
            if namespace == "mongotar" && !fits {
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
                    ("AWS/S3", "SourceBucket") => value == ["${Archives}"],
                    ("AWS/S3", "DestinationBucket") => value == ["${ReplicaBucket}"],
                    ("AWS/S3", "RuleId") => ["daily", "weekly", "monthly", "yearly"]
                        .iter()
                        .any(|class| value == [*class]),
                    ("AWS/Scheduler", "ScheduleGroup") => {
                        is_reference(template, &value, "AWS::Scheduler::ScheduleGroup")
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
    // Their whole lives are in `lives.rs`.
    let aged = |limit: &'static str| {
        move |alarm: &Value| {
            alarm["Statistic"] == "Maximum"
                && alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
                && alarm["Threshold"]["Ref"] == limit
                && alarm["TreatMissingData"] == "missing"
                && alarm["InsufficientDataActions"] == alarm["AlarmActions"]
        }
    };
    for (metric, limit, what, alarm, condition) in [
        (
            "BackupAgeHours",
            "HoursWithoutBackup",
            "a backup that is not made",
            "NoBackup",
            "BackupIsScheduled",
        ),
        (
            "DrillAgeDays",
            "DaysWithoutDrill",
            "a drill that is not made",
            "NoDrill",
            "DrillIsScheduled",
        ),
    ] {
        if !exists("mongotar", metric, "${AWS::StackName}", &aged(limit)) {
            findings.push(format!("no alarm for {what}"));
        }
        if template.resource(alarm)["Condition"] != condition {
            findings.push(format!("{alarm}: rings where nothing is scheduled"));
        }
    }
    let increments = |alarm: &Value| {
        alarm["Statistic"] == "Maximum"
            && alarm["ComparisonOperator"] == "LessThanThreshold"
            && alarm["Period"] == 60
            && alarm["EvaluationPeriods"]["Ref"] == "MinutesWithoutIncrement"
            && alarm["InsufficientDataActions"] == alarm["AlarmActions"]
    };
    if !exists("mongotar", "Increment", "${AWS::StackName}", &increments) {
        findings.push("no alarm for increments that are not made".to_owned());
    }
    if template.resource("NoIncrement")["Condition"] != "IncrementIsScheduled" {
        findings.push("NoIncrement: rings where nothing is scheduled".to_owned());
    }
    // The watch looks back that far.
    for (limit, longest) in [("HoursWithoutBackup", 14 * 24), ("DaysWithoutDrill", 59)] {
        let range = template.range(&serde_json::json!({"Ref": limit}));
        if range.is_none_or(|(least, most)| least < 1 || most >= longest) {
            findings.push(format!("{limit}: the watch looks back for {longest} at most"));
        }
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
        wanted.push(("AWS/Lambda", "AsyncEventsDropped", format!("${{{name}}}")));
    }
    for (name, _) in template.of_type("AWS::Serverless::StateMachine") {
        wanted.push(("AWS/States", "ExecutionsFailed", format!("${{{name}}}")));
        wanted.push(("AWS/States", "ExecutionsTimedOut", format!("${{{name}}}")));
        wanted.push(("AWS/States", "ExecutionsAborted", format!("${{{name}}}")));
    }
    for (name, _) in template.of_type("AWS::Scheduler::ScheduleGroup") {
        wanted.push(("AWS/Scheduler", "InvocationDroppedCount", format!("${{{name}}}")));
    }
    // An error that a retry mends is no loss.
    let errors = |(name, alarm): (&str, &Value)| {
        let rings = alarm["Properties"]["MetricName"] == "Errors" || alarm["Properties"]["MetricName"] == "Failed";
        rings.then(|| format!("{name}: rings for an error that a retry mends"))
    };
    findings.extend(template.of_type("AWS::CloudWatch::Alarm").filter_map(errors));
    for (namespace, metric, dimension) in wanted {
        if !exists(namespace, metric, &dimension, &any) {
            findings.push(format!("no alarm for {metric} of {dimension}"));
        }
    }
}

fn dashboard(template: &Template, findings: &mut Vec<String>) {
    for (name, dashboard) in template.of_type("AWS::CloudWatch::Dashboard") {
        let bodies = texts(&dashboard["Properties"]["DashboardBody"]);
        let mut shown = String::new();
        for body in &bodies {
            match serde_json::from_str(body) {
                Ok(body) => widgets(name, &body, findings),
                Err(error) => findings.push(format!("{name}: the body is no JSON: {error}")),
            }
            shown.push_str(body);
        }
        if bodies.is_empty() {
            findings.push(format!("{name}: no body"));
        }
        for (alarm, _) in template.of_type("AWS::CloudWatch::Alarm") {
            if !shown.contains(&format!("${{{alarm}.Arn}}")) {
                findings.push(format!("{name}: does not show {alarm}"));
            }
        }
        if !shown.contains("Function=\\\"backup\\\" MetricName=\\\"Complete\\\"") {
            findings.push(format!("{name}: does not tell which database has no complete backup"));
        }
    }
}

fn widgets(name: &str, body: &Value, findings: &mut Vec<String>) {
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
