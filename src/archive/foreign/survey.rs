//! The first pass: what there is, and how much.

use std::io::Read;
use std::ops::ControlFlow;

use super::aside::{Aside, INDEXES};
use super::documents::{each_document, peek, read_whole, unpacked};
use super::found::{Content, File, Found, Tallying, is_chosen};
use super::interleaved;
use super::member::{Member, Role, Written};
use super::metadata::{self, Described};
use super::mongodump::MAGIC;
use super::packing::Packing;
use super::promise::Promise;
use super::refuse::{self, Other};
use super::resolve::resolve;
use super::walk::{EntryKind, Header, walk};
use super::{Choice, Container, ForeignError, Survey};
use crate::catalog::BUCKETS;

/// The largest entry with definitions that is read.
const MAX_METADATA_BYTES: usize = 64 << 20;

/// Goes through the whole tar once.
///
/// # Errors
/// [`ForeignError`] if the tar is broken, holds no collection or more than one database. A fault of one collection
/// alone is in its row.
pub fn survey(mut tar: impl Read, choice: &Choice) -> Result<Survey, ForeignError> {
    let mut found = Found::default();
    let (head, tar) = peek(Box::new(&mut tar), refuse::HEAD);
    if head.starts_with(&MAGIC) {
        return resolve(interleaved::gather(tar, choice)?, choice, Container::Mongodump);
    }
    if let Some(other) = Other::of_file(&head) {
        return Err(other.refusal());
    }
    refuse::no_tar(&head)?;
    let ending = walk(tar, |header, content| {
        found.add(header, content, choice)?;
        Ok(ControlFlow::Continue(()))
    })
    .map_err(|error| refuse::too_short(&head, error))?;
    found.note_ending(&ending);
    if choice.oplog_beside {
        found.set_aside("", "../oplog.bson", Aside::Oplog);
    }
    resolve(found, choice, Container::Tar)
}

impl Found {
    fn add(&mut self, header: &Header, content: &mut dyn Read, choice: &Choice) -> Result<(), ForeignError> {
        self.entries += 1;
        if header.kind == EntryKind::Silent {
            return Ok(());
        }
        self.charge_member(header, choice.memory)?;
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
            let is_unknown = *aside == Aside::Unknown && member.packing == Packing::Plain;
            let told = Other::of_file(&head).or_else(|| Other::of_ending(path));
            let told = told.filter(|_| is_unknown).map(Other::aside);
            self.set_aside(&member.folder, path, told.unwrap_or_else(|| aside.clone()));
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
            if let (Aside::UsersAndRoles, Role::Documents { stem, form, .. }) = (&aside, &role) {
                // What cannot be read of them is told to whoever asks for them.
                let _ = each_document(*form, &mut content, &mut |document| {
                    self.note_user(&member.folder, stem, document);
                    ControlFlow::Continue(())
                });
            }
            self.set_aside(&member.folder, path, aside);
            return Ok(());
        }
        let text = match role {
            Role::Manifest | Role::AllDefinitions | Role::Definition { .. } => {
                let fits = usize::try_from(choice.memory).unwrap_or(usize::MAX);
                let text = read_whole(&mut content, MAX_METADATA_BYTES.min(fits));
                let length = text.as_ref().map_or(header.size, |text| text.len() as u64);
                self.charge_text(header, length, choice.memory)?;
                text
            }
            _ => Ok(Vec::new()),
        };
        let folder = self.folders.entry(member.folder.clone()).or_default();
        match role {
            Role::Documents { stem, form, whole } => {
                if stem == INDEXES {
                    return self.listed_indexes((header, &member.folder, path), form, &mut content, choice);
                }
                let buckets_of = stem.strip_prefix(BUCKETS).map(str::to_owned);
                let chosen = choice.database.as_deref();
                let content = if header.kind == EntryKind::Other {
                    Content::Unusable("its entry in the tar is a link or a special file, without content".to_owned())
                } else if chosen.is_some_and(|name| !is_chosen(&member.folder, name))
                    || buckets_of.is_some() && form == Written::Json
                {
                    // Whoever writes buckets as JSON writes the measurements beside them.
                    Content::Unread
                } else {
                    read(form, &mut content, whole, path, choice.sample)
                };
                let files = match &buckets_of {
                    Some(_) => &mut folder.buckets,
                    None => &mut folder.files,
                };
                files.push(File {
                    path: path.clone(),
                    stem: buckets_of.unwrap_or(stem),
                    form,
                    packing: member.packing,
                    size: header.size,
                    lane: 0,
                    content,
                });
            }
            Role::Manifest => {
                folder.define_once("/manifest", path, header)?;
                let promise = text.and_then(|text| Promise::of_manifest(&text));
                folder.manifest = Some(promise.unwrap_or_else(|reason| {
                    self.warnings.push(format!("{path} cannot be read: {reason}"));
                    self.incomplete.get_or_insert_with(|| format!("{path} cannot be read"));
                    Promise::nothing("its manifest cannot be read")
                }));
            }
            Role::AllDefinitions => {
                folder.define_once("", path, header)?;
                match text.and_then(|text| metadata::all(&text)) {
                    Ok(definitions) => folder.all_definitions = Some(definitions),
                    Err(reason) => self.unreadable(&member.folder, path, &reason),
                }
            }
            Role::Definition { stem } => {
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

    /// Indexes of all collections, in one list.
    fn listed_indexes(
        &mut self,
        (header, folder, path): (&Header, &str, &str),
        form: Written,
        content: &mut dyn Read,
        choice: &Choice,
    ) -> Result<(), ForeignError> {
        let (mut listed, mut over) = (Vec::new(), Ok(()));
        let read = each_document(form, content, &mut |document| {
            over = self.charge_text(header, document.len() as u64, choice.memory);
            listed.extend(metadata::listed_index(document));
            match over {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        over?;
        let indexes = &mut self.folders.entry(folder.to_owned()).or_default().indexes;
        for (collection, index) in listed {
            indexes.entry(collection).or_default().push(index);
        }
        if let Err(fault) = read {
            self.unreadable(folder, path, &fault);
        }
        Ok(())
    }
}

fn read(form: Written, content: &mut dyn Read, whole: bool, path: &str, sample: u64) -> Content {
    let mut tally = Tallying::new(sample);
    let result = each_document(form, content, &mut |document| {
        tally.add(document);
        ControlFlow::Continue(())
    });
    let fault = match result {
        Err(fault) => Some(format!("{path}, {fault}")),
        Ok(()) if !whole => Some(format!("{path}: the backup could not read the collection to its end")),
        Ok(()) => None,
    };
    let tally = Box::new(tally.done());
    Content::Read { tally, fault }
}
