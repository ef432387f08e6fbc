//! The result of checking an archive.

use serde::{Deserialize, Serialize};

use crate::archive::{Saved, SavedStatus, hex_sum};
use crate::backup::RunStatus;
use crate::catalog::Kind;
use crate::digest::{Digest, Sum};
use crate::wording::{count, first_few, size};

/// The answer of `mongotar verify --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerifyReport {
    /// `complete` where every byte is as it was written and nothing is missing; `partial` where the archive is sound,
    /// but the backup was partial; `failed` where something is damaged.
    pub status: RunStatus,
    /// The whole report in one sentence, for a notification.
    #[serde(default)]
    pub summary: String,
    /// Which archive.
    pub archive: String,
    /// Its length.
    pub archive_bytes: u64,
    /// How many segments were read and decoded.
    pub segments: u64,
    /// Every collection.
    pub collections: Vec<CheckedCollection>,
    /// Everything that is damaged, with entry, segment and offset.
    pub damaged: Vec<String>,
    /// What is noteworthy without being damage.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

/// One collection of an archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckedCollection {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether the backup of it was whole.
    pub status: SavedStatus,
    /// How many documents the manifest says.
    pub documents: u64,
    /// How many were read.
    pub documents_read: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// The digest that the manifest says.
    #[serde(with = "hex_sum")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub digest: Sum,
    /// Whether what was read has that digest.
    pub equal: bool,
}

pub(super) fn summary(report: &VerifyReport) -> String {
    let read = read(report);
    let named = |chosen: fn(&CheckedCollection) -> bool| {
        let collections = report.collections.iter().filter(|checked| chosen(checked));
        first_few(collections.map(|checked| checked.name.clone()))
    };
    match report.status {
        RunStatus::Complete => format!("{} is sound: every byte of {read} is as it was written", report.archive),
        RunStatus::Partial => format!(
            "{} is sound, but its backup was partial, without all of {}: every byte of {read} is as it was written",
            report.archive,
            named(|checked| checked.status != SavedStatus::Complete)
        ),
        _ if report.damaged.is_empty() => format!(
            "{} is DAMAGED: its content differs from the manifest in {}",
            report.archive,
            named(|checked| !checked.equal)
        ),
        _ => format!(
            "{} is DAMAGED in {}: {}",
            report.archive,
            count(report.damaged.len() as u64, "place"),
            first_few(report.damaged.iter().cloned())
        ),
    }
}

/// Of an archive that others wrote, which has no digests: that it can be read to its end is all that can be said.
pub(super) fn summary_of_foreign(report: &VerifyReport, incomplete: Option<&str>) -> String {
    let missing = report
        .collections
        .iter()
        .filter(|checked| checked.status != SavedStatus::Complete);
    match report.status {
        RunStatus::Complete => format!(
            "{} can be read to its end: {}. It is not a mongotar archive, so it has no digests to compare",
            report.archive,
            read(report)
        ),
        RunStatus::Partial => format!(
            "{} can be read ({}), but is incomplete: {}",
            report.archive,
            read(report),
            incomplete.map_or_else(|| first_few(missing.map(|checked| checked.name.clone())), str::to_owned)
        ),
        _ => summary(report),
    }
}

fn read(report: &VerifyReport) -> String {
    let documents = report.collections.iter().map(|checked| checked.documents_read).sum();
    format!(
        "{} with {} and {}",
        size(report.archive_bytes),
        count(report.collections.len() as u64, "collection"),
        count(documents, "document")
    )
}

pub(super) fn checked(saved: &Saved, read: Digest) -> CheckedCollection {
    CheckedCollection {
        name: saved.name.clone(),
        kind: saved.kind,
        status: saved.status,
        documents: saved.documents,
        documents_read: read.documents(),
        bytes: read.bytes(),
        digest: saved.digest,
        equal: read == saved.expected_digest(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(status: RunStatus, saved: &str, equal: bool, damaged: &[&str]) -> VerifyReport {
        let digest = "0123456789abcdef0123456789abcdef";
        let collection = json!({
            "name": "orders", "kind": "collection", "status": saved, "documents": 3, "documents_read": 3, "bytes": 300,
            "digest": digest, "equal": equal,
        });
        serde_json::from_value(json!({
            "status": status, "archive": "s3://b/a.tar", "archive_bytes": 4_200_000, "segments": 3,
            "collections": [collection], "damaged": damaged,
        }))
        .expect("a report")
    }

    #[test]
    fn each_way_in_which_a_verification_ends_is_one_sentence() {
        for (status, saved, equal, damaged, expected) in [
            (
                RunStatus::Complete,
                "complete",
                true,
                &[][..],
                "s3://b/a.tar is sound: every byte of 4.2 MB with 1 collection and 3 documents is as it was written",
            ),
            (
                RunStatus::Partial,
                "partial",
                true,
                &[],
                "s3://b/a.tar is sound, but its backup was partial, without all of orders: every byte of 4.2 MB with 1 collection and 3 documents is as it was written",
            ),
            (
                RunStatus::Failed,
                "complete",
                false,
                &["segment 1 of orders", "segment 7 of orders"],
                "s3://b/a.tar is DAMAGED in 2 places: segment 1 of orders; segment 7 of orders",
            ),
            (
                RunStatus::Failed,
                "complete",
                false,
                &[],
                "s3://b/a.tar is DAMAGED: its content differs from the manifest in orders",
            ),
        ] {
            assert_eq!(summary(&report(status, saved, equal, damaged)), expected);
        }
    }
}
