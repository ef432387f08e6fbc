//! An operation's counts as a table, to keep and compare with other days: one row per collection, as RFC 4180 CSV.
//!
//! Fields that the operation does not know are empty: a backup has no second side, a view has no documents. Names are
//! written as they are, quoted as CSV demands; tell a spreadsheet not to take a name such as `=1+1` for a formula.

use std::fmt::Write as _;

use mongotar::archive::SavedStatus;
use mongotar::backup::BackupReport;
use mongotar::catalog::Kind;
use mongotar::digest::Sum;
use mongotar::plan::Action;
use mongotar::restore::RestoreReport;
use mongotar::verify::{AgainstReport, Comparison, VerifyReport};

/// The first line.
const HEADER: &str =
    "collection,kind,archive_documents,database_documents,archive_digest,database_digest,equal,bytes\r\n";

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
    /// What is in the archive now. A backup does not know whether it equals anything.
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

    /// What was read of the archive, and whether it matches its manifest.
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

    /// What was restored, under the names on the target, and what was read back. A dropped collection has no documents
    /// on either side.
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
}
