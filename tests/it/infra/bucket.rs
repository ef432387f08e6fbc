//! Where archives and secrets of operation lie: privately, encrypted, over TLS only, and no longer than was asked for.

use std::collections::BTreeSet;

use serde_json::Value;

use super::permissions::statements;
use super::template::{Template, branches, texts};

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, bucket) in template.of_type("AWS::S3::Bucket") {
        let properties = &bucket["Properties"];
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                findings.push(format!("{name}: {what}"));
            }
        };
        let access = &properties["PublicAccessBlockConfiguration"];
        for field in [
            "BlockPublicAcls",
            "BlockPublicPolicy",
            "IgnorePublicAcls",
            "RestrictPublicBuckets",
        ] {
            expect(access[field] == true, &format!("{field} is not set"));
        }
        expect(
            properties["VersioningConfiguration"]["Status"] == "Enabled",
            "no versions",
        );
        let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        expect(encryption["BucketKeyEnabled"] == true, "no bucket key");
        let by_default = &encryption["ServerSideEncryptionByDefault"];
        expect(by_default["SSEAlgorithm"] == "aws:kms", "not encrypted by KMS");
        expect(
            texts(&by_default["KMSMasterKeyID"]) == ["${TheKey.Value}"],
            "not encrypted with the stack's key",
        );
        expect(
            properties["ObjectLockEnabled"]["Fn::If"][0] == "Locked",
            "Object Lock is no choice",
        );
        lifecycle(&properties["LifecycleConfiguration"]["Rules"], &mut expect);

        let denied = statements(template).into_iter().any(|statement| {
            !statement.allows
                && template.resource(&statement.owner)["Properties"]["Bucket"]["Ref"] == name
                && statement.actions == ["s3:*"]
                && statement.raw["Principal"] == "*"
                && statement.raw["Condition"]["Bool"]["aws:SecureTransport"] == "false"
                && statement.resources == [format!("${{{name}.Arn}}"), format!("${{{name}.Arn}}/*")]
        });
        expect(denied, "can be reached without TLS");
    }
    for (name, kept) in ["AWS::S3::Bucket", "AWS::KMS::Key"]
        .iter()
        .flat_map(|kind| template.of_type(kind))
    {
        // What a stack that could not be made has made so far is empty, and in the way of the next try.
        for (policy, keeps) in [
            ("DeletionPolicy", "RetainExceptOnCreate"),
            ("UpdateReplacePolicy", "Retain"),
        ] {
            if kept[policy] != keeps {
                findings.push(format!(
                    "{name}: {policy} is not {keeps}: archives would go with the stack"
                ));
            }
        }
    }
    for (name, key) in template.of_type("AWS::KMS::Key") {
        if key["Properties"]["EnableKeyRotation"] != true {
            findings.push(format!("{name}: the key is not rotated"));
        }
    }
    for (name, topic) in template.of_type("AWS::SNS::Topic") {
        if texts(&topic["Properties"]["KmsMasterKeyId"]) != ["${TheKey.Value}"] {
            findings.push(format!("{name}: notifications are not encrypted"));
        }
    }
    findings
}

fn lifecycle(rules: &Value, expect: &mut impl FnMut(bool, &str)) {
    let rules = rules.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["Id"].as_str()).collect();
    expect(ids.len() == rules.len(), "two lifecycle rules of one name");
    expect(
        rules.iter().all(|rule| rule["Status"] == "Enabled"),
        "a lifecycle rule is not enabled",
    );

    let everywhere = |rule: &&Value| rule.get("Prefix").is_none() && rule.get("TagFilters").is_none();
    let anywhere: Vec<&Value> = rules.iter().filter(everywhere).collect();
    expect(
        anywhere
            .iter()
            .any(|rule| rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7),
        "unfinished uploads stay",
    );
    expect(
        anywhere
            .iter()
            .any(|rule| !rule["NoncurrentVersionExpiration"].is_null()),
        "versions that were deleted stay",
    );
    expect(
        anywhere.iter().all(|rule| rule.get("ExpirationInDays").is_none()),
        "everything expires, whatever its class",
    );

    // S3 refuses both of these beside a filter by tag.
    let tagged = |rule: &&Value| rule.get("TagFilters").is_some();
    for rule in rules.iter().filter(tagged) {
        let refused = ["AbortIncompleteMultipartUpload", "ExpiredObjectDeleteMarker"];
        expect(
            refused.iter().all(|field| rule.get(*field).is_none()),
            "a rule by tag that S3 refuses",
        );
    }
    let by_tag = |key: &str, value: &str| {
        let wanted = serde_json::json!([{"Key": key, "Value": value}]);
        rules
            .iter()
            .find(|rule| rule["TagFilters"] == wanted)
            .unwrap_or(&Value::Null)
    };
    let by_prefix = rules
        .iter()
        .find(|rule| texts(&rule["Prefix"]) == ["${Prefix}.in-progress/"]);
    for rule in [
        by_prefix.unwrap_or(&Value::Null),
        by_tag("mongotar-in-progress", "true"),
    ] {
        expect(rule["ExpirationInDays"] == 7, ".in-progress/ is not emptied");
    }
    for (class, parameter) in [
        ("daily", "DailyDays"),
        ("weekly", "WeeklyDays"),
        ("monthly", "MonthlyDays"),
        ("yearly", "YearlyDays"),
    ] {
        let rule = by_tag("mongotar-retention", class);
        expect(
            rule["ExpirationInDays"]["Ref"] == parameter,
            &format!("{class} archives do not expire as was asked for"),
        );
        let transitions = &rule["Transitions"];
        let by_choice =
            transitions.is_null() || transitions["Fn::If"][0] == "ToGlacier" && branches(transitions).len() == 1;
        expect(by_choice, &format!("{class} archives move to another class unasked"));
    }
}
