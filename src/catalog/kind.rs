//! What a name in a database stands for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of thing a name in a database stands for (`type` in `listCollections`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// An ordinary collection, capped and clustered ones included.
    Collection,
    /// A time-series collection, seen through its logical documents (measurements).
    Timeseries,
    /// A view: a definition without documents of its own.
    View,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Collection => "collection",
            Kind::Timeseries => "timeseries",
            Kind::View => "view",
        })
    }
}
