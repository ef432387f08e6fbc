//! Local folders: written under a temporary name beside the goal, synced, then linked to the name, which fails if it is
//! taken.

mod folder;
mod replacement;
pub(super) mod state;
mod unfinished;
mod writeback;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use self::folder::FolderAsTar;
pub use self::replacement::Replacement;
use self::writeback::Writeback;
use super::receipt::Receipt;
use super::{Location, Object, Said, StoreError};
use crate::archive::{Extent, Part};

/// Backups hold production data: for the owner only.
const MODE: u32 = 0o600;

pub(super) async fn find(path: &Path) -> Result<Object, StoreError> {
    let path = path.to_owned();
    blocking(&path.clone(), "looking at", move || {
        let metadata = fs::metadata(&path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::NotFound, "not a file"));
        }
        Ok(object(path, &metadata))
    })
    .await
}

/// The same; a folder is one object, too. What is neither is told by what it is, and never opened: a pipe would be
/// waited for.
pub(super) async fn find_or_folder(path: &Path) -> Result<Object, StoreError> {
    let owned = path.to_owned();
    let found = blocking(path, "looking at", move || {
        let metadata = fs::metadata(&owned)?;
        if metadata.is_dir() {
            let folder = FolderAsTar::look(&owned)?;
            return Ok(Ok(Object {
                bytes: folder.bytes(),
                etag: folder.etag(),
                location: Location::Local(owned),
            }));
        }
        Ok(match metadata.is_file() {
            true => Ok(object(owned, &metadata)),
            false => Err(what_it_is(metadata.file_type())),
        })
    });
    found
        .await?
        .map_err(|what| StoreError::NoFile(Location::Local(path.to_owned()), what))
}

pub(super) async fn has_oplog_beside(folder: &Path) -> bool {
    let owned = folder.to_owned();
    let found = blocking(folder, "looking at", move || {
        // `.` has a parent, too.
        let folder = owned.canonicalize()?;
        let is_there = |name| folder.with_file_name(name).is_file();
        Ok(folder.is_dir() && ["oplog.bson", "oplog.bson.gz"].into_iter().any(is_there))
    });
    found.await.unwrap_or(false)
}

/// What is neither a file nor a folder, and what to do instead.
fn what_it_is(kind: fs::FileType) -> &'static str {
    match () {
        () if kind.is_fifo() => {
            "a pipe, and an archive is read more than once: write what comes through it to a file, and name that file"
        }
        () if kind.is_block_device() => {
            "a block device, not an archive: copy the archive on it to a file (dd), and name that file"
        }
        () if kind.is_char_device() => "a device, not an archive: name a file or a folder",
        () if kind.is_socket() => "a socket, not an archive: name a file or a folder",
        () => "neither a file nor a folder: name one of these",
    }
}

pub(super) async fn read(path: &Path, etag: &str, extent: Extent) -> Result<Bytes, StoreError> {
    let (owned, etag) = (path.to_owned(), etag.to_owned());
    let read = blocking(path, "reading", move || {
        let file = File::open(&owned)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            let folder = FolderAsTar::look(&owned)?;
            return match folder.etag() == etag {
                true => Ok(Some(folder.read(extent)?.into())),
                false => Ok(None),
            };
        }
        if object(owned, &metadata).etag != etag {
            return Ok(None);
        }
        let length = usize::try_from(extent.length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, extent.offset)?;
        Ok(Some(Bytes::from(bytes)))
    })
    .await?;
    read.ok_or_else(|| StoreError::Changed(Location::Local(path.to_owned()), Said::NOTHING))
}

pub(super) async fn list(folder: &Path, name_prefix: &str) -> Result<Vec<Object>, StoreError> {
    let is_whole = |name: &str, metadata: &fs::Metadata| metadata.is_file() && !unfinished::is_one(name);
    let found = named(folder, name_prefix, is_whole).await?.into_iter();
    Ok(found.map(|(path, metadata)| object(path, &metadata)).collect())
}

pub(super) async fn folders(folder: &Path, name_prefix: &str) -> Result<Vec<String>, StoreError> {
    let found = named(folder, name_prefix, |_, metadata| metadata.is_dir()).await?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(found.iter().filter_map(|(path, _)| name(path)).collect())
}

/// What lies directly in a folder under names that begin so, by name. A folder that is not there has nothing.
async fn named(
    folder: &Path,
    name_prefix: &str,
    is_meant: fn(&str, &fs::Metadata) -> bool,
) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
    let (owned, name_prefix) = (folder.to_owned(), name_prefix.to_owned());
    blocking(folder, "listing", move || {
        let mut found = Vec::new();
        let entries = match fs::read_dir(&owned) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // It was removed since, or given its name: that is no fault of the folder.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&name_prefix) && is_meant(&name, &metadata) {
                found.push((entry.path(), metadata));
            }
        }
        found.sort_unstable_by(|(one, _), (other, _)| one.file_name().cmp(&other.file_name()));
        Ok(found)
    })
    .await
}

pub(super) async fn put(path: &Path, bytes: Bytes) -> Result<(), StoreError> {
    let temporary = Temporary::begin(path, Claim::Nothing).await?;
    let part = Part {
        number: 1,
        offset: 0,
        bytes: bytes.to_vec(),
    };
    let receipt = temporary.send(part).await;
    let committed = match receipt {
        Ok(receipt) => temporary.commit(&[receipt]).await,
        Err(error) => Err(error),
    };
    if committed.is_err() {
        // The first error is the one to report; the temporary file is invisible to every reader.
        let _ = temporary.abort().await;
    }
    committed.map(|_| ())
}

