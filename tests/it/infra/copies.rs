//! Copies in another region or account: what is copied, that nobody deletes there by deleting here, and that a restore
//! only reads them.

use serde_json::{Value, json};

use super::permissions::{Statement, may, statements};
use super::template::{Template, list, text_of, texts};

/// The template of the bucket with the copies.
const OF_COPIES: &str = "infra/copies.yaml";
const CLASSES: [&str; 4] = ["daily", "weekly", "monthly", "yearly"];

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let statements = statements(template);
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            findings.push(format!("copies: {what}"));
        }
    };
    let choice = &template.resource("Archives")["Properties"]["ReplicationConfiguration"]["Fn::If"];
    expect(
        choice[0] == "Replicates" && choice[2]["Ref"] == "AWS::NoValue",
        "are no choice",
    );
    expect(
        texts(&choice[1]["Role"]) == ["${ReplicationRole.Arn}"],
        "are made with another role",
    );
    let rules = list(&choice[1]["Rules"]);
    let copied: Vec<&str> = rules.iter().filter_map(|rule| rule["Id"].as_str()).collect();
    expect(copied == CLASSES, "not every class is copied, or something else");
    for rule in rules {
        let class = &rule["Id"];
        let filter = &rule["Filter"]["And"];
        let of_the_class = json!([{"Key": "mongotar-retention", "Value": class}]);
        expect(
            filter["Prefix"]["Ref"] == "Prefix" && filter["TagFilters"] == of_the_class && rule["Status"] == "Enabled",
            "a rule copies something else than its class",
        );
        expect(
            rule["DeleteMarkerReplication"]["Status"] == "Disabled",
            "who deletes an archive deletes its copy",
        );
        expect(
            rule["SourceSelectionCriteria"]["SseKmsEncryptedObjects"]["Status"] == "Enabled",
            "what is encrypted by KMS is left out",
        );
        let to = &rule["Destination"];
        expect(
            texts(&to["EncryptionConfiguration"]["ReplicaKmsKeyID"]) == ["${ReplicaKeyArn}"],
            "are not encrypted with their own key",
        );
        expect(
            texts(&to["AccessControlTranslation"]["Fn::If"][1]["Owner"]) == ["Destination"]
                && texts(&to["Account"]) == ["${ReplicaAccount}"],
            "belong to the account of the archives",
        );
        let told = template.of_type("AWS::CloudWatch::Alarm").any(|(_, alarm)| {
            let alarm = &alarm["Properties"];
            let dimensions = list(&alarm["Dimensions"]);
            alarm["MetricName"] == "OperationsFailedReplication" && dimensions.iter().any(|one| one["Value"] == *class)
        });
        expect(
            told && to["Metrics"]["Status"] == "Enabled",
            "nobody is told that one was not made",
        );
    }
    let rights: Vec<&Statement> = statements
        .iter()
        .filter(|one| one.owner == "ReplicationRights")
        .collect();
    let deletes = |one: &&Statement| {
        one.actions
            .iter()
            .any(|action| action.contains("Delete") || action.contains("Bypass"))
    };
    expect(
        !rights.is_empty() && !rights.iter().any(deletes),
        "can be deleted by the role that makes them",
    );
    for (action, key, expected) in [
        ("s3:GetObjectVersionForReplication", "mongodb/backup_1.tar.zst", true),
        ("s3:GetObjectRetention", "mongodb/backup_1.tar.zst", true),
        ("s3:GetObjectVersionForReplication", "other/backup_1.tar.zst", false),
        ("s3:PutObject", "mongodb/backup_1.tar.zst", false),
    ] {
        let holds = rights
            .iter()
            .any(|one| one.covers(action, &format!("arn:aws:s3:::archives/{key}")));
        expect(holds == expected, &format!("{action} of {key} is {holds}"));
    }
    // A second bucket is read, and nothing more.
    for role in ["RestoreRole", "DrillRole"] {
        let below = "${SecondBucketArn}/mongodb/backup_1.tar.zst";
        expect(may(&statements, role, "s3:GetObject", below), "cannot be restored");
        for action in [
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:PutObjectTagging",
            "s3:AbortMultipartUpload",
        ] {
            expect(
                !may(&statements, role, action, below),
                "can be changed by whoever restores",
            );
        }
    }
    // Drills of copies read there, and write here what the drill's role may.
    let schedule = &template.resource("CopyDrillEvery")["Properties"]["Target"]["Input"]["Fn::Sub"];
    let input: Value = serde_json::from_str(schedule[0].as_str().unwrap_or_default()).unwrap_or_default();
    let read = schedule[1]["Copies"]
        == json!({"Fn::Select": [5, {"Fn::Split": [":", {"Fn::Sub": "${SecondBucketArn}:::::"}]}]})
        && input["archive"]["latest"] == "s3://${Copies}/${Prefix}${Folder}";
    expect(read, "are drilled by other archives than the copies");
    let kept = input["state_to"].as_str().unwrap_or_default();
    for (action, object) in [
        ("s3:PutObject", "drill_20261121_020000-abc.report.json"),
        ("s3:PutObject", ".in-progress/backup_20261121_020000-abc/head"),
        ("s3:DeleteObject", ".in-progress/backup_20261121_020000-abc/head"),
    ] {
        let allowed = ["", "shop/"].iter().all(|folder| {
            let kept = kept.replace("${Folder}", folder).replace("${Prefix}", "mongodb/");
            let kept = kept.replace("s3://${TheBucket.Value}/", "arn:aws:s3:::archives/");
            may(&statements, "DrillRole", action, &format!("{kept}{object}"))
        });
        expect(
            allowed,
            &format!("{action} of {object} is nothing that a drill of copies may"),
        );
    }
    expect(
        !may(
            &statements,
            "BackupRole",
            "s3:GetObject",
            "${SecondBucketArn}/mongodb/backup_1.tar.zst",
        ),
        "are read by backups",
    );
    findings
}

