//! Users and roles of a database, taken along and put back where that is asked for: by the command line alone.
//!
//! A backup takes them along as members that stock tools read ([`take`]). They hold hashed credentials, which are shown
//! nowhere. A restore of users comes beside that of the collections:
//!
//! 1. [`UserRestore::prepare`] reads what the archive has and what is there, and plans. What is not there is made; what
//!    is there stays as it is, since whoever restores may be one of them. It changes nothing, and says which rights are
//!    left out, which users cannot log in on the target, and which privileges are missing;
//! 2. [`UserRestore::carry_out`] follows when the collections are done. Roles are made by the server's own command,
//!    those that others are granted first; users are put where the server keeps them, each at once. Then all are read
//!    back and compared, and the server is asked how each user can log in.
//!
//! Nothing is staged, so two restores of users do not meet: where both make the same user, one of them finds it there.
//!
//! The functions have none of this: neither a backup nor a restore calls it. What a backup writes of users is handed
//! to it by the caller that has read them.

mod known;
mod planned;
mod restore;
mod rights;
mod take;

pub use planned::{Grants, PlannedUsers, UserAction};
pub use restore::{RestoredUsers, UserRestore};
pub use take::take;

/// Where users belong to the cluster.
const OF_THE_CLUSTER: [&str; 4] = ["admin", "config", "local", "$external"];

/// Whether users of a database can be taken along: not those that are the cluster's.
fn has_own_users(database: &str) -> bool {
    !OF_THE_CLUSTER.contains(&database)
}
