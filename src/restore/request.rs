//! What a caller asks of a restore, and the resulting job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backup::Retention;
use crate::catalog::Selection;
use crate::choice::ArchiveChoice;
use crate::config::{Environment, check_request, read_request};
use crate::failure::{Failure, FailureKind};
use crate::plan::{Existing, Extra, Inference, Policy, Rename, Ttl, Validators};
use crate::run::Run;
use crate::store::Location;

/// How many documents go into one insert command at most, where nothing is said: the ancestor's number.
const BATCH_SIZE: u32 = 1000;
/// How many documents the sample hash covers, where nothing is said.
const VERIFY_SAMPLE: u32 = 100;
/// How long a restore that does not answer is believed to live. A process that stands still for longer has lost its
/// lock.
const LOCK_LEASE: Duration = Duration::from_secs(30);
/// The same between two invocations of a run: a retry may be minutes away.
const RUN_LEASE: Duration = Duration::from_secs(15 * 60);
/// The largest batch that a server takes (`maxWriteBatchSize`).
const MAX_BATCH_SIZE: u32 = 100_000;

/// The event of the restore handler. Unknown fields are refused by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RestoreRequest {
    /// Which archive: `s3://bucket/prefix/backup_….tar.zst`, a path, or `{"latest": "s3://bucket/prefix/"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveChoice>,
    /// Which database (or folder) of the archive, where a dump of others holds several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_database: Option<String>,
    /// The database to restore into; `MONGO_DB` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Collections that get another name: `["orders=orders_copy"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<String>,
    /// Globs of collections; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs of collections to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Indexes to leave out: `["places.near"]`, as collection.index by the names in the archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_indexes: Vec<String>,
    /// Plan and change nothing.
    pub dry_run: bool,
    /// Consent to one plan: the `confirm` of its dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// Consent to whatever the plan is.
    pub yes: bool,
    /// Put documents in past the validators.
    pub force: bool,
    /// Collections that are there become what the archive holds, instead of being merged into.
    pub replace_existing: bool,
    /// Collections that only the target has stay.
    pub keep_extra: bool,
    /// Collections that only the target has are dropped also where the archive does not say that it is whole (a dump of
    /// `mongodump`, files of `mongoexport`). Not together with `keep_extra`; nothing is dropped where only a part is
    /// restored, or where something of the archive was not read.
    pub drop_missing: bool,
    /// Documents do not expire until somebody switches that on: indexes, time series and clustered collections are made
    /// without time to live, and plan and report have the commands that switch it on.
    pub park_ttl: bool,
    /// Whether the target is backed up first (default true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<bool>,
    /// Where that backup goes; `pre-restore/` beside the archive where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_to: Option<String>,
    /// Whether time series are recognised without metadata (default true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_timeseries: Option<bool>,
    /// How many documents go into one insert command at most (default 1000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// How many documents the sample hash covers (default 100).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_sample_size: Option<u32>,
    /// Among how many workers the load is divided (action `begin`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// Which of their shares this invocation loads (action `load`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<u32>,
    /// Which run this event belongs to. The same run again goes on where the last invocation stopped, or finds what
    /// came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// What allows a restore to change something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consent {
    /// Nothing yet.
    None,
    /// To the plan with this token.
    Token(String),
    /// To any plan.
    Yes,
}

/// How the restore can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WayBack {
    /// A backup of the target first, into this folder or beside the archive.
    Snapshot(Option<Location>),
    /// Nothing: the caller waived it.
    Waived,
}

/// A request with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreJob {
    /// Which archive.
    pub archive: ArchiveChoice,
    /// Which of its databases, if it holds several.
    pub source_database: Option<String>,
    /// What to do with it.
    pub policy: Policy,
    /// Whether it may be.
    pub consent: Consent,
    /// How it can be undone.
    pub way_back: WayBack,
    /// The retention class to tag the way back with; none means no tag.
    pub retention: Option<Retention>,
    /// How many documents go into one insert command at most.
    pub batch_size: u32,
    /// How many documents the sample hash covers.
    pub verify_sample_size: u32,
    /// How long the lock of the target outlives a restore that died.
    pub lock_lease: Duration,
    /// How long a run's lock outlives an invocation: others wait that long for the next one.
    pub run_lease: Duration,
}

