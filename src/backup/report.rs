//! What a backup reports.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use time::OffsetDateTime;

use super::request::BackupJob;
use super::retention::Retention;
use crate::archive::{
    ArchiveKind, ClusterTime, Compression, Consistency, ConsistencyLevel, Manifest, Payload, Saved, SavedStatus, Status,
};
use crate::catalog::{Kind, LeftOut};
use crate::digest::Sum;
use crate::run::{Answer, Ended, Run, RunStatus, rfc3339};
use crate::store::{Location, Object};
use crate::wording::{abandoned, count, duration, first_few, size, with_reason};

/// What an invocation has to say of a backup's run.
pub type BackupAnswer = Answer<BackupReport, UnfinishedBackup>;

/// A run that is not at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnfinishedBackup {
    /// `continue` or `running`.
    pub status: RunStatus,
    /// One sentence for a notification.
    pub summary: String,
    /// Which run it is: an event that had none of its own goes on with this one.
    pub run: Run,
    /// What is being backed up.
    pub database: String,
    /// Where the archive will be; not known of a run that another invocation is at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<Location>,
    /// How many invocations there were, this one included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub invocations: Option<u32>,
    /// What has been laid out so far.
    pub totals: Totals,
}

impl Ended for BackupReport {
    fn status(&self) -> RunStatus {
        self.status
    }

    fn summary(&self) -> &str {
        &self.summary
    }

    /// By the manifest's copy. Where that could not be written, the next delivery writes it.
    fn is_found_again(&self) -> bool {
        self.manifest.is_some()
    }
}

impl Ended for UnfinishedBackup {
    fn status(&self) -> RunStatus {
        self.status
    }

    fn summary(&self) -> &str {
        &self.summary
    }
}

impl BackupAnswer {
    /// Which database.
    pub fn database(&self) -> &str {
        match self {
            Self::Finished(report) => &report.database,
            Self::Unfinished(unfinished) => &unfinished.database,
        }
    }
}

impl UnfinishedBackup {
    pub(super) fn running(run: &Run, job: &BackupJob) -> Self {
        Self {
            status: RunStatus::Running,
            summary: format!("another invocation is working on the backup of {}", job.database),
            run: run.clone(),
            database: job.database.clone(),
            archive: None,
            invocations: None,
            totals: Totals::default(),
        }
    }

    pub(super) fn paused(run: &Run, job: &BackupJob, archive: &Location, invocations: u32, totals: Totals) -> Self {
        Self {
            status: RunStatus::Continue,
            summary: format!(
                "the backup of {} continues: {} ({}) done after {}",
                job.database,
                count(totals.documents, "document"),
                size(totals.bytes),
                count(invocations.into(), "invocation")
            ),
            archive: Some(archive.clone()),
            invocations: Some(invocations),
            totals,
            ..Self::running(run, job)
        }
    }
}

/// The answer of the backup handler and of `mongotar backup --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BackupReport {
    /// `complete` or `partial`.
    pub status: RunStatus,
    /// The whole report in one sentence, for a notification.
    #[serde(default)]
    pub summary: String,
    /// Where the archive is.
    pub archive: Location,
    /// Where the manifest's copy is; `null` where it could not be written.
    pub manifest: Option<Location>,
    /// The archive's name.
    pub name: String,
    /// The ETag of the object.
    pub etag: String,
    /// The object's length.
    pub archive_bytes: u64,
    /// `full`, or `increment`: of that, what changed since its parent.
    #[serde(default)]
    pub kind: ArchiveKind,
    /// The archive that an increment continues.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<String>,
    /// An increment holds what changed after this cluster time, the parent's, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<ClusterTime>,
    /// … up to this one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<ClusterTime>,
    /// What was backed up.
    pub database: String,
    /// How documents are written.
    pub payload: Payload,
    /// How the archive is compressed.
    pub compression: Compression,
    /// What moment it shows.
    pub consistency: Consistency,
    /// Every collection, time series and view.
    pub collections: Vec<CollectionReport>,
    /// Those that are not whole.
    pub failed: Vec<FailedCollection>,
    /// Collections of the server's own, such as `system.profile`, that every backup leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// The sums.
    pub totals: Totals,
    /// When it began and ended, RFC 3339, UTC.
    pub started: String,
    /// When the last document had been read.
    pub finished: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Of a full archive made of a chain in S3: how many of its bytes S3 copied, so that they were not sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub copied_bytes: Option<u64>,
    /// The class that its objects are tagged with; absent where they have no tag.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retention: Option<Retention>,
    /// How many workers wrote the archive.
    #[serde(default = "one")]
    pub lanes: u32,
    /// Whether the chain before this full archive leads to what is in it, where it begins a new one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<ChainProof>,
    /// What went not quite as it should, without loss.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What a full backup says of the chain before it: led on to its cluster time, it must come to the same documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChainProof {
    /// The full archive that the chain begins with.
    pub chain: String,
    /// Its last archive.
    pub last: String,
    /// How many collections are equal.
    pub equal: u64,
    /// Those that are not: the chain is wrong, or the archive.
    pub different: Vec<String>,
    /// Those of which the server no longer has the states in between.
    pub not_compared: Vec<String>,
    /// Why nothing could be compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

