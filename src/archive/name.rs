//! What archives and their entries are called (FORMAT 1): names that any file system accepts, for collections with any
//! name.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::{ClusterTime, Compression, Payload};

/// The first entry: the definitions of all collections.
pub const METADATA_ENTRY: &str = "collections_metadata.json";
/// The last entry: the manifest.
pub const MANIFEST_ENTRY: &str = "manifest.json";

/// What the name of the manifest's copy ends in.
const SIDECAR: &str = ".manifest.json";
/// What the folder of an archive's increments ends in.
const CHAIN: &str = ".chain";

/// The longest stem, so that the longest ending (`.metadata.json.gz`, 17 bytes) still fits a 255-byte file name.
const MAX_STEM: usize = 238;
/// Where a longer stem is cut, to make room for `%24` and 27 characters of hash. Both numbers are `mongodump`'s.
const CUT_STEM: usize = 208;

/// `backup_YYYYmmdd_HHMMSS`: the UTC second at which a backup began.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ArchiveName(String);

impl ArchiveName {
    /// The name of a backup that begins at `time`.
    pub fn at(time: OffsetDateTime) -> Self {
        let format = format_description!("backup_[year][month][day]_[hour][minute][second]");
        let name = time.to_offset(UtcOffset::UTC).format(format);
        Self(name.expect("a date of this era has all the fields that the format names"))
    }

    /// Recognises an archive by the last component of its key or path; `None` if it is not named like one.
    pub fn of_object(key: &str) -> Option<(Self, Compression)> {
        let file = key.rsplit('/').next()?;
        let (stem, compression) = Compression::ALL.iter().find_map(|&compression| {
            file.strip_suffix(compression.extension())
                .map(|stem| (stem, compression))
        })?;
        Self::parse(stem).map(|name| (name, compression))
    }

    /// Accepts `backup_YYYYmmdd_HHMMSS` and nothing else.
    pub fn parse(name: &str) -> Option<Self> {
        let format = format_description!("backup_[year][month][day]_[hour][minute][second]");
        PrimitiveDateTime::parse(name, format)
            .ok()
            .map(|_| Self(name.to_owned()))
    }

    /// The object, and the moment within it, that such a name means: `backup_20261121_020000.tar.zst@1795226400.31`.
    pub(crate) fn of_moment(file: &str) -> Option<(&str, ClusterTime)> {
        let (object, at) = file.rsplit_once('@')?;
        Self::of_object(object)?;
        Some((object, at.parse().ok()?))
    }

    /// The archive beside which the copy of its manifest has that name.
    pub fn of_sidecar(file: &str) -> Option<Self> {
        Self::parse(file.strip_suffix(SIDECAR)?)
    }

    /// The archive whose increments lie in a folder of that name.
    pub fn of_chain(folder: &str) -> Option<Self> {
        Self::parse(folder.strip_suffix(CHAIN)?)
    }

    /// The second that the name states, as Unix time.
    pub fn unix_seconds(&self) -> i64 {
        let format = format_description!("backup_[year][month][day]_[hour][minute][second]");
        PrimitiveDateTime::parse(&self.0, format).map_or(0, |time| time.assume_utc().unix_timestamp())
    }

    /// The object's name: the archive's, with the ending of its compression.
    pub fn object(&self, compression: Compression) -> String {
        format!("{}{}", self.0, compression.extension())
    }

    /// The name of the manifest's copy beside the archive.
    pub fn sidecar(&self) -> String {
        format!("{}{SIDECAR}", self.0)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder of the increments that continue this archive, directly or one after the other, beside it.
    pub fn chain(&self) -> String {
        format!("{}{CHAIN}", self.0)
    }

    /// The path of an entry in this archive.
    pub fn entry(&self, file: &str) -> String {
        format!("{}/{file}", self.0)
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A collection's file names inside an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryName {
    stem: String,
    payload: Payload,
}

impl EntryName {
    /// The file names of `collection` for that payload.
    pub fn new(collection: &str, payload: Payload) -> Self {
        let mut stem = match payload {
            Payload::Jsonl => escape_readably(collection),
            Payload::Bson => escape_like_mongodump(collection),
        };
        if stem.len() > MAX_STEM {
            let mut cut = CUT_STEM;
            if payload == Payload::Jsonl {
                while !stem.is_char_boundary(cut) {
                    cut -= 1;
                }
                // An escape is three ASCII bytes: do not leave `%` or `%2` at the end.
                if let Some(percent) = stem[..cut].rfind('%').filter(|at| cut - at < 3) {
                    cut = percent;
                }
            }
            stem.truncate(cut);
            stem.push_str("%24");
            URL_SAFE_NO_PAD.encode_string(Sha1::digest(collection.as_bytes()), &mut stem);
        }
        Self { stem, payload }
    }

    /// The entry that holds all documents.
    pub fn whole(&self) -> String {
        format!("{}.{}", self.stem, self.payload.extension())
    }

    /// The entry that holds what could be read before a failure. No tool takes it for a whole collection.
    pub fn partial(&self) -> String {
        format!("{}.partial", self.whole())
    }

    /// The entry with the `_id`s of the documents that are gone, in an increment.
    pub fn removals(&self) -> String {
        format!("{}.removed", self.whole())
    }

    /// The entry with what changed when, in an increment, and the one with what documents were in between.
    pub fn journal(&self) -> [String; 2] {
        [format!("{}.journal", self.whole()), format!("{}.between", self.whole())]
    }

    /// The entry for what was read from a member that then disappeared, the first, second, … of the collection. Nobody
    /// needs it.
    pub fn abandoned(&self, before: usize) -> String {
        match before {
            0 => format!("{}.abandoned", self.whole()),
            before => format!("{}.abandoned{}", self.whole(), before + 1),
        }
    }

    /// Possible final names of an entry begun after so many were abandoned.
    pub fn endings(&self, abandoned: usize) -> [String; 3] {
        [self.whole(), self.partial(), self.abandoned(abandoned)]
    }

    /// The definition beside the documents, payload `bson` only.
    pub fn definition(&self) -> String {
        format!("{}.metadata.json", self.stem)
    }
}

fn escape_readably(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\0'..='\x1f' | '\x7f' | '/' | '\\' | '%' => push_escape(&mut out, c as u8),
            _ => out.push(c),
        }
    }
    out
}

