//! Why a foreign archive cannot be read as a whole. A single collection's fault is in its row of the survey instead.

use std::io;

use thiserror::Error;

/// Why a foreign archive cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// The bytes did not come.
    #[error("{}: reading failed at offset {offset} of the archive: {error}", entry.as_deref().unwrap_or("the archive"))]
    Read {
        /// The entry that was being read; none between entries.
        entry: Option<String>,
        /// Offset in the decompressed tar.
        offset: u64,
        /// What the source of the bytes said. Part of the message, and so no `source()`.
        error: io::Error,
    },
    /// The tar itself is broken or ends too soon.
    #[error("{}: {reason} (offset {offset} of the archive)", entry.as_deref().unwrap_or("the archive"))]
    Damaged {
        /// The entry that was being read; none between entries.
        entry: Option<String>,
        /// Offset in the decompressed tar.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// It has so many members that what is kept of each would take too much memory.
    #[error(
        "the archive has too many members for the memory budget: the first {members} alone take more than {} MB (offset {offset} of the archive). Give more memory \
         (--memory, MONGOTAR_MEMORY, or the function's own), or pack fewer collections into it",
        most / 1_000_000
    )]
    TooMany {
        /// How many were met.
        members: u64,
        /// Offset in the decompressed tar of the last of them.
        offset: u64,
        /// What they may take, in bytes.
        most: u64,
    },
    /// It is something else than an archive of documents; the text says what, and what to do.
    #[error("{0}")]
    Refused(String),
    /// It is a tar, but nothing in it is a collection.
    #[error(
        "no entry of the archive is a collection: expected {{collection}}.jsonl, .json, .ndjson or .bson (optionally with .gz, .zst, .bz2 or .xz), at its top or in one folder of it; it has {entries} entries{}{}", example.as_deref().map(|example| format!(", the first is {example}")).unwrap_or_default(), if *entries == 0 { ". Name an archive or a dump; --latest FOLDER (latest) takes the newest archive in a folder" } else { "" }
    )]
    NoCollections {
        /// How many entries there are.
        entries: u64,
        /// The first of them, and why it is left out.
        example: Option<String>,
    },
    /// It holds several databases (or several backups), and one must be chosen; or the one that was chosen is not
    /// there.
    #[error("choose the database (folder) to restore: {} holds {}", chosen_text(chosen.as_deref()), databases.join(", "))]
    ChooseDatabase {
        /// What was asked for.
        chosen: Option<String>,
        /// What there is.
        databases: Vec<String>,
    },
    /// Two entries would be the same collection. A tar reader would silently take the later one.
    #[error("{first:?} and {second:?} are both the collection {collection:?}: remove one of them")]
    Twice {
        /// The collection.
        collection: String,
        /// The entry that came first.
        first: String,
        /// The other one.
        second: String,
    },
    /// The tar is not the one that was surveyed.
    #[error("the archive has changed since it was surveyed: {0}")]
    Changed(String),
}

fn chosen_text(chosen: Option<&str>) -> String {
    chosen.map_or_else(
        || "the archive".to_owned(),
        |name| format!("the archive has no {name:?}; it"),
    )
}