fn one() -> u32 {
    1
}

/// One collection in a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CollectionReport {
    /// Its name.
    pub name: String,
    /// Collection, time series or view.
    pub kind: Kind,
    /// `complete`, `partial` or `failed`.
    pub status: SavedStatus,
    /// How many documents it has. Those of an increment are also in what it continues.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// In an increment: how many documents are new or changed; absent if the increment has all documents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed: Option<u64>,
    /// In an increment: how many documents are gone; absent as `changed` is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removed: Option<u64>,
    /// The entry's size, as `tar` shows it.
    pub entry_bytes: u64,
    /// What they take in the archive.
    pub stored_bytes: u64,
    /// How many documents the text form could not carry and are wrapped.
    pub wrapped: u64,
    /// The digest of the documents.
    #[serde(with = "crate::archive::hex_sum")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub digest: Sum,
}

/// A collection that is not in the archive whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FailedCollection {
    /// Its name.
    pub name: String,
    /// How many documents are in the archive all the same.
    pub documents: u64,
    /// Why.
    pub error: String,
}

/// Sums over all collections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Totals {
    /// Collections, time series and views.
    pub collections: u64,
    /// Documents.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
}

impl Totals {
    pub(super) fn of<'a>(collections: impl IntoIterator<Item = &'a Saved>) -> Self {
        let collections = collections.into_iter();
        collections.fold(Self::default(), |sum, saved| Self {
            collections: sum.collections + 1,
            documents: sum.documents + saved.documents,
            bytes: sum.bytes + saved.bytes,
        })
    }
}

