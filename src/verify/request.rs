//! What a caller asks of a verification.

use serde::{Deserialize, Serialize};

use crate::choice::ArchiveChoice;
use crate::config::{Environment, check_request, read_request};
use crate::failure::{Failure, FailureKind};
use crate::run::Run;
use crate::store::Location;

/// The event of a verification: `{"action": "verify", …}` for the restore handler. Unknown fields are refused by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct VerifyRequest {
    /// Which archive; the newest in `MONGOTAR_TO` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveChoice>,
    /// Which database (or folder) of the archive, where a dump of others holds several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_database: Option<String>,
    /// The folder for the run's state, where nothing may be written beside the archive: copies in another account. Beside
    /// the archive where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_to: Option<String>,
    /// Which run this event belongs to. The same run again goes on where the last invocation stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// A verification with nothing left open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyJob {
    /// Which archive.
    pub archive: ArchiveChoice,
    /// Which of its databases, if it holds several.
    pub source_database: Option<String>,
    /// Where its state goes, if not beside the archive: no part of what is asked.
    #[serde(skip)]
    pub state_to: Option<Location>,
}

impl VerifyRequest {
    /// Reads an event: a request, or an EventBridge event whose `detail` is one.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`], with the name of the field that is not known.
    pub fn from_event(event: serde_json::Value) -> Result<Self, Failure> {
        read_request(event, "verify")
    }

    /// Fills in defaults.
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`].
    pub fn into_job(self, environment: &Environment) -> Result<VerifyJob, Failure> {
        check_request(&self)?;
        environment.check()?;
        let newest = || environment.destination.clone().map(ArchiveChoice::latest);
        let archive = self.archive.or_else(newest).ok_or_else(|| {
            Failure::new(
                FailureKind::ConfigurationMissing,
                "no archive to verify: give \"archive\", or set MONGOTAR_TO to the folder of the newest one",
            )
        })?;
        Ok(VerifyJob {
            archive,
            source_database: self.source_database,
            state_to: self.state_to.map(|to| to.parse()).transpose()?,
        })
    }
}
