//! Files under temporary names: whose they are, and how those of dead processes go.
//!
//! Whoever writes one holds an advisory lock on it (`flock`). The system releases that however the process ends, even
//! by `kill -9`; so a file whose lock is free is nobody's any more. The next process that begins or commits an archive
//! in its folder removes it, unless
//!
//! * a resumable run means to write on: then its state, in a folder beside it, names the file;
//! * the folder lies on another machine, which may not share locks: then the file must be a day old.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use crate::archive::ArchiveName;

/// How temporary names end; they begin with a dot.
const ENDING: &str = ".unfinished";
/// A file not written to for so long is nobody's, wherever it lies.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);
/// File systems of this machine, on which everybody sees its locks.
const OF_THIS_MACHINE: [&str; 14] = [
    "apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "tmpfs", "xfs",
    "zfs",
];
/// What a worker writes its share of an archive to.
const LANE: &str = "data";
/// How deep below the folder, and in files of up to which length, a run's state is looked for.
const DEEPEST: usize = 3;
const LONGEST: u64 = 64 << 20;

/// What a file that only one process writes is called until it has its name.
pub(super) fn claimed_name(name: &str) -> String {
    format!(".{name}{ENDING}")
}

/// The same, where several processes may write one, and the first to finish wins.
pub(crate) fn own_name(name: &str) -> String {
    static FILES: AtomicU64 = AtomicU64::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    // In a container each process has the same number as the one before it.
    let time = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!(".{name}.{}-{time}-{number}{ENDING}", process::id())
}

/// Whether a file of that name is none yet.
pub(super) fn is_one(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(ENDING)
}

/// Creates one with these permissions, and holds it until it is closed.
///
/// # Errors
/// If the name is taken, or nothing can be written there.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        // Not every file system has locks. Then nobody can take this one for a dead process's either.
        let _ = file.lock();
        // Between the two it may have been taken for one.
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

/// Opens one that another process has begun, and holds it.
///
/// # Errors
/// If it is gone.
pub(super) fn resume(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).open(path)?;
    // Whoever begun it may still hold it; the run's lease says who may write.
    let _ = file.try_lock();
    Ok(file)
}

/// Removes what dead processes have left in a folder. What cannot be looked at or removed stays: that is no reason for
/// anything to fail.
pub(crate) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if is_ours(&name.to_string_lossy()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove_if_nobodys(folder, &entry.path(), &name);
        }
    }
}

fn remove_if_nobodys(folder: &Path, path: &Path, name: &OsStr) {
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return;
    };
    // The lock is held while the file is removed, so that nobody who creates one of that name takes this one for it.
    let is_nobodys =
        file.try_lock().is_ok() && (sees_all_locks(folder) || is_old(&file)) && !is_named_by_a_run(folder, name);
    if is_nobodys && is_at(&file, path) && fs::remove_file(path).is_ok() {
        tracing::info!(file = %path.display(), "removed an unfinished file of a process that is gone");
    }
}

/// Whether it is called as this program calls such files, and not as others may.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_prefix('.').and_then(|name| name.strip_suffix(ENDING));
    stem.is_some_and(|stem| {
        let numbers = stem.rsplit_once('.').map_or("", |(_, numbers)| numbers).split('-');
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        numbers.clone().count() == 3 && numbers.clone().all(is_number)
            || stem == LANE
            || ArchiveName::of_object(stem).is_some()
    })
}

/// Whether what is open is still what has the name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

fn is_old(file: &File) -> bool {
    let written = file.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age >= OLD))
}

/// Whether a file in a hidden folder, where runs have their states, names the file: in one beside it, or in its own
/// where that is one.
fn is_named_by_a_run(folder: &Path, name: &OsStr) -> bool {
    let is_hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".") && name != "." && name != "..";
    let within = folder.iter().any(is_hidden);
    let needle = memchr::memmem::Finder::new(name.as_encoded_bytes());
    let mut folders: Vec<(PathBuf, usize)> = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                if (depth > 0 || within || is_hidden(&entry.file_name())) && depth < DEEPEST {
                    folders.push((entry.path(), depth + 1));
                }
            } else if (depth > 0 || within) && metadata.is_file() && !is_one(&entry.file_name().to_string_lossy()) {
                // What is too long to be looked into, or cannot be, may name it.
                let names = metadata.len() > LONGEST
                    || fs::read(entry.path()).map_or(true, |content| needle.find(&content).is_some());
                if names {
                    return true;
                }
            }
        }
    }
    false
}

/// Whether the locks of everybody who can write there are seen here.
fn sees_all_locks(folder: &Path) -> bool {
    let (Ok(folder), Ok(mounts)) = (fs::canonicalize(folder), fs::read_to_string("/proc/self/mountinfo")) else {
        return false;
    };
    file_system(&mounts, &folder).is_some_and(|kind| OF_THIS_MACHINE.contains(&kind))
}

/// The kind of file system that a folder is on, by `/proc/self/mountinfo`: `36 35 98:0 / /mnt rw shared:1 - ext4
/// /dev/sda1 rw`.
fn file_system<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?.replace("\\040", " ");
        folder
            .starts_with(&point)
            .then_some((point.len(), kind.split(' ').next()?))
    });
    // Of two with one place, the later one hides the other.
    mounted.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_nobodys_goes_and_what_somebody_holds_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let archive = |second: u32| format!("backup_20261121_02000{second}.tar.zst");
        let held = create(&at(&claimed_name(&archive(1))), 0o600).expect("created");
        for nobodys in [
            claimed_name(&archive(2)),
            own_name("counts.csv"),
            own_name("backup_1.manifest.json"),
        ] {
            drop(create(&at(&nobodys), 0o600).expect("created"));
        }
        // A run that paused, and names of other programs.
        drop(create(&at(&claimed_name(&archive(3))), 0o600).expect("created"));
        let state = at(".in-progress/backup_x-1/state");
        fs::create_dir_all(state.parent().expect("a folder")).expect("created");
        fs::write(&state, format!("{{\"id\": \"/to/{}\"}}", claimed_name(&archive(3)))).expect("written");
        for other in [".download.unfinished", ".a.b.unfinished", "backup.unfinished"] {
            fs::write(at(other), "").expect("written");
        }
        sweep(folder.path());
        let left = [
            ".a.b.unfinished".to_owned(),
            claimed_name(&archive(1)),
            claimed_name(&archive(3)),
            ".download.unfinished".to_owned(),
            ".in-progress".to_owned(),
            "backup.unfinished".to_owned(),
        ];
        assert_eq!(names(folder.path()), left);
        drop(held);
        fs::remove_file(&state).expect("removed");
        sweep(folder.path());
        assert_eq!(names(folder.path()).len(), 4);
    }

    #[test]
    fn only_on_this_machines_file_systems_is_a_lock_that_is_not_seen_nobodys() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            40 22 0:50 / /mnt/share rw - nfs4 server:/export rw\n\
            41 22 0:51 / /mnt/share/in\\040side rw - xfs /dev/sdb1 rw\n";
        for (folder, kind) in [
            ("/backups", "ext4"),
            ("/mnt", "ext4"),
            ("/mnt/shared", "ext4"),
            ("/mnt/share/nightly", "nfs4"),
            ("/mnt/share/in side/x", "xfs"),
        ] {
            assert_eq!(file_system(mounts, Path::new(folder)), Some(kind), "{folder}");
        }
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn a_name_that_is_taken_stays_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(claimed_name("x"));
        let _held = create(&path, 0o600).expect("created");
        let taken = create(&path, 0o600).expect_err("taken");
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert!(resume(&path).is_ok());
    }
}
