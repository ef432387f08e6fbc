# Made from template.yaml by infra/releasing/bindings.py: change it there.

variable "code_bucket" {
  type        = string
  description = "Name of the bucket, in this region, into which the files of the release were copied."
}

variable "code_prefix" {
  type        = string
  description = "Folder of the files of the release in that bucket, with / at its end."

  validation {
    condition     = can(regex("^([A-Za-z0-9._=-]+/)*$", var.code_prefix))
    error_message = "It has to match ^([A-Za-z0-9._=-]+/)*$."
  }
}

variable "database" {
  type        = string
  description = "The database; or several, separated by commas without spaces, or * for all but admin, local and config. Each of several has a folder of its own."

  validation {
    condition     = can(regex("^(\\*|[^,\"\\\\/. $*]+(,[^,\"\\\\/. $*]+)*)$", var.database))
    error_message = "It has to match ^(\\*|[^,\"\\\\/. $*]+(,[^,\"\\\\/. $*]+)*)$."
  }
}

variable "connection_secret_arn" {
  type        = string
  description = "ARN of the Secrets Manager secret whose text is the connection string (mongodb:// or mongodb+srv://). A user that may read is enough for backups."

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.connection_secret_arn))
    error_message = "It has to match ^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$."
  }
}

variable "restore_connection_secret_arn" {
  type        = string
  description = "ARN of a secret with a connection string that may write, for restores. Empty takes that of the backups."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$", var.restore_connection_secret_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$."
  }
}

variable "drill_connection_secret_arn" {
  type        = string
  description = "ARN of a secret with the connection string of the cluster that drills restore into, best another one than the one that is backed up. Empty schedules no drills."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$", var.drill_connection_secret_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$."
  }
}

variable "secret_key_arn" {
  type        = string
  description = "ARN of the KMS key that encrypts these secrets. Empty where it is the account's aws/secretsmanager."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:.+)?$", var.secret_key_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:kms:.+)?$."
  }
}

variable "ca_bundle_layer_arn" {
  type        = string
  description = "ARN with version of a layer that holds a CA bundle, as DocumentDB needs (/opt/global-bundle.pem, named by tlsCAFile in the connection string)."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:lambda:.+:layer:.+:[0-9]+)?$", var.ca_bundle_layer_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:lambda:.+:layer:.+:[0-9]+)?$."
  }
}

variable "backup_schedule" {
  type        = string
  description = "When backups are made, cron(...) or rate(...). Empty makes no schedule."
  default     = "cron(0 2 * * ? *)"
}

variable "increment_schedule" {
  type        = string
  description = "When increments are made between backups, such as rate(1 minute). Empty makes none. They need a replica set or a sharded cluster of MongoDB 5.0 or later, and a user that may read changes."
  default     = ""
}

variable "compact_schedule" {
  type        = string
  description = "When the increments since the last full archive are made a full archive, without reading the database, such as cron(0 4 * * ? *). Empty never does."
  default     = ""
}

variable "drill_schedule" {
  type        = string
  description = "When the newest archive is restored into a scratch database, compared and dropped, if DrillConnectionSecretArn says where. Empty makes no schedule."
  default     = "cron(0 5 ? * SUN *)"
}

variable "drill_database" {
  type        = string
  description = "With several databases, the one whose newest archive the drill takes; without it no drill is scheduled then. Empty for one database."
  default     = ""

  validation {
    condition     = can(regex("^[^,\"\\\\/. $*]*$", var.drill_database))
    error_message = "It has to match ^[^,\"\\\\/. $*]*$."
  }
}

variable "time_zone" {
  type        = string
  description = "The time zone of the schedules. Retention classes go by UTC."
  default     = "UTC"
}

variable "lanes" {
  type        = number
  description = "How many invocations share the backup of one large database at most."
  default     = 4

  validation {
    condition     = var.lanes >= 1
    error_message = "It has to be 1 at least."
  }

  validation {
    condition     = var.lanes <= 20
    error_message = "It has to be 20 at most."
  }
}

variable "bucket_name" {
  type        = string
  description = "Name of the bucket that is made. Empty lets CloudFormation choose one."
  default     = ""
}

variable "prefix" {
  type        = string
  description = "Folder of the archives in that bucket, with / at its end; empty for none."
  default     = "mongodb/"

  validation {
    condition     = can(regex("^([A-Za-z0-9_=-][A-Za-z0-9._=-]*/)*$", var.prefix))
    error_message = "It has to match ^([A-Za-z0-9_=-][A-Za-z0-9._=-]*/)*$."
  }
}

