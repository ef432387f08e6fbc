//! What a backup decides at its beginning for good: the moment, what to take of it, and who writes it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::request::{BackupJob, ConsistencyDemand};
use super::tools::Tools;
use crate::archive::{ArchiveName, Consistency, ConsistencyLevel, Entry, Exception, Manifest, Saved, SavedStatus};
use crate::catalog::{Catalog, Kind, hint};
use crate::failure::{Failure, FailureKind};
use crate::mongo::{IdRange, Moment};
use crate::plan::check_database;
use crate::run::{Journal, Run, rfc3339};

/// What is decided when a backup begins, and holds in every invocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BackupHead {
    /// What was asked for.
    pub(super) request: String,
    /// Which run it is, where somebody may ask for it again.
    pub(super) run: Option<String>,
    pub(super) name: ArchiveName,
    pub(super) created: String,
    pub(super) moment: Moment,
    pub(super) writers: Writers,
}

/// Who writes the archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Writers {
    /// One worker, beginning with this entry.
    One(Entry),
    /// One for each lane. The lanes are joined later.
    Lanes(Vec<LanePlan>),
}

/// One worker's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LanePlan {
    /// Which collections, in the catalog's order.
    pub(super) collections: Vec<String>,
    /// Which documents of the one collection, where it is divided.
    pub(super) range: Option<IdRange>,
}

impl BackupHead {
    /// The same event means the same request; if it does not, somebody has given two requests one id.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`]. The run goes on all the same.
    pub(super) fn check(&self, job: &BackupJob, run: &Run, journal: &Journal) -> Result<(), Failure> {
        run.check_request(&self.request, &job.fingerprint())
            .inspect_err(|_| journal.refuse())
    }

    /// What can be claimed of its moment, by what was read of it and with these exceptions; and why a later invocation
    /// could not prove it.
    pub(super) fn consistency(
        &self,
        saved: &[Saved],
        exceptions: Vec<Exception>,
        unproven: Option<String>,
    ) -> Consistency {
        let is_read = |saved: &&Saved| saved.kind != Kind::View;
        let read = || saved.iter().filter(is_read);
        if read().count() > 0 && read().all(|saved| saved.status == SavedStatus::Failed) {
            return Consistency {
                level: ConsistencyLevel::None,
                cluster_time: None,
                reason: Some("no collection could be read".to_owned()),
                unproven: None,
                exceptions,
            };
        }
        let level = match (self.moment.time, exceptions.is_empty()) {
            (None, _) => ConsistencyLevel::None,
            (Some(_), true) => ConsistencyLevel::Snapshot,
            (Some(_), false) => ConsistencyLevel::Mixed,
        };
        Consistency {
            level,
            cluster_time: self.moment.time,
            reason: self.moment.reason.clone(),
            unproven: self
                .moment
                .unproven
                .clone()
                .or(unproven)
                .filter(|_| self.moment.time.is_some()),
            exceptions,
        }
    }
}

/// A moment that was taken for a job.
#[derive(Debug)]
pub(super) struct TakenMoment {
    pub(super) moment: Moment,
    /// The part of its catalog that was asked for.
    pub(super) catalog: Catalog,
    created: String,
}

impl TakenMoment {
    /// Takes the moment.
    ///
    /// # Errors
    /// If it is not what is demanded, or there is nothing to back up.
    pub(super) async fn of(job: &BackupJob, tools: &Tools) -> Result<Self, Failure> {
        let taken = Self::as_it_is(job, None, tools).await?;
        if taken.moment.catalog.collections.is_empty() {
            return Err(nothing_there(job, tools).await);
        }
        check_selection(job, &taken.moment, &taken.catalog)?;
        Ok(taken)
    }

    /// The same, to continue a chain: that nothing is there is a state like others.
    ///
    /// # Errors
    /// If the moment is not what is demanded.
    pub(super) async fn of_chain(job: &BackupJob, parent: &Manifest, tools: &Tools) -> Result<Self, Failure> {
        Self::as_it_is(job, Some(parent), tools).await
    }

