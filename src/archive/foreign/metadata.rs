//! Definitions as others wrote them: `collections_metadata.json` in all its shapes, and `mongodump`'s `.metadata.json`.
//!
//! `serde_json` parses the outer JSON and keeps each definition's text; only that is read as Extended JSON.

use std::fmt;

use bson::RawDocumentBuf;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::encoding::utf8;
use crate::catalog::{Definition, Kind};

/// What is said of one collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Described {
    /// The name inside the definition, where it is said there.
    pub(super) name: Option<String>,
    /// `None`: it is not said, and follows from the options.
    pub(super) kind: Option<Kind>,
    pub(super) options: Definition,
    pub(super) indexes: Vec<Definition>,
    pub(super) uuid: Option<String>,
    /// What could not be read of it.
    pub(super) fault: Option<String>,
    /// Whether indexes are said at all. In a file for all collections only mongotar says them.
    pub(super) has_indexes: bool,
}

impl Described {
    /// What it is: as said, or as the options show.
    pub(super) fn kind(&self) -> Kind {
        let by_options = if self.options.get_str("viewOn").is_some() {
            Kind::View
        } else if self.options.get_document("timeseries").is_some() {
            Kind::Timeseries
        } else {
            Kind::Collection
        };
        self.kind.unwrap_or(by_options)
    }
}

/// Reads `collections_metadata.json`: `{name: options}`, `{name: {"type": …, "options": …}}`, or a list of
/// `listCollections` entries.
///
/// # Errors
/// Why it is none of these.
pub(super) fn all(text: &[u8]) -> Result<Vec<(String, Described)>, String> {
    let text = utf8(text)?;
    if text.starts_with('[') {
        let list: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let named = list.iter().map(|entry| {
            let described = fields(entry)?;
            let name = described.name.clone().ok_or("an entry of the list has no name")?;
            Ok((name, described))
        });
        return named.collect();
    }
    let Ordered(collections) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let read = collections.into_iter().map(|(name, value)| {
        let described = match is_entry(&value)? {
            true => fields(&value)?,
            false => {
                let mut described = Described::default();
                described.options = definition(&value, &mut described.fault);
                described
            }
        };
        Ok((name, described))
    });
    read.collect()
}

/// Reads a `.metadata.json`.
///
/// # Errors
/// Why it is none.
pub(super) fn one(text: &[u8]) -> Result<Described, String> {
    let value: Box<RawValue> = serde_json::from_str(utf8(text)?).map_err(|error| error.to_string())?;
    fields(&value)
}

/// Whether a value describes a collection, rather than being its options: no option of a collection has one of these
/// names.
fn is_entry(value: &RawValue) -> Result<bool, String> {
    if value.get() == "null" {
        return Ok(false);
    }
    let Ordered(fields) = serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
    Ok(fields.iter().any(|(key, _)| key == "options" || key == "type"))
}

fn fields(value: &RawValue) -> Result<Described, String> {
    let Ordered(fields) = serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
    let mut described = Described::default();
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
    for (key, value) in fields {
        match key.as_str() {
            "name" | "collectionName" => described.name = text(&value),
            "type" => match text(&value).as_deref() {
                Some("collection") => described.kind = Some(Kind::Collection),
                Some("timeseries") => described.kind = Some(Kind::Timeseries),
                Some("view") => described.kind = Some(Kind::View),
                Some("") | None => {}
                Some(other) => described.fault = Some(format!("its type is unknown: {other:?}")),
            },
            "options" => described.options = definition(&value, &mut described.fault),
            "indexes" => {
                described.indexes = indexes(&value, &mut described.fault);
                described.has_indexes = true;
            }
            "uuid" => described.uuid = text(&value),
            _ => {}
        }
    }
    Ok(described)
}

fn indexes(value: &RawValue, fault: &mut Option<String>) -> Vec<Definition> {
    match serde_json::from_str::<Option<Vec<Box<RawValue>>>>(value.get()) {
        Ok(list) => list
            .into_iter()
            .flatten()
            .map(|index| definition(&index, fault))
            .collect(),
        Err(error) => {
            *fault = Some(format!("its indexes cannot be read: {error}"));
            Vec::new()
        }
    }
}

