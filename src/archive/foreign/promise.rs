//! What a source claims: whether it names every collection of its database.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::catalog::Selection;

/// What a manifest of ours promises of a tar that was packed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// These are all collections of the database.
    All(BTreeSet<String>),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

impl Promise {
    /// # Errors
    /// Why it is no manifest.
    pub(super) fn of_manifest(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Manifest {
            format: String,
            #[serde(default)]
            selection: Selection,
            collections: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if manifest.format != "mongotar" {
            return Err(format!("its format is {:?}", manifest.format));
        }
        Ok(match manifest.selection.is_everything() {
            true => Self::All(manifest.collections.into_iter().map(|named| named.name).collect()),
            false => Self::Nothing("the backup has only a selection of the database's collections"),
        })
    }
}
