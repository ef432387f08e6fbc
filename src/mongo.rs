//! The database's side of the rim: connecting, surveying, reading and writing, in raw BSON.
//!
//! Commands are built and answered as documents here and nowhere else. Documents of collections are never decoded: a
//! read hands out the server's reply ([`Batch`]), a write sends an `insert` command with documents that the caller put
//! together ([`InsertBatch`]). Every driver call is awaited to its end: the driver's futures must not be dropped
//! half-way (its README, "cancellation"), so deadlines are checked between calls.

mod answer;
#[cfg(feature = "tls-invalid-hostnames")]
mod any_host;
mod asked;
mod batch;
mod changes;
mod command;
mod concern;
mod connect;
mod databases;
mod describe;
mod engine;
mod error;
mod found_out;
mod ids;
mod insert;
mod member;
mod moment;
mod options;
mod position;
mod read;
mod read_at;
mod readback;
mod reason;
mod records;
mod repeat;
mod seen;
mod survey;
mod tasks;
mod tls_files;
mod understood;
mod uri;
mod users;
mod witness;

pub use batch::{Batch, Documents, Slice};
pub(crate) use changes::Change;
pub use connect::Mongo;
pub use error::{MongoError, code};
pub(crate) use ids::id_key;
pub use ids::{IdList, id_alone};
pub(crate) use insert::MAX_BATCH_BYTES;
pub use insert::{InsertBatch, InsertOutcome, MayWrite, Order, Rejected, Validation, id_text};
pub use moment::Moment;
pub use position::{Bound, IdRange, Position, Scan, ScanOrder};
pub use read::{Batches, Trail};
pub use read_at::ReadAt;
pub use readback::read_back;
pub(crate) use readback::{ReadBack, ReadSoFar, is_read_at_one_go, read_at_one_go, read_back_ids, read_back_until};
pub use records::Edge;
pub use repeat::Repeats;
pub(crate) use repeat::patiently;
pub use survey::VANISHED;
pub(crate) use tasks::{ended, next_ended};
pub use uri::MongoUri;
pub(crate) use witness::{REFUTED, Testimony};
