//! **Increments**: what changed in a database since an archive, as an archive of its own.
//!
//! A chain begins with a full archive. Its increments lie beside it, in `{archive name}.chain/`, each from the cluster
//! time of its parent, the one before it, to a later one. An increment costs what the changes cost, not the database:
//!
//! 1. the change stream says *which* documents changed between the two times ([`changed`]);
//! 2. snapshot reads say what they are at the later time, and what they were at the earlier ([`states`]).
//!
//! So the digest and the number of documents of each collection at the later time are exact, though most of it was not
//! read: `digest(to) = digest(from) − Σ h(old state) + Σ h(new state)`. There is nothing to replay, and no document is
//! half changed.
//!
//! **Some collections are read whole**, as in a full backup: new ones and those that were made anew or renamed, which
//! show by their UUIDs; capped ones, time series, and those of the server's names, which have no change events that
//! serve; those whose old states the server no longer has; and those of which more changed than fits into memory.
//!
//! **A full backup proves the chain before it** ([`proof`]): at its cluster time, what the chain leads to must be what was
//! read.
//!
//! **Nothing is bridged.** Where the server no longer has the changes since the parent, the chain ends, and a full
//! backup begins the next one. An increment is whole, or it is not written.

mod changed;
mod ending;
mod parent;
mod proof;
mod states;

use super::commit::commit;
use super::continued::{full, full_run};
use super::head::{TakenMoment, Writers};
use super::lane::Lane;
use super::metadata::metadata_text;
use super::name::{begin_upload, class};
use super::piece::Task;
use super::pipeline::Pipeline;
use super::report::{BackupAnswer, BackupReport};
use super::request::BackupJob;
use super::state::LaneStart;
use super::tools::Tools;
use super::write;
use crate::archive::{ArchiveKind, ArchiveWriter, ConsistencyLevel, METADATA_ENTRY, Saved, SavedStatus, Status};
use crate::catalog::{Catalog, Kind, Topology};
use crate::choice::folder_in;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Moment, VANISHED, code};
use crate::run::{Journal, Left, Run, Went};
use crate::store::Upload;
use changed::{Changes, Since};
use ending::NoIncrement;
use parent::{NoParent, Parent};

/// Continues the newest chain in the job's folder by an increment; where there is none to continue, or its changes are
/// no longer to be had, backs the whole database up, which begins a chain.
///
/// # Errors
/// As [`backup`](super::backup), and if this server or user sees no changes: no chain can be made then.
pub(super) async fn incremental(job: &BackupJob, run: Option<&Run>, tools: &Tools) -> Result<BackupAnswer, Failure> {
    if let Some(run) = run
        && Left::find(&tools.store, &run.folder(&job.destination)?)
            .await?
            .is_some()
    {
        // A full backup that an earlier invocation has begun.
        return full_run(job, run, tools).await;
    }
    let (reason, old) = match Parent::find(job, tools).await? {
        Ok(parent) => match Box::pin(increment(job, &parent, tools)).await {
            Ok(answer) => return Ok(answer),
            Err(NoIncrement::Failed(failure)) => return Err(failure),
            Err(NoIncrement::Hole(reason)) => {
                let parent = &parent.manifest.name;
                tracing::warn!(%parent, reason, "the chain ends: a full backup begins the next one");
                let reason = format!("the chain of {} ends with {parent}: {reason}", job.destination);
                (reason, None)
            }
        },
        Err(NoParent { reason, old }) => (reason, old),
    };
    if job.no_full {
        let why = format!("no increment could be made, and no full backup was to be made instead: {reason}");
        return Err(Failure::new(FailureKind::NoChain, why));
    }
    may_see_changes(job, tools).await?;
    let answer = match run {
        Some(run) => full_run(job, run, tools).await?,
        None => BackupAnswer::Finished(Box::new(full(job, tools).await?)),
    };
    Ok(match answer {
        BackupAnswer::Finished(report) => {
            let mut report = begins(*report, &reason);
            if let Some(old) = &old {
                let proof = Box::pin(proof::of(job, old, &report, tools)).await;
                report = report.proving(proof);
            }
            BackupAnswer::Finished(Box::new(report))
        }
        unfinished => unfinished,
    })
}

