//! What a folder of a tar covers: whether a collection that it lacks was missing in the database, too.

use std::collections::BTreeSet;

use super::Layout;
use super::found::File;
use super::packing::Packing;
use super::promise::Promise;
use crate::archive::{ArchiveName, Coverage};

/// What a folder of a tar covers, if all of it has been read.
pub(super) fn coverage(
    layout: Layout,
    folder: &str,
    files: &[File],
    manifest: Option<&Promise>,
    collections: &BTreeSet<&str>,
) -> Coverage {
    let unsaid = |reason: &str| Coverage::Unsaid(reason.to_owned());
    match (layout, manifest) {
        (_, Some(promise)) => match (promise.part, promise.names().find(|name| !collections.contains(name))) {
            (Some(reason), _) => Coverage::Part(reason.to_owned()),
            (None, None) => Coverage::Whole,
            (None, Some(missing)) => Coverage::Part(format!("its manifest names {missing:?}, which it lacks")),
        },
        (Layout::Ancestor, None) if is_whole_by_layout(folder, files) => Coverage::WholeByLayout,
        (Layout::Ancestor, None) => {
            unsaid("a whole backup lies in a folder backup_YYYYmmdd_HHMMSS, as {collection}.jsonl; this one does not")
        }
        (Layout::Mongotar, None) => unsaid("a mongotar archive, repacked without its manifest"),
        (Layout::Mongodump, None) => unsaid("mongodump may have dumped only some of a database's collections"),
        (Layout::Export, None) => unsaid("an export's files stand alone"),
    }
}

/// The scripts before mongotar always wrote all collections, and nobody else writes this layout.
fn is_whole_by_layout(folder: &str, files: &[File]) -> bool {
    let last = folder.rsplit('/').next().unwrap_or_default();
    let is_theirs = |file: &File| file.packing == Packing::Plain && file.path.ends_with(".jsonl");
    ArchiveName::parse(last).is_some() && files.iter().all(is_theirs)
}
