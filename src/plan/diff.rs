//! How a definition in the archive differs from the target's.

use std::collections::BTreeMap;
use std::fmt;

use bson::{RawBsonRef, RawDocument};
use serde::{Deserialize, Serialize};

use crate::catalog::{Definition, is_on, whole_seconds};
use crate::ordered::map;
use crate::wording::shown;

/// Names of what differs. For options these are their top-level keys, for indexes their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Diff {
    /// In the archive, not on the target.
    pub added: Vec<String>,
    /// On the target, not in the archive.
    pub removed: Vec<String>,
    /// In both, and not the same.
    pub changed: Vec<String>,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Compares options key by key. What a server adds to options that leave it out is no difference.
    pub fn of_options(archive: &Definition, target: &Definition) -> Self {
        // Without being capped, a collection has no limits.
        let any_capped = [archive, target]
            .iter()
            .any(|options| options.get_bool("capped") == Some(true));
        let telling = |options| {
            let mut fields = fields(Definition::as_raw(options));
            fields.retain(|key, value| !says_nothing(key, *value));
            fields.retain(|key, _| any_capped || (key != "size" && key != "max"));
            map(fields.into_iter().map(|(key, value)| (key.clone(), (key, value))))
        };
        Self::of(&telling(archive), &telling(target), |(key, a), (_, b)| {
            same(*a, *b, MAX_DEPTH) || is_completed(key, *a, *b)
        })
    }

    /// Compares indexes by name. That an archive does not mention the index on `_id`, as older ones did not, is no
    /// difference.
    pub fn of_indexes(archive: &[Definition], target: &[Definition]) -> Self {
        let by_name = |indexes| -> BTreeMap<String, &Definition> {
            let named = |index: &'_ Definition| index.get_str("name").unwrap_or("(without a name)").to_owned();
            let indexes: &[Definition] = indexes;
            indexes.iter().map(|index| (named(index), index)).collect()
        };
        let mut diff = Self::of(&by_name(archive), &by_name(target), |a, b| same_index(a, b));
        diff.removed.retain(|name| name != "_id_");
        diff
    }

    fn of<T>(archive: &BTreeMap<String, T>, target: &BTreeMap<String, T>, same: impl Fn(&T, &T) -> bool) -> Self {
        let mut diff = Self::default();
        for (name, value) in archive {
            match target.get(name) {
                None => diff.added.push(name.clone()),
                Some(other) if !same(value, other) => diff.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        diff.removed = target
            .keys()
            .filter(|name| !archive.contains_key(*name))
            .cloned()
            .collect();
        diff
    }
}

/// As `only in the archive: a, b; only in the database: c; different: d`; names with control characters are quoted.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = [
            ("only in the archive", &self.added),
            ("only in the database", &self.removed),
            ("different", &self.changed),
        ];
        let groups = groups.iter().filter(|(_, names)| !names.is_empty());
        for (place, (what, names)) in groups.enumerate() {
            let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
            let before = if place == 0 { "" } else { "; " };
            write!(f, "{before}{what}: {}", names.join(", "))?;
        }
        Ok(())
    }
}

/// Options that only repeat what holds without them, so that one server reports them and another does not.
fn says_nothing(key: &str, value: RawBsonRef<'_>) -> bool {
    match (key, value) {
        // Of servers before 4.2: neither says anything about documents, and neither is taken today.
        ("autoIndexId" | "flags" | "temp" | "usePowerOf2Sizes", _) => true,
        ("validationLevel", RawBsonRef::String(level)) => level == "strict",
        ("validationAction", RawBsonRef::String(action)) => action == "error",
        ("validator", RawBsonRef::Document(validator)) => validator.is_empty(),
        ("pipeline", RawBsonRef::Array(pipeline)) => pipeline.is_empty(),
        ("capped", RawBsonRef::Boolean(false)) => true,
        _ => false,
    }
}

/// Whether `target` is what a server makes of `archive`: it fills in what a time series, a collation or a clustered
/// index does not say (`bucketMaxSpanSeconds`, the collation's `version`, the index's `name`), and rounds the size of a
/// capped collection up to 256 bytes.
fn is_completed(key: &str, archive: RawBsonRef<'_>, target: RawBsonRef<'_>) -> bool {
    match (key, archive, target) {
        (
            "timeseries" | "collation" | "clusteredIndex",
            RawBsonRef::Document(archive),
            RawBsonRef::Document(target),
        ) => {
            let target = fields(target);
            fields(archive)
                .iter()
                .all(|(key, value)| target.get(key).is_some_and(|other| same(*value, *other, MAX_DEPTH)))
        }
        ("size", archive, target) => match (number(archive), number(target)) {
            (Some(archive), Some(target)) => (archive / 256.0).ceil() * 256.0 == target,
            _ => false,
        },
        _ => false,
    }
}