variable "retention" {
  type        = string
  description = "The class of scheduled backups. auto is yearly on 1 January, monthly on the 1st, weekly on Sundays, else daily."
  default     = "auto"

  validation {
    condition     = contains(["auto", "daily", "weekly", "monthly", "yearly"], var.retention)
    error_message = "It has to be one of auto, daily, weekly, monthly, yearly."
  }
}

variable "daily_days" {
  type        = number
  description = "Days that a daily archive is kept. Snapshots that restores take are daily, too."
  default     = 14

  validation {
    condition     = var.daily_days >= 1
    error_message = "It has to be 1 at least."
  }
}

variable "weekly_days" {
  type        = number
  description = "Days that a weekly archive is kept."
  default     = 60

  validation {
    condition     = var.weekly_days >= 1
    error_message = "It has to be 1 at least."
  }
}

variable "monthly_days" {
  type        = number
  description = "Days that a monthly archive is kept."
  default     = 400

  validation {
    condition     = var.monthly_days >= 1
    error_message = "It has to be 1 at least."
  }
}

variable "yearly_days" {
  type        = number
  description = "Days that a yearly archive is kept."
  default     = 2557

  validation {
    condition     = var.yearly_days >= 1
    error_message = "It has to be 1 at least."
  }
}

variable "noncurrent_days" {
  type        = number
  description = "Days that an archive can be brought back after it was deleted or has expired."
  default     = 7

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "It has to be 1 at least."
  }
}

variable "glacier_after_days" {
  type        = number
  description = "Days after which monthly and yearly archives move to GlacierClass; must be less than MonthlyDays. 0 leaves them."
  default     = 0

  validation {
    condition     = var.glacier_after_days >= 0
    error_message = "It has to be 0 at least."
  }
}

variable "glacier_class" {
  type        = string
  description = "GLACIER_IR can be restored at once. The other two have to be asked back from S3 before a restore, which takes hours."
  default     = "GLACIER_IR"

  validation {
    condition     = contains(["GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"], var.glacier_class)
    error_message = "It has to be one of GLACIER_IR, GLACIER, DEEP_ARCHIVE."
  }
}

variable "object_lock_mode" {
  type        = string
  description = "Object Lock of the bucket. COMPLIANCE cannot be undone by anybody, the account's root included. To be chosen when the stack is made."
  default     = "NONE"

  validation {
    condition     = contains(["NONE", "GOVERNANCE", "COMPLIANCE"], var.object_lock_mode)
    error_message = "It has to be one of NONE, GOVERNANCE, COMPLIANCE."
  }
}

variable "object_lock_days" {
  type        = number
  description = "Days that nobody can delete an object, with Object Lock."
  default     = 14

  validation {
    condition     = var.object_lock_days >= 1
    error_message = "It has to be 1 at least."
  }
}

variable "access_log_bucket" {
  type        = string
  description = "Name of a bucket for S3's access logs. Empty writes none."
  default     = ""
}

variable "replica_bucket" {
  type        = string
  description = "Name of a bucket in another region or account that gets a copy of every archive (infra/copies.yaml makes one). Empty copies none."
  default     = ""

  validation {
    condition     = can(regex("^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$", var.replica_bucket))
    error_message = "It has to match ^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$."
  }
}

variable "replica_key_arn" {
  type        = string
  description = "ARN of the KMS key that encrypts the copies, in the region of ReplicaBucket."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$", var.replica_key_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$."
  }
}

variable "replica_account" {
  type        = string
  description = "Number of the account of ReplicaBucket, which then owns the copies. Empty if it is this one."
  default     = ""

  validation {
    condition     = can(regex("^([0-9]{12})?$", var.replica_account))
    error_message = "It has to match ^([0-9]{12})?$."
  }
}

variable "replica_class" {
  type        = string
  description = "Storage class of the copies. GLACIER and DEEP_ARCHIVE have to be asked back from S3 before a restore, which takes hours."
  default     = "STANDARD"

  validation {
    condition     = contains(["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"], var.replica_class)
    error_message = "It has to be one of STANDARD, STANDARD_IA, ONEZONE_IA, GLACIER_IR, GLACIER, DEEP_ARCHIVE."
  }
}

