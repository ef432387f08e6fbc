//! How documents are written into entries (FORMAT 3): as text, or as BSON.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How documents are written into entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// Canonical Extended JSON, one document a line.
    #[default]
    Jsonl,
    /// Raw BSON, one document behind the other.
    Bson,
}

impl Payload {
    /// The ending of an entry's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Bson => "bson",
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl std::str::FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jsonl" => Ok(Self::Jsonl),
            "bson" => Ok(Self::Bson),
            _ => Err(format!("unknown payload {text:?}: use jsonl or bson")),
        }
    }
}