/// As deep as a server's documents go; what is deeper in a hostile archive counts as different.
const MAX_DEPTH: usize = 200;

fn fields(document: &RawDocument) -> BTreeMap<String, RawBsonRef<'_>> {
    let fields = document.iter().map_while(Result::ok);
    fields.map(|(key, value)| (key.as_str().to_owned(), value)).collect()
}

/// Indexes are the same whatever the order of their options. `ns` is gone since MongoDB 4.4, `background` has meant
/// nothing since 4.2. From 9.0 on, a server says where an index has the simple collation; before, it did not mention it.
/// The index on `_id` is the server's: each makes it in the version that it has, and says or does not
/// say that it is unique.
fn same_index(archive: &Definition, target: &Definition) -> bool {
    let options = |index| -> BTreeMap<String, RawBsonRef<'_>> {
        let index: &Definition = index;
        let is_servers = index.get_str("name") == Some("_id_");
        let mut options = fields(index.as_raw());
        options.retain(|key, _| key != "ns" && key != "background");
        options.retain(|key, value| key != "collation" || !is_simple(*value));
        options.retain(|key, value| !SWITCHES.contains(&key.as_str()) || is_on(*value));
        options.retain(|key, _| !is_servers || (key != "v" && key != "unique"));
        options
    };
    let (archive, target) = (options(archive), options(target));
    let same = |key: &str, value: RawBsonRef<'_>, other: RawBsonRef<'_>| match (key, number(value), number(other)) {
        // Both are on.
        (key, ..) if SWITCHES.contains(&key) => true,
        ("expireAfterSeconds", Some(seconds), Some(others)) => whole_seconds(seconds) == whole_seconds(others),
        _ => same(value, other, MAX_DEPTH),
    };
    archive.len() == target.len()
        && archive
            .iter()
            .all(|(key, value)| target.get(key).is_some_and(|other| same(key, *value, *other)))
}

/// Options of an index that are on or off; one that is off may as well be left out.
const SWITCHES: [&str; 4] = ["hidden", "prepareUnique", "sparse", "unique"];

/// Whether strings are compared by their bytes.
fn is_simple(collation: RawBsonRef<'_>) -> bool {
    let RawBsonRef::Document(collation) = collation else {
        return false;
    };
    matches!(collation.get_str("locale"), Ok("simple"))
}

/// Indexes without those that come with a collection.
pub(crate) fn without_own(indexes: &[Definition]) -> Vec<Definition> {
    indexes
        .iter()
        .filter(|index| index.get_str("name") != Some("_id_") && index.get_bool("clustered") != Some(true))
        .cloned()
        .collect()
}

/// Equality as a server sees definitions: order counts, but not which type of number it is (relaxed JSON and old
/// drivers do not keep it).
fn same(a: RawBsonRef<'_>, b: RawBsonRef<'_>, depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    match (a, b) {
        (RawBsonRef::Document(a), RawBsonRef::Document(b)) => same_fields(a, b, depth),
        (RawBsonRef::Array(a), RawBsonRef::Array(b)) => {
            let (mut a, mut b) = (a.into_iter(), b.into_iter());
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return true,
                    (Some(Ok(a)), Some(Ok(b))) if same(a, b, depth - 1) => {}
                    _ => return false,
                }
            }
        }
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

fn same_fields(a: &RawDocument, b: &RawDocument, depth: usize) -> bool {
    let (mut a, mut b) = (a.iter(), b.iter());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(Ok((key, a))), Some(Ok((other, b)))) if key == other && same(a, b, depth - 1) => {}
            _ => return false,
        }
    }
}

