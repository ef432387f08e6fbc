//! Which archive to read, and where its readers' runs keep what they write.

use serde::{Deserialize, Serialize};

use crate::archive::ArchiveName;
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store};

/// The folder of snapshots, beside the archives.
const FOLDER: &str = "pre-restore";

/// Which archive is meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected s3://bucket/prefix/backup_….tar.zst, a path, or {\"latest\": \"s3://bucket/prefix/\"}"
)]
#[non_exhaustive]
pub enum ArchiveChoice {
    /// This one.
    At(String),
    /// The newest in a folder.
    Latest {
        /// The folder.
        latest: String,
    },
}

/// The archive that is meant.
pub(crate) async fn find_archive(choice: &ArchiveChoice, store: &Store) -> Result<Location, Failure> {
    let folder: Location = match choice {
        ArchiveChoice::At(location) => return Ok(location.parse()?),
        ArchiveChoice::Latest { latest } => latest.parse()?,
    };
    let (name, full) = newest(store, &folder)
        .await?
        .ok_or_else(|| Failure::new(FailureKind::ArchiveNotFound, format!("there is no archive in {folder}")))?;
    // The newest moment is that of the last increment that continues it.
    let increments = newest(store, &folder_in(&folder, &name.chain())).await?;
    Ok(increments.map_or(full, |(_, increment)| increment))
}

/// The newest archive directly in a folder.
async fn newest(store: &Store, folder: &Location) -> Result<Option<(ArchiveName, Location)>, Failure> {
    let objects = store.list(folder, "backup_").await?.into_iter();
    let archives =
        objects.filter_map(|object| Some((ArchiveName::of_object(&object.location.file_name())?.0, object.location)));
    Ok(archives.max_by(|(a, _), (b, _)| a.cmp(b)))
}

/// A folder in a folder: a key of S3 ends in a slash.
pub(crate) fn folder_in(folder: &Location, name: &str) -> Location {
    match folder {
        Location::S3 { .. } => folder.join(&format!("{name}/")),
        Location::Local(_) => folder.join(name),
    }
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
        ArchiveChoice::Latest { latest } => folder_for(&latest.parse::<Location>()?.join("archive")),
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