/// What is wrong with the template of the bucket, beside that of the archives.
fn of_the_bucket(copies: &Template, archives: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let statements = statements(copies);
    for statement in statements
        .iter()
        .filter(|statement| statement.allows && statement.owner == "CopiesPolicy")
    {
        let by = &statement.raw["Condition"]["ArnLike"]["aws:PrincipalArn"];
        let roles: Vec<String> = list(by).into_iter().flat_map(texts).collect();
        let narrow =
            |role: &String| role.starts_with("arn:${AWS::Partition}:iam::${SourceAccount}:role/${SourceStackName}-");
        if roles.is_empty() || !roles.iter().all(narrow) {
            findings.push(format!("{}: any role of the other account may", statement.sid));
        }
        let brings_or_reads = [
            "s3:ObjectOwnerOverrideToBucketOwner",
            "s3:ReplicateObject",
            "s3:ReplicateTags",
            "s3:GetObject",
            "s3:ListBucket",
        ];
        if !statement
            .actions
            .iter()
            .all(|action| brings_or_reads.contains(&action.as_str()))
        {
            findings.push(format!(
                "{}: the other account may more than bring and read",
                statement.sid
            ));
        }
    }
    let of = |template: &Template, name: &str| template.resource(name)["Properties"].clone();
    let (copy, original) = (of(copies, "Copies"), of(archives, "Archives"));
    for same in [
        "VersioningConfiguration",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
        "ObjectLockEnabled",
        "ObjectLockConfiguration",
    ] {
        if copy[same] != original[same] {
            findings.push(format!("{same} is not as it is for the archives"));
        }
    }
    let expires = |bucket: &Value| -> Vec<(Value, Value)> {
        let rules = list(&bucket["LifecycleConfiguration"]["Rules"]);
        let of_classes = rules
            .iter()
            .filter(|rule| rule["TagFilters"][0]["Key"] == "mongotar-retention");
        of_classes
            .map(|rule| (rule["TagFilters"].clone(), rule["ExpirationInDays"].clone()))
            .collect()
    };
    if expires(&copy) != expires(&original) || expires(&copy).len() != CLASSES.len() {
        findings.push("copies are not kept by their class".to_owned());
    }
    for parameter in [
        "Prefix",
        "DailyDays",
        "WeeklyDays",
        "MonthlyDays",
        "YearlyDays",
        "NoncurrentDays",
    ] {
        let default = |template: &Template| template.at(&format!("/Parameters/{parameter}/Default")).clone();
        if default(copies) != default(archives) {
            findings.push(format!("{parameter} has another default than for the archives"));
        }
    }
    for (name, kept) in ["AWS::S3::Bucket", "AWS::KMS::Key"]
        .iter()
        .flat_map(|kind| copies.of_type(kind))
    {
        if kept["DeletionPolicy"] != "RetainExceptOnCreate" || kept["UpdateReplacePolicy"] != "Retain" {
            findings.push(format!("{name}: copies would go with the stack"));
        }
    }
    findings
}

#[test]
fn the_bucket_of_copies_is_as_the_one_of_archives_and_nobody_deletes_there_from_here() {
    let archives = Template::real();
    let text = text_of(OF_COPIES);
    assert_eq!(of_the_bucket(&Template::parse(&text), &archives), Vec::<String>::new());
    for (from, to, finding) in [
        (
            "s3:ReplicateObject, s3:ReplicateTags]",
            "s3:ReplicateObject, s3:ReplicateDelete]",
            "may more than bring",
        ),
        (
            "Action: s3:GetObject\n",
            "Action: [s3:GetObject, s3:DeleteObject]\n",
            "may more than bring",
        ),
        (
            concat!(
                "Resource: !Sub '${Copies.Arn}/${Prefix}*'\n            Condition:\n              ArnLike: ",
                "{'aws:PrincipalArn': !Sub 'arn:${AWS::Partition}:iam::${SourceAccount}:role/",
                "${SourceStackName}-ReplicationRole-*'}"
            ),
            "Resource: !Sub '${Copies.Arn}/${Prefix}*'",
            "any role",
        ),
        (
            "VersioningConfiguration: {Status: Enabled}",
            "VersioningConfiguration: {Status: Suspended}",
            "VersioningConfiguration",
        ),
        (
            "ExpirationInDays: !Ref YearlyDays",
            "ExpirationInDays: !Ref DailyDays",
            "kept by their class",
        ),
        (
            "    Default: 2557\n",
            "    Default: 365\n",
            "YearlyDays has another default",
        ),
        (
            "    DeletionPolicy: RetainExceptOnCreate\n",
            "",
            "would go with the stack",
        ),
        (
            "ObjectLockEnabled: !If [Locked, true,",
            "ObjectLockEnabled: !If [Locked, false,",
            "ObjectLockEnabled",
        ),
    ] {
        let at = text
            .find(from)
            .unwrap_or_else(|| panic!("{OF_COPIES} has no {from:?}: correct this test"));
        let broken = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        let found = of_the_bucket(&Template::parse(&broken), &archives);
        assert!(found.iter().any(|one| one.contains(finding)), "{from:?}: {found:?}");
    }
}
