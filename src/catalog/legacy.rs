//! Indexes as servers before 3.4 took them: any value for a direction, any option. Today's servers refuse them, but old
//! dumps and upgraded databases have them.
//!
//! Converts what `mongorestore --convertLegacyIndexes` converts (mongo-tools, `common/bsonutil/indexes.go`), and also a
//! direction that is a number written as text, version 0, and switches that are no booleans.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::Definition;

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

/// The index as servers of today take it, and what was changed; `None` if that is nothing. Of version 2 there are
/// only indexes that a server of today has made, or a later one with options that are not known here: they stay as they
/// are.
pub(crate) fn modern(index: &Definition) -> Option<(Definition, String)> {
    if index
        .as_raw()
        .get("v")
        .ok()
        .flatten()
        .and_then(number)
        .is_some_and(|version| version >= 2.0)
    {
        return None;
    }
    let mut modern = RawDocumentBuf::new();
    let mut changes = Vec::new();
    for (name, value) in index.as_raw().iter().map_while(Result::ok) {
        match (name.as_str(), value) {
            ("key", RawBsonRef::Document(key)) => match modern_key(key, &mut changes) {
                Some(converted) => modern.append(name, converted),
                None => modern.append(name, value),
            },
            ("v", version) if number(version) == Some(0.0) => {
                changes.push("version 0: 2".to_owned());
                modern.append(name, 2);
            }
            (switch, value) if SWITCHES.contains(&switch) && !is_switch(value) => {
                let on = value != RawBsonRef::Null && value != RawBsonRef::Undefined;
                changes.push(format!("{switch}: {on}"));
                modern.append(name, on);
            }
            (option, value) => match is_known(option) {
                true => modern.append(name, value),
                false => changes.push(format!("option {option:?} left out")),
            },
        }
    }
    (!changes.is_empty()).then(|| (Definition::new(modern), changes.join(", ")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, cstr, rawdoc};

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
    fn what_is_taken_today_stays_as_it_is() {
        for index in [
            rawdoc! {"v": 2, "key": {"a": -1.0, "b": "2dsphere"}, "name": "i", "unique": true, "background": 1},
            rawdoc! {"v": 2, "key": {"$**": 1}, "name": "w", "wildcardProjection": {"a": 1}, "hidden": true},
            rawdoc! {"v": 3, "key": {"a": 1}, "name": "i", "optionOfTomorrow": 1},
            rawdoc! {"v": 1, "key": {"_fts": "text", "_ftsx": 1}, "weights": {"a": 1}, "textIndexVersion": 3},
            rawdoc! {"key": {"loc": "2dsphere"}, "2dsphereIndexVersion": 1},
        ] {
            assert_eq!(modern(&Definition::new(index.clone())), None, "{index:?}");
        }
    }
}