impl RestoreRequest {
    /// Reads an event: a request, or an EventBridge event whose `detail` is one.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`], with the name of the field that is not known.
    pub fn from_event(event: serde_json::Value) -> Result<Self, Failure> {
        read_request(event, "restore")
    }

    /// Fills in defaults. A job has no `dry_run`: the caller obeys it by calling only [`prepare`](super::prepare).
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`] or [`FailureKind::InvalidRequest`].
    pub fn into_job(self, environment: &Environment) -> Result<RestoreJob, Failure> {
        check_request(&self)?;
        environment.check()?;
        let archive = self.archive.ok_or_else(|| {
            Failure::new(
                FailureKind::ConfigurationMissing,
                "no archive: give \"archive\" as s3://bucket/prefix/backup_….tar.zst, a path, or {\"latest\": \"s3://bucket/prefix/\"}",
            )
        })?;
        let rename = self
            .rename
            .iter()
            .map(|text| text.parse::<Rename>())
            .collect::<Result<Vec<_>, _>>();
        let batch_size = self.batch_size.unwrap_or(BATCH_SIZE);
        if !(1..=MAX_BATCH_SIZE).contains(&batch_size) {
            return Err(Failure::invalid(format!(
                "batch_size is {batch_size}: use 1 to {MAX_BATCH_SIZE}"
            )));
        }
        Ok(RestoreJob {
            retention: Retention::of_environment(environment)?,
            archive,
            source_database: self.source_database,
            policy: Policy {
                database: environment.database(self.database)?,
                selection: Selection {
                    include: self.include,
                    exclude: self.exclude,
                },
                exclude_indexes: self.exclude_indexes,
                rename: rename.map_err(|error| Failure::invalid(error.to_string()))?,
                existing: if self.replace_existing {
                    Existing::Replace
                } else {
                    Existing::Merge
                },
                extra: match (self.keep_extra, self.drop_missing) {
                    (false, false) => Extra::Drop,
                    (false, true) => Extra::DropMissing,
                    (true, false) => Extra::Keep,
                    (true, true) => {
                        return Err(Failure::invalid(
                            "keep_extra (--keep-extra) and drop_missing (--drop-missing) contradict each other: give one of them",
                        ));
                    }
                },
                validators: if self.force {
                    Validators::Bypass
                } else {
                    Validators::Enforce
                },
                inference: if self.infer_timeseries.unwrap_or(true) {
                    Inference::On
                } else {
                    Inference::Off
                },
                ttl: match self.park_ttl {
                    true => Ttl::Parked,
                    false => Ttl::On,
                },
            },
            consent: match (self.yes, self.confirm) {
                // A token is the narrower consent, so it counts where both are given.
                (_, Some(token)) => Consent::Token(token),
                (true, None) => Consent::Yes,
                (false, None) => Consent::None,
            },
            way_back: if self.snapshot.unwrap_or(true) {
                WayBack::Snapshot(self.snapshot_to.map(|to| to.parse()).transpose()?)
            } else {
                WayBack::Waived
            },
            batch_size,
            verify_sample_size: self.verify_sample_size.unwrap_or(VERIFY_SAMPLE),
            lock_lease: LOCK_LEASE,
            run_lease: RUN_LEASE,
        })
    }
}

impl RestoreJob {
    /// What tells two requests apart, but for the run they belong to and the consent that they bring.
    pub(super) fn fingerprint(&self) -> String {
        let way_back = match &self.way_back {
            WayBack::Snapshot(folder) => serde_json::json!({"snapshot": folder}),
            WayBack::Waived => serde_json::json!("waived"),
        };
        let asked = serde_json::json!([
            self.archive,
            self.source_database,
            self.policy,
            way_back,
            self.batch_size,
            self.verify_sample_size
        ]);
        blake3::hash(asked.to_string().as_bytes()).to_hex().to_string()
    }
}
