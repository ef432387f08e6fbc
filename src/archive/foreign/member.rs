//! What an entry is, by its name. If the name alone does not tell, its first bytes do: a collection can be called
//! `manifest`.

use std::io::Read as _;

use super::aside::{Aside, OURS};
use super::packing::{Packing, without_ending};
use crate::archive::name::unescape;
use crate::archive::{ArchiveName, MANIFEST_ENTRY, METADATA_ENTRY, Payload};

/// How documents are written in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Written {
    /// Extended JSON of any dialect, documents in any arrangement.
    Json,
    /// BSON, one document behind the other.
    Bson,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The documents of a collection.
    Documents { stem: String, form: Written, whole: bool },
    /// The definitions of all collections.
    AllDefinitions,
    /// The definition of one collection.
    Definition { stem: String },
    /// The manifest of an archive of ours.
    Manifest,
    /// What `mongodump` says about itself.
    Prelude,
    /// Nothing that is read.
    Aside(Aside),
}

/// An entry, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The folders, without `.` and without a slash at either end.
    pub(super) folder: String,
    pub(super) role: Role,
    pub(super) packing: Packing,
}

impl Member {
    /// Paths are never used on a file system, but one that would leave its folder was not written by a backup program.
    pub(super) fn of_path(path: &str) -> Self {
        // Windows has backslashes, and some programs mix both. No dump has one in a name: it is written as %5C. The
        // scripts before mongotar wrote names as they are.
        let folders: &[char] = if is_of_old_scripts(path) { &['/'] } else { &['/', '\\'] };
        let mut steps: Vec<&str> = path
            .split(folders)
            .filter(|step| !step.is_empty() && *step != ".")
            .collect();
        let file = steps.pop().unwrap_or_default();
        let (plain, packing) = Packing::of_name(file);
        let mut role = match own(&steps, file) {
            Some(aside) => Role::Aside(aside),
            None => role_of(plain).unwrap_or_else(|| Role::Aside(Aside::of_name(file))),
        };
        if let (Some(how), false) = (packing.not_built_in(), matches!(role, Role::Aside(_))) {
            role = Role::Aside(Aside::Compressed(how));
        }
        let leaves = path.starts_with(['/', '\\']) || steps.contains(&"..");
        if leaves && !matches!(role, Role::Aside(_)) {
            role = Role::Aside(Aside::Outside);
        }
        Self {
            folder: steps.join("/"),
            role,
            packing,
        }
    }
}

/// What mongotar itself has put beside something else: an archive, its manifest, or what a restore saves first.
fn own(folders: &[&str], file: &str) -> Option<Aside> {
    let (name, rest) = file.split_once('.').unwrap_or_default();
    let (is_archive, is_manifest) = match ArchiveName::parse(name) {
        Some(_) => (rest.starts_with("tar"), rest == "manifest.json"),
        None => (false, false),
    };
    let saved_first = folders.last().is_some_and(|folder| *folder == "pre-restore");
    match () {
        () if folders.contains(&IN_PROGRESS) || is_manifest => Some(Aside::Own),
        () if saved_first && (is_archive || file.ends_with(".report.json")) => Some(Aside::Own),
        () if is_archive => Some(Aside::Packed {
            what: OURS,
            way_out: "name that archive itself, or its folder with --latest",
        }),
        () => None,
    }
}

/// How runs call the folder of their states; see `src/run/identity.rs`.
const IN_PROGRESS: &str = ".in-progress";

/// Whether it is a collection as the scripts before mongotar wrote it.
fn is_of_old_scripts(path: &str) -> bool {
    let inner = path.trim_start_matches("./").split_once('/');
    inner.is_some_and(|(folder, file)| {
        ArchiveName::parse(folder).is_some() && file.ends_with(".jsonl") && !file.contains('/')
    })
}

fn documents(stem: &str, form: Written, whole: bool) -> Role {
    Role::Documents {
        stem: stem.to_owned(),
        form,
        whole,
    }
}

