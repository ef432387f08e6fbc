//! A restore divided among workers: who loads which segments, and their combined result.
//!
//! A share is a list of **stretches**, runs of segments of one collection.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::counted::Loaded;
use super::create::drop_collection;
use super::load::is_repeatable;
use super::record::{Going, Record, Share, Stretch};
use super::request::RestoreJob;
use super::work;
use crate::archive::Entry;
use crate::backup::Tools;
use crate::catalog::Kind;
use crate::failure::{Failure, FailureKind};
use crate::open::not_what_was_promised;
use crate::plan::{Action, Method, Planned, RestorePlan};
use crate::run::{Left, Run};
use crate::store::Location;

/// The name of a worker's step.
pub(super) const LOAD: &str = "load";
/// How many segments make a stretch: some hundred MiB, loaded in seconds.
const SEGMENTS: usize = 32;
/// How many stretches of one collection there are at the most; those of a very large one have more segments.
const MOST_STRETCHES: usize = 4_096;
/// How many collections are made at a time.
const AT_A_TIME: usize = 8;

/// What a worker has come to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct LoadState {
    /// What each stretch that is done counted, by its place in the share.
    pub(super) done: BTreeMap<usize, Loaded>,
    /// The stretch that is half done, and how far.
    #[serde(default)]
    pub(super) going: Option<(usize, Going)>,
}

impl LoadState {
    /// What a worker has left.
    pub(super) fn read(left: Option<&Left>) -> Result<Self, Failure> {
        let state = left.map(|left| left.place(LOAD)).transpose()?;
        Ok(state.flatten().unwrap_or_default())
    }

    pub(super) fn documents(&self) -> u64 {
        let going = self.going.iter().map(|(_, going)| &going.loaded);
        self.done
            .values()
            .chain(going)
            .map(|loaded| loaded.read.documents())
            .sum()
    }
}

/// Makes the collections that workers load, and the shares. To be asked when nothing has been loaded.
pub(super) async fn divide(run: &work::Restoring<'_>, workers: u32) -> Result<Vec<Share>, Failure> {
    let prepared = run.prepared;
    let manifest = prepared.archive.manifest();
    let Some(manifest) = manifest.filter(|_| prepared.archive.has_segments()) else {
        // An archive of others is read from its beginning to its end, and a chain is merged.
        return Ok(Vec::new());
    };
    let dividable = run.rows().filter(|(_, row)| can_be_divided(run, row));
    let chosen: Vec<(usize, &Planned, &Entry)> = dividable
        .filter_map(|(place, row)| Some((place, row, manifest.get(row.source.as_ref()?)?.entry.as_ref()?)))
        .collect();
    let begun = chosen.iter().map(|&(place, row, _)| async move {
        run.may_go_on()?;
        run.begin(place, row, &run.temporary(place), false).await
    });
    let begun: Vec<_> = begun.collect();
    // What has been begun is taken to its end, since a driver call must not be dropped half-way.
    let begun: Vec<Result<Going, Failure>> = stream::iter(begun).buffer_unordered(AT_A_TIME).collect().await;
    begun.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let mut shares: Vec<(u64, Share)> = vec![(0, Vec::new()); usize::try_from(workers).unwrap_or(1)];
    for (place, _, entry) in chosen {
        for (first, segments, bytes) in stretches(entry) {
            if let Some(least) = shares.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                least.0 += bytes;
                least.1.push(Stretch { place, first, segments });
            }
        }
    }
    let shares = shares.into_iter().map(|(_, share)| share);
    Ok(shares.filter(|share| !share.is_empty()).collect())
}

fn can_be_divided(run: &work::Restoring<'_>, row: &Planned) -> bool {
    row.action.restores()
        && row.action != Action::Merge
        && row.kind == Kind::Collection
        && matches!(row.method, Method::Aside | Method::AsideAfterDrop)
        && is_repeatable(run, row)
}

/// First segment, how many, and their decoded bytes. An entry without segments is one stretch, too: its collection is
/// there.
fn stretches(entry: &Entry) -> Vec<(usize, usize, u64)> {
    let count = entry.count();
    let most = SEGMENTS.max(count.div_ceil(MOST_STRETCHES));
    let of = |first: usize| {
        let segments = most.min(count - first);
        // Segments are about alike.
        (first, segments, entry.bytes / count as u64 * segments as u64)
    };
    match count {
        0 => vec![(0, 0, 0)],
        _ => (0..count).step_by(most).map(of).collect(),
    }
}

/// Puts what the workers counted into the record of the restore that goes on.
///
/// # Errors
/// If a share is not at its end, or the archive gave a worker something else than its manifest says.
pub(super) async fn gather(
    job: &RestoreJob,
    run: &Run,
    tools: &Tools,
    plan: &RestorePlan,
    record: &Record<'_>,
) -> Result<(), Failure> {
    let shares = record.loads();
    if shares.is_empty() {
        return Ok(());
    }
    let folder = folder_of_run(job, run)?;
    let mut sums: BTreeMap<usize, Loaded> = BTreeMap::new();
    for (number, share) in (0..).zip(&shares) {
        let left = Left::find(&tools.store, &load_folder(&folder, number)).await?;
        let done = LoadState::read(left.as_ref())?.done;
        for (index, stretch) in share.iter().enumerate() {
            let loaded = done.get(&index).ok_or_else(|| {
                Failure::new(
                    FailureKind::LoadMissing,
                    format!(
                        "load {number} did not finish, so nothing was put into place and nothing was changed: look for its own error, and restore again with a new run"
                    ),
                )
            })?;
            sums.entry(stretch.place).or_default().add(loaded);
        }
    }
    for (place, loaded) in sums {
        let Some(row) = plan.collections.get(place) else {
            continue;
        };
        if let Some(expected) = row.expected_digest().filter(|expected| *expected != loaded.read) {
            return Err(not_what_was_promised(&loaded.read, &expected).at(&row.name));
        }
        record.put_going(
            place,
            Going {
                passed: loaded.read.documents(),
                loaded,
                whole: true,
                ..Going::default()
            },
        );
    }
    record.put_gathered();
    record.save().await
}

/// Removes what the workers have loaded, where the restore is given up.
pub(super) async fn remove(restore: &work::Restoring<'_>, shares: &[Share]) {
    let mut places: Vec<usize> = shares.iter().flatten().map(|stretch| stretch.place).collect();
    places.sort_unstable();
    places.dedup();
    for place in places {
        let name = restore.temporary(place);
        if let Err(error) = drop_collection(restore.mongo(), restore.database(), &name).await {
            tracing::warn!(name, %error, "a temporary collection could not be removed: drop it by hand");
        }
    }
}

pub(super) fn load_folder(folder: &Location, number: u32) -> Location {
    folder.join(&format!("load-{number:05}"))
}

/// Where the run's state is.
pub(super) fn folder_of_run(job: &RestoreJob, run: &Run) -> Result<Location, Failure> {
    run.folder(&job.folder()?)
}
