//! Names that never meet: tests share servers, so each keeps to a database or bucket of its own.

use super::mongod::drop_databases;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

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
///
/// On the [shared server](super::shared_replica_set), what is called by it, and whatever begins with it, is dropped with
/// the test that asked on its own thread. A server copies its list of all collections at every change of one.
pub fn fresh_database_name(prefix: &str) -> String {
    let name = lasting_database_name(prefix);
    // A runtime's own threads end when they have nothing to do.
    let is_tests = thread::current().name().is_some_and(|name| name.contains("::"));
    if is_tests {
        OWN.with_borrow_mut(|own| own.0.push(name.clone()));
    }
    name
}

/// The same for what more than one test uses: it stays until the server ends.
pub fn lasting_database_name(prefix: &str) -> String {
    unique_name(prefix).replace('-', "_")
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::default();
}

/// The names that a thread was given.
#[derive(Default)]
struct Own(Vec<String>);

impl Drop for Own {
    fn drop(&mut self) {
        drop_databases(std::mem::take(&mut self.0));
    }
}
