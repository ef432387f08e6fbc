//! Folders within folders, and those that are not there.

use crate::failure::{Failure, FailureKind};
use crate::store::Location;

/// A folder in a folder: a key of S3 ends in a slash.
pub(crate) fn folder_in(folder: &Location, name: &str) -> Location {
    match folder {
        Location::S3 { .. } => folder.join(&format!("{name}/")),
        Location::Local(_) => folder.join(name),
    }
}

/// The failure where a folder in which nothing was found is not there at all.
pub fn gone(folder: &Location) -> Option<Failure> {
    let Location::Local(path) = folder else { return None };
    (!path.is_dir()).then(|| {
        let gone = format!("{folder} is not there: name the folder that backups were written to");
        Failure::new(FailureKind::ArchiveNotFound, gone)
    })
}
