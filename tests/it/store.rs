//! The store: one contract for both kinds, and what a backup makes of an S3 that fails.

mod contract;
mod faults;
mod interrupted;
mod reading;
mod tags;
mod vendors;
