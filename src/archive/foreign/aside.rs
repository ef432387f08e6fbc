//! Which members of a tar are not read, why, and what that means for a restore. [`Aside`] has every decision.

use super::packing::NOT_BUILT_IN;
use crate::catalog::{Belongs, UNKNOWN, belongs};
use crate::wording::USERS_LEFT_OUT;

/// What leaving a member out means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearing {
    /// It never holds data: the archive is as whole without it.
    NoData,
    /// It may name collections that nothing else names: nothing is dropped.
    MayNameMore,
    /// It may hold data: the archive is partial, and nothing is dropped.
    MayBeData,
}

/// In which servers before 3.0 kept the indexes of all collections, and older programs dumped them: read as
/// definitions.
pub(super) const INDEXES: &str = "system.indexes";

/// How `mongodump --dumpDbUsersAndRoles` names what is of the database, and not in it.
pub(super) const OF_DATABASE: &str = "$admin.system.";

/// What an archive of mongotar is called among the members of a dump.
pub(super) const OURS: &str = "an archive of mongotar";

/// A member that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// `._orders.jsonl`, which tar on a Mac adds; `.DS_Store` and the like.
    Attributes,
    /// A text for people, or a checksum.
    Note,
    /// What a backup of ours read of a collection before it began anew.
    Abandoned,
    /// What a restore of ours has saved beside a dump, or an archive's manifest.
    Own,
    /// What `mongodump --oplog` puts beside the folders of the databases.
    Oplog,
    /// A file that is called like it, holds something else, and has no definition beside it.
    CalledOplog,
    /// A collection of the server's own.
    System(&'static str),
    /// One that is the server's by its name, and is not known.
    UnknownSystem,
    /// `$admin.system.users`, `.roles`, `.version`: what `mongodump --dumpDbUsersAndRoles` adds.
    UsersAndRoles,
    /// `system.views`, where nothing else says which names are views.
    Views,
    /// Comma- or tab-separated values.
    Separated,
    /// Compressed in a way that is not read.
    Compressed(&'static str),
    /// Encrypted, or packed once more.
    Packed { what: &'static str, way_out: &'static str },
    /// Its name is not UTF-8.
    NotUtf8,
    /// Its path leaves the archive's folder.
    Outside,
    /// A link or a special file.
    Link,
    /// Anything else.
    Unknown,
}

impl Aside {
    pub(super) fn bearing(&self) -> Bearing {
        match self {
            Self::Attributes | Self::Note | Self::Abandoned | Self::System(_) | Self::Views => Bearing::NoData,
            // A collection that was created during the dump can be in the oplog alone. Users and roles are no documents
            // of this database, but are set aside all the same. Of what is unknown nobody knows what it says.
            Self::Own | Self::Oplog | Self::UsersAndRoles | Self::UnknownSystem => Bearing::MayNameMore,
            Self::CalledOplog
            | Self::Separated
            | Self::Compressed(_)
            | Self::Packed { .. }
            | Self::NotUtf8
            | Self::Outside
            | Self::Link
            | Self::Unknown => Bearing::MayBeData,
        }
    }

    /// Why, as the rest of a sentence that begins with the member's path.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Attributes => "no data: a desktop's own file".to_owned(),
            Self::Note => "no data: a text for people, or a checksum".to_owned(),
            Self::Abandoned => "not needed: the backup read the collection anew".to_owned(),
            Self::Oplog => {
                "the oplog is not replayed: each collection is as of the time at which it was read".to_owned()
            }
            Self::Own => {
                "it is of an archive of mongotar: name that archive itself, or its folder with --latest".to_owned()
            }
            Self::CalledOplog => {
                "it has the name of mongodump's oplog, and does not look like one: rename it, or put its oplog.metadata.json beside it, to have it as a collection"
                    .to_owned()
            }
            Self::System(why) => format!("not data: {why}"),
            Self::UnknownSystem => format!("not data: {UNKNOWN}"),
            Self::UsersAndRoles => USERS_LEFT_OUT.to_owned(),
            Self::Views => {
                "without other definitions, the views that it defines count as collections"
                    .to_owned()
            }
            Self::Separated => {
                "CSV and TSV are not read, since they do not keep types: export it as JSON, or import it with mongoimport"
                    .to_owned()
            }
            Self::Compressed("lz4") => "lz4 is not read: decompress it, and pack it again".to_owned(),
            Self::Compressed(how) => format!("it is compressed with {how}, and {NOT_BUILT_IN}"),
            Self::Packed { what, way_out } => format!("it is {what}: {way_out}"),
            Self::NotUtf8 => "its name is not UTF-8".to_owned(),
            Self::Outside => "its path leaves the archive's folder".to_owned(),
            Self::Link => "it is a link or a special file".to_owned(),
            Self::Unknown => {
                "its extension is not supported: use .jsonl, .json, .ndjson or .bson, optionally with .gz, .zst, .bz2 or .xz"
                    .to_owned()
            }
        }
    }

    /// A member whose name is not that of a collection's file.
    pub(super) fn of_name(file: &str) -> Self {
        let lower = file.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
        let stem = lower.split('.').next().unwrap_or_default();
        match () {
            () if lower.starts_with("._") || [".ds_store", "thumbs.db", "desktop.ini"].contains(&lower.as_str()) => {
                Self::Attributes
            }
            () if ends(&[".md5", ".sha1", ".sha256", ".sha512"]) || ["md5sums", "sha256sums"].contains(&stem) => {
                Self::Note
            }
            () if is_abandoned(file) => Self::Abandoned,
            () if ["readme", "license", "licence"].contains(&stem) => Self::Note,
            () if ends(&[
                ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zst", ".tsv.zst", ".csv.bz2", ".tsv.bz2", ".csv.xz",
                ".tsv.xz",
            ]) =>
            {
                Self::Separated
            }
            () if ends(&[".lz4"]) => Self::Compressed("lz4"),
            () => Self::Unknown,
        }
    }

    /// A collection's file that is none of the database's own, by the collection's name; `None` if it is.
    pub(super) fn of_collection(stem: &str) -> Option<Self> {
        if stem.starts_with(OF_DATABASE) {
            return Some(Self::UsersAndRoles);
        }
        match stem {
            "system.views" => return Some(Self::Views),
            INDEXES => return None,
            _ => {}
        }
        match belongs(stem) {
            Belongs::Data | Belongs::Through(_) => None,
            Belongs::Server(why) => Some(Self::System(why)),
            Belongs::Unknown => Some(Self::UnknownSystem),
        }
    }
}

