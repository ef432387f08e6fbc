//! What goes through S3 and back is what it was: every type, every kind of collection, every index, every odd name (FIELD, section 3).

mod collections;
mod documents;
mod everything;
mod harness;
mod indexes;
mod named_documents;
mod raw;
mod time_series;
mod timestamps;
mod ttl;
mod validators;
