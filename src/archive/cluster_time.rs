//! The clock of a replica set or a cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A MongoDB cluster time: seconds, and an ordinal within the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClusterTime {
    /// Unix seconds.
    pub t: u32,
    /// The ordinal.
    pub i: u32,
}

impl ClusterTime {
    /// The last one of a second.
    pub(crate) fn end_of(second: u32) -> Self {
        Self { t: second, i: u32::MAX }
    }
}

/// As it is asked for: `1795633660.31`.
impl fmt::Display for ClusterTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.t, self.i)
    }
}

impl FromStr for ClusterTime {
    type Err = NotAClusterTime;

    fn from_str(text: &str) -> Result<Self, NotAClusterTime> {
        let number = |digits: &str| match digits.bytes().all(|digit| digit.is_ascii_digit()) {
            true => digits.parse().map_err(|_| NotAClusterTime),
            false => Err(NotAClusterTime),
        };
        let (second, ordinal) = text.split_once('.').ok_or(NotAClusterTime)?;
        Ok(Self {
            t: number(second)?,
            i: number(ordinal)?,
        })
    }
}

/// A text that is not a second and an ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cluster time is written as 1795633660.31")]
pub struct NotAClusterTime;

impl From<ClusterTime> for bson::Timestamp {
    fn from(time: ClusterTime) -> Self {
        Self {
            time: time.t,
            increment: time.i,
        }
    }
}

impl From<bson::Timestamp> for ClusterTime {
    fn from(time: bson::Timestamp) -> Self {
        Self {
            t: time.time,
            i: time.increment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let time = ClusterTime {
            t: 1_795_633_660,
            i: 31,
        };
        assert_eq!(time.to_string(), "1795633660.31");
        assert_eq!(time.to_string().parse(), Ok(time));
        for other in ["", "1", "1.", ".1", "1.2.3", "-1.2", "1.+2", "4294967296.1", " 1.2"] {
            assert_eq!(other.parse::<ClusterTime>(), Err(NotAClusterTime), "{other:?}");
        }
    }
}
