//! Why there is no plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wording::on_one_line;

/// Everything that stands in a plan's way, all at once: nobody wants to find the second obstacle after removing the
/// first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflicts(pub Vec<Conflict>);

/// One obstacle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The collection, by its name on the target; none if it is about the whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub collection: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What can be done about it.
    pub way_out: String,
}

impl Conflict {
    pub(super) fn general(problem: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            collection: None,
            problem: problem.into(),
            way_out: way_out.into(),
        }
    }

    pub(super) fn of(collection: &str, problem: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            collection: Some(collection.to_owned()),
            ..Self::general(problem, way_out)
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(collection) = &self.collection {
            write!(f, "{collection:?}: ")?;
        }
        // Other people's names are in it, and it is one item of a list.
        let (problem, way_out) = (on_one_line(&self.problem), on_one_line(&self.way_out));
        write!(f, "{problem}. Way out: {way_out}")
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the restore cannot be planned: {one}"),
            many => {
                write!(f, "the restore cannot be planned, for {} reasons:", many.len())?;
                many.iter().try_for_each(|conflict| write!(f, "\n- {conflict}"))
            }
        }
    }
}

impl std::error::Error for Conflicts {}