/// Options or an index, without what old dumps repeat in it: `ns`, which a server refuses today, and the command
/// `create` itself.
fn definition(value: &RawValue, fault: &mut Option<String>) -> Definition {
    if value.get() == "null" {
        return Definition::empty();
    }
    let read = match Definition::from_json(value.get()) {
        Ok(read) => read,
        Err(error) => {
            *fault = Some(format!("its definition cannot be read: {error}"));
            return Definition::empty();
        }
    };
    without_repeats(read)
}

fn without_repeats(read: Definition) -> Definition {
    let repeats = |key: &str| key == "ns" || key == "create";
    if !read
        .as_raw()
        .iter_elements()
        .flatten()
        .any(|element| repeats(element.key().as_str()))
    {
        return read;
    }
    let mut kept = RawDocumentBuf::new();
    for (key, value) in read
        .as_raw()
        .iter()
        .map_while(Result::ok)
        .filter(|(key, _)| !repeats(key.as_str()))
    {
        kept.append(key, value);
    }
    Definition::new(kept)
}

/// A document of `system.indexes`: whose index it is, and the index. `None` if it says neither.
pub(super) fn listed_index(document: &[u8]) -> Option<(String, Definition)> {
    let index = RawDocumentBuf::from_bytes(document.to_vec()).ok()?;
    let (_, collection) = index.get_str("ns").ok()?.split_once('.')?;
    let collection = collection.to_owned();
    Some((collection, without_repeats(Definition::new(index))))
}

/// An object's fields in their order, values as text.
struct Ordered(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Ordered(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_shapes_say_the_same() {
        let options = r#"{"timeseries": {"timeField": "ts", "metaField": "meta"}, "expireAfterSeconds": 5}"#;
        for text in [
            format!(r#"{{"r": {options}, "c": {{}}}}"#),
            format!(
                r#"{{"r": {{"type": "timeseries", "options": {options}}}, "c": {{"type": "collection", "options": {{}}}}}}"#
            ),
            format!(
                "\u{feff}\n[{{\"name\": \"r\", \"type\": \"timeseries\", \"options\": {options}, \"info\": {{\"readOnly\": false}}}}, \
                 {{\"name\": \"c\", \"type\": \"collection\", \"options\": {{}}}}]"
            ),
        ] {
            let all = all(text.as_bytes()).expect(&text);
            let seen: Vec<_> = all
                .iter()
                .map(|(name, described)| (name.as_str(), described.kind()))
                .collect();
            assert_eq!(seen, [("r", Kind::Timeseries), ("c", Kind::Collection)], "{text}");
            assert_eq!(
                all[0].1.options.to_string(),
                r#"{"timeseries":{"timeField":"ts","metaField":"meta"},"expireAfterSeconds":{"$numberInt":"5"}}"#
            );
        }
    }

    #[test]
    fn what_old_dumps_repeat_is_left_out() {
        let old = br#"{"options":{"create":"c","capped":true},"indexes":[{"v":1,"key":{"b":1,"a":-1.0},"name":"i","ns":"d.c"}]}"#;
        let described = one(old).expect("valid");
        assert_eq!(described.options.to_string(), r#"{"capped":true}"#);
        assert_eq!(
            described.indexes[0].to_string(),
            r#"{"v":{"$numberInt":"1"},"key":{"b":{"$numberInt":"1"},"a":{"$numberDouble":"-1.0"}},"name":"i"}"#
        );
    }

    #[test]
    fn faults_stay_with_their_collection() {
        let text = br#"{"a": {"type": "hologram", "options": {}}, "b": {"x": {"$oid": 5}}, "c": null}"#;
        let all = all(text).expect("readable as a whole");
        assert!(
            all[0]
                .1
                .fault
                .as_deref()
                .is_some_and(|fault| fault.contains("hologram"))
        );
        assert!(
            all[1]
                .1
                .fault
                .as_deref()
                .is_some_and(|fault| fault.contains("cannot be read"))
        );
        assert_eq!(all[2].1, Described::default());
    }

    #[test]
    fn what_is_none_of_the_shapes_is_refused() {
        for text in ["", "5", "[5]", "[{}]", "{", r#"{"a": 5}"#] {
            assert!(all(text.as_bytes()).is_err(), "{text:?}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(all(deep.as_bytes()).is_err());
    }
}
