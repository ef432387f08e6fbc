//! Circles in a graph: sets of nodes each of which reaches all the others.

use std::collections::{BTreeMap, BTreeSet};

/// The strongly connected components of more than one node.
pub fn circles(graph: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|node| (*node, reached_from(graph, node))).collect();
    let mut circles = BTreeSet::new();
    for (node, reaches) in &reached {
        let circle: BTreeSet<String> = reaches
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(node)))
            .map(|other| (*other).to_owned())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached_from<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, node: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = graph[node].iter().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(graph.get(next).into_iter().flatten());
        }
    }
    reached
}

#[test]
fn circles_are_found() {
    let graph = BTreeMap::from([
        ("a", BTreeSet::from(["b", "d"])),
        ("b", BTreeSet::from(["c"])),
        ("c", BTreeSet::from(["a"])),
        ("d", BTreeSet::from(["e"])),
        ("e", BTreeSet::new()),
    ]);
    let circle = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(circles(&graph), [BTreeSet::from(circle)]);
}
