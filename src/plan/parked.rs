//! Time to live, left off until somebody switches it on.
//!
//! A parked index is built without `expireAfterSeconds`. The longest time that a server takes would do in most
//! databases, but documents dated before 1958 (many drivers write "never" as `0001-01-01`) would still expire.

use serde::{Deserialize, Serialize};

use super::conflicts::Conflict;
use crate::catalog::{Catalog, Collection, Definition, expires, expiry, says_expiry, without_expiry};
use crate::wording::shown;

/// What documents do not expire by, although the archive says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Parked {
    /// The index, or the options of a time series or clustered collection, as in the archive.
    pub definition: Definition,
    /// What switches it on, in `mongosh`: commands to be run in this order.
    pub switch_on: Vec<String>,
}

impl Parked {
    /// An index, or options, of a collection that is to be in `target`.
    pub(crate) fn new(definition: &Definition, collection: &str, target: &Catalog) -> Self {
        let name = index_name(definition);
        let there = target.get(collection).into_iter().flat_map(|there| &there.indexes);
        let mut same = there.filter(|there| there.get_str("name") == name);
        let converts = target.server.features.index_expiry_set || same.any(says_expiry);
        let switch_on = match name.filter(|_| !converts) {
            Some(name) => vec![
                run(
                    target,
                    &format!(
                        "{{\"dropIndexes\": {}, \"index\": {}}}",
                        quoted(collection),
                        quoted(name)
                    ),
                ),
                run(
                    target,
                    &format!(
                        "EJSON.deserialize({{\"createIndexes\": {}, \"indexes\": [{definition}]}})",
                        quoted(collection)
                    ),
                ),
            ],
            None => {
                let seconds = expiry(definition).unwrap_or_default().to_string();
                vec![set_expiry(definition, collection, target, &seconds)]
            }
        };
        Self {
            definition: definition.clone(),
            switch_on,
        }
    }
}

/// Of an index; options have none.
fn index_name(definition: &Definition) -> Option<&str> {
    definition
        .get_str("name")
        .filter(|_| definition.get_document("key").is_some())
}

fn set_expiry(definition: &Definition, collection: &str, target: &Catalog, to: &str) -> String {
    let collection = quoted(collection);
    run(
        target,
        &match index_name(definition) {
            Some(name) => format!(
                "{{\"collMod\": {collection}, \"index\": {{\"name\": {}, \"expireAfterSeconds\": {to}}}}}",
                quoted(name)
            ),
            None => format!("{{\"collMod\": {collection}, \"expireAfterSeconds\": {to}}}"),
        },
    )
}

fn run(target: &Catalog, command: &str) -> String {
    format!("db.getSiblingDB({}).runCommand({command})", quoted(&target.database))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Which it is, and after how long documents expire: `index "ttl" (after 90000 s), switched on by …`.
impl std::fmt::Display for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}, switched on by {}",
            said(&self.definition),
            self.switch_on.join("; ")
        )
    }
}

pub(super) fn said(definition: &Definition) -> String {
    let seconds = expiry(definition).unwrap_or_default();
    match index_name(definition) {
        Some(name) => format!("index {} (after {seconds} s)", shown(name)),
        None => format!("the collection's own (after {seconds} s)"),
    }
}

/// What of an archive's definitions is the same in the database but for its expiry, which is off there. Those that are
/// so are compared without it.
pub(crate) fn off_there(
    (archive, database): (&[Definition], &[Definition]),
) -> (Vec<Definition>, Vec<Definition>, Vec<Definition>) {
    let (mut ours, mut theirs, mut off) = (archive.to_vec(), database.to_vec(), Vec::new());
    for ours in ours.iter_mut().filter(|ours| expires(ours)) {
        let there = theirs
            .iter_mut()
            .find(|there| there.get_str("name") == ours.get_str("name"));
        if let Some(there) = there.filter(|there| !expires(there)) {
            off.push(std::mem::replace(ours, without_expiry(ours)));
            *there = without_expiry(there);
        }
    }
    (ours, theirs, off)
}

/// What stands in the way of a merge without expiry: documents would be put in where they expire.
pub(super) fn conflict(present: &Collection, target: &Catalog) -> Option<Conflict> {
    let own = std::iter::once(&present.options).chain(&present.indexes);
    let expiring = own.into_iter().find(|definition| expires(definition))?;
    let longest = match index_name(expiring) {
        Some(_) => "2147483647",
        None => "\"off\"",
    };
    let off = set_expiry(expiring, &present.name, target, longest);
    Some(Conflict::of(
        &present.name,
        format!(
            "park_ttl (--park-ttl) is set, but expiry is on for the collection to merge into: {}",
            said(expiring)
        ),
        format!("replace the collection, restore it under another name, or switch its expiry off first: {off}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{catalog, server};
    use bson::rawdoc;

    /// `collMod` gives an index a time to live only since 5.1.
    #[test]
    fn an_old_server_builds_the_index_anew() {
        let index = rawdoc! {"v": 2, "key": {"at": 1}, "name": "t\"tl", "expireAfterSeconds": 3600};
        let (index, mut target) = (Definition::new(index), catalog([]));
        target.server = server("5.0.31");
        let commands = Parked::new(&index, "orders", &target).switch_on;
        assert_eq!(commands.len(), 2);
        assert!(
            commands[0].ends_with(r#"runCommand({"dropIndexes": "orders", "index": "t\"tl"})"#),
            "{commands:?}"
        );
        assert!(
            commands[1].contains(r#"EJSON.deserialize({"createIndexes": "orders", "indexes": [{"v":"#),
            "{commands:?}"
        );
    }
}
