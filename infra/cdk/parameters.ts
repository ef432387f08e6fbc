// Made from template.yaml by infra/releasing/bindings.py: change it there.

/** What the stack is asked for, by the names of its template. */
export interface MongotarParameters {
  /** Name of the bucket, in this region, into which the files of the release were copied. */
  readonly CodeBucket: string;
  /** Folder of the files of the release in that bucket, with / at its end. */
  readonly CodePrefix: string;
  /** The database; or several, separated by commas without spaces, or * for all but admin, local and config. Each of several has a folder of its own. */
  readonly Database: string;
  /** ARN of the Secrets Manager secret whose text is the connection string (mongodb:// or mongodb+srv://). A user that may read is enough for backups. */
  readonly ConnectionSecretArn: string;
  /** ARN of a secret with a connection string that may write, for restores. Empty takes that of the backups. */
  readonly RestoreConnectionSecretArn?: string;
  /** ARN of a secret with the connection string of the cluster that drills restore into, best another one than the one that is backed up. Empty schedules no drills. */
  readonly DrillConnectionSecretArn?: string;
  /** ARN of the KMS key that encrypts these secrets. Empty where it is the account's aws/secretsmanager. */
  readonly SecretKeyArn?: string;
  /** ARN with version of a layer that holds a CA bundle, as DocumentDB needs (/opt/global-bundle.pem, named by tlsCAFile in the connection string). */
  readonly CaBundleLayerArn?: string;
  /** When backups are made, cron(...) or rate(...). Empty makes no schedule. Default: "cron(0 2 * * ? *)". */
  readonly BackupSchedule?: string;
  /** When increments are made between backups, such as rate(1 minute). Empty makes none. They need a replica set or a sharded cluster of MongoDB 5.0 or later, and a user that may read changes. */
  readonly IncrementSchedule?: string;
  /** When the increments since the last full archive are made a full archive, without reading the database, such as cron(0 4 * * ? *). Empty never does. */
  readonly CompactSchedule?: string;
  /** When the newest archive is restored into a scratch database, compared and dropped, if DrillConnectionSecretArn says where. Empty makes no schedule. Default: "cron(0 5 ? * SUN *)". */
  readonly DrillSchedule?: string;
  /** With several databases, the one whose newest archive the drill takes; without it no drill is scheduled then. Empty for one database. */
  readonly DrillDatabase?: string;
  /** The time zone of the schedules. Retention classes go by UTC. Default: "UTC". */
  readonly TimeZone?: string;
  /** How many invocations share the backup of one large database at most. Default: 4. */
  readonly Lanes?: number;
  /** Name of the bucket that is made. Empty lets CloudFormation choose one. */
  readonly BucketName?: string;
  /** Folder of the archives in that bucket, with / at its end; empty for none. Default: "mongodb/". */
  readonly Prefix?: string;
  /** The class of scheduled backups. auto is yearly on 1 January, monthly on the 1st, weekly on Sundays, else daily. Default: "auto". */
  readonly Retention?: "auto" | "daily" | "weekly" | "monthly" | "yearly";
  /** Days that a daily archive is kept. Snapshots that restores take are daily, too. Default: 14. */
  readonly DailyDays?: number;
  /** Days that a weekly archive is kept. Default: 60. */
  readonly WeeklyDays?: number;
  /** Days that a monthly archive is kept. Default: 400. */
  readonly MonthlyDays?: number;
  /** Days that a yearly archive is kept. Default: 2557. */
  readonly YearlyDays?: number;
  /** Days that an archive can be brought back after it was deleted or has expired. Default: 7. */
  readonly NoncurrentDays?: number;
  /** Days after which monthly and yearly archives move to GlacierClass; must be less than MonthlyDays. 0 leaves them. Default: 0. */
  readonly GlacierAfterDays?: number;
  /** GLACIER_IR can be restored at once. The other two have to be asked back from S3 before a restore, which takes hours. Default: "GLACIER_IR". */
  readonly GlacierClass?: "GLACIER_IR" | "GLACIER" | "DEEP_ARCHIVE";
  /** Object Lock of the bucket. COMPLIANCE cannot be undone by anybody, the account's root included. To be chosen when the stack is made. Default: "NONE". */
  readonly ObjectLockMode?: "NONE" | "GOVERNANCE" | "COMPLIANCE";
  /** Days that nobody can delete an object, with Object Lock. Default: 14. */
  readonly ObjectLockDays?: number;
  /** Name of a bucket for S3's access logs. Empty writes none. */
  readonly AccessLogBucket?: string;
  /** Name of a bucket in another region or account that gets a copy of every archive (infra/copies.yaml makes one). Empty copies none. */
  readonly ReplicaBucket?: string;
  /** ARN of the KMS key that encrypts the copies, in the region of ReplicaBucket. */
  readonly ReplicaKeyArn?: string;
  /** Number of the account of ReplicaBucket, which then owns the copies. Empty if it is this one. */
  readonly ReplicaAccount?: string;
  /** Storage class of the copies. GLACIER and DEEP_ARCHIVE have to be asked back from S3 before a restore, which takes hours. Default: "STANDARD". */
  readonly ReplicaClass?: "STANDARD" | "STANDARD_IA" | "ONEZONE_IA" | "GLACIER_IR" | "GLACIER" | "DEEP_ARCHIVE";
  /** ARN of a bucket with copies of these archives, below the same Prefix, from which restores may read. Empty reads none. */
  readonly SecondBucketArn?: string;
  /** ARN of the KMS key of that bucket. */
  readonly SecondKeyArn?: string;
  /** When the newest copy in that bucket is drilled, as DrillSchedule does with the archives. Its state and report are written beside the archives. Empty makes no schedule. */
  readonly CopyDrillSchedule?: string;
  /** Name of a bucket that is there already, in place of one that is made. Its versions, lifecycle, Object Lock and policy stay as they are. */
  readonly ExistingBucket?: string;
  /** ARN of a KMS key that is there already, in place of one that is made. Its policy has to allow what docs/DEPLOY.md says. */
  readonly ExistingKeyArn?: string;
  /** Address that is told of alarms, results and approvals (it has to confirm a mail first). Empty subscribes nobody. */
  readonly NotificationEmail?: string;
  /** ARN of a Secrets Manager secret whose text is the addresses of Slack, Teams, webhooks and watchdogs that are told, with white space between them (docs/DEPLOY.md). Empty tells nobody but the topic. */
  readonly NotifySecretArn?: string;
  /** ARN of a topic that is there already, in place of one that is made. Its policy has to let CloudWatch publish. */
  readonly ExistingTopicArn?: string;
  /** ARN of the KMS key of that topic, if it has one that is not ExistingKeyArn. */
  readonly ExistingTopicKeyArn?: string;
  /** The alarm rings when for so many hours no run has backed up every database whole, if backups are scheduled. Default: 26. */
  readonly HoursWithoutBackup?: number;
  /** The alarm rings when for so many minutes no increment was made, if they are scheduled. More than the time between two. Default: 10. */
  readonly MinutesWithoutIncrement?: number;
  /** The alarm rings when no drill has passed for so many days, if drills are scheduled. Default: 8. */
  readonly DaysWithoutDrill?: number;
  /** ARNs of the users or roles one of whom has to approve a plan of the runbook. Whoever starts it cannot choose them. Empty makes no runbook. */
  readonly Approvers?: string[];
  /** Whether "approved", "yes" or "confirm" in the input of the restore machine count as an approval. With false the plan is asked for in any case. Default: "false". */
  readonly AllowConsentInInput?: "false" | "true";
  /** Days that logs are kept. Default: 90. */
  readonly LogDays?: 1 | 3 | 5 | 7 | 14 | 30 | 60 | 90 | 120 | 150 | 180 | 365 | 400 | 545 | 731 | 1096 | 1827 | 2192 | 2557 | 2922 | 3288 | 3653;
  /** Private subnets from which the database is reached. Empty runs the functions outside any VPC. */
  readonly SubnetIds?: string[];
  /** Security groups of the functions, with subnets. */
  readonly SecurityGroupIds?: string[];
  /** The VPC of these subnets, to have the endpoints made in it that the functions need. Empty makes none. */
  readonly EndpointVpcId?: string;
  /** Route tables of these subnets, with EndpointVpcId. */
  readonly EndpointRouteTableIds?: string[];
  /** Memory of the backup function in MB; its processor is in proportion. Default: 1769. */
  readonly BackupMemory?: number;
  /** Memory of the restore function in MB; its processor is in proportion. Default: 1769. */
  readonly RestoreMemory?: number;
  /** Invocations of the backup function that are reserved for it, and the most of them at once. 0 reserves none. Default: 0. */
  readonly BackupConcurrency?: number;
  /** Invocations of the restore function that are reserved for it, and the most of them at once. 0 reserves none. Default: 0. */
  readonly RestoreConcurrency?: number;
  /** Processor of the functions. arm64 costs a fifth less; x86_64 needs no cross compiler on most machines. Default: "arm64". */
  readonly Architecture?: "arm64" | "x86_64";
  /** ARN of a policy that bounds every role of this stack, where the account demands one. Empty sets none. */
  readonly PermissionsBoundary?: string;
  /** How a new Release of the functions takes over. Canary and Linear are by CodeDeploy, which goes back when an alarm rings meanwhile. NoVersions calls what was deployed last. Default: "NoVersions". */
  readonly Deployment?: "NoVersions" | "AllAtOnce" | "Canary10Percent5Minutes" | "Canary10Percent10Minutes" | "Canary10Percent15Minutes" | "Canary10Percent30Minutes" | "Linear10PercentEvery1Minute" | "Linear10PercentEvery2Minutes" | "Linear10PercentEvery3Minutes" | "Linear10PercentEvery10Minutes";
  /** With any Deployment but NoVersions, the name of what is deployed now, such as a date or a commit. Nothing takes over, not even a parameter, without another Release. Default: "0". */
  readonly Release?: string;
  /** ARN of a code signing configuration of Lambda, by which only signed functions are deployed. Empty checks no signature. */
  readonly CodeSigningConfigArn?: string;
  /** The tag Project of everything that can be tagged. Give all other tags to the stack itself (sam deploy --tags). Default: "mongotar". */
  readonly Project?: string;
  /** What the functions log. Default: "info". */
  readonly LogLevel?: "error" | "warn" | "info" | "debug" | "trace";
  /** AWS_ENDPOINT_URL of the functions, for LocalStack and the like. Empty on AWS. */
  readonly EndpointUrl?: string;
}

