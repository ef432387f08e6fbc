//! What is asked of an estimate.

use std::time::Duration;

use super::prices::Prices;
use crate::backup::request::BackupJob;

/// What is to be estimated.
#[derive(Clone, Debug)]
pub struct EstimateJob {
    /// The backup.
    pub backup: BackupJob,
    /// For how long documents are read.
    pub reading: Duration,
    /// The function that would make it.
    pub function: FunctionSize,
    /// What things cost.
    pub prices: Prices,
}

/// The function that would make a backup.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSize {
    /// Its memory, MB.
    pub memory: u32,
    /// `arm64` or `x86_64`.
    pub architecture: String,
}
