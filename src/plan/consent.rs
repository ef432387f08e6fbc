//! The consent token: a short hash of each thing that a plan depends on.
//!
//! Four groups of 16 hex digits: the archive, the request, the target's collections, the cluster. So a token that no
//! longer fits says *what* has changed since the plan was read, but not which of the target's collections.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::names::is_reserved;
use super::{Contents, Policy};
use crate::catalog::{Catalog, Definition, Kind, Topology};

/// Consent to one plan, in four parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(into = "String", try_from = "String")]
pub struct Token([u64; 4]);

/// What a token speaks of, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenPart {
    /// The archive: its place, its version in the store, its manifest.
    Archive,
    /// The request, including the database's name.
    Request,
    /// The target's collections: names, kinds, UUIDs, options and indexes.
    Target,
    /// Which cluster the target is on.
    Cluster,
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a confirm token (four groups of 16 hex digits joined by dashes): copy the `confirm` of a dry run (plan) whole and unchanged"
)]
pub struct NotAToken;

impl Token {
    /// The token of a plan.
    ///
    /// Document counts are left out: those of a live database change all the time, and consent that lapses between
    /// reading a plan and answering it would teach people to say yes without reading. So are the collections that
    /// mongotar itself makes there.
    pub(super) fn new(contents: &Contents, target: &Catalog, policy: &Policy) -> Self {
        Self([
            short(&contents.archive),
            short(policy),
            of_collections(target),
            of_cluster(target),
        ])
    }

    /// What differs from `other`, in the order of the parts.
    pub fn differing(&self, other: &Self) -> Vec<TokenPart> {
        let parts = [
            TokenPart::Archive,
            TokenPart::Request,
            TokenPart::Target,
            TokenPart::Cluster,
        ];
        let pairs = self.0.iter().zip(&other.0);
        parts
            .into_iter()
            .zip(pairs)
            .filter(|(_, (a, b))| a != b)
            .map(|(part, _)| part)
            .collect()
    }
}

/// What has changed, as the rest of a sentence.
impl fmt::Display for TokenPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Archive => "the archive differs from the plan's (its place, its version in the store or its manifest)",
            Self::Request => {
                "the request differs from the plan's (the database, the selection, renaming, or an option)"
            }
            Self::Target => {
                "the target's collections have changed since the plan (one was created, dropped or recreated, or has other options or indexes; compare the two plans to see which)"
            }
            Self::Cluster => "the target is not the plan's cluster",
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [archive, request, target, cluster] = self.0;
        write!(f, "{archive:016x}-{request:016x}-{target:016x}-{cluster:016x}")
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let mut parts = [0; 4];
        let mut groups = text.trim().split('-');
        for part in &mut parts {
            let digits = groups.next().filter(|digits| {
                digits.len() == 16 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
            });
            *part = u64::from_str_radix(digits.ok_or(NotAToken)?, 16).map_err(|_| NotAToken)?;
        }
        match groups.next() {
            None => Ok(Self(parts)),
            Some(_) => Err(NotAToken),
        }
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.to_string()
    }
}

impl TryFrom<String> for Token {
    type Error = NotAToken;

    fn try_from(text: String) -> Result<Self, NotAToken> {
        text.parse()
    }
}

fn of_collections(target: &Catalog) -> u64 {
    #[derive(Serialize)]
    struct Present<'a> {
        name: &'a str,
        kind: Kind,
        uuid: Option<&'a str>,
        options: &'a Definition,
        indexes: &'a [Definition],
    }
    let present = target
        .collections
        .iter()
        .filter(|collection| !is_reserved(&collection.name))
        .map(|collection| Present {
            name: &collection.name,
            kind: collection.kind,
            uuid: collection.uuid.as_deref(),
            options: &collection.options,
            indexes: &collection.indexes,
        });
    short(&present.collect::<Vec<_>>())
}

/// Not its version: a server that was upgraded is still the one that was meant.
fn of_cluster(target: &Catalog) -> u64 {
    #[derive(Serialize)]
    struct Cluster<'a> {
        topology: Topology,
        replica_set: Option<&'a str>,
        hosts: &'a [String],
    }
    short(&Cluster {
        topology: target.server.topology,
        replica_set: target.server.replica_set.as_deref(),
        hosts: &target.server.hosts,
    })
}

