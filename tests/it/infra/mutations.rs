//! Checks that cannot fail prove nothing: each of these changes breaks a promise, and has to be found.

mod parameters;

use super::CHECKS;
use super::template::{Template, text_of};

/// What is replaced in the template, by what, and a part of the finding that must come of it.
const BROKEN: [(&str, &str, &str); 95] = [
    // Those who are told.
    (
        "          MONGOTAR_NOTIFY_SECRET: !Ref NotifySecretArn\n",
        "          MONGOTAR_NOTIFY_SECRET: !Ref NotifySecretArn\n          MONGO_URI_SECRET: !Ref ConnectionSecretArn\n",
        "NotifyFunction: it knows a database that it does not need",
    ),
    (
        "                Action: secretsmanager:GetSecretValue\n                Resource: !Ref NotifySecretArn\n",
        "                Action: secretsmanager:GetSecretValue\n                Resource: !Ref ConnectionSecretArn\n",
        "NotifyFunction: its role may not read its secret",
    ),
    (
        "        MaximumRetryAttempts: 2\n        MaximumEventAgeInSeconds: 21600\n\n  NotifySubscription:",
        "        MaximumRetryAttempts: 2\n        DestinationConfig: {OnFailure: {Type: SNS, Destination: !GetAtt TheTopic.Value}}\n\n  NotifySubscription:",
        "NotifyFunction: what it cannot tell would come back to it",
    ),
    // Full archives of chains.
    (
        "          MONGOTAR_RETENTION: !Ref Retention\n          # Libraries log more than anybody reads, and not by this level.\n          MONGOTAR_LOG: !Sub 'error,mongotar=${LogLevel}'\n          MONGOTAR_STACK: !Ref AWS::StackName\n          MALLOC",
        "          MONGO_URI_SECRET: !Ref ConnectionSecretArn\n          MONGOTAR_LOG: !Sub 'error,mongotar=${LogLevel}'\n          MONGOTAR_STACK: !Ref AWS::StackName\n          MALLOC",
        "CompactFunction: it knows a database that it does not need",
    ),
    (
        "              # To read, and to copy within S3.\n              - Sid: ReadArchives\n                Effect: Allow\n                Action: s3:GetObject\n",
        "              - Sid: ReadArchives\n                Effect: Allow\n                Action: [s3:GetObject, s3:DeleteObject]\n",
        "CompactRole can s3:DeleteObject",
    ),
    (
        "BackupConcurrency: !Join ['', [!Ref BackupConcurrency]]",
        "BackupConcurrency: !Ref BackupConcurrency",
        "BackupMachine: BackupConcurrency is a number",
    ),
    (
        "RestoreConcurrency: !Join ['', [!Ref RestoreConcurrency]]",
        "RestoreConcurrency: !Sub '${RestoreConcurrency}'",
        "RestoreMachine: RestoreConcurrency is a number",
    ),
    // Roles.
    (
        "Action: [s3:AbortMultipartUpload,",
        "Action: ['s3:*', s3:AbortMultipartUpload,",
        "wildcard action s3:*",
    ),
    (
        "Action: [s3:GetObject, s3:PutObject, s3:DeleteObject, s3:PutObjectTagging]",
        "Action: ['s3:Get*', s3:DeleteObject]",
        "wildcard action s3:Get*",
    ),
    (
        "Action: [logs:CreateLogStream, logs:PutLogEvents]",
        "Action: '*'",
        "wildcard action *",
    ),
    (
        "Resource: [!Ref RestoreMachine, !Ref ApprovedMachine]\n",
        "Resource: '*'\n",
        "RunbookRole/Start: states:StartExecution on every resource",
    ),
    (
        "Resource: [!Ref BackupMachine, !Ref DrillMachine, !Ref WatchMachine,",
        "Resource: ['arn:aws:states:*',",
        "wildcard resource",
    ),
    (
        "Resource: [!If [HasVersions, !Ref RestoreFunction.Alias, !GetAtt RestoreFunction.Arn]]",
        "Resource: '*'",
        "lambda:InvokeFunction on every resource",
    ),
    (
        "Resource: [!If [HasVersions, !Ref RestoreFunction.Alias, !GetAtt RestoreFunction.Arn]]",
        "Resource: [!GetAtt RestoreFunction.Arn, !GetAtt BackupFunction.Arn]",
        "may invoke other functions",
    ),
    (
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*.manifest.json'",
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "BackupRole can s3:GetObject mongodb/backup_",
    ),
    (
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*.report.json'",
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*pre-restore/*'",
        "BackupRole can s3:GetObject mongodb/pre-restore/",
    ),
    (
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*/.in-progress/*'",
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*.in-progress/*'",
        "BackupRole can s3:GetObject mongodb/shop/a.in-progress/",
    ),
    (
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*/.in-progress/*'",
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}x/*'",
        "BackupRole cannot s3:GetObject mongodb/shop/.in-progress/",
    ),
    (
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*/pre-restore/*'",
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "RestoreRole can s3:PutObject mongodb/backup_",
    ),
    (
        "Action: s3:PutObjectTagging\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "Action: s3:PutObjectTagging\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}'",
        "BackupRole cannot s3:PutObjectTagging",
    ),
    (
        "Action: s3:GetObject\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "Action: [s3:GetObject, s3:DeleteObject]\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "RestoreRole can s3:DeleteObject mongodb/backup_",
    ),
    (
        "Action: s3:GetObject\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "Action: s3:GetObject\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/*'",
        "wildcard resource arn:${AWS::Partition}:s3:::${TheBucket.Value}/*",
    ),
    (
        "Action: s3:GetObject\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "NotAction: s3:PutObject\n                Resource: !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*'",
        "NotAction allows all",
    ),
    (
        "StringLike: {'s3:prefix': !Sub '${Prefix}*'}",
        "StringLike: {'s3:prefix': '*'}",
        "lists more than the prefix",
    ),
    (
        "                Condition:\n                  'Null': {'s3:if-none-match': 'false'}\n",
        "",
        "BackupRole/CreateArchives: writes over what is there",
    ),
    (
        "'s3:if-none-match': 'false'",
        "'s3:if-none-match': 'true'",
        "BackupRole/CreateArchives: writes over what is there",
    ),
    (
        "Bool: {'s3:ObjectCreationOperation': 'false'}",
        "Bool: {'s3:ObjectCreationOperation': 'true'}",
        "BackupRole/UploadParts: writes over what is there",
    ),
    (
        ", 's3:ExistingObjectTag/mongotar-retention': 'true'",
        "",
        "BackupRole/TagArchives: gives what is there another class",
    ),
    ("      Role: !GetAtt BackupRole.Arn\n", "", "BackupFunction: no role"),
    (
        "      Role: !GetAtt BackupRole.Arn\n",
        "      Role: !GetAtt BackupRole.Arn\n      Policies: AmazonS3FullAccess\n",
        "policies that are not written down",
    ),
    (
        "Principal: {Service: scheduler.amazonaws.com}",
        "Principal: '*'",
        "allows everybody",
    ),
    // Functions.
    ("Timeout: 900", "Timeout: 901", "timeout is not within"),
    ("Runtime: provided.al2023", "Runtime: provided.al2", "runtime is not"),
    (
        "Architectures: [!Ref Architecture]",
        "Architectures: [x86_64]",
        "not arm64",
    ),
    ("    Default: arm64\n", "    Default: x86_64\n", "not arm64"),
    (
        "      PermissionsBoundary: !If [HasBoundary, !Ref PermissionsBoundary, !Ref AWS::NoValue]\n",
        "",
        "ReplicationRole: without the boundary",
    ),
    (
        "MaxValue: 10240\n    Description: Memory of the backup",
        "MaxValue: 12000\n    Description: Memory of the backup",
        "memory is not within",
    ),
    (
        "BuildProperties: {Binary: backup}",
        "BuildProperties: {Binary: backups}",
        "its binary is none",
    ),
    (
        "LoggingConfig: {LogGroup: !Ref BackupLog}",
        "LoggingConfig: {LogFormat: JSON}",
        "no log group",
    ),
    ("      RetentionInDays: !Ref LogDays\n", "", "kept for ever"),
    (
        "MONGO_URI_SECRET: !Ref ConnectionSecretArn",
        "MONGO_URI: mongodb://root:root@db",
        "in the environment",
    ),
    (
        "OnFailure: {Type: SNS, Destination: !GetAtt TheTopic.Value}",
        "OnFailure: {Type: SNS, Destination: !Ref Other}",
        "failures are not told",
    ),
    // State machines.
    ("Level: ERROR", "Level: 'OFF'", "BackupMachine: no logs"),
    ("Type: STANDARD", "Type: EXPRESS", "not STANDARD"),
    (
        "        BackupFunctionArn: !If [HasVersions, !Ref BackupFunction.Alias, !GetAtt BackupFunction.Arn]\n",
        "",
        "may invoke other functions than it is given",
    ),
    (
        "stateMachine:${AWS::StackName}-backup'",
        "stateMachine:${AWS::StackName}-*'",
        "wildcard resource",
    ),
    // Bucket, key, topic.
    (
        "BlockPublicPolicy: true",
        "BlockPublicPolicy: false",
        "BlockPublicPolicy is not set",
    ),
    (
        "VersioningConfiguration: {Status: Enabled}",
        "VersioningConfiguration: {Status: Suspended}",
        "no versions",
    ),
    (
        "SSEAlgorithm: 'aws:kms'",
        "SSEAlgorithm: AES256",
        "not encrypted by KMS",
    ),
    (
        "Bool: {'aws:SecureTransport': 'false'}",
        "Bool: {'aws:SecureTransport': 'true'}",
        "can be reached without TLS",
    ),
    (
        "AbortIncompleteMultipartUpload: {DaysAfterInitiation: 7}",
        "ExpirationInDays: 7",
        "unfinished uploads stay",
    ),
    (
        "Prefix: !Sub '${Prefix}.in-progress/'",
        "Prefix: .in-progress/",
        ".in-progress/ is not emptied",
    ),
    ("Value: 'true'}]", "Value: 'yes'}]", ".in-progress/ is not emptied"),
    (
        "ExpirationInDays: !Ref MonthlyDays",
        "ExpirationInDays: !Ref DailyDays",
        "monthly archives do not expire",
    ),
    (
        "    DeletionPolicy: RetainExceptOnCreate\n",
        "",
        "archives would go with the stack",
    ),
    ("EnableKeyRotation: true", "EnableKeyRotation: false", "not rotated"),
    (
        "      KmsMasterKeyId: !GetAtt TheKey.Value\n",
        "",
        "notifications are not encrypted",
    ),
    // Alarms and dashboard.
    (
        "AlarmActions: [!GetAtt TheTopic.Value]",
        "AlarmActions: []",
        "not the topic",
    ),
    (
        "TreatMissingData: missing",
        "TreatMissingData: notBreaching",
        "no alarm for a backup that is not made",
    ),
    (
        "      InsufficientDataActions: [!GetAtt TheTopic.Value]\n",
        "",
        "no alarm for a backup that is not made",
    ),
    (
        "Threshold: !Ref DaysWithoutDrill",
        "Threshold: !Ref HoursWithoutBackup",
        "no alarm for a drill that is not made",
    ),
    (
        "    Condition: BackupIsScheduled\n    Properties:\n      Tags: [{Key: Project, Value: !Ref Project}]\n      AlarmName",
        "    Properties:\n      AlarmName",
        "NoBackup: rings where nothing is scheduled",
    ),
    (
        "Dimensions: [{Name: Stack, Value: !Ref AWS::StackName}]",
        "Dimensions: [{Name: Stack, Value: !Ref AWS::StackName}, {Name: Function, Value: backup}]",
        "what other stacks of the account write",
    ),
    (
        "MetricName: AsyncEventsDropped",
        "MetricName: Errors",
        "rings for an error that a retry mends",
    ),
    (
        "MetricName: ExecutionsAborted",
        "MetricName: ExecutionsFailed",
        "no alarm for ExecutionsAborted of ${BackupMachine}",
    ),
    (
        "MetricName: InvocationDroppedCount",
        "MetricName: InvocationAttemptCount",
        "no alarm for InvocationDroppedCount",
    ),
    (
        "      GroupName: !Ref Schedules\n",
        "",
        "what it drops is told of no stack",
    ),
    (
        "ScheduleExpression: rate(1 hour)",
        "ScheduleExpression: rate(1 day)",
        "nobody measures",
    ),
    (
        "StringEquals: {'cloudwatch:namespace': mongotar}",
        "StringEquals: {'aws:SourceAccount': x}",
        "writes metrics of others",
    ),
    (
        "\"${BackupMachineAborted.Arn}\"",
        "\"${BackupMachineFailed.Arn}\"",
        "does not show BackupMachineAborted",
    ),
    (
        "Function=\\\"backup\\\" MetricName=\\\"Complete\\\"",
        "Function=\\\"backup\\\" MetricName=\\\"Partial\\\"",
        "does not tell which database",
    ),
    (
        "MetricName: DrillFailed",
        "MetricName: DrillsFailed",
        "nobody writes mongotar DrillsFailed",
    ),
    (
        "{Name: Function, Value: restore}",
        "{Name: Funktion, Value: restore}",
        "no metric has the dimension",
    ),
    (
        "[{Name: Stack, Value: !Ref AWS::StackName}, {Name: Function, Value: restore}]",
        "[{Name: Function, Value: restore}]",
        "what other stacks of the account write",
    ),
    (
        "Stack=\\\"${AWS::StackName}\\\" MetricName",
        "MetricName",
        "shows what other stacks of the account write",
    ),
    (
        "          MONGOTAR_STACK: !Ref AWS::StackName\n",
        "",
        "not told from those of other stacks",
    ),
    (
        "\"mongotar\", \"Lanes\"",
        "\"mongotar\", \"Lane\"",
        "nobody writes mongotar Lane",
    ),
    (
        "MetricName=\\\"Seconds\\\"",
        "MetricName=\\\"Second\\\"",
        "nobody writes mongotar Second",
    ),
    // Asynchronous invocations, and logs.
    (
        "detail: {responsePayload: {status: [continue]}}",
        "detail: {responsePayload: {status: [complete]}}",
        "an asynchronous invocation that has to be continued is not",
    ),
    (
        "Action: events:PutEvents",
        "Action: events:PutRule",
        "an asynchronous invocation that has to be continued is not",
    ),
    (
        "          RoleArn: !GetAtt UnfinishedRole.Arn",
        "          RoleArn: !GetAtt RunbookRole.Arn",
        "an asynchronous invocation that has to be continued is not",
    ),
    (
        "MONGOTAR_LOG: !Sub 'error,mongotar=${LogLevel}'",
        "MONGOTAR_LOG: !Ref LogLevel",
        "the level is one of libraries",
    ),
    // Increments.
    (
        "EvaluationPeriods: !Ref MinutesWithoutIncrement",
        "EvaluationPeriods: 1",
        "no alarm for increments that are not made",
    ),
    (
        "    Condition: IncrementIsScheduled\n    Properties:\n      Tags: [{Key: Project, Value: !Ref Project}]\n      AlarmName: !Sub '${AWS::StackName}: no increment'",
        "    Properties:\n      AlarmName: !Sub '${AWS::StackName}: no increment'",
        "NoIncrement: rings where nothing is scheduled",
    ),
    // Approval.
    (
        "ConsentInInput: !Ref AllowConsentInInput",
        "ConsentInInput: 'true'",
        "an input approves itself",
    ),
    (
        "    Default: 'false'\n    AllowedValues: ['false', 'true']",
        "    Default: 'true'\n    AllowedValues: ['false', 'true']",
        "an input approves itself",
    ),
    (
        "Resource: [!Ref BackupMachine, !Ref RestoreMachine, !Ref DrillMachine]\n",
        "Resource: [!Ref BackupMachine, !Ref RestoreMachine, !Ref ApprovedMachine]\n",
        "Operator: starts what was approved",
    ),
    (
        "Action: [states:DescribeExecution, states:GetExecutionHistory, states:StopExecution]",
        "Action: [states:DescribeExecution, states:SendTaskSuccess]",
        "Operator: approves",
    ),
    (
        "Action: [states:SendTaskSuccess, states:SendTaskFailure]",
        "Action: [states:SendTaskSuccess, states:StartExecution]",
        "Approver: starts ${RestoreMachine}",
    ),
    (
        "Resource: !GetAtt RunbookRole.Arn",
        "Resource: !GetAtt RestoreRole.Arn",
        "roles that can be passed on",
    ),
    // Schedules.
    (
        "    - !Condition OwnDrillSecret\n",
        "",
        "loads a cluster that nobody named for drills",
    ),
    (
        "MONGO_URI_SECRET: !Ref DrillConnectionSecretArn",
        "MONGO_URI_SECRET: !Ref ConnectionSecretArn",
        "loads a cluster that nobody named for drills",
    ),
    (
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}pre-restore/drill_*.report.json'",
        "- !Sub 'arn:${AWS::Partition}:s3:::${TheBucket.Value}/${Prefix}*.tar*'",
        "DrillRole can s3:PutObject mongodb/backup_",
    ),
    (
        "\"time\": \"<aws.scheduler.scheduled-time>\"",
        "\"time\": \"<aws.scheduler.attempt-number>\"",
        "delivered twice it is two archives",
    ),
    (
        "{\"archive\": {\"latest\":",
        "{\"archives\": {\"latest\":",
        "the input has the fields",
    ),
];

#[test]
fn every_broken_copy_of_the_template_is_found() {
    let text = text_of("template.yaml");
    for (from, to, finding) in BROKEN.into_iter().chain(parameters::BROKEN) {
        let at = text
            .find(from)
            .unwrap_or_else(|| panic!("the template has no {from:?}: correct this test"));
        let broken = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        let template = Template::parse(&broken);
        let findings: Vec<String> = CHECKS.iter().flat_map(|check| check(&template)).collect();
        assert!(
            findings.iter().any(|found| found.contains(finding)),
            "{from:?} became {to:?}; expected a finding with {finding:?}, got {findings:#?}"
        );
    }
}
