//! A folder as one object: its files as a tar that is never written.
//!
//! So whatever reads an archive from end to end reads a folder, too, by the same extents. The folder's own name is the
//! first step of all paths: in `dump/shop/` it is the database. Every file's path, length and time of change identify
//! the object; if one of them changes, it is another object.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use crate::archive::Extent;

const BLOCK: u64 = 512;
/// The two blocks of zeros that end a tar.
const END: u64 = 2 * BLOCK;
/// Where the name of an entry does not fit into its header, an entry of this name has it.
const LONG_NAME: &[u8] = b"././@LongLink";
/// More files than this, or folders within folders, are no dump.
const MOST_FILES: usize = 1_000_000;
const DEEPEST: usize = 32;

/// A folder, as it was when it was looked at.
#[derive(Debug)]
pub(super) struct FolderAsTar {
    members: Vec<FileInFolder>,
}

#[derive(Debug)]
struct FileInFolder {
    /// In the tar.
    name: Vec<u8>,
    path: PathBuf,
    kind: EntryType,
    size: u64,
    stamp: (u64, i64, i64),
    /// Where its header begins.
    offset: u64,
}

impl FolderAsTar {
    /// Looks at all files of a folder.
    pub(super) fn look(path: &Path) -> io::Result<Self> {
        let mut folder = Self { members: Vec::new() };
        // `.` and `dump/..` have names, too.
        let name = path.canonicalize()?;
        let name = name.file_name().map_or_else(Vec::new, |name| name.as_bytes().to_vec());
        folder.add(path, &name, &mut Vec::new())?;
        folder.members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut offset = 0;
        for member in &mut folder.members {
            member.offset = offset;
            offset += member.header().len() as u64 + member.size.next_multiple_of(BLOCK);
        }
        Ok(folder)
    }

    /// Adds the files of a folder that lies in those `above`.
    fn add(&mut self, folder: &Path, name: &[u8], above: &mut Vec<PathBuf>) -> io::Result<()> {
        if above.len() > DEEPEST {
            return Err(io::Error::other(format!(
                "folders are nested deeper than {DEEPEST}: it is no dump"
            )));
        }
        let at = |error| at_path(folder, &error);
        above.push(folder.canonicalize().map_err(at)?);
        for entry in fs::read_dir(folder).map_err(at)? {
            let entry = entry?;
            let path = entry.path();
            let name = [name, b"/", entry.file_name().as_bytes()].concat();
            let kind = entry.file_type()?;
            // Through links, as `mongorestore` goes; one that leads round in a circle is a member that is not read.
            let leads_round = || path.canonicalize().is_ok_and(|target| above.contains(&target));
            if kind.is_dir() || kind.is_symlink() && path.is_dir() && !leads_round() {
                self.add(&path, &name, above)?;
                continue;
            }
            let metadata = match fs::metadata(&path) {
                // A folder that may be listed and not entered; only a link may lead to what is not part of the dump.
                Err(error) if !kind.is_symlink() => return Err(at_path(&path, &error)),
                metadata => metadata.ok().filter(fs::Metadata::is_file),
            };
            if self.members.len() >= MOST_FILES {
                return Err(io::Error::other(format!(
                    "it has more than {MOST_FILES} files: it is no dump"
                )));
            }
            self.members.push(FileInFolder {
                name,
                path,
                kind: metadata.as_ref().map_or(EntryType::Symlink, |_| EntryType::Regular),
                size: metadata.as_ref().map_or(0, fs::Metadata::len),
                stamp: metadata.map_or((0, 0, 0), |file| (file.ino(), file.mtime(), file.mtime_nsec())),
                offset: 0,
            });
        }
        above.pop();
        Ok(())
    }

    /// How long the tar is.
    pub(super) fn bytes(&self) -> u64 {
        self.members.last().map_or(0, |last| last.end()) + END
    }

    /// What identifies it.
    pub(super) fn etag(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for member in &self.members {
            hasher.update(&(member.name.len() as u64).to_le_bytes());
            hasher.update(&member.name);
            hasher.update(format!("{} {:?}", member.size, member.stamp).as_bytes());
        }
        format!("folder-{}", &hasher.finalize().to_hex()[..32])
    }

