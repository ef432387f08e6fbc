//! What a caller asks of a comparison.

use crate::catalog::Selection;
use crate::plan::Ttl;
use crate::store::Location;

/// What is compared with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgainstJob {
    /// The archive.
    pub archive: Location,
    /// Which of its databases, if it holds several.
    pub source_database: Option<String>,
    /// The live database.
    pub database: String,
    /// Which collections, by their names.
    pub selection: Selection,
    /// Whether expiry may be off in the database.
    pub ttl: Ttl,
}
