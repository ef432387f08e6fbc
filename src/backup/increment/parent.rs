//! Which archive an increment continues: the end of the newest chain in the folder.
//!
//! Only the manifests beside the archives are read: a role that makes backups need not read archives. Whoever opens the
//! chain checks them against those inside, by their hash. A chain that somebody has made a hole in is not continued:
//! what cannot be restored is no backup.

use time::OffsetDateTime;

use super::super::request::BackupJob;
use super::super::tools::Tools;
use crate::archive::{ArchiveName, ChainMember, ClusterTime, ConsistencyLevel, Continues, Manifest, Status, joined};
use crate::choice::{InFolder, NO_MANIFEST, folder_in, in_folder, members};
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
    /// How many bytes its object has.
    bytes: u64,
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
        let folder = &job.destination;
        let nothing = |reason| Ok(Err(NoParent { reason, old: None }));
        let base = match newest(job, tools, folder, &in_folder(&tools.store, folder).await?).await? {
            Newest::Found(base) => base,
            Newest::None(None) => return nothing(format!("there is no archive in {folder} that can be continued")),
            Newest::None(Some(why)) | Newest::Broken(why) => {
                return nothing(format!("there is no archive in {folder} that can be continued: {why}"));
            }
        };
        let too_old = base.is_too_old(job);
        let chain = folder_in(folder, &base.base.chain());
        let increments = in_folder(&tools.store, &chain).await?;
        let first = base.base.clone();
        let ends = |why| format!("the chain of {folder} that begins with {first} ends: {why}");
        let end = match newest(job, tools, &chain, &increments).await? {
            Newest::Found(end) if end.base == first => {
                if let Err(why) = unbroken(tools, &chain, &increments, (&base, &end)).await? {
                    return nothing(ends(why));
                }
                *end
            }
            Newest::Broken(why) => return nothing(ends(why)),
            Newest::Found(_) | Newest::None(_) => *base,
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

    /// What the increment says that continues it.
    pub(super) fn continued(&self) -> Continues {
        let member = self.member();
        Continues {
            base: self.base.clone(),
            parent: self.manifest.name.clone(),
            manifest: self.text,
            from: self.time,
            place: member.place() + 1,
            bytes: member.bytes_to_here(),
            journal: true,
        }
    }

    fn member(&self) -> ChainMember {
        ChainMember::of(&self.manifest, self.text, self.bytes)
    }

    /// The run that continues it, so that it is named by a later second.
    pub(super) fn next(&self) -> Run {
        let later = OffsetDateTime::from_unix_timestamp(self.manifest.name.unix_seconds() + 1);
        let now = OffsetDateTime::now_utc();
        let mut run = Run::nameless();
        run.time = rfc3339(later.map_or(now, |later| later.max(now)));
        run
    }

    fn of(manifest: Manifest, text: blake3::Hash, job: &BackupJob, tools: &Tools) -> Result<Self, String> {
        let time = manifest.consistency.cluster_time;
        let time = time.filter(|_| manifest.consistency.level != ConsistencyLevel::None);
        let parent = Self {
            text,
            bytes: 0,
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

/// What a look for the newest archive of a folder that can be continued gives.
enum Newest {
    Found(Box<Parent>),
    /// It could be, but it is not whole.
    Broken(String),
    /// There is none; what is wrong with the newest.
    None(Option<String>),
}

/// The newest archive directly in a folder that can be continued, by its listing.
async fn newest(job: &BackupJob, tools: &Tools, folder: &Location, found: &[InFolder]) -> Result<Newest, Failure> {
    let mut reason = None;
    for found in found.iter().rev().take(LOOKED_AT) {
        let name = &found.name;
        let text = match found.has_manifest {
            true => tools.store.load(&folder.join(&name.sidecar())).await?,
            false => None,
        };
        let looked = text.map_or_else(
            || Err(NO_MANIFEST.to_owned()),
            |(text, _)| {
                let manifest = Manifest::from_sidecar(&text).map_err(|error| error.to_string())?;
                Parent::of(manifest, blake3::hash(&text), job, tools)
            },
        );
        match looked {
            // One that lies apart from its chain cannot be read, nor what continues it.
            Ok(parent) if parent.manifest.continues.is_some() && *folder == job.destination => {
                reason = reason.or(Some(format!("{name}: it is an increment, apart from its chain")));
            }
            Ok(parent) => {
                let object = found.object_of(&parent.manifest).map(|object| object.bytes);
                let whole = object.and_then(|bytes| {
                    let parent = Parent { bytes, ..parent };
                    parent.member().check_size().map(|()| Box::new(parent))
                });
                return Ok(whole.map_or_else(|why| Newest::Broken(format!("{name}: {why}")), Newest::Found));
            }
            Err(why) => reason = reason.or(Some(format!("{name}: {why}"))),
        }
    }
    Ok(Newest::None(reason))
}

/// Whether everything is there that a chain's end continues. Mostly the listing tells, by number and sizes, with the
/// oldest increment's manifest, which tells whether the base is the one that it continued. Where it does not, all
/// manifests are read: somebody else may have continued the same archive.
async fn unbroken(
    tools: &Tools,
    chain: &Location,
    increments: &[InFolder],
    (base, end): (&Parent, &Parent),
) -> Result<Result<(), String>, Failure> {
    let Some(continues) = &end.manifest.continues else {
        return Ok(Ok(()));
    };
    let (base, end) = (base.member(), end.member());
    let upto = increments.partition_point(|found| found.name <= end.name);
    let listed = || increments[..upto].iter().filter(|found| found.has_manifest);
    let before = || listed().filter(|found| found.name != end.name);
    let sizes = before()
        .flat_map(|found| &found.objects)
        .map(|(_, object)| object.bytes);
    let are_there = before().all(|found| found.objects.len() == 1)
        && 1 + before().count() as u64 == continues.place
        && base.bytes + sizes.sum::<u64>() == continues.bytes;
    if are_there {
        let first = members(&tools.store, chain, &increments[..upto.min(1)]).await?;
        let is_first = |first: &ChainMember| first.name == end.name || first.place() == 1;
        if first
            .members
            .iter()
            .any(|first| is_first(first) && first.check_parent(&base).is_ok())
        {
            return Ok(Ok(()));
        }
    }
    let read = members(&tools.store, chain, &increments[..upto]).await?;
    let found = joined(&base, read.members);
    if found.members.iter().any(|member| member.name == end.name) {
        return Ok(Ok(()));
    }
    // The oldest that is wrong is what the others lack.
    let mut wrong: Vec<_> = read.apart.into_iter().chain(found.apart).collect();
    wrong.sort_by(|(one, _), (other, _)| one.cmp(other));
    let first = wrong.into_iter().next();
    Ok(Err(first.map_or_else(
        || "what it continues is not there".to_owned(),
        |(name, why)| format!("{name}: {why}"),
    )))
}
