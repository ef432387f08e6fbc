//! What a caller asks of a drill.

use serde::{Deserialize, Serialize};

use crate::choice::ArchiveChoice;
use crate::config::{Environment, check_request, read_request};
use crate::failure::{Failure, FailureKind};
use crate::plan::check_database;
use crate::restore::{RestoreJob, RestoreRequest};
use crate::run::Run;
use crate::store::Location;

/// The event of a drill: `{"action": "drill", …}` for the restore handler. Unknown fields are refused by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DrillRequest {
    /// Which archive; the newest in `MONGOTAR_TO` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveChoice>,
    /// Which database (or folder) of the archive, where a dump of others holds several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_database: Option<String>,
    /// The name of the scratch database, which must not exist: for users whose role names one database. A fresh name
    /// where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// Globs of collections; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs of collections to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Indexes to leave out, as `collection.index` by their names in the archive, or globs of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_indexes: Vec<String>,
    /// The folder for the run's state and its report, where nothing may be written beside the archive: copies in another
    /// account. Beside the archive where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_to: Option<String>,
    /// Documents do not expire in the scratch database, however long the drill takes.
    pub park_ttl: bool,
    /// How many documents the sample hash covers (default 100).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_sample_size: Option<u32>,
    /// Which run this event belongs to. The same run again goes on where the last invocation stopped, or finds what
    /// came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// A drill with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillJob {
    /// What is restored; its database is still to be named.
    request: RestoreRequest,
    /// The scratch database's name, if the caller gave one.
    pub scratch: Option<String>,
    /// Where state and report go, if not beside the archive.
    pub state_to: Option<Location>,
}

impl DrillRequest {
    /// Reads an event, as [`RestoreRequest::from_event`] does.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`], with the name of the field that is not known.
    pub fn from_event(event: serde_json::Value) -> Result<Self, Failure> {
        read_request(event, "drill")
    }

    /// Fills in defaults.
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`] or [`FailureKind::InvalidRequest`].
    pub fn into_job(self, environment: &Environment) -> Result<DrillJob, Failure> {
        check_request(&self)?;
        environment.check()?;
        let newest = || environment.destination.clone().map(ArchiveChoice::latest);
        let archive = self.archive.or_else(newest).ok_or_else(|| {
            Failure::new(
                FailureKind::ConfigurationMissing,
                "no archive to drill with: give \"archive\", or set MONGOTAR_TO to the folder of the newest one",
            )
        })?;
        let scratch = self.scratch.map(|name| environment.database(Some(name))).transpose()?;
        if let Some(conflict) = scratch.as_deref().and_then(check_database) {
            return Err(Failure::invalid(conflict.to_string()));
        }
        let job = DrillJob {
            request: RestoreRequest {
                archive: Some(archive),
                source_database: self.source_database,
                include: self.include,
                exclude: self.exclude,
                exclude_indexes: self.exclude_indexes,
                verify_sample_size: self.verify_sample_size,
                park_ttl: self.park_ttl,
                // There is nobody to ask and nothing to lose in a database that is ours.
                yes: true,
                snapshot: Some(false),
                // A document that its collection's validator would refuse is in the backup all the same; that it
                // violates it is counted.
                force: true,
                ..RestoreRequest::default()
            },
            scratch,
            state_to: self.state_to.map(|to| to.parse()).transpose()?,
        };
        // What is wrong with the request is found before a database is made for it.
        job.restore_into("scratch")?;
        Ok(job)
    }
}

impl DrillJob {
    /// Which database of the archive, where it holds several.
    pub(super) fn source_database(&self) -> Option<&str> {
        self.request.source_database.as_deref()
    }

    /// Which archive.
    pub(super) fn archive(&self) -> Option<&ArchiveChoice> {
        self.request.archive.as_ref()
    }

    /// What tells two requests apart, but for the run they belong to.
    pub(super) fn fingerprint(&self) -> String {
        let asked = serde_json::json!([self.request, self.scratch]);
        blake3::hash(asked.to_string().as_bytes()).to_hex().to_string()
    }

    /// The restore that the drill consists of.
    pub(super) fn restore_into(&self, database: &str) -> Result<RestoreJob, Failure> {
        let request = RestoreRequest {
            database: Some(database.to_owned()),
            ..self.request.clone()
        };
        request.into_job(&Environment::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newest_archive_of_the_configured_folder_is_meant_where_none_is_named() {
        let environment =
            Environment::from_variables(|name| (name == "MONGOTAR_TO").then(|| "s3://b/nightly/".to_owned()));
        let job = DrillRequest::default().into_job(&environment).expect("a job");
        let restore = job.restore_into("x").expect("a restore");
        let latest = "s3://b/nightly/".to_owned();
        assert_eq!(restore.archive, ArchiveChoice::latest(latest));
        assert_eq!(restore.policy.database, "x");

        let missing = DrillRequest::default()
            .into_job(&Environment::default())
            .expect_err("none");
        assert_eq!(missing.kind, FailureKind::ConfigurationMissing);
        let wrong = DrillRequest::from_event(json!({"databse": "x"})).expect_err("unknown");
        assert!(wrong.message.contains("databse"), "{wrong}");
    }
}
