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
    let newest = store
        .list(&folder, "backup_")
        .await?
        .into_iter()
        .filter_map(|object| Some((ArchiveName::of_object(&object.location.file_name())?.0, object.location)))
        .max_by(|(a, _), (b, _)| a.cmp(b));
    newest
        .map(|(_, location)| location)
        .ok_or_else(|| Failure::new(FailureKind::ArchiveNotFound, format!("there is no archive in {folder}")))
}

/// Where a restore writes by default: `pre-restore/` beside the archive, never nested.
pub fn folder_for(archive: &Location) -> Location {
    let beside = archive.parent();
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

/// An S3 folder's key ends in a slash.
fn ends_in_folder(location: &Location) -> bool {
    matches!(location, Location::S3 { key, .. } if key.trim_end_matches('/').rsplit('/').next() == Some(FOLDER))
}