/// Whether the temporary name also keeps others from writing the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// One writer at a time. What a killed writer has left behind is removed first.
    Name,
    /// The first to finish wins.
    Nothing,
}

/// A file under a temporary name.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    file: Arc<File>,
    writeback: Arc<Writeback>,
    temporary: PathBuf,
    goal: PathBuf,
    location: Location,
}

impl Temporary {
    pub(super) async fn begin(goal: &Path, claim: Claim) -> Result<Self, StoreError> {
        let goal = goal.to_owned();
        blocking(&goal.clone(), "writing", move || {
            let folder = folder_of(&goal);
            fs::create_dir_all(&folder).map_err(|error| match error.kind() {
                // Not the goal: something that is no folder stands where its folder should be.
                ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
                _ => error,
            })?;
            let name = goal
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let temporary = folder.join(match claim {
                Claim::Name => {
                    unfinished::sweep(&folder);
                    unfinished::claimed_name(&name)
                }
                Claim::Nothing => unfinished::own_name(&name),
            });
            let file = unfinished::create(&temporary, MODE)?;
            Ok(Self {
                file: Arc::new(file),
                writeback: Arc::default(),
                temporary,
                location: Location::Local(goal.clone()),
                goal,
            })
        })
        .await
    }

    /// One that was begun by another process. It may have its name already, where that process was killed right after.
    pub(super) async fn resume(goal: &Path, temporary: PathBuf) -> Result<Self, StoreError> {
        let goal = goal.to_owned();
        blocking(&goal.clone(), "resuming the unfinished", move || {
            let file = match unfinished::resume(&temporary) {
                Err(error) if error.kind() == ErrorKind::NotFound => File::open(&goal)?,
                resumed => resumed?,
            };
            Ok(Self {
                file: Arc::new(file),
                writeback: Arc::default(),
                temporary,
                location: Location::Local(goal.clone()),
                goal,
            })
        })
        .await
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub(super) async fn send(&self, part: Part) -> Result<Receipt, StoreError> {
        let (file, writeback) = (Arc::clone(&self.file), Arc::clone(&self.writeback));
        blocking(&self.goal, "writing", move || {
            let bytes = part.bytes.len() as u64;
            file.write_all_at(&part.bytes, part.offset)?;
            writeback.wrote(&file, bytes)?;
            Ok(Receipt {
                number: part.number,
                etag: String::new(),
                // Nobody asks a file for it.
                crc64: None,
                bytes,
            })
        })
        .await
    }

    /// What was written is on the disk: a state that speaks of it outlives a power failure.
    pub(super) async fn arrive(&self) -> Result<(), StoreError> {
        let arrived = self.writeback.settle().await;
        let file = Arc::clone(&self.file);
        blocking(&self.goal, "writing", move || arrived.and_then(|()| file.sync_data())).await
    }

    pub(super) async fn commit(&self, receipts: &[Receipt]) -> Result<Object, StoreError> {
        let expected: u64 = receipts.iter().map(|receipt| receipt.bytes).sum();
        let this = self.clone();
        let arrived = self.writeback.settle().await;
        blocking(&self.goal, "writing", move || {
            arrived?;
            this.file.sync_all()?;
            let metadata = this.file.metadata()?;
            if metadata.len() != expected {
                return Err(io::Error::other(format!(
                    "{} of {expected} bytes arrived",
                    metadata.len()
                )));
            }
            if !unfinished::is_at(&this.file, &this.goal) {
                publish(&this.temporary, &this.goal)?;
            }
            // It is there under its name; a second name that stays behind is no failure.
            let _ = fs::remove_file(&this.temporary);
            let folder = folder_of(&this.goal);
            File::open(&folder)?.sync_all()?;
            // A process that was still dying when this archive began is gone by now.
            unfinished::sweep(&folder);
            Ok(object(this.goal.clone(), &fs::metadata(&this.goal)?))
        })
        .await
    }

    pub(super) async fn abort(&self) -> Result<(), StoreError> {
        let temporary = self.temporary.clone();
        // Whether it arrived no longer matters.
        let _ = self.writeback.settle().await;
        blocking(&self.goal, "removing the unfinished", move || {
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                removed => removed,
            }
        })
        .await
    }
}

/// Gives the file its name, unless the name is taken. A hard link is the portable way to do that atomically.
fn publish(temporary: &Path, goal: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, goal) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            // A file system without hard links: take the name with an empty file first, which fails where it is taken.
            File::create_new(goal)?;
            fs::rename(temporary, goal)
        }
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn object(path: PathBuf, metadata: &fs::Metadata) -> Object {
    Object {
        location: Location::Local(path),
        bytes: metadata.len(),
        etag: format!(
            "{:x}-{:x}-{:x}-{:x}",
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec()
        ),
    }
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    action: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| failed(path, action, error))
}

fn failed(path: &Path, action: &'static str, error: io::Error) -> StoreError {
    let location = Location::Local(path.to_owned());
    match error.kind() {
        ErrorKind::NotFound if action != "writing" => StoreError::NotFound(location, Said::NOTHING),
        ErrorKind::PermissionDenied => StoreError::Denied {
            location,
            action,
            reason: format!("{error}; allow this user to do it, or choose another folder"),
            elsewhere: None,
        },
        ErrorKind::NotADirectory if action == "listing" => {
            StoreError::NoFile(location, "no folder: name the folder in which the archives are")
        }
        ErrorKind::AlreadyExists => StoreError::Exists(location, Said::NOTHING),
        _ => StoreError::Failed {
            location,
            action,
            reason: error.to_string(),
        },
    }
}
