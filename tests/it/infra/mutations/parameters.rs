//! Changes that break what parameters promise: what is there already, copies, versions, endpoints.

/// As the table beside it.
pub const BROKEN: [(&str, &str, &str); 43] = [
    // Rules.
    (
        "Assert: !Not [{Fn::EachMemberEquals: [!Ref SecurityGroupIds, '']}]",
        "Assert: !Not [{Fn::EachMemberEquals: [!Ref SubnetIds, '']}]",
        "SubnetIds needs SecurityGroupIds",
    ),
    (
        "    RuleCondition: !Not [{Fn::EachMemberEquals: [!Ref SecurityGroupIds, '']}]",
        "    RuleCondition: !Not [{Fn::EachMemberEquals: [!Ref SubnetIds, '']}]",
        "SecurityGroupIds needs SubnetIds",
    ),
    (
        "      - Assert: !Equals [!Ref ObjectLockMode, NONE]",
        "      - Assert: !Equals [!Ref BucketName, '']",
        "ObjectLockMode is that of a bucket that is made",
    ),
    (
        "      - Assert: !Equals [!Ref ExistingBucket, '']\n",
        "      - Assert: !Equals [!Ref BucketName, '']\n",
        "ReplicaBucket is a setting",
    ),
    (
        "      - Assert: !Not [!Equals [!Ref Release, '0']]",
        "      - Assert: !Not [!Equals [!Ref Release, '']]",
        "Deployment needs a Release",
    ),
    // What is there already.
    (
        "  Archives:\n    Type: AWS::S3::Bucket\n    Condition: OwnBucket\n",
        "  Archives:\n    Type: AWS::S3::Bucket\n",
        "Archives: is made beside the one that is there",
    ),
    (
        "  ArchivesPolicy:\n    Type: AWS::S3::BucketPolicy\n    Condition: OwnBucket\n",
        "  ArchivesPolicy:\n    Type: AWS::S3::BucketPolicy\n",
        "ArchivesPolicy: would change what is not of this stack",
    ),
    (
        "      Value: !If [OwnKey, !GetAtt Key.Arn, !Ref ExistingKeyArn]",
        "      Value: !GetAtt Key.Arn",
        "TheKey: is neither Key nor ExistingKeyArn",
    ),
    (
        "      Value: !If [TopicHasAKey, !Ref ExistingTopicKeyArn, !GetAtt TheKey.Value]",
        "      Value: !GetAtt TheKey.Value",
        "TheTopicKey: the key of a topic",
    ),
    (
        "Resource: !GetAtt TheTopicKey.Value",
        "Resource: !GetAtt Key.Arn",
        "speaks of Key, which may not be made",
    ),
    (
        "{Bucket: !If [OwnBucket, !Ref Archives, !Ref ExistingBucket]}",
        "{Bucket: !Ref Archives}",
        "its archives go to",
    ),
    // Tags.
    (
        "      Tags: [{Key: Project, Value: !Ref Project}]\n      Description: !Sub '${AWS::StackName}: archives, notifications, logs'",
        "      Description: !Sub '${AWS::StackName}: archives, notifications, logs'",
        "Key: has not the tag of the project",
    ),
    (
        "      Tags: {Project: !Ref Project}\n      FunctionName",
        "      FunctionName",
        "BackupFunction: has not the tag of the project",
    ),
    // Versions.
    (
        "      AutoPublishCodeSha256: !Ref Release\n",
        "      AutoPublishAliasAllProperties: true\n",
        "a release is no version",
    ),
    (
        "        Role: !If [IsGradual, !GetAtt DeploymentRole.Arn, !Ref AWS::NoValue]\n",
        "",
        "a role without the boundary",
    ),
    (
        "        Alarms: [!Ref BackupNotComplete, !Ref BackupNearDeadline]",
        "        Alarms: [!Ref BackupMachineFailed, !Ref BackupNearDeadline]",
        "nothing has it go back",
    ),
    (
        "        BackupFunctionArn: !If [HasVersions, !Ref BackupFunction.Alias, !GetAtt BackupFunction.Arn]",
        "        BackupFunctionArn: !GetAtt BackupFunction.Arn",
        "is called past its versions",
    ),
    (
        "      MaximumRetryAttempts: 2\n      MaximumEventAgeInSeconds: 21600\n      DestinationConfig:\n        OnFailure: {Destination",
        "      MaximumRetryAttempts: 1\n      MaximumEventAgeInSeconds: 21600\n      DestinationConfig:\n        OnFailure: {Destination",
        "who leaves the alias out",
    ),
    (
        "    Canary10Percent5Minutes: {Gradual: 'true'}",
        "    Canary10Percent5Minutes: {Gradual: 'false'}",
        "SAM knows not all of them",
    ),
    (
        "function:${AWS::StackName}-backup:live'",
        "function:${AWS::StackName}-backup'",
        "changes more than aliases",
    ),
    (
        "      CodeSigningConfigArn: !If [IsSigned, !Ref CodeSigningConfigArn, !Ref AWS::NoValue]\n",
        "",
        "nobody asks for a signature",
    ),
    // Endpoints.
    (
        "      PrivateDnsEnabled: false",
        "      PrivateDnsEnabled: true",
        "all of the VPC is led to it",
    ),
    (
        "SourceSecurityGroupId: !Select [0, !Ref SecurityGroupIds]",
        "CidrIp: 0.0.0.0/0",
        "admits others than the functions",
    ),
    (
        "              - !If [OwnDrillSecret, !Ref DrillConnectionSecretArn, !Ref AWS::NoValue]\n",
        "              - '*'\n",
        "more passes than the secrets",
    ),
    (
        "          AWS_ENDPOINT_URL_SECRETS_MANAGER: !If",
        "          AWS_ENDPOINT_URL_SECRETS: !If",
        "does not find its secret",
    ),
    // Copies.
    (
        "              DeleteMarkerReplication: {Status: Disabled}",
        "              DeleteMarkerReplication: {Status: Enabled}",
        "who deletes an archive deletes its copy",
    ),
    (
        "TagFilters: [{Key: mongotar-retention, Value: daily}]}}",
        "TagFilters: [{Key: mongotar-in-progress, Value: 'true'}]}}",
        "copies something else than its class",
    ),
    (
        "Action: [s3:ObjectOwnerOverrideToBucketOwner, s3:ReplicateObject, s3:ReplicateTags]",
        "Action: [s3:ReplicateDelete, s3:ReplicateObject, s3:ReplicateTags]",
        "deleted by the role that makes them",
    ),
    (
        "SseKmsEncryptedObjects: {Status: Enabled}",
        "SseKmsEncryptedObjects: {Status: Disabled}",
        "encrypted by KMS is left out",
    ),
    (
        "AccessControlTranslation: !If [ToAnotherAccount, {Owner: Destination}, !Ref AWS::NoValue]",
        "AccessControlTranslation: !Ref AWS::NoValue",
        "belong to the account of the archives",
    ),
    (
        "                  Action: s3:GetObject\n                  Resource: !Sub '${SecondBucketArn}/${Prefix}*'",
        "                  Action: [s3:GetObject, s3:DeleteObject]\n                  Resource: !Sub '${SecondBucketArn}/${Prefix}*'",
        "can be changed by whoever restores",
    ),
    (
        "                    StringLike: {'s3:prefix': !Sub '${Prefix}*'}\n                - !If",
        "                    StringLike: {'s3:prefix': '*'}\n                - !If",
        "lists more than the prefix",
    ),
    (
        "Value: !Ref ReplicaBucket}, {Name: RuleId, Value: daily}",
        "Value: !Ref ReplicaBucket}, {Name: RuleId, Value: weekly}",
        "nobody is told that one was not made",
    ),
    (
        "            Copies: !Select [5, !Split [':', !Sub '${SecondBucketArn}:::::']]",
        "            Copies: !Ref TheBucket",
        "are drilled by other archives",
    ),
    (
        "            \"state_to\": \"s3://${TheBucket.Value}/${Prefix}${Folder}pre-restore/\",",
        "            \"state_to\": \"s3://${Copies}/${Prefix}${Folder}pre-restore/\",",
        "is nothing that a drill of copies may",
    ),
    (
        "\"<aws.scheduler.scheduled-time>/copies\"",
        "\"<aws.scheduler.scheduled-time>\"",
        "CopyDrillEvery: the run has another id",
    ),
    (
        "    - !Condition OwnDrillSecret\n    - !Condition HasSecondBucket",
        "    - !Condition HasSecondBucket",
        "loads a cluster that nobody named",
    ),
    (
        "      - Assert: !Not [!Equals [!Ref DrillConnectionSecretArn, '']]",
        "      - Assert: !Not [!Equals [!Ref SecondBucketArn, '']]",
        "CopyDrillSchedule needs DrillConnectionSecretArn",
    ),
    // Asynchronous restores.
    (
        "        Effect: Deny\n        Principal: '*'\n        Action: events:PutEvents",
        "        Effect: Allow\n        Principal: '*'\n        Action: events:PutEvents",
        "others could continue a restore",
    ),
    (
        "[!GetAtt RestoreRole.Arn, !If [OwnDrillSecret, !GetAtt DrillRole.Arn, !Ref AWS::NoValue]]",
        "[!GetAtt RestoreRole.Arn, !GetAtt BackupRole.Arn]",
        "others could continue a restore",
    ),
    (
        "      EventBusName: !Ref UnfinishedBus\n      EventPattern",
        "      EventPattern",
        "a restore or drill that has to be continued is not",
    ),
    (
        "Resource: [!Ref BackupMachine, !Ref UnfinishedMachine]",
        "Resource: [!Ref BackupMachine]",
        "UnfinishedRole: continues restores, or cannot",
    ),
    (
        "            Resource: [!Ref BackupMachine, !Ref RestoreMachine, !Ref DrillMachine]\n",
        "            Resource: [!Ref BackupMachine, !Ref RestoreMachine, !Ref DrillMachine, !Ref UnfinishedMachine]\n",
        "Operator: continues restores",
    ),
];
