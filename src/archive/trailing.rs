//! Entries that belong to the trailer (FORMAT 6): the users and roles of the database.
//!
//! The table of contents has none of them, so a reader of 1.0 misses nothing; the footer's checksum covers them with
//! the manifest.

use super::crc::Crc32;
use super::footer::Footer;
use super::frame::GluePlace;
use super::manifest::Manifest;
use super::tar_header::{HeaderPlan, padding};
use super::{Compression, Entry, Extent, Region, Segment, StoredFrame};
use crate::catalog::MAX_USERS_BYTES;

/// The users, as `mongodump` names them in the dump of a database.
pub const USERS_ENTRY: &str = "$admin.system.users.bson";
/// The roles.
pub const ROLES_ENTRY: &str = "$admin.system.roles.bson";
/// The version of both, which `mongorestore` asks for.
pub const USERS_VERSION_ENTRY: &str = "$admin.system.version.bson";

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
    /// Adds an entry, where the trailer is to begin at `offset`, after an entry that needs so much padding.
    pub(super) fn add(
        &mut self,
        (path, mtime): (String, u64),
        compression: Compression,
        (offset, missing): (u64, usize),
        frame: StoredFrame,
    ) -> Entry {
        let mut head = vec![0; self.padding.unwrap_or(missing)];
        head.extend_from_slice(&HeaderPlan::new(&[&path]).build(&path, frame.decoded_bytes, mtime));
        let glue = compression.glue(&head, GluePlace::Between);
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
        if compression == Compression::Gzip {
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

/// Whether the entries of the trailer lie in it one behind the other, and are no longer than any can be.
pub(super) fn check(manifest: &Manifest, footer: &Footer) -> Result<(), String> {
    let entries = manifest.users.iter().flat_map(|users| &users.entries);
    check_entries(entries, footer)
}

fn check_entries<'a>(entries: impl Iterator<Item = &'a Entry>, footer: &Footer) -> Result<(), String> {
    let mut at = footer.trailer.offset;
    for entry in entries {
        let lies = match entry.segments.as_slice() {
            [segment] if entry.header.offset == at && entry.rows.is_none() && segment.decoded_bytes == entry.bytes => {
                let begin = at.checked_add(entry.header.length);
                begin
                    .filter(|&begin| segment.extent.offset == begin)
                    .and(segment.extent.end())
            }
            _ => None,
        };
        at = lies
            .filter(|&end| end <= footer.manifest.offset && entry.bytes <= MAX_USERS_BYTES)
            .ok_or_else(|| format!("{} does not lie where it should", entry.path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{FrameEncoder, Major};

    #[test]
    fn entries_that_lie_elsewhere_are_damage() {
        let mut trailing = Trailing::default();
        let mut encoder = FrameEncoder::new(Compression::None).expect("an encoder");
        let mut add = |text: &[u8]| {
            let frame = encoder.encode(&mut text.to_vec()).expect("a frame");
            trailing.add(("a/b".to_owned(), 0), Compression::None, (1000, 100), frame)
        };
        let entries = [add(b"first"), add(b"second")];
        let end = 1000 + trailing.stored.len() as u64;
        let footer = |manifest: u64| Footer {
            major: Major::One,
            compression: Compression::None,
            trailer: Extent {
                offset: 1000,
                length: 9000,
            },
            manifest: Extent {
                offset: manifest,
                length: 10,
            },
            manifest_bytes: 10,
            blake3: blake3::hash(b""),
        };
        let check = |entries: &[Entry], manifest| check_entries(entries.iter(), &footer(manifest));
        assert_eq!(check(&entries, end), Ok(()));
        assert!(check(&entries, end - 1).is_err(), "into the manifest");
        assert!(check(&entries[1..], end).is_err(), "a gap");
        let wrong: [fn(&mut Entry); 5] = [
            |entry| entry.header.offset = u64::MAX,
            |entry| entry.segments[0].extent.length = u64::MAX,
            |entry| entry.bytes += 1,
            |entry| entry.segments.clear(),
            |entry| {
                (entry.bytes, entry.segments[0].decoded_bytes) = (MAX_USERS_BYTES + 1, MAX_USERS_BYTES + 1);
            },
        ];
        for wrong in wrong {
            let mut entries = entries.clone();
            wrong(&mut entries[0]);
            assert!(check(&entries, end).is_err(), "{:?}", entries[0]);
        }
    }
}
