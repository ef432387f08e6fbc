//! Small files that change: the state of runs. Each version is written beside and renamed into place, under a lock if
//! it depends on the one before.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bytes::Bytes;

use super::unfinished::{create, own_name, sweep};
use super::{MODE, StoreError, blocking, folder_of};

/// What the lock of a file is called; it stays while its folder does.
const LOCK: &str = ".lock";

pub(in super::super) async fn load(path: &Path) -> Result<Option<(Bytes, String)>, StoreError> {
    let owned = path.to_owned();
    blocking(path, "reading", move || read(&owned)).await
}

pub(in super::super) async fn save(path: &Path, bytes: Bytes) -> Result<(), StoreError> {
    let owned = path.to_owned();
    blocking(path, "writing", move || write(&owned, &bytes)).await
}

pub(in super::super) async fn swap(path: &Path, bytes: Bytes, expected: Option<&str>) -> Result<String, StoreError> {
    let (owned, expected) = (path.to_owned(), expected.map(str::to_owned));
    blocking(path, "writing", move || {
        let folder = folder_of(&owned);
        fs::create_dir_all(&folder)?;
        let lock = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(MODE)
            .open(folder.join(LOCK))?;
        lock.lock()?;
        let there = read(&owned)?.map(|(_, etag)| etag);
        if there != expected {
            return Err(ErrorKind::AlreadyExists.into());
        }
        write(&owned, &bytes)?;
        Ok(etag(&bytes))
    })
    .await
}

pub(in super::super) async fn remove(path: &Path) -> Result<(), StoreError> {
    let owned = path.to_owned();
    blocking(path, "removing", move || ignoring_absence(fs::remove_file(&owned))).await
}

/// Removes a folder in which nothing is left but the lock, and what a dead process was writing.
pub(in super::super) async fn remove_folder(path: &Path) -> Result<(), StoreError> {
    let owned = path.to_owned();
    blocking(path, "removing", move || {
        sweep(&owned);
        ignoring_absence(fs::remove_file(owned.join(LOCK)))?;
        ignoring_absence(fs::remove_dir(&owned))
    })
    .await
}

fn ignoring_absence(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn read(path: &Path) -> io::Result<Option<(Bytes, String)>> {
    match fs::read(path) {
        Ok(content) => {
            let etag = etag(&content);
            Ok(Some((Bytes::from(content), etag)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(&folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(own_name(&name));
    let mut file = create(&temporary, MODE)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

fn etag(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}
