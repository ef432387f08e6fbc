//! `docs/RELIABILITY.md` names a test for every promise: each of them is there.

use std::fs;
use std::path::Path;

use crate::campaigns::CAMPAIGNS;

const RELIABILITY: &str = include_str!("../../docs/RELIABILITY.md");

/// What stands in the last column of the tables, in back quotes.
fn named() -> Vec<(String, bool)> {
    let rows = RELIABILITY
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("shown by"));
    rows.flat_map(|row| {
        let column = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let pieces: Vec<&str> = column.split('`').collect();
        let quoted = pieces.chunks(2).filter_map(|pair| match pair {
            [before, name] => Some(((*name).to_owned(), before.trim_end().ends_with("campaign"))),
            _ => None,
        });
        quoted.collect::<Vec<_>>()
    })
    .collect()
}

/// A module, or a test in one.
fn is_a_test(name: &str) -> bool {
    let tests = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/it"));
    let file = |steps: &[&str]| tests.join(format!("{}.rs", steps.join("/")));
    let steps: Vec<&str> = name.split("::").collect();
    let Some((last, module)) = steps.split_last() else {
        return false;
    };
    let has_test = |module: &[&str]| {
        let text = fs::read_to_string(file(module)).unwrap_or_default();
        text.contains(&format!("fn {last}("))
    };
    file(&steps).is_file() || has_test(module)
}

#[test]
fn every_promise_names_tests_that_exist() {
    let named = named();
    assert!(named.len() > 20, "{named:?}");
    for (name, is_campaign) in named {
        let exists = match is_campaign {
            true => CAMPAIGNS.iter().any(|campaign| campaign.name == name),
            false => is_a_test(&name),
        };
        assert!(exists, "docs/RELIABILITY.md names {name}, which is no test");
    }
}
