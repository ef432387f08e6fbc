//! The archive as others see it: stock tools list and extract what the manifest says, whatever the compression, the
//! payload and the collections' names.

mod ancestor;
mod large;
mod mongorestore;
pub mod sample;
mod streams;
mod tar;
