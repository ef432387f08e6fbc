//! A local file for people, such as a table of counts.
//!
//! It appears at once and whole: it is written under a temporary name beside its own, and renamed. It is begun before
//! the operation, so that an unwritable folder does not show up only after an hour's work.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::unfinished;
use crate::failure::{Failure, FailureKind};

/// Who may read it, as far as the process's mask allows.
const MODE: u32 = 0o666;

/// A file that is still to be written.
#[derive(Debug)]
pub struct Replacement {
    /// What is written, in errors: "the counts".
    what: &'static str,
    goal: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl Replacement {
    /// Makes sure that the file can be written, and changes nothing at its name yet.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] if the folder is not there or not writable, or something else than a file has
    /// the name.
    pub fn begin(path: &str, what: &'static str) -> Result<Self, Failure> {
        let refused = |reason: String| Failure::invalid(format!("{what} cannot be written to {path:?}: {reason}"));
        // A link stays one: what it points to is replaced.
        let goal = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
        if fs::metadata(&goal).is_ok_and(|found| !found.is_file()) {
            return Err(refused(
                "it exists, but is not a regular file (use - for standard output)".to_owned(),
            ));
        }
        let Some(name) = goal.file_name() else {
            return Err(refused("it is not the name of a file".to_owned()));
        };
        let temporary = goal.with_file_name(unfinished::own_name(&name.to_string_lossy()));
        unfinished::sweep(temporary.parent().unwrap_or(Path::new(".")));
        let file = unfinished::create(&temporary, MODE).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            what,
            goal,
            temporary,
            file,
        })
    }

    /// Writes the content, and gives it its name; a file that had it is replaced.
    ///
    /// # Errors
    /// [`FailureKind::Store`]; then what had the name is still there.
    pub fn finish(mut self, content: &[u8]) -> Result<(), Failure> {
        let written = self
            .file
            .write_all(content)
            .and_then(|()| self.file.sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.goal));
        written.map_err(|error| {
            let failure = Failure::new(
                FailureKind::Store,
                format!("{} could not be written to {}: {error}", self.what, self.goal.display()),
            );
            self.abandon();
            failure
        })
    }

    /// Leaves nothing behind: there is nothing to write.
    pub fn abandon(self) {
        // What cannot be removed is named so that it can be told from a result.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts.csv");
        let text = path.to_str().expect("UTF-8");
        let names = || {
            let entries = fs::read_dir(folder.path()).expect("a folder");
            let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
            names.collect::<Vec<_>>()
        };
        Replacement::begin(text, "the counts")
            .expect("a writable folder")
            .abandon();
        assert!(names().is_empty(), "{:?}", names());

        fs::write(&path, "older").expect("written");
        let begun = Replacement::begin(text, "the counts").expect("a writable folder");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "older");
        begun.finish(b"newer").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "newer");
        assert_eq!(names(), ["counts.csv"]);
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_anything_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing/counts.csv");
        for path in [folder.path(), missing.as_path(), Path::new("/dev/null"), Path::new("")] {
            let failure = Replacement::begin(path.to_str().expect("UTF-8"), "the counts").expect_err("refused");
            assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
        }
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("counts.csv"), folder.path().join("link.csv"));
        fs::write(&file, "older").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let begun = Replacement::begin(link.to_str().expect("UTF-8"), "the counts").expect("a writable folder");
        begun.finish(b"newer").expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&file).expect("there"), "newer");
    }
}
