//! Scale-out: several workers write one archive, in four steps that a state machine calls.
//!
//! 1. [`plan`](plan()) takes the moment that all of them read at, divides the catalog into lanes, and begins the archive's
//!    upload;
//! 2. [`lane`], once for each lane and all at once, writes its share as an object of its own below the run's folder;
//! 3. [`compose`](compose()) has the store join those objects ([`Composer`](crate::archive::Composer)), adds the manifest, and
//!    commits;
//! 4. [`abort`], where a lane could not be written: nothing stays.
//!
//! Each step is known by the run and can be sent again: it goes on where it stopped, or finds itself done. What is
//! small is not divided: then [`plan`](plan()) says so, and the run is an ordinary backup.

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
