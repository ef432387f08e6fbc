//! A readable archive, and what is known of it before its documents are read.

use std::sync::Arc;

use super::pages::Pages;
use super::turns::Passes;
use crate::archive::foreign::{Buckets, Packing, Signals, Survey};
use crate::archive::{ArchiveName, Manifest, Opened, Status};
use crate::plan::{ArchiveIdentity, Contents, Coverage};
use crate::run::Memory;
use crate::store::{Object, Store};

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
}

/// Who wrote an archive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Form {
    /// We did: footer and manifest have been checked.
    Native(Arc<Opened>),
    /// Somebody else, or an older program.
    Foreign(Arc<Survey>, Packing),
}

impl ArchiveFile {
    /// Its manifest, if it has one.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.form {
            Form::Native(opened) => Some(&opened.manifest),
            Form::Foreign(..) => None,
        }
    }

    /// What it holds, for planning.
    pub fn contents(&self) -> Contents {
        let location = self.object.location.to_string();
        let etag = Some(self.object.etag.clone()).filter(|etag| !etag.is_empty());
        match &self.form {
            Form::Native(opened) => {
                let manifest = &opened.manifest;
                Contents {
                    archive: ArchiveIdentity {
                        location,
                        name: manifest.name.to_string(),
                        etag,
                        manifest: opened.footer.blake3.to_hex().to_string(),
                    },
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
            Form::Foreign(survey, _) => {
                let name = ArchiveName::of_object(&location)
                    .map_or_else(|| self.object.location.file_name(), |(name, _)| name.to_string());
                Contents {
                    archive: ArchiveIdentity {
                        location,
                        name,
                        etag,
                        manifest: survey.digest.clone(),
                    },
                    status: survey.status(),
                    database: survey.database.clone(),
                    server: None,
                    coverage: survey.coverage.clone(),
                    collections: survey.collections.clone(),
                    signals: survey.signals.clone(),
                }
            }
        }
    }

    /// Whether the archive has everything that it should.
    pub fn status(&self) -> Status {
        match &self.form {
            Form::Native(opened) => opened.manifest.status,
            Form::Foreign(survey, _) => survey.status(),
        }
    }

    /// What a collection's documents hold, where they are not a time series' measurements, but its buckets.
    pub fn buckets(&self, collection: &str) -> Option<Buckets> {
        match &self.form {
            Form::Native(_) => None,
            Form::Foreign(survey, _) => survey.signals.collections.get(collection)?.held,
        }
    }

    /// What is noteworthy about a foreign archive.
    pub fn warnings(&self) -> Vec<String> {
        match &self.form {
            Form::Native(_) => Vec::new(),
            Form::Foreign(survey, _) => survey.warnings.clone(),
        }
    }
}
