//! Opens an archive in a store, and hands out its documents.
//!
//! Our archives are opened by their last bytes and read by extents: only what is needed is fetched. A foreign archive
//! has no table of contents; it is read from end to end for the survey, and again for its documents. Both yield
//! [`Contents`](crate::plan::Contents) for the plan and [`Chunk`]s of raw BSON for the load.
//!
//! If one of ours has lost its footer, it is refused and never read as a foreign one: its first bytes tell.

mod between;
mod budget;
mod chain;
mod chunk;
mod collection;
mod file;
mod foreign;
mod kept;
mod layer;
mod native;
mod own;
mod pages;
mod pass;
mod stream;
mod table;
mod threads;
mod turns;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::archive::foreign::Choice;
use crate::archive::{ArchiveError, ArchiveName, Extent, FOOTER_SUFFIX, Footer, Manifest, is_ours};
use crate::digest::Hashing;
use crate::failure::{Failure, FailureKind};
use crate::run::Memory;
use crate::store::{Location, Object, Store};

pub(crate) use budget::{room, room_for};
pub use chunk::Chunk;
pub(crate) use chunk::SegmentOrigin;
pub(crate) use chunk::split_documents;
pub use collection::RawDocuments;
pub use file::{ArchiveFile, Chain, Form};
pub(crate) use kept::Keeper;
use own::{SUFFIX, file, last, own, read_end};
pub use stream::CollectionStream;
pub(crate) use stream::not_what_was_promised;

/// Which archive, and which database of it: a dump of others can hold several.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Where the archive is.
    pub location: &'a Location,
    /// The database, or the folder in the tar; none if there is only one, as in our own archives.
    pub database: Option<&'a str>,
}

impl<'a> From<&'a Location> for Source<'a> {
    fn from(location: &'a Location) -> Self {
        Self {
            location,
            database: None,
        }
    }
}

/// Opens an archive, to read it within a memory budget. A foreign one is read to its end.
///
/// # Errors
/// [`FailureKind::ArchiveNotFound`], [`FailureKind::ArchiveDamaged`] or [`FailureKind::ArchiveUnsupported`], or what
/// the store answered. [`FailureKind::InvalidRequest`] if a dump holds several databases and none, or a missing one, is
/// chosen.
pub async fn open(store: &Store, source: impl Into<Source<'_>>, memory: Memory) -> Result<ArchiveFile, Failure> {
    let Source { location, database } = source.into();
    if let Location::S3 { key, .. } = location
        && (key.is_empty() || key.ends_with('/'))
    {
        let folder = match key.is_empty() {
            true => {
                "this is a bucket, and an archive is one object in it: name that (s3://bucket/key; `mongotar list` shows which there are), or take the newest (latest, --latest)"
            }
            false => "this is a folder: in S3, an archive is one object (only on this machine, a folder may be one)",
        };
        return Err(Failure::new(FailureKind::ArchiveUnsupported, folder).at(location));
    }
    let named = location.file_name();
    let (at, beside);
    let location = match ArchiveName::of_moment(&named) {
        Some((object, moment)) => {
            (at, beside) = (Some(moment), location.parent().join(object));
            &beside
        }
        None => {
            at = None;
            location
        }
    };
    let object = store.find_archive(location).await?;
    let suffix = read_end(store, &object, SUFFIX).await?;
    let form = match Footer::find(last(&suffix, FOOTER_SUFFIX), object.bytes) {
        Ok(footer) => {
            let opened = own(store, &object, footer, &suffix).await?;
            check_database(&opened.manifest, database).map_err(|failure| failure.at(location))?;
            if opened.manifest.continues.is_some() {
                let end = file(store, object, Form::Native(Arc::clone(&opened)), memory);
                let chain = Box::pin(Chain::of(&end, opened, at)).await?;
                let form = Form::Chain(Arc::new(chain));
                return Ok(ArchiveFile { form, ..end });
            }
            if at.is_some() {
                let why = "it is no increment: leave out what stands behind the @, which is a moment within one";
                return Err(Failure::invalid(why).at(location));
            }
            Form::Native(opened)
        }
        Err(ArchiveError::NoFooter) if object.bytes == 0 => {
            let empty = "an archive of 0 bytes holds nothing: it was never written, or its content is lost. Choose another copy of it, or \
                 another archive";
            return Err(Failure::new(FailureKind::ArchiveDamaged, empty).at(location));
        }
        Err(ArchiveError::NoFooter) => {
            let head = read_head(store, &object).await?;
            if is_ours(&head) {
                return Err(Failure::from(ArchiveError::NoFooter).at(location));
            }
            let choice = Choice {
                database: database.map(str::to_owned),
                memory: budget::members(memory),
                oplog_beside: store.has_oplog_beside(location).await,
                ..Choice::default()
            };
            foreign::survey((store, &object), &head, choice, budget::range(memory)).await?
        }
        Err(error) => return Err(Failure::from(error).at(location)),
    };
    Ok(file(store, object, form, memory))
}

fn check_database(manifest: &Manifest, chosen: Option<&str>) -> Result<(), Failure> {
    match chosen {
        Some(chosen) if chosen != manifest.source.database => Err(Failure::invalid(format!(
            "the archive holds the database {:?}, not the source_database {chosen:?}",
            manifest.source.database
        ))),
        _ => Ok(()),
    }
}

async fn read_head(store: &Store, object: &Object) -> Result<Bytes, Failure> {
    let extent = Extent {
        offset: 0,
        length: object.bytes.min(4096),
    };
    Ok(store.read(object, extent).await?)
}

impl ArchiveFile {
    /// Hands out the documents of `wanted` (names in the archive, and how to hash them), each collection exactly once,
    /// even if empty. They come in the archive's order; small ones are read several at a time, and can be consumed
    /// together or one after the other.
    pub fn documents(&self, wanted: Vec<(String, Hashing)>) -> mpsc::Receiver<CollectionStream> {
        self.documents_behind(wanted.into_iter().map(|(name, hashing)| (name, hashing, 0)).collect())
    }

    /// The same, of each collection only what comes behind so many documents. Whole segments of ours are not read;
    /// where that cannot be had, [`CollectionStream::passed`] is less than what was asked for.
    pub(crate) fn documents_behind(&self, wanted: Vec<(String, Hashing, u64)>) -> mpsc::Receiver<CollectionStream> {
        let (sender, receiver) = mpsc::channel(1);
        let file = self.clone();
        tokio::spawn(async move {
            match &file.form {
                Form::Native(opened) => file.native_documents(Arc::clone(opened), wanted, sender).await,
                Form::Chain(chain) => {
                    let wanted = wanted.into_iter().map(|(name, hashing, _)| (name, hashing)).collect();
                    file.merged_documents(Arc::clone(chain), wanted, sender).await
                }
                Form::Foreign(survey, packing) => {
                    let wanted = wanted.into_iter().map(|(name, hashing, _)| (name, hashing)).collect();
                    file.foreign_documents(Arc::clone(survey), *packing, wanted, sender)
                        .await
                }
            }
        });
        receiver
    }
}
