//! Least privilege: no wildcard but those that AWS demands, and what each role may and may not do to which object.

use serde_json::Value;

use super::template::{Template, list, matches, texts};

/// What AWS grants only for all resources, and why.
const ONLY_EVERYWHERE: [(&str, &[&str]); 6] = [
    (
        "X-Ray has no resource for traces",
        &[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
        ],
    ),
    (
        "log delivery, which state machines use, has no resources",
        &[
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ],
    ),
    (
        "Lambda refuses a role that may not make network interfaces in any subnet",
        &[
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ],
    ),
    (
        "CloudWatch has no resource for metrics; writing is bound to a namespace",
        &["cloudwatch:GetMetricStatistics", "cloudwatch:PutMetricData"],
    ),
    ("alarms are described by lists of names", &["cloudwatch:DescribeAlarms"]),
    ("in a key's own policy the resource is that key", &["kms:"]),
];

/// Patterns that are no wildcard over a service: objects below the prefix, and executions of one state machine.
const NARROW: [&str; 11] = [
    "arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}",
    "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-backup:",
    "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-restore:",
    "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-restore-approved:",
    "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-drill:",
    "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-watch:",
    // Copies of archives, below the same prefix.
    "${Archives.Arn}/${Prefix}",
    "arn:${AWS::Partition}:s3:::${ReplicaBucket}/${Prefix}",
    "${SecondBucketArn}/${Prefix}",
    // Their ids are random, and say of which runbook they are of nothing.
    "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:automation-execution/*",
    "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:automation-definition/${Runbook}:",
];

const ARCHIVES: [&str; 5] = [
    "mongodb/backup_20261121_020000.tar.zst",
    "mongodb/backup_20261121_020000.tar",
    "mongodb/shop/backup_20261121_020000.tar.gz",
    "mongodb/shop/backup_20261121_020000.tar.zst",
    "mongodb/shop/a.in-progress/backup_20261121_020000.tar.zst",
];
const SNAPSHOTS: [&str; 2] = [
    "mongodb/pre-restore/backup_20261121_020000.tar.zst",
    "mongodb/shop/pre-restore/backup_20261121_020000.tar.zst",
];
const IN_PROGRESS: [&str; 3] = [
    "mongodb/.in-progress/backup_20261121_020000/lease.json",
    "mongodb/shop/.in-progress/backup_20261121_020000/lane-1",
    "mongodb/pre-restore/.in-progress/backup_20261121_020000/lease.json",
];
const RESULTS: [&str; 3] = [
    "mongodb/backup_20261121_020000.manifest.json",
    "mongodb/shop/backup_20261121_020000.manifest.json",
    "mongodb/backup_20261121_020000.report.json",
];
const DRILLS: [&str; 2] = [
    "mongodb/pre-restore/drill_20261121_020000-0123456789ab.report.json",
    "mongodb/shop/pre-restore/drill_20261121_020000-0123456789ab.report.json",
];
/// The roles of functions.
const FUNCTIONS: [&str; 4] = ["BackupRole", "RestoreRole", "DrillRole", "CompactRole"];
const ELSEWHERE: [&str; 2] = ["other/backup_20261121_020000.tar.zst", "backup_20261121_020000.tar.zst"];

pub struct Statement {
    pub owner: String,
    pub sid: String,
    pub allows: bool,
    pub actions: Vec<String>,
    pub resources: Vec<String>,
    pub raw: Value,
}

impl Statement {
    fn name(&self) -> String {
        format!("{}/{}", self.owner, self.sid)
    }

    /// Whether it speaks of an action on an object of the bucket, or on a resource by its reference. A condition
    /// narrows, and is not looked at.
    pub fn covers(&self, action: &str, resource: &str) -> bool {
        let concrete = |pattern: &String| {
            let pattern = pattern
                .replace("${Archives.Arn}", "arn:aws:s3:::archives")
                .replace("arn:${AWS::Partition}:s3:::${TheBucket.Value}", "arn:aws:s3:::archives")
                .replace("${Prefix}", "mongodb/");
            matches(&pattern, resource)
        };
        self.actions.iter().any(|pattern| matches(pattern, action)) && self.resources.iter().any(concrete)
    }
}

/// Every statement of every policy, wherever it stands.
pub fn statements(template: &Template) -> Vec<Statement> {
    let mut found = Vec::new();
    for (owner, resource) in template.resources() {
        collect(owner, resource, &mut found);
    }
    found
}

fn collect(owner: &str, value: &Value, found: &mut Vec<Statement>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(owner, item, found)),
        Value::Object(fields) if fields.contains_key("Effect") => found.push(Statement {
            owner: owner.to_owned(),
            sid: value["Sid"].as_str().unwrap_or("without Sid").to_owned(),
            allows: value["Effect"] == "Allow",
            actions: list(&value["Action"]).into_iter().flat_map(texts).collect(),
            resources: list(&value["Resource"]).into_iter().flat_map(texts).collect(),
            raw: value.clone(),
        }),
        Value::Object(fields) => fields.values().for_each(|field| collect(owner, field, found)),
        _ => {}
    }
}

