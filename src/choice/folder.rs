//! Folders within folders.

use crate::store::Location;

/// A folder in a folder: a key of S3 ends in a slash.
pub(crate) fn folder_in(folder: &Location, name: &str) -> Location {
    match folder {
        Location::S3 { .. } => folder.join(&format!("{name}/")),
        Location::Local(_) => folder.join(name),
    }
}
