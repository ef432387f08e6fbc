//! How much of a database an archive covers.

/// Whether a collection's absence from an archive means that the database did not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coverage {
    /// The archive claims to name every collection of the database, including those whose backup failed.
    Whole,
    /// It does not, but lies as the old scripts wrote their backups, which were always of everything.
    WholeByLayout,
    /// It does not, for this reason (a `mongodump` may be of one collection). What only the target has stays, unless
    /// drops are requested.
    Unsaid(String),
    /// Some are not named, or may not be, for this reason (a selective backup, a truncated tar, a member that is not
    /// read). Nothing is ever dropped.
    Part(String),
}