impl Totals {
    /// These and others.
    #[must_use]
    pub(super) fn plus(self, other: &Self) -> Self {
        Self {
            collections: self.collections + other.collections,
            documents: self.documents + other.documents,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl BackupReport {
    pub(super) fn new(
        manifest: &Manifest,
        archive: &Object,
        sidecar: Result<Location, String>,
        took: Duration,
    ) -> Self {
        let (sidecar, warning) = match sidecar {
            Ok(location) => (Some(location), None),
            Err(warning) => (None, Some(warning)),
        };
        let collections = manifest.collections.iter();
        let abandoned = collections.filter_map(|saved| abandoned(&saved.name, saved.abandoned_bytes()));
        let continues = manifest.continues.as_ref();
        let mut report = Self {
            summary: String::new(),
            status: match manifest.status {
                Status::Complete => RunStatus::Complete,
                Status::Partial => RunStatus::Partial,
            },
            archive: archive.location.clone(),
            manifest: sidecar,
            name: manifest.name.to_string(),
            etag: archive.etag.clone(),
            archive_bytes: archive.bytes,
            kind: manifest.kind,
            parent: continues.map(|continues| continues.parent.to_string()),
            from: continues.map(|continues| continues.from),
            to: manifest.consistency.cluster_time.filter(|_| continues.is_some()),
            database: manifest.source.database.clone(),
            payload: manifest.payload,
            compression: manifest.compression,
            consistency: manifest.consistency.clone(),
            failed: manifest.collections.iter().filter_map(failed).collect(),
            totals: Totals::of(&manifest.collections),
            collections: manifest.collections.iter().map(collection).collect(),
            left_out: manifest.left_out.clone(),
            started: manifest.created.clone(),
            finished: manifest.finished.clone(),
            seconds: took.as_secs_f64(),
            copied_bytes: None,
            retention: None,
            lanes: manifest.lanes.unwrap_or(1),
            proof: None,
            warnings: warning.into_iter().chain(abandoned).collect(),
        };
        report.summary = summary(&report);
        report
    }

    /// The same, with what more there is to know.
    pub(super) fn warning(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// The same, with what it says of the chain before.
    pub(super) fn proving(mut self, proof: ChainProof) -> Self {
        let chain = &proof.chain;
        let different = proof.different.iter().map(|name| {
            format!("{name}: the chain of {chain} leads to other documents than this archive has: do not trust that chain's increments")
        });
        self.warnings.extend(different);
        if let Some(reason) = &proof.reason {
            self.warnings.push(format!(
                "the chain of {chain} could not be compared with this archive: {reason}"
            ));
        }
        self.proof = Some(proof);
        self
    }

    /// The same, of an archive that is to be kept that long.
    pub(super) fn kept(mut self, retention: Option<Retention>) -> Self {
        self.retention = retention;
        self
    }
}

fn summary(report: &BackupReport) -> String {
    let totals = &report.totals;
    let saved = format!(
        "{} ({}) in {}, {}, to {}",
        count(totals.documents, "document"),
        size(totals.bytes),
        duration(report.seconds),
        moment(report),
        report.archive
    );
    let collections = count(totals.collections, "collection");
    if let (RunStatus::Complete, Some(parent)) = (report.status, &report.parent) {
        let sum = |of: fn(&CollectionReport) -> Option<u64>| report.collections.iter().filter_map(of).sum::<u64>();
        let whole = report.collections.iter();
        let whole = whole
            .filter(|row| row.changed.is_none() && row.kind != Kind::View)
            .count() as u64;
        return format!(
            "{} is backed up whole: since {parent}, {} changed and {} gone; {} read whole. {collections}, {saved}",
            report.database,
            count(sum(|row| row.changed), "document"),
            count(sum(|row| row.removed), "document"),
            count(whole, "collection"),
        );
    }
    if report.status == RunStatus::Complete {
        return format!("{} is backed up whole: {collections}, {saved}", report.database);
    }
    let failed = report.failed.iter();
    let failed = first_few(failed.map(|failed| with_reason(&failed.name, &failed.error)));
    format!(
        "{} is NOT backed up whole: of {collections}, {} failed: {failed}. Saved: {saved}",
        report.database,
        report.failed.len()
    )
}

/// As of when the archive shows the database, and no more than that.
fn moment(report: &BackupReport) -> String {
    let consistency = &report.consistency;
    let time = consistency
        .cluster_time
        .and_then(|time| OffsetDateTime::from_unix_timestamp(time.t.into()).ok())
        .map(rfc3339);
    match (consistency.level, time) {
        (ConsistencyLevel::Snapshot, Some(time)) => format!("as of {time}"),
        (ConsistencyLevel::Mixed, Some(time)) => format!(
            "as of {time} except {} read later",
            count(consistency.exceptions.len() as u64, "collection")
        ),
        _ => format!("read one after the other from {} on", report.started),
    }
}

fn collection(saved: &Saved) -> CollectionReport {
    CollectionReport {
        name: saved.name.clone(),
        kind: saved.kind,
        status: saved.status,
        documents: saved.documents,
        bytes: saved.bytes,
        changed: saved.delta.as_ref().map(|delta| delta.documents),
        removed: saved.delta.as_ref().map(|delta| delta.removed),
        entry_bytes: saved.entry.as_ref().map_or(0, |entry| entry.bytes),
        stored_bytes: saved.stored_bytes(),
        wrapped: saved.wrapped,
        digest: saved.digest,
    }
}

fn failed(saved: &Saved) -> Option<FailedCollection> {
    (saved.status != SavedStatus::Complete).then(|| FailedCollection {
        name: saved.name.clone(),
        documents: saved.documents,
        error: saved
            .error
            .clone()
            .unwrap_or_else(|| "the reason is not known".to_owned()),
    })
}

#[cfg(test)]
mod tests;
