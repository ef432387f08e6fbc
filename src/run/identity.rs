//! A run's identity, and where its state lies.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::times::rfc3339;
use crate::archive::ArchiveName;
use crate::failure::Failure;
use crate::store::Location;

/// The folder below a destination in which runs keep their state.
pub const IN_PROGRESS: &str = ".in-progress";
/// How many digits of an id's hash tell two runs of the same second apart.
const ID_DIGITS: usize = 12;

/// Which run it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What names it: the event's id, or an execution's.
    pub id: String,
    /// When it was due, RFC 3339. An archive is named after it.
    pub time: String,
}

impl Run {
    /// A run that begins now.
    pub fn now(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            time: rfc3339(OffsetDateTime::now_utc()),
        }
    }

    /// One that nobody else can be asked for.
    pub(crate) fn nameless() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self::now(format!("{:016x}{:016x}", random(), random()))
    }

    /// When it was due.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) if that is no time, or the id is empty.
    pub fn due(&self) -> Result<OffsetDateTime, Failure> {
        if self.id.is_empty() {
            return Err(Failure::invalid("\"run\": the id is empty; give each run its own"));
        }
        OffsetDateTime::parse(&self.time, &Rfc3339).map_err(|error| {
            Failure::invalid(format!(
                "\"run\": {:?} is not a time ({error}); write 2026-11-21T02:00:00Z",
                self.time
            ))
        })
    }

    /// The same run's share in one database of several.
    pub fn of_database(&self, database: &str) -> Self {
        Self {
            id: format!("{}/{database}", self.id),
            time: self.time.clone(),
        }
    }

    /// The same run means the same request; otherwise somebody gave two requests one id.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) if the request is not the recorded one.
    pub fn check_request(&self, recorded: &str, asked: &str) -> Result<(), Failure> {
        match recorded == asked {
            true => Ok(()),
            false => Err(self.of_another_request()),
        }
    }

    /// The failure when two requests have one id.
    pub fn of_another_request(&self) -> Failure {
        Failure::invalid(format!(
            "the run {:?} was begun with another request: give each request its own run, or repeat the first request",
            self.id
        ))
    }

    /// Where its state is.
    ///
    /// # Errors
    /// As [`Self::due`].
    pub fn folder(&self, destination: &Location) -> Result<Location, Failure> {
        let hash = blake3::hash(self.id.as_bytes()).to_hex();
        let name = format!("{}-{}", ArchiveName::at(self.due()?), &hash.as_str()[..ID_DIGITS]);
        Ok(destination.join(IN_PROGRESS).join(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, time: &str) -> Run {
        Run {
            id: id.to_owned(),
            time: time.to_owned(),
        }
    }

    #[test]
    fn a_run_has_a_folder_of_its_own() {
        let destination: Location = "s3://b/shop/".parse().expect("a location");
        let folder = |id: &str| {
            run(id, "2026-11-21T02:00:00+01:00")
                .folder(&destination)
                .expect("a folder")
        };
        let one = folder("53dc4d37/../x").to_string();
        assert!(
            one.starts_with("s3://b/shop/.in-progress/backup_20261121_010000-"),
            "{one}"
        );
        assert!(!one.contains("..") && one.len() == "s3://b/shop/.in-progress/backup_20261121_010000-".len() + 12);
        assert_ne!(folder("a"), folder("b"));
        assert_eq!(folder("a"), folder("a"));
        assert_ne!(run("a", "").of_database("x"), run("a", "").of_database("y"));
    }

    #[test]
    fn what_is_no_run_is_refused() {
        for (id, time, said) in [("", "2026-11-21T02:00:00Z", "empty"), ("a", "yesterday", "yesterday")] {
            let refused = run(id, time).due().expect_err("refused");
            assert!(refused.message.contains(said), "{refused}");
        }
    }
}
