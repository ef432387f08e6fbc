//! What a caller asks for, and the resulting job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::retention::Retention;
use crate::archive::{Compression, Payload, TakenUsers};
use crate::catalog::Selection;
use crate::config::{Environment, check_request};
use crate::failure::{Failure, FailureKind};
use crate::run::Run;
use crate::store::Location;

/// The event of the backup handler. Every field can be left out: the environment fills in what it knows. Unknown fields
/// are refused by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BackupRequest {
    /// The database, a list of them, or `*` for all that there are; `MONGO_DB` where it is left out. Of a list or of
    /// `*` each has a folder of its own below the destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Databases>,
    /// The folder for the archive, `s3://bucket/prefix/` or a path; `MONGOTAR_TO` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Globs of collections; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs of collections to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// `jsonl` (default) or `bson`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// `zstd` (default), `gzip` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Documents over several lines, for reading by people.
    pub pretty: bool,
    /// `auto` (default) or `require`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencyDemand>,
    /// A class by which the bucket expires archives: `auto`, `daily`, `weekly`, `monthly` or `yearly`;
    /// `MONGOTAR_RETENTION` where it is left out, else no tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Only what changed since the newest archive in the folder, as an increment of its chain; where there is none that
    /// can be continued, a full backup, which begins one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incremental: bool,
    /// With `incremental`: a full backup where the chain's full one is older than this: `7d`, `12h`, `30m`, `90s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_every: Option<String>,
    /// With `incremental`: fail where there is no chain to continue, instead of making a full backup. For who makes
    /// increments often, and full backups by other means.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_full: bool,
    /// Which run this event belongs to. The same run again goes on with what an earlier invocation has begun, or finds
    /// what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// How many workers may write the archive at the most (action `plan`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u32>,
    /// Which of them this invocation is (action `lane`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<u32>,
}

/// One database or several, as a request names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a name, a list of names, or \"*\"")]
#[non_exhaustive]
pub enum Databases {
    /// This one; `*` for all.
    One(String),
    /// These.
    Several(Vec<String>),
}

impl From<&str> for Databases {
    fn from(name: &str) -> Self {
        Self::One(name.to_owned())
    }
}

/// Which databases are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseChoice {
    /// This one.
    One(String),
    /// These.
    These(Vec<String>),
    /// All that there are but the server's own.
    All,
}

/// A request for one database or for several, with nothing else left open.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupOrder {
    /// Which databases.
    pub databases: DatabaseChoice,
    /// The job, as it is for one database.
    pub(super) job: BackupJob,
}

impl BackupOrder {
    /// The job for one of several databases.
    pub fn job_of(&self, database: String) -> BackupJob {
        BackupJob {
            // A folder's key ends in a slash.
            destination: self.job.destination.join(&match self.job.destination {
                Location::S3 { .. } => format!("{database}/"),
                Location::Local(_) => database.clone(),
            }),
            database,
            ..self.job.clone()
        }
    }

    /// The job, if it is for one database.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] if it is for several.
    pub fn single(self) -> Result<BackupJob, Failure> {
        match self.databases {
            DatabaseChoice::One(_) => Ok(self.job),
            _ => Err(Failure::invalid("one database is expected here: give its name")),
        }
    }
}

/// What happens where no snapshot can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ConsistencyDemand {
    /// The best that can be had; the manifest says what that was.
    #[default]
    Auto,
    /// One cluster time for every collection, or no archive.
    Require,
}

impl std::str::FromStr for ConsistencyDemand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "require" => Ok(Self::Require),
            _ => Err(format!("unknown consistency {text:?}: use auto or require")),
        }
    }
}

/// A request with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupJob {
    /// The database.
    pub database: String,
    /// The folder for the archive.
    pub destination: Location,
    /// Which collections.
    pub selection: Selection,
    /// How documents are written.
    pub payload: Payload,
    /// How the archive is compressed.
    pub compression: Compression,
    /// Whether documents span lines.
    pub pretty: bool,
    /// The consistency to demand.
    pub consistency: ConsistencyDemand,
    /// The retention class to tag the archive's objects with; none means no tag.
    pub retention: Option<Retention>,
    /// Whether only what changed since the newest archive in the folder is saved, if that can be continued.
    pub incremental: bool,
    /// How old the full archive of a chain may be that an increment continues.
    pub full_every: Option<Duration>,
    /// Whether there is to be no full backup where no increment can be made.
    pub no_full: bool,
    /// The users and roles of the database, if saved, too ([`users::take`](crate::users::take)). No request asks for
    /// them: only the command line reads them.
    pub users: Option<TakenUsers>,
}

impl BackupJob {
    /// What tells two requests apart, but for the run they belong to.
    pub(super) fn fingerprint(&self) -> String {
        let mut asked = serde_json::json!([
            self.database,
            self.destination,
            self.selection,
            self.payload,
            self.compression,
            self.pretty,
            self.consistency
        ]);
        if let Some(asked) = asked.as_array_mut() {
            asked.extend(self.users.is_some().then(|| "users".into()));
            asked.extend(self.incremental.then(|| "incremental".into()));
        }
        blake3::hash(asked.to_string().as_bytes()).to_hex().to_string()
    }
}

impl BackupRequest {
    /// Reads an event: a request, or a bare EventBridge scheduled event, whose `detail` may be a request too.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`], with the name of the field that is not known.
    pub fn from_event(event: serde_json::Value) -> Result<Self, Failure> {
        crate::config::read_request(event, "backup")
    }

    /// The job for one database.
    ///
    /// # Errors
    /// As [`Self::into_order`], and if several databases are named.
    pub fn into_job(self, environment: &Environment) -> Result<BackupJob, Failure> {
        self.into_order(environment)?.single()
    }

