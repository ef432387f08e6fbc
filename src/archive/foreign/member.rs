//! What an entry is, by its name alone.

use crate::archive::name::unescape;
use crate::archive::{MANIFEST_ENTRY, METADATA_ENTRY, Payload};

/// How documents are written in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Form {
    /// Extended JSON of any dialect, documents in any arrangement.
    Json,
    /// BSON, one document behind the other.
    Bson,
}

/// Whether an entry's content is gzipped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The documents of a collection.
    Documents { stem: String, form: Form, whole: bool },
    /// The definitions of all collections.
    AllDefinitions,
    /// The definition of one collection.
    Definition { stem: String },
    /// The manifest of an archive of ours.
    Manifest,
    /// What `mongodump` says about itself.
    Prelude,
    /// Nothing that belongs to a backup.
    Foreign,
    /// What might be a collection, under a path that no backup program writes.
    Suspicious,
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
        let mut steps: Vec<&str> = path
            .split('/')
            .filter(|step| !step.is_empty() && *step != ".")
            .collect();
        let file = steps.pop().unwrap_or_default();
        let (plain, packing) = match file.strip_suffix(".gz") {
            Some(plain) => (plain, Packing::Gzip),
            None => (file, Packing::Plain),
        };
        let mut role = role_of(plain);
        let leaves = path.starts_with('/') || steps.contains(&"..");
        if leaves && !matches!(role, Role::Foreign | Role::Prelude) {
            role = Role::Suspicious;
        }
        Self {
            folder: steps.join("/"),
            role,
            packing,
        }
    }
}

fn role_of(file: &str) -> Role {
    // AppleDouble files, which tar on a Mac adds: `._orders.jsonl` is no collection.
    if file.starts_with("._") {
        return Role::Foreign;
    }
    match file {
        METADATA_ENTRY => return Role::AllDefinitions,
        MANIFEST_ENTRY => return Role::Manifest,
        "prelude.json" => return Role::Prelude,
        _ => {}
    }
    let documents = |stem: &str, form, whole| Role::Documents {
        stem: stem.to_owned(),
        form,
        whole,
    };
    if let Some(stem) = file.strip_suffix(".metadata.json") {
        return Role::Definition { stem: stem.to_owned() };
    }
    if let Some(stem) = file.strip_suffix(".bson") {
        return documents(stem, Form::Bson, true);
    }
    if let Some(stem) = file.strip_suffix(".jsonl").or_else(|| file.strip_suffix(".json")) {
        return documents(stem, Form::Json, true);
    }
    if let Some(stem) = file.strip_suffix(".jsonl.partial") {
        return documents(stem, Form::Json, false);
    }
    if let Some(stem) = file.strip_suffix(".bson.partial") {
        return documents(stem, Form::Bson, false);
    }
    Role::Foreign
}

/// The collection that a stem stands for when nothing but the escaping is known.
pub(super) fn unescaped(stem: &str, form: Form) -> String {
    unescape(
        stem,
        match form {
            Form::Json => Payload::Jsonl,
            Form::Bson => Payload::Bson,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(stem: &str, form: Form, whole: bool) -> Role {
        Role::Documents {
            stem: stem.to_owned(),
            form,
            whole,
        }
    }

    #[test]
    fn roles() {
        for (path, folder, role, packing) in [
            (
                "backup_1/orders.jsonl",
                "backup_1",
                documents("orders", Form::Json, true),
                Packing::Plain,
            ),
            ("./a.b.json", "", documents("a.b", Form::Json, true), Packing::Plain),
            (
                "./dump//shop/a%2Fb.bson.gz",
                "dump/shop",
                documents("a%2Fb", Form::Bson, true),
                Packing::Gzip,
            ),
            (
                "b/x.jsonl.partial",
                "b",
                documents("x", Form::Json, false),
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
            ("b/._orders.jsonl", "b", Role::Foreign, Packing::Plain),
            ("README", "", Role::Foreign, Packing::Plain),
            ("", "", Role::Foreign, Packing::Plain),
            ("../orders.jsonl", "..", Role::Suspicious, Packing::Plain),
            ("/b/orders.jsonl", "b", Role::Suspicious, Packing::Plain),
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
}
