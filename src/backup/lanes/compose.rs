//! The third step: the store joins the lanes' objects, and the archive gets its manifest.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::super::commit::{Announced, commit, finished_before};
use super::super::head::{BackupHead, LanePlan, Writers, select};
use super::super::lane::{blank, fail};
use super::super::metadata::{manifest_text, metadata_text, mongodump_metadata, out_of_memory, too_many_segments};
use super::super::report::{BackupAnswer, Totals, UnfinishedBackup};
use super::super::request::BackupJob;
use super::super::shares::{DATA, DONE, JOIN, Joining, LaneDone, lane_folder, not_planned};
use super::super::tools::Tools;
use super::super::write;
use crate::archive::table::MOST_SEGMENTS;
use crate::archive::{
    Composer, Entry, EntryName, Exception, FrameEncoder, JoinedPart, METADATA_ENTRY, Manifest, Part, Payload, Piece,
    Saved, SavedStatus, join,
};
use crate::catalog::Collection;
use crate::failure::{Failure, FailureKind};
use crate::run::{
    Ended as _, Journal, Left, Run, Running, remove_run, rfc3339, take_up_kept, unusable, unusable_because,
};
use crate::store::{Location, Object, Store, StoreError, Upload};

/// Joins the lanes, adds the manifest, and commits.
///
/// # Errors
/// As [`backup_run`](crate::backup::backup_run), and if a lane is not at its end.
pub fn compose<'a>(job: &'a BackupJob, run: &'a Run, tools: &'a Tools) -> Running<'a, BackupAnswer> {
    Box::pin(async move {
        let folder = run.folder(&job.destination)?;
        let Some(journal) = take_up_kept(&tools.store, folder.clone()).await? else {
            return Ok(BackupAnswer::Unfinished(UnfinishedBackup::running(run, job)));
        };
        let composed = Box::pin(compose_held(job, run, tools, &journal)).await;
        match &composed {
            Ok(BackupAnswer::Finished(report)) if report.is_found_again() => {
                for number in 0..report.lanes {
                    let lane = lane_folder(&folder, number);
                    if let Err(error) = remove_run(&tools.store, &lane).await {
                        tracing::warn!(%error, "a lane could not be removed; the bucket's lifecycle rule will");
                    }
                }
                journal.end().await;
            }
            Err(failure) if failure.kind == FailureKind::RunTakenOver => {}
            // What the lanes have written is not thrown away for a failure: `abort` does that.
            _ => journal.pause().await,
        }
        composed
    })
}

async fn compose_held(job: &BackupJob, run: &Run, tools: &Tools, journal: &Journal) -> Result<BackupAnswer, Failure> {
    let Some(left) = journal.open().await? else {
        let finished = finished_before(job, run, tools).await?;
        return finished.ok_or_else(|| not_planned(run));
    };
    let head: BackupHead = left.head()?;
    head.check(job, run, journal)?;
    let (Writers::Lanes(plans), Some(mut joining)) = (&head.writers, journal.found::<Joining>(JOIN)?) else {
        return Err(not_planned(run));
    };
    if let Some(announced) = Announced::find(journal)? {
        return Box::pin(announced.commit(job, tools, journal)).await;
    }
    let lanes = done_lanes(job, run, tools, plans.len()).await?;
    let finished = joining
        .finished
        .take()
        .unwrap_or_else(|| rfc3339(OffsetDateTime::now_utc()));
    let (manifest, pieces) = layout(job, &head, plans, &lanes, finished.clone())?;

    let mut upload = tools.resume(joining.upload).await?;
    let folder = run.folder(&job.destination)?;
    let sources = Sources::find(tools, &folder, &lanes).await?;
    let mut moved = false;
    for part in join(pieces, joining.equal_parts) {
        if upload.has(part.number) {
            continue;
        }
        tools.may_go_on()?;
        journal.check()?;
        if moved && journal.must_pause(tools.deadline) {
            let joining = Joining {
                upload: upload.state().await?,
                finished: Some(finished),
                ..joining
            };
            journal.write(JOIN, &joining, &[]).await?;
            let totals = Totals::of(&manifest.collections);
            let paused = UnfinishedBackup::paused(run, job, upload.location(), journal.invocations(), totals);
            return Ok(BackupAnswer::Unfinished(paused));
        }
        sources.send(part, &mut upload).await?;
        moved = true;
    }
    Box::pin(commit(&mut upload, &manifest, job, tools, journal)).await
}

