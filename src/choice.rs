//! Which archive to read, and where its readers' runs keep what they write.

mod chain;
mod folder;
mod moment;

use serde::{Deserialize, Serialize};

use crate::archive::{ArchiveName, ClusterTime};
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store};
use crate::wording::count;

pub(crate) use chain::{InFolder, NO_MANIFEST, in_folder, members};
pub(crate) use folder::folder_in;
pub use folder::gone;
pub(crate) use moment::said;
use moment::{AskedMoment, find_at};

/// The folder of snapshots, beside the archives.
const FOLDER: &str = "pre-restore";

/// Which archive is meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected s3://bucket/prefix/backup_….tar.zst, a path, or {\"latest\": \"s3://bucket/prefix/\"}, which may have \"at\""
)]
#[non_exhaustive]
pub enum ArchiveChoice {
    /// This one.
    At(String),
    /// The newest in a folder, of all or of those that show a moment at which something was, or before.
    Latest {
        /// The folder.
        latest: String,
        /// That moment: `2026-11-25T14:03:27Z`, up to the end of that second, or a cluster time, `1795633407.31`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
}

impl ArchiveChoice {
    /// The newest in a folder.
    pub fn latest(folder: impl Into<String>) -> Self {
        Self::Latest {
            latest: folder.into(),
            at: None,
        }
    }

    /// How far what an archive shows is from the moment that was asked for; `None` if none was, or it is that.
    ///
    /// # Errors
    /// If the archive shows a later one, or none.
    pub(crate) fn distance(&self, shown: Option<ClusterTime>) -> Result<Option<String>, Failure> {
        let Self::Latest { at: Some(at), .. } = self else {
            return Ok(None);
        };
        let AskedMoment(asked) = at.parse()?;
        let shown = shown.filter(|shown| *shown <= asked);
        let Some(shown) = shown else {
            let why = format!("the archive does not show what was there at {at}");
            return Err(Failure::new(FailureKind::ArchiveNotFound, why));
        };
        Ok((shown.t != asked.t).then(|| {
            format!(
                "of {at}, what is restored is as of {}, {} earlier: no later archive there shows a moment up to {at}, and what changed in \
                 between is not restored",
                said(shown),
                count((asked.t - shown.t).into(), "second"),
            )
        }))
    }
}

/// The archive that is meant.
pub(crate) async fn find_archive(choice: &ArchiveChoice, store: &Store) -> Result<Location, Failure> {
    let folder: Location = match choice {
        ArchiveChoice::At(location) => return Ok(location.parse()?),
        ArchiveChoice::Latest { latest, at: Some(at) } => {
            return find_at(store, &latest.parse()?, at.parse()?).await;
        }
        ArchiveChoice::Latest { latest, at: None } => latest.parse()?,
    };
    let mut fulls = in_folder(store, &folder).await?;
    fulls.retain(|found| !found.objects.is_empty());
    // Increments may still have continued the chain before, while the newest full archive was being made.
    let last = fulls.len().saturating_sub(2);
    let mut newest: Option<(ArchiveName, Location)> = None;
    for full in fulls.drain(..).skip(last) {
        let increments = in_folder(store, &folder_in(&folder, &full.name.chain())).await?;
        for found in increments.into_iter().chain([full]) {
            if let Some((_, object)) = found.objects.into_iter().next()
                && newest.as_ref().is_none_or(|(name, _)| *name <= found.name)
            {
                newest = Some((found.name, object.location));
            }
        }
    }
    let empty = || {
        format!(
            "there is no archive in {folder}: name the folder that backups were written to. Other dumps are named themselves, and not by latest (--latest)"
        )
    };
    let nothing = || gone(&folder).unwrap_or_else(|| Failure::new(FailureKind::ArchiveNotFound, empty()));
    newest.map(|(_, location)| location).ok_or_else(nothing)
}

/// Where a restore writes by default: `pre-restore/` beside the archive, or, of an increment, beside the full archive
/// of its chain; never nested.
pub fn folder_for(archive: &Location) -> Location {
    let beside = match archive.parent() {
        chain if is_chain(&chain) => chain.above(),
        beside => beside,
    };
    match beside.file_name() == FOLDER || ends_in_folder(&beside) {
        true => beside,
        false => beside.join(FOLDER),
    }
}

/// The same for an archive that is still to be looked for.
///
/// # Errors
/// If that is no place.
pub(crate) fn folder_for_choice(choice: &ArchiveChoice) -> Result<Location, Failure> {
    Ok(match choice {
        ArchiveChoice::At(archive) => folder_for(&archive.parse()?),
        ArchiveChoice::Latest { latest, .. } => folder_for(&latest.parse::<Location>()?.join("archive")),
    })
}

/// Whether a folder is one of increments.
fn is_chain(folder: &Location) -> bool {
    let text = folder.to_string();
    let name = text.trim_end_matches('/').rsplit('/').next();
    name.and_then(ArchiveName::of_chain).is_some()
}

/// An S3 folder's key ends in a slash.
fn ends_in_folder(location: &Location) -> bool {
    matches!(location, Location::S3 { key, .. } if key.trim_end_matches('/').rsplit('/').next() == Some(FOLDER))
}
