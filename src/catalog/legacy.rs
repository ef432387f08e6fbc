//! Indexes as servers before 3.4 took them: any value for a direction, any option. Today's servers refuse them, but old
//! dumps and upgraded databases have them.
//!
//! Converts what `mongorestore --convertLegacyIndexes` converts (mongo-tools, `common/bsonutil/indexes.go`), and also a
//! direction that is a number written as text, version 0, and switches that are no booleans.

use std::collections::btree_map::Entry;

use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf, cstr};

use super::Definition;
use crate::ordered::map;

/// Options of an index that a server knows.
const OPTIONS: [&str; 26] = [
    "2dsphereIndexVersion",
    "background",
    "bits",
    "bucketSize",
    "clustered",
    "coarsestIndexedLevel",
    "collation",
    "default_language",
    "expireAfterSeconds",
    "finestIndexedLevel",
    "hidden",
    "key",
    "language_override",
    "max",
    "min",
    "name",
    "ns",
    "originalSpec",
    "partialFilterExpression",
    "prepareUnique",
    "sparse",
    "storageEngine",
    "textIndexVersion",
    "unique",
    "v",
    "weights",
];
/// The same, by the beginnings of their names: options of indexes that came later.
const FAMILIES: [&str; 3] = ["wildcard", "columnstore", "vector"];
const SWITCHES: [&str; 3] = ["background", "sparse", "unique"];
/// Below this, a number is no direction.
const EPSILON: f64 = 1e-9;

/// All indexes of a collection as servers of today take them, and what was converted, in words. Two of an old server may
/// become the same; then the second is left out, as `mongorestore` does.
pub(crate) fn modern_indexes(indexes: &[Definition]) -> (Vec<Definition>, Vec<String>) {
    let (mut kept, mut said) = (Vec::new(), Vec::new());
    // The index on `_id` comes with the collection.
    let conversion = |index: &Definition| modern(index).filter(|_| index.get_str("name") != Some("_id_"));
    let name = |index: &Definition| index.get_str("name").unwrap_or("(unnamed)").to_owned();
    let as_they_are = indexes.iter().filter(|index| conversion(index).is_none());
    let mut taken = map(as_they_are.map(|index| (telling(index), name(index))));
    for index in indexes {
        let Some((modern, changes)) = conversion(index) else {
            kept.push(index.clone());
            continue;
        };
        match taken.entry(telling(&modern)) {
            Entry::Occupied(twin) => said.push(format!(
                "its index {:?} is of an old server, and left out: converted ({changes}), it is the same as {:?}",
                name(index),
                twin.get()
            )),
            Entry::Vacant(free) => {
                said.push(format!(
                    "its index {:?} is of an old server, and converted as mongorestore --convertLegacyIndexes does: {changes}",
                    name(index)
                ));
                free.insert(name(&modern));
                kept.push(modern);
            }
        }
    }
    (kept, said)
}

/// What tells an index from others of its collection, apart from its name: of two that are the same, a server takes one.
fn telling(index: &Definition) -> Vec<u8> {
    let options = map(index.as_raw().iter().map_while(Result::ok));
    let mut telling = RawDocumentBuf::new();
    for (option, value) in options {
        match option.as_str() {
            "name" | "v" | "ns" | "background" => {}
            switch if SWITCHES.contains(&switch) => {
                if is_on(value) {
                    telling.append(option, true);
                }
            }
            _ => telling.append(option, with_doubles(value)),
        }
    }
    telling.into_bytes()
}

/// Numbers are the same directions whatever their type.
fn with_doubles(value: RawBsonRef<'_>) -> RawBson {
    match (value, number(value)) {
        (_, Some(number)) => RawBson::Double(number),
        (RawBsonRef::Document(document), _) => {
            let mut doubles = RawDocumentBuf::new();
            for (field, value) in document.iter().map_while(Result::ok) {
                match number(value) {
                    Some(number) => doubles.append(field, number),
                    None => doubles.append(field, value),
                }
            }
            RawBson::Document(doubles)
        }
        (value, None) => value.into(),
    }
}

