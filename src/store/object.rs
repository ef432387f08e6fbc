//! What is known of an object before reading it.

use super::Location;

/// An object as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it is.
    pub location: Location,
    /// How long it is.
    pub bytes: u64,
    /// What pins it: an ETag, or size and time of a file.
    pub etag: String,
}
