//! Users and roles of a database, saved and restored on request: by the command line alone.
//!
//! A backup saves them as members that stock tools read ([`take`]). They hold hashed credentials, which are shown
//! nowhere. Users are restored beside the collections:
//!
//! 1. [`UserRestore::prepare`] reads what the archive and the target have, and plans: missing ones are created;
//!    existing ones stay unchanged, since whoever restores may be one of them. It changes nothing, and says which
//!    rights are left out, which users cannot log in on the target, and which privileges are missing;
//! 2. [`UserRestore::carry_out`] follows once the collections are done. The server's own command creates roles, those
//!    granted to others first; each user goes where the server keeps them, in one step. Then all are read back and
//!    compared, and the server is asked how each user can log in.
//!
//! Nothing is staged, so two restores of users do not collide: if both create a user, one of them finds it there.
//!
//! The functions have none of this: neither a backup nor a restore calls it. A caller that has read users hands a
//! backup what to write.

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
