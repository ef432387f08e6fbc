//! How much of a database an archive covers.

/// Whether a collection's absence from an archive means that the database did not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coverage {
    /// The archive says that it names every collection of the database, those included on which the backup failed.
    Whole,
    /// It does not say so, for this reason (a dump of `mongodump` may be of one collection). What only the target has
    /// stays, unless the drops are asked for.
    Unsaid(String),
    /// Some are not named, or may not be, for this reason (a selective backup, a truncated tar, a member that is not
    /// read). Nothing is ever dropped.
    Part(String),
}
