//! Comparing an archive with a live database, which is only read: has what was backed up changed since, and where?
//!
//! Each collection that was chosen is read from the archive, segment by segment and checked on the way, and read back from the database. Equal are two
//! collections of the same kind with the same documents (count and digest; a time series by its sorted fields), options and indexes; two views by their
//! definitions. A database is a superset of nothing: a collection that only it has is reported as well.
//!
//! What an archive does not say is not compared, and that is said: archives of others may know neither options nor indexes. The order of documents is
//! not compared. Nor is a database that is written to meanwhile stopped: each collection is read as the majority of the replica set has it
//! while it is read, so compare one that stands still. Regions of the archive that hold no documents are checked by [`verify`](super::verify()), not here.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::archive::{Saved, SavedStatus, Status, hex_sum};
use crate::backup::{RunStatus, Tools, cancelled};
use crate::catalog::{Catalog, Collection, Definition, Kind, Selection, is_system};
use crate::digest::{Digest, Hashing, Sum};
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, CollectionStream, Source, open};
use crate::plan::{Contents, Coverage, Diff, INTERNAL_PREFIX};
use crate::restore::{Keeper, not_what_was_promised, read_back, without_own};
use crate::store::Location;

/// What is compared with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgainstJob {
    /// The archive.
    pub archive: Location,
    /// Which database of it, where it holds several.
    pub source_database: Option<String>,
    /// The live database.
    pub database: String,
    /// Which collections, by their names.
    pub selection: Selection,
}

/// The answer of `mongotar verify --against --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgainstReport {
    /// `complete` where all that was chosen was compared and is equal; `partial` where anything differs, is missing, is extra or could not be
    /// compared; `failed` where the archive is damaged.
    pub status: RunStatus,
    /// Which archive.
    pub archive: String,
    /// The database that it was compared with.
    pub database: String,
    /// Every collection that was chosen, sorted by name.
    pub collections: Vec<ComparedCollection>,
    /// In both, and not the same.
    pub drifted: Vec<String>,
    /// In the archive, not in the database.
    pub missing: Vec<String>,
    /// In the database, not in the archive.
    pub extra: Vec<String>,
    /// What could not be compared; the collection says why.
    pub not_compared: Vec<String>,
    /// What of the archive is damaged, as far as it was read.
    pub damaged: Vec<String>,
    /// What is noteworthy without being a difference.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// One collection: what the archive has of it, and what the database has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComparedCollection {
    /// Its name.
    pub name: String,
    /// What it is in the archive; where only the database has it, what it is there.
    pub kind: Kind,
    /// How it came out.
    pub outcome: Comparison,
    /// The archive's documents, as a server keeps them; none for views, and for what the archive does not have whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<Side>,
    /// The database's documents; none for views, and for what is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub database: Option<Side>,
    /// How the database's options differ from the archive's.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub options_diff: Diff,
    /// How the database's indexes differ from the archive's.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub index_diff: Diff,
    /// Everything that is not equal, or why nothing can be said; empty where all is equal.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differences: Vec<String>,
    /// What the archive does not say, and was not compared.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unknown: Vec<String>,
}

/// How a comparison came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// All that the archive says holds.
    Equal,
    /// It does not.
    Drifted,
    /// The database does not have it.
    Missing,
    /// Only the database has it.
    Extra,
    /// Nothing can be said.
    NotCompared,
}

/// The documents of one collection on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// How many.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// Their digest.
    #[serde(with = "hex_sum")]
    pub digest: Sum,
}

impl From<Digest> for Side {
    fn from(digest: Digest) -> Self {
        Self {
            documents: digest.documents(),
            bytes: digest.bytes(),
            digest: digest.sum(),
        }
    }
}

/// Compares an archive with a database. Changes nothing, and needs no more than read rights.
///
/// # Errors
/// Where the archive cannot be opened, the database cannot be reached or surveyed, or the selection names nothing. What differs is in the report.
pub async fn against(job: &AgainstJob, tools: &Tools) -> Result<AgainstReport, Failure> {
    let started = Instant::now();
    tools.progress.step(format!("opening {}", job.archive));
    let source = Source {
        location: &job.archive,
        database: job.source_database.as_deref(),
    };
    let file = open(&tools.store, source).await?;
    let contents = file.contents();
    let live = tools.mongo.survey(&job.database).await?;
    check_selection(job, &contents, &live)?;
    let mut run = Run {
        job,
        tools,
        live: &live,
        damaged: Vec::new(),
    };
    let chosen: Vec<Chosen<'_>> = contents
        .collections
        .iter()
        .filter(|saved| is_meant(job, &saved.name))
        .map(|saved| Chosen::new(saved, &file, &contents, &live))
        .collect();
    let mut collections = run.documents(&file, &chosen).await?;
    collections.extend(run.extras(&file, &contents).await?);
    collections.sort_by(|a, b| a.name.cmp(&b.name));
    let warnings = warnings(job, &file, &contents, &live);
    let seconds = started.elapsed().as_secs_f64();
    Ok(AgainstReport::new(run, &file, collections, warnings, seconds))
}

