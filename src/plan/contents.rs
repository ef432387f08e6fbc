//! An archive's contents, whoever wrote it, as a restore sees them.

use serde::{Deserialize, Serialize};

use crate::archive::foreign::Signals;
use crate::archive::{ArchiveKind, Coverage, Saved, Status};
use crate::catalog::Server;

/// What an archive holds, native or foreign alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Which archive it is.
    pub archive: ArchiveIdentity,
    /// Whether it is the state that a chain of increments leads to, or was made at once.
    pub kind: ArchiveKind,
    /// Whether everything requested is in it.
    pub status: Status,
    /// The database it was made of, if the archive says so.
    pub database: Option<String>,
    /// The server it was made of, if the archive says so.
    pub server: Option<Server>,
    /// How much of that database it speaks of.
    pub coverage: Coverage,
    /// Every collection, time series and view in it.
    pub collections: Vec<Saved>,
    /// What was seen in a foreign archive. For a native one there is nothing to infer: the default.
    pub signals: Signals,
}

/// Which archive a plan was made for, so that consent to it is not consent to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ArchiveIdentity {
    /// Where it lies, without credentials.
    pub location: String,
    /// Its name.
    pub name: String,
    /// What the store calls this version of the object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    /// Hex BLAKE3 of the manifest, or of the survey of a foreign archive.
    pub manifest: String,
}
