//! The integration tests: one binary, real servers. `cargo test --test it` starts a `mongod` replica set and an S3
//! server once, on free ports.

mod architecture;
mod bounds;
#[path = "../campaigns/mod.rs"]
mod campaigns;
mod chains;
mod cli;
mod codec;
mod connecting;
mod connection_strings;
mod consistency;
mod continued;
mod damage;
mod drill;
mod fidelity;
mod foreign;
mod futures;
mod handlers;
mod infra;
mod library;
mod matrix;
mod reliability;
mod restore;
#[path = "../rig/mod.rs"]
mod rig;
mod samples;
mod statemachines;
mod stock_tools;
mod store;
mod support;
