//! Upload parts, and the one held back (DESIGN 2.2, 2.6).
//!
//! S3 takes the parts of a multipart upload in any order. So bytes that are not known yet (a tar header, which states a
//! size) leave a **hole**; the part with the hole waits, and later ones go out as they fill. One hole at a time; it
//! never straddles two parts: the part grows around it. If all parts must have one size, two parts wait as one.

use std::collections::VecDeque;

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
    base: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    equal: bool,
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

/// A finished part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number in the upload, from 1, without gaps.
    pub number: u32,
    /// Where in the object it begins.
    pub offset: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hole {
    /// The number of the part it is in.
    number: u32,
    /// Where in that part.
    at: usize,
    length: usize,
}

/// Where an assembler is, without the bytes it holds: one or two runs, kept beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssemblerState {
    schedule: PartSchedule,
    /// The part that is being filled.
    current: PartState,
    /// The full part that waits for its hole.
    held: Option<PartState>,
    hole: Option<Hole>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartState {
    number: u32,
    offset: u64,
    length: u64,
}

impl PartState {
    fn of(part: &Part) -> Self {
        Self {
            number: part.number,
            offset: part.offset,
            length: part.bytes.len() as u64,
        }
    }

    fn with(self, bytes: Vec<u8>) -> Option<Part> {
        (bytes.len() as u64 == self.length).then_some(Part {
            number: self.number,
            offset: self.offset,
            bytes,
        })
    }
}

impl AssemblerState {
    /// The number of the part kept back, if any.
    pub fn held(&self) -> Option<u32> {
        self.held.map(|part| part.number)
    }
}

/// Cuts a stream of bytes with holes into parts.
#[derive(Debug)]
pub struct PartAssembler {
    schedule: PartSchedule,
    current: Part,
    held: Option<Part>,
    hole: Option<Hole>,
    ready: VecDeque<Part>,
}

impl PartAssembler {
    /// Begins at offset 0 with part 1.
    pub fn new(schedule: PartSchedule) -> Self {
        Self {
            schedule,
            current: Part {
                number: 1,
                offset: 0,
                bytes: Vec::new(),
            },
            held: None,
            hole: None,
            ready: VecDeque::new(),
        }
    }

    /// How many bytes there are so far, holes included.
    pub fn offset(&self) -> u64 {
        self.current.offset + self.current.bytes.len() as u64
    }

