//! Looks into archives without restoring them: which there are, what is in one, and its documents as text.

mod coverage;
mod listed;

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::archive::{Manifest, Saved, Status};
use crate::digest::Hashing;
use crate::extjson::{Encoder, Style};
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Source, open};
use crate::ordered::map;
use crate::plan::Contents;
use crate::run::Memory;
use crate::store::Store;

pub use coverage::{CoverageReport, CoveredStretch, TimeSpan, UncoveredStretch, coverage};
pub use listed::{ListedArchive, ListedChanges, ListedStatus, Summary, list};

/// What is in an archive: the manifest of ours, the survey of a foreign one.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// The manifest.
    Native(Box<Manifest>),
    /// What a survey found.
    Foreign(ForeignSummary),
}

/// What a survey found in an archive of others.
#[derive(Clone, Debug, Serialize)]
pub struct ForeignSummary {
    /// Where it is.
    pub archive: String,
    /// Whether it seems whole.
    pub status: Status,
    /// The database, if the archive says so.
    pub database: Option<String>,
    /// Every collection.
    pub collections: Vec<Saved>,
    /// How many measurements those time series hold whose `documents` are buckets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub measurements: BTreeMap<String, u64>,
    /// What is noteworthy.
    pub warnings: Vec<String>,
}

/// Opens an archive and says what is in it.
///
/// # Errors
/// As [`open`].
pub async fn show(store: &Store, source: impl Into<Source<'_>>, memory: Memory) -> Result<Shown, Failure> {
    let file = open(store, source, memory).await?;
    if let Some(manifest) = file.manifest() {
        return Ok(Shown::Native(Box::new(manifest.clone())));
    }
    let Contents {
        archive,
        status,
        database,
        collections,
        ..
    } = file.contents();
    Ok(Shown::Foreign(ForeignSummary {
        archive: archive.location,
        status,
        database,
        measurements: map(collections.iter().filter_map(|saved| {
            let buckets = file.buckets(&saved.name)?;
            Some((saved.name.clone(), buckets.measurements))
        })),
        collections,
        warnings: file.warnings(),
    }))
}

/// Opens an archive and writes one collection of it, as [`cat_of`] does.
///
/// # Errors
/// [`FailureKind::InvalidRequest`] if the archive has no such collection, or damage; the documents before it have been
/// written by then.
pub async fn cat(
    store: &Store,
    source: impl Into<Source<'_>>,
    memory: Memory,
    collection: &str,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<u64, Failure> {
    cat_of(&open(store, source, memory).await?, collection, out).await
}

/// Writes the documents of one collection as Extended JSON, one per line; returns how many were read. Those of a time
/// series may be its buckets: [`ArchiveFile::buckets`] tells. A reader that has closed `out` has seen enough: the rest is
/// not read, and that is no error.
///
/// # Errors
/// As [`cat`].
pub async fn cat_of(file: &ArchiveFile, collection: &str, out: &mut (impl AsyncWrite + Unpin)) -> Result<u64, Failure> {
    file.must_have(collection)?;
    let mut streams = file.documents(vec![(collection.to_owned(), Hashing::Raw)]);
    let mut encoder = Encoder::new(Style::Compact);
    let (mut text, mut documents) = (Vec::new(), 0);
    while let Some(mut stream) = streams.recv().await {
        while let Some(chunk) = stream.chunks.recv().await {
            for document in chunk?.documents() {
                encoder.encode(document, &mut text);
                documents += 1;
            }
            if !written(out.write_all(&text).await)? {
                return Ok(documents);
            }
            text.clear();
        }
    }
    written(out.flush().await)?;
    Ok(documents)
}

/// Whether somebody still reads.
fn written(outcome: std::io::Result<()>) -> Result<bool, Failure> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(
            FailureKind::Store,
            format!("writing the documents: {error}"),
        )),
    }
}
