//! Writing an increment: what changed of each collection, or all of it.

use super::super::commit::commit;
use super::super::head::{TakenMoment, Writers};
use super::super::lane::{Lane, blank};
use super::super::metadata::metadata_text;
use super::super::name::{begin_upload, class};
use super::super::piece::Task;
use super::super::pipeline::Pipeline;
use super::super::report::BackupAnswer;
use super::super::request::BackupJob;
use super::super::state::LaneStart;
use super::super::tools::Tools;
use super::super::write;
use super::changed::{Changes, Since};
use super::ending::NoIncrement;
use super::parent::Parent;
use super::states;
use crate::archive::{
    ArchiveKind, ArchiveWriter, ConsistencyLevel, METADATA_ENTRY, Manifest, Saved, SavedStatus, Status,
};
use crate::catalog::{Catalog, Kind};
use crate::choice::folder_in;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Moment, VANISHED, code};
use crate::run::{Journal, Went};
use crate::store::Upload;

/// Writes the increment that continues a chain.
pub(super) async fn increment(job: &BackupJob, parent: &Parent, tools: &Tools) -> Result<BackupAnswer, NoIncrement> {
    tools.progress.step("looking for what has changed");
    let mut taken = TakenMoment::of_chain(job, &parent.manifest, tools).await?;
    let to = taken.moment.time.ok_or_else(|| {
        let reason = taken.moment.reason.as_deref().unwrap_or("it says no time");
        NoIncrement::Hole(format!("no snapshot can be read any more: {reason}"))
    })?;
    let since = Since::of(&taken.catalog, &taken.moment.undefined, parent);
    let looked = Box::pin(since.changes(job, (parent.time, to), tools)).await;
    let changes = match looked {
        Err(error) if error.has_lost_changes() => {
            let reason = format!("the server no longer has the changes since then: {}", error.reason);
            return Err(NoIncrement::Hole(reason));
        }
        changes => changes.map_err(|error| Failure::from(error.granting_read(&job.database)))?,
    };
    if taken.catalog.collections.is_empty() && !changes.has_seen_drops(parent) {
        let why = format!(
            "database {:?} is empty now, and nothing that happened since {} shows that its collections were dropped: \
             is this the server that was backed up?",
            job.database, parent.manifest.name
        );
        return Err(Failure::invalid(why).into());
    }
    for collection in &mut taken.catalog.collections {
        if changes.have_redefined(&collection.name) {
            collection.indexes = match tools.mongo.indexes(&job.database, &collection.name).await {
                Ok(indexes) => indexes,
                Err(error) if error.is(code::NAMESPACE_NOT_FOUND) => return Err(has_vanished(&collection.name).into()),
                Err(error) => return Err(Failure::from(error.granting_read(&job.database)).into()),
            };
        }
    }
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
        let mut manifest = write::manifest(
            &of_chain,
            &head,
            catalog,
            metadata,
            done.saved,
            (done.exceptions, done.unproven),
        );
        manifest.kind = ArchiveKind::Increment;
        manifest.continues = Some(parent.continued());
        inherit_doubt(&mut manifest, parent);
        manifest.collections.iter().try_for_each(whole_or_nothing)?;
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
                Ok(BackupAnswer::Finished(report)) => {
                    let report = report.warning(changes.said());
                    Ok(BackupAnswer::Finished(Box::new(report)))
                }
                Ok(unfinished) => Ok(unfinished),
                Err(failure) => Err(abort(upload, NoIncrement::Failed(failure)).await),
            }
        }
        Err(ended) => Err(abort(upload, ended).await),
    }
}

/// What rests on an archive of which it could not be proven that it is of one moment is no better proven than that.
fn inherit_doubt(manifest: &mut Manifest, parent: &Parent) {
    const OF_ITS_CHAIN: &str = "of its chain, ";
    let Some(why) = &parent.manifest.consistency.unproven else {
        return;
    };
    let unproven = &mut manifest.consistency.unproven;
    if unproven.is_none() {
        *unproven = Some(match why.starts_with(OF_ITS_CHAIN) {
            true => why.clone(),
            false => format!("{OF_ITS_CHAIN}{}: {why}", parent.manifest.name),
        });
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
            None => all(lane, moment, blank(collection), collection, pipeline).await?,
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
            let failure = Failure::new(FailureKind::Database, nothing).passing(why.contains(VANISHED));
            Err(failure.at(&saved.name))
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
        Some(name) => Err(has_vanished(name).into()),
    }
}

fn has_vanished(collection: &str) -> Failure {
    let why = format!("{VANISHED}. The next increment has what is there then");
    Failure::new(FailureKind::Database, why).passing(true).at(collection)
}
