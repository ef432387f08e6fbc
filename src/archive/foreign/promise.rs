//! What a source claims: whether it names every collection of its database, and what each of them holds.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::Value;

use super::encoding::utf8;
use crate::archive::{Saved, SavedStatus};
use crate::catalog::{Kind, Selection};
use crate::digest::Hashing;
use crate::ordered::map;
use crate::wording::count;

/// What a manifest of ours promises of a tar that was packed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    /// Why these may not be all collections of the database.
    pub(super) part: Option<&'static str>,
    collections: BTreeMap<String, Promised>,
}

/// What it promises of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Promised {
    documents: u64,
    digest: String,
    /// Whether the digest is that of the documents' bytes, and not of their sorted fields.
    is_raw: bool,
}

impl Promised {
    fn of(row: &Value) -> Option<(String, Self)> {
        let text = |field: &str| row.get(field).and_then(Value::as_str);
        let promised = Self {
            documents: row.get("documents")?.as_u64()?,
            digest: text("digest")?.to_owned(),
            is_raw: text("hashing")? == "raw",
        };
        Some((text("name")?.to_owned(), promised))
    }
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
        let manifest: Value = serde_json::from_str(utf8(text)?).map_err(|error| error.to_string())?;
        let format = manifest.get("format").and_then(Value::as_str).unwrap_or_default();
        if format != "mongotar" {
            return Err(format!("its format is {format:?}"));
        }
        let rows = manifest.get("collections").and_then(Value::as_array);
        let promised: Option<Vec<_>> = rows.and_then(|rows| rows.iter().map(Promised::of).collect());
        let selection = manifest.get("selection").map(Selection::deserialize).transpose();
        Ok(Self {
            part: match selection
                .map_err(|error| error.to_string())?
                .unwrap_or_default()
                .is_everything()
            {
                true => None,
                false => Some("the backup has only a selection of the database's collections"),
            },
            collections: map(promised.ok_or("it does not say what each collection holds")?),
        })
    }

    /// The collections that it names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(String::as_str)
    }

    /// What of the promise is not kept by a collection that was read to its end.
    pub(super) fn broken_by(&self, saved: &Saved) -> Option<String> {
        let promised = self.collections.get(&saved.name)?;
        let is_compared = saved.status == SavedStatus::Complete && saved.kind != Kind::View;
        let is_hashed_alike = promised.is_raw == (saved.hashing == Hashing::Raw);
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
