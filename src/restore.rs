//! Restore: an archive goes into a database, is read back and compared.
//!
//! [`prepare`] changes nothing: it opens the archive, surveys the target and makes the plan. A dry run ends there, and
//! needs only read rights. [`carry_out`] then needs consent:
//!
//! 1. the lock: one restore at a time per database, and a second look at the target under it;
//! 2. a rehearsal: finds, all at once, options, indexes and views that the target would refuse; nothing is done then;
//! 3. a way back: a verified backup of the target, unless the caller waived it; then a dead restore's leftovers are
//!    dropped;
//! 4. whatever will be changed in place is read and checked: a damaged archive must be found before the first change;
//! 5. regular collections are loaded *beside*, under temporary names, indexed, and read back; existing data is still
//!    unchanged;
//! 6. the commit, if the lock is still held: proven collections are renamed into place, and the others are restored in
//!    place; the restore proves that these now stand there; then views and drops;
//! 7. last, time to live takes effect.
//!
//! [`restore_run`] does the same in as many invocations as it takes.
//!
//! A collection that lacks documents or indexes does not replace an existing one; nothing is dropped if anything went
//! wrong. The report is `complete` only if everything planned is there and equal.

mod check;
mod collection;
mod collections;
mod commit;
mod continued;
mod counted;
mod create;
mod durable;
mod expired;
mod fan_out;
mod flow;
mod goal;
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
mod who;
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
