//! The first pass: what there is, and what it amounts to.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;

use bson::RawDocumentBuf;

use super::aside::Aside;
use super::documents::{each_document, peek, read_whole, unpacked};
use super::member::{Form, Member, Packing, Role};
use super::metadata::{self, Described};
use super::promise::Promise;
use super::refuse::{self, Other};
use super::resolve::resolve;
use super::walk::{Ending, EntryKind, Header, walk};
use super::{Choice, ForeignError, Survey};
use crate::digest::{Digest, DocumentHasher, Hashing};

/// The largest entry with definitions that is read.
const MAX_METADATA_BYTES: usize = 64 << 20;
/// How many entries of a tar are kept in mind. No server has as many collections.
const MAX_MEMBERS: usize = 100_000;
/// How much memory the sample of one collection may take. The first document is kept whatever its size.
const MAX_SAMPLE_BYTES: usize = 256 << 10;

/// Goes through the whole tar once.
///
/// # Errors
/// [`ForeignError`] where the tar is broken, holds no collection or more than one database. What is wrong with one collection alone is in its row.
pub fn survey(mut tar: impl Read, choice: &Choice) -> Result<Survey, ForeignError> {
    let mut found = Found::default();
    let (head, tar) = peek(Box::new(&mut tar), refuse::HEAD);
    if let Some(other) = Other::of_file(&head) {
        return Err(other.refusal());
    }
    let ending = walk(tar, |header, content| {
        found.add(header, content, choice)?;
        Ok(ControlFlow::Continue(()))
    })?;
    found.note_ending(&ending);
    resolve(found, choice)
}

/// What the first pass gathers, by folder. What names mean is only known when all of it has been seen.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) folders: BTreeMap<String, Folder>,
    pub(super) entries: u64,
    pub(super) aside: Vec<SetAside>,
    pub(super) warnings: Vec<String>,
    /// Why something may be missing.
    pub(super) incomplete: Option<String>,
    members: usize,
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
pub(super) struct Folder {
    pub(super) files: Vec<File>,
    /// Stems behind `system.buckets.`, and how the buckets are written.
    pub(super) buckets: Vec<(String, Form)>,
    /// By stem.
    pub(super) definitions: BTreeMap<String, Described>,
    pub(super) all_definitions: Option<Vec<(String, Described)>>,
    /// An entry with definitions that could not be read.
    pub(super) unreadable: bool,
    /// What a manifest of ours says.
    pub(super) manifest: Option<Promise>,
    definition_paths: BTreeMap<String, String>,
}

/// An entry with the documents of a collection.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) stem: String,
    pub(super) form: Form,
    pub(super) packing: Packing,
    pub(super) size: u64,
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
    raw: DocumentHasher,
    by_fields: DocumentHasher,
    pub(super) sample: Vec<RawDocumentBuf>,
    sample_bytes: usize,
    sample_most: usize,
}

impl Tally {
    fn new(sample_most: usize) -> Self {
        Self {
            raw: DocumentHasher::new(Hashing::Raw),
            by_fields: DocumentHasher::new(Hashing::SortedFields),
            sample: Vec::new(),
            sample_bytes: 0,
            sample_most,
        }
    }

    fn add(&mut self, document: &[u8]) {
        self.raw.add_document(document);
        self.by_fields.add_document(document);
        let room = self.sample.is_empty() || self.sample_bytes + document.len() <= MAX_SAMPLE_BYTES;
        if room
            && self.sample.len() < self.sample_most
            && let Ok(sampled) = RawDocumentBuf::from_bytes(document.to_vec())
        {
            self.sample_bytes += document.len();
            self.sample.push(sampled);
        }
    }

    pub(super) fn digest(&self, hashing: Hashing) -> Digest {
        match hashing {
            Hashing::Raw => self.raw.digest(),
            Hashing::SortedFields => self.by_fields.digest(),
        }
    }
}

/// Whether a folder is the one that was chosen: by its name, or by its whole path.
pub(super) fn is_chosen(folder: &str, choice: &str) -> bool {
    folder == choice || folder.rsplit('/').next() == Some(choice)
}

