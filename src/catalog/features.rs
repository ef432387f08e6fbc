//! What not every server can do: the one place where a version or an engine decides anything.
//!
//! A server is asked once, when a run connects; what follows from its answers is a value ([`Features`]) that plans and
//! reads go by, and that a manifest keeps. Nothing here is a claim: a plan that believes in a feature too many is found
//! out by the rehearsal, and a snapshot counts only where each cursor says its time.

use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::engine::{Engine, Topology};
use super::kind::Kind;

/// What a server can do, as far as a backup or a restore must know it beforehand.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one answer of a server, and they do not exclude one another"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Features {
    /// Reads of all collections at one cluster time.
    pub snapshot_reads: bool,
    /// Time series.
    pub time_series: bool,
    /// The newest version of a time series' buckets that it takes as they are; 0 if it takes none.
    pub bucket_version: u64,
    /// Clustered collections.
    pub clustered: bool,
    /// Pre- and post-images of changes.
    pub pre_and_post_images: bool,
    /// Capped collections.
    pub capped: bool,
    /// Views.
    pub views: bool,
    /// Collations of collections and indexes.
    pub collations: bool,
    /// Fields of a document's own that begin with a dollar sign.
    pub dollar_fields: bool,
    /// An index gets a time to live without being built anew.
    pub index_expiry_set: bool,
    /// `commitQuorum` of index builds.
    pub index_quorum: bool,
    /// `bypassEmptyTsReplacement`: a top-level `Timestamp(0,0)` is left alone.
    pub empty_timestamps_kept: bool,
    /// `renameCollection`.
    pub rename: bool,
    /// Ranges of `_id` across all types, by `$expr`: a large collection can be divided, and read on from a place.
    pub id_ranges: bool,
    /// Indexes of the kind `geoHaystack`.
    pub haystack_indexes: bool,
}

/// One of them, to be looked at or set.
type FeatureOf = fn(&mut Features) -> &mut bool;

/// What each is called in archives.
const NAMES: [(&str, FeatureOf); 14] = [
    ("snapshot_reads", |features| &mut features.snapshot_reads),
    ("time_series", |features| &mut features.time_series),
    ("clustered", |features| &mut features.clustered),
    ("pre_and_post_images", |features| &mut features.pre_and_post_images),
    ("capped", |features| &mut features.capped),
    ("views", |features| &mut features.views),
    ("collations", |features| &mut features.collations),
    ("dollar_fields", |features| &mut features.dollar_fields),
    ("index_expiry_set", |features| &mut features.index_expiry_set),
    ("index_quorum", |features| &mut features.index_quorum),
    ("empty_timestamps_kept", |features| &mut features.empty_timestamps_kept),
    ("rename", |features| &mut features.rename),
    ("id_ranges", |features| &mut features.id_ranges),
    ("haystack_indexes", |features| &mut features.haystack_indexes),
];
/// Before the newest version of buckets.
const BUCKETS: &str = "bucket_version_";

impl From<Features> for Vec<String> {
    fn from(mut features: Features) -> Self {
        let known = NAMES.iter().filter(|(_, of)| *of(&mut features));
        let mut names: Vec<String> = known.map(|(name, _)| (*name).to_owned()).collect();
        if features.bucket_version > 0 {
            names.push(format!("{BUCKETS}{}", features.bucket_version));
        }
        names
    }
}

/// Names that are not known are a later version's.
impl From<Vec<String>> for Features {
    fn from(names: Vec<String>) -> Self {
        let mut features = Self::default();
        for name in names {
            if let Some((_, of)) = NAMES.iter().find(|(known, _)| *known == name) {
                *of(&mut features) = true;
            } else if let Some(version) = name.strip_prefix(BUCKETS) {
                features.bucket_version = version.parse().unwrap_or(0);
            }
        }
        features
    }
}

/// The first servers that take a time series' buckets of versions 1, 2 and 3.
const BUCKETS_SINCE: [(u32, u32); 3] = [(5, 0), (5, 2), (7, 1)];

/// The first server that takes buckets of that version, if that is known.
pub(crate) fn first_with_buckets(version: u64) -> Option<(u32, u32)> {
    let place = usize::try_from(version.max(1) - 1).ok()?;
    BUCKETS_SINCE.get(place).copied()
}

/// A version as numbers.
pub type Version = (u32, u32, u32);

