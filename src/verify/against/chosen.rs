//! A collection to compare: what the archive knows of it, and what is there.

use super::report::{ComparedCollection, Comparison};
use crate::archive::{Saved, SavedStatus};
use crate::catalog::{BUCKETS, Catalog, Collection, Definition, Kind, modern_indexes};
use crate::digest::Hashing;
use crate::open::ArchiveFile;
use crate::plan::{Contents, Diff, Parked, off_there, without_own};

/// A collection of the archive that is to be compared, and what is there of it.
pub(super) struct Chosen<'a> {
    pub(super) saved: &'a Saved,
    pub(super) present: Option<&'a Collection>,
    /// Whether the archive has its options.
    knows_options: bool,
    /// Whether the archive has its indexes.
    knows_indexes: bool,
    /// What of its documents is hashed, on both sides.
    pub(super) hashing: Hashing,
    /// The options that decide what a server makes of its documents.
    pub(super) options: &'a Definition,
    /// What a server takes its documents for.
    pub(super) kind: Kind,
    /// The server's own collection that has them, where they are the buckets of a time series.
    buckets: Option<String>,
}

impl<'a> Chosen<'a> {
    pub(super) fn new(saved: &'a Saved, file: &ArchiveFile, contents: &Contents, live: &'a Catalog) -> Self {
        let present = live.get(&saved.name);
        let native = file.manifest().is_some();
        let seen = contents.signals.collections.get(&saved.name);
        let described = saved.kind == Kind::View || seen.is_some_and(|seen| seen.described);
        // Called a time series, but not which.
        let vague = saved.kind == Kind::Timeseries && saved.options.get_document("timeseries").is_none();
        let mut chosen = Self {
            saved,
            present,
            knows_options: native || (described && !vague),
            knows_indexes: native || !saved.indexes.is_empty(),
            hashing: saved.hashing,
            options: &saved.options,
            kind: saved.kind,
            buckets: None,
        };
        if seen.is_some_and(|seen| seen.held.is_some()) && saved.kind == Kind::Timeseries {
            chosen.kind = Kind::Collection;
            chosen.buckets = Some(format!("{BUCKETS}{}", saved.name));
        }
        // Where nothing says what it is, it is what the database has it for: no guess is needed here.
        if let (false, Some(present)) = (chosen.knows_options, present)
            && present.kind == Kind::Timeseries
        {
            chosen.kind = Kind::Timeseries;
            chosen.hashing = Hashing::SortedFields;
            chosen.options = &present.options;
        }
        chosen
    }

    /// The collection of the database that has its documents.
    pub(super) fn there(&self) -> &str {
        self.buckets.as_deref().unwrap_or(&self.saved.name)
    }

    /// Whether there are documents on this side of it.
    pub(super) fn has_documents(&self) -> bool {
        self.saved.kind != Kind::View && self.saved.status == SavedStatus::Complete
    }

    /// Compares the definitions; documents are still to come.
    pub(super) fn definitions(&self, live: &Catalog) -> ComparedCollection {
        let mut compared = ComparedCollection::new(&self.saved.name, self.saved.kind);
        if self.saved.status != SavedStatus::Complete {
            let reason = self.saved.error.as_deref().unwrap_or("no reason is recorded");
            compared.not_compared(format!(
                "the archive does not hold all of it: its backup failed ({reason})"
            ));
            return compared;
        }
        let Some(present) = self.present else {
            compared.outcome = Comparison::Missing;
            compared.differences.push("the database does not have it".to_owned());
            return compared;
        };
        // What nothing describes may well be the time series that the database has.
        let open = !self.knows_options && (self.saved.kind, present.kind) == (Kind::Collection, Kind::Timeseries);
        if present.kind != self.saved.kind && !open {
            compared.drifted(format!(
                "the archive has a {}, the database a {}",
                self.saved.kind, present.kind
            ));
        }
        let mut off = Vec::new();
        if self.knows_options {
            let options = [&self.saved.options, &present.options].map(|options| vec![options.clone()]);
            let (ours, theirs, parked) = off_there((&options[0], &options[1]));
            compared.options_diff = Diff::of_options(&ours[0], &theirs[0]);
            off.extend(parked);
        } else {
            compared.unknown.push("options".to_owned());
        }
        if self.knows_indexes {
            // As a restore builds them.
            let (modern, _) = modern_indexes(&self.saved.indexes);
            let (ours, theirs, parked) = off_there((&without_own(&modern), &without_own(&present.indexes)));
            compared.index_diff = Diff::of_indexes(&ours, &theirs);
            off.extend(parked);
        } else if self.saved.kind != Kind::View {
            compared.unknown.push("indexes".to_owned());
        }
        for off in off {
            let parked = Parked::new(&off, &self.saved.name, live);
            compared.differences.push(format!("expiry is off here: {parked}"));
            compared.parked.push(parked);
            if compared.outcome == Comparison::Equal {
                compared.outcome = Comparison::Parked;
            }
        }
        for (what, diff) in [("options", &compared.options_diff), ("indexes", &compared.index_diff)] {
            if !diff.is_empty() {
                compared.differences.push(format!("{what} {diff}"));
                compared.outcome = Comparison::Drifted;
            }
        }
        compared
    }
}
