//! A CRC-32 over a stream whose runs are known in any order (gzip's trailer needs it, FORMAT 3).

use crc_fast::CrcAlgorithm::Crc32IsoHdlc;
use serde::{Deserialize, Serialize};

/// CRC-32 and length of a run of bytes. Lengths are 64-bit: an entry can be longer than gzip's own counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crc32 {
    sum: u64,
    length: u64,
}

impl Crc32 {
    /// A run that was summed elsewhere.
    pub(super) fn of_run(sum: u32, length: u64) -> Self {
        Self {
            sum: u64::from(sum),
            length,
        }
    }

    /// Sums a run.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            sum: crc_fast::checksum(Crc32IsoHdlc, bytes),
            length: bytes.len() as u64,
        }
    }

    /// The run followed by another.
    pub(super) fn then(self, next: Self) -> Self {
        if self.length == 0 || next.length == 0 {
            return if self.length == 0 { next } else { self };
        }
        Self {
            sum: crc_fast::checksum_combine(Crc32IsoHdlc, self.sum, next.sum, next.length),
            length: self.length + next.length,
        }
    }

    /// What ends a gzip member: the sum, and the length modulo 2³².
    pub(super) fn gzip_trailer(self) -> [u8; 8] {
        let mut trailer = [0; 8];
        trailer[..4].copy_from_slice(&self.sum.to_le_bytes()[..4]);
        trailer[4..].copy_from_slice(&self.length.to_le_bytes()[..4]);
        trailer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_combine(a in prop::collection::vec(any::<u8>(), 0..300), b in prop::collection::vec(any::<u8>(), 0..300)) {
            let joined = [a.clone(), b.clone()].concat();
            prop_assert_eq!(Crc32::of(&a).then(Crc32::of(&b)), Crc32::of(&joined));
            let mut oracle = flate2::Crc::new();
            oracle.update(&joined);
            prop_assert_eq!(&Crc32::of(&joined).gzip_trailer()[..4], oracle.sum().to_le_bytes());
        }
    }
}
