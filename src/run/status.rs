//! How a run ended or stands.

use serde::{Deserialize, Serialize};

/// How a run ended. There is no bare success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything that was asked for was done, and proven where there is something to prove.
    Complete,
    /// Something is missing or differs: the report names it.
    Partial,
    /// Nothing was done: the plan is the answer.
    Planned,
    /// The run could not do what was asked for.
    Failed,
    /// The time was up, and the state is saved: the same event again goes on.
    Continue,
    /// Another invocation is at the same run: ask again later.
    Running,
    /// Workers are to load what was divided among them.
    Loading,
    /// What the run had begun was removed.
    Aborted,
}
