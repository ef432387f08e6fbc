//! Parameters that contradict one another are refused before anything is made. The rules are evaluated here as
//! CloudFormation's documentation says ("Rules syntax"): a model, as far as these rules go.

use std::collections::BTreeMap;

use serde_json::Value;

use super::template::{Template, list};

/// Parameters, and a part of what refuses them; nothing if they are taken.
type Given = (&'static [(&'static str, &'static str)], Option<&'static str>);

const CASES: [Given; 26] = [
    (&[], None),
    (
        &[("SubnetIds", "subnet-1,subnet-2"), ("SecurityGroupIds", "sg-1")],
        None,
    ),
    (&[("SubnetIds", "subnet-1")], Some("SubnetIds needs SecurityGroupIds")),
    (
        &[("SecurityGroupIds", "sg-1")],
        Some("SecurityGroupIds needs SubnetIds"),
    ),
    (
        &[
            ("SubnetIds", "subnet-1"),
            ("SecurityGroupIds", "sg-1"),
            ("EndpointVpcId", "vpc-1"),
            ("EndpointRouteTableIds", "rtb-1,rtb-2"),
        ],
        None,
    ),
    (
        &[("EndpointVpcId", "vpc-1"), ("EndpointRouteTableIds", "rtb-1")],
        Some("EndpointVpcId needs SubnetIds"),
    ),
    (
        &[
            ("SubnetIds", "subnet-1"),
            ("SecurityGroupIds", "sg-1"),
            ("EndpointVpcId", "vpc-1"),
        ],
        Some("EndpointVpcId needs EndpointRouteTableIds"),
    ),
    (
        &[("EndpointRouteTableIds", "rtb-1")],
        Some("EndpointRouteTableIds needs EndpointVpcId"),
    ),
    (&[("ExistingBucket", "archives"), ("ExistingKeyArn", "arn:key")], None),
    (&[("BucketName", "archives")], None),
    (
        &[("ExistingBucket", "archives"), ("BucketName", "archives")],
        Some("BucketName is that of a bucket that is made"),
    ),
    (
        &[("ExistingBucket", "archives"), ("ObjectLockMode", "COMPLIANCE")],
        Some("ObjectLockMode is that of a bucket that is made"),
    ),
    (
        &[("ExistingBucket", "archives"), ("GlacierAfterDays", "30")],
        Some("GlacierAfterDays is a rule of a bucket that is made"),
    ),
    (
        &[("ExistingBucket", "archives"), ("AccessLogBucket", "logs")],
        Some("AccessLogBucket is a setting of a bucket that is made"),
    ),
    (
        &[("ExistingTopicArn", "arn:topic"), ("ExistingTopicKeyArn", "arn:key")],
        None,
    ),
    (
        &[("ExistingTopicKeyArn", "arn:key")],
        Some("ExistingTopicKeyArn needs ExistingTopicArn"),
    ),
    (&[("Deployment", "AllAtOnce"), ("Release", "2026-11-21")], None),
    (&[("Release", "2026-11-21")], None),
    (
        &[("Deployment", "Canary10Percent5Minutes")],
        Some("Deployment needs a Release"),
    ),
    (
        &[
            ("ReplicaBucket", "copies"),
            ("ReplicaKeyArn", "arn:key"),
            ("ReplicaAccount", "210987654321"),
        ],
        None,
    ),
    (
        &[("ReplicaBucket", "copies")],
        Some("ReplicaBucket needs ReplicaKeyArn"),
    ),
    (&[("ReplicaKeyArn", "arn:key")], Some("needs ReplicaBucket")),
    (
        &[
            ("CopyDrillSchedule", "rate(30 days)"),
            ("SecondBucketArn", "arn:aws:s3:::copies"),
            ("DrillConnectionSecretArn", "arn:secret"),
        ],
        None,
    ),
    (
        &[
            ("CopyDrillSchedule", "rate(30 days)"),
            ("DrillConnectionSecretArn", "arn:secret"),
        ],
        Some("CopyDrillSchedule needs SecondBucketArn"),
    ),
    (
        &[
            ("CopyDrillSchedule", "rate(30 days)"),
            ("SecondBucketArn", "arn:aws:s3:::copies"),
        ],
        Some("CopyDrillSchedule needs DrillConnectionSecretArn"),
    ),
    (
        &[
            ("ReplicaBucket", "copies"),
            ("ReplicaKeyArn", "arn:key"),
            ("ExistingBucket", "archives"),
        ],
        Some("ReplicaBucket is a setting of a bucket that is made"),
    ),
];

/// Why parameters are refused.
fn refused(template: &Template, given: &[(&str, &str)]) -> Vec<String> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, parameter) in template.at("/Parameters").as_object().expect("parameters") {
        let default = match &parameter["Default"] {
            Value::String(text) => text.clone(),
            Value::Null => "given".to_owned(),
            other => other.to_string(),
        };
        let value = given
            .iter()
            .find(|(known, _)| known == name)
            .map_or(default, |(_, value)| (*value).to_owned());
        let is_list = parameter["Type"] == "CommaDelimitedList";
        let parts = if is_list {
            value.split(',').map(str::to_owned).collect()
        } else {
            vec![value]
        };
        values.insert(name.clone(), parts);
    }
    let rules = template.at("/Rules").as_object().into_iter().flatten();
    rules
        .filter(|(_, rule)| holds(&rule["RuleCondition"], &values))
        .flat_map(|(_, rule)| list(&rule["Assertions"]))
        .filter(|assertion| !holds(&assertion["Assert"], &values))
        .map(|assertion| assertion["AssertDescription"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn holds(rule: &Value, values: &BTreeMap<String, Vec<String>>) -> bool {
    let (function, of) = rule
        .as_object()
        .and_then(|fields| fields.iter().next())
        .expect("a function");
    let value = |one: &Value| -> Vec<String> {
        match one["Ref"].as_str() {
            Some(name) => values
                .get(name)
                .unwrap_or_else(|| panic!("no parameter {name}"))
                .clone(),
            None => vec![one.as_str().map_or_else(|| one.to_string(), str::to_owned)],
        }
    };
    match function.as_str() {
        "Fn::Not" => !holds(&of[0], values),
        "Fn::And" => list(of).into_iter().all(|one| holds(one, values)),
        "Fn::Or" => list(of).into_iter().any(|one| holds(one, values)),
        "Fn::Equals" => value(&of[0]) == value(&of[1]),
        "Fn::EachMemberEquals" => value(&of[0]).iter().all(|one| [one.clone()] == *value(&of[1])),
        other => panic!("rules know no {other}, or the model does not"),
    }
}

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    for (given, expected) in CASES {
        let refused = refused(template, given);
        let fits = match expected {
            None => refused.is_empty(),
            Some(reason) => refused.iter().any(|said| said.contains(reason)),
        };
        if !fits {
            findings.push(format!(
                "the parameters {given:?} are refused for {refused:?}, not {expected:?}"
            ));
        }
    }
    findings
}