    /// Fills in defaults.
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`] if there is no database or destination.
    pub fn into_order(self, environment: &Environment) -> Result<BackupOrder, Failure> {
        check_request(&self)?;
        environment.check()?;
        let databases = chosen(self.database, environment)?;
        let destination: Location = self
            .destination
            .or_else(|| environment.destination.clone())
            .ok_or_else(|| {
                Failure::new(
                    FailureKind::ConfigurationMissing,
                    "no destination: give \"destination\" (--to) or set MONGOTAR_TO to s3://bucket/prefix/ or a folder",
                )
            })?
            .parse()?;
        if (self.full_every.is_some() || self.no_full) && !self.incremental {
            return Err(Failure::invalid(
                "\"full_every\" and \"no_full\" (--full-every, --no-full) are for increments: give \"incremental\" (--incremental), too",
            ));
        }
        if self.full_every.is_some() && self.no_full {
            return Err(Failure::invalid(
                "full_every (--full-every) and no_full (--no-full) contradict each other: give one of them",
            ));
        }
        if self.pretty && self.payload == Some(Payload::Bson) {
            return Err(Failure::invalid("\"pretty\" is for payload jsonl; BSON has no lines"));
        }
        let retention = match self.retention {
            None => Retention::of_environment(environment)?,
            given => given,
        };
        if let (Some(_), Location::Local(_)) = (retention, &destination) {
            return Err(Failure::invalid(format!(
                "\"retention\" (--retention, MONGOTAR_RETENTION) tags objects in S3, but {destination} is a local folder, where nothing expires: leave it out"
            )));
        }
        let job = BackupJob {
            database: match &databases {
                DatabaseChoice::One(name) => name.clone(),
                _ => String::new(),
            },
            destination,
            selection: Selection {
                include: self.include,
                exclude: self.exclude,
            },
            payload: self.payload.unwrap_or_default(),
            compression: self.compression.unwrap_or_default(),
            pretty: self.pretty,
            consistency: self.consistency.unwrap_or_default(),
            retention,
            incremental: self.incremental,
            no_full: self.no_full,
            full_every: self.full_every.as_deref().map(span).transpose()?,
            users: None,
        };
        Ok(BackupOrder { databases, job })
    }
}

/// A span of time as people write it.
///
/// # Errors
/// [`FailureKind::InvalidRequest`] if it is none, or none at all.
pub fn span(text: &str) -> Result<Duration, Failure> {
    let wrong = || Failure::invalid(format!("{text:?} is no span of time: write 30s, 5m, 12h or 7d"));
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].trim().parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|&seconds| seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

fn chosen(databases: Option<Databases>, environment: &Environment) -> Result<DatabaseChoice, Failure> {
    // MONGO_DB may be the star, too.
    let star = |name: &Option<String>| name.as_deref() == Some("*");
    match databases {
        Some(Databases::One(name)) if name == "*" => Ok(DatabaseChoice::All),
        None if star(&environment.database) => Ok(DatabaseChoice::All),
        None => environment.database(None).map(DatabaseChoice::One),
        Some(Databases::One(name)) => environment.database(Some(name)).map(DatabaseChoice::One),
        Some(Databases::Several(names)) => {
            if names.is_empty() {
                return Err(Failure::invalid(
                    "\"database\" is an empty list: name a database, or \"*\" for all",
                ));
            }
            let mut checked = Vec::with_capacity(names.len());
            for name in names {
                let name = environment.database(Some(name))?;
                if checked.contains(&name) {
                    return Err(Failure::invalid(format!("\"database\" names {name:?} twice")));
                }
                checked.push(name);
            }
            Ok(DatabaseChoice::These(checked))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_refused_by_name() {
        let error = BackupRequest::from_event(json!({"database": "shop", "destinatoin": "x"})).expect_err("refused");
        assert!(error.message.contains("destinatoin"), "{error}");
    }

    #[test]
    fn a_retention_comes_from_the_event_or_the_environment_and_is_for_s3() {
        let environment = |retention: &str, to: &str| {
            let variables = [
                ("MONGO_DB", "shop"),
                ("MONGOTAR_TO", to),
                ("MONGOTAR_RETENTION", retention),
            ]
            .map(|(name, value)| (name, value.to_owned()));
            Environment::from_variables(move |name| {
                variables
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.clone())
            })
        };
        let job = |event, environment: &Environment| BackupRequest::from_event(event)?.into_job(environment);
        let s3 = "s3://b/nightly/";
        for (event, variable, expected) in [
            (json!({}), "", None),
            (json!({}), "weekly", Some(Retention::Weekly)),
            (json!({"retention": "auto"}), "weekly", Some(Retention::Auto)),
        ] {
            assert_eq!(
                job(event, &environment(variable, s3)).expect("a job").retention,
                expected
            );
        }
        for (event, variable, to, word) in [
            (json!({"retention": "hourly"}), "", s3, "hourly"),
            (json!({}), "hourly", s3, "MONGOTAR_RETENTION"),
            (json!({"retention": "daily"}), "", "/backups", "local folder"),
            (json!({}), "daily", "/backups", "local folder"),
        ] {
            let refused = job(event, &environment(variable, to)).expect_err("refused");
            assert!(
                refused.kind == FailureKind::InvalidRequest && refused.message.contains(word),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_scheduled_event_takes_everything_from_the_environment() {
        let event = json!({
            "version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event", "source": "aws.events",
            "account": "123456789012", "time": "2026-11-21T02:00:00Z", "region": "eu-central-1",
            "resources": ["arn:aws:events:eu-central-1:123456789012:rule/nightly"], "detail": {}
        });
        assert_eq!(
            BackupRequest::from_event(event).expect("a request"),
            BackupRequest::default()
        );
    }
}
