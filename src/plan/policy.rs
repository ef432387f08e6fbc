//! What a restore is asked for.

use serde::{Deserialize, Serialize};

use super::{Rename, Selection};
use crate::catalog::matches;

/// What is asked of a restore, apart from which archive and which server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Policy {
    /// The database to restore into.
    pub database: String,
    /// Which collections of the archive, by their names there.
    pub selection: Selection,
    /// Indexes that are left out, as `collection.index` by their names in the archive, or as globs of that. Both names
    /// may have dots: where a text can be read as two of them, both are meant.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exclude_indexes: Vec<String>,
    /// Collections that get another name.
    pub rename: Vec<Rename>,
    /// What happens to a collection that is there already.
    pub existing: Existing,
    /// What happens to a collection that only the target has.
    pub extra: Extra,
    /// Whether documents must pass the collections' validators.
    pub validators: Validators,
    /// Whether time series are recognised without metadata.
    pub inference: Inference,
    /// Whether documents expire when they are restored.
    #[serde(skip_serializing_if = "Ttl::is_on", default)]
    pub ttl: Ttl,
}

impl Policy {
    /// Everything into `database` with the defaults: merge, drop what is extra, enforce validators, infer time series.
    pub fn new(database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            selection: Selection::default(),
            exclude_indexes: Vec::new(),
            rename: Vec::new(),
            existing: Existing::default(),
            extra: Extra::default(),
            validators: Validators::default(),
            inference: Inference::default(),
            ttl: Ttl::default(),
        }
    }

    /// Whether only a part of the archive is requested, or under other names. Then the target's other collections are
    /// none of this restore's business, and nothing is dropped.
    pub fn is_selective(&self) -> bool {
        !self.selection.is_everything() || !self.rename.is_empty()
    }

    /// Whether an index of a collection of the archive is wanted.
    pub fn wants_index(&self, collection: &str, index: &str) -> bool {
        let name = format!("{collection}.{index}");
        !self.exclude_indexes.iter().any(|excluded| excludes(excluded, &name))
    }

    /// The name on the target of a collection of the archive.
    pub fn restored_name<'a>(&'a self, source: &'a str) -> &'a str {
        let rename = self.rename.iter().find(|rename| rename.from == source);
        rename.map_or(source, |rename| &rename.to)
    }
}

/// Whether an index, as `collection.index`, is one that is to be left out. Names can have the characters of globs, and
/// then mean themselves, too.
pub(super) fn excludes(excluded: &str, index: &str) -> bool {
    excluded == index || matches(excluded, index)
}

/// What happens to a collection that is both in the archive and on the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Existing {
    /// Documents are put in by `_id`; what else is there stays.
    #[default]
    Merge,
    /// The collection becomes what the archive holds.
    Replace,
}

/// What happens to a collection that is on the target and not in the archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Extra {
    /// It is dropped where the archive says that it is whole, so that the database becomes what was backed up. Else it
    /// stays.
    #[default]
    Drop,
    /// It is dropped also where the archive does not say that it is whole, such as a dump of `mongodump`. Never where
    /// something of the archive was not read.
    DropMissing,
    /// It stays.
    Keep,
}

/// Whether documents must pass the collections' validators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Validators {
    /// The server refuses documents that do not pass.
    #[default]
    Enforce,
    /// The restore's documents go in past the validators, which stay on for everybody else, so that nothing needs to be
    /// switched on again.
    Bypass,
}

/// Whether time series are recognised where no metadata says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Inference {
    /// By their bucket files or by a sample of their documents.
    #[default]
    On,
    /// Never.
    Off,
}

/// Whether documents expire when they are restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ttl {
    /// As the archive says, from the end of the restore on.
    #[default]
    On,
    /// Not until somebody switches that on; the plan says how.
    Parked,
}

impl Ttl {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_on(&self) -> bool {
        *self == Self::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_left_out_by_their_whole_names() {
        let mut policy = Policy::new("shop");
        assert!(policy.wants_index("places", "near"));
        policy.exclude_indexes = vec!["places.near".to_owned(), "a.b.c".to_owned()];
        for (collection, index) in [("places", "near"), ("a.b", "c"), ("a", "b.c")] {
            assert!(!policy.wants_index(collection, index), "{collection} {index}");
        }
        let globs = ["geo*.*", "logs.$**_1"].map(str::to_owned).to_vec();
        let policy_of_globs = Policy {
            exclude_indexes: globs,
            ..Policy::new("shop")
        };
        for (collection, index) in [("geo", "i"), ("geo_new", "near.all"), ("logs", "$**_1")] {
            assert!(!policy_of_globs.wants_index(collection, index), "{collection} {index}");
        }
        assert!(policy_of_globs.wants_index("places", "near"));
        for (collection, index) in [
            ("places", "near2"),
            ("places2", "near"),
            ("place", "s.near"),
            ("a", "b"),
        ] {
            assert!(policy.wants_index(collection, index), "{collection} {index}");
        }
    }
}
