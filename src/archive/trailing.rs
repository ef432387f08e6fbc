//! Entries that belong to the trailer (FORMAT 6): the users and roles of the database.
//!
//! The table of contents has none of them, so a reader of 1.0 misses nothing; the footer's checksum covers them with
//! the manifest.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::crc::Crc32;
use super::frame::{GluePlace, MAX_GLUE_BYTES, max_stored};
use super::manifest::SavedUsers;
use super::tar_header::{HeaderPlan, padding};
use super::{Compression, Entry, Extent, FrameEncoder, Region, Segment, StoredFrame};

/// The users, as `mongodump` names them in the dump of a database.
pub const USERS_ENTRY: &str = "$admin.system.users.bson";
/// The roles.
pub const ROLES_ENTRY: &str = "$admin.system.roles.bson";
/// The version of both, which `mongorestore` asks for.
pub const USERS_VERSION_ENTRY: &str = "$admin.system.version.bson";
/// How long all of these may be together. A reader takes the trailer into memory, so it is part of what opening an
/// archive takes.
pub const MAX_USERS_BYTES: u64 = 4 << 20;
/// What they can take in the trailer, with their headers.
pub(super) const MAX_STORED_USERS: u64 = 3 * (max_stored(MAX_USERS_BYTES) + MAX_GLUE_BYTES);

/// Which of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserOrRole {
    User,
    Role,
}

/// The users and roles of a database, for its archive. Whoever has read them makes it; the code that writes them is
/// reached only through it, so a program that reads none is linked without that code.
#[derive(Clone)]
pub struct TakenUsers {
    users: u64,
    roles: u64,
    /// The entries' content, by their names.
    contents: Arc<[(&'static str, Vec<u8>)]>,
    write: fn(&TakenUsers, &mut Trailing, &TrailerPlace<'_>, &mut FrameEncoder) -> io::Result<SavedUsers>,
}

/// Where the trailer begins, and how its archive is written.
pub(super) struct TrailerPlace<'a> {
    pub(super) path: &'a dyn Fn(&str) -> String,
    pub(super) mtime: u64,
    pub(super) compression: Compression,
    pub(super) offset: u64,
    /// Padding that the last entry before it still needs.
    pub(super) padding: usize,
}

impl fmt::Debug for TakenUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users, {} roles", self.users, self.roles)
    }
}

impl PartialEq for TakenUsers {
    fn eq(&self, other: &Self) -> bool {
        self.contents == other.contents
    }
}

impl TakenUsers {
    /// So many of each, in entries of that content, of which empty ones are left out.
    pub(crate) fn new(users: u64, roles: u64, contents: [(&'static str, Vec<u8>); 3]) -> Self {
        Self {
            users,
            roles,
            contents: contents
                .into_iter()
                .filter(|(_, content)| !content.is_empty())
                .collect(),
            write,
        }
    }

    /// How many users.
    pub fn users(&self) -> u64 {
        self.users
    }

    /// How many roles.
    pub fn roles(&self) -> u64 {
        self.roles
    }

    /// Adds the entries to a trailer.
    pub(super) fn write(
        &self,
        trailing: &mut Trailing,
        place: &TrailerPlace<'_>,
        encoder: &mut FrameEncoder,
    ) -> io::Result<SavedUsers> {
        (self.write)(self, trailing, place, encoder)
    }
}

fn write(
    taken: &TakenUsers,
    trailing: &mut Trailing,
    place: &TrailerPlace<'_>,
    encoder: &mut FrameEncoder,
) -> io::Result<SavedUsers> {
    let mut entries = Vec::new();
    for (file, content) in &*taken.contents {
        let frame = encoder.encode(&mut content.clone())?;
        entries.push(trailing.add((place.path)(file), place, frame));
    }
    Ok(SavedUsers {
        users: taken.users,
        roles: taken.roles,
        entries,
    })
}

/// What stands in the trailer before the manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trailing {
    pub(super) stored: Vec<u8>,
    /// Of the tar stream in it.
    pub(super) crc32: Crc32,
    /// Padding that its last entry still needs, where there is one.
    pub(super) padding: Option<usize>,
}

impl Trailing {
    pub(super) fn add(&mut self, path: String, place: &TrailerPlace<'_>, frame: StoredFrame) -> Entry {
        let offset = place.offset;
        let mut head = vec![0; self.padding.unwrap_or(place.padding)];
        head.extend_from_slice(&HeaderPlan::new(&[&path]).build(&path, frame.decoded_bytes, place.mtime));
        let glue = place.compression.glue(&head, GluePlace::Between);
        let header = Region {
            offset: offset + self.stored.len() as u64,
            length: glue.len() as u64,
            blake3: blake3::hash(&glue),
        };
        self.stored.extend_from_slice(&glue);
        let segment = Segment {
            extent: Extent {
                offset: offset + self.stored.len() as u64,
                length: frame.stored.len() as u64,
            },
            decoded_bytes: frame.decoded_bytes,
            documents: 0,
            blake3: frame.blake3,
        };
        self.stored.extend_from_slice(&frame.stored);
        if place.compression == Compression::Gzip {
            let content = Crc32::of_run(frame.crc32, frame.decoded_bytes);
            self.crc32 = self.crc32.then(Crc32::of(&head)).then(content);
        }
        self.padding = Some(padding(frame.decoded_bytes));
        Entry {
            path,
            header,
            bytes: frame.decoded_bytes,
            segments: vec![segment],
            rows: None,
        }
    }
}
