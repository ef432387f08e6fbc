//! How much of a memory budget each stage of reading may take.

use std::ops::RangeInclusive;

use crate::run::{Memory, Pool};

/// How many collections' documents are on their way at a time, where memory is not scarce.
const ROOM: u64 = 8;
/// What a small collection takes on its way: its segment, its text, and what is sent to a server. So many bytes of
/// memory for so many of BSON.
const PLACE: u64 = 1 << 20;
const BSON_IN_A_PLACE: u64 = 128 << 10;
/// Collections up to this many places count alike, where memory is not scarce: each costs more round trips than bytes.
const SMALL: u64 = 8;
/// How much of the memory budget small collections may take together, and the segments of a large one, in hundredths.
const SMALL_SHARE: u64 = 50;
const SEGMENTS_SHARE: u64 = 40;
/// Of a chain: the `_id`s that came before.
const IDS_SHARE: u64 = 10;
/// Of a foreign archive: what is kept of its members, the two ranges that are read ahead, and the documents on their
/// way.
const MEMBERS_SHARE: u64 = 50;
const RANGES_SHARE: u64 = 16;
pub(super) const DOCUMENTS_SHARE: u64 = 24;
/// How much of an object is asked for at a time, bytes.
pub(super) const RANGES: RangeInclusive<u64> = 1 << 20..=8 << 20;
/// A segment that decodes to more than so many bytes holds a large document. Of two collections that have such
/// segments, one is read when the other is done.
pub(super) const LARGE: u64 = 8 << 20;
/// The longest document that a server holds.
pub(super) const LONGEST_DOCUMENT: u64 = (16 << 20) + (16 << 10);

/// How much of an archive's documents is on its way at a time, in [`room_for`] collections.
pub(crate) fn room(memory: Memory) -> usize {
    usize::try_from((memory.share(SMALL_SHARE) / PLACE).clamp(1, ROOM * SMALL)).unwrap_or(1)
}

/// How much of that [`room`] a collection of so many bytes of BSON takes. Small ones share it, since each costs more
/// round trips than bytes; a large one takes all of it, since its segments are many at a time by themselves. So several
/// collections at once need no more memory than a large one.
pub(crate) fn room_for(bytes: u64, room: usize) -> usize {
    let needed = usize::try_from(bytes / BSON_IN_A_PLACE).map_or(room, |places| places.saturating_add(1));
    needed.max(room.div_ceil(ROOM as usize)).min(room)
}

/// How much of an object that is read from end to end is asked for at a time.
pub(super) fn range(memory: Memory) -> u64 {
    (memory.share(RANGES_SHARE) / 2).clamp(*RANGES.start(), *RANGES.end())
}

/// What the documents of one collection may take, from their segment to the server's answer.
pub(super) fn segments(memory: Memory) -> Pool {
    Pool::of(memory.share(SEGMENTS_SHARE))
}

/// What may be known of the `_id`s that came before, in a chain.
pub(super) fn ids(memory: Memory) -> Pool {
    Pool::of(memory.share(IDS_SHARE))
}

/// What is kept of a foreign archive's members, bytes.
pub(super) fn members(memory: Memory) -> u64 {
    memory.share(MEMBERS_SHARE)
}
