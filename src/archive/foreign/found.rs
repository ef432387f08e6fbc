//! What the first pass gathers, by folder, and how much memory that takes.
//!
//! A tar can hold any number of members, and something of each is kept until the plan is made. So each is charged for
//! when it is met, by the size of its names and definition; an archive that would take more than its share is refused
//! with advice. Documents leave only counts, digests and an [`Outline`].

use std::collections::BTreeMap;

use super::aside::Aside;
use super::buckets::Buckets;
use super::member::Written;
use super::metadata::Described;
use super::packing::Packing;
use super::promise::Promise;
use super::walk::{Ending, Header};
use super::{ForeignError, Outline};
use crate::catalog::Definition;
use crate::digest::{Digest, DocumentHasher, Hashing};

/// What a member takes beside its names, from here to the plan: its row, its place in the tar, what is known of its
/// documents.
const MEMBER: u64 = 1 << 10;
/// How often the name of a member is kept.
const NAMES: u64 = 6;
/// How much longer a definition is than its text, while it is looked at.
const DEFINITION: u64 = 3;

/// What the first pass gathers, by folder. What names mean is only known when all of it has been seen.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) folders: BTreeMap<String, DumpFolder>,
    pub(super) entries: u64,
    pub(super) aside: Vec<SetAside>,
    /// Users and roles that lie in the archive, by folder and name; of each folder not more than are shown.
    pub(super) users: Vec<(String, String)>,
    pub(super) warnings: Vec<String>,
    /// Why something may be missing.
    pub(super) incomplete: Option<String>,
    /// What is broken, each with where.
    pub(super) damaged: Vec<String>,
    /// How many members something is kept of.
    members: u64,
    /// What they take of the memory.
    taken: u64,
}

/// A member that is not read.
#[derive(Debug)]
pub(super) struct SetAside {
    pub(super) folder: String,
    pub(super) path: String,
    pub(super) aside: Aside,
}

/// What the first pass gathers of one folder.
#[derive(Debug, Default)]
pub(super) struct DumpFolder {
    pub(super) files: Vec<File>,
    /// Files of buckets, by the stems behind `system.buckets.`.
    pub(super) buckets: Vec<File>,
    /// By stem.
    pub(super) definitions: BTreeMap<String, Described>,
    pub(super) all_definitions: Option<Vec<(String, Described)>>,
    /// What `system.indexes` lists, by collection.
    pub(super) indexes: BTreeMap<String, Vec<Definition>>,
    /// An entry with definitions that could not be read.
    pub(super) unreadable: bool,
    /// What a manifest of ours says.
    pub(super) manifest: Option<Promise>,
    /// By stem; `/manifest` is no stem.
    pub(super) definition_paths: BTreeMap<String, String>,
}

/// An entry with the documents of a collection.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) stem: String,
    pub(super) form: Written,
    pub(super) packing: Packing,
    pub(super) size: u64,
    /// Which pass through the archive hands it out: see [`Survey::passes`](super::Survey::passes).
    pub(super) lane: u32,
    pub(super) content: Content,
}

/// What the documents of an entry amount to.
#[derive(Debug)]
pub(super) enum Content {
    /// The entry has none of its own: a link.
    Unusable(String),
    /// They have been read, up to a fault if there is one.
    Read { tally: Box<Tally>, fault: Option<String> },
    /// Left unread: not of the database that was chosen.
    Unread,
}

/// What documents amount to.
#[derive(Debug)]
pub(super) struct Tally {
    raw: Digest,
    by_fields: Digest,
    pub(super) outline: Outline,
    /// What they hold, where all of them are buckets of a time series.
    pub(super) buckets: Option<Buckets>,
}

impl Tally {
    pub(super) fn digest(&self, hashing: Hashing) -> Digest {
        match hashing {
            Hashing::Raw => self.raw,
            Hashing::SortedFields => self.by_fields,
        }
    }
}

/// Counts documents. What it works with is as long as the longest of them, and goes with it.
#[derive(Debug)]
pub(super) struct Tallying {
    raw: DocumentHasher,
    by_fields: DocumentHasher,
    outline: Outline,
    buckets: Option<Buckets>,
    sample: u64,
}