/// Whether a role is allowed something, conditions aside.
pub fn may(statements: &[Statement], role: &str, action: &str, resource: &str) -> bool {
    let of_role = || statements.iter().filter(|statement| statement.owner == role);
    of_role().any(|statement| statement.allows && statement.covers(action, resource))
}

pub fn findings(template: &Template) -> Vec<String> {
    let statements = statements(template);
    let mut findings = Vec::new();
    wildcards(&statements, &mut findings);
    added_rights(template, &mut findings);
    for (name, role) in template.of_type("AWS::IAM::Role") {
        let boundary = &role["Properties"]["PermissionsBoundary"];
        if texts(boundary) != ["${PermissionsBoundary}"] || boundary["Fn::If"][0] != "HasBoundary" {
            findings.push(format!("{name}: without the boundary that was asked for"));
        }
    }
    objects(&statements, &mut findings);
    overwriting(&statements, &mut findings);
    for role in FUNCTIONS {
        let listing = |statement: &&Statement| {
            statement.owner == role && statement.actions.iter().any(|action| action == "s3:ListBucket")
        };
        for statement in statements.iter().filter(listing) {
            if texts(&statement.raw["Condition"]["StringLike"]["s3:prefix"]) != ["${Prefix}*"] {
                findings.push(format!("{}: lists more than the prefix", statement.name()));
            }
        }
    }
    findings
}

fn wildcards(statements: &[Statement], findings: &mut Vec<String>) {
    let mut reasons_used = [false; ONLY_EVERYWHERE.len()];
    for statement in statements.iter().filter(|statement| statement.allows) {
        let name = statement.name();
        for field in ["NotAction", "NotResource", "NotPrincipal"] {
            if statement.raw.get(field).is_some() {
                findings.push(format!("{name}: {field} allows all that it does not name"));
            }
        }
        let principal = &statement.raw["Principal"];
        if principal == "*" || principal["AWS"] == "*" {
            findings.push(format!("{name}: allows everybody"));
        }
        for action in statement.actions.iter().filter(|action| action.contains(['*', '?'])) {
            findings.push(format!("{name}: wildcard action {action}"));
        }
        let trust = statement.actions == ["sts:AssumeRole"] && !principal.is_null();
        if statement.resources.is_empty() && !trust {
            findings.push(format!("{name}: no resource"));
        }
        for resource in statement
            .resources
            .iter()
            .filter(|resource| resource.contains(['*', '?']))
        {
            if resource != "*" {
                if !NARROW.iter().any(|narrow| resource.starts_with(narrow)) {
                    findings.push(format!("{name}: wildcard resource {resource}"));
                }
                continue;
            }
            for action in &statement.actions {
                let namespace = &statement.raw["Condition"]["StringEquals"]["cloudwatch:namespace"];
                if action == "cloudwatch:PutMetricData" && namespace != "mongotar" {
                    findings.push(format!("{name}: writes metrics of others"));
                }
                let reason = ONLY_EVERYWHERE.iter().position(|(_, actions)| match *actions {
                    ["kms:"] => statement.owner == "Key" && action.starts_with("kms:"),
                    actions => actions.contains(&action.as_str()),
                });
                match reason {
                    Some(reason) => reasons_used[reason] = true,
                    None => findings.push(format!("{name}: {action} on every resource")),
                }
            }
        }
    }
    for ((reason, _), used) in ONLY_EVERYWHERE.iter().zip(reasons_used) {
        if !used {
            findings.push(format!("nothing needs the exception any more: {reason}"));
        }
    }
}

/// SAM adds managed policies to a function without a role of its own, and AWS's managed policies are wide.
fn added_rights(template: &Template, findings: &mut Vec<String>) {
    for (name, resource) in template.resources() {
        let properties = &resource["Properties"];
        let serverless = resource["Type"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("AWS::Serverless::"));
        if serverless && properties["Role"]["Fn::GetAtt"][1] != "Arn" {
            findings.push(format!("{name}: no role of this template"));
        }
        if serverless && properties.get("Policies").is_some() || properties.get("ManagedPolicyArns").is_some() {
            findings.push(format!("{name}: policies that are not written down here"));
        }
    }
}