/// The index as servers of today take it, and list it then; and what was changed. `None` if that is nothing. Indexes of
/// version 2 were made by a server of today, or by a later one with options that are not known here: those stay.
fn modern(index: &Definition) -> Option<(Definition, String)> {
    let version = index.as_raw().get("v").ok().flatten().and_then(number);
    let is_old = version.is_none_or(|version| version < 2.0);
    let mut modern = RawDocumentBuf::new();
    let mut changes = Vec::new();
    for (name, value) in index.as_raw().iter().map_while(Result::ok) {
        match (name.as_str(), value) {
            ("key", RawBsonRef::Document(key)) if is_old => match modern_key(key, &mut changes) {
                Some(converted) => modern.append(name, converted),
                None => modern.append(name, value),
            },
            ("v", version) if number(version) == Some(0.0) => {
                changes.push("version 0: 2".to_owned());
                modern.append(name, 2);
            }
            (switch, value) if SWITCHES.contains(&switch) && !is_switch(value) => {
                let on = is_on(value);
                changes.push(format!("{switch}: {on}"));
                modern.append(name, on);
            }
            ("expireAfterSeconds", RawBsonRef::Double(given)) if given.fract() != 0.0 => {
                let seconds = whole_seconds(given);
                changes.push(format!("expireAfterSeconds: {seconds}"));
                modern.append(name, seconds);
            }
            // An old server took any value, and let nothing expire by what is no number.
            ("expireAfterSeconds", value) if number(value).is_none() && !matches!(value, RawBsonRef::Decimal128(_)) => {
                changes.push("expireAfterSeconds left out, which is no number: nothing ever expired by it".to_owned());
            }
            (option, value) => match is_known(option) || !is_old {
                true => modern.append(name, value),
                false => changes.push(format!("option {option:?} left out")),
            },
        }
    }
    if index.get_str("name").is_none()
        && let Some(key) = index.get_document("key")
    {
        let name = usual_name(key);
        changes.push(format!("name: {name}"));
        modern.append(cstr!("name"), name);
    }
    (!changes.is_empty()).then(|| (Definition::new(modern), changes.join(", ")))
}

/// The name that drivers give: `a_1_b_-1`.
fn usual_name(key: &RawDocument) -> String {
    let fields = key
        .iter()
        .map_while(Result::ok)
        .map(|(field, value)| match (value, number(value)) {
            (_, Some(number)) => format!("{field}_{number}"),
            (RawBsonRef::String(kind), _) if !kind.is_empty() => format!("{field}_{kind}"),
            _ => format!("{field}_1"),
        });
    fields.collect::<Vec<_>>().join("_")
}

fn is_known(option: &str) -> bool {
    OPTIONS.contains(&option) || FAMILIES.iter().any(|family| option.starts_with(family))
}

fn modern_key(key: &RawDocument, changes: &mut Vec<String>) -> Option<RawDocumentBuf> {
    let mut modern = RawDocumentBuf::new();
    let mut converted = false;
    for (field, value) in key.iter().map_while(Result::ok) {
        match direction(value) {
            Some(direction) => {
                changes.push(format!("direction of {:?}: {direction}", field.as_str()));
                modern.append(field, direction);
                converted = true;
            }
            None => modern.append(field, value),
        }
    }
    converted.then_some(modern)
}

/// What stands for a direction that no server takes today; `None` if it is one, or the name of a kind of index.
fn direction(value: RawBsonRef<'_>) -> Option<i32> {
    match value {
        RawBsonRef::String(text) => match text.trim().parse::<f64>() {
            _ if text.is_empty() => Some(1),
            Ok(number) => Some(if number < 0.0 { -1 } else { 1 }),
            Err(_) => None,
        },
        RawBsonRef::Double(number) if number.abs() < EPSILON => Some(if number >= 0.0 { 1 } else { -1 }),
        RawBsonRef::Decimal128(number) => match number.to_string().parse::<f64>() {
            Ok(0.0) => Some(1),
            _ => None,
        },
        value => match number(value) {
            Some(0.0) => Some(1),
            Some(_) => None,
            None => Some(1),
        },
    }
}

fn number(value: RawBsonRef<'_>) -> Option<f64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number as f64),
        RawBsonRef::Double(number) => Some(number),
        _ => None,
    }
}

fn is_switch(value: RawBsonRef<'_>) -> bool {
    matches!(value, RawBsonRef::Boolean(_)) || number(value).is_some()
}

/// Whether a switch is on: servers take numbers for it, too.
pub(crate) fn is_on(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Boolean(on) => on,
        RawBsonRef::Null | RawBsonRef::Undefined => false,
        value => number(value) != Some(0.0),
    }
}