impl Tallying {
    /// The outline is that of the first so many documents.
    pub(super) fn new(sample: u64) -> Self {
        Self {
            raw: DocumentHasher::new(Hashing::Raw),
            by_fields: DocumentHasher::new(Hashing::SortedFields),
            outline: Outline::default(),
            buckets: Some(Buckets::default()),
            sample,
        }
    }

    pub(super) fn add(&mut self, document: &[u8]) {
        self.raw.add_document(document);
        self.by_fields.add_document(document);
        self.buckets = self.buckets.and_then(|buckets| buckets.and(document));
        if self.outline.documents() < self.sample {
            self.outline.add(document);
        }
    }

    pub(super) fn done(self) -> Tally {
        Tally {
            raw: self.raw.digest(),
            by_fields: self.by_fields.digest(),
            outline: self.outline,
            buckets: self.buckets,
        }
    }
}

/// Whether a folder is the one that was chosen: by its name, or by its whole path.
pub(super) fn is_chosen(folder: &str, choice: &str) -> bool {
    folder == choice || folder.rsplit('/').next() == Some(choice)
}

impl Found {
    /// Keeps another member in mind.
    pub(super) fn charge_member(&mut self, header: &Header, most: u64) -> Result<(), ForeignError> {
        self.members += 1;
        self.charge(header, MEMBER + NAMES * header.shown().len() as u64, most)
    }

    /// Keeps so much text of definitions in mind.
    pub(super) fn charge_text(&mut self, header: &Header, bytes: u64, most: u64) -> Result<(), ForeignError> {
        self.charge(header, DEFINITION.saturating_mul(bytes), most)
    }

    fn charge(&mut self, header: &Header, bytes: u64, most: u64) -> Result<(), ForeignError> {
        self.taken = self.taken.saturating_add(bytes);
        match self.taken > most {
            true => Err(ForeignError::TooMany {
                members: self.members,
                offset: header.offset,
                most,
            }),
            false => Ok(()),
        }
    }

    pub(super) fn unreadable(&mut self, folder: &str, path: &str, reason: &str) {
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.unreadable = true;
        }
        self.warnings.push(format!(
            "{path} cannot be read ({reason}): options, validators and types of the collections are unknown"
        ));
        self.incomplete.get_or_insert_with(|| format!("{path} cannot be read"));
        self.damaged.push(format!("{path} cannot be read: {reason}"));
    }

    pub(super) fn set_aside(&mut self, folder: &str, path: &str, aside: Aside) {
        self.aside.push(SetAside {
            folder: folder.to_owned(),
            path: path.to_owned(),
            aside,
        });
    }

    pub(super) fn note_ending(&mut self, ending: &Ending) {
        let cut = match ending {
            Ending::Marked | Ending::Stopped => return,
            Ending::HalfMarked => {
                self.warnings
                    .push("the tar ends in the middle of its end mark; all its entries are whole".to_owned());
                return;
            }
            Ending::Unmarked => "the tar has no end mark: it may have been cut off between two entries".to_owned(),
            Ending::Followed { bytes } => {
                format!("{bytes} bytes follow the end of the tar, perhaps a second tar: they are not read")
            }
        };
        self.warnings.push(cut.clone());
        self.incomplete = Some(cut);
    }
}

impl DumpFolder {
    /// Whether nothing in it is a collection, or speaks of one.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.buckets.is_empty()
            && self.definitions.is_empty()
            && self.all_definitions.is_none()
    }

    /// Whether there are documents in it, or may be.
    pub(super) fn holds_something(&self) -> bool {
        let mut files = self.files.iter().chain(&self.buckets);
        self.unreadable
            || files.any(|file| match &file.content {
                Content::Read { tally, fault } => fault.is_some() || tally.outline.documents() > 0,
                Content::Unusable(_) | Content::Unread => true,
            })
    }

    pub(super) fn define_once(&mut self, stem: &str, path: &str, header: &Header) -> Result<(), ForeignError> {
        match self.definition_paths.insert(stem.to_owned(), path.to_owned()) {
            None => Ok(()),
            Some(first) => Err(damaged(header, format!("it repeats {first:?}: remove one of them"))),
        }
    }
}

pub(super) fn damaged(header: &Header, reason: String) -> ForeignError {
    ForeignError::Damaged {
        entry: Some(header.shown().to_owned()),
        offset: header.offset,
        reason,
    }
}
