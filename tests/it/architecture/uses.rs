//! Which file uses which: every path is followed, through what is handed on, to the file that defines the name.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Sources, Written};

/// For each file those that it uses, and by which paths.
pub type Uses = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The uses within one crate.
///
/// A file that only hands on what its children define does not use them. Naming a module is no use either: what is
/// reached through it is.
pub fn uses(sources: &Sources) -> Uses {
    let mut uses = Uses::new();
    for (path, module) in &sources.modules {
        let used = uses.entry(module.file.clone()).or_default();
        let elsewhere = |written: &&Written| match definition(sources, path, written) {
            Some(owner) => !owner.starts_with(path.as_slice()),
            None => false,
        };
        let handed_on = module.handed_on.iter().filter(elsewhere);
        for written in module.mentioned.iter().chain(&module.brought).chain(handed_on) {
            let Some(owner) = definition(sources, path, written) else {
                continue;
            };
            let file = &sources.modules[&owner].file;
            if *file != module.file {
                used.entry(file.clone()).or_default().insert(written.join("::"));
            }
        }
    }
    uses
}

/// The module that defines what a path means in a module; of a name outside the crate, or of a module's own, there is
/// none.
fn definition(sources: &Sources, from: &[String], written: &[String]) -> Option<Vec<String>> {
    follow(sources, from.to_vec(), written.to_vec(), &mut BTreeSet::new())
}

fn follow(
    sources: &Sources,
    from: Vec<String>,
    written: Written,
    seen: &mut BTreeSet<(Vec<String>, Written)>,
) -> Option<Vec<String>> {
    if !seen.insert((from.clone(), written.clone())) {
        return None;
    }
    let (first, rest) = written.split_first()?;
    match first.as_str() {
        "crate" => return follow(sources, Vec::new(), rest.to_vec(), seen),
        "self" => return follow(sources, from, rest.to_vec(), seen),
        "super" => {
            let parent = from[..from.len().checked_sub(1)?].to_vec();
            return follow(sources, parent, rest.to_vec(), seen);
        }
        _ => {}
    }
    let module = sources.modules.get(&from)?;
    let child: Vec<String> = from.iter().cloned().chain([first.clone()]).collect();
    if !rest.is_empty() && sources.modules.contains_key(&child) {
        return follow(sources, child, rest.to_vec(), seen);
    }
    if module.defined.contains(first) {
        return Some(from);
    }
    if let Some(whole) = module.bound.get(first) {
        let whole = whole.iter().chain(rest).cloned().collect();
        return follow(sources, from, whole, seen);
    }
    module.globs.iter().find_map(|glob| {
        let whole = glob.iter().chain(&written).cloned().collect();
        follow(sources, from.clone(), whole, seen)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(texts: &[(&str, &str)]) -> Vec<String> {
        let text = |file: &str| {
            let (_, text) = texts.iter().find(|(name, _)| *name == file).expect("a file");
            (*text).to_owned()
        };
        let of = uses(&Sources::read("src/lib.rs", &text));
        of.iter()
            .flat_map(|(file, used)| used.keys().map(move |other| format!("{file} uses {other}")))
            .map(|line| line.replace("src/", "").replace(".rs", ""))
            .collect()
    }

    #[test]
    fn what_is_handed_on_is_used_where_it_is_defined() {
        let texts = |child: &'static str| {
            [
                ("src/lib.rs", "mod a; mod b;"),
                (
                    "src/a.rs",
                    "mod deep; mod other; pub use deep::Deep; pub struct Own; #[cfg(test)] mod tests { use crate::b::X; }",
                ),
                ("src/a/deep.rs", "pub struct Deep;"),
                ("src/a/other.rs", child),
                (
                    "src/b.rs",
                    "use crate::a; pub struct X; fn f() { let d = a::Deep; println!(\"{:?}\", [crate::a::Own]); }",
                ),
            ]
        };
        let always = ["b uses a", "b uses a/deep"];
        assert_eq!(
            used(&texts("use super::Deep; fn g(_: Deep) {}")),
            ["a/other uses a/deep", always[0], always[1]]
        );
        assert_eq!(
            used(&texts("use super::{Own as O}; fn g(_: O) {}")),
            ["a/other uses a", always[0], always[1]]
        );
        assert_eq!(
            used(&texts("use super::*; fn g(deep: Deep) { deep.own(Own) }")),
            ["a/other uses a", "a/other uses a/deep", always[0], always[1]]
        );
        assert_eq!(
            used(&texts("pub fn g<'a>(x: &'a crate::b::X) {}")),
            ["a/other uses b", always[0], always[1]]
        );
        assert_eq!(
            used(&texts("pub fn g() { use super::super::b; b::f(); }")),
            ["a/other uses b", always[0], always[1]]
        );
    }
}
