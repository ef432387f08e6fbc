//! What is told of an estimate.

use serde::{Deserialize, Serialize};

use crate::backup::report::Totals;

/// What a backup would take and cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EstimateReport {
    /// Which database.
    pub database: String,
    /// The whole in one sentence.
    pub summary: String,
    /// Every collection and time series, the largest first.
    pub collections: Vec<EstimatedCollection>,
    /// What the database is expected to hold.
    pub totals: Totals,
    /// How much of it was read for this estimate.
    pub read: Totals,
    /// For how long, in seconds.
    pub read_seconds: f64,
    /// How many bytes the archive would have.
    pub archive_bytes: u64,
    /// How long a backup would take on this machine, in seconds, if the store keeps up.
    pub seconds_here: f64,
    /// One backup by a function.
    pub backup: CostOfBackup,
    /// A month of them, once every class of retention is full.
    pub month: CostOfMonth,
    /// Of when and where the prices are.
    pub prices: String,
    /// What must be known of these numbers.
    pub notes: Vec<String>,
}

/// One collection of an estimate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EstimatedCollection {
    /// Its name.
    pub name: String,
    /// How many documents it is expected to have; `null` where the server does not say.
    pub documents: Option<u64>,
    /// Their size as BSON.
    pub bytes: u64,
    /// How many bytes of the archive they come to.
    pub archive_bytes: u64,
    /// Whether it was read to its end.
    pub is_whole: bool,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
}

/// What one backup by a function costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CostOfBackup {
    /// The function's memory, MB.
    pub memory: u32,
    /// How long its invocations take together, in seconds.
    pub seconds: f64,
    /// How many invocations that are, of 15 minutes each.
    pub invocations: u64,
    /// GB of memory times seconds.
    pub gb_seconds: f64,
    /// Requests to S3: parts, and what is around them.
    pub requests: u64,
    /// What all of it costs.
    pub cost: f64,
}

/// What a month costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CostOfMonth {
    /// How many backups.
    pub backups: u64,
    /// What they cost.
    pub backups_cost: f64,
    /// What is kept, by the class of retention.
    pub kept: Vec<KeptArchives>,
    /// What keeping it costs in S3 Standard.
    pub storage_cost: f64,
    /// The same with monthly and yearly archives in `GLACIER_IR`.
    pub storage_cost_glacier_ir: f64,
    /// Backups and storage in S3 Standard.
    pub cost: f64,
}

/// The archives of a class that are there at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KeptArchives {
    /// `daily`, `weekly`, `monthly` or `yearly`.
    pub class: String,
    /// How many.
    pub archives: u64,
    /// How many bytes.
    pub bytes: u64,
}
