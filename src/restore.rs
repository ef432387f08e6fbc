//! Restore: an archive goes into a database, and what is there then is read back and compared.
//!
//! [`prepare`] looks and changes nothing: it opens the archive, surveys the target and makes the plan. A dry run ends
//! there, and needs no more than read rights. [`carry_out`] takes what was prepared, and only with consent:
//!
//! 1. the lock: one restore at a time into one database, and a second look at the target under it;
//! 2. a rehearsal: options, indexes and views that the target would refuse are found, all at once, and nothing is done;
//! 3. a way back: a backup of the target, verified, unless the caller waived it; then what a dead restore left beside
//!    goes;
//! 4. what will be changed in place is read through and checked: a damaged archive must be found out before the first
//!    change;
//! 5. regular collections are loaded *beside*, under temporary names, indexed, and read back; nothing that is there has
//!    changed yet;
//! 6. the commit, if the lock is still held: what was proven equal is renamed into place, what cannot be renamed is
//!    done in place; it is proven that this is what stands there now; then views and drops;
//! 7. what only now may act: time-to-live.
//!
//! [`restore_run`] does the same in as many invocations as it takes.
//!
//! A collection whose documents did not all arrive, or whose indexes could not all be built, does not replace one that
//! is there; nothing is dropped when anything went wrong. The report is `complete` only if everything that was planned
//! is there and equal.

mod check;
mod collection;
mod collections;
mod commit;
mod continued;
mod counted;
mod create;
mod expired;
mod fan_out;
mod flow;
mod ids;
mod indexes;
mod insert;
mod leftovers;
mod load;
mod lock;
mod merge;
mod outcome;
mod prepare;
mod privileges;
mod proof;
mod record;
mod rehearsal;
mod report;
mod request;
mod sample;
mod shares;
mod stride;
mod summary;
mod verification;
mod violations;
mod way_back;
mod work;

pub(crate) use continued::{Until, go_on};
pub use continued::{begun_plan, carry_out, restore_run};
pub use fan_out::{Begun, LoadReport, LoadsReport, begin, finish, load};
pub use prepare::{Prepared, prepare};
pub(crate) use privileges::{grants, privileges_of};
pub use report::{
    Changed, MergeCounts, RejectedDocument, RestoreReport, SnapshotReport, Verification, VerifiedCollection,
};
pub use request::{Consent, RestoreJob, RestoreRequest, WayBack};
pub(crate) use summary::of_expiry;
