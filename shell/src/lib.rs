//! What the programs share, and the library's users do not need: threads, logs, counts as CSV, who is told of a
//! run, and the Lambda functions with their metrics.
//!
//! A separate package, so that the library's users build no Lambda runtime. Not part of the programs' package, since
//! code that awaits a future is compiled like its package: here for size, like the library, and there for speed.

#![warn(missing_docs, unreachable_pub, missing_debug_implementations)]
#![forbid(unsafe_code)]

pub mod counts;
pub mod lambda;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod prometheus;
pub mod runtime;
