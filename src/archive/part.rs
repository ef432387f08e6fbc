//! Upload parts, and the one held back (DESIGN 2.2, 2.6).
//!
//! S3 takes the parts of a multipart upload in any order. So bytes that are not known yet (a tar header, which states a
//! size) leave a **hole**; the part with the hole waits, and later ones go out as they fill. One hole at a time; it
//! never straddles two parts: the part grows around it. If all parts must have one size, two parts wait as one.
//!
//! Bytes that lie in an object already can be **copied** by the store. A run of them that is as long as a part becomes
//! one, however long it gets; a shorter one is sent like all others.

mod schedule;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Extent;
pub use schedule::{MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES, PartSchedule};

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

/// A part that the store makes of another object's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedPart {
    /// Its number in the upload.
    pub number: u32,
    /// Where in the new object it begins.
    pub offset: u64,
    /// Which object.
    pub source: u32,
    /// What of it.
    pub extent: Extent,
}

/// A run of another object's bytes, at the end of what there is so far.
#[derive(Debug)]
struct CopiedRun {
    source: u32,
    extent: Extent,
    /// The bytes, as long as they are too few for a part.
    bytes: Vec<u8>,
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
    /// Where there is one, the current part is empty.
    run: Option<CopiedRun>,
    copied: VecDeque<CopiedPart>,
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
            run: None,
            copied: VecDeque::new(),
        }
    }

    /// How many bytes there are so far, holes included.
    pub fn offset(&self) -> u64 {
        let run = self.run.as_ref().map_or(0, |run| run.extent.length);
        self.current.offset + self.current.bytes.len() as u64 + run
    }

    /// Adds bytes.
    pub fn append(&mut self, bytes: &[u8]) {
        self.end_run();
        self.add(bytes);
    }

    /// Adds bytes that are an extent of another object. They are copied where a part can be made of such.
    pub fn copy(&mut self, source: u32, extent: Extent, bytes: &[u8]) {
        if self.schedule.equal || bytes.len() as u64 != extent.length {
            return self.append(bytes);
        }
        let follows = |run: &CopiedRun| {
            let end = run.extent.offset + run.extent.length;
            run.source == source && end == extent.offset && run.extent.length + extent.length <= MAX_PART_BYTES
        };
        if !self.run.as_ref().is_some_and(follows) {
            self.end_run();
        }
        // A run begins where a part does.
        let room = match self.current.bytes.len() {
            0 => 0,
            filled => self.goal().saturating_sub(filled).min(bytes.len()),
        };
        let (now, rest) = bytes.split_at(room);
        self.add(now);
        if rest.is_empty() {
            return;
        }
        let size = self.schedule.size(self.current.number);
        let run = self.run.get_or_insert(CopiedRun {
            source,
            extent: Extent {
                offset: extent.offset + now.len() as u64,
                length: 0,
            },
            bytes: Vec::new(),
        });
        run.extent.length += rest.len() as u64;
        match run.extent.length >= size {
            true => run.bytes = Vec::new(),
            false => run.bytes.extend_from_slice(rest),
        }
    }

    /// Ends a run of copied bytes.
    pub fn end_run(&mut self) {
        let Some(CopiedRun { source, extent, bytes }) = self.run.take() else {
            return;
        };
        if extent.length < self.schedule.size(self.current.number) {
            return self.add(&bytes);
        }
        self.copied.push_back(CopiedPart {
            number: self.current.number,
            offset: self.current.offset,
            source,
            extent,
        });
        self.current.number += 1;
        self.current.offset += extent.length;
    }

    fn add(&mut self, mut bytes: &[u8]) {
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
        self.end_run();
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
        debug_assert!(self.run.is_none(), "what is copied is not gone on with");
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
            run: None,
            copied: VecDeque::new(),
        })
    }

    /// The next part that can be sent, in no particular order of numbers.
    pub fn next_ready(&mut self) -> Option<Part> {
        self.ready.pop_front()
    }

    /// The next part that can be copied.
    pub fn next_copied(&mut self) -> Option<CopiedPart> {
        self.copied.pop_front()
    }

    /// The parts that are left. There must be no hole, and nothing left to be copied.
    pub fn finish(mut self) -> VecDeque<Part> {
        debug_assert!(self.hole.is_none(), "a hole was never filled");
        debug_assert!(
            self.run.is_none() && self.copied.is_empty(),
            "what is to be copied would be lost"
        );
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
mod tests;
