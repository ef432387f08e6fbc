//! A bucket, a key and a topic that are there already take the place of those that are made, wherever they are used; and
//! everything that the stack makes says whose it is.

use serde_json::{Value, json};

use super::template::{Template, branches, texts};

/// What is made unless it is given: the condition, the parameter, and what stands for either.
const MADE: [(&str, &str, &str, &str); 3] = [
    ("Archives", "OwnBucket", "ExistingBucket", "TheBucket"),
    ("Key", "OwnKey", "ExistingKeyArn", "TheKey"),
    ("Topic", "OwnTopic", "ExistingTopicArn", "TheTopic"),
];
/// What belongs to what is made, and may speak of it: a policy or a name.
const OF_WHAT_IS_MADE: [(&str, &str); 8] = [
    ("ArchivesPolicy", "OwnBucket"),
    ("KeyAlias", "OwnKey"),
    ("TopicPolicy", "OwnTopic"),
    // Copies are made only of a bucket that is made, too.
    ("ReplicationRights", "Replicates"),
    ("DailyNotCopied", "Replicates"),
    ("WeeklyNotCopied", "Replicates"),
    ("MonthlyNotCopied", "Replicates"),
    ("YearlyNotCopied", "Replicates"),
];
/// What can have tags as a list, as a map, and not at all.
const TAGGED: [&str; 12] = [
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::Logs::LogGroup",
    "AWS::IAM::Role",
    "AWS::CloudWatch::Alarm",
    "AWS::Scheduler::ScheduleGroup",
    "AWS::Events::Rule",
    "AWS::Events::EventBus",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::VPCEndpoint",
    "AWS::SSM::Document",
];
const TAGGED_BY_A_MAP: [&str; 3] = [
    "AWS::Serverless::Function",
    "AWS::Serverless::StateMachine",
    "AWS::SSM::Parameter",
];
const UNTAGGED: [&str; 11] = [
    "AWS::KMS::Alias",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SNS::Subscription",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Events::EventBusPolicy",
    "AWS::Scheduler::Schedule",
    "AWS::CloudWatch::Dashboard",
    // CloudFormation gives policies none.
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
];

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    for (made, condition, parameter, stands) in MADE {
        if template.resource(made)["Condition"] != condition {
            findings.push(format!("{made}: is made beside the one that is there"));
        }
        if template.at(&format!("/Conditions/{condition}")) != &json!({"Fn::Equals": [{"Ref": parameter}, ""]}) {
            findings.push(format!("{condition}: does not ask for {parameter}"));
        }
        let value = &template.resource(stands)["Properties"]["Value"]["Fn::If"];
        let own = texts(&value[1]);
        let is_own = own == [format!("${{{made}}}")] || own == [format!("${{{made}.Arn}}")];
        if value[0] != condition || !is_own || value[2] != json!({"Ref": parameter}) {
            findings.push(format!("{stands}: is neither {made} nor {parameter}"));
        }
    }
    for (name, condition) in OF_WHAT_IS_MADE {
        if template.resource(name)["Condition"] != condition {
            findings.push(format!("{name}: would change what is not of this stack"));
        }
    }
    let key = &template.resource("TheTopicKey")["Properties"]["Value"]["Fn::If"];
    if key[0] != "TopicHasAKey" || texts(&key[1]) != ["${ExistingTopicKeyArn}"] || texts(&key[2]) != ["${TheKey.Value}"]
    {
        findings.push("TheTopicKey: the key of a topic that is there is not its own".to_owned());
    }
    for (name, resource) in template.resources() {
        let may_speak_of = |made: &str, condition: &str| {
            let stands = ["TheBucket", "TheKey", "TheTopic"].contains(&name);
            let replicates = made == "Archives" && OF_WHAT_IS_MADE.contains(&(name, "Replicates"));
            name == made || stands || replicates || OF_WHAT_IS_MADE.contains(&(name, condition))
        };
        for (made, condition, _, _) in MADE {
            let found = references(resource);
            // Variables of functions say it once more, so that they are not a place of their own.
            let of_a_choice = name.ends_with("Function") && made == "Archives";
            let speaks = found.iter().any(|reference| reference.split('.').next() == Some(made));
            if speaks && !may_speak_of(made, condition) && !of_a_choice {
                findings.push(format!("{name}: speaks of {made}, which may not be made"));
            }
        }
        if template.workers().any(|(worker, _)| worker == name) {
            let to = &resource["Properties"]["Environment"]["Variables"]["MONGOTAR_TO"];
            let to: Vec<String> = branches(to).into_iter().flat_map(texts).collect();
            if to != ["s3://${Archives}/${Prefix}", "s3://${ExistingBucket}/${Prefix}"] {
                findings.push(format!("{name}: its archives go to {to:?}"));
            }
        }
        findings.extend(untagged(name, resource));
    }
    findings
}

fn untagged(name: &str, resource: &Value) -> Option<String> {
    let kind = resource["Type"].as_str().unwrap_or_default();
    let tags = &resource["Properties"]["Tags"];
    let tagged = json!([{"Key": "Project", "Value": {"Ref": "Project"}}]);
    let fits = match kind {
        _ if TAGGED.contains(&kind) => *tags == tagged,
        _ if TAGGED_BY_A_MAP.contains(&kind) => *tags == json!({"Project": {"Ref": "Project"}}),
        _ => UNTAGGED.contains(&kind),
    };
    (!fits).then(|| format!("{name}: has not the tag of the project"))
}

/// What a resource refers to: `Name` or `Name.Attribute`.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| match (name.as_str(), field) {
                ("Ref", Value::String(name)) => vec![name.clone()],
                ("Fn::GetAtt", Value::Array(path)) => vec![path[0].as_str().unwrap_or_default().to_owned()],
                (_, field) => references(field),
            })
            .collect(),
        Value::String(text) => {
            let parts = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
            parts.map(|(name, _)| name.to_owned()).collect()
        }
        _ => Vec::new(),
    }
}