/// A time to live as servers list it: whole seconds, and for what is no number, 68 years (since 5.0.14 and 6.0.2; before,
/// documents expired at once).
pub(crate) fn whole_seconds(given: f64) -> f64 {
    match given.is_nan() {
        true => f64::from(i32::MAX),
        false => given.trunc(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, rawdoc};

    #[test]
    fn what_old_servers_took_becomes_what_new_ones_take() {
        for (value, expected) in [
            (Bson::Boolean(true), "1"),
            (Bson::Null, "1"),
            (Bson::String(String::new()), "1"),
            (Bson::String("1".to_owned()), "1"),
            (Bson::String("-1".to_owned()), "-1"),
            (Bson::Int32(0), "1"),
            (Bson::Int64(0), "1"),
            (Bson::Double(-1e-12), "-1"),
        ] {
            let mut key = RawDocumentBuf::new();
            key.append(cstr!("a"), bson::RawBson::try_from(value.clone()).expect("simple"));
            let (modern, changes) = super::modern(&Definition::new(rawdoc! {"key": key, "name": "i"})).expect("old");
            assert_eq!(
                modern.to_string(),
                format!(r#"{{"key":{{"a":{{"$numberInt":"{expected}"}}}},"name":"i"}}"#),
                "{value}"
            );
            assert_eq!(changes, format!("direction of \"a\": {expected}"));
        }
        let old = rawdoc! {"v": 0, "key": {"a": 1}, "name": "i", "safe": bson::RawBson::Null, "dropDups": true, "sparse": "true"};
        let (modern, changes) = super::modern(&Definition::new(old)).expect("old");
        assert_eq!(
            modern.as_raw(),
            &*rawdoc! {"v": 2, "key": {"a": 1}, "name": "i", "sparse": true}
        );
        assert_eq!(
            changes,
            "version 0: 2, option \"safe\" left out, option \"dropDups\" left out, sparse: true"
        );
    }

    #[test]
    fn of_two_that_become_the_same_one_is_left_out() {
        let index = |key: RawDocumentBuf, name: &str| Definition::new(rawdoc! {"key": key, "name": name});
        let indexes = [
            index(rawdoc! {"a": true}, "a_true"),
            index(rawdoc! {"a": 1.0}, "a_1"),
            index(rawdoc! {"a": ""}, "a_"),
            index(rawdoc! {"b": ""}, "b_"),
            Definition::new(rawdoc! {"key": {"b": "1"}, "name": "b_unique", "unique": true}),
        ];
        let (kept, said) = modern_indexes(&indexes);
        let names: Vec<_> = kept.iter().filter_map(|index| index.get_str("name")).collect();
        assert_eq!(names, ["a_1", "b_", "b_unique"]);
        assert!(
            said[0].contains("the same as \"a_1\"") && said[1].contains("left out"),
            "{said:?}"
        );
    }

    /// An archive of a stranger's may say what it likes; each index is looked up, and not compared with all others.
    #[test]
    fn very_many_indexes_take_no_longer_each() {
        let index = |at: i32| Definition::new(rawdoc! {"key": {"a": true, "b": at}, "name": at.to_string()});
        let indexes: Vec<Definition> = (1..=50_000).map(index).collect();
        let (kept, said) = modern_indexes(&indexes);
        assert_eq!((kept.len(), said.len()), (50_000, 50_000));
    }

    #[test]
    fn an_index_without_a_name_gets_the_usual_one() {
        let key = rawdoc! {"a": 1.0, "b.c": -1, "d": "text", "e": true};
        let (modern, changes) = super::modern(&Definition::new(rawdoc! {"v": 1, "key": key})).expect("unnamed");
        assert_eq!(modern.get_str("name"), Some("a_1_b.c_-1_d_text_e_1"));
        assert!(changes.ends_with("name: a_1_b.c_-1_d_text_e_1"), "{changes}");
    }

    #[test]
    fn a_time_to_live_becomes_what_servers_make_of_it() {
        for (given, seconds) in [(f64::NAN, 2_147_483_647.0), (1.5, 1.0), (-0.5, -0.0)] {
            let index = Definition::new(rawdoc! {"v": 2, "key": {"a": 1}, "expireAfterSeconds": given});
            let (modern, changes) = super::modern(&index).expect("odd");
            let made = modern.as_raw().get_f64("expireAfterSeconds").expect("a number");
            assert!(made == seconds, "{changes}");
        }
    }

    /// It was no time to live. As a number it would delete documents that nothing deleted before.
    #[test]
    fn a_time_to_live_that_is_no_number_is_left_out() {
        for given in [Bson::String("3600".to_owned()), Bson::Boolean(true), Bson::Null] {
            let mut index = rawdoc! {"v": 1, "key": {"a": 1}, "name": "a_1"};
            let as_it_must_be = index.clone();
            index.append(
                cstr!("expireAfterSeconds"),
                bson::RawBson::try_from(given).expect("simple"),
            );
            let (modern, changes) = super::modern(&Definition::new(index)).expect("odd");
            assert_eq!(modern.as_raw(), &*as_it_must_be);
            assert!(changes.contains("nothing ever expired"), "{changes}");
        }
    }

    #[test]
    fn what_is_taken_today_stays_as_it_is() {
        for index in [
            rawdoc! {"v": 2, "key": {"a": -1.0, "b": "2dsphere"}, "name": "i", "unique": true, "background": 1},
            rawdoc! {"v": 2, "key": {"$**": 1}, "name": "w", "wildcardProjection": {"a": 1}, "hidden": true},
            rawdoc! {"v": 3, "key": {"a": 1}, "name": "i", "optionOfTomorrow": 1},
            rawdoc! {"v": 1, "key": {"_fts": "text", "_ftsx": 1}, "weights": {"a": 1}, "textIndexVersion": 3, "name": "t"},
            rawdoc! {"key": {"loc": "2dsphere"}, "2dsphereIndexVersion": 1, "name": "g"},
        ] {
            assert_eq!(modern(&Definition::new(index.clone())), None, "{index:?}");
        }
    }
}
