//! The archives in a folder, and the state of each.
//!
//! The manifest's copy beside an archive dates from when the archive was whole; it does not say whether it still is. So
//! each archive is checked: its length and its last bytes, which hold the footer and mostly the manifest. That finds
//! archives that were cut, appended to, or altered there; only `verify` reads every byte.

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::archive::{
    ArchiveError, ArchiveName, Compression, Extent, FOOTER_SUFFIX, Footer, Manifest, Opened, Saved, Status, is_ours,
};
use crate::failure::Failure;
use crate::store::{Location, Object, Store};

/// How many archives are looked at at a time.
const AT_A_TIME: usize = 8;
/// How much of an archive's end is read: the manifest of a database of some hundred collections is in it.
const SUFFIX: u64 = 64 << 10;
/// How much of its beginning, where it has no footer: the first header, which tells whether it was ours.
const HEAD: u64 = 4 << 10;

/// One archive in a folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListedArchive {
    /// Its name.
    pub name: ArchiveName,
    /// Where it is.
    pub archive: Location,
    /// Its length.
    pub bytes: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// What a look at its end says.
    pub status: ListedStatus,
    /// Why it is damaged, or why nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What its manifest says; absent if that is damaged or missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<Summary>,
}

/// In what state an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ListedStatus {
    /// It has its end, and everything requested is in it.
    Complete,
    /// It has its end, and at least one collection is not whole.
    Partial,
    /// It was cut off or altered.
    Damaged,
    /// It could not be looked at, or is not ours.
    Unknown,
}

impl std::fmt::Display for ListedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Damaged => "DAMAGED",
            Self::Unknown => "unknown",
        })
    }
}

/// What a manifest says. Of a large archive it is the copy's beside it, which is not authenticated: the one inside
/// rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Whether everything is in it.
    pub status: Status,
    /// The database.
    pub database: String,
    /// How many collections, time series and views.
    pub collections: u64,
    /// How many documents.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// How many bytes of the archive nobody needs: those read of collections that were then read anew.
    #[serde(skip_serializing_if = "is_none", default)]
    pub abandoned_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_none(bytes: &u64) -> bool {
    *bytes == 0
}

/// The archives in a folder, oldest first.
///
/// # Errors
/// If the store cannot list the folder. An archive that cannot be read is listed with the reason.
pub async fn list(store: &Store, folder: &Location) -> Result<Vec<ListedArchive>, Failure> {
    let objects = store.list(folder, "backup_").await?;
    let archives = objects.iter().filter_map(|object| {
        let (name, compression) = ArchiveName::of_object(&object.location.file_name())?;
        let beside = objects
            .iter()
            .find(|other| other.location.file_name() == name.sidecar());
        Some(listed(store, object, beside, name, compression))
    });
    let mut found: Vec<ListedArchive> = stream::iter(archives).buffer_unordered(AT_A_TIME).collect().await;
    found.sort_unstable_by(|a, b| (&a.name, a.archive.file_name()).cmp(&(&b.name, b.archive.file_name())));
    Ok(found)
}

/// What a look at an archive's end gave.
enum Look {
    /// It has its end, and its manifest was read with it.
    Manifest(Box<Manifest>),
    /// It has its end; its manifest is longer than what was read.
    Footer,
    /// It is ours, and not as it was written.
    Damaged(String),
    /// It has none of our ends, and does not begin as ours do.
    NotOurs,
    /// Nothing can be said.
    Unread(String),
}

