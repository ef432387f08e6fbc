//! The counts of an operation as a table, to be kept and compared with those of other days: one row for each collection, as RFC 4180 CSV.
//!
//! A field is empty where the operation does not know it: a backup has no second side, a view has no documents. Names are written as they are, quoted where the
//! CSV rules ask for it; a spreadsheet that takes a name such as `=1+1` for a formula must be told not to.
//!
//! The file appears at once and whole: it is written under a temporary name beside its own, and renamed. It is begun before the operation, so that a folder that
//! cannot be written to does not show itself after an hour's work.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::archive::SavedStatus;
use crate::backup::BackupReport;
use crate::catalog::Kind;
use crate::digest::Sum;
use crate::failure::{Failure, FailureKind};
use crate::plan::Action;
use crate::restore::RestoreReport;
use crate::store::unfinished;
use crate::verify::{AgainstReport, Comparison, VerifyReport};

/// The first line.
const HEADER: &str =
    "collection,kind,archive_documents,database_documents,archive_digest,database_digest,equal,bytes\r\n";

/// Who may read it, as far as the process's mask allows.
const MODE: u32 = 0o666;

/// The rows of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<Row>);

/// One collection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    collection: String,
    kind: Kind,
    archive: Option<(u64, Sum)>,
    database: Option<(u64, Sum)>,
    equal: Option<bool>,
    /// The archive's documents as BSON.
    bytes: Option<u64>,
}

impl Counts {
    /// What is in the archive now. Whether it is equal to anything, a backup does not know.
    pub fn of_backup(report: &BackupReport) -> Self {
        let rows = report.collections.iter().map(|saved| Row {
            collection: saved.name.clone(),
            kind: saved.kind,
            archive: has_documents(saved.kind).then_some((saved.documents, saved.digest)),
            database: None,
            equal: (saved.status != SavedStatus::Complete).then_some(false),
            bytes: has_documents(saved.kind).then_some(saved.bytes),
        });
        Self(rows.collect())
    }

    /// What was read of the archive, and whether that is what its manifest says.
    pub fn of_verify(report: &VerifyReport) -> Self {
        let rows = report.collections.iter().map(|checked| Row {
            collection: checked.name.clone(),
            kind: checked.kind,
            archive: has_documents(checked.kind).then_some((checked.documents_read, checked.digest)),
            database: None,
            equal: Some(checked.equal && checked.status == SavedStatus::Complete),
            bytes: has_documents(checked.kind).then_some(checked.bytes),
        });
        Self(rows.collect())
    }

    /// Both sides.
    pub fn of_against(report: &AgainstReport) -> Self {
        let rows = report.collections.iter().map(|compared| Row {
            collection: compared.name.clone(),
            kind: compared.kind,
            archive: compared.archive.map(|side| (side.documents, side.digest)),
            database: compared.database.map(|side| (side.documents, side.digest)),
            equal: (compared.outcome != Comparison::NotCompared).then_some(compared.outcome == Comparison::Equal),
            bytes: compared.archive.or(compared.database).map(|side| side.bytes),
        });
        Self(rows.collect())
    }

    /// What was restored, under the names on the target, and what was read back. A collection that was dropped has no documents on either side.
    pub fn of_restore(report: &RestoreReport) -> Self {
        let verified = report.verification.iter().flat_map(|verified| &verified.collections);
        let rows = verified.map(|verified| {
            let counted = has_documents(verified.kind) && verified.action != Action::Drop;
            Row {
                collection: verified.name.clone(),
                kind: verified.kind,
                archive: counted.then_some((verified.file_count, verified.digest_archive)),
                database: counted.then_some((verified.db_count, verified.digest_database)),
                equal: Some(verified.equal),
                bytes: report
                    .plan
                    .get(&verified.name)
                    .filter(|_| counted)
                    .map(|planned| planned.bytes),
            }
        });
        Self(rows.collect())
    }

    /// As CSV: a header, then a line for each collection; every line ends with CR LF.
    pub fn to_csv(&self) -> String {
        let mut out = HEADER.to_owned();
        for row in &self.0 {
            let (archive, database) = (row.archive.unzip(), row.database.unzip());
            // Writing to a String does not fail.
            let _ = write!(
                out,
                "{},{},{},{},{},{},{},{}\r\n",
                quoted(&row.collection),
                row.kind,
                field(archive.0),
                field(database.0),
                field(archive.1),
                field(database.1),
                field(row.equal),
                field(row.bytes),
            );
        }
        out
    }
}

