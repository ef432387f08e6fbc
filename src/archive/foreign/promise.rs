//! What a source claims: whether it names every collection of its database, and what each of them holds.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::archive::{Saved, SavedStatus};
use crate::catalog::{Kind, Selection};
use crate::digest::Hashing;
use crate::wording::count;

/// What a manifest of ours promises of a tar that was packed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    /// Why these may not be all collections of the database.
    pub(super) part: Option<&'static str>,
    collections: BTreeMap<String, Promised>,
}

/// What it promises of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Promised {
    name: String,
    kind: Kind,
    documents: u64,
    digest: String,
    /// As a manifest has it.
    hashing: String,
}

impl Promise {
    /// Nothing, for this reason.
    pub(super) fn nothing(why: &'static str) -> Self {
        Self {
            part: Some(why),
            collections: BTreeMap::new(),
        }
    }

    /// # Errors
    /// Why it is no manifest.
    pub(super) fn of_manifest(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Manifest {
            format: String,
            #[serde(default)]
            selection: Selection,
            collections: Vec<Promised>,
        }
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if manifest.format != "mongotar" {
            return Err(format!("its format is {:?}", manifest.format));
        }
        let collections = manifest.collections.into_iter();
        Ok(Self {
            part: match manifest.selection.is_everything() {
                true => None,
                false => Some("the backup has only a selection of the database's collections"),
            },
            collections: collections.map(|promised| (promised.name.clone(), promised)).collect(),
        })
    }

    /// The collections that it names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(String::as_str)
    }

    /// What of the promise is not kept by a collection that was read to its end.
    pub(super) fn broken_by(&self, saved: &Saved) -> Option<String> {
        let promised = self.collections.get(&saved.name)?;
        let is_compared =
            saved.status == SavedStatus::Complete && saved.kind == promised.kind && saved.kind != Kind::View;
        let is_hashed_alike = (promised.hashing == "raw") == (saved.hashing == Hashing::Raw);
        let is_same =
            saved.documents == promised.documents && (!is_hashed_alike || saved.digest.to_string() == promised.digest);
        (is_compared && !is_same).then(|| match saved.documents == promised.documents {
            true => format!(
                "{:?}: its documents are not those of which the manifest has the digest",
                saved.name
            ),
            false => format!(
                "{:?}: the manifest promises {}, and the archive has {}",
                saved.name,
                count(promised.documents, "document"),
                count(saved.documents, "document")
            ),
        })
    }
}