fn role_of(file: &str) -> Option<Role> {
    // AppleDouble files, which tar on a Mac adds: `._orders.jsonl` is no collection.
    if file.starts_with("._") {
        return None;
    }
    match file {
        METADATA_ENTRY => return Some(Role::AllDefinitions),
        MANIFEST_ENTRY => return Some(Role::Manifest),
        "prelude.json" => return Some(Role::Prelude),
        _ => {}
    }
    if let Some(stem) = without_ending(file, ".metadata.json") {
        return Some(Role::Definition { stem: stem.to_owned() });
    }
    let endings = [
        (".bson", Written::Bson, true),
        (".jsonl", Written::Json, true),
        (".ndjson", Written::Json, true),
        (".json", Written::Json, true),
        (".jsonl.partial", Written::Json, false),
        (".bson.partial", Written::Bson, false),
    ];
    endings
        .into_iter()
        .find_map(|(ending, form, whole)| Some(documents(without_ending(file, ending)?, form, whole)))
}

impl Role {
    /// The same, when the first bytes of the content are known: what is only called like a manifest, a prelude or a
    /// definition holds documents.
    pub(super) fn with_head(self, head: &[u8]) -> Self {
        match self {
            Self::Manifest if first_key(head) != Some("format") => documents("manifest", Written::Json, true),
            Self::Prelude if !matches!(first_key(head), Some("ServerVersion" | "ToolVersion")) => {
                documents("prelude", Written::Json, true)
            }
            // A server puts it first in every document, and no definition has it.
            Self::Definition { stem } if first_key(head) == Some("_id") => {
                documents(&format!("{stem}.metadata"), Written::Json, true)
            }
            Self::Documents {
                stem,
                form: Written::Bson,
                ..
            } if stem == "oplog" && (is_oplog(head) || is_oplog_in_gzip(head)) => Self::Aside(Aside::Oplog),
            other => other,
        }
    }
}

/// The first key of a JSON object, where it is a plain one.
fn first_key(head: &[u8]) -> Option<&str> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let key = text.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', key)?;
    std::str::from_utf8(&key[..end]).ok()
}

/// Whether BSON begins with an entry of an oplog: an operation of one letter on a namespace. A document of a collection
/// begins with its `_id`.
fn is_oplog(head: &[u8]) -> bool {
    let has = |element: &[u8]| memchr::memmem::find(head, element).is_some();
    let begins_with_id = head.get(5..).is_some_and(|element| element.starts_with(b"_id\0"));
    !begins_with_id && has(b"\x02op\0\x02\0\0\0") && has(b"\x02ns\0")
}

/// `mongodump --gzip` compresses the oplog like everything else, and does not say so in its name.
fn is_oplog_in_gzip(head: &[u8]) -> bool {
    if Packing::of_head(head) != Packing::Gzip {
        return false;
    }
    let mut unpacked = Vec::new();
    // Of the head only so much comes out; and nothing of an oplog without entries.
    let _ = Packing::Gzip.unpack(head).read_to_end(&mut unpacked);
    unpacked.is_empty() || is_oplog(&unpacked)
}

