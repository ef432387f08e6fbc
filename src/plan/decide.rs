//! One collection: what happens to it, how, and why.
//!
//! The server's rules decide as much as the request: it renames no views, and time series only where the one that is
//! there shows it (MongoDB 9.0); it refuses to rename over either of them, or to or from an encrypted collection; and it
//! takes no second document with the same `_id` into a collection, but does into a time series.

use super::conflicts::Conflict;
use super::{Action, Existing, Method};
use crate::catalog::{Catalog, Collection, Definition, Engine, Kind, STORED_FUNCTIONS, Server, Topology};

const REPLACE_WAY_OUT: &str = "replace the existing collection, exclude it, or restore it under another name";

/// What happens to a collection, before its documents and definitions are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) action: Action,
    pub(super) method: Method,
    pub(super) reason: String,
    pub(super) warnings: Vec<String>,
}

impl Decision {
    pub(super) fn new(action: Action, method: Method, reason: impl Into<String>) -> Self {
        Self {
            action,
            method,
            reason: reason.into(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn skip(reason: impl Into<String>) -> Self {
        Self::new(Action::Skip, Method::None, reason)
    }

    fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

/// What is to be restored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The name on the target.
    pub(super) name: &'a str,
    /// The kind, after inference.
    pub(super) kind: Kind,
    /// The options, after inference.
    pub(super) options: &'a Definition,
}

/// Decides for a collection that is in the archive whole.
pub(super) fn decide(wanted: Wanted<'_>, target: &Catalog, existing: Existing) -> Result<Decision, Conflict> {
    let decision = match (target.get(wanted.name), existing) {
        (None, _) => create(wanted, target),
        (Some(present), Existing::Replace) => replace(wanted, present, &target.server),
        (Some(present), Existing::Merge) => merge(wanted, present, &target.server)?,
    };
    match decision.action {
        Action::Create | Action::Replace => check_server(wanted, target).map_or(Ok(decision), Err),
        _ => Ok(decision),
    }
}

fn create(wanted: Wanted<'_>, target: &Catalog) -> Decision {
    let absent = "the target has none of that name";
    let shows = |present: &Collection| is_renamed_time_series(present, &target.server);
    if wanted.kind == Kind::Timeseries && target.collections.iter().any(shows) {
        return Decision::new(Action::Create, Method::Aside, absent);
    }
    match cannot_be_renamed(wanted, &target.server) {
        None => Decision::new(Action::Create, Method::Aside, absent),
        Some(why) => Decision::new(
            Action::Create,
            Method::InPlace,
            format!("{absent}; made in place: {why}"),
        ),
    }
}

fn replace(wanted: Wanted<'_>, present: &Collection, target: &Server) -> Decision {
    let in_place = |why: &str| Decision::new(Action::Replace, Method::InPlace, format!("replaced in place: {why}"));
    if wanted.kind == Kind::Timeseries && is_renamed_time_series(present, target) {
        return replaced_time_series();
    }
    if let Some(why) = cannot_be_renamed(wanted, target) {
        return match (wanted.kind, present.kind) {
            (Kind::View, Kind::View) => in_place("a view is only a definition"),
            (_, there) if there != wanted.kind => {
                in_place(&format!("{why}; the {there} of that name is dropped first"))
            }
            _ => in_place(why),
        };
    }
    match present.kind {
        Kind::Collection if wanted.name == STORED_FUNCTIONS => Decision::new(
            Action::Replace,
            Method::AsideAfterDrop,
            "loaded under a temporary name; existing stored functions are removed first, since the server does not rename over them",
        ),
        Kind::Collection if is_encrypted(&present.options) => in_place("the server does not rename over an encrypted collection"),
        Kind::Collection if target.topology == Topology::Sharded => {
            in_place("on a sharded cluster the name may be sharded, and a collection renamed over it would not be").with_warning(
                "if the collection is sharded, it is not afterwards: shard it again, or restore into an empty sharded collection without replacing",
            )
        }
        Kind::Collection => Decision::new(Action::Replace, Method::Aside, "existing collections are replaced: loaded under a temporary name, then renamed into place"),
        there => Decision::new(
            Action::Replace,
            Method::AsideAfterDrop,
            format!("loaded under a temporary name; the {there} of that name is dropped first, since the server does not rename over it"),
        ),
    }
}

fn merge(wanted: Wanted<'_>, present: &Collection, target: &Server) -> Result<Decision, Conflict> {
    let conflict = |problem: &str| Err(Conflict::of(wanted.name, problem, REPLACE_WAY_OUT));
    match (wanted.kind, present.kind) {
        (Kind::Collection, Kind::Collection) => {
            let merge = Decision::new(Action::Merge, Method::InPlace, "the collection exists: documents are merged by _id, the others stay");
            Ok(match present.is_capped() {
                true => merge.with_warning("the collection is capped: it removes its oldest documents to make room, and refuses to let one grow"),
                false => merge,
            })
        }
        (Kind::Timeseries, Kind::Timeseries) if is_renamed_time_series(present, target) => Ok(replaced_time_series()),
        (Kind::Timeseries, Kind::Timeseries) => Ok(Decision::new(
            Action::Replace,
            Method::InPlace,
            "a time series cannot be merged by _id (inserting documents twice would double them), and the server does not rename one: replaced whole, in place",
        )),
        (Kind::Timeseries, Kind::Collection) => Ok(Decision::new(
            Action::Merge,
            Method::InPlace,
            "an ordinary collection has the name, and cannot become a time series: documents are merged by _id",
        )
        .with_warning(
            "the archive has a time series, the target an ordinary collection: it stays one, and documents that share an _id replace one another; \
             replace the existing collection to get the time series",
        )),
        (Kind::View, Kind::View) => Ok(Decision::new(Action::Replace, Method::InPlace, "a view has no documents: its definition is replaced, in place")),
        (Kind::Collection, Kind::Timeseries) => conflict(
            "the archive has a collection, the target a time series: a time series takes documents, but never replaces one by its _id, so restoring twice would double them",
        ),
        (Kind::Collection | Kind::Timeseries, Kind::View) => conflict("the target has a view of that name, which takes no documents"),
        (Kind::View, Kind::Collection | Kind::Timeseries) => {
            conflict("the archive has a view, the target documents under that name: they would have to be dropped")
        }
    }
}

/// Whether the server renames time series, as this one of them shows, and nothing is lost by it: on a sharded cluster the name
/// may be sharded, and what is renamed over it would not be.
fn is_renamed_time_series(present: &Collection, target: &Server) -> bool {
    present.kind == Kind::Timeseries && present.renamable && target.topology != Topology::Sharded
}

fn replaced_time_series() -> Decision {
    Decision::new(
        Action::Replace,
        Method::Aside,
        "a time series is replaced whole, since it cannot be merged by _id: loaded under a temporary name, then renamed into place",
    )
}

/// Why a collection cannot be loaded under a temporary name and renamed.
fn cannot_be_renamed(wanted: Wanted<'_>, target: &Server) -> Option<&'static str> {
    match wanted.kind {
        Kind::Timeseries => Some("the server does not rename a time series"),
        Kind::View => Some("the server does not rename a view, which is only a definition"),
        Kind::Collection if !target.features.rename => Some("the server does not rename collections"),
        Kind::Collection if is_encrypted(wanted.options) => Some("the server does not rename an encrypted collection"),
        Kind::Collection => None,
    }
}

fn is_encrypted(options: &Definition) -> bool {
    options.get_document("encryptedFields").is_some()
}

/// What the target cannot have.
fn check_server(wanted: Wanted<'_>, target: &Catalog) -> Option<Conflict> {
    let server = &target.server;
    let missing = server.features.missing_for(wanted.kind, wanted.options)?;
    let (what, version) = (missing.what, server.full_version());
    let problem = match (missing.since, server.engine) {
        (Some(since), Engine::Mongodb) => format!("it is {what}, which needs MongoDB {since}; the target is {version}"),
        (_, engine) => format!("it is {what}, which the target, {engine} {version}, does not have"),
    };
    let newer = match missing.since {
        Some(_) if server.compatibility.is_some() => {
            ", or have the server keep to its own version (setFeatureCompatibilityVersion)"
        }
        Some(_) if server.engine == Engine::Mongodb => ", or use a newer server",
        _ => "",
    };
    Some(Conflict::of(
        wanted.name,
        problem,
        format!("{}{newer}", missing.way_out),
    ))
}

/// What the target cannot build: here, only what it is known to have lost. All else is found by the rehearsal.
pub(super) fn check_indexes(name: &str, source: &str, indexes: &[Definition], target: &Catalog) -> Option<Conflict> {
    let server = &target.server;
    let is_haystack = |index: &&Definition| {
        let kinds = index.as_raw().get_document("key").into_iter().flatten().flatten();
        kinds.into_iter().any(|(_, kind)| kind.as_str() == Some("geoHaystack"))
    };
    let index = indexes
        .iter()
        .find(is_haystack)
        .filter(|_| !server.features.haystack_indexes)?;
    let index = index.get_str("name").unwrap_or_default();
    let problem = format!(
        "its index {index:?} is of the kind geoHaystack, which the target, {} {}, does not have",
        server.engine, server.version
    );
    let way_out = format!("leave the index out (exclude_indexes, --exclude-index '{source}.{index}')");
    Some(Conflict::of(name, problem, way_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{self, catalog, collection};
    use bson::rawdoc;

    fn decided(kind: Kind, present: Option<Kind>, existing: Existing) -> Result<(Action, Method), Conflict> {
        let target = catalog(present.map(|kind| Collection {
            kind,
            ..collection("a")
        }));
        let wanted = Wanted {
            name: "a",
            kind,
            options: &Definition::empty(),
        };
        decide(wanted, &target, existing).map(|decision| (decision.action, decision.method))
    }

    #[test]
    fn a_time_series_is_renamed_into_place_only_where_the_one_there_shows_it_and_nothing_is_sharded() {
        let wanted = Wanted {
            name: "a",
            kind: Kind::Timeseries,
            options: &Definition::empty(),
        };
        for (renamable, topology, method) in [
            (true, Topology::ReplicaSet, Method::Aside),
            (false, Topology::ReplicaSet, Method::InPlace),
            (true, Topology::Sharded, Method::InPlace),
        ] {
            let mut target = catalog([Collection {
                kind: Kind::Timeseries,
                renamable,
                ..collection("a")
            }]);
            target.server.topology = topology;
            for existing in [Existing::Merge, Existing::Replace] {
                let decision = decide(wanted, &target, existing).expect("no conflict");
                assert_eq!(
                    (decision.action, decision.method),
                    (Action::Replace, method),
                    "{topology:?}"
                );
            }
            let another = decide(Wanted { name: "b", ..wanted }, &target, Existing::Merge).expect("no conflict");
            assert_eq!(
                (another.action, another.method),
                (Action::Create, method),
                "{topology:?}"
            );
        }
    }

    #[test]
    fn the_whole_table() {
        use Action::{Create, Merge, Replace};
        use Kind::{Collection, Timeseries, View};
        use Method::{Aside, AsideAfterDrop, InPlace};
        for (kind, present, merged, replaced) in [
            (Collection, None, Some((Create, Aside)), (Create, Aside)),
            (Timeseries, None, Some((Create, InPlace)), (Create, InPlace)),
            (View, None, Some((Create, InPlace)), (Create, InPlace)),
            (Collection, Some(Collection), Some((Merge, InPlace)), (Replace, Aside)),
            (Collection, Some(Timeseries), None, (Replace, AsideAfterDrop)),
            (Collection, Some(View), None, (Replace, AsideAfterDrop)),
            (Timeseries, Some(Collection), Some((Merge, InPlace)), (Replace, InPlace)),
            (
                Timeseries,
                Some(Timeseries),
                Some((Replace, InPlace)),
                (Replace, InPlace),
            ),
            (Timeseries, Some(View), None, (Replace, InPlace)),
            (View, Some(Collection), None, (Replace, InPlace)),
            (View, Some(Timeseries), None, (Replace, InPlace)),
            (View, Some(View), Some((Replace, InPlace)), (Replace, InPlace)),
        ] {
            assert_eq!(
                decided(kind, present, Existing::Merge).ok(),
                merged,
                "{kind} {present:?} merge"
            );
            assert_eq!(
                decided(kind, present, Existing::Replace),
                Ok(replaced),
                "{kind} {present:?} replace"
            );
        }
    }

    #[test]
    fn what_the_server_does_not_rename_is_done_in_place() {
        let encrypted = Definition::new(rawdoc! { "encryptedFields": { "fields": [] } });
        let mut target = catalog([collection("a")]);
        let wanted = Wanted {
            name: "a",
            kind: Kind::Collection,
            options: &encrypted,
        };
        assert_eq!(
            decide(wanted, &target, Existing::Replace).expect("no conflict").method,
            Method::InPlace
        );
        let plain = Wanted {
            options: &Definition::empty(),
            ..wanted
        };
        target.server.topology = Topology::Sharded;
        assert_eq!(
            decide(plain, &target, Existing::Replace).expect("no conflict").method,
            Method::InPlace
        );
        target.server.topology = Topology::ReplicaSet;
        target.collections[0].options = encrypted.clone();
        assert_eq!(
            decide(plain, &target, Existing::Replace).expect("no conflict").method,
            Method::InPlace
        );
    }

    #[test]
    fn an_index_of_a_kind_that_is_gone_is_told_by_name() {
        let index = |kind: &str| Definition::new(rawdoc! {"v": 2, "key": {"at": kind, "n": 1}, "name": "near"});
        let told = |version, kind| {
            let mut target = catalog([]);
            target.server = fixture::server(version);
            check_indexes("b", "a", &[index("2d"), index(kind)], &target).map(|conflict| conflict.to_string())
        };
        let conflict = told("5.0.32", "geoHaystack").expect("it is gone");
        assert!(
            conflict.contains("\"near\"") && conflict.contains("'a.near'"),
            "{conflict}"
        );
        assert_eq!(told("4.4.2", "geoHaystack"), None);
        assert_eq!(told("5.0.32", "2dsphere"), None);
    }

    #[test]
    fn what_the_server_is_too_old_for_is_told_by_name() {
        let clustered = rawdoc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true } };
        let images = rawdoc! { "changeStreamPreAndPostImages": { "enabled": true } };
        let plain = rawdoc! {};
        for (server, kind, options, told) in [
            ("4.4.29", Kind::Timeseries, &plain, Some("needs MongoDB 5.0")),
            ("5.0.0", Kind::Timeseries, &plain, None),
            ("5.2.1", Kind::Collection, &clustered, Some("needs MongoDB 5.3")),
            ("5.3.0", Kind::Collection, &clustered, None),
            ("5.0.32", Kind::Collection, &images, Some("needs MongoDB 6.0")),
            ("6.0.0", Kind::Collection, &images, None),
            ("4.4.29", Kind::Collection, &plain, None),
        ] {
            let mut target = catalog([]);
            target.server = fixture::server(server);
            let options = Definition::new(options.clone());
            let wanted = Wanted {
                name: "a",
                kind,
                options: &options,
            };
            let conflict = decide(wanted, &target, Existing::Merge).err();
            let problem = conflict.map(|conflict| conflict.problem);
            let is_told = |told: &str| {
                let problem = problem.as_deref().unwrap_or_default();
                problem.contains(told) && problem.ends_with(&format!("the target is {server}"))
            };
            assert!(
                told.map_or(problem.is_none(), is_told),
                "{server} {told:?}: {problem:?}"
            );
        }
    }
}
