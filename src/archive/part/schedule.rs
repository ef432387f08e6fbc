//! How large parts are.

use serde::{Deserialize, Serialize};

/// S3's smallest part, but for the last (Amazon S3 user guide, "multipart upload limits").
pub const MIN_PART_BYTES: u64 = 5 << 20;
/// S3's largest number of parts.
pub const MAX_PARTS: u32 = 10_000;
/// S3's largest part.
pub const MAX_PART_BYTES: u64 = 5 << 30;
/// The first parts' size where nothing is known of the archive's.
const DEFAULT_BASE: u64 = 8 << 20;
/// The first parts' size where an archive goes into a file.
const FILE_BASE: u64 = 1 << 20;
/// Parts double after each run of so many.
const RUN: u32 = 1_000;

/// How large each part is: the base size for the first 1,000, then twice as large every 1,000, up to S3's 5 GiB.
///
/// With the default base of 8 MiB, 56 GB of archive go in parts of at most 32 MiB, and 10,000 parts hold 7.8 TiB. For
/// larger archives [`PartSchedule::for_estimate`] starts higher; the limit of that is 10,000 parts of 5 GiB each, which
/// is S3's largest object.
///
/// Some stores demand that all parts but the last have one size: [`PartSchedule::equal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSchedule {
    pub(super) base: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) equal: bool,
}

impl Default for PartSchedule {
    fn default() -> Self {
        Self::from(DEFAULT_BASE)
    }
}

impl PartSchedule {
    const fn from(base: u64) -> Self {
        Self { base, equal: false }
    }

    /// The schedule with the smallest parts that holds `bytes`, with as much room again in case the estimate is low.
    pub fn for_estimate(bytes: u64) -> Self {
        Self::default().at_least(bytes)
    }

    /// As [`Self::for_estimate`], from S3's smallest parts up: less memory, more requests.
    pub fn small_for_estimate(bytes: u64) -> Self {
        Self::from(MIN_PART_BYTES).at_least(bytes)
    }

    /// As [`Self::for_estimate`], for a file, which takes parts of any size: so small that they are written while the
    /// processor still has them at hand.
    pub fn of_file_for_estimate(bytes: u64) -> Self {
        Self::from(FILE_BASE).at_least(bytes)
    }

    /// The smallest parts of one size, none smaller than that, of which 10,000 hold `bytes` twice.
    pub fn equal(least: u64, bytes: u64) -> Self {
        let schedule = Self {
            base: least.clamp(MIN_PART_BYTES, MAX_PART_BYTES),
            equal: true,
        };
        schedule.at_least(bytes)
    }

    fn at_least(self, bytes: u64) -> Self {
        let mut schedule = self;
        while schedule.capacity() / 2 < bytes && schedule.base < MAX_PART_BYTES {
            schedule.base = (schedule.base * 2).min(MAX_PART_BYTES);
        }
        schedule
    }

    /// The size of part `number`, which counts from 1.
    pub fn size(self, number: u32) -> u64 {
        if self.equal {
            return self.base;
        }
        let doublings = number.saturating_sub(1) / RUN;
        self.base
            .checked_shl(doublings)
            .filter(|size| size >> doublings == self.base)
            .map_or(MAX_PART_BYTES, |size| size.min(MAX_PART_BYTES))
    }

    /// How many bytes all 10,000 parts hold together.
    pub fn capacity(self) -> u64 {
        (1..=MAX_PARTS).map(|number| self.size(number)).sum()
    }
}