variable "second_bucket_arn" {
  type        = string
  description = "ARN of a bucket with copies of these archives, below the same Prefix, from which restores may read. Empty reads none."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:s3:::[a-z0-9.-]+)?$", var.second_bucket_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:s3:::[a-z0-9.-]+)?$."
  }
}

variable "second_key_arn" {
  type        = string
  description = "ARN of the KMS key of that bucket."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$", var.second_key_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$."
  }
}

variable "copy_drill_schedule" {
  type        = string
  description = "When the newest copy in that bucket is drilled, as DrillSchedule does with the archives. Its state and report are written beside the archives. Empty makes no schedule."
  default     = ""
}

variable "existing_bucket" {
  type        = string
  description = "Name of a bucket that is there already, in place of one that is made. Its versions, lifecycle, Object Lock and policy stay as they are."
  default     = ""

  validation {
    condition     = can(regex("^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$", var.existing_bucket))
    error_message = "It has to match ^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$."
  }
}

variable "existing_key_arn" {
  type        = string
  description = "ARN of a KMS key that is there already, in place of one that is made. Its policy has to allow what docs/DEPLOY.md says."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$", var.existing_key_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$."
  }
}

variable "notification_email" {
  type        = string
  description = "Address that is told of alarms, results and approvals (it has to confirm a mail first). Empty subscribes nobody."
  default     = ""
}

variable "notify_secret_arn" {
  type        = string
  description = "ARN of a Secrets Manager secret whose text is the addresses of Slack, Teams, webhooks and watchdogs that are told, with white space between them (docs/DEPLOY.md). Empty tells nobody but the topic."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$", var.notify_secret_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?$."
  }
}

variable "existing_topic_arn" {
  type        = string
  description = "ARN of a topic that is there already, in place of one that is made. Its policy has to let CloudWatch publish."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+)?$", var.existing_topic_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+)?$."
  }
}

variable "existing_topic_key_arn" {
  type        = string
  description = "ARN of the KMS key of that topic, if it has one that is not ExistingKeyArn."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$", var.existing_topic_key_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$."
  }
}

variable "hours_without_backup" {
  type        = number
  description = "The alarm rings when for so many hours no run has backed up every database whole, if backups are scheduled."
  default     = 26

  validation {
    condition     = var.hours_without_backup >= 1
    error_message = "It has to be 1 at least."
  }

  validation {
    condition     = var.hours_without_backup <= 168
    error_message = "It has to be 168 at most."
  }
}

variable "minutes_without_increment" {
  type        = number
  description = "The alarm rings when for so many minutes no increment was made, if they are scheduled. More than the time between two."
  default     = 10

  validation {
    condition     = var.minutes_without_increment >= 2
    error_message = "It has to be 2 at least."
  }

  validation {
    condition     = var.minutes_without_increment <= 1440
    error_message = "It has to be 1440 at most."
  }
}

variable "days_without_drill" {
  type        = number
  description = "The alarm rings when no drill has passed for so many days, if drills are scheduled."
  default     = 8

  validation {
    condition     = var.days_without_drill >= 1
    error_message = "It has to be 1 at least."
  }

  validation {
    condition     = var.days_without_drill <= 58
    error_message = "It has to be 58 at most."
  }
}

variable "approvers" {
  type        = list(string)
  description = "ARNs of the users or roles one of whom has to approve a plan of the runbook. Whoever starts it cannot choose them. Empty makes no runbook."
  default     = []
}

variable "allow_consent_in_input" {
  type        = string
  description = "Whether \"approved\", \"yes\" or \"confirm\" in the input of the restore machine count as an approval. With false the plan is asked for in any case."
  default     = "false"

  validation {
    condition     = contains(["false", "true"], var.allow_consent_in_input)
    error_message = "It has to be one of false, true."
  }
}

variable "log_days" {
  type        = number
  description = "Days that logs are kept."
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "It has to be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "subnet_ids" {
  type        = list(string)
  description = "Private subnets from which the database is reached. Empty runs the functions outside any VPC."
  default     = []
}

variable "security_group_ids" {
  type        = list(string)
  description = "Security groups of the functions, with subnets."
  default     = []
}

variable "endpoint_vpc_id" {
  type        = string
  description = "The VPC of these subnets, to have the endpoints made in it that the functions need. Empty makes none."
  default     = ""

  validation {
    condition     = can(regex("^(vpc-[0-9a-f]+)?$", var.endpoint_vpc_id))
    error_message = "It has to match ^(vpc-[0-9a-f]+)?$."
  }
}

