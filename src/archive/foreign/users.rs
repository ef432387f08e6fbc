//! The users and roles that `mongodump --dumpDbUsersAndRoles` adds to a database's dump: read in a separate walk, and
//! only on request.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;

use bson::RawDocument;
use crc_fast::CrcAlgorithm::Crc64Xz;

use super::ForeignError;
use super::aside::OF_DATABASE;
use super::documents::{each_document, peek, unpacked};
use super::found::{Found, damaged, is_chosen};
use super::interleaved;
use super::member::{Member, Role};
use super::mongodump::{DumpPiece, MAGIC, Namespace, each_piece};
use super::omissions::MAX_NAMED;
use super::walk::{EntryKind, walk};
use crate::archive::{MAX_USERS_BYTES, UserOrRole};
use crate::wording::shown;

/// A user, or a role, as BSON.
#[derive(Debug)]
pub(crate) struct DumpedUser {
    pub(crate) kind: UserOrRole,
    pub(crate) bson: Vec<u8>,
}

/// Those of `database`, or all where it has no name; `None` where there are none to find.
///
/// # Errors
/// As [`survey`](super::survey()), and where they cannot be read, or take too much.
pub(crate) fn dumped_users(
    mut archive: impl Read,
    database: Option<&str>,
) -> Result<Option<Vec<DumpedUser>>, ForeignError> {
    let (head, archive) = peek(Box::new(&mut archive), MAGIC.len());
    match head.starts_with(&MAGIC) {
        true => of_blocks(archive, database),
        false => of_members(archive, database),
    }
}

/// What has been found so far.
#[derive(Default)]
struct Gathered {
    found: Option<Vec<DumpedUser>>,
    bytes: u64,
}

impl Gathered {
    /// Something of their kind is there, if only empty.
    fn begin(&mut self) {
        self.found.get_or_insert_default();
    }

    /// # Errors
    /// Where they take too much.
    fn add(&mut self, kind: UserOrRole, document: &[u8]) -> Result<(), String> {
        self.bytes += document.len() as u64;
        if self.bytes > MAX_USERS_BYTES {
            return Err(format!("users and roles take more than {} MiB", MAX_USERS_BYTES >> 20));
        }
        let bson = document.to_vec();
        self.found.get_or_insert_default().push(DumpedUser { kind, bson });
        Ok(())
    }
}

impl Found {
    /// Keeps the name of a user or role in mind, and nothing else of it.
    pub(super) fn note_user(&mut self, folder: &str, collection: &str, document: &[u8]) {
        let (Some(kind), Ok(document)) = (kind_of(collection), RawDocument::from_bytes(document)) else {
            return;
        };
        let (what, field) = match kind {
            UserOrRole::User => ("user", "user"),
            UserOrRole::Role => ("role", "role"),
        };
        let noted = self.users.iter().filter(|(of, _)| of == folder).count();
        if let (true, Ok(name)) = (noted <= MAX_NAMED, document.get_str(field)) {
            self.users.push((folder.to_owned(), format!("{what} {}", shown(name))));
        }
    }
}

fn kind_of(collection: &str) -> Option<UserOrRole> {
    match collection.strip_prefix(OF_DATABASE)? {
        "roles" => Some(UserOrRole::Role),
        "users" => Some(UserOrRole::User),
        _ => None,
    }
}

/// In a tar, each kind is a member in the folder of its database, or wherever it is where that has no name.
fn of_members(tar: impl Read, database: Option<&str>) -> Result<Option<Vec<DumpedUser>>, ForeignError> {
    let mut gathered = Gathered::default();
    walk(tar, |header, content| {
        let Some(path) = header.path.as_ref().ok().filter(|_| header.kind == EntryKind::File) else {
            return Ok(ControlFlow::Continue(()));
        };
        let member = Member::of_path(path);
        let Role::Documents { stem, form, .. } = &member.role else {
            return Ok(ControlFlow::Continue(()));
        };
        let elsewhere = database.is_some_and(|name| !member.folder.is_empty() && !is_chosen(&member.folder, name));
        let Some(kind) = kind_of(stem).filter(|_| !elsewhere) else {
            return Ok(ControlFlow::Continue(()));
        };
        gathered.begin();
        let mut content = unpacked(member.packing, content);
        let mut added = Ok(());
        let read = each_document(*form, &mut content, &mut |document| {
            added = gathered.add(kind, document);
            match added {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        match added.and(read) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(reason) => Err(damaged(header, reason)),
        }
    })?;
    Ok(gathered.found)
}

/// In a file of `mongodump --archive`, each kind is a collection of its database, whose checksum is at its end.
fn of_blocks(archive: impl Read, database: Option<&str>) -> Result<Option<Vec<DumpedUser>>, ForeignError> {
    let mut gathered = Gathered::default();
    let mut open: BTreeMap<Namespace, crc_fast::Digest> = BTreeMap::new();
    let mut last = 0;
    let cut = each_piece(archive, |piece, offset| {
        last = offset;
        let (namespace, document, sum) = match piece {
            DumpPiece::Definition(..) => return Ok(ControlFlow::Continue(())),
            DumpPiece::Document(namespace, document) => (namespace, Some(document), None),
            DumpPiece::End(namespace, sum) => (namespace, None, Some(sum)),
        };
        let elsewhere = database.is_some_and(|name| !is_chosen(&namespace.database, name));
        let Some(kind) = kind_of(&namespace.collection).filter(|_| !elsewhere) else {
            return Ok(ControlFlow::Continue(()));
        };
        let header = interleaved::header(namespace, offset);
        gathered.begin();
        if let Some(document) = document {
            let crc = open
                .entry(namespace.clone())
                .or_insert_with(|| crc_fast::Digest::new(Crc64Xz));
            crc.update(document);
            gathered
                .add(kind, document)
                .map_err(|reason| damaged(&header, reason))?;
        }
        if let Some(sum) = sum {
            let crc = open.remove(namespace).unwrap_or_else(|| crc_fast::Digest::new(Crc64Xz));
            if crc.finalize() != sum {
                return Err(damaged(&header, "it is not what its checksum (CRC-64) says".to_owned()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    match (open.keys().next(), cut) {
        (Some(begun), _) => Err(damaged(
            &interleaved::header(begun, last),
            "the archive ends before it does: it is truncated".to_owned(),
        )),
        // There may have been more of them.
        (None, Some(reason)) => Err(ForeignError::Damaged {
            entry: None,
            offset: last,
            reason,
        }),
        (None, None) => Ok(gathered.found),
    }
}