/// What is data, and was chosen.
fn is_meant(job: &AgainstJob, name: &str) -> bool {
    job.selection.selects(name) && !is_system(name) && !name.starts_with(INTERNAL_PREFIX)
}

/// A name that neither side knows is mistyped, and comparing nothing would find everything equal.
fn check_selection(job: &AgainstJob, contents: &Contents, live: &Catalog) -> Result<(), Failure> {
    let names = names(contents, live);
    let idle = job.selection.idle_includes(&names);
    if !idle.is_empty() {
        return Err(Failure::invalid(format!(
            "neither the archive nor the database has anything that matches include {:?}; there are: {}",
            idle.join(", "),
            names.join(", ")
        )));
    }
    match names.iter().any(|name| is_meant(job, name)) {
        true => Ok(()),
        false => Err(Failure::invalid(
            "the selection leaves nothing to compare: exclude less",
        )),
    }
}

fn names<'a>(contents: &'a Contents, live: &'a Catalog) -> Vec<&'a str> {
    let archived = contents.collections.iter().map(|saved| saved.name.as_str());
    let present = live.collections.iter().map(|present| present.name.as_str());
    let mut names: Vec<&str> = archived.chain(present).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn warnings(job: &AgainstJob, file: &ArchiveFile, contents: &Contents, live: &Catalog) -> Vec<String> {
    let mut warnings = file.warnings();
    if live.collections.is_empty() {
        warnings.push(format!("there is no database {:?}, or nothing in it", job.database));
    }
    if let Coverage::Part(reason) = &contents.coverage {
        warnings.push(format!(
            "the archive may not name everything that its database had ({reason}): what it was not to have does not count as extra"
        ));
    }
    for glob in job.selection.idle_excludes(&names(contents, live)) {
        warnings.push(format!("nothing matches the excluded {glob:?}"));
    }
    warnings
}

/// A collection of the archive that is to be compared, and what is there of it.
struct Chosen<'a> {
    saved: &'a Saved,
    present: Option<&'a Collection>,
    /// Whether the archive has its options.
    knows_options: bool,
    /// Whether the archive has its indexes.
    knows_indexes: bool,
    /// What of its documents is hashed, on both sides.
    hashing: Hashing,
    /// The options that decide what a server makes of its documents.
    options: &'a Definition,
    /// What a server takes its documents for.
    kind: Kind,
}

impl<'a> Chosen<'a> {
    fn new(saved: &'a Saved, file: &ArchiveFile, contents: &Contents, live: &'a Catalog) -> Self {
        let present = live.get(&saved.name);
        let native = file.manifest().is_some();
        let seen = contents.signals.collections.get(&saved.name);
        let described = saved.kind == Kind::View || seen.is_some_and(|seen| seen.described);
        // Called a time series, but not which.
        let vague = saved.kind == Kind::Timeseries && saved.options.get_document("timeseries").is_none();
        let mut chosen = Self {
            saved,
            present,
            knows_options: native || (described && !vague),
            knows_indexes: native || !saved.indexes.is_empty(),
            hashing: saved.hashing,
            options: &saved.options,
            kind: saved.kind,
        };
        // Where nothing says what it is, it is what the database has it for: no guess is needed here.
        if let (false, Some(present)) = (chosen.knows_options, present)
            && present.kind == Kind::Timeseries
        {
            chosen.kind = Kind::Timeseries;
            chosen.hashing = Hashing::SortedFields;
            chosen.options = &present.options;
        }
        chosen
    }

    /// Whether there are documents on this side of it.
    fn has_documents(&self) -> bool {
        self.saved.kind != Kind::View && self.saved.status == SavedStatus::Complete
    }