variable "endpoint_route_table_ids" {
  type        = list(string)
  description = "Route tables of these subnets, with EndpointVpcId."
  default     = []
}

variable "backup_memory" {
  type        = number
  description = "Memory of the backup function in MB; its processor is in proportion."
  default     = 1769

  validation {
    condition     = var.backup_memory >= 512
    error_message = "It has to be 512 at least."
  }

  validation {
    condition     = var.backup_memory <= 10240
    error_message = "It has to be 10240 at most."
  }
}

variable "restore_memory" {
  type        = number
  description = "Memory of the restore function in MB; its processor is in proportion."
  default     = 1769

  validation {
    condition     = var.restore_memory >= 512
    error_message = "It has to be 512 at least."
  }

  validation {
    condition     = var.restore_memory <= 10240
    error_message = "It has to be 10240 at most."
  }
}

variable "backup_concurrency" {
  type        = number
  description = "Invocations of the backup function that are reserved for it, and the most of them at once. 0 reserves none."
  default     = 0

  validation {
    condition     = var.backup_concurrency >= 0
    error_message = "It has to be 0 at least."
  }
}

variable "restore_concurrency" {
  type        = number
  description = "Invocations of the restore function that are reserved for it, and the most of them at once. 0 reserves none."
  default     = 0

  validation {
    condition     = var.restore_concurrency >= 0
    error_message = "It has to be 0 at least."
  }
}

variable "architecture" {
  type        = string
  description = "Processor of the functions. arm64 costs a fifth less; x86_64 needs no cross compiler on most machines."
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "It has to be one of arm64, x86_64."
  }
}

variable "permissions_boundary" {
  type        = string
  description = "ARN of a policy that bounds every role of this stack, where the account demands one. Empty sets none."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:iam::.+:policy/.+)?$", var.permissions_boundary))
    error_message = "It has to match ^(arn:aws[a-z-]*:iam::.+:policy/.+)?$."
  }
}

variable "deployment" {
  type        = string
  description = "How a new Release of the functions takes over. Canary and Linear are by CodeDeploy, which goes back when an alarm rings meanwhile. NoVersions calls what was deployed last."
  default     = "NoVersions"

  validation {
    condition     = contains(["NoVersions", "AllAtOnce", "Canary10Percent5Minutes", "Canary10Percent10Minutes", "Canary10Percent15Minutes", "Canary10Percent30Minutes", "Linear10PercentEvery1Minute", "Linear10PercentEvery2Minutes", "Linear10PercentEvery3Minutes", "Linear10PercentEvery10Minutes"], var.deployment)
    error_message = "It has to be one of NoVersions, AllAtOnce, Canary10Percent5Minutes, Canary10Percent10Minutes, Canary10Percent15Minutes, Canary10Percent30Minutes, Linear10PercentEvery1Minute, Linear10PercentEvery2Minutes, Linear10PercentEvery3Minutes, Linear10PercentEvery10Minutes."
  }
}

variable "release" {
  type        = string
  description = "With any Deployment but NoVersions, the name of what is deployed now, such as a date or a commit. Nothing takes over, not even a parameter, without another Release."
  default     = "0"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,64}$", var.release))
    error_message = "It has to match ^[A-Za-z0-9._-]{1,64}$."
  }
}

variable "code_signing_config_arn" {
  type        = string
  description = "ARN of a code signing configuration of Lambda, by which only signed functions are deployed. Empty checks no signature."
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:lambda:.+:code-signing-config:csc-.+)?$", var.code_signing_config_arn))
    error_message = "It has to match ^(arn:aws[a-z-]*:lambda:.+:code-signing-config:csc-.+)?$."
  }
}

variable "project" {
  type        = string
  description = "The tag Project of everything that can be tagged. Give all other tags to the stack itself (sam deploy --tags)."
  default     = "mongotar"

  validation {
    condition     = can(regex("^[A-Za-z0-9 _.:/=+@-]{1,128}$", var.project))
    error_message = "It has to match ^[A-Za-z0-9 _.:/=+@-]{1,128}$."
  }
}

variable "log_level" {
  type        = string
  description = "What the functions log."
  default     = "info"

  validation {
    condition     = contains(["error", "warn", "info", "debug", "trace"], var.log_level)
    error_message = "It has to be one of error, warn, info, debug, trace."
  }
}

