//! The search for a moment: the archive that shows it, or the nearest before it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::folder::{folder_in, gone};
use crate::archive::{ArchiveName, ClusterTime, Manifest};
use crate::failure::{Failure, FailureKind};
use crate::run::rfc3339;
use crate::store::{Location, Store};

/// By how many seconds an archive's name may be later than the moment that it shows: two that begin in one second are
/// named by different ones.
const NAMED_LATER: i64 = 10;

/// A moment that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskedMoment(pub(super) ClusterTime);

impl std::str::FromStr for AskedMoment {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let cluster = text
            .split_once('.')
            .and_then(|(t, i)| Some((t.parse().ok()?, i.parse().ok()?)));
        if let Some((t, i)) = cluster {
            return Ok(Self(ClusterTime { t, i }));
        }
        let second = OffsetDateTime::parse(text, &Rfc3339).ok();
        let second = second.and_then(|time| u32::try_from(time.unix_timestamp()).ok());
        let second = second.ok_or_else(|| {
            Failure::invalid(format!(
                "\"at\" (--at): {text:?} is no moment; write 2026-11-25T14:03:27Z, or a cluster time as 1795633407.31"
            ))
        })?;
        Ok(Self(ClusterTime { t: second, i: u32::MAX }))
    }
}

/// The newest archive in a folder, increments among them, that shows no later moment.
pub(super) async fn find_at(
    store: &Store,
    folder: &Location,
    AskedMoment(asked): AskedMoment,
) -> Result<Location, Failure> {
    let (name, full) = shown_by(store, folder, asked).await?.map_err(|earliest| {
        let why = match earliest {
            Some(time) => format!(
                "the earliest moment that an archive in {folder} shows is {}",
                said(time)
            ),
            None => format!("there is no archive in {folder} with a manifest beside it that names a moment"),
        };
        gone(folder).unwrap_or_else(|| Failure::new(FailureKind::ArchiveNotFound, why))
    })?;
    let chain = shown_by(store, &folder_in(folder, &name.chain()), asked).await?;
    Ok(chain.map_or(full, |(_, increment)| increment))
}

/// The newest archive directly in a folder that shows no later moment, or the earliest moment that one shows.
async fn shown_by(
    store: &Store,
    folder: &Location,
    asked: ClusterTime,
) -> Result<Result<(ArchiveName, Location), Option<ClusterTime>>, Failure> {
    let objects = store.list(folder, "backup_").await?.into_iter();
    let archives =
        objects.filter_map(|object| Some((ArchiveName::of_object(&object.location.file_name())?.0, object.location)));
    let mut archives: Vec<_> = archives.collect();
    archives.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    // Names follow the moments, so that few manifests have to be read.
    let latest = i64::from(asked.t) + NAMED_LATER;
    let upto = archives.partition_point(|(name, _)| name.unix_seconds() <= latest);
    let mut earliest = None;
    for (name, location) in archives[..upto].iter().rev().chain(archives[upto..].first()) {
        let Some((text, _)) = store.load(&folder.join(&name.sidecar())).await? else {
            continue;
        };
        let manifest = Manifest::from_sidecar(&text).ok();
        match manifest.and_then(|manifest| manifest.consistency.cluster_time) {
            Some(time) if time <= asked => return Ok(Ok((name.clone(), location.clone()))),
            Some(time) => earliest = Some(earliest.map_or(time, |other: ClusterTime| other.min(time))),
            None => {}
        }
    }
    Ok(Err(earliest))
}

/// A cluster time as text: its second.
pub(crate) fn said(time: ClusterTime) -> String {
    OffsetDateTime::from_unix_timestamp(time.t.into()).map_or_else(|_| time.t.to_string(), rfc3339)
}