/// The first eight bytes of a BLAKE3. Enough to see a change; who may answer a plan may also make a new one.
fn short(part: &impl Serialize) -> u64 {
    let text = serde_json::to_vec(part).expect("text and numbers only, and every key is text");
    let hash = blake3::hash(&text);
    let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{catalog, collection, contents, saved, server};
    use crate::plan::{Existing, INTERNAL_PREFIX};
    use bson::rawdoc;

    #[test]
    fn only_what_matters_changes_the_token() {
        let archive = contents([saved("a")]);
        let target = catalog([collection("a")]);
        let policy = Policy::new("shop");
        let before = Token::new(&archive, &target, &policy);

        let mut busy = target.clone();
        busy.collections[0].documents = Some(99);
        busy.server = server("7.0.0");
        busy.disk = None;
        let mut lock = collection("lock");
        lock.name.insert_str(0, INTERNAL_PREFIX);
        busy.collections.push(lock);
        assert_eq!(
            Token::new(&archive, &busy, &policy),
            before,
            "documents, disk, version and our own collections"
        );
    }

    #[test]
    fn each_change_is_told_by_its_part() {
        let archive = contents([saved("a")]);
        let target = catalog([collection("a")]);
        let policy = Policy::new("shop");
        let before = Token::new(&archive, &target, &policy);

        let mut other = archive.clone();
        other.archive.etag = Some("new".to_owned());
        assert_eq!(
            Token::new(&other, &target, &policy).differing(&before),
            [TokenPart::Archive]
        );
        let replace = Policy {
            existing: Existing::Replace,
            ..policy.clone()
        };
        for policy in [replace, Policy::new("shop2")] {
            assert_eq!(
                Token::new(&archive, &target, &policy).differing(&before),
                [TokenPart::Request]
            );
        }
        let mut recreated = target.clone();
        recreated.collections[0].uuid = Some("other".to_owned());
        let mut indexed = target.clone();
        indexed.collections[0].indexes.push(rawdoc! { "name": "i" }.into());
        for target in [recreated, indexed, catalog([collection("a"), collection("b")])] {
            assert_eq!(
                Token::new(&archive, &target, &policy).differing(&before),
                [TokenPart::Target]
            );
        }
        let mut elsewhere = target.clone();
        elsewhere.server.hosts = vec!["other:27017".to_owned()];
        let mut renamed = target.clone();
        renamed.server.replica_set = Some("rs1".to_owned());
        let mut sharded = target.clone();
        sharded.server.topology = Topology::Sharded;
        for target in [elsewhere.clone(), renamed, sharded] {
            assert_eq!(
                Token::new(&archive, &target, &policy).differing(&before),
                [TokenPart::Cluster]
            );
        }
        assert_eq!(
            Token::new(&other, &elsewhere, &policy).differing(&before),
            [TokenPart::Archive, TokenPart::Cluster]
        );
    }

    #[test]
    fn a_token_is_read_as_it_is_written_and_nothing_else_is_one() {
        let token = Token::new(&contents([saved("a")]), &catalog([]), &Policy::new("shop"));
        let text = token.to_string();
        assert_eq!((text.len(), text.matches('-').count()), (67, 3));
        assert_eq!(text.parse(), Ok(token));
        assert_eq!(format!(" {text}\n").parse(), Ok(token), "pasted");
        assert_eq!(serde_json::to_value(token).expect("JSON"), text.as_str());
        let wrong = [
            "",
            "x",
            &text[1..],
            &text[..66],
            &text[..50],
            &text.to_uppercase().replace(char::is_numeric, "A"),
            &text.replace('-', ""),
            &format!("{text}-{}", &text[..16]),
            &text.replacen(&text[..1], "+", 1),
            // What a token was before it had parts.
            &"0f".repeat(32),
        ];
        for wrong in wrong {
            assert_eq!(wrong.parse::<Token>(), Err(NotAToken), "{wrong}");
        }
    }
}
