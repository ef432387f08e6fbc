//! How many documents are sent before the next check for a pause.
//!
//! A segment can hold fifty thousand documents, and replacing each by itself takes a minute. So a segment is sent in
//! pieces that should take a fraction of a second each; if one takes longer, the next ones are shorter.

use std::time::Duration;

/// What a piece may take. With the time that it takes to get the answers for what is on its way, it is less than a
/// second.
const AIM: Duration = Duration::from_millis(250);

/// How many documents make a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stride(u64);

impl Stride {
    /// Where documents are mostly new.
    pub(super) const INSERTS: Self = Self(1_000);
    /// Where each may be replaced by itself.
    pub(super) const MERGES: Self = Self(100);
    /// More than a segment holds.
    const MOST: u64 = 1 << 20;

    pub(super) fn documents(self) -> u64 {
        self.0
    }

    /// Learns from a piece of so many documents, which took so long.
    pub(super) fn learn(&mut self, documents: u64, took: Duration) {
        if took > AIM {
            let fitting = u128::from(documents) * AIM.as_nanos() / took.as_nanos().max(1);
            self.0 = u64::try_from(fitting).unwrap_or(u64::MAX).clamp(1, self.0);
        } else if took < AIM / 2 && documents >= self.0 {
            self.0 = (self.0 * 2).min(Self::MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_takes_about_as_long_as_it_may_however_quick_the_server_is() {
        for nanos in [500, 50_000, 1_000_000, 30_000_000, 5_000_000_000_u64] {
            let mut stride = Stride::MERGES;
            for _ in 0..30 {
                let documents = stride.documents();
                stride.learn(documents, Duration::from_nanos(documents * nanos));
            }
            let took = Duration::from_nanos(stride.documents() * nanos);
            assert!(took <= AIM || stride.documents() == 1, "{nanos}: {took:?}");
            assert!(
                took >= AIM / 3 || stride.documents() == Stride::MOST,
                "{nanos}: {took:?}"
            );
        }
    }

    #[test]
    fn the_short_rest_of_a_segment_says_nothing_of_longer_pieces() {
        let mut stride = Stride::INSERTS;
        stride.learn(10, Duration::from_millis(1));
        assert_eq!(stride, Stride::INSERTS);
        stride.learn(1, AIM * 2);
        assert_eq!(stride.documents(), 1);
    }
}