variable "endpoint_url" {
  type        = string
  description = "AWS_ENDPOINT_URL of the functions, for LocalStack and the like. Empty on AWS."
  default     = ""

  validation {
    condition     = can(regex("^(https?://.+)?$", var.endpoint_url))
    error_message = "It has to match ^(https?://.+)?$."
  }
}

locals {
  # What the template is given: the names are its own.
  parameters = {
    CodeBucket                 = tostring(var.code_bucket)
    CodePrefix                 = tostring(var.code_prefix)
    Database                   = tostring(var.database)
    ConnectionSecretArn        = tostring(var.connection_secret_arn)
    RestoreConnectionSecretArn = tostring(var.restore_connection_secret_arn)
    DrillConnectionSecretArn   = tostring(var.drill_connection_secret_arn)
    SecretKeyArn               = tostring(var.secret_key_arn)
    CaBundleLayerArn           = tostring(var.ca_bundle_layer_arn)
    BackupSchedule             = tostring(var.backup_schedule)
    IncrementSchedule          = tostring(var.increment_schedule)
    CompactSchedule            = tostring(var.compact_schedule)
    DrillSchedule              = tostring(var.drill_schedule)
    DrillDatabase              = tostring(var.drill_database)
    TimeZone                   = tostring(var.time_zone)
    Lanes                      = tostring(var.lanes)
    BucketName                 = tostring(var.bucket_name)
    Prefix                     = tostring(var.prefix)
    Retention                  = tostring(var.retention)
    DailyDays                  = tostring(var.daily_days)
    WeeklyDays                 = tostring(var.weekly_days)
    MonthlyDays                = tostring(var.monthly_days)
    YearlyDays                 = tostring(var.yearly_days)
    NoncurrentDays             = tostring(var.noncurrent_days)
    GlacierAfterDays           = tostring(var.glacier_after_days)
    GlacierClass               = tostring(var.glacier_class)
    ObjectLockMode             = tostring(var.object_lock_mode)
    ObjectLockDays             = tostring(var.object_lock_days)
    AccessLogBucket            = tostring(var.access_log_bucket)
    ReplicaBucket              = tostring(var.replica_bucket)
    ReplicaKeyArn              = tostring(var.replica_key_arn)
    ReplicaAccount             = tostring(var.replica_account)
    ReplicaClass               = tostring(var.replica_class)
    SecondBucketArn            = tostring(var.second_bucket_arn)
    SecondKeyArn               = tostring(var.second_key_arn)
    CopyDrillSchedule          = tostring(var.copy_drill_schedule)
    ExistingBucket             = tostring(var.existing_bucket)
    ExistingKeyArn             = tostring(var.existing_key_arn)
    NotificationEmail          = tostring(var.notification_email)
    NotifySecretArn            = tostring(var.notify_secret_arn)
    ExistingTopicArn           = tostring(var.existing_topic_arn)
    ExistingTopicKeyArn        = tostring(var.existing_topic_key_arn)
    HoursWithoutBackup         = tostring(var.hours_without_backup)
    MinutesWithoutIncrement    = tostring(var.minutes_without_increment)
    DaysWithoutDrill           = tostring(var.days_without_drill)
    Approvers                  = join(",", var.approvers)
    AllowConsentInInput        = tostring(var.allow_consent_in_input)
    LogDays                    = tostring(var.log_days)
    SubnetIds                  = join(",", var.subnet_ids)
    SecurityGroupIds           = join(",", var.security_group_ids)
    EndpointVpcId              = tostring(var.endpoint_vpc_id)
    EndpointRouteTableIds      = join(",", var.endpoint_route_table_ids)
    BackupMemory               = tostring(var.backup_memory)
    RestoreMemory              = tostring(var.restore_memory)
    BackupConcurrency          = tostring(var.backup_concurrency)
    RestoreConcurrency         = tostring(var.restore_concurrency)
    Architecture               = tostring(var.architecture)
    PermissionsBoundary        = tostring(var.permissions_boundary)
    Deployment                 = tostring(var.deployment)
    Release                    = tostring(var.release)
    CodeSigningConfigArn       = tostring(var.code_signing_config_arn)
    Project                    = tostring(var.project)
    LogLevel                   = tostring(var.log_level)
    EndpointUrl                = tostring(var.endpoint_url)
  }
}