    /// The bytes of an extent. A file that has become shorter meanwhile is an error.
    pub(super) fn read(&self, extent: Extent) -> io::Result<Vec<u8>> {
        let length = usize::try_from(extent.length).map_err(io::Error::other)?;
        let (begin, end) = (extent.offset, extent.offset + extent.length);
        let mut bytes = vec![0; length];
        let first = self.members.partition_point(|member| member.end() <= begin);
        for member in self.members[first..].iter().take_while(|member| member.offset < end) {
            let header = member.header();
            let content = member.offset + header.len() as u64;
            if let Some((from, to)) = overlap((begin, end), (member.offset, content)) {
                bytes[at(begin, from)..at(begin, to)]
                    .copy_from_slice(&header[at(member.offset, from)..at(member.offset, to)]);
            }
            if let Some((from, to)) = overlap((begin, end), (content, content + member.size)) {
                let file = File::open(&member.path).map_err(|error| at_path(&member.path, &error))?;
                file.read_exact_at(&mut bytes[at(begin, from)..at(begin, to)], from - content)?;
            }
        }
        Ok(bytes)
    }
}

impl FileInFolder {
    fn end(&self) -> u64 {
        self.offset + self.header().len() as u64 + self.size.next_multiple_of(BLOCK)
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(0);
        let own = |header: &mut Header, name: &[u8], size: u64, kind: EntryType| {
            let field = &mut header.as_old_mut().name;
            field.fill(0);
            let fits = name.len().min(field.len());
            field[..fits].copy_from_slice(&name[..fits]);
            header.set_size(size);
            header.set_entry_type(kind);
            header.set_cksum();
        };
        let mut out = Vec::new();
        if self.name.len() > 100 {
            let length = self.name.len() as u64 + 1;
            own(&mut header, LONG_NAME, length, EntryType::GNULongName);
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(&self.name);
            out.resize(
                out.len() + at(self.name.len() as u64, length.next_multiple_of(BLOCK)),
                0,
            );
        }
        own(&mut header, &self.name, self.size, self.kind);
        out.extend_from_slice(header.as_bytes());
        out
    }
}

/// Which of the files and folders it was.
fn at_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn overlap(one: (u64, u64), other: (u64, u64)) -> Option<(u64, u64)> {
    let (from, to) = (one.0.max(other.0), one.1.min(other.1));
    (from < to).then_some((from, to))
}

/// How far `to` is behind `from`; both are in memory, or about to be.
fn at(from: u64, to: u64) -> usize {
    usize::try_from(to - from).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn every_extent_is_that_of_a_tar() {
        let scratch = tempfile::tempdir().expect("a folder");
        let dump = scratch.path().join("dump");
        fs::create_dir_all(dump.join("shop")).expect("made");
        let long = format!("{}.bson", "n".repeat(200));
        for (name, content) in [
            ("shop/a.bson", vec![7; 700]),
            ("shop/empty.bson", vec![]),
            (&format!("shop/{long}"), vec![1; 512]),
        ] {
            fs::write(dump.join(name), content).expect("written");
        }
        std::os::unix::fs::symlink("a.bson", dump.join("shop/link.bson")).expect("linked");
        std::os::unix::fs::symlink("..", dump.join("shop/circle")).expect("linked");
        let elsewhere = scratch.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        fs::write(elsewhere.join("b.bson"), [3; 9]).expect("written");
        std::os::unix::fs::symlink("../circle", elsewhere.join("to nothing")).expect("linked");
        std::os::unix::fs::symlink("../elsewhere", dump.join("users")).expect("linked");
        let folder = FolderAsTar::look(&dump).expect("a look");
        let whole = folder
            .read(Extent {
                offset: 0,
                length: folder.bytes(),
            })
            .expect("read");
        for step in [1, 7, 512, 1000] {
            let mut pieces = Vec::new();
            while (pieces.len() as u64) < folder.bytes() {
                let offset = pieces.len() as u64;
                let length = step.min(folder.bytes() - offset);
                pieces.extend(folder.read(Extent { offset, length }).expect("read"));
            }
            assert!(pieces == whole, "in steps of {step}");
        }
        let mut tar = tar::Archive::new(&whole[..]);
        let mut seen = Vec::new();
        for entry in tar.entries().expect("a tar") {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            seen.push((
                String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8"),
                content.len(),
            ));
        }
        assert_eq!(
            seen,
            [
                ("dump/shop/a.bson".to_owned(), 700),
                ("dump/shop/circle".to_owned(), 0),
                ("dump/shop/empty.bson".to_owned(), 0),
                ("dump/shop/link.bson".to_owned(), 700),
                (format!("dump/shop/{long}"), 512),
                ("dump/users/b.bson".to_owned(), 9),
                ("dump/users/to nothing".to_owned(), 0),
            ]
        );
        let before = folder.etag();
        fs::write(dump.join("shop/b.bson"), b"").expect("written");
        assert_ne!(FolderAsTar::look(&dump).expect("a look").etag(), before);
    }
}
