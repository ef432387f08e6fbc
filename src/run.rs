//! A **run**: one backup, restore or drill, however many invocations it takes and however often its event is delivered.
//!
//! Requests arrive as events, which are delivered at least once, retried, and sent again to go on. So the event's own
//! id and time identify a run, and everything that must outlive an invocation lies in one folder of the store that
//! follows from them ([`Run::folder`]), never in the event:
//!
//! * the **lease** says who is at work ([`Lease`]): two invocations with the same event exclude each other, and one
//!   takes over from a dead one;
//! * the **state** is the run's progress, written between two segments, so that the next invocation resumes there
//!   ([`Journal`]).
//!
//! A finished run removes its folder. The bucket's lifecycle removes that of an abandoned run, since its objects say
//! what they are.

mod answer;
mod carry;
mod chapters;
mod identity;
mod journal;
mod lease;
mod left;
mod memory;
mod named;
mod pool;
mod status;
mod step;
mod times;
mod tracked;
mod unusable;

pub(crate) use answer::Reports;
pub use answer::{Answer, Ended, Running, Unfinished};
pub(crate) use carry::{let_go, let_go_after, let_go_reporting, take_up, take_up_kept};
pub(crate) use chapters::Chapters;
pub use identity::{IN_PROGRESS, Run};
pub use journal::Journal;
pub use lease::{LEASE, Lease, Taken};
pub use left::{Left, Recorded, remove_run};
pub use memory::Memory;
pub use named::Named;
pub(crate) use pool::{POOL_UNIT, Pool, give_back};
pub use status::RunStatus;
pub(crate) use step::{AT_LEAST_EVERY, SAVED_EVERY, Went};
pub(crate) use times::{between, rfc3339, since};
pub(crate) use tracked::Tracked;
pub(crate) use unusable::{unusable, unusable_because};

pub use crate::deadline::Deadline;
