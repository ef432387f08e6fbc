//! The archives in a folder, and the state of each.
//!
//! The manifest's copy beside an archive dates from when the archive was whole; it does not say whether it still is. So
//! each archive is checked: its length and its last bytes, which hold the footer and mostly the manifest. That finds
//! archives that were cut, appended to, or altered there; only `verify` reads every byte. Of an increment, its chain is
//! looked at, too: by itself it is nothing.

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::archive::{
    ArchiveError, ArchiveKind, ArchiveName, Compression, Extent, FOOTER_SUFFIX, Footer, Manifest, Opened, Saved,
    Status, is_ours, joined,
};
use crate::choice::{InFolder, folder_in, in_folder, members};
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// `full`, or `increment`: of that, what changed since its parent.
    #[serde(default)]
    pub kind: ArchiveKind,
    /// The full archive with which an increment's chain begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<ArchiveName>,
    /// The archive that an increment continues.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<ArchiveName>,
    /// What of them an increment itself holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changes: Option<ListedChanges>,
    /// How many bytes of the archive nobody needs: those read of collections that were then read anew.
    #[serde(skip_serializing_if = "is_none", default)]
    pub abandoned_bytes: u64,
}

/// What an increment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ListedChanges {
    /// How many documents are new or otherwise than in the parent, in the collections of which it has only those.
    pub changed: u64,
    /// How many documents of these collections are gone.
    pub removed: u64,
    /// How many collections, time series and views it has whole.
    pub whole: u64,
}

impl ListedChanges {
    /// By an increment's manifest; none of a full archive.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        manifest.continues.as_ref()?;
        let mut changes = Self::default();
        for saved in &manifest.collections {
            match &saved.delta {
                Some(delta) => {
                    changes.changed += delta.documents;
                    changes.removed += delta.removed;
                }
                None => changes.whole += 1,
            }
        }
        Some(changes)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_none(bytes: &u64) -> bool {
    *bytes == 0
}

/// The archives in a folder, oldest first, and the increments that continue them.
///
/// # Errors
/// If the store cannot list the folder. An archive that cannot be read is listed with the reason.
pub async fn list(store: &Store, folder: &Location) -> Result<Vec<ListedArchive>, Failure> {
    let mut found = directly_in(store, folder).await?;
    match of_chain(folder) {
        Some(base) => found = in_chain(store, (&folder.above(), folder), &base, found).await?,
        None => {
            for name in store.folders(folder, "backup_").await? {
                if let Some(base) = ArchiveName::of_chain(&name) {
                    let chain = folder_in(folder, &name);
                    let increments = directly_in(store, &chain).await?;
                    found.extend(in_chain(store, (folder, &chain), &base, increments).await?);
                }
            }
        }
    }
    found.sort_unstable_by(|a, b| (&a.name, a.archive.file_name()).cmp(&(&b.name, b.archive.file_name())));
    Ok(found)
}

/// The base of the chain that a folder has.
fn of_chain(folder: &Location) -> Option<ArchiveName> {
    let text = folder.to_string();
    ArchiveName::of_chain(text.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next()?)
}

/// Increments, with what their chain says of them: what continues something that is gone cannot be read.
async fn in_chain(
    store: &Store,
    (folder, chain): (&Location, &Location),
    base: &ArchiveName,
    mut increments: Vec<ListedArchive>,
) -> Result<Vec<ListedArchive>, Failure> {
    let apart = apart(store, (folder, chain), base).await?;
    for listed in &mut increments {
        let why = apart.iter().find(|(name, _)| *name == listed.name);
        if let Some((_, why)) = why.filter(|_| listed.status == ListedStatus::Complete) {
            listed.status = ListedStatus::Damaged;
            listed.reason = Some(format!("it cannot be restored: {why}"));
        }
    }
    Ok(increments)
}

/// The increments of a chain that do not lead back to its base, and why.
async fn apart(
    store: &Store,
    (folder, chain): (&Location, &Location),
    base: &ArchiveName,
) -> Result<Vec<(ArchiveName, String)>, Failure> {
    let mut bases = in_folder(store, folder).await?;
    bases.retain(|found| found.name == *base);
    let increments = in_folder(store, chain).await?;
    let bases = members(store, folder, &bases).await?;
    let Some(base) = bases.members.first() else {
        let why = bases
            .apart
            .into_iter()
            .next()
            .map_or_else(|| "it is missing".to_owned(), |(_, why)| why);
        let of_base = |found: InFolder| (found.name, format!("{base}, with which its chain begins: {why}"));
        return Ok(increments.into_iter().map(of_base).collect());
    };
    let read = members(store, chain, &increments).await?;
    let joined = joined(base, read.members);
    let is_base = |(name, _): &&(ArchiveName, String)| *name == base.name;
    let mut apart: Vec<_> = read.apart.into_iter().chain(joined.apart.clone()).collect();
    if let Some((_, why)) = joined.apart.iter().find(is_base) {
        apart.extend(joined.members.into_iter().map(|member| (member.name, why.clone())));
    }
    Ok(apart)
}

/// The archives directly in a folder.
async fn directly_in(store: &Store, folder: &Location) -> Result<Vec<ListedArchive>, Failure> {
    let objects = store.list(folder, "backup_").await?;
    let archives = objects.iter().filter_map(|object| {
        let (name, compression) = ArchiveName::of_object(&object.location.file_name())?;
        let beside = objects
            .iter()
            .find(|other| other.location.file_name() == name.sidecar());
        Some(listed(store, object, beside, name, compression))
    });
    Ok(stream::iter(archives).buffer_unordered(AT_A_TIME).collect().await)
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
        kind: manifest.kind,
        base: manifest.continues.as_ref().map(|continues| continues.base.clone()),
        parent: manifest.continues.as_ref().map(|continues| continues.parent.clone()),
        changes: ListedChanges::of(manifest),
        abandoned_bytes: manifest.collections.iter().map(Saved::abandoned_bytes).sum(),
    }
}