fn has_documents(kind: Kind) -> bool {
    kind != Kind::View
}

fn field(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A field as it stands between commas: quoted where it would end the field or the line otherwise.
fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\r', '\n']) || text.is_empty() {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// A file of counts that is still to be written.
#[derive(Debug)]
pub struct CountsFile {
    goal: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl CountsFile {
    /// Makes sure that the file can be written, and changes nothing at its name yet.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] where the folder is not there or not writable, or something else than a file has the name.
    pub fn begin(path: &str) -> Result<Self, Failure> {
        let refused = |reason: String| Failure::invalid(format!("the counts cannot be written to {path:?}: {reason}"));
        // A link stays one: what it points to is replaced.
        let goal = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
        if fs::metadata(&goal).is_ok_and(|found| !found.is_file()) {
            return Err(refused(
                "it is there, and is no regular file (use - for standard output)".to_owned(),
            ));
        }
        let Some(name) = goal.file_name() else {
            return Err(refused("it is not the name of a file".to_owned()));
        };
        let temporary = goal.with_file_name(unfinished::own_name(&name.to_string_lossy()));
        unfinished::sweep(temporary.parent().unwrap_or(Path::new(".")));
        let file = unfinished::create(&temporary, MODE).map_err(|error| refused(error.to_string()))?;
        Ok(Self { goal, temporary, file })
    }

    /// Writes the counts, and gives them their name; a file that had it is replaced.
    ///
    /// # Errors
    /// [`FailureKind::Store`]; then what had the name is still there.
    pub fn finish(mut self, counts: &Counts) -> Result<(), Failure> {
        let written = self
            .file
            .write_all(counts.to_csv().as_bytes())
            .and_then(|()| self.file.sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.goal));
        written.map_err(|error| {
            let failure = failed(&self.goal, &error);
            self.abandon();
            failure
        })
    }

    /// Leaves nothing behind: the operation gave no counts.
    pub fn abandon(self) {
        // What cannot be removed is named so that it can be told from a result.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn failed(goal: &Path, error: &io::Error) -> Failure {
    Failure::new(
        FailureKind::Store,
        format!("the counts could not be written to {}: {error}", goal.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(collection: &str) -> Row {
        Row {
            collection: collection.to_owned(),
            kind: Kind::Collection,
            archive: Some((3, Sum::default())),
            database: None,
            equal: Some(true),
            bytes: Some(42),
        }
    }

    #[test]
    fn what_is_not_known_is_empty_and_lines_end_as_rfc_4180_wants() {
        let zeros = "0".repeat(32);
        assert_eq!(
            Counts(vec![row("orders")]).to_csv(),
            format!("{HEADER}orders,collection,3,,{zeros},,true,42\r\n")
        );
        assert_eq!(Counts::default().to_csv(), HEADER);
    }

    #[test]
    fn only_what_must_be_is_quoted() {
        for (name, as_field) in [
            ("orders", "orders"),
            ("größe 'x'", "größe 'x'"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("a\rb", "\"a\rb\""),
            ("", "\"\""),
            ("=1+1", "=1+1"),
        ] {
            assert_eq!(quoted(name), as_field);
        }
    }

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
        CountsFile::begin(text).expect("a writable folder").abandon();
        assert!(names().is_empty(), "{:?}", names());

        fs::write(&path, "older").expect("written");
        let begun = CountsFile::begin(text).expect("a writable folder");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "older");
        begun.finish(&Counts(vec![row("a")])).expect("written");
        assert!(fs::read_to_string(&path).expect("there").starts_with(HEADER));
        assert_eq!(names(), ["counts.csv"]);
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_anything_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing/counts.csv");
        for path in [folder.path(), missing.as_path(), Path::new("/dev/null"), Path::new("")] {
            let failure = CountsFile::begin(path.to_str().expect("UTF-8")).expect_err("refused");
            assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
        }
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("counts.csv"), folder.path().join("link.csv"));
        fs::write(&file, "older").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let begun = CountsFile::begin(link.to_str().expect("UTF-8")).expect("a writable folder");
        begun.finish(&Counts::default()).expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&file).expect("there"), HEADER);
    }
}