/// Whether it is called as FORMAT 1 has it: `orders.jsonl.abandoned`, `orders.bson.abandoned2`.
fn is_abandoned(file: &str) -> bool {
    let numbered = file.trim_end_matches(|digit: char| digit.is_ascii_digit());
    [".jsonl.abandoned", ".bson.abandoned"]
        .iter()
        .any(|ending| numbered.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_decision() {
        for (file, aside) in [
            ("._orders.jsonl", Aside::Attributes),
            (".DS_Store", Aside::Attributes),
            ("README", Aside::Note),
            ("README.md", Aside::Note),
            ("orders.jsonl.sha256", Aside::Note),
            ("orders.jsonl.abandoned", Aside::Abandoned),
            ("orders.bson.abandoned3", Aside::Abandoned),
            ("orders.abandoned", Aside::Unknown),
            ("users.csv", Aside::Separated),
            ("users.TSV.gz", Aside::Separated),
            ("notes.json.lz4", Aside::Compressed("lz4")),
            ("notes.txt", Aside::Unknown),
            ("", Aside::Unknown),
        ] {
            assert_eq!(Aside::of_name(file), aside, "{file}");
        }
        for (stem, bearing) in [
            ("orders", None),
            ("system.js", None),
            ("system.buckets.readings", None),
            ("system.views", Some(Bearing::NoData)),
            ("system.profile", Some(Bearing::NoData)),
            ("system.indexes", None),
            ("system.tomorrow", Some(Bearing::MayNameMore)),
            ("$admin.system.users", Some(Bearing::MayNameMore)),
        ] {
            assert_eq!(
                Aside::of_collection(stem).map(|aside| aside.bearing()),
                bearing,
                "{stem}"
            );
        }
    }
}
