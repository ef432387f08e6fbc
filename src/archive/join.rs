//! Cuts pieces into upload parts, most of which the object store copies by itself.
//!
//! Every part but the last has at least 5 MiB, and a copied part lies in one object. So shorter pieces, above all the
//! glue between two lanes, share a part with the bytes around them, which are fetched: less than 5 MiB per join, or, if
//! all parts must have one size, that size.

use super::Extent;
use super::compose::Piece;
use super::part::{MAX_PART_BYTES, MIN_PART_BYTES, PartSchedule};

/// An upload part, and what it is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedPart {
    /// Its number in the upload, from 1, without gaps.
    pub number: u32,
    /// Where in the object it begins.
    pub offset: u64,
    /// Its content. A single extent of a lane is copied; anything else is composed first, and is small.
    pub pieces: Vec<Piece>,
}

/// Cuts pieces into parts; with `equal`, all but the last have one size, which is that or more.
pub fn join(pieces: Vec<Piece>, equal: Option<u64>) -> Vec<JoinedPart> {
    let (least, most) = match equal {
        None => (MIN_PART_BYTES, MAX_PART_BYTES),
        Some(least) => {
            let bytes = pieces.iter().map(Piece::length).sum();
            let size = PartSchedule::equal(least, bytes).size(1);
            (size, size)
        }
    };
    join_within(pieces, least, most)
}

fn join_within(pieces: Vec<Piece>, least: u64, most: u64) -> Vec<JoinedPart> {
    let mut joiner = Joiner::default();
    for piece in pieces {
        let mut rest = piece;
        while rest.length() > 0 {
            let copied = matches!(rest, Piece::Lane { .. }) && joiner.gathered == 0 && rest.length() >= least;
            let room = match copied {
                true if rest.length() <= most => rest.length(),
                true if least == most => most,
                // What is left must be enough for a part of its own.
                true => most.min(rest.length() - least),
                false => least - joiner.gathered,
            };
            let (now, later) = split(rest, room);
            joiner.push(now);
            rest = later;
            if joiner.gathered >= least {
                joiner.cut();
            }
        }
    }
    if joiner.gathered > 0 {
        joiner.cut();
    }
    joiner.parts
}

#[derive(Debug, Default)]
struct Joiner {
    parts: Vec<JoinedPart>,
    current: Vec<Piece>,
    gathered: u64,
    offset: u64,
}

impl Joiner {
    fn push(&mut self, piece: Piece) {
        self.gathered += piece.length();
        self.current.push(piece);
    }

    fn cut(&mut self) {
        let number = self.parts.last().map_or(1, |part| part.number + 1);
        self.parts.push(JoinedPart {
            number,
            offset: self.offset,
            pieces: std::mem::take(&mut self.current),
        });
        self.offset += std::mem::take(&mut self.gathered);
    }
}

fn split(piece: Piece, at: u64) -> (Piece, Piece) {
    match piece {
        Piece::Bytes(mut bytes) => {
            let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let later = bytes.split_off(at);
            (Piece::Bytes(bytes), Piece::Bytes(later))
        }
        Piece::Lane { lane, extent } => {
            let at = at.min(extent.length);
            let cut = |offset, length| Piece::Lane {
                lane,
                extent: Extent { offset, length },
            };
            (cut(extent.offset, at), cut(extent.offset + at, extent.length - at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The parts are the pieces in their order, and each is one that S3 takes.
        #[test]
        fn parts_are_the_pieces_and_within_the_limits(
            lengths in prop::collection::vec((0_u64..400, any::<bool>()), 0..40),
            equal in any::<bool>(),
        ) {
            let (least, most) = if equal { (50, 50) } else { (50, 120) };
            let pieces: Vec<Piece> = lengths.iter().enumerate().map(|(at, &(length, lane))| match lane {
                true => Piece::Lane { lane: at as u32, extent: Extent { offset: 7, length } },
                false => Piece::Bytes(vec![at as u8; length as usize]),
            }).collect();
            let bytes_of = |pieces: &[Piece]| -> Vec<(u32, u64)> {
                pieces.iter().flat_map(|piece| match piece {
                    Piece::Bytes(bytes) => bytes.iter().map(|&byte| (u32::from(byte), 0)).collect::<Vec<_>>(),
                    Piece::Lane { lane, extent } => (extent.offset..extent.offset + extent.length).map(|at| (*lane, at)).collect(),
                }).collect()
            };
            let parts = join_within(pieces.clone(), least, most);
            let mut offset = 0;
            for (index, part) in parts.iter().enumerate() {
                let length: u64 = part.pieces.iter().map(Piece::length).sum();
                prop_assert_eq!((part.number as usize, part.offset), (index + 1, offset));
                prop_assert!(length <= most, "{}", length);
                prop_assert!(length >= least || index + 1 == parts.len(), "{}", length);
                // Only what the store copies is large.
                prop_assert!(part.pieces.len() == 1 || length <= least);
                offset += length;
            }
            let joined: Vec<Piece> = parts.into_iter().flat_map(|part| part.pieces).collect();
            prop_assert_eq!(bytes_of(&joined), bytes_of(&pieces));
        }
    }
}
