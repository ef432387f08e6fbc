//! What happens to something that is planned for.

use serde::{Deserialize, Serialize};

/// What happens to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// It is made anew; the target has none of that name.
    Create,
    /// It becomes what the archive holds.
    Replace,
    /// The archive's documents are put into it by `_id`.
    Merge,
    /// It goes.
    Drop,
    /// It is left alone.
    Skip,
}

impl Action {
    /// Whether something of the archive ends up on the target.
    pub fn restores(self) -> bool {
        matches!(self, Self::Create | Self::Replace | Self::Merge)
    }
}