async fn listed(
    store: &Store,
    object: &Object,
    beside: Option<&Object>,
    name: ArchiveName,
    compression: Compression,
) -> ListedArchive {
    let look = look(store, object)
        .await
        .unwrap_or_else(|failure| Look::Unread(failure.message));
    let copy = match (&look, beside) {
        (Look::Footer | Look::NotOurs | Look::Unread(_), Some(sidecar)) => copy(store, sidecar, compression).await,
        _ => None,
    };
    let of = |summary: &Summary| match summary.status {
        Status::Complete => ListedStatus::Complete,
        Status::Partial => ListedStatus::Partial,
    };
    let (status, reason, summary) = match (look, copy) {
        (Look::Manifest(manifest), _) => {
            let summary = summary(&manifest);
            (of(&summary), None, Some(summary))
        }
        (Look::Footer, Some(copy)) => (of(&copy), None, Some(copy)),
        (Look::Footer, None) => (
            ListedStatus::Unknown,
            Some("it has its end, but no manifest beside it: `show` reads the one inside".to_owned()),
            None,
        ),
        (Look::Damaged(reason), _) => (ListedStatus::Damaged, Some(reason), None),
        // Nobody but us puts a manifest beside an archive.
        (Look::NotOurs, Some(_)) => (ListedStatus::Damaged, Some(ArchiveError::NoFooter.to_string()), None),
        (Look::NotOurs, None) => (
            ListedStatus::Unknown,
            Some("it is not mongotar's own: `show` looks into it".to_owned()),
            None,
        ),
        (Look::Unread(reason), copy) => {
            let known = match copy {
                Some(_) if reason.ends_with('?') => " The manifest beside it says what was written",
                Some(_) => ". The manifest beside it says what was written",
                None => "",
            };
            (
                ListedStatus::Unknown,
                Some(format!("it cannot be read: {reason}{known}")),
                copy,
            )
        }
    };
    ListedArchive {
        name,
        archive: object.location.clone(),
        bytes: object.bytes,
        compression,
        status,
        reason,
        summary,
    }
}

async fn look(store: &Store, object: &Object) -> Result<Look, Failure> {
    let length = object.bytes.min(SUFFIX);
    if length < FOOTER_SUFFIX {
        return Ok(Look::Damaged(format!(
            "{} bytes are no archive: it was cut off",
            object.bytes
        )));
    }
    let offset = object.bytes - length;
    let suffix = store.read(object, Extent { offset, length }).await?;
    let footer = match Footer::find(&suffix[suffix.len() - FOOTER_SUFFIX as usize..], object.bytes) {
        Ok(footer) => footer,
        Err(ArchiveError::NoFooter) => {
            let head = Extent {
                offset: 0,
                length: object.bytes.min(HEAD),
            };
            return Ok(match is_ours(&store.read(object, head).await?) {
                true => Look::Damaged(ArchiveError::NoFooter.to_string()),
                false => Look::NotOurs,
            });
        }
        Err(error) => return Ok(said(&error)),
    };
    let Some(start) = footer.trailer.offset.checked_sub(offset) else {
        return Ok(Look::Footer);
    };
    let (start, length) = (start as usize, footer.trailer.length as usize);
    let trailer = suffix.get(start..start + length).unwrap_or_default();
    Ok(match Opened::verify(footer, trailer) {
        Ok(opened) => Look::Manifest(Box::new(opened.manifest)),
        Err(error) => said(&error),
    })
}

/// What an end that is not as it should be amounts to.
fn said(error: &ArchiveError) -> Look {
    match error {
        ArchiveError::Version(_) => Look::Unread(error.to_string()),
        _ => Look::Damaged(error.to_string()),
    }
}

/// What the manifest's copy says, where it can be read and belongs to an archive of that form.
async fn copy(store: &Store, sidecar: &Object, compression: Compression) -> Option<Summary> {
    let all = Extent {
        offset: 0,
        length: sidecar.bytes,
    };
    let text = match sidecar.bytes {
        0 => return None,
        _ => store.read(sidecar, all).await.ok()?,
    };
    let manifest = Manifest::from_sidecar(&text).ok()?;
    (manifest.compression == compression).then(|| summary(&manifest))
}

fn summary(manifest: &Manifest) -> Summary {
    Summary {
        status: manifest.status,
        database: manifest.source.database.clone(),
        collections: manifest.collections.len() as u64,
        documents: manifest.collections.iter().map(|saved| saved.documents).sum(),
        bytes: manifest.collections.iter().map(|saved| saved.bytes).sum(),
        abandoned_bytes: manifest.collections.iter().map(Saved::abandoned_bytes).sum(),
    }
}