/// The lanes' objects.
struct Sources {
    store: Store,
    objects: HashMap<u32, Object>,
}

impl Sources {
    async fn find(tools: &Tools, folder: &Location, lanes: &[LaneDone]) -> Result<Self, Failure> {
        let mut objects = HashMap::new();
        for (number, lane) in (0..).zip(lanes) {
            if lane.content.bytes == 0 {
                continue;
            }
            let location = lane_folder(folder, number).join(DATA);
            let object = match tools.store.find(&location).await {
                Err(StoreError::NotFound(..)) => return Err(unusable(&location, "is not there")),
                found => found?,
            };
            if object.bytes != lane.content.bytes {
                return Err(unusable(&location, "is not what was written"));
            }
            objects.insert(number, object);
        }
        Ok(Self {
            store: tools.store.clone(),
            objects,
        })
    }

    fn object(&self, lane: u32) -> Result<&Object, Failure> {
        let object = self.objects.get(&lane);
        object.ok_or_else(|| unusable_because(&format!("lane {lane} has no object")))
    }

    /// Copies what lies in one lane; puts together anything else.
    async fn send(&self, part: JoinedPart, upload: &mut Upload) -> Result<(), Failure> {
        if let [Piece::Lane { lane, extent }] = part.pieces.as_slice() {
            let (source, extent) = (self.object(*lane)?.clone(), *extent);
            upload.copy(part.number, part.offset, &source, extent).await?;
            return Ok(());
        }
        let mut bytes = Vec::new();
        for piece in part.pieces {
            match piece {
                Piece::Bytes(made) => bytes.extend_from_slice(&made),
                Piece::Lane { lane, extent } => {
                    bytes.extend_from_slice(&self.store.read(self.object(lane)?, extent).await?);
                }
            }
        }
        let (number, offset) = (part.number, part.offset);
        upload.send(Part { number, offset, bytes }).await?;
        Ok(())
    }
}

async fn done_lanes(job: &BackupJob, run: &Run, tools: &Tools, count: usize) -> Result<Vec<LaneDone>, Failure> {
    let folder = run.folder(&job.destination)?;
    let mut lanes = Vec::with_capacity(count);
    for number in (0..).take(count) {
        let folder = lane_folder(&folder, number);
        let not_done = || {
            Failure::invalid(format!(
                "lane {number} is not complete: call the action \"lane\" for it until it answers \"complete\""
            ))
        };
        let left = Left::find(&tools.store, &folder).await?.ok_or_else(not_done)?;
        let mut done = left.place::<LaneDone>(DONE)?.ok_or_else(not_done)?;
        done.content.rows = done.rows.read(&left).await?;
        lanes.push(done);
    }
    Ok(lanes)
}