impl Found {
    fn add(&mut self, header: &Header, content: &mut dyn Read, choice: &Choice) -> Result<(), ForeignError> {
        self.entries += 1;
        if header.kind == EntryKind::Silent {
            return Ok(());
        }
        self.members += 1;
        if self.members > MAX_MEMBERS {
            return Err(damaged(header, format!("it is one of more than {MAX_MEMBERS} entries")));
        }
        let path = match &header.path {
            Ok(path) => path,
            Err(shown) => {
                self.set_aside("", shown, Aside::NotUtf8);
                return Ok(());
            }
        };
        refuse::data_files(path)?;
        let member = Member::of_path(path);
        if let Role::Aside(aside) = &member.role {
            let (head, _) = peek(Box::new(content), refuse::HEAD);
            let told = Other::of_file(&head).filter(|_| *aside == Aside::Unknown && member.packing == Packing::Plain);
            self.set_aside(&member.folder, path, told.map_or(aside.clone(), Other::aside));
            return Ok(());
        }
        let (head, mut content) = peek(unpacked(member.packing, content), refuse::HEAD);
        let role = member.role.with_head(&head);
        if path.ends_with("storage.bson") && refuse::is_storage_metadata(&head) {
            return Err(refuse::of_data_files(path));
        }
        let aside = match &role {
            Role::Aside(aside) => Some(aside.clone()),
            Role::Documents { stem, .. } => Aside::of_collection(stem),
            _ if header.kind == EntryKind::Other => Some(Aside::Link),
            _ => None,
        };
        if let Some(aside) = aside {
            self.set_aside(&member.folder, path, aside);
            return Ok(());
        }
        let folder = self.folders.entry(member.folder.clone()).or_default();
        match role {
            Role::Documents { stem, form, whole } => {
                if let Some(of) = stem.strip_prefix("system.buckets.") {
                    folder.buckets.push((of.to_owned(), form));
                    return Ok(());
                }
                let chosen = choice.database.as_deref();
                let content = if header.kind == EntryKind::Other {
                    Content::Unusable("its entry in the tar is a link or a special file, without content".to_owned())
                } else if chosen.is_some_and(|name| !is_chosen(&member.folder, name)) {
                    Content::Unread
                } else {
                    read(form, &mut content, whole, path, choice.sample)
                };
                folder.files.push(File {
                    path: path.clone(),
                    stem,
                    form,
                    packing: member.packing,
                    size: header.size,
                    content,
                });
            }
            Role::Manifest => {
                let text = read_whole(&mut content, MAX_METADATA_BYTES);
                let promise = text.and_then(|text| Promise::of_manifest(&text));
                folder.manifest = Some(promise.unwrap_or_else(|reason| {
                    self.warnings.push(format!("{path} cannot be read: {reason}"));
                    Promise::Nothing("its manifest cannot be read")
                }));
            }
            Role::AllDefinitions => {
                let text = read_whole(&mut content, MAX_METADATA_BYTES);
                folder.define_once("", path, header)?;
                match text.and_then(|text| metadata::all(&text)) {
                    Ok(definitions) => folder.all_definitions = Some(definitions),
                    Err(reason) => self.unreadable(&member.folder, path, &reason),
                }
            }
            Role::Definition { stem } => {
                let text = read_whole(&mut content, MAX_METADATA_BYTES);
                folder.define_once(&stem, path, header)?;
                let definition = text.and_then(|text| metadata::one(&text));
                let definition = definition.unwrap_or_else(|reason| Described {
                    fault: Some(format!("its definition {path} cannot be read: {reason}")),
                    ..Described::default()
                });
                folder.definitions.insert(stem, definition);
            }
            Role::Prelude | Role::Aside(_) => {}
        }
        Ok(())
    }

    fn unreadable(&mut self, folder: &str, path: &str, reason: &str) {
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.unreadable = true;
        }
        self.warnings.push(format!(
            "{path} cannot be read ({reason}): options, validators and types of the collections are unknown"
        ));
        self.incomplete.get_or_insert_with(|| format!("{path} cannot be read"));
    }

    fn set_aside(&mut self, folder: &str, path: &str, aside: Aside) {
        self.aside.push(SetAside {
            folder: folder.to_owned(),
            path: path.to_owned(),
            aside,
        });
    }

    fn note_ending(&mut self, ending: &Ending) {
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

impl Folder {
    /// Whether nothing in it is a collection, or speaks of one.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.buckets.is_empty()
            && self.definitions.is_empty()
            && self.all_definitions.is_none()
    }

    fn define_once(&mut self, stem: &str, path: &str, header: &Header) -> Result<(), ForeignError> {
        match self.definition_paths.insert(stem.to_owned(), path.to_owned()) {
            None => Ok(()),
            Some(first) => Err(damaged(
                header,
                format!("it says again what {first:?} has said: remove one of them from the tar"),
            )),
        }
    }
}

fn read(form: Form, content: &mut dyn Read, whole: bool, path: &str, sample: usize) -> Content {
    let mut tally = Box::new(Tally::new(sample));
    let result = each_document(form, content, &mut |document| {
        tally.add(document);
        ControlFlow::Continue(())
    });
    let fault = match result {
        Err(fault) => Some(format!("{path}, {fault}")),
        Ok(()) if !whole => Some(format!("{path}: the backup could not read the collection to its end")),
        Ok(()) => None,
    };
    Content::Read { tally, fault }
}

fn damaged(header: &Header, reason: String) -> ForeignError {
    ForeignError::Damaged {
        entry: Some(header.shown().to_owned()),
        offset: header.offset,
        reason,
    }
}
