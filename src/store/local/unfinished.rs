//! Files under temporary names, and what dead writers have left of them.
//!
//! A writer holds an advisory lock on its file for as long as it lives, however it dies: the system lets go of it. So a file that can be locked has no owner. Where a file system knows no locks, nothing can be
//! locked, and nothing is swept.
//!
//! A run that goes on in another process has no owner in between, either. Such runs have their state in `.in-progress/`; as long as there is any, nothing is swept in its folder.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::{MODE, is_temporary};
use crate::store::IN_PROGRESS;

/// A file that is this writer's. Somebody who sweeps may have taken it for one without an owner before it was locked; then it is made again.
pub(super) fn create(path: &Path) -> io::Result<File> {
    loop {
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(path)?;
        // Without locks there is nobody who sweeps.
        let _ = file.try_lock();
        if is_at(&file, path)? {
            return Ok(file);
        }
    }
}

/// The file of a writer that has ended.
pub(super) fn take_over(path: &Path) -> io::Result<File> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    // Where another still holds it, the run's lease says who goes on.
    let _ = file.try_lock();
    Ok(file)
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the unfinished files of a folder whose owners are gone. What cannot be found out or removed is left where it is: it is in nobody's way.
pub(super) fn sweep(folder: &Path) {
    let has_runs = fs::read_dir(folder.join(IN_PROGRESS)).is_ok_and(|mut runs| runs.next().is_some());
    let Some(entries) = fs::read_dir(folder).ok().filter(|_| !has_runs) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if !is_temporary(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let Ok(file) = fs::OpenOptions::new().write(true).open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() && is_at(&file, &path).is_ok_and(|is| is) && fs::remove_file(&path).is_ok() {
            tracing::info!(path = %path.display(), "an unfinished file of a run that died was removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_owns_is_swept() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let (owned, dead, other) = (at(".a.tar.unfinished"), at(".b.tar.unfinished"), at("c.tar"));
        let owner = create(&owned).expect("created");
        drop(create(&dead).expect("created"));
        fs::write(&other, b"an archive").expect("written");
        sweep(folder.path());
        assert!(owned.exists() && !dead.exists() && other.exists());
        drop(owner);
        fs::create_dir_all(at(IN_PROGRESS).join("run")).expect("a run that may go on");
        sweep(folder.path());
        assert!(owned.exists());
        fs::remove_dir_all(at(IN_PROGRESS)).expect("removed");
        sweep(folder.path());
        assert!(!owned.exists());
    }
}
