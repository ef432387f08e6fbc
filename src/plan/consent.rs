//! The consent token: a digest of everything that a plan depends on.

use serde::Serialize;

use super::names::is_reserved;
use super::{Contents, Policy};
use crate::catalog::{Catalog, Definition, Kind, Topology};

/// Hex BLAKE3 over the archive's identity, the policy, and the target: its names, kinds, UUIDs, options and indexes.
///
/// Document counts are left out: those of a live database change all the time, and consent that lapses between reading a plan and answering it
/// would teach people to say yes without reading. So are the collections that mongotar itself makes there.
pub(super) fn token(contents: &Contents, target: &Catalog, policy: &Policy) -> String {
    #[derive(Serialize)]
    struct Present<'a> {
        name: &'a str,
        kind: Kind,
        uuid: Option<&'a str>,
        options: &'a Definition,
        indexes: &'a [Definition],
    }
    #[derive(Serialize)]
    struct Consent<'a> {
        archive: &'a super::ArchiveIdentity,
        policy: &'a Policy,
        database: &'a str,
        topology: Topology,
        target: Vec<Present<'a>>,
    }
    let present = target
        .collections
        .iter()
        .filter(|collection| !is_reserved(&collection.name));
    let consent = Consent {
        archive: &contents.archive,
        policy,
        database: &target.database,
        topology: target.server.topology,
        target: present
            .map(|collection| Present {
                name: &collection.name,
                kind: collection.kind,
                uuid: collection.uuid.as_deref(),
                options: &collection.options,
                indexes: &collection.indexes,
            })
            .collect(),
    };
    let text = serde_json::to_vec(&consent).expect("text and numbers only, and every key is text");
    blake3::hash(&text).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{catalog, collection, contents, saved};
    use crate::plan::{Existing, INTERNAL_PREFIX};
    use bson::rawdoc;

    #[test]
    fn only_what_matters_changes_the_token() {
        let archive = contents([saved("a")]);
        let target = catalog([collection("a")]);
        let policy = Policy::new("shop");
        let before = token(&archive, &target, &policy);
        assert_eq!(before.len(), 64);

        let mut busy = target.clone();
        busy.collections[0].documents = Some(99);
        let mut lock = collection("lock");
        lock.name.insert_str(0, INTERNAL_PREFIX);
        busy.collections.push(lock);
        assert_eq!(
            token(&archive, &busy, &policy),
            before,
            "documents and our own collections"
        );

        let mut recreated = target.clone();
        recreated.collections[0].uuid = Some("other".to_owned());
        let mut indexed = target.clone();
        indexed.collections[0].indexes.push(rawdoc! { "name": "i" }.into());
        let mut other = archive.clone();
        other.archive.etag = Some("new".to_owned());
        let replace = Policy {
            existing: Existing::Replace,
            ..policy.clone()
        };
        let more = catalog([collection("a"), collection("b")]);
        let after = [
            token(&archive, &recreated, &policy),
            token(&archive, &indexed, &policy),
            token(&archive, &more, &policy),
            token(&other, &target, &policy),
            token(&archive, &target, &replace),
        ];
        assert!(after.iter().all(|token| *token != before));
    }
}