/// What a full backup says that was made in place of an increment.
fn begins(report: BackupReport, reason: &str) -> BackupReport {
    let mut said = vec![format!("a full backup, which begins a chain: {reason}")];
    let consistency = &report.consistency;
    if let Some(reason) = consistency
        .reason
        .as_ref()
        .filter(|_| consistency.cluster_time.is_none())
    {
        said.push(format!(
            "no increment can continue this archive, since it shows no moment: {reason}"
        ));
    } else if report.status != super::RunStatus::Complete {
        said.push("no increment can continue this archive, since it is not complete".to_owned());
    }
    report.warning(said)
}

/// Refuses what would make a full backup every time.
async fn may_see_changes(job: &BackupJob, tools: &Tools) -> Result<(), Failure> {
    let refused = |why: String| {
        Failure::invalid(format!(
            "no increment can be made of {}: {why}. Leave \"incremental\" (--incremental) out",
            job.database
        ))
    };
    if tools.mongo.server().topology == Topology::Standalone {
        let why = "a standalone server keeps no changes; one can be made a replica set of one member";
        return Err(refused(why.to_owned()));
    }
    match tools.mongo.has_changes(&job.database).await {
        Err(error) if error.is(code::UNAUTHORIZED) => Err(error
            .granting(&format!("read on {}, which may see its changes", job.database))
            .into()),
        Err(error) if error.is_refusal() => Err(refused(error.to_string())),
        seen => Ok(seen?),
    }
}

/// Writes the increment that continues a chain.
async fn increment(job: &BackupJob, parent: &Parent, tools: &Tools) -> Result<BackupAnswer, NoIncrement> {
    tools.progress.step("looking for what has changed");
    let taken = TakenMoment::of(job, tools).await?;
    let to = taken.moment.time.ok_or_else(|| {
        let reason = taken.moment.reason.as_deref().unwrap_or("it says no time");
        NoIncrement::Hole(format!("no snapshot can be read any more: {reason}"))
    })?;
    let since = Since::of(&taken.catalog, &taken.moment.undefined, parent);
    let changes = match since.changes(job, (parent.time, to), tools).await {
        Err(error) if error.has_lost_changes() => {
            let reason = format!("the server no longer has the changes since then: {}", error.reason);
            return Err(NoIncrement::Hole(reason));
        }
        changes => changes.map_err(|error| Failure::from(error.granting_read(&job.database)))?,
    };
    // It lies beside its base, and is kept as long.
    let of_chain = BackupJob {
        destination: folder_in(&job.destination, &parent.base.chain()),
        retention: class(job, &parent.base),
        ..job.clone()
    };
    let (name, mut upload) = begin_upload(&of_chain, &parent.next(), tools).await?;
    let schedule = write::schedule(&taken.catalog, &of_chain.destination, tools.memory);
    let archive = ArchiveWriter::new(name.clone(), job.compression, schedule);
    let journal = Journal::nowhere();
    let written = async {
        let catalog = taken.catalog.clone();
        let text = metadata_text(&catalog)?;
        let mut lane = Lane::new(LaneStart::new(archive), &of_chain, tools, &mut upload, &journal)?;
        let metadata = lane.small_entry(METADATA_ENTRY, &text).await?;
        let head = taken.head(&of_chain, None, name, Writers::One(metadata.clone()));
        Box::pin(collections(&mut lane, &head.moment, &catalog, (parent, &changes))).await?;
        let done = std::mem::take(&mut lane.progress);
        let mut manifest = write::manifest(&of_chain, &head, catalog, metadata, done.saved, done.exceptions);
        manifest.kind = ArchiveKind::Increment;
        manifest.continues = Some(parent.continued());
        if manifest.consistency.level == ConsistencyLevel::None || manifest.status != Status::Complete {
            return Err(Failure::new(FailureKind::ConsistencyNotReached, "the increment is not whole").into());
        }
        Box::pin(write::finish(lane, &mut manifest)).await?;
        Ok(manifest)
    };
    match written.await {
        Ok(manifest) => {
            let committed = Box::pin(commit(&mut upload, &manifest, &of_chain, tools, &journal)).await;
            match committed {
                Ok(answer) => Ok(answer),
                Err(failure) => Err(abort(upload, NoIncrement::Failed(failure)).await),
            }
        }
        Err(ended) => Err(abort(upload, ended).await),
    }
}

