//! What a backup says when it is done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BackupJob;
use crate::archive::{Compression, Consistency, Manifest, Payload, Saved, SavedStatus, Status};
use crate::catalog::Kind;
use crate::digest::Sum;
use crate::run::Run;
use crate::store::{Location, Object};

/// How a run ended. There is no bare success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything that was asked for was done, and proven where there is something to prove.
    Complete,
    /// Something is missing or differs: the report names it.
    Partial,
    /// Nothing was done: the plan is the answer.
    Planned,
    /// The run could not do what was asked for.
    Failed,
    /// The time was up, and the state is saved: the same event again goes on.
    Continue,
    /// Another invocation is at the same run: ask again later.
    Running,
}

/// What an invocation has to say of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum BackupAnswer {
    /// There is an archive.
    Finished(Box<BackupReport>),
    /// There is none yet.
    Unfinished(Unfinished),
}

/// A run that is not at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unfinished {
    /// `continue` or `running`.
    pub status: RunStatus,
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

impl Unfinished {
    pub(super) fn running(run: &Run, job: &BackupJob) -> Self {
        Self {
            status: RunStatus::Running,
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
            archive: Some(archive.clone()),
            invocations: Some(invocations),
            totals,
            ..Self::running(run, job)
        }
    }
}

/// The answer of the backup handler and of `mongotar backup --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupReport {
    /// `complete` or `partial`.
    pub status: RunStatus,
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
    /// The sums.
    pub totals: Totals,
    /// When it began and ended, RFC 3339, UTC.
    pub started: String,
    /// When the last document had been read.
    pub finished: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What went not quite as it should, without loss.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One collection in a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CollectionReport {
    /// Its name.
    pub name: String,
    /// Collection, time series or view.
    pub kind: Kind,
    /// `complete`, `partial` or `failed`.
    pub status: SavedStatus,
    /// How many documents are in the archive.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// The entry's size, as `tar` shows it.
    pub entry_bytes: u64,
    /// What they take in the archive.
    pub stored_bytes: u64,
    /// How many documents the text form could not carry and are wrapped.
    pub wrapped: u64,
    /// The digest of the documents.
    #[serde(with = "crate::archive::hex_sum")]
    pub digest: Sum,
}

/// A collection that is not in the archive whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

impl BackupReport {
    pub(super) fn new(
        manifest: &Manifest,
        archive: &Object,
        sidecar: Result<Location, String>,
        took: Duration,
    ) -> Self {
        let (sidecar, warnings) = match sidecar {
            Ok(location) => (Some(location), Vec::new()),
            Err(warning) => (None, vec![warning]),
        };
        Self {
            status: match manifest.status {
                Status::Complete => RunStatus::Complete,
                Status::Partial => RunStatus::Partial,
            },
            archive: archive.location.clone(),
            manifest: sidecar,
            name: manifest.name.to_string(),
            etag: archive.etag.clone(),
            archive_bytes: archive.bytes,
            database: manifest.source.database.clone(),
            payload: manifest.payload,
            compression: manifest.compression,
            consistency: manifest.consistency.clone(),
            failed: manifest.collections.iter().filter_map(failed).collect(),
            totals: Totals::of(&manifest.collections),
            collections: manifest.collections.iter().map(collection).collect(),
            started: manifest.created.clone(),
            finished: manifest.finished.clone(),
            seconds: took.as_secs_f64(),
            warnings,
        }
    }
}

fn collection(saved: &Saved) -> CollectionReport {
    CollectionReport {
        name: saved.name.clone(),
        kind: saved.kind,
        status: saved.status,
        documents: saved.documents,
        bytes: saved.bytes,
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
