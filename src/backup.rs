//! Backup: a database goes into one archive.
//!
//! The order of events: take a moment (one cluster time, and the catalog valid at it), begin an upload, write the
//! archive through it, check whether a collection vanished meanwhile, append the manifest, and commit. Until the commit
//! nothing is visible; any failure before it, or a cancellation, aborts the upload.
//!
//! A collection that cannot be read does not stop the others: the archive is then `partial`, and says so in its
//! manifest, in the report and in the entry's name.
//!
//! Memory is bounded by constants, not by data: see `pipeline`. [`backup_run`] is a backup over several invocations;
//! [`plan_lanes`], [`lane`](lane()) and [`compose`] plan, write and compose one by several workers. All of them write
//! with the same `lane`.

mod abreast;
mod allowance;
mod collection;
mod commit;
mod compact;
mod continued;
mod cut;
mod estimate;
mod growth;
mod head;
mod increment;
mod lane;
mod lanes;
mod metadata;
mod name;
mod operation;
mod piece;
mod pipeline;
mod reader;
mod report;
mod request;
mod retention;
mod segment;
mod several;
mod shares;
mod state;
mod tools;
mod write;

pub use compact::{CompactJob, CompactTools, CompactedReport, UncompactedChain, compact, compact_below};
pub(crate) use continued::{full, full_run};
pub use estimate::{
    CostOfBackup, CostOfMonth, EstimateJob, EstimateReport, EstimatedCollection, FunctionSize, KeptArchives, Prices,
    estimate,
};
pub use lanes::{LaneReport, LanesReport, PlanAnswer, abort as abort_run, compose, lane, plan as plan_lanes};
pub use operation::{backup, backup_run};
pub use report::{
    BackupAnswer, BackupReport, ChainProof, CollectionReport, FailedCollection, Totals, UnfinishedBackup,
};
pub use request::{BackupJob, BackupOrder, BackupRequest, ConsistencyDemand, DatabaseChoice, Databases, span};
pub use retention::Retention;
pub use several::{DatabaseReport, FailedDatabase, SeveralReport, backup_several, jobs};
pub use tools::Tools;
pub(crate) use tools::cancelled;

pub use crate::run::RunStatus;
