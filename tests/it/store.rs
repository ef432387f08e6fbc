//! The store: one contract for both kinds, and what a backup makes of an S3 that fails.

mod conditions;
mod contract;
mod even_parts;
mod faults;
mod interrupted;
mod reading;
mod tags;
mod vendors;
