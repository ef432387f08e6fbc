//! A readable archive, and what is known of it before its documents are read.

use std::sync::Arc;

use super::pages::Pages;
use super::turns::Passes;
use crate::archive::foreign::{Buckets, Packing, Signals, Survey};
use crate::archive::{ArchiveKind, ArchiveName, ClusterTime, Exception, Manifest, Opened, Status};
use crate::plan::{ArchiveIdentity, Contents, Coverage};
use crate::run::Memory;
use crate::store::{Location, Object, Store};

/// How many collections of another moment are named.
const MOST_NAMED: usize = 50;

/// An archive that can be read.
#[derive(Clone, Debug)]
pub struct ArchiveFile {
    pub(super) store: Store,
    /// The object itself.
    pub object: Object,
    /// What kind of archive it is.
    pub form: Form,
    /// How much of it may be on its way at a time.
    pub(super) memory: Memory,
    /// What was read last of the table that lists its segments.
    pub(super) pages: Arc<Pages>,
    /// Who reads it through at a time, where it is foreign.
    pub(super) passes: Passes,
    /// Whether documents come with the segments that they are.
    pub(super) origins: bool,
}

/// Who wrote an archive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Form {
    /// We did: footer and manifest have been checked.
    Native(Arc<Opened>),
    /// We did, in several steps: an increment, and what it continues.
    Chain(Arc<Chain>),
    /// Somebody else, or an older program.
    Foreign(Arc<Survey>, Packing),
}

/// The archives of a chain, as they are read together.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The newest first: the last is the full one.
    pub(super) links: Vec<Link>,
    /// Where it is not the newest one's end that is shown.
    pub(super) moment: Option<Within>,
}

/// A moment within the newest archive of a chain.
#[derive(Clone, Debug)]
pub(super) struct Within {
    pub(super) at: ClusterTime,
    /// The archive, with a manifest that lists every collection as it was then.
    pub(super) opened: Arc<Opened>,
}

/// One archive of a chain.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) file: ArchiveFile,
    pub(super) opened: Arc<Opened>,
}

impl Chain {
    /// The manifest of its end, where every collection is listed as it is there.
    pub(crate) fn end(&self) -> &Arc<Opened> {
        self.moment
            .as_ref()
            .map_or(&self.links[0].opened, |within| &within.opened)
    }

    /// How many bytes its archives have.
    pub(crate) fn bytes(&self) -> u64 {
        self.links.iter().map(|link| link.file.object.bytes).sum()
    }

    /// Its archives, the newest first.
    pub fn names(&self) -> impl Iterator<Item = &ArchiveName> {
        self.links.iter().map(|link| &link.opened.manifest.name)
    }
}

impl ArchiveFile {
    /// The same, whose documents come with the segments that they are, as long as nothing of one is left out and all of
    /// it is in the form that its archive says. Of a chain only.
    pub(crate) fn with_origins(self) -> Self {
        Self { origins: true, ..self }
    }

    /// Its manifest, if it has one.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.form {
            Form::Native(opened) => Some(&opened.manifest),
            Form::Chain(chain) => Some(&chain.end().manifest),
            Form::Foreign(..) => None,
        }
    }

    /// How it is asked for: by its object, and the moment within it, where that is shown.
    pub fn named(&self) -> Location {
        let location = &self.object.location;
        match &self.form {
            Form::Chain(chain) => match &chain.moment {
                Some(within) => location
                    .parent()
                    .join(&format!("{}@{}", location.file_name(), within.at)),
                None => location.clone(),
            },
            Form::Native(_) | Form::Foreign(..) => location.clone(),
        }
    }

    /// Whether each collection is one entry, whose segments can be read in any order.
    pub(crate) fn has_segments(&self) -> bool {
        matches!(self.form, Form::Native(_))
    }

    /// How many bytes it takes in the store, with all that it continues.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.form {
            Form::Chain(chain) => chain.bytes(),
            Form::Native(_) | Form::Foreign(..) => self.object.bytes,
        }
    }

    /// What it holds, for planning.
    pub fn contents(&self) -> Contents {
        let of = |opened: &Opened| contents_of(&opened.manifest, opened.footer.blake3);
        let contents = match &self.form {
            Form::Native(opened) => of(opened),
            Form::Chain(chain) => of(chain.end()),
            Form::Foreign(survey, _) => self.contents_of_foreign(survey),
        };
        let etag = Some(self.object.etag.clone()).filter(|etag| !etag.is_empty());
        Contents {
            archive: ArchiveIdentity {
                location: self.named().to_string(),
                etag,
                ..contents.archive
            },
            ..contents
        }
    }

    fn contents_of_foreign(&self, survey: &Survey) -> Contents {
        let location = self.object.location.to_string();
        let name = ArchiveName::of_object(&location)
            .map_or_else(|| self.object.location.file_name(), |(name, _)| name.to_string());
        Contents {
            archive: identity(name, survey.digest.clone()),
            kind: ArchiveKind::Full,
            status: survey.status(),
            database: survey.database.clone(),
            server: None,
            coverage: survey.coverage.clone(),
            collections: survey.collections.clone(),
            signals: survey.signals.clone(),
        }
    }

    /// Whether the archive has everything that it should.
    pub fn status(&self) -> Status {
        match &self.form {
            Form::Native(opened) => opened.manifest.status,
            Form::Chain(chain) => chain.end().manifest.status,
            Form::Foreign(survey, _) => survey.status(),
        }
    }

    /// What a collection's documents hold, where they are not a time series' measurements, but its buckets.
    pub fn buckets(&self, collection: &str) -> Option<Buckets> {
        match &self.form {
            Form::Native(_) | Form::Chain(_) => None,
            Form::Foreign(survey, _) => survey.signals.collections.get(collection)?.held,
        }
    }

    /// What is noteworthy: of ours, which collections it shows as of another moment, and whether its moment is proven; of a foreign one, what the survey
    /// found.
    pub fn warnings(&self) -> Vec<String> {
        let Some(manifest) = self.manifest() else {
            let Form::Foreign(survey, _) = &self.form else {
                return Vec::new();
            };
            return survey.warnings.clone();
        };
        let exceptions = &manifest.consistency.exceptions;
        let said = exceptions.iter().take(MOST_NAMED).map(|exception| {
            let Exception { collection, reason } = exception;
            format!("{collection:?} is not as of the moment of the others: {reason}")
        });
        let more = exceptions.len().saturating_sub(MOST_NAMED);
        let more = (more > 0).then(|| format!("so are {more} more collections"));
        let unproven = manifest.consistency.unproven.iter().map(|why| {
            format!("that it is of one moment rests on the word of the server that it was made of ({why}): verify it, or drill it")
        });
        said.chain(more).chain(unproven).collect()
    }
}

fn contents_of(manifest: &Manifest, hash: blake3::Hash) -> Contents {
    Contents {
        archive: identity(manifest.name.to_string(), hash.to_hex().to_string()),
        kind: manifest.kind,
        status: manifest.status,
        database: Some(manifest.source.database.clone()),
        server: Some(manifest.source.server.clone()),
        coverage: if manifest.selection.is_everything() {
            Coverage::Whole
        } else {
            Coverage::Part("the backup has only a selection of the database's collections".to_owned())
        },
        collections: manifest.collections.clone(),
        signals: Signals::default(),
    }
}

/// What an archive says of itself; where it lies comes later.
fn identity(name: String, manifest: String) -> ArchiveIdentity {
    ArchiveIdentity {
        location: String::new(),
        name,
        etag: None,
        manifest,
    }
}
