//! Restoring a collection under another name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A collection of the archive (`from`) that is restored under another name (`to`). Exact names, no patterns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The name in the archive.
    pub from: String,
    /// The name on the target.
    pub to: String,
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

/// A text that is not `old=new`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a renaming: {problem}. Write old=new, for instance orders=orders_copy")]
pub struct NotARename {
    text: String,
    problem: &'static str,
}

impl FromStr for Rename {
    type Err = NotARename;

    fn from_str(text: &str) -> Result<Self, NotARename> {
        let problem = |problem| NotARename {
            text: text.to_owned(),
            problem,
        };
        let (from, to) = text.split_once('=').ok_or_else(|| problem("it has no ="))?;
        match (from, to) {
            ("", _) => Err(problem("the old name is empty")),
            (_, "") => Err(problem("the new name is empty")),
            (_, to) if to.contains('=') => Err(problem("it has more than one =")),
            (from, to) if from == to => Err(problem("both names are the same")),
            (from, to) => Ok(Self {
                from: from.to_owned(),
                to: to.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_equals_new() {
        let rename: Rename = "orders=orders copy".parse().expect("valid");
        assert_eq!((rename.from.as_str(), rename.to.as_str()), ("orders", "orders copy"));
        assert_eq!(rename.to_string(), "orders=orders copy");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("orders", "no ="),
            ("=b", "old name is empty"),
            ("a=", "new name is empty"),
            ("a=b=c", "more than one"),
            ("a=a", "the same"),
        ] {
            let error = text.parse::<Rename>().expect_err(text).to_string();
            assert!(error.contains(problem) && error.contains("old=new"), "{error}");
        }
    }
}