async fn abort(upload: Upload, ended: NoIncrement) -> NoIncrement {
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, "the unfinished upload could not be removed; the bucket's lifecycle rule will");
    }
    ended
}

/// Every collection, in the catalog's order: what changed of it, or all of it.
async fn collections(
    lane: &mut Lane<'_>,
    moment: &Moment,
    catalog: &Catalog,
    (parent, changes): (&Parent, &Changes),
) -> Result<(), NoIncrement> {
    let whole = catalog.collections.iter().filter(|collection| {
        collection.kind != Kind::View
            && !changes.has(&collection.name)
            && !moment.undefined.contains_key(&collection.name)
    });
    let mut pipeline = read(lane, moment, whole.cloned().map(Task::whole).collect()).await?;
    let written = each(lane, moment, catalog, (parent, changes), &mut pipeline).await;
    pipeline.stop().await;
    if let Ok(()) | Err(NoIncrement::Failed(_)) = &written {
        still_there(lane.tools, catalog, changes).await?;
    }
    written?;
    Ok(write::empty_collections(lane, catalog).await?)
}

async fn each(
    lane: &mut Lane<'_>,
    moment: &Moment,
    catalog: &Catalog,
    (parent, changes): (&Parent, &Changes),
    pipeline: &mut Pipeline,
) -> Result<(), NoIncrement> {
    let times = (parent.time, moment.time.unwrap_or(parent.time));
    for collection in &catalog.collections {
        lane.tools.may_go_on()?;
        let saved = match changes.of(parent, &collection.name) {
            None => all(lane, moment, super::lane::blank(collection), collection, pipeline).await?,
            Some(change) => match Box::pin(states::write(lane, collection, change, times)).await? {
                Ok(saved) => saved,
                // What was laid out of it is worth nothing.
                Err(anew) => {
                    let mut alone = read(lane, moment, vec![Task::whole(collection.clone())]).await?;
                    let saved = all(lane, moment, anew, collection, &mut alone).await;
                    alone.stop().await;
                    saved?
                }
            },
        };
        whole_or_nothing(&saved)?;
        lane.done_with(saved);
    }
    Ok(())
}

/// All of a collection.
async fn all(
    lane: &mut Lane<'_>,
    moment: &Moment,
    begun: Saved,
    collection: &crate::catalog::Collection,
    pipeline: &mut Pipeline,
) -> Result<Saved, Failure> {
    match Box::pin(lane.collection(collection, begun, &moment.undefined, pipeline)).await? {
        Went::Done(saved) => Ok(saved),
        Went::Paused(()) => {
            Err(Failure::new(FailureKind::RunPaused, "an increment is written in one go").at(&collection.name))
        }
    }
}

/// Reads collections that are read whole.
async fn read(lane: &Lane<'_>, moment: &Moment, tasks: Vec<Task>) -> Result<Pipeline, Failure> {
    let reading = write::reading(lane.job, lane.tools, moment, false).await?;
    let memory = (lane.tools.memory, lane.archive.rows().len() as u64);
    Ok(Pipeline::start(reading, tasks, memory, &lane.tools.cancel))
}

fn whole_or_nothing(saved: &Saved) -> Result<(), Failure> {
    match (saved.status, &saved.error) {
        (SavedStatus::Complete, _) => Ok(()),
        (_, error) => {
            let why = error.as_deref().unwrap_or("it could not be read");
            let nothing = format!("{why}. An increment is whole or not written; the next one has these changes, too");
            Err(Failure::new(FailureKind::Database, nothing).at(&saved.name))
        }
    }
}

/// At a cluster time, a collection that was dropped later shows no documents, and no error: what changed in it would
/// seem to be gone, or never to have been there.
async fn still_there(tools: &Tools, catalog: &Catalog, changes: &Changes) -> Result<(), NoIncrement> {
    let mut looked_up = catalog.collections.iter().map(|collection| &collection.name);
    if !looked_up.clone().any(|name| changes.is_any(name)) {
        return Ok(());
    }
    let vanished = tools.mongo.vanished(catalog).await.map_err(Failure::from)?;
    match looked_up.find(|name| changes.is_any(name) && vanished.contains(*name)) {
        None => Ok(()),
        Some(name) => {
            let why = format!("{VANISHED}. The next increment has what is there then");
            Err(Failure::new(FailureKind::Database, why).passing(true).at(name).into())
        }
    }
}
