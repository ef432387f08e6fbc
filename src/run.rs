//! A **run**: one backup, restore or drill, however many invocations it takes and however often its event is delivered.
//!
//! What a function was asked for arrives as an event, and events are delivered at least once, retried, and sent again
//! to go on. So a run is known by the event's own id and time, and everything that must outlive an invocation lies in
//! one folder of the store that follows from them ([`Run::folder`]), never in the event:
//!
//! * the **lease** says who is at it ([`Lease`]): two invocations with the same event exclude each other, and a dead
//!   one is taken over from;
//! * the **state** is what the run has come to, written between two segments, so that the next invocation goes on from
//!   there ([`Journal`]).
//!
//! The folder goes away when the run has come to its end. That of a run that nobody takes up again is removed by the
//! bucket's lifecycle, as its objects say what they are.

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