impl Features {
    /// Of a server that says nothing but its version.
    pub(crate) fn of(engine: Engine, version: Version, topology: Topology) -> Self {
        match engine {
            Engine::Mongodb => Self::of_mongodb(version, topology),
            Engine::AmazonDocumentdb => Self::of_amazon(version),
            Engine::Documentdb => Self::of_documentdb(),
        }
    }

    /// From MongoDB's manual and release notes; `tests/it/matrix` tries 4.4, 5.0 and 6.0.
    fn of_mongodb(version: Version, topology: Topology) -> Self {
        let since = |major, minor| version >= (major, minor, 0);
        let replicated = topology != Topology::Standalone;
        Self {
            snapshot_reads: replicated && since(5, 0),
            time_series: since(5, 0),
            // 8.3 takes them only from tools that ask for raw data.
            bucket_version: match since(8, 3) {
                true => 0,
                false => BUCKETS_SINCE
                    .iter()
                    .filter(|(major, minor)| since(*major, *minor))
                    .count() as u64,
            },
            clustered: since(5, 3),
            pre_and_post_images: since(6, 0),
            capped: true,
            views: true,
            collations: true,
            dollar_fields: since(5, 0),
            index_expiry_set: since(5, 1),
            index_quorum: replicated && since(4, 4),
            empty_timestamps_kept: match version {
                (5, 0, patch) => patch >= 29,
                (6, 0, patch) => patch >= 17,
                (7, 0, patch) => patch >= 13,
                (major, _, _) => major >= 8,
            },
            rename: true,
            id_ranges: true,
            haystack_indexes: !since(5, 0),
        }
    }

    /// Takes away what a server does not offer while it keeps to an older version.
    pub(crate) fn keep_to(&mut self, compatibility: Version, topology: Topology) {
        let older = Self::of_mongodb(compatibility, topology);
        self.snapshot_reads &= older.snapshot_reads;
        self.time_series &= older.time_series;
        self.clustered &= older.clustered;
        self.pre_and_post_images &= older.pre_and_post_images;
        self.dollar_fields &= older.dollar_fields;
    }

    /// Change streams tell of indexes and options, too (`showExpandedEvents`). It came with the same version as images,
    /// and goes by the same compatibility.
    pub(crate) fn definition_events(&self) -> bool {
        self.pre_and_post_images
    }

    /// From the service's table of supported operations (Amazon DocumentDB Developer Guide, "Supported MongoDB APIs,
    /// operations, and data types").
    fn of_amazon(version: Version) -> Self {
        let newest = version >= (8, 0, 0);
        Self {
            views: newest,
            collations: newest,
            ..Self::others()
        }
    }

    /// From the engine's sources (`pg_documentdb`, the options of `create` and `createIndexes` that it refuses).
    fn of_documentdb() -> Self {
        Self {
            views: true,
            collations: true,
            ..Self::others()
        }
    }

    /// What other engines have in common.
    fn others() -> Self {
        Self {
            dollar_fields: true,
            index_expiry_set: true,
            rename: true,
            id_ranges: true,
            ..Self::default()
        }
    }

    /// What a definition needs that is not there.
    pub(crate) fn missing_for(&self, kind: Kind, options: &Definition) -> Option<&'static Needed> {
        let has = |option| matches!(options.as_raw().get(option), Ok(Some(_)));
        NEEDED.iter().find(|needed| {
            let asked = needed.kind == kind && needed.option.is_none_or(has);
            asked && !(needed.there)(self)
        })
    }
}

/// What a collection may need of a server.
#[derive(Debug)]
pub(crate) struct Needed {
    kind: Kind,
    /// The option that asks for it, if it is not the kind alone.
    option: Option<&'static str>,
    there: fn(&Features) -> bool,
    /// What has it, as the rest of "it is …".
    pub(crate) what: &'static str,
    /// The first MongoDB with it; none, if each supported one has it.
    pub(crate) since: Option<&'static str>,
    pub(crate) way_out: &'static str,
}

