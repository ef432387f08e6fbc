//! From when to when a folder's archives reach: its chains, their boundaries, and what lies between them.
//!
//! Only the manifests beside the archives are read. Whether an archive is still whole, `list` and `verify` say.

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::archive::{ArchiveName, ClusterTime, ConsistencyLevel, Manifest, Status};
use crate::choice::folder_in;
use crate::failure::Failure;
use crate::run::rfc3339;
use crate::store::{Location, Object, Store};

/// How many manifests are read at a time.
const AT_A_TIME: usize = 16;

/// What of the past a folder's archives show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoverageReport {
    /// The folder.
    pub folder: Location,
    /// The chains, oldest first. A full archive that nothing continues is a chain of one.
    pub chains: Vec<CoveredStretch>,
    /// What lies between them: no moment of it can be restored.
    pub holes: Vec<UncoveredStretch>,
    /// What belongs to no chain, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub apart: Vec<String>,
}

/// A chain: moments that can be restored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoveredStretch {
    /// The full archive that it begins with.
    pub base: ArchiveName,
    /// The database.
    pub database: String,
    /// Its first moment, RFC 3339, UTC.
    pub from: String,
    /// Its last moment.
    pub to: String,
    /// How many moments of it can be restored: the full archive's, and each increment's.
    pub boundaries: u64,
    /// The longest time between two of them, in seconds.
    pub widest: u64,
    /// The archive that shows the last of them.
    pub last: Location,
}

/// A time of which nothing can be restored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UncoveredStretch {
    /// Its database.
    pub database: String,
    /// The last moment before it, RFC 3339, UTC.
    pub from: String,
    /// The first moment after it.
    pub to: String,
}

/// A manifest beside its archive.
struct Beside {
    manifest: Manifest,
    text: blake3::Hash,
    time: ClusterTime,
    archive: Location,
}

/// From when to when the archives in a folder reach.
///
/// # Errors
/// What the store answered.
pub async fn coverage(store: &Store, folder: &Location) -> Result<CoverageReport, Failure> {
    let mut report = CoverageReport {
        folder: folder.clone(),
        chains: Vec::new(),
        holes: Vec::new(),
        apart: Vec::new(),
    };
    let mut last_of: Vec<(String, ClusterTime)> = Vec::new();
    for base in manifests(store, folder, &mut report.apart).await? {
        if base.manifest.continues.is_some() {
            report
                .apart
                .push(format!("{}: an increment, but not in its chain's folder", base.archive));
            continue;
        }
        let chain = folder_in(folder, &base.manifest.name.chain());
        let increments = manifests(store, &chain, &mut report.apart).await?;
        let chain = joined(&base, &increments, &mut report.apart);
        let database = base.manifest.source.database.clone();
        let (first, last) = (chain[0], chain[chain.len() - 1]);
        let before = last_of.iter().position(|(name, _)| *name == database);
        match before {
            Some(at) => {
                if last_of[at].1 < first.time {
                    report.holes.push(UncoveredStretch {
                        database: database.clone(),
                        from: said(last_of[at].1),
                        to: said(first.time),
                    });
                }
                last_of[at].1 = last_of[at].1.max(last.time);
            }
            None => last_of.push((database.clone(), last.time)),
        }
        let widest = chain
            .windows(2)
            .map(|pair| pair[1].time.t.saturating_sub(pair[0].time.t));
        report.chains.push(CoveredStretch {
            base: base.manifest.name.clone(),
            database,
            from: said(first.time),
            to: said(last.time),
            boundaries: chain.len() as u64,
            widest: widest.max().unwrap_or(0).into(),
            last: last.archive.clone(),
        });
    }
    Ok(report)
}

/// The archives that are joined to a base: from the newest that leads back to it.
fn joined<'a>(base: &'a Beside, increments: &'a [Beside], apart: &mut Vec<String>) -> Vec<&'a Beside> {
    let mut chain = Vec::new();
    for end in increments.iter().rev() {
        chain = vec![end];
        while let Some(continues) = chain.last().and_then(|last| last.manifest.continues.as_ref()) {
            let older = increments.iter().chain([base]);
            let parent = older.into_iter().find(|other| {
                let is_it = other.manifest.name == continues.parent && other.text == continues.manifest;
                is_it && other.time == continues.from && chain.iter().all(|one| one.text != other.text)
            });
            match parent {
                Some(parent) => chain.push(parent),
                None => break,
            }
        }
        if chain.last().is_some_and(|first| first.text == base.text) {
            break;
        }
        apart.push(format!(
            "{}: what it continues is not there, or another one",
            end.archive
        ));
        chain.clear();
    }
    if chain.is_empty() {
        chain.push(base);
    }
    chain.reverse();
    chain
}

/// The manifests beside the archives in a folder, oldest first, that show a moment and are whole.
async fn manifests(store: &Store, folder: &Location, apart: &mut Vec<String>) -> Result<Vec<Beside>, Failure> {
    let objects = store.list(folder, "backup_").await?;
    let archives = objects.iter().filter_map(|object| {
        let (name, _) = ArchiveName::of_object(&object.location.file_name())?;
        Some((folder.join(&name.sidecar()), object))
    });
    let mut read = stream::iter(archives)
        .map(|(sidecar, object)| beside(store, sidecar, object))
        .buffered(AT_A_TIME);
    let mut found = Vec::new();
    while let Some(beside) = read.next().await {
        match beside? {
            Ok(beside) => found.push(beside),
            Err(why) => apart.push(why),
        }
    }
    Ok(found)
}

async fn beside(store: &Store, sidecar: Location, object: &Object) -> Result<Result<Beside, String>, Failure> {
    let archive = object.location.clone();
    let Some((text, _)) = store.load(&sidecar).await? else {
        return Ok(Err(format!("{archive}: its manifest is not beside it")));
    };
    let manifest = match Manifest::from_sidecar(&text) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Err(format!("{archive}: {error}"))),
    };
    let time = manifest.consistency.cluster_time;
    let time = time.filter(|_| manifest.consistency.level != ConsistencyLevel::None);
    Ok(match (time, manifest.status) {
        (None, _) => Err(format!("{archive}: it shows no moment")),
        (Some(_), Status::Partial) => Err(format!("{archive}: it is partial")),
        (Some(time), Status::Complete) => Ok(Beside {
            text: blake3::hash(&text),
            manifest,
            time,
            archive,
        }),
    })
}

fn said(time: ClusterTime) -> String {
    OffsetDateTime::from_unix_timestamp(time.t.into()).map_or_else(|_| time.t.to_string(), rfc3339)
}