/** What each has to be like; the template says the same to CloudFormation. */
export const CONSTRAINTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  CodeBucket: {},
  CodePrefix: {"AllowedPattern": "^([A-Za-z0-9._=-]+/)*$"},
  Database: {"AllowedPattern": "^(\\*|[^,\"\\\\/. $*]+(,[^,\"\\\\/. $*]+)*)$"},
  ConnectionSecretArn: {"AllowedPattern": "^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$"},
  RestoreConnectionSecretArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$"},
  DrillConnectionSecretArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$"},
  SecretKeyArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:kms:.+)?$"},
  CaBundleLayerArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:lambda:.+:layer:.+:[0-9]+)?$"},
  BackupSchedule: {"Default": "cron(0 2 * * ? *)"},
  IncrementSchedule: {"Default": ""},
  CompactSchedule: {"Default": ""},
  DrillSchedule: {"Default": "cron(0 5 ? * SUN *)"},
  DrillDatabase: {"Default": "", "AllowedPattern": "^[^,\"\\\\/. $*]*$"},
  TimeZone: {"Default": "UTC"},
  Lanes: {"Default": 4, "MinValue": 1, "MaxValue": 20},
  BucketName: {"Default": ""},
  Prefix: {"Default": "mongodb/", "AllowedPattern": "^([A-Za-z0-9_=-][A-Za-z0-9._=-]*/)*$"},
  Retention: {"Default": "auto", "AllowedValues": ["auto", "daily", "weekly", "monthly", "yearly"]},
  DailyDays: {"Default": 14, "MinValue": 1},
  WeeklyDays: {"Default": 60, "MinValue": 1},
  MonthlyDays: {"Default": 400, "MinValue": 1},
  YearlyDays: {"Default": 2557, "MinValue": 1},
  NoncurrentDays: {"Default": 7, "MinValue": 1},
  GlacierAfterDays: {"Default": 0, "MinValue": 0},
  GlacierClass: {"Default": "GLACIER_IR", "AllowedValues": ["GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"]},
  ObjectLockMode: {"Default": "NONE", "AllowedValues": ["NONE", "GOVERNANCE", "COMPLIANCE"]},
  ObjectLockDays: {"Default": 14, "MinValue": 1},
  AccessLogBucket: {"Default": ""},
  ReplicaBucket: {"Default": "", "AllowedPattern": "^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$"},
  ReplicaKeyArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$"},
  ReplicaAccount: {"Default": "", "AllowedPattern": "^([0-9]{12})?$"},
  ReplicaClass: {"Default": "STANDARD", "AllowedValues": ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"]},
  SecondBucketArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:s3:::[a-z0-9.-]+)?$"},
  SecondKeyArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$"},
  CopyDrillSchedule: {"Default": ""},
  ExistingBucket: {"Default": "", "AllowedPattern": "^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$"},
  ExistingKeyArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$"},
  NotificationEmail: {"Default": ""},
  NotifySecretArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$"},
  ExistingTopicArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+)?$"},
  ExistingTopicKeyArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$"},
  HoursWithoutBackup: {"Default": 26, "MinValue": 1, "MaxValue": 168},
  MinutesWithoutIncrement: {"Default": 10, "MinValue": 2, "MaxValue": 1440},
  DaysWithoutDrill: {"Default": 8, "MinValue": 1, "MaxValue": 58},
  Approvers: {"Default": ""},
  AllowConsentInInput: {"Default": "false", "AllowedValues": ["false", "true"]},
  LogDays: {"Default": 90, "AllowedValues": [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]},
  SubnetIds: {"Default": ""},
  SecurityGroupIds: {"Default": ""},
  EndpointVpcId: {"Default": "", "AllowedPattern": "^(vpc-[0-9a-f]+)?$"},
  EndpointRouteTableIds: {"Default": ""},
  BackupMemory: {"Default": 1769, "MinValue": 512, "MaxValue": 10240},
  RestoreMemory: {"Default": 1769, "MinValue": 512, "MaxValue": 10240},
  BackupConcurrency: {"Default": 0, "MinValue": 0},
  RestoreConcurrency: {"Default": 0, "MinValue": 0},
  Architecture: {"Default": "arm64", "AllowedValues": ["arm64", "x86_64"]},
  PermissionsBoundary: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:iam::.+:policy/.+)?$"},
  Deployment: {"Default": "NoVersions", "AllowedValues": ["NoVersions", "AllAtOnce", "Canary10Percent5Minutes", "Canary10Percent10Minutes", "Canary10Percent15Minutes", "Canary10Percent30Minutes", "Linear10PercentEvery1Minute", "Linear10PercentEvery2Minutes", "Linear10PercentEvery3Minutes", "Linear10PercentEvery10Minutes"]},
  Release: {"Default": "0", "AllowedPattern": "^[A-Za-z0-9._-]{1,64}$"},
  CodeSigningConfigArn: {"Default": "", "AllowedPattern": "^(arn:aws[a-z-]*:lambda:.+:code-signing-config:csc-.+)?$"},
  Project: {"Default": "mongotar", "AllowedPattern": "^[A-Za-z0-9 _.:/=+@-]{1,128}$"},
  LogLevel: {"Default": "info", "AllowedValues": ["error", "warn", "info", "debug", "trace"]},
  EndpointUrl: {"Default": "", "AllowedPattern": "^(https?://.+)?$"},
};