    async fn as_it_is(job: &BackupJob, known: Option<&Manifest>, tools: &Tools) -> Result<Self, Failure> {
        let created = rfc3339(OffsetDateTime::now_utc());
        let moment = tools.mongo.moment_since(&job.database, known).await;
        let moment = moment.map_err(|error| error.granting_read(&job.database))?;
        if let (Some(reason), ConsistencyDemand::Require) = (&moment.reason, job.consistency) {
            return Err(Failure::new(
                FailureKind::ConsistencyNotReached,
                format!(
                    "no snapshot of {} can be read: {reason}. Use consistency \"auto\" to back up without one",
                    job.database
                ),
            ));
        }
        Ok(Self {
            catalog: chosen(job, &moment),
            moment,
            created,
        })
    }

    /// What is decided with it.
    pub(super) fn head(self, job: &BackupJob, run: Option<&Run>, name: ArchiveName, writers: Writers) -> BackupHead {
        BackupHead {
            request: job.fingerprint(),
            run: run.map(|run| run.id.clone()),
            name,
            created: self.created,
            moment: self.moment,
            writers,
        }
    }
}

/// The database in which servers of a cluster keep what they share.
const CONFIG: &str = "config";

/// A database without collections is one that does not exist: most likely its name is mistyped, and an archive of
/// nothing would hide that for months.
async fn nothing_there(job: &BackupJob, tools: &Tools) -> Failure {
    let there = match tools.mongo.database_names().await {
        Some(names) if !names.is_empty() => format!("; there are: {}", names.join(", ")),
        _ => String::new(),
    };
    Failure::invalid(nothing_in(&job.database, &there))
}

/// The server's own databases have something, though nothing of what is in them is backed up.
fn nothing_in(database: &str, there: &str) -> String {
    match check_database(database) {
        Some(conflict) if database == CONFIG => format!(
            "{}, and nothing of it is backed up, not even collections of yours: name a database of yours{there}. What is \
             yours in there, copy to one",
            conflict.problem
        ),
        Some(conflict) => format!(
            "{}, such as users, roles and replication, which are not backed up, and no collections of yours: name a \
             database of yours{there}. --users takes a database's users and roles along",
            conflict.problem
        ),
        None => format!("database {database:?} does not exist or is empty: correct the name{there}"),
    }
}

/// The part of the catalog that was asked for.
pub(super) fn select(job: &BackupJob, moment: &Moment) -> Result<Catalog, Failure> {
    let catalog = chosen(job, moment);
    check_selection(job, moment, &catalog).map(|()| catalog)
}

fn chosen(job: &BackupJob, moment: &Moment) -> Catalog {
    let mut catalog = moment.catalog.clone();
    // Neither what a dead restore left beside nor the lock of one that lives is data.
    let is_data = |name: &str| !name.starts_with(crate::plan::INTERNAL_PREFIX);
    catalog
        .collections
        .retain(|collection| job.selection.selects(&collection.name) && is_data(&collection.name));
    catalog
}

/// Refuses a selection by which something that was asked for is not there, or nothing is left.
fn check_selection(job: &BackupJob, moment: &Moment, chosen: &Catalog) -> Result<(), Failure> {
    let names: Vec<&str> = moment
        .catalog
        .collections
        .iter()
        .map(|collection| collection.name.as_str())
        .collect();
    let idle = job.selection.idle_includes(&names);
    if !idle.is_empty() {
        return Err(Failure::invalid(format!(
            "nothing in {} matches include {:?}{}; there are: {}",
            job.database,
            idle.join(", "),
            hint(idle.iter().copied()),
            names.join(", ")
        )));
    }
    if chosen.collections.is_empty() {
        return Err(Failure::invalid(format!(
            "nothing of {} is left to back up; there are: {}",
            job.database,
            names.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::nothing_in;

    /// It was said that it is empty, and that its name is wrong.
    #[test]
    fn a_server_s_own_database_is_told_as_that() {
        for name in ["admin", "local", "config"] {
            let said = nothing_in(name, "");
            let begins = format!("{name:?} holds the server's own data, ");
            assert!(
                said.starts_with(&begins) && said.contains("a database of yours"),
                "{said}"
            );
        }
        assert!(nothing_in("shop", "").contains("does not exist or is empty"));
    }
}
