//! Scale-out: several workers write one archive, in four steps of a state machine.
//!
//! 1. [`plan`](plan()) takes the moment at which all of them read, divides the catalog into lanes, and begins the
//!    upload;
//! 2. [`lane`], once per lane and all at once, writes its share as a separate object below the run's folder;
//! 3. [`compose`](compose()) has the store join them ([`Composer`](crate::archive::Composer)), adds the manifest, and
//!    commits;
//! 4. [`abort`], if a lane could not be written: nothing stays.
//!
//! The run identifies each step, so it can be sent again: it resumes where it stopped, or finds itself done. If the
//! database is too small to divide, [`plan`](plan()) says so, and the run is an ordinary backup.

mod abort;
mod answer;
mod compose;
mod plan;
mod write;

pub use abort::abort;
pub use answer::{LaneReport, LanesReport, PlanAnswer};
pub use compose::compose;
pub use plan::plan;
pub use write::lane;
