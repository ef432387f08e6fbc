//! What the programs share, and who uses the library does not need: threads, logs, counts as CSV, and the Lambda
//! functions with their metrics.
//!
//! A package of its own, so that who uses the library builds no Lambda runtime. Not part of the programs' package,
//! since what waits for a future is compiled as its package is: here for size, as the library, and there for speed.

#![warn(missing_docs, unreachable_pub, missing_debug_implementations)]
#![forbid(unsafe_code)]

pub mod counts;
pub mod lambda;
pub mod logging;
mod metrics;
pub mod runtime;