    /// Adds bytes.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.goal().saturating_sub(self.current.bytes.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let part = &mut self.current.bytes;
            if part.capacity() - part.len() < now.len() {
                // Left to itself a vector doubles, and a part that is almost full would take the memory of two.
                part.reserve_exact(room.min(part.len().max(now.len())));
            }
            part.extend_from_slice(now);
            bytes = later;
            self.cut_when_full();
        }
    }

    /// Leaves a hole of `length` bytes. There must be no other.
    pub fn leave_hole(&mut self, length: usize) {
        debug_assert!(self.hole.is_none(), "one hole at a time");
        let at = self.current.bytes.len();
        self.current.bytes.resize(at + length, 0);
        self.hole = Some(Hole {
            number: self.current.number,
            at,
            length,
        });
        self.cut_when_full();
    }

    /// Fills the hole, and releases the part kept back for it. `bytes` must be as long as the hole.
    pub fn fill_hole(&mut self, bytes: &[u8]) {
        let Some(hole) = self.hole.take() else {
            debug_assert!(false, "there is no hole to fill");
            return;
        };
        let part = match &mut self.held {
            Some(held) if held.number == hole.number => held,
            _ => &mut self.current,
        };
        part.bytes[hole.at..hole.at + hole.length].copy_from_slice(bytes);
        if let Some(held) = self.held.take() {
            self.release(held);
        }
        self.cut_when_full();
    }

    /// Where it is. Every part that was ready must have been taken.
    pub fn state(&self) -> AssemblerState {
        debug_assert!(self.ready.is_empty(), "a part that was not sent would be lost");
        AssemblerState {
            schedule: self.schedule,
            current: PartState::of(&self.current),
            held: self.held.as_ref().map(PartState::of),
            hole: self.hole.clone(),
        }
    }

    /// The bytes of the part that is being filled.
    pub fn current_bytes(&self) -> &[u8] {
        &self.current.bytes
    }

    /// The bytes of the part that is kept back.
    pub fn held_bytes(&self) -> Option<&[u8]> {
        self.held.as_ref().map(|part| part.bytes.as_slice())
    }

    /// Continues another one; `None` if the bytes do not match the state.
    pub fn resume(state: AssemblerState, current: Vec<u8>, held: Option<Vec<u8>>) -> Option<Self> {
        let current = state.current.with(current)?;
        let held = match (state.held, held) {
            (None, None) => None,
            (Some(part), Some(bytes)) => Some(part.with(bytes)?),
            _ => return None,
        };
        let holder = held
            .as_ref()
            .filter(|held| state.hole.as_ref().is_some_and(|hole| hole.number == held.number));
        let fits = state.hole.as_ref().is_none_or(|hole| {
            let end = hole.at.checked_add(hole.length);
            end.is_some_and(|end| end <= holder.unwrap_or(&current).bytes.len())
        });
        fits.then_some(Self {
            schedule: state.schedule,
            current,
            held,
            hole: state.hole,
            ready: VecDeque::new(),
        })
    }

    /// The next part that can be sent, in no particular order of numbers.
    pub fn next_ready(&mut self) -> Option<Part> {
        self.ready.pop_front()
    }

    /// The parts that are left. There must be no hole.
    pub fn finish(mut self) -> VecDeque<Part> {
        debug_assert!(self.hole.is_none(), "a hole was never filled");
        if !self.current.bytes.is_empty() {
            self.ready.push_back(self.current);
        }
        self.ready
    }

    /// How long the current part is to be; where all have one size and the hole lies across its end, two of them.
    fn goal(&self) -> usize {
        let size = usize::try_from(self.schedule.size(self.current.number)).unwrap_or(usize::MAX);
        let is_across = |hole: &Hole| {
            hole.number == self.current.number && hole.at < size && hole.at.saturating_add(hole.length) > size
        };
        match self.schedule.equal && self.hole.as_ref().is_some_and(is_across) {
            true => size.saturating_mul(2),
            false => size,
        }
    }

    fn cut_when_full(&mut self) {
        let goal = self.goal();
        if self.current.bytes.len() < goal {
            return;
        }
        let rest = match self.schedule.equal {
            true => self.current.bytes.split_off(goal),
            false => Vec::new(),
        };
        let parts = goal as u64 / self.schedule.size(self.current.number);
        let next = Part {
            number: self.current.number + u32::try_from(parts).unwrap_or(u32::MAX),
            offset: self.offset(),
            bytes: rest,
        };
        let full = std::mem::replace(&mut self.current, next);
        if self.hole.as_ref().is_some_and(|hole| hole.number == full.number) {
            self.held = Some(full);
        } else {
            self.release(full);
        }
    }

    /// Lets go of a part, or of two that waited as one.
    fn release(&mut self, mut part: Part) {
        let size = usize::try_from(self.schedule.size(part.number)).unwrap_or(usize::MAX);
        if self.schedule.equal && part.bytes.len() > size {
            let second = Part {
                number: part.number + 1,
                offset: part.offset + size as u64,
                bytes: part.bytes.split_off(size),
            };
            self.ready.extend([part, second]);
        } else {
            self.ready.push_back(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;
    const TIB: u64 = 1 << 40;

    #[test]
    fn ten_thousand_parts_reach_s3s_largest_object() {
        let schedule = PartSchedule::default();
        assert_eq!(schedule.size(1), 8 * MIB);
        assert_eq!(schedule.size(1_000), 8 * MIB);
        assert_eq!(schedule.size(1_001), 16 * MIB);
        assert!(schedule.capacity() > 7 * TIB);
        assert!((1..=MAX_PARTS).all(|number| (MIN_PART_BYTES..=MAX_PART_BYTES).contains(&schedule.size(number))));

        // Amazon S3's limit of 2026: 48.8 TiB, which is 10,000 parts of 5 GiB.
        let largest = u64::from(MAX_PARTS) * MAX_PART_BYTES;
        assert_eq!(PartSchedule::for_estimate(largest).capacity(), largest);
        assert_eq!(PartSchedule::for_estimate(1 << 30), schedule);
        for estimate in [TIB, 6 * TIB, 20 * TIB] {
            assert!(PartSchedule::for_estimate(estimate).capacity() >= 2 * estimate);
        }
    }

    #[test]
    fn parts_of_one_size_hold_what_is_estimated_twice() {
        for (least, estimate, size) in [
            (0, 0, 5 * MIB),
            (8 * MIB, 1 << 30, 8 * MIB),
            (8 * MIB, TIB, 256 * MIB),
            (MAX_PART_BYTES * 2, 0, MAX_PART_BYTES),
        ] {
            let schedule = PartSchedule::equal(least, estimate);
            assert!((1..=MAX_PARTS).all(|number| schedule.size(number) == size));
            assert!(schedule.capacity() >= 2 * estimate);
        }
        // What an earlier version wrote down says nothing of it.
        let before: PartSchedule = serde_json::from_str(r#"{"base":8388608}"#).expect("a schedule");
        assert_eq!(before, PartSchedule::default());
    }

    proptest! {
        /// Whatever is written in whatever pieces, stopped and taken up again wherever, the parts joined by number are
        /// the bytes, and only the part with the hole waits.
        #[test]
        fn parts_join_to_the_stream(
            steps in prop::collection::vec((0_usize..9000, 1_usize..700, any::<bool>(), any::<bool>()), 1..40),
            equal in any::<bool>(),
        ) {
            let schedule = PartSchedule { base: 2048, equal };
            let mut assembler = PartAssembler::new(schedule);
            let mut expected = Vec::new();
            let mut parts = Vec::new();
            for (index, (length, hole, filled_late, stopped)) in steps.into_iter().enumerate() {
                let filler = vec![b'A' + (index % 26) as u8; hole];
                assembler.leave_hole(hole);
                expected.extend_from_slice(&filler);
                if !filled_late {
                    assembler.fill_hole(&filler);
                }
                let data: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
                assembler.append(&data);
                expected.extend_from_slice(&data);
                parts.extend(std::iter::from_fn(|| assembler.next_ready()));
                if stopped {
                    let state = serde_json::to_string(&assembler.state()).expect("JSON");
                    let state = serde_json::from_str(&state).expect("a state");
                    let held = assembler.held_bytes().map(<[u8]>::to_vec);
                    let current = assembler.current_bytes().to_vec();
                    assembler = PartAssembler::resume(state, current, held).expect("its own bytes");
                }
                if filled_late {
                    let waiting = usize::from(assembler.held.is_some());
                    prop_assert!(assembler.offset() as usize <= parts.iter().map(|part| part.bytes.len()).sum::<usize>()
                        + (2 * waiting + 2) * (2048 + 700));
                    assembler.fill_hole(&filler);
                }
            }
            parts.extend(assembler.finish());
            parts.sort_by_key(|part| part.number);
            let mut joined = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                prop_assert_eq!(part.number as usize, index + 1);
                prop_assert_eq!(part.offset as usize, joined.len());
                prop_assert!(index + 1 == parts.len() || part.bytes.len() >= 2048);
                prop_assert!(!equal || index + 1 == parts.len() || part.bytes.len() == 2048);
                prop_assert!(!equal || part.bytes.len() <= 2048);
                joined.extend_from_slice(&part.bytes);
            }
            prop_assert_eq!(joined, expected);
        }
    }
}