    /// Compares the definitions; documents are still to come.
    fn definitions(&self) -> ComparedCollection {
        let mut compared = ComparedCollection::new(&self.saved.name, self.saved.kind);
        if self.saved.status != SavedStatus::Complete {
            let reason = self.saved.error.as_deref().unwrap_or("no reason is recorded");
            compared.not_compared(format!(
                "the archive does not have it whole: its backup failed ({reason})"
            ));
            return compared;
        }
        let Some(present) = self.present else {
            compared.outcome = Comparison::Missing;
            compared.differences.push("the database does not have it".to_owned());
            return compared;
        };
        // What nothing describes may well be the time series that the database has.
        let open = !self.knows_options && (self.saved.kind, present.kind) == (Kind::Collection, Kind::Timeseries);
        if present.kind != self.saved.kind && !open {
            compared.drifted(format!(
                "the archive has a {}, the database a {}",
                self.saved.kind, present.kind
            ));
        }
        if self.knows_options {
            compared.options_diff = Diff::of_options(&self.saved.options, &present.options);
        } else {
            compared.unknown.push("options".to_owned());
        }
        if self.knows_indexes {
            compared.index_diff = Diff::of_indexes(&without_own(&self.saved.indexes), &without_own(&present.indexes));
        } else if self.saved.kind != Kind::View {
            compared.unknown.push("indexes".to_owned());
        }
        for (what, diff) in [("options", &compared.options_diff), ("indexes", &compared.index_diff)] {
            if !diff.is_empty() {
                compared.differences.push(format!("{what} {diff}"));
                compared.outcome = Comparison::Drifted;
            }
        }
        compared
    }
}

impl ComparedCollection {
    fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            outcome: Comparison::Equal,
            archive: None,
            database: None,
            options_diff: Diff::default(),
            index_diff: Diff::default(),
            differences: Vec::new(),
            unknown: Vec::new(),
        }
    }

    fn drifted(&mut self, difference: String) {
        self.outcome = Comparison::Drifted;
        self.differences.push(difference);
    }

    fn not_compared(&mut self, reason: String) {
        self.outcome = Comparison::NotCompared;
        self.differences.push(reason);
    }

    fn compare_documents(&mut self, archive: Digest, database: Digest) {
        if archive == database {
            return;
        }
        let (saved, live) = (archive.documents(), database.documents());
        self.drifted(match saved == live {
            true => format!("both have {saved} documents, but not the same: digest {archive} in the archive, {database} in the database"),
            false => format!("the archive has {saved} documents, the database {live}"),
        });
    }
}

struct Run<'a> {
    job: &'a AgainstJob,
    tools: &'a Tools,
    live: &'a Catalog,
    damaged: Vec<String>,
}

