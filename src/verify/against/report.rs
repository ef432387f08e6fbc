//! What a comparison reports.

use serde::{Deserialize, Serialize};

use super::job::AgainstJob;
use crate::archive::{Status, hex_sum};
use crate::backup::RunStatus;
use crate::catalog::Kind;
use crate::digest::{Digest, Sum};
use crate::open::ArchiveFile;
use crate::plan::{Diff, Parked, Ttl};

/// The answer of `mongotar verify --against --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgainstReport {
    /// `complete` if all that was chosen was compared and is equal (but for expiry, if that may be parked); `partial`
    /// if anything differs, is missing, is extra or could not be compared; `failed` if the archive is damaged.
    pub status: RunStatus,
    /// Which archive.
    pub archive: String,
    /// The database that it was compared with.
    pub database: String,
    /// Every collection that was chosen, sorted by name.
    pub collections: Vec<ComparedCollection>,
    /// In both, and not the same.
    pub drifted: Vec<String>,
    /// The same but for expiry, which is off in the database.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parked: Vec<String>,
    /// In the archive, not in the database.
    pub missing: Vec<String>,
    /// In the database, not in the archive.
    pub extra: Vec<String>,
    /// What could not be compared; the collection says why.
    pub not_compared: Vec<String>,
    /// What of the archive is damaged, as far as it was read.
    pub damaged: Vec<String>,
    /// What is noteworthy without being a difference.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// One collection: what the archive has of it, and what the database has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComparedCollection {
    /// Its name.
    pub name: String,
    /// Its kind in the archive, or in the database if only that has it.
    pub kind: Kind,
    /// How it came out.
    pub outcome: Comparison,
    /// The archive's documents, as a server keeps them; none for views, and for what the archive does not have whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<Side>,
    /// The database's documents; none for views, and for what is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub database: Option<Side>,
    /// How the database's options differ from the archive's.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub options_diff: Diff,
    /// How the database's indexes differ from the archive's.
    #[serde(skip_serializing_if = "Diff::is_empty", default)]
    pub index_diff: Diff,
    /// What documents do not expire by in the database until it is switched on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parked: Vec<Parked>,
    /// Every difference, or why nothing can be said; empty if all is equal.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differences: Vec<String>,
    /// What the archive does not say, and so was not compared.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unknown: Vec<String>,
}

/// How a comparison came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// All that the archive says holds.
    Equal,
    /// It does not.
    Drifted,
    /// The database does not have it.
    Missing,
    /// Only the database has it.
    Extra,
    /// The same but for its expiry, which is off in the database, as `--park-ttl` leaves it.
    Parked,
    /// Nothing can be said.
    NotCompared,
}

/// The documents of one collection on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// How many.
    pub documents: u64,
    /// Their size as BSON.
    pub bytes: u64,
    /// Their digest.
    #[serde(with = "hex_sum")]
    pub digest: Sum,
}

impl From<Digest> for Side {
    fn from(digest: Digest) -> Self {
        Self {
            documents: digest.documents(),
            bytes: digest.bytes(),
            digest: digest.sum(),
        }
    }
}

impl ComparedCollection {
    pub(super) fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            outcome: Comparison::Equal,
            archive: None,
            database: None,
            options_diff: Diff::default(),
            index_diff: Diff::default(),
            parked: Vec::new(),
            differences: Vec::new(),
            unknown: Vec::new(),
        }
    }

    pub(super) fn drifted(&mut self, difference: String) {
        self.outcome = Comparison::Drifted;
        self.differences.push(difference);
    }

    pub(super) fn not_compared(&mut self, reason: String) {
        self.outcome = Comparison::NotCompared;
        self.differences.push(reason);
    }

    pub(super) fn compare_documents(&mut self, archive: Digest, database: Digest) {
        if archive == database {
            return;
        }
        let (saved, live) = (archive.documents(), database.documents());
        self.drifted(match saved == live {
            true => format!("both have {saved} documents, but not the same: digest {archive} in the archive, {database} in the database"),
            false => format!("the archive has {saved} documents, the database {live}"),
        });
    }
}

impl AgainstReport {
    pub(super) fn new(
        job: &AgainstJob,
        file: &ArchiveFile,
        (collections, damaged): (Vec<ComparedCollection>, Vec<String>),
        warnings: Vec<String>,
        seconds: f64,
    ) -> Self {
        let of = |outcome| -> Vec<String> {
            let named = collections.iter().filter(|compared| compared.outcome == outcome);
            named.map(|compared| compared.name.clone()).collect()
        };
        let is_equal = |outcome| match outcome {
            Comparison::Equal => true,
            Comparison::Parked => job.ttl == Ttl::Parked,
            _ => false,
        };
        let all_equal = collections.iter().all(|compared| is_equal(compared.outcome));
        // A manifest names what is not whole, and that may not have been chosen; of an archive of others it is not
        // known what is missing.
        let whole = file.manifest().is_some() || file.status() == Status::Complete;
        Self {
            status: match (damaged.is_empty(), all_equal && whole) {
                (false, _) => RunStatus::Failed,
                (true, true) => RunStatus::Complete,
                (true, false) => RunStatus::Partial,
            },
            archive: job.archive.to_string(),
            database: job.database.clone(),
            drifted: of(Comparison::Drifted),
            parked: of(Comparison::Parked),
            missing: of(Comparison::Missing),
            extra: of(Comparison::Extra),
            not_compared: of(Comparison::NotCompared),
            damaged,
            warnings,
            collections,
            seconds,
        }
    }
}
