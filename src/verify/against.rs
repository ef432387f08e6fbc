//! Compares an archive with a live database, which is only read: what has changed since the backup, and where?
//!
//! Each chosen collection is read from the archive, checked segment by segment, and read back from the database. Two
//! collections are equal if their kind, documents (count and digest; a time series by its sorted fields), options and
//! indexes are; two views, if their definitions are. If only expiry is off, as after a restore that parks it, the
//! report says so, and how to switch it on. A collection that only the database has is reported, too.
//!
//! What an archive does not state is not compared, and the report says so: foreign archives may know neither options
//! nor indexes. The order of documents is not compared. Writes are not stopped meanwhile: each collection is read as
//! the majority of the replica set has it at that time, so compare a quiet database. [`verify`](super::verify()), not
//! this, checks regions of the archive that hold no documents.

mod chosen;
mod job;
mod report;

use std::time::Instant;

use chosen::Chosen;
pub use job::AgainstJob;
pub use report::{AgainstReport, ComparedCollection, Comparison, Side};

use crate::backup::{Tools, cancelled};
use crate::catalog::{Catalog, Collection, Kind, hint, is_system};
use crate::digest::{Digest, Hashing};
use crate::failure::{Failure, FailureKind};
use crate::mongo::read_back;
use crate::open::{ArchiveFile, CollectionStream, Keeper, Source, not_what_was_promised, open};
use crate::plan::{Contents, Coverage, INTERNAL_PREFIX};

/// Compares an archive with a database. Changes nothing, and needs no more than read rights.
///
/// # Errors
/// If the archive cannot be opened, the database cannot be reached or surveyed, or the selection names nothing. What
/// differs is in the report.
pub async fn against(job: &AgainstJob, tools: &Tools) -> Result<AgainstReport, Failure> {
    let started = Instant::now();
    tools.progress.step(format!("opening {}", job.archive));
    let source = Source {
        location: &job.archive,
        database: job.source_database.as_deref(),
    };
    let file = open(&tools.store, source, tools.memory).await?;
    let contents = file.contents();
    let live = tools.mongo.survey(&job.database).await;
    let live = live.map_err(|error| error.granting_read(&job.database))?;
    check_selection(job, &contents, &live)?;
    let mut run = ComparedRun {
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
    collections.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut warnings = warnings(job, &file, &contents, &live);
    warnings.extend(tools.mongo.warnings());
    let seconds = started.elapsed().as_secs_f64();
    Ok(AgainstReport::new(
        job,
        &file,
        (collections, run.damaged),
        warnings,
        seconds,
    ))
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
            "neither the archive nor the database has anything that matches include {:?}{}; there are: {}",
            idle.join(", "),
            hint(idle.iter().copied()),
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
        warnings.push(format!("database {:?} does not exist or is empty", job.database));
    }
    if let Coverage::Part(reason) = &contents.coverage {
        warnings.push(format!(
            "the archive may not name everything that its database had ({reason}): what it was not meant to have does not count as extra"
        ));
    }
    if let Coverage::Unsaid(reason) = &contents.coverage {
        warnings.push(format!(
            "the archive does not claim to be whole ({reason}): what it lacks counts as extra anyway"
        ));
    }
    for glob in job.selection.idle_excludes(&names(contents, live)) {
        warnings.push(format!("nothing matches the excluded {glob:?}{}", hint([glob])));
    }
    warnings
}

/// What came of reading a collection of the database.
enum ReadThere {
    /// All of its documents.
    Whole(Digest),
    /// The server refused, and why. That stops none of the other collections.
    Refused(String),
}

struct ComparedRun<'a> {
    job: &'a AgainstJob,
    tools: &'a Tools,
    live: &'a Catalog,
    damaged: Vec<String>,
}

impl ComparedRun<'_> {
    /// Reads both sides of everything that has documents.
    async fn documents(
        &mut self,
        file: &ArchiveFile,
        chosen: &[Chosen<'_>],
    ) -> Result<Vec<ComparedCollection>, Failure> {
        let mut compared: Vec<ComparedCollection> = chosen.iter().map(|chosen| chosen.definitions(self.live)).collect();
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
            compared.not_compared("damage before it kept it from being read".to_owned());
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
                Some(present) => self
                    .read_database(present, chosen.there(), chosen.hashing)
                    .await
                    .map(Some),
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
            Some(ReadThere::Whole(digest)) => compared.database = Some(digest.into()),
            Some(ReadThere::Refused(why)) => compared.not_compared(why),
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

    /// The database's documents.
    async fn read_database(&self, present: &Collection, name: &str, hashing: Hashing) -> Result<ReadThere, Failure> {
        let name = (self.job.database.as_str(), name);
        let size = (present.average_bytes(), present.bytes.unwrap_or(u64::MAX));
        match read_back(&self.tools.mongo, name, hashing, size).await {
            Ok(digest) => Ok(ReadThere::Whole(digest)),
            Err(error) if error.is_refusal() => Ok(ReadThere::Refused(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// What only the database has. A backup of a selection says nothing of what it was not to have, and a torn archive
    /// of nothing beyond its end.
    async fn extras(&self, file: &ArchiveFile, contents: &Contents) -> Result<Vec<ComparedCollection>, Failure> {
        let would_be_there = |name: &str| match (&contents.coverage, file.manifest()) {
            // What a dump of some collections does not have is no drift, but nobody can tell: it is reported.
            (Coverage::Whole | Coverage::WholeByLayout | Coverage::Unsaid(_), _) => true,
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
                match self.read_database(present, name, hashing).await? {
                    ReadThere::Whole(digest) => extra.database = Some(digest.into()),
                    ReadThere::Refused(why) => extra.differences.push(why),
                }
            }
            extra.outcome = Comparison::Extra;
            extras.push(extra);
        }
        Ok(extras)
    }
}
