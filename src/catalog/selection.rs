//! Selects collections by globs over names, for backups and restores.

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// Globs that choose collections by name. `*` stands for any run of characters, `?` for one; case counts. There is no
/// escape: a name that itself contains `*` or `?` is matched by itself, and perhaps by more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// At least one of these must match. Empty means all.
    #[serde(default)]
    pub include: Vec<String>,
    /// None of these may match; stronger than `include`.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl Selection {
    /// Whether nothing is left out by intent.
    pub fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether a collection of that name is meant.
    pub fn selects(&self, name: &str) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|glob| matches(glob, name));
        included && !self.exclude.iter().any(|glob| matches(glob, name))
    }

    /// The `include` globs that match none of `names`: mistyped, or no such collection.
    pub fn idle_includes<'a>(&'a self, names: &[&str]) -> Vec<&'a str> {
        idle(&self.include, names)
    }

    /// The `exclude` globs that match none of `names`.
    pub fn idle_excludes<'a>(&'a self, names: &[&str]) -> Vec<&'a str> {
        idle(&self.exclude, names)
    }
}

/// What is said behind some globs that match nothing, where other tools would have understood them otherwise.
pub(crate) fn hint<'a>(globs: impl IntoIterator<Item = &'a str>) -> &'static str {
    match globs.into_iter().any(|glob| glob.contains(['[', '{', ','])) {
        true => " (* and ? are all that stands for something else; give each glob by itself)",
        false => "",
    }
}

/// Whether a name matches a glob.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    WildMatch::new(glob).matches(name)
}

fn idle<'a>(globs: &'a [String], names: &[&str]) -> Vec<&'a str> {
    let idle = |glob: &&String| !names.iter().any(|name| matches(glob, name));
    globs.iter().filter(idle).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(include: &[&str], exclude: &[&str]) -> Selection {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
        Selection {
            include: owned(include),
            exclude: owned(exclude),
        }
    }

    #[test]
    fn nothing_given_selects_everything() {
        assert!(Selection::default().selects("orders"));
        assert!(Selection::default().is_everything());
    }

    #[test]
    fn exclude_is_stronger_than_include_and_case_counts() {
        let some = selection(&["order*", "a?"], &["*_old"]);
        assert!(some.selects("orders") && some.selects("ab"));
        assert!(!some.selects("orders_old") && !some.selects("Orders") && !some.selects("abc"));
        assert!(!some.is_everything());
    }

    #[test]
    fn globs_that_match_nothing_are_told() {
        let some = selection(&["orders", "user?"], &["tmp*"]);
        assert_eq!(some.idle_includes(&["orders", "users"]), Vec::<&str>::new());
        assert_eq!(some.idle_includes(&["order", "users"]), ["orders"]);
        assert_eq!(some.idle_excludes(&["orders"]), ["tmp*"]);
        assert_eq!(hint(["orders", "tmp*"]), "");
        assert!(hint(["orders", "tmp[0-9]"]).contains("* and ?"));
    }
}