fn escape_like_mongodump(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for &byte in name.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => push_escape(&mut out, byte),
        }
    }
    out
}

fn push_escape(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// Undoes the escaping of a stem. Cut stems come back as they are: only a manifest has their real name.
pub(super) fn unescape(stem: &str, payload: Payload) -> String {
    let bytes = stem.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| stem.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(match bytes[at] {
                    b'+' if payload == Payload::Bson => b' ',
                    byte => byte,
                });
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_archive_is_named_after_its_second() {
        let name = ArchiveName::at(OffsetDateTime::from_unix_timestamp(1_795_226_401).expect("in range"));
        assert_eq!(name.as_str(), "backup_20261121_020001");
        assert_eq!(name.object(Compression::Zstd), "backup_20261121_020001.tar.zst");
        assert_eq!(name.unix_seconds(), 1_795_226_401);
        assert_eq!(
            ArchiveName::of_object("a/b/backup_20261121_020001.tar.gz"),
            Some((name, Compression::Gzip))
        );
        assert_eq!(ArchiveName::of_object("a/backup_20261321_020001.tar"), None);
        assert_eq!(ArchiveName::of_object("notes.tar"), None);
        let within = ArchiveName::of_moment("backup_20261121_020001.tar.zst@1795226400.31");
        let at = ClusterTime {
            t: 1_795_226_400,
            i: 31,
        };
        assert_eq!(within, Some(("backup_20261121_020001.tar.zst", at)));
        for other in [
            "backup_20261121_020001.tar.zst",
            "notes.tar@1.2",
            "backup_20261121_020001.tar@noon",
        ] {
            assert_eq!(ArchiveName::of_moment(other), None, "{other}");
        }
    }

    #[test]
    fn hostile_names_become_one_harmless_component() {
        let name = |collection| EntryName::new(collection, Payload::Jsonl).whole();
        assert_eq!(name("orders"), "orders.jsonl");
        assert_eq!(name("größe 😀"), "größe 😀.jsonl");
        assert_eq!(name("../../etc/passwd"), "..%2F..%2Fetc%2Fpasswd.jsonl");
        assert_eq!(name("50%"), "50%25.jsonl");
        assert_eq!(name("a\nb"), "a%0Ab.jsonl");
        assert_ne!(name("Orders"), name("orders"));
        assert_eq!(EntryName::new("a b/ü$", Payload::Bson).whole(), "a+b%2F%C3%BC%24.bson");
    }

    #[test]
    fn long_names_are_cut_as_mongodump_cuts_them() {
        // The expected value is what Go's url.QueryEscape, sha1 and RawURLEncoding give for this name.
        let long = "x".repeat(255);
        let stem = EntryName::new(&long, Payload::Bson).stem;
        assert_eq!(stem.len(), MAX_STEM);
        assert!(stem.starts_with(&"x".repeat(208)));
        assert_eq!(&stem[208..211], "%24");

        let accented = "é".repeat(127);
        let stem = EntryName::new(&accented, Payload::Jsonl).stem;
        assert!(stem.len() <= MAX_STEM && stem.contains("%24"));
    }

    proptest! {
        #[test]
        fn escaping_is_undone(name in "\\PC{1,60}|[\\x01-\\x7f]{1,60}") {
            for payload in [Payload::Jsonl, Payload::Bson] {
                let entry = EntryName::new(&name, payload);
                prop_assert!(entry.partial().len() + 2 <= 255);
                prop_assert!(entry.abandoned(8).len() <= 255);
                prop_assert!(!entry.whole().contains('/'));
                if !entry.stem.contains("%24") || payload == Payload::Bson && entry.stem.len() < MAX_STEM {
                    prop_assert_eq!(unescape(&entry.stem, payload), name.clone());
                }
            }
        }
    }
}