static NEEDED: [Needed; 6] = [
    Needed {
        kind: Kind::Timeseries,
        option: None,
        there: |features| features.time_series,
        what: "a time series",
        since: Some("5.0"),
        way_out: "exclude it, or switch inference off if nothing else says that it is one",
    },
    Needed {
        kind: Kind::Collection,
        option: Some("clusteredIndex"),
        there: |features| features.clustered,
        what: "a clustered collection",
        since: Some("5.3"),
        way_out: "exclude it",
    },
    Needed {
        kind: Kind::Collection,
        option: Some("changeStreamPreAndPostImages"),
        there: |features| features.pre_and_post_images,
        what: "a collection with pre- and post-images",
        since: Some("6.0"),
        way_out: "create it by hand without them, and restore without replacing, so that its documents are merged into it; or exclude it",
    },
    Needed {
        kind: Kind::Collection,
        option: Some("capped"),
        there: |features| features.capped,
        what: "a capped collection",
        since: None,
        way_out: "create it by hand as an ordinary one, and restore without replacing, so that its documents are merged into it; or exclude it",
    },
    Needed {
        kind: Kind::Collection,
        option: Some("collation"),
        there: |features| features.collations,
        what: "a collection with a collation",
        since: None,
        way_out: "create it by hand without it, and restore without replacing, so that its documents are merged into it; or exclude it",
    },
    Needed {
        kind: Kind::View,
        option: None,
        there: |features| features.views,
        what: "a view",
        since: None,
        way_out: "exclude it",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn mongodb(version: Version) -> Features {
        Features::of(Engine::Mongodb, version, Topology::ReplicaSet)
    }

    #[test]
    fn empty_timestamps_are_left_alone_from_these_releases_on() {
        let kept = |version| mongodb(version).empty_timestamps_kept;
        for knows in [
            (5, 0, 29),
            (6, 0, 17),
            (6, 0, 20),
            (7, 0, 13),
            (8, 0, 0),
            (8, 2, 1),
            (9, 0, 0),
        ] {
            assert!(kept(knows), "{knows:?}");
        }
        for refuses in [
            (0, 0, 0),
            (4, 4, 29),
            (5, 0, 28),
            (5, 3, 40),
            (6, 0, 16),
            (6, 3, 20),
            (7, 0, 12),
            (7, 3, 99),
        ] {
            assert!(!kept(refuses), "{refuses:?}");
        }
    }

    /// A server that newer ones are fed from must not lose what older ones had.
    #[test]
    fn no_release_has_less_than_the_one_before_but_for_buckets_and_a_kind_of_index() {
        let releases = [
            (4, 4, 2),
            (5, 0, 4),
            (5, 3, 0),
            (6, 0, 27),
            (7, 0, 29),
            (8, 0, 18),
            (8, 3, 3),
            (9, 0, 0),
        ];
        let names = |version| {
            Vec::from(Features {
                bucket_version: 0,
                haystack_indexes: false,
                ..mongodb(version)
            })
        };
        let has_all = |older: Version, newer: Version| names(older).iter().all(|name| names(newer).contains(name));
        assert!(releases.windows(2).all(|pair| has_all(pair[0], pair[1])));
        assert_eq!(
            releases.map(|version| mongodb(version).bucket_version),
            [0, 1, 2, 2, 2, 3, 0, 0]
        );
        let haystack = releases.map(|version| mongodb(version).haystack_indexes);
        assert_eq!(haystack, [true, false, false, false, false, false, false, false]);
    }

    #[test]
    fn features_survive_as_names() {
        for version in [(4, 4, 2), (6, 0, 5), (8, 0, 0)] {
            let features = mongodb(version);
            let text = serde_json::to_string(&features).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Features>(&text).expect("features"),
                features,
                "{text}"
            );
        }
        let later = serde_json::from_str::<Features>(r#"["views", "something later"]"#).expect("features");
        assert_eq!(
            later,
            Features {
                views: true,
                ..Features::default()
            }
        );
    }

    #[test]
    fn what_an_engine_does_not_have_is_named_before_it_is_asked_for() {
        let options = |text: &str| Definition::from_json(text).expect("a definition");
        let capped = options(r#"{"capped": true, "size": {"$numberInt": "4096"}}"#);
        let amazon = |version| Features::of(Engine::AmazonDocumentdb, version, Topology::ReplicaSet);
        let missing =
            |features: Features, kind, options: &Definition| features.missing_for(kind, options).map(|it| it.what);
        let none = Definition::default();
        assert_eq!(
            missing(amazon((5, 0, 0)), Kind::Collection, &capped),
            Some("a capped collection")
        );
        assert_eq!(missing(amazon((5, 0, 0)), Kind::View, &none), Some("a view"));
        assert_eq!(missing(amazon((8, 0, 0)), Kind::View, &none), None);
        assert_eq!(
            missing(amazon((8, 0, 0)), Kind::Timeseries, &none),
            Some("a time series")
        );
        assert_eq!(missing(mongodb((6, 0, 5)), Kind::Collection, &capped), None);
    }
}
