//! The archive: one tar object that stock tools read, and that we read by range.
//!
//! [`mod@format`] is the specification; the modules here implement it and nothing else. They turn bytes into bytes: no
//! network, no runtime, no clock. Writing goes in this order:
//!
//! 1. [`ArchiveWriter`] is told what happens (an entry begins, a segment is ready, the entry ends) and lays the bytes
//!    out;
//! 2. a tar header states a size that is known only at the entry's end, so it leaves a hole, and [`PartAssembler`]
//!    holds back the upload part with the hole while later parts go out;
//! 3. [`ArchiveWriter::finish`] appends the manifest and the footer. The store's commit, not this module, makes the
//!    object visible.
//!
//! When reading, [`Footer::find`] opens an archive from its last bytes, [`Opened::verify`] checks the trailer's
//! checksum and that the extents of the manifest tile the object, and [`Opened::decode`] turns the stored bytes of one
//! segment into documents or a named error. Foreign archives have no footer: [`foreign`] reads their entries.
//!
//! Not promised: secrecy. An archive is as readable as its bucket.

#[doc = include_str!("archive/FORMAT.md")]
pub mod format {}

mod cluster_time;
mod compose;
mod coverage;
mod crc;
mod entry;
mod error;
mod footer;
pub mod foreign;
mod frame;
mod increment;
mod join;
mod journal;
mod listed;
mod manifest;
mod member;
mod name;
mod part;
mod payload;
mod reader;
mod recognise;
pub mod table;
mod tail;
mod tar_header;
mod trailing;
mod users;
mod writer;

pub(crate) use crate::digest::hex_sum;
pub use cluster_time::{ClusterTime, NotAClusterTime};
pub use compose::{Composer, LaneContent, LaneEntry, Piece};
pub use coverage::Coverage;
pub use entry::{Entry, Extent, Region, Rows, Segment};
pub use error::ArchiveError;
pub use footer::{FOOTER_SUFFIX, Footer, Major};
pub use frame::{Compression, FrameEncoder, MAX_SEGMENT_BYTES, StoredFrame};
pub use increment::{Continues, Delta, MadeOf, SavedJournal};
pub use join::{JoinedPart, join};
pub(crate) use journal::{JournalLine, JournalMoment, gone_line};
pub use manifest::{
    ArchiveKind, Consistency, ConsistencyLevel, Exception, FORMAT_VERSION, FORMAT_VERSION_WITH_TABLE, Manifest, Saved,
    SavedFrom, SavedStatus, SavedUsers, Status,
};
pub(crate) use member::{ChainMember, Joined, joined};
pub use name::{ArchiveName, EntryName, MANIFEST_ENTRY, METADATA_ENTRY};
pub use part::{
    AssemblerState, CopiedPart, MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES, Part, PartAssembler, PartSchedule,
};
pub use payload::Payload;
pub use reader::{Located, Opened};
pub use recognise::{is_ours, sniff};
pub(crate) use trailing::UserOrRole;
pub use trailing::{MAX_USERS_BYTES, ROLES_ENTRY, TakenUsers, USERS_ENTRY, USERS_VERSION_ENTRY};
pub(crate) use users::check_users;
pub use writer::{ArchiveWriter, WriterState};
