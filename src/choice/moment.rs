//! The search for a moment: the archive that shows it, the increment that tells of it, or the nearest before it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::chain::{InFolder, in_folder};
use super::folder::{folder_in, gone};
use crate::archive::{ClusterTime, Manifest};
use crate::failure::{Failure, FailureKind};
use crate::run::rfc3339;
use crate::store::{Location, Store};

/// By how many seconds an archive's name may be later than the moment that it shows: two that begin in one second are
/// named by different ones.
const NAMED_LATER: i64 = 10;
/// How many increments are looked at for the one that continues another: where several programs make them, others lie
/// between.
const LOOKED_AT: usize = 8;

/// A moment that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskedMoment(pub(super) ClusterTime);

impl std::str::FromStr for AskedMoment {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        if let Ok(time) = text.parse() {
            return Ok(Self(time));
        }
        let second = OffsetDateTime::parse(text, &Rfc3339).ok();
        let second = second.and_then(|time| u32::try_from(time.unix_timestamp()).ok());
        let second = second.ok_or_else(|| {
            Failure::invalid(format!(
                "\"at\" (--at): {text:?} is no moment; write 2026-11-25T14:03:27Z, or a cluster time as 1795633407.31"
            ))
        })?;
        Ok(Self(ClusterTime::end_of(second)))
    }
}

/// The newest archive in a folder, increments among them, that shows no later moment; or the moment itself, within the
/// increment that tells of it.
pub(super) async fn find_at(
    store: &Store,
    folder: &Location,
    AskedMoment(asked): AskedMoment,
) -> Result<Location, Failure> {
    let found = in_folder(store, folder).await?;
    let full = shown_by(store, folder, &found, asked).await?.map_err(|earliest| {
        let why = match earliest {
            Some(time) => format!(
                "the earliest moment that an archive in {folder} shows is {}",
                said(time)
            ),
            None => format!("there is no archive in {folder} with a manifest beside it that names a moment"),
        };
        gone(folder).unwrap_or_else(|| Failure::new(FailureKind::ArchiveNotFound, why))
    })?;
    let chain = folder_in(folder, &full.manifest.name.chain());
    let increments = in_folder(store, &chain).await?;
    let shown = shown_by(store, &chain, &increments, asked).await?.unwrap_or(full);
    let within = told_by(store, &chain, &increments, (&shown, asked)).await?;
    Ok(within.unwrap_or(shown.location))
}

/// An archive that shows a moment.
struct ShownMoment {
    manifest: Manifest,
    time: ClusterTime,
    location: Location,
}

/// The newest archive directly in a folder that shows no later moment, or the earliest moment that one shows.
async fn shown_by(
    store: &Store,
    folder: &Location,
    found: &[InFolder],
    asked: ClusterTime,
) -> Result<Result<ShownMoment, Option<ClusterTime>>, Failure> {
    // Names follow the moments, so that few manifests have to be read.
    let latest = i64::from(asked.t) + NAMED_LATER;
    let upto = found.partition_point(|found| found.name.unix_seconds() <= latest);
    let mut earliest = None;
    for found in found[..upto].iter().rev().chain(found[upto..].first()) {
        match shown(store, folder, found).await? {
            Some(shown) if shown.time <= asked => return Ok(Ok(shown)),
            Some(shown) => earliest = Some(earliest.map_or(shown.time, |other: ClusterTime| other.min(shown.time))),
            None => {}
        }
    }
    Ok(Err(earliest))
}

async fn shown(store: &Store, folder: &Location, found: &InFolder) -> Result<Option<ShownMoment>, Failure> {
    let Some((_, object)) = found.objects.first() else {
        return Ok(None);
    };
    let Some((text, _)) = store.load(&folder.join(&found.name.sidecar())).await? else {
        return Ok(None);
    };
    let manifest = Manifest::from_sidecar(&text).ok();
    Ok(manifest.and_then(|manifest| {
        Some(ShownMoment {
            time: manifest.consistency.cluster_time?,
            manifest,
            location: object.location.clone(),
        })
    }))
}

/// The moment within the increment that continues an archive and tells of what came between.
async fn told_by(
    store: &Store,
    chain: &Location,
    increments: &[InFolder],
    (before, asked): (&ShownMoment, ClusterTime),
) -> Result<Option<Location>, Failure> {
    if before.time == asked {
        return Ok(None);
    }
    let later = increments.partition_point(|found| found.name <= before.manifest.name);
    for found in increments[later..].iter().take(LOOKED_AT) {
        let Some(shown) = shown(store, chain, found).await? else {
            continue;
        };
        let continues = shown.manifest.continues.as_ref();
        let is_next = continues.is_some_and(|continues| continues.journal && continues.parent == before.manifest.name);
        if is_next && shown.time > asked {
            let file = format!("{}@{asked}", shown.location.file_name());
            return Ok(Some(chain.join(&file)));
        }
    }
    Ok(None)
}

/// A cluster time as text: its second.
pub(crate) fn said(time: ClusterTime) -> String {
    OffsetDateTime::from_unix_timestamp(time.t.into()).map_or_else(|_| time.t.to_string(), rfc3339)
}
