//! Names that never meet: tests share servers, so each keeps to a database or bucket of its own.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Sixteen random hexadecimal digits.
pub fn random_hex() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// `{prefix}-{process}-{counter}`: lower case, different at every call in every process; legal for an S3 bucket
/// when the prefix is.
pub fn unique_name(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!(
        "{prefix}-{}-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}

/// A database name nobody else uses. MongoDB allows 63 bytes, of which this adds at most 28 to the prefix.
pub fn fresh_database_name(prefix: &str) -> String {
    unique_name(prefix).replace('-', "_")
}
