//! The work on every document of every backup and restore: raw BSON to Extended JSON and back ([`extjson`]), an
//! order-independent fingerprint ([`digest`]), a walk over a document's elements ([`elements`]).
//!
//! It is a separate package for two reasons. It is compiled for speed; the code around it, which runs once per batch or
//! part, is compiled for size, since a function is loaded before it runs. And its dependencies say what it is: bytes
//! in, bytes out; no runtime, no client, no clock, and no `Document` or `Value`.

#![warn(missing_docs, unreachable_pub, missing_debug_implementations)]
#![forbid(unsafe_code)]

pub mod digest;
pub mod elements;
pub mod extjson;
