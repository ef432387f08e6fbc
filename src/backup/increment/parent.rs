//! Which archive an increment continues: the end of the newest chain in the folder.
//!
//! Only the manifests beside the archives are read: a role that makes backups need not read archives. Whoever opens the
//! chain checks them against those inside, by their hash.

use time::OffsetDateTime;

use super::super::request::BackupJob;
use super::super::tools::Tools;
use crate::archive::{ArchiveName, ClusterTime, ConsistencyLevel, Manifest, Status};
use crate::choice::folder_in;
use crate::failure::Failure;
use crate::run::{Run, rfc3339};
use crate::store::Location;

/// How many archives are looked at before none is found.
const LOOKED_AT: usize = 32;

/// The end of a chain.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) manifest: Manifest,
    /// BLAKE3 of its text.
    pub(super) text: blake3::Hash,
    /// Its cluster time.
    pub(super) time: ClusterTime,
    /// The full archive of its chain.
    pub(super) base: ArchiveName,
}

/// Why no chain is continued.
#[derive(Debug)]
pub(super) struct NoParent {
    pub(super) reason: String,
    /// The end of one that could be, but is not to be.
    pub(super) old: Option<Parent>,
}

impl Parent {
    /// The end of the newest chain that a job can continue, or why none is.
    ///
    /// # Errors
    /// What the store answered.
    pub(super) async fn find(job: &BackupJob, tools: &Tools) -> Result<Result<Self, NoParent>, Failure> {
        let mut why = format!("there is no archive in {} that can be continued", job.destination);
        let base = match newest(job, tools, &job.destination).await? {
            Ok(base) => base,
            Err(reason) => {
                if let Some(reason) = reason {
                    why += &format!(": {reason}");
                }
                return Ok(Err(NoParent { reason: why, old: None }));
            }
        };
        let too_old = base.is_too_old(job);
        let chain = folder_in(&job.destination, &base.base.chain());
        let end = match newest(job, tools, &chain).await? {
            Ok(end) if end.base == base.base => end,
            _ => base,
        };
        Ok(match too_old {
            None => Ok(end),
            Some(reason) => Err(NoParent { reason, old: Some(end) }),
        })
    }

    /// Whether a full archive is older than the job wants.
    fn is_too_old(&self, job: &BackupJob) -> Option<String> {
        let most = job.full_every?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let age = u64::try_from(now - i64::from(self.time.t)).unwrap_or(0);
        let name = &self.manifest.name;
        (age >= most.as_secs()).then(|| {
            let hours = |seconds: u64| format!("{:.1} hours", seconds as f64 / 3_600.0);
            format!(
                "{name} is {} old, and is to be {} at the most",
                hours(age),
                hours(most.as_secs())
            )
        })
    }

    /// The run that continues it, so that it is named by a later second.
    pub(super) fn next(&self) -> Run {
        let later = OffsetDateTime::from_unix_timestamp(self.manifest.name.unix_seconds() + 1);
        let now = OffsetDateTime::now_utc();
        let mut run = Run::nameless();
        run.time = rfc3339(later.map_or(now, |later| later.max(now)));
        run
    }

    fn of(text: &[u8], job: &BackupJob, tools: &Tools) -> Result<Self, String> {
        let manifest = Manifest::from_sidecar(text).map_err(|error| error.to_string())?;
        let time = manifest.consistency.cluster_time;
        let time = time.filter(|_| manifest.consistency.level != ConsistencyLevel::None);
        let parent = Self {
            text: blake3::hash(text),
            time: time.ok_or("it shows no moment")?,
            base: match &manifest.continues {
                Some(continues) => continues.base.clone(),
                None => manifest.name.clone(),
            },
            manifest,
        };
        parent.suits(job, tools).map(|()| parent)
    }

    fn suits(&self, job: &BackupJob, tools: &Tools) -> Result<(), String> {
        let (manifest, server) = (&self.manifest, tools.mongo.server());
        if manifest.source.database != job.database {
            return Err(format!("it is of the database {:?}", manifest.source.database));
        }
        if manifest.status != Status::Complete {
            return Err("it is not complete".to_owned());
        }
        if manifest.selection != job.selection {
            return Err("it has another selection of collections".to_owned());
        }
        let (then, now) = (&manifest.source.server.replica_set, &server.replica_set);
        if then != now {
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
            return Err(format!(
                "it is of the replica set {}, this is {}",
                name(then),
                name(now)
            ));
        }
        Ok(())
    }
}

/// The newest archive directly in a folder that can be continued, or what is wrong with the newest that cannot.
async fn newest(job: &BackupJob, tools: &Tools, folder: &Location) -> Result<Result<Parent, Option<String>>, Failure> {
    let objects = tools.store.list(folder, "backup_").await?;
    let names = objects.iter().rev().filter_map(|object| {
        let file = object.location.file_name();
        ArchiveName::of_object(&file).map(|(name, _)| name)
    });
    let mut reason = None;
    for name in names.take(LOOKED_AT) {
        let looked = match tools.store.load(&folder.join(&name.sidecar())).await? {
            Some((text, _)) => Parent::of(&text, job, tools),
            None => Err("its manifest is not beside it".to_owned()),
        };
        match looked {
            // One that lies apart from its chain cannot be read, nor what continues it.
            Ok(parent) if parent.manifest.continues.is_some() && *folder == job.destination => {
                reason = reason.or(Some(format!("{name}: it is an increment, apart from its chain")));
            }
            Ok(parent) => return Ok(Ok(parent)),
            Err(why) => reason = reason.or(Some(format!("{name}: {why}"))),
        }
    }
    Ok(Err(reason))
}
