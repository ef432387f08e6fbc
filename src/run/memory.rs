//! How much memory a run may take: one number, from which everything else follows.
//!
//! What a backup or a restore holds depends not on the database's size, but on how far its stages may run ahead of each
//! other. So each stage gets a share of the budget ([`Memory::share`]), and the rest is for the program itself, its
//! connections, and the allocator's slack. `tests/it/bounds/memory.rs` compares the sum with the kernel's count.
//!
//! Two things ignore the budget: one document (16 MiB at most, up to seven times as much as text, three more copies on
//! its way to the server), and a part of an archive of more than 56 GB, since S3 takes at most 10,000
//! ([`PartSchedule`](crate::archive::PartSchedule)).

use crate::failure::Failure;

/// The program, its connections, its threads' stacks, and what the allocator holds in vain.
const OWN: u64 = 40_000_000;
/// A megabyte.
const MB: u64 = 1_000_000;

/// The most that a run may take, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(u64);

impl Memory {
    /// The least that can be worked with, in bytes.
    pub const LEAST: u64 = 64 * MB;

    /// A budget of so many bytes.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) below [`Self::LEAST`].
    pub fn of(bytes: u64) -> Result<Self, Failure> {
        if bytes < Self::LEAST {
            return Err(Failure::invalid(format!(
                "a memory budget of {} MB is too small: give at least {}",
                bytes / MB,
                Self::LEAST / MB
            )));
        }
        Ok(Self(bytes))
    }

    /// The requested budget, as a number of megabytes.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) if it is no such number, or too small.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let megabytes: Option<u64> = text.trim().parse().ok();
        match megabytes.and_then(|megabytes| megabytes.checked_mul(MB)) {
            Some(bytes) => Self::of(bytes),
            None => Err(Failure::invalid(format!(
                "{text:?} is not a memory budget: give a whole number of megabytes, {} or more",
                Self::LEAST / MB
            ))),
        }
    }

    /// The budget of a function with so many megabytes.
    pub fn of_function(megabytes: u64) -> Self {
        // A function is killed at its limit, and the runtime is in it, too.
        let most = (megabytes * MB / 10 * 7).max(Self::LEAST);
        Self(Self::default().0.min(most))
    }

    /// Half of it, but not less than the least: for a run whose last invocation was killed.
    #[must_use]
    pub fn halved(self) -> Self {
        Self((self.0 / 2).max(Self::LEAST))
    }

    /// The whole of it, in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// So many hundredths of what is to be shared out, in bytes.
    pub(crate) fn share(self, hundredths: u64) -> u64 {
        (self.0 - OWN) / 100 * hundredths
    }
}

impl Default for Memory {
    /// Enough for two cores to be busy, and 30 MB for each core more.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        Self(MB * (190 + 30 * cores.saturating_sub(2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_of_megabytes_and_large_enough() {
        let parse = |text| {
            Memory::parse(text)
                .map(Memory::bytes)
                .map_err(|failure| failure.message)
        };
        assert_eq!(parse("64"), Ok(Memory::LEAST));
        assert_eq!(parse(" 500 "), Ok(500_000_000));
        for wrong in ["63", "0", "", "1.5", "64 MiB", "-64", "99999999999999999999"] {
            let message = parse(wrong).expect_err(wrong);
            assert!(message.contains("64"), "{message}");
        }
    }

    #[test]
    fn a_function_gives_what_it_has_and_no_more_than_is_of_use() {
        assert_eq!(Memory::of_function(128).bytes(), 89_000_000 / MB * MB + 600_000);
        assert_eq!(Memory::of_function(10_240), Memory::default());
        assert_eq!(Memory::of_function(0).bytes(), Memory::LEAST);
        let whole = Memory::of(300 * MB).expect("enough");
        assert_eq!(whole.halved().bytes(), 150 * MB);
        assert_eq!(
            Memory::of(Memory::LEAST).map(Memory::halved).ok(),
            Some(Memory(Memory::LEAST))
        );
    }
}