fn number(value: RawBsonRef<'_>) -> Option<f64> {
    match value {
        RawBsonRef::Int32(n) => Some(f64::from(n)),
        // Definitions hold no number beyond 2^53: sizes, seconds and directions.
        RawBsonRef::Int64(n) => Some(n as f64),
        RawBsonRef::Double(n) => Some(n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn options(archive: bson::RawDocumentBuf, target: bson::RawDocumentBuf) -> Diff {
        Diff::of_options(&archive.into(), &target.into())
    }

    #[test]
    fn options_differ_by_key() {
        let diff = options(
            rawdoc! { "capped": true, "size": 4096, "validator": { "a": { "$gt": 1, "$lt": 5 } } },
            rawdoc! { "size": 4096_i64, "validator": { "a": { "$lt": 5, "$gt": 1 } }, "collation": { "locale": "de" } },
        );
        assert_eq!(
            (diff.added, diff.removed, diff.changed),
            (
                vec!["capped".to_owned()],
                vec!["collation".to_owned()],
                vec!["validator".to_owned()],
            )
        );
        assert!(options(rawdoc! {}, rawdoc! {}).is_empty());
    }

    #[test]
    fn what_a_server_fills_in_is_no_difference() {
        let asked = rawdoc! {
            "timeseries": { "timeField": "ts", "granularity": "hours" }, "autoIndexId": true,
            "capped": true, "size": 1000, "collation": { "locale": "de" }, "validator": { "a": 1 },
        };
        let reported = rawdoc! {
            "capped": true, "size": 1024, "collation": { "locale": "de", "strength": 3, "version": "57.1" },
            "timeseries": { "timeField": "ts", "granularity": "hours", "bucketMaxSpanSeconds": 2_592_000 },
            "validator": { "a": 1 }, "validationLevel": "strict", "validationAction": "error",
        };
        assert!(options(asked, reported).is_empty());
        let other = options(
            rawdoc! { "timeseries": { "timeField": "ts", "granularity": "hours" }, "validator": { "a": 1 } },
            rawdoc! { "timeseries": { "timeField": "ts", "granularity": "minutes" }, "validator": { "a": 1 }, "validationLevel": "moderate" },
        );
        assert_eq!(
            (other.changed, other.removed),
            (vec!["timeseries".to_owned()], vec!["validationLevel".to_owned()])
        );
    }

    /// A collection of an old server was never equal to what was restored of it.
    #[test]
    fn the_index_on_id_is_the_same_in_every_version() {
        let id = |more: bson::RawDocumentBuf| {
            let mut index = rawdoc! { "name": "_id_", "key": { "_id": 1 } };
            more.iter()
                .flatten()
                .for_each(|(name, value)| index.append(name, value));
            Definition::new(index)
        };
        let old = [id(rawdoc! { "v": 1, "ns": "shop.orders", "unique": true })];
        assert!(Diff::of_indexes(&old, &[id(rawdoc! { "v": 2 })]).is_empty());
        assert!(Diff::of_indexes(&[], &old).is_empty());
        let other = [id(rawdoc! { "v": 2, "collation": { "locale": "de" } })];
        assert_eq!(Diff::of_indexes(&old, &other).changed, ["_id_"]);
    }

    #[test]
    fn indexes_differ_by_definition_and_key_order_counts() {
        let one = |key: bson::RawDocumentBuf| Definition::new(rawdoc! { "v": 2, "key": key, "name": "i", "ns": "a.b" });
        let other = |key: bson::RawDocumentBuf| {
            Definition::new(rawdoc! { "key": key, "name": "i", "v": 2.0, "background": true })
        };
        let diff = |a, b| Diff::of_indexes(&[a], &[b]);
        assert!(diff(one(rawdoc! { "a": 1, "b": 1 }), other(rawdoc! { "a": 1.0, "b": 1 })).is_empty());
        assert_eq!(
            diff(one(rawdoc! { "a": 1, "b": 1 }), other(rawdoc! { "b": 1, "a": 1 })).changed,
            ["i"]
        );
        let key = || rawdoc! { "a": 1 };
        let collated = |locale: &str| {
            Definition::new(rawdoc! {"v": 2, "key": key(), "name": "i", "collation": {"locale": locale}})
        };
        assert!(diff(one(key()), collated("simple")).is_empty());
        assert!(diff(collated("simple"), one(key())).is_empty());
        assert_eq!(diff(collated("de"), collated("simple")).changed, ["i"]);
        let with = |option: bson::RawBson| {
            let mut index = rawdoc! {"v": 2, "key": key(), "name": "i"};
            index.append(bson::cstr!("sparse"), option);
            Definition::new(index)
        };
        for off in [0.into(), false.into(), 0.0.into()] {
            assert!(diff(with(off), one(key())).is_empty());
        }
        assert!(diff(with(1.into()), with(true.into())).is_empty());
        assert_eq!(diff(with(1.into()), one(key())).changed, ["i"]);
        assert_eq!(Diff::of_indexes(&[], &[one(rawdoc! {})]).removed, ["i"]);
        assert_eq!(Diff::of_indexes(&[one(rawdoc! {})], &[]).added, ["i"]);
    }

    #[test]
    fn endless_nesting_is_no_trouble() {
        let mut deep = rawdoc! {};
        for _ in 0..5_000 {
            deep = rawdoc! { "a": deep };
        }
        assert_eq!(options(deep.clone(), deep).changed, ["a"]);
    }
}
