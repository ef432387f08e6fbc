//! From when to when a folder's archives reach: its chains, their boundaries, and what lies between them.
//!
//! Only the manifests beside the archives are read, and the sizes that listings show: what was removed, exchanged or
//! cut is found. Whether the bytes of an archive are still what they were, `verify` says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::archive::{ArchiveName, ChainMember, ClusterTime, Joined, joined};
use crate::choice::{InFolder, folder_in, in_folder, members, said};
use crate::failure::Failure;
use crate::store::{Location, Store};

/// How long after an archive its manifest may come: they are written one behind the other. A report waits that long in
/// all, where the newest archive of a folder has none.
const FOLLOWS: Duration = Duration::from_secs(5);
/// How often it is looked for.
const LOOKED_FOR: Duration = Duration::from_millis(200);

/// The first moment and the last.
type Reach = (ClusterTime, ClusterTime);

/// What of the past a folder's archives show.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// How many of them rest on the server's word alone: nothing showed that it read at the time that it confirmed.
    #[serde(default)]
    pub unproven: u64,
    /// The longest time between two of them, in seconds.
    pub widest: u64,
    /// From when to when every second can be restored, and not only those: where increments say when what changed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub every_second: Vec<TimeSpan>,
    /// The archive that shows the last of them.
    pub last: Location,
}

/// From one time to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TimeSpan {
    /// RFC 3339, UTC.
    pub from: String,
    /// RFC 3339, UTC.
    pub to: String,
}

/// A time of which nothing can be restored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UncoveredStretch {
    /// Its database.
    pub database: String,
    /// The last moment before it, RFC 3339, UTC.
    pub from: String,
    /// The first moment after it.
    pub to: String,
}

/// What lies in a folder, and what the manifests say. That of an archive just committed is waited for.
async fn settled(
    store: &Store,
    folder: &Location,
    patience: &mut Duration,
) -> Result<(Vec<InFolder>, Joined), Failure> {
    let mut found = in_folder(store, folder).await?;
    while found.last().is_some_and(|newest| !newest.has_manifest) && !patience.is_zero() {
        tokio::time::sleep(LOOKED_FOR).await;
        *patience = patience.saturating_sub(LOOKED_FOR);
        found = in_folder(store, folder).await?;
    }
    let read = members(store, folder, &found).await?;
    Ok((found, read))
}

impl CoverageReport {
    /// Whether every archive of every chain is there, and no time lies between chains of a database.
    pub fn is_whole(&self) -> bool {
        self.holes.is_empty() && self.apart.is_empty()
    }

    /// Archives of a folder that belong to no chain.
    fn are_apart(&mut self, folder: &Location, found: &[InFolder], apart: Vec<(ArchiveName, String)>) {
        let said = apart.into_iter();
        self.apart
            .extend(said.map(|(name, why)| format!("{}: {why}", archive_of(folder, found, &name))));
    }

    /// A chain, later than the others of its database.
    fn covers(&mut self, last_of: &mut Vec<(String, ClusterTime)>, chain: CoveredStretch, times: Reach) {
        let (first, last) = times;
        match last_of.iter_mut().find(|(database, _)| *database == chain.database) {
            Some((database, before)) => {
                if *before < first {
                    self.holes.push(UncoveredStretch {
                        database: database.clone(),
                        from: said(*before),
                        to: said(first),
                    });
                }
                *before = last.max(*before);
            }
            None => last_of.push((chain.database.clone(), last)),
        }
        self.chains.push(chain);
    }
}

/// The times within a chain of which every second can be restored.
fn every_second(members: &[ChainMember]) -> Vec<TimeSpan> {
    let journals = members.iter().filter_map(|member| {
        let continues = member.continues.as_ref().filter(|continues| continues.journal)?;
        Some((continues.from, member.time?))
    });
    let mut spans: Vec<Reach> = Vec::new();
    let mut journals: Vec<Reach> = journals.collect();
    journals.sort_unstable();
    for (from, to) in journals {
        match spans.last_mut().filter(|(_, end)| from <= *end) {
            Some((_, end)) => *end = to.max(*end),
            None => spans.push((from, to)),
        }
    }
    let spans = spans.into_iter();
    let spans = spans.map(|(from, to)| TimeSpan {
        from: said(from),
        to: said(to),
    });
    spans.collect()
}

/// Where an archive of a folder is; its manifest, where there is only that.
fn archive_of(folder: &Location, found: &[InFolder], name: &ArchiveName) -> Location {
    let found = found.iter().find(|found| found.name == *name);
    let object = found.and_then(|found| found.objects.first());
    object.map_or_else(|| folder.join(&name.sidecar()), |(_, object)| object.location.clone())
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
    let mut patience = FOLLOWS;
    let (found, bases) = settled(store, folder, &mut patience).await?;
    report.are_apart(folder, &found, bases.apart);
    for base in bases.members {
        if base.continues.is_some() {
            let why = "an increment, but not in its chain's folder".to_owned();
            report.are_apart(folder, &found, vec![(base.name, why)]);
            continue;
        }
        let chain = folder_in(folder, &base.name.chain());
        let (increments, read) = settled(store, &chain, &mut patience).await?;
        let joined = joined(&base, read.members);
        let (of_base, of_chain): (Vec<_>, Vec<_>) = joined.apart.into_iter().partition(|(name, _)| *name == base.name);
        let is_whole = of_base.is_empty();
        report.are_apart(folder, &found, of_base);
        report.are_apart(&chain, &increments, read.apart.into_iter().chain(of_chain).collect());
        if !is_whole {
            continue;
        }
        let last = match joined.members.last() {
            Some(last) => archive_of(&chain, &increments, &last.name),
            None => archive_of(folder, &found, &base.name),
        };
        let mut times: Vec<ClusterTime> = joined
            .members
            .iter()
            .chain([&base])
            .filter_map(|member| member.time)
            .collect();
        times.sort_unstable();
        let (Some(&from), Some(&to)) = (times.first(), times.last()) else {
            continue;
        };
        report.covers(
            &mut last_of,
            CoveredStretch {
                base: base.name.clone(),
                database: base.database.clone(),
                from: said(from),
                to: said(to),
                boundaries: times.len() as u64,
                unproven: joined
                    .members
                    .iter()
                    .chain([&base])
                    .filter(|one| one.is_unproven)
                    .count() as u64,
                widest: times
                    .windows(2)
                    .map(|pair| pair[1].t.saturating_sub(pair[0].t))
                    .max()
                    .unwrap_or(0)
                    .into(),
                every_second: every_second(&joined.members),
                last,
            },
            (from, to),
        );
    }
    for name in store.folders(folder, "backup_").await? {
        let base = ArchiveName::of_chain(&name);
        let is_there = |base: &ArchiveName| {
            found
                .iter()
                .any(|found| found.name == *base && !found.objects.is_empty())
        };
        if let Some(base) = base.filter(|base| !is_there(base)) {
            let chain = folder_in(folder, &name);
            report.apart.push(format!(
                "{chain}: increments without the archive that they continue, {base}: none can be restored"
            ));
        }
    }
    Ok(report)
}
