//! A **run**: one backup, restore or drill, however many invocations it takes and however often its event is delivered.
//!
//! What a function was asked for arrives as an event, and events are delivered at least once, retried, and sent again to go on. So a run is known by the event's own id
//! and time, and everything that must outlive an invocation lies in one folder of the store that follows from them ([`Run::folder`]), never in the event:
//!
//! * the **lease** says who is at it ([`Lease`]): two invocations with the same event exclude each other, and a dead one is taken over from;
//! * the **state** is what the run has come to, written between two segments, so that the next invocation goes on from there ([`Journal`]).
//!
//! The folder goes away when the run has come to its end. That of a run that nobody takes up again is removed by the bucket's lifecycle, as its objects say what they are.

mod answer;
mod carry;
mod journal;
mod lease;
mod memory;
mod named;
mod pool;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) use answer::Reports;
pub use answer::{Answer, Ended, Unfinished};
pub(crate) use carry::{let_go, let_go_reporting, take_up, take_up_kept};
pub(crate) use journal::unusable;
pub use journal::{Journal, Recorded, peek, peek_kept, remove_run};
pub use lease::{LEASE, Lease, Taken};
pub use memory::Memory;
pub use named::Named;
pub(crate) use pool::{POOL_UNIT, Pool, give_back};

use crate::archive::ArchiveName;
pub use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::store::Location;

/// The folder below a destination in which runs keep their state.
pub const IN_PROGRESS: &str = ".in-progress";
/// How often a state is saved though nothing asks for it: what a crash costs at the most.
pub(crate) const SAVED_EVERY: Duration = Duration::from_secs(20);
/// How long the longest wait is in which nobody asks whether it is time to pause.
pub(crate) const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// How many digits of an id's hash tell two runs of the same second apart.
const ID_DIGITS: usize = 12;

/// How a run ended. There is no bare success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything that was asked for was done, and proven where there is something to prove.
    Complete,
    /// Something is missing or differs: the report names it.
    Partial,
    /// Nothing was done: the plan is the answer.
    Planned,
    /// The run could not do what was asked for.
    Failed,
    /// The time was up, and the state is saved: the same event again goes on.
    Continue,
    /// Another invocation is at the same run: ask again later.
    Running,
    /// Workers are to load what was divided among them.
    Loading,
    /// What the run had begun was removed.
    Aborted,
}

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
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) where that is no time, or the id is empty.
    pub fn due(&self) -> Result<OffsetDateTime, Failure> {
        if self.id.is_empty() {
            return Err(Failure::invalid(
                "\"run\": the id is empty; give each run one of its own",
            ));
        }
        OffsetDateTime::parse(&self.time, &Rfc3339).map_err(|error| {
            Failure::invalid(format!(
                "\"run\": {:?} is no time ({error}); it looks like 2026-11-21T02:00:00Z",
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

    /// The same run means the same request; if it does not, somebody has given two requests one id.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) where what is asked is not what is recorded.
    pub fn check_request(&self, recorded: &str, asked: &str) -> Result<(), Failure> {
        match recorded == asked {
            true => Ok(()),
            false => Err(self.of_another_request()),
        }
    }

    /// What is said where two requests have one id.
    pub fn of_another_request(&self) -> Failure {
        Failure::invalid(format!(
            "the run {:?} was begun with another request: give each request a run of its own, or the first one again",
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

/// A time as it stands in manifests, states and reports: to the millisecond, so that how long something took is known of short runs too.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_millisecond(time.millisecond())
        .unwrap_or(time)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// How long ago that was; nothing where it is no time.
pub(crate) fn since(began: &str) -> Duration {
    between(began, &rfc3339(OffsetDateTime::now_utc()))
}

/// How long it took from one time to another; nothing where one of them is none.
pub(crate) fn between(began: &str, ended: &str) -> Duration {
    let parse = |text| OffsetDateTime::parse(text, &Rfc3339);
    let took = parse(began).and_then(|began| Ok(parse(ended)? - began));
    took.ok().and_then(|took| took.try_into().ok()).unwrap_or_default()
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

    /// Times were whole seconds, so that a run of 0.9 s took 0 s or 1 s.
    #[test]
    fn how_long_it_took_is_known_to_the_millisecond() {
        let at = |nanoseconds: i64| {
            let time = OffsetDateTime::UNIX_EPOCH + time::Duration::nanoseconds(nanoseconds);
            rfc3339(time)
        };
        assert_eq!(at(1_234_999_999), "1970-01-01T00:00:01.234Z");
        assert_eq!(between(&at(0), &at(1_234_999_999)), Duration::from_millis(1_234));
        assert_eq!(
            between(&at(5_000_000_000), &at(0)),
            Duration::ZERO,
            "a clock that was set back"
        );
        // What others have written, and older states.
        assert_eq!(
            between("2026-11-21T02:00:00Z", "2026-11-21T03:00:01.5+01:00"),
            Duration::from_millis(1_500)
        );
    }

    #[test]
    fn what_is_no_run_is_refused() {
        for (id, time, said) in [("", "2026-11-21T02:00:00Z", "empty"), ("a", "yesterday", "yesterday")] {
            let refused = run(id, time).due().expect_err("refused");
            assert!(refused.message.contains(said), "{refused}");
        }
    }
}