impl Run<'_> {
    /// Reads both sides of everything that has documents.
    async fn documents(
        &mut self,
        file: &ArchiveFile,
        chosen: &[Chosen<'_>],
    ) -> Result<Vec<ComparedCollection>, Failure> {
        let mut compared: Vec<ComparedCollection> = chosen.iter().map(Chosen::definitions).collect();
        let mut unread: Vec<bool> = chosen.iter().map(Chosen::has_documents).collect();
        let wanted = chosen.iter().filter(|chosen| chosen.has_documents());
        let wanted: Vec<(String, Hashing)> = wanted
            .map(|chosen| (chosen.saved.name.clone(), chosen.hashing))
            .collect();
        if wanted.is_empty() {
            return Ok(compared);
        }
        let mut streams = file.documents(wanted);
        while let Some(stream) = streams.recv().await {
            let Some(place) = chosen.iter().position(|chosen| chosen.saved.name == stream.name) else {
                continue;
            };
            unread[place] = false;
            self.one(&chosen[place], stream, &mut compared[place]).await?;
        }
        for (compared, _) in compared.iter_mut().zip(unread).filter(|(_, unread)| *unread) {
            compared.not_compared("it was not read, because of the damage before it".to_owned());
        }
        Ok(compared)
    }

    async fn one(
        &mut self,
        chosen: &Chosen<'_>,
        stream: CollectionStream,
        compared: &mut ComparedCollection,
    ) -> Result<(), Failure> {
        let name = &chosen.saved.name;
        self.tools.progress.step(format!("comparing {name}"));
        let there = chosen.present.filter(|present| present.kind != Kind::View);
        let database = async {
            match there {
                Some(_) => self.read_database(name, chosen.hashing).await.map(Some),
                None => Ok(None),
            }
        };
        let (archive, database) = tokio::join!(self.read_archive(chosen, stream), database);
        match archive {
            Ok(digest) => compared.archive = Some(digest.into()),
            Err(failure) if failure.kind == FailureKind::ArchiveDamaged => {
                compared.not_compared(format!("the archive is damaged: {}", failure.message));
                self.damaged.push(failure.message);
            }
            Err(failure) => return Err(failure.at(name)),
        }
        match database? {
            Some(Ok(digest)) => compared.database = Some(digest.into()),
            Some(Err(refusal)) => compared.not_compared(refusal),
            None => {}
        }
        if let (Some(archive), Some(database)) = (compared.archive, compared.database) {
            let digest = |side: Side| Digest::from_parts(side.digest, side.documents, side.bytes);
            compared.compare_documents(digest(archive), digest(database));
        }
        Ok(())
    }

    /// The archive's documents as a server keeps them.
    async fn read_archive(&self, chosen: &Chosen<'_>, mut stream: CollectionStream) -> Result<Digest, Failure> {
        let mut keeper = Keeper::new(&chosen.saved.name, chosen.kind, chosen.options, chosen.hashing);
        let (mut read, mut kept) = (Digest::default(), Digest::default());
        while let Some(chunk) = stream.chunks.recv().await {
            if self.tools.cancel.is_cancelled() {
                return Err(cancelled());
            }
            let chunk = chunk?;
            self.tools.progress.add(chunk.digest.documents(), chunk.digest.bytes());
            read.merge(&chunk.digest);
            kept.merge(&keeper.keep(chunk).digest);
        }
        let expected = chosen.saved.expected_digest();
        match chosen.hashing == chosen.saved.hashing && read != expected {
            true => Err(not_what_was_promised(&read, &expected).at(&chosen.saved.name)),
            false => Ok(kept),
        }
    }

    /// The database's documents; the inner error is what the server refused, which stops none of the other collections.
    async fn read_database(&self, name: &str, hashing: Hashing) -> Result<Result<Digest, String>, Failure> {
        match read_back(&self.tools.mongo, &self.job.database, name, hashing).await {
            Ok(digest) => Ok(Ok(digest)),
            Err(error) if error.code.is_some() && !error.transient => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// What only the database has. A backup of a selection says nothing of what it was not to have, and a torn archive of nothing beyond its end.
    async fn extras(&self, file: &ArchiveFile, contents: &Contents) -> Result<Vec<ComparedCollection>, Failure> {
        let would_be_there = |name: &str| match (&contents.coverage, file.manifest()) {
            (Coverage::Whole, _) => true,
            (Coverage::Part(_), Some(manifest)) => manifest.selection.selects(name),
            (Coverage::Part(_), None) => false,
        };
        let mut extras = Vec::new();
        for present in &self.live.collections {
            let name = present.name.as_str();
            let archived = contents.collections.iter().any(|saved| saved.name == name);
            if archived || !is_meant(self.job, name) || !would_be_there(name) {
                continue;
            }
            let mut extra = ComparedCollection::new(name, present.kind);
            extra.differences.push("the archive does not have it".to_owned());
            if present.kind != Kind::View {
                self.tools.progress.step(format!("reading {name}"));
                let hashing = match present.kind {
                    Kind::Timeseries => Hashing::SortedFields,
                    _ => Hashing::Raw,
                };
                match self.read_database(name, hashing).await? {
                    Ok(digest) => extra.database = Some(digest.into()),
                    Err(refusal) => extra.differences.push(refusal),
                }
            }
            extra.outcome = Comparison::Extra;
            extras.push(extra);
        }
        Ok(extras)
    }
}

impl AgainstReport {
    fn new(
        run: Run<'_>,
        file: &ArchiveFile,
        collections: Vec<ComparedCollection>,
        warnings: Vec<String>,
        seconds: f64,
    ) -> Self {
        let of = |outcome| -> Vec<String> {
            let named = collections.iter().filter(|compared| compared.outcome == outcome);
            named.map(|compared| compared.name.clone()).collect()
        };
        let all_equal = collections.iter().all(|compared| compared.outcome == Comparison::Equal);
        // A manifest names what is not whole, and that may not have been chosen; of an archive of others it is not known what is missing.
        let whole = file.manifest().is_some() || file.status() == Status::Complete;
        Self {
            status: match (run.damaged.is_empty(), all_equal && whole) {
                (false, _) => RunStatus::Failed,
                (true, true) => RunStatus::Complete,
                (true, false) => RunStatus::Partial,
            },
            archive: run.job.archive.to_string(),
            database: run.job.database.clone(),
            drifted: of(Comparison::Drifted),
            missing: of(Comparison::Missing),
            extra: of(Comparison::Extra),
            not_compared: of(Comparison::NotCompared),
            damaged: run.damaged,
            warnings,
            collections,
            seconds,
        }
    }
}