/// The archive of these lanes: its manifest, and its pieces.
fn layout(
    job: &BackupJob,
    head: &BackupHead,
    plans: &[LanePlan],
    lanes: &[LaneDone],
    finished: String,
) -> Result<(Manifest, Vec<Piece>), Failure> {
    let catalog = select(job, &head.moment)?;
    let out_of_memory = |error: std::io::Error| out_of_memory(&error);
    let mut small = FrameEncoder::new(job.compression).map_err(out_of_memory)?;
    let mut composer = Composer::new(head.name.clone(), job.compression);
    let metadata = composer
        .entry(METADATA_ENTRY, &metadata_text(&catalog)?, &mut small)
        .map_err(out_of_memory)?;

    let mut found: HashMap<String, Saved> = HashMap::new();
    let mut number = 0;
    while let Some(plan) = plans.get(number) {
        // The ranges of one collection follow one another.
        let same = |other: &&LanePlan| other.range.is_some() && other.collections == plan.collections;
        let ranges = plans[number..].iter().take_while(same).count();
        let of = |index: usize| (u32::try_from(index).unwrap_or(u32::MAX), &lanes[index].content);
        if ranges == 0 {
            let entries = composer.lane(of(number).0, of(number).1);
            let by_path: HashMap<String, _> = entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
            let placed = |entry: &Entry| by_path.get(&entry.path).cloned();
            for saved in &lanes[number].saved {
                let saved = Saved {
                    definition: saved.definition.as_ref().and_then(placed),
                    entry: saved.entry.as_ref().and_then(placed),
                    abandoned: saved.abandoned.iter().filter_map(placed).collect(),
                    ..saved.clone()
                };
                found.insert(saved.name.clone(), saved);
            }
            number += 1;
            continue;
        }
        let of_ranges = &lanes[number..number + ranges];
        let mut saved = joined(of_ranges.iter().flat_map(|lane| &lane.saved))
            .ok_or_else(|| unusable_because(&format!("lane {number} says nothing of its collection")))?;
        let name = EntryName::new(&saved.name, job.payload);
        if let (Payload::Bson, Some(collection)) = (job.payload, catalog.get(&saved.name)) {
            let text = mongodump_metadata(collection);
            saved.definition = Some(
                composer
                    .entry(&name.definition(), &text, &mut small)
                    .map_err(out_of_memory)?,
            );
        }
        let file = match saved.status {
            SavedStatus::Complete => name.whole(),
            SavedStatus::Partial | SavedStatus::Failed => name.partial(),
        };
        let contents: Vec<_> = (number..number + ranges).map(of).collect();
        saved.entry = Some(composer.split(&file, &contents));
        found.insert(saved.name.clone(), saved);
        number += ranges;
    }
    let mut collections = Vec::with_capacity(catalog.collections.len());
    for collection in &catalog.collections {
        let saved = match found.remove(&collection.name) {
            Some(saved) => saved,
            None => unread(job, head, collection, &mut composer, &mut small)?,
        };
        collections.push(saved);
    }
    let mut exceptions: Vec<Exception> = Vec::new();
    for exception in lanes.iter().flat_map(|lane| &lane.exceptions) {
        if !exceptions.iter().any(|known| known.collection == exception.collection) {
            exceptions.push(exception.clone());
        }
    }
    let unproven = lanes.iter().find_map(|lane| lane.unproven.clone());
    let mut manifest = write::manifest(job, head, catalog, metadata, collections, (exceptions, unproven));
    manifest.finished = finished;
    manifest.lanes = u32::try_from(lanes.len()).ok();
    if composer.segments() > MOST_SEGMENTS {
        return Err(too_many_segments());
    }
    composer.list(&mut manifest, &mut small).map_err(out_of_memory)?;
    let (pieces, _) = composer
        .finish(manifest_text(&manifest)?, &mut small)
        .map_err(out_of_memory)?;
    Ok((manifest, pieces))
}

/// A view, or a collection whose definition the server would not give: no lane reads these.
fn unread(
    job: &BackupJob,
    head: &BackupHead,
    collection: &Collection,
    composer: &mut Composer,
    small: &mut FrameEncoder,
) -> Result<Saved, Failure> {
    let mut saved = blank(collection);
    if let Some(reason) = head.moment.undefined.get(&collection.name) {
        fail(job, &mut saved, SavedStatus::Failed, reason.clone())?;
    } else if job.payload == Payload::Bson {
        let name = EntryName::new(&collection.name, Payload::Bson).definition();
        let entry = composer.entry(&name, &mongodump_metadata(collection), small);
        saved.definition = Some(entry.map_err(|error| out_of_memory(&error))?);
    }
    Ok(saved)
}

/// One collection of its ranges. It is whole where each of them is.
fn joined<'a>(ranges: impl Iterator<Item = &'a Saved>) -> Option<Saved> {
    ranges.cloned().reduce(|mut sum, range| {
        let mut digest = sum.expected_digest();
        digest.merge(&range.expected_digest());
        sum.documents = digest.documents();
        sum.bytes = digest.bytes();
        sum.digest = digest.sum();
        sum.wrapped += range.wrapped;
        if range.status != SavedStatus::Complete || sum.status != SavedStatus::Complete {
            sum.status = SavedStatus::Partial;
            sum.error = sum.error.or(range.error);
        }
        sum
    })
}
