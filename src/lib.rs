//! MongoDB backups that run serverless, land in S3 as one standard tar object, and come back *proven equal*.
//!
//! The two Lambda handlers and the command line are thin callers of this library. Dependencies between its modules
//! point downwards only:
//!
//! ```text
//! bin/{backup,restore,mongotar}                      shells: parse, call, map the error
//!   backup · restore · drill · verify · inspect · users    operations: a list of named steps each
//!     plan · archive · extjson · digest · catalog    pure: bytes and values
//!     mongo · store · secrets                                  I/O at the rim
//! ```
//!
//! [`archive::format`] is the specification of what is written.
//!
//! # A backup
//!
//! ```no_run
#![doc = include_str!("../examples/backup.rs")]
//! ```
//!
//! # A restore
//!
//! ```no_run
#![doc = include_str!("../examples/restore.rs")]
//! ```
//!
//! # One collection of an archive, without a database
//!
//! ```no_run
//! use futures_util::TryStreamExt as _;
//! use mongotar::{failure::Failure, open::open, run::Memory, store::Store};
//!
//! # async fn of_an_archive() -> Result<(), Failure> {
//! let location = "s3://backups/shop/backup_20261121_020000.tar.zst".parse()?;
//! let archive = open(&Store::new(), &location, Memory::default()).await?;
//! let mut orders = archive.collection("orders")?;
//! while let Some(order) = orders.try_next().await? {
//!     println!("{order:?}");
//! }
//! # Ok(())
//! # }
//! ```

// Whether an operation can be sent to another thread is asked of all that it holds, down to the driver's own types.
#![recursion_limit = "256"]
#![warn(missing_docs, unreachable_pub, missing_debug_implementations)]
#![forbid(unsafe_code)]

use mongotar_codec::elements;
pub use mongotar_codec::{digest, extjson};

pub mod archive;
mod aws;
pub mod backup;
pub mod catalog;
pub mod choice;
pub mod config;
pub mod deadline;
pub mod drill;
pub mod failure;
pub mod hidden;
pub mod inspect;
pub mod mongo;
pub mod open;
mod ordered;
pub mod patience;
pub mod plan;
pub mod progress;
pub mod restore;
pub mod run;
#[cfg(test)]
mod schemas;
pub mod secrets;
mod soundness;
pub mod store;
pub mod users;
pub mod verify;
mod wording;