/// Who writes archives creates them, and no more: parts of an upload, and what says that nothing is there yet.
fn overwriting(statements: &[Statement], findings: &mut Vec<String>) {
    let writes = |statement: &&Statement| {
        let acts = |action: &String| ["s3:PutObject", "s3:PutObjectTagging"].contains(&action.as_str());
        FUNCTIONS.contains(&statement.owner.as_str()) && statement.allows && statement.actions.iter().any(acts)
    };
    for statement in statements.iter().filter(writes) {
        let of_a_run =
            |resource: &String| resource.ends_with("/.in-progress/*") || resource.ends_with("}.in-progress/*");
        if statement.resources.iter().all(of_a_run) {
            continue;
        }
        let conditions = &statement.raw["Condition"];
        let puts = statement.actions.iter().any(|action| action == "s3:PutObject");
        let tags = statement.actions.iter().any(|action| action == "s3:PutObjectTagging");
        let creates = conditions["Null"]["s3:if-none-match"] == "false"
            || conditions["Bool"]["s3:ObjectCreationOperation"] == "false";
        if puts && !creates {
            findings.push(format!("{}: writes over what is there", statement.name()));
        }
        let leaves = conditions["Null"]["s3:ExistingObjectTag/mongotar-retention"] == "true";
        if tags && !leaves {
            findings.push(format!("{}: gives what is there another class", statement.name()));
        }
    }
}

fn objects(statements: &[Statement], findings: &mut Vec<String>) {
    let mut expect = |role: &str, expected: bool, actions: &[&str], keys: &[&str]| {
        for action in actions {
            for key in keys {
                if may(statements, role, action, &format!("arn:aws:s3:::archives/{key}")) != expected {
                    let word = if expected { "cannot" } else { "can" };
                    findings.push(format!("{role} {word} {action} {key}"));
                }
            }
        }
    };
    let reading = ["s3:GetObject", "s3:GetObjectVersion"];
    let uploading = [
        "s3:PutObject",
        "s3:PutObjectTagging",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    ];

    expect("BackupRole", true, &uploading, &ARCHIVES);
    expect("BackupRole", true, &["s3:PutObject"], &RESULTS);
    expect("BackupRole", true, &uploading, &IN_PROGRESS);
    expect("BackupRole", true, &["s3:GetObject", "s3:DeleteObject"], &IN_PROGRESS);
    expect("BackupRole", true, &["s3:GetObject"], &RESULTS);
    expect("BackupRole", false, &reading, &ARCHIVES);
    expect("BackupRole", false, &reading, &SNAPSHOTS);
    expect("BackupRole", false, &["s3:DeleteObject"], &ARCHIVES);
    expect("BackupRole", false, &["s3:DeleteObject"], &SNAPSHOTS);

    expect("RestoreRole", true, &["s3:GetObject"], &ARCHIVES);
    expect("RestoreRole", true, &["s3:GetObject"], &SNAPSHOTS);
    expect("RestoreRole", true, &["s3:GetObject"], &RESULTS);
    expect("RestoreRole", true, &uploading, &SNAPSHOTS);
    expect("RestoreRole", true, &uploading, &IN_PROGRESS);
    expect("RestoreRole", true, &["s3:DeleteObject"], &IN_PROGRESS);
    expect("RestoreRole", false, &uploading, &ARCHIVES);
    expect("RestoreRole", false, &["s3:DeleteObject"], &ARCHIVES);
    expect("RestoreRole", false, &["s3:DeleteObject"], &SNAPSHOTS);

    expect("DrillRole", true, &["s3:GetObject"], &ARCHIVES);
    expect("DrillRole", true, &["s3:PutObject"], &DRILLS);
    expect("DrillRole", true, &["s3:PutObject", "s3:DeleteObject"], &IN_PROGRESS);
    expect("DrillRole", false, &uploading, &ARCHIVES);
    expect("DrillRole", false, &uploading, &SNAPSHOTS);
    expect("DrillRole", false, &["s3:DeleteObject"], &DRILLS);

    expect("CompactRole", true, &["s3:GetObject"], &ARCHIVES);
    expect("CompactRole", true, &uploading, &ARCHIVES);
    expect("CompactRole", true, &["s3:PutObject"], &RESULTS);
    expect("CompactRole", false, &["s3:DeleteObject"], &ARCHIVES);
    expect("CompactRole", false, &["s3:DeleteObject"], &SNAPSHOTS);

    let anything = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"];
    let final_steps = [
        "s3:DeleteObjectVersion",
        "s3:BypassGovernanceRetention",
        "s3:PutObjectRetention",
    ];
    for role in FUNCTIONS {
        expect(role, false, &anything, &ELSEWHERE);
        expect(role, false, &final_steps, &ARCHIVES);
        expect(role, false, &final_steps, &IN_PROGRESS);
    }
    for role in [
        "BackupMachineRole",
        "RestoreMachineRole",
        "DrillMachineRole",
        "WatchMachineRole",
        "IncrementMachineRole",
        "UnfinishedMachineRole",
        "DeploymentRole",
        "SchedulerRole",
        "RunbookRole",
    ] {
        expect(role, false, &anything, &ARCHIVES);
    }
}
