//! What views read from, and in which order they can be created.

use std::collections::{BTreeMap, BTreeSet};

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::catalog::Definition;

/// As deep as a server's documents go. What a hostile archive hides deeper orders nothing.
const MAX_DEPTH: usize = 200;

/// The collections that a view's options name: `viewOn`, and the sources of `$lookup`, `$graphLookup` and `$unionWith`
/// at any depth of its pipeline.
pub(super) fn sources(options: &Definition) -> BTreeSet<String> {
    let mut sources = pipeline_sources(options);
    sources.extend(options.get_str("viewOn").map(str::to_owned));
    sources
}

/// As [`sources`], without `viewOn`.
pub(super) fn pipeline_sources(options: &Definition) -> BTreeSet<String> {
    let mut sources = BTreeSet::new();
    if let Ok(Some(pipeline)) = options.as_raw().get("pipeline") {
        collect(pipeline, MAX_DEPTH, &mut sources);
    }
    sources
}

fn collect(value: RawBsonRef<'_>, depth: usize, sources: &mut BTreeSet<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        RawBsonRef::Array(array) => {
            for value in array.into_iter().map_while(Result::ok) {
                collect(value, depth, sources);
            }
        }
        RawBsonRef::Document(document) => {
            for (key, value) in document.iter().map_while(Result::ok) {
                sources.extend(source_of_stage(key.as_str(), value).map(str::to_owned));
                collect(value, depth, sources);
            }
        }
        _ => {}
    }
}

fn source_of_stage<'a>(stage: &str, value: RawBsonRef<'a>) -> Option<&'a str> {
    let field = match (stage, value) {
        ("$unionWith", RawBsonRef::String(collection)) => return Some(collection),
        ("$unionWith", _) => "coll",
        ("$lookup" | "$graphLookup", _) => "from",
        _ => return None,
    };
    value.as_document()?.get_str(field).ok()
}

/// The options with `viewOn` replaced; everything else stays byte for byte.
pub(crate) fn reading_from(options: &Definition, source: &str) -> Definition {
    let mut out = RawDocumentBuf::new();
    let raw: &RawDocument = options.as_raw();
    for (key, value) in raw.iter().map_while(Result::ok) {
        match key.as_str() {
            "viewOn" => out.append(key, source),
            _ => out.append(key, value),
        }
    }
    Definition::new(out)
}

/// Names of views so that each comes after those it reads from; by name where that leaves a choice. A server refuses
/// cycles; where an archive has one, some order is given.
pub(super) fn in_order(views: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut order = Vec::with_capacity(views.len());
    let mut visited = BTreeSet::new();
    for start in views.keys() {
        // (view, whether what it reads from has been put in order): a stack of our own, since an archive decides how
        // long chains are.
        let mut stack = vec![(start, false)];
        while let Some((view, ready)) = stack.pop() {
            if ready {
                order.push(view.clone());
            } else if visited.insert(view) {
                stack.push((view, true));
                let before = views[view]
                    .iter()
                    .rev()
                    .filter_map(|source| views.get_key_value(source));
                stack.extend(before.map(|(source, _)| (source, false)));
            }
        }
    }
    order
}

/// The circles in which views read from each other, each as the views on it; of circles that share views, at least one.
pub(super) fn circles(views: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut circles = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in views.keys() {
        // The way from the start to here, and what is still to be looked at from each view on it: no recursion, since
        // an archive decides how long it gets.
        let mut way: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut on_the_way: BTreeSet<&str> = BTreeSet::new();
        let mut next = Some(start.as_str());
        loop {
            if let Some(view) = next.take() {
                if on_the_way.contains(view) {
                    let from = way.iter().position(|(name, _)| *name == view).unwrap_or(0);
                    circles.push(way[from..].iter().map(|(name, _)| (*name).to_owned()).collect());
                } else if !done.contains(view)
                    && let Some(sources) = views.get(view)
                {
                    on_the_way.insert(view);
                    way.push((view, sources.iter().map(String::as_str).collect()));
                }
            }
            let Some((view, sources)) = way.last_mut() else { break };
            next = sources.pop();
            if next.is_none() {
                on_the_way.remove(view);
                done.insert(view);
                way.pop();
            }
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn sources_are_found_at_any_depth() {
        let view = Definition::new(rawdoc! {
            "viewOn": "a",
            "pipeline": [
                { "$lookup": { "from": "b", "pipeline": [{ "$unionWith": "c" }], "as": "x" } },
                { "$facet": { "f": [{ "$graphLookup": { "from": "d" } }] } },
                { "$unionWith": { "coll": "e", "pipeline": [] } },
                { "$match": { "from": "not a source" } },
            ],
        });
        assert_eq!(Vec::from_iter(sources(&view)), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn only_view_on_is_rewritten() {
        let view =
            Definition::new(rawdoc! { "viewOn": "a", "pipeline": [{ "$lookup": { "from": "a" } }], "collation": {} });
        assert_eq!(
            reading_from(&view, "b").to_string(),
            r#"{"viewOn":"b","pipeline":[{"$lookup":{"from":"a"}}],"collation":{}}"#
        );
    }

    #[test]
    fn circles_are_found_each_once() {
        let found = |views: &[(&str, &[&str])]| {
            let owned = |(name, on): &(&str, &[&str])| (name.to_string(), on.iter().map(|s| s.to_string()).collect());
            circles(&views.iter().map(owned).collect())
        };
        assert!(found(&[("a", &["b", "x"]), ("b", &["c"]), ("c", &["x"]), ("d", &["a", "b"])]).is_empty());
        assert_eq!(found(&[("a", &["a"])]), [["a"]]);
        assert_eq!(
            found(&[("a", &["b"]), ("b", &["c"]), ("c", &["b", "x"]), ("d", &["a"])]),
            [["b", "c"]]
        );
        let long: BTreeMap<_, _> = (0..50_000)
            .map(|n| (format!("{n:06}"), [format!("{:06}", (n + 1) % 50_000)].into()))
            .collect();
        assert_eq!(circles(&long)[0].len(), 50_000);
    }

    #[test]
    fn a_view_comes_after_what_it_reads_from_and_cycles_end() {
        let order = |views: &[(&str, &[&str])]| {
            let owned = |(name, on): &(&str, &[&str])| (name.to_string(), on.iter().map(|s| s.to_string()).collect());
            in_order(&views.iter().map(owned).collect())
        };
        assert_eq!(
            order(&[("a", &["c"]), ("b", &["orders"]), ("c", &["b"])]),
            ["b", "c", "a"]
        );
        assert_eq!(order(&[("a", &["b"]), ("b", &["a"]), ("c", &["c"])]).len(), 3);
        let chain: BTreeMap<_, _> = (0..50_000)
            .map(|n| (format!("{n:06}"), [format!("{:06}", n + 1)].into()))
            .collect();
        assert_eq!(in_order(&chain)[0], "049999");
    }
}
