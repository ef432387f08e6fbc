//! How much goes into a segment: more as the archive grows, as with parts.
//!
//! The segments' rows are the table of contents, 64 bytes each in the writer's memory, and 120 as text. So segments
//! double after each [`RUN`] of them. The largest can still be encoded, and read back, within the same memory budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::run::Memory;

/// The BSON of a segment, and of a reply, in bytes, where memory is not scarce: enough for a good ratio, little enough
/// to read one back.
const SEGMENT: u64 = 2 << 20;
/// The least it is made where memory is scarce.
const LEAST: u64 = 512 << 10;
/// The most it grows to: a reader within the default budget decodes two of them at a time.
const MOST: u64 = 8 << 20;
/// How much of the memory budget the largest may take, in hundredths: as text and encoded it takes five times as much.
const SHARE: u64 = 6;
/// Segments double after each run of so many: 200 GB by default.
const RUN: u64 = 1 << 17;

/// The size of segments, and how many there are. All readers of a backup share it.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    first: u64,
    most: u64,
    made: Arc<AtomicU64>,
}

impl Growth {
    /// Behind so many segments.
    pub(super) fn of(memory: Memory, made: u64) -> Self {
        let first = memory.share(1).clamp(LEAST, SEGMENT);
        Self {
            first,
            most: memory.share(SHARE).clamp(first, MOST),
            made: Arc::new(AtomicU64::new(made)),
        }
    }

    /// The first segments' size.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// How much BSON the next one is to hold.
    pub(super) fn size(&self) -> u64 {
        let doublings = self.made.load(Ordering::Relaxed) / RUN;
        let doubled = self.first << doublings.min(8);
        match doubled <= self.most {
            true => doubled,
            // The largest doubling that is allowed, and nothing between.
            false => self.first << (self.most / self.first).ilog2(),
        }
    }

    /// One more is made.
    pub(super) fn made_one(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(megabytes: u64) -> Vec<u64> {
        let memory = Memory::of(megabytes * 1_000_000).expect("enough");
        let runs = [0, RUN - 1, RUN, 2 * RUN, 3 * RUN, 100 * RUN, u64::MAX];
        runs.map(|made| Growth::of(memory, made).size() >> 10).to_vec()
    }

    #[test]
    fn segments_double_after_each_run_up_to_what_the_budget_allows() {
        assert_eq!(sizes(64), [512, 512, 1_024, 1_024, 1_024, 1_024, 1_024]);
        assert_eq!(sizes(190), [1_464, 1_464, 2_929, 5_859, 5_859, 5_859, 5_859]);
        assert_eq!(sizes(250), [2_048, 2_048, 4_096, 8_192, 8_192, 8_192, 8_192]);
        let growth = Growth::of(Memory::of(250_000_000).expect("enough"), RUN - 1);
        growth.made_one();
        assert_eq!(growth.size(), 2 * growth.first());
    }

    /// The largest object, of segments that do not get any shorter as they are stored: the table of contents has room
    /// for it, many times over.
    #[test]
    fn the_largest_object_has_fewer_segments_than_a_table_of_contents_has_room_for() {
        let (growth, mut bytes, mut segments) = (Growth::of(Memory::of(64_000_000).expect("enough"), 0), 0, 0);
        while bytes < 10_000 * (5 << 30) {
            bytes += RUN * growth.size();
            segments += RUN;
            growth.made.store(segments, Ordering::Relaxed);
        }
        assert!(segments * 8 < crate::archive::table::MOST_SEGMENTS, "{segments}");
    }
}