/// The collection that a stem stands for when nothing but the escaping is known.
pub(super) fn unescaped(stem: &str, form: Written) -> String {
    unescape(
        stem,
        match form {
            Written::Json => Payload::Jsonl,
            Written::Bson => Payload::Bson,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles() {
        for (path, folder, role, packing) in [
            (
                "backup_1/orders.jsonl",
                "backup_1",
                documents("orders", Written::Json, true),
                Packing::Plain,
            ),
            ("./a.b.json", "", documents("a.b", Written::Json, true), Packing::Plain),
            (
                "./dump//shop/a%2Fb.bson.gz",
                "dump/shop",
                documents("a%2Fb", Written::Bson, true),
                Packing::Gzip,
            ),
            (
                "dump/pre-restore/backup_20240102_030405.tar.zst",
                "dump/pre-restore",
                Role::Aside(Aside::Own),
                Packing::Zstd,
            ),
            (
                "backup_20240102_030405.manifest.json",
                "",
                Role::Aside(Aside::Own),
                Packing::Plain,
            ),
            // A database may be called so, too.
            (
                "dump/pre-restore/orders.bson",
                "dump/pre-restore",
                documents("orders", Written::Bson, true),
                Packing::Plain,
            ),
            (
                "dump/pre-restore/drill_20240102_030405-0123456789ab.report.json",
                "dump/pre-restore",
                Role::Aside(Aside::Own),
                Packing::Plain,
            ),
            (
                "SHOP/Orders.BSON.GZ",
                "SHOP",
                documents("Orders", Written::Bson, true),
                Packing::Gzip,
            ),
            (
                "b/x.jsonl.partial",
                "b",
                documents("x", Written::Json, false),
                Packing::Plain,
            ),
            (
                "d/x.metadata.json.gz",
                "d",
                Role::Definition { stem: "x".to_owned() },
                Packing::Gzip,
            ),
            ("b/collections_metadata.json", "b", Role::AllDefinitions, Packing::Plain),
            ("b/manifest.json", "b", Role::Manifest, Packing::Plain),
            ("b/x.bson.zst", "b", documents("x", Written::Bson, true), Packing::Zstd),
            ("b/x.ndjson.gz", "b", documents("x", Written::Json, true), Packing::Gzip),
            ("b/._orders.jsonl", "b", Role::Aside(Aside::Attributes), Packing::Plain),
            ("README", "", Role::Aside(Aside::Note), Packing::Plain),
            ("b/x.csv.gz", "b", Role::Aside(Aside::Separated), Packing::Gzip),
            ("", "", Role::Aside(Aside::Unknown), Packing::Plain),
            ("../orders.jsonl", "..", Role::Aside(Aside::Outside), Packing::Plain),
            ("/b/orders.jsonl", "b", Role::Aside(Aside::Outside), Packing::Plain),
            (
                "dump\\shop\\a.bson",
                "dump/shop",
                documents("a", Written::Bson, true),
                Packing::Plain,
            ),
            (
                "dump\\shop/a.bson",
                "dump/shop",
                documents("a", Written::Bson, true),
                Packing::Plain,
            ),
            (
                "backup_20240102_030405/a\\b.jsonl",
                "backup_20240102_030405",
                documents("a\\b", Written::Json, true),
                Packing::Plain,
            ),
            (
                "shop/a\\b.json",
                "shop/a",
                documents("b", Written::Json, true),
                Packing::Plain,
            ),
            (
                "shop/..\\a.bson",
                "shop/..",
                Role::Aside(Aside::Outside),
                Packing::Plain,
            ),
            ("..\\a.bson", "..", Role::Aside(Aside::Outside), Packing::Plain),
        ] {
            assert_eq!(
                Member::of_path(path),
                Member {
                    folder: folder.to_owned(),
                    role,
                    packing
                },
                "{path}"
            );
        }
    }

    #[test]
    fn what_only_has_the_name_of_something_else_holds_documents() {
        let role = |path: &str, head: &[u8]| Member::of_path(path).role.with_head(head);
        let json = |stem: &str| documents(stem, Written::Json, true);
        let exported = b"{\"_id\":1,\"a\":1}\n";
        assert_eq!(role("manifest.json", exported), json("manifest"));
        assert_eq!(role("manifest.json", b"{\n  \"format\": \"mongotar\""), Role::Manifest);
        assert_eq!(role("prelude.json", exported), json("prelude"));
        assert_eq!(role("prelude.json", b"{\"ServerVersion\":\"6.0.5\""), Role::Prelude);
        assert_eq!(role("x.metadata.json", exported), json("x.metadata"));
        let definition = Role::Definition { stem: "x".to_owned() };
        assert_eq!(role("x.metadata.json", b"{\"options\":{}"), definition);
        assert_eq!(role("oplog.json", exported), json("oplog"));
        let entry = bson::rawdoc! {"op": "i", "ns": "shop.a", "ui": 1, "o": {}, "ts": bson::Timestamp { time: 1, increment: 1 }};
        assert_eq!(role("oplog.bson", entry.as_bytes()), Role::Aside(Aside::Oplog));
        let order = bson::rawdoc! {"_id": 1, "ns": "x"};
        assert_eq!(
            role("oplog.bson", order.as_bytes()),
            documents("oplog", Written::Bson, true)
        );
    }
}
