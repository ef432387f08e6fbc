//! Reading at a point in time.

use bson::{RawDocumentBuf, rawdoc};

use crate::archive::ClusterTime;

/// At which point in time a collection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAt {
    /// At that cluster time, exactly.
    Snapshot(ClusterTime),
    /// What the majority of a replica set has, while the cursor moves.
    Majority,
    /// What the server has, while the cursor moves.
    Local,
}

impl ReadAt {
    pub(super) fn read_concern(self) -> Option<RawDocumentBuf> {
        match self {
            Self::Snapshot(time) => Some(rawdoc! {"level": "snapshot", "atClusterTime": bson::Timestamp::from(time)}),
            Self::Majority => Some(rawdoc! {"level": "majority"}),
            Self::Local => None,
        }
    }
}
