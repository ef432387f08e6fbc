//! What the pipeline may hold at a time, out of the memory budget.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::archive::{Compression, Payload};
use crate::catalog::Collection;
use crate::run::Memory;

/// The BSON of a segment, and of a reply, in bytes, where memory is not scarce: enough for a good ratio, little enough to read one back.
const SEGMENT: u64 = 2 << 20;
/// The least it is made where memory is scarce.
const LEAST_SEGMENT: u64 = 512 << 10;
/// The longest reply there is, with the server's own fields.
const LONGEST_REPLY: u64 = 17 << 20;
/// What encoding a segment takes beside the segment: its text, and what the codec may write. Text is about twice as long as BSON.
const ENCODING: u64 = 5;
/// Semaphores count in KiB.
const UNIT: u64 = 1 << 10;

/// What those ahead have together where memory is scarce. Half of what there is more goes to them.
const LEAST_AHEAD: u64 = 4 << 20;
/// Shares of the memory budget, in hundredths.
const CURRENT: u64 = 14;
const WORKERS: u64 = 22;

/// The allowances of all readers.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    segment: u64,
    /// What a byte of BSON costs until it is laid out.
    cost: u64,
    current: Pool,
    ahead: Pool,
    workers: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Pool {
    free: Arc<Semaphore>,
    units: u64,
}

impl Pool {
    fn of(bytes: u64) -> Self {
        let units = bytes.div_ceil(UNIT).max(1);
        let permits = usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            units,
        }
    }

    /// Waits for so many bytes, or for all there are where there are fewer: what is larger than the pool is held alone.
    async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.units)).unwrap_or(u32::MAX);
        Arc::clone(&self.free)
            .acquire_many_owned(units)
            .await
            .expect("no semaphore of the pipeline is ever closed")
    }
}

impl Allowance {
    pub(super) fn of(memory: Memory, form: (Payload, Compression)) -> Self {
        let segment = memory.share(1).clamp(LEAST_SEGMENT, SEGMENT);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let affordable = usize::try_from(memory.share(WORKERS) / (ENCODING * segment)).unwrap_or(usize::MAX);
        Self {
            segment,
            cost: match form {
                // Beside its text, which is about twice as long and stays.
                (Payload::Jsonl, Compression::None) => 3,
                _ => 1,
            },
            current: Pool::of(memory.share(CURRENT)),
            ahead: Pool::of(LEAST_AHEAD + memory.bytes().saturating_sub(Memory::LEAST) / 2),
            workers: Arc::new(Semaphore::new(affordable.clamp(1, cores))),
        }
    }

    /// The room of one reader.
    pub(super) fn room(&self, index: usize, turn: watch::Receiver<usize>) -> Room {
        Room {
            index,
            turn,
            allowance: self.clone(),
        }
    }
}

/// One reader's view of the allowances.
#[derive(Clone, Debug)]
pub(super) struct Room {
    index: usize,
    turn: watch::Receiver<usize>,
    allowance: Allowance,
}

impl Room {
    /// How much BSON is to go into a segment.
    pub(super) fn segment(&self) -> usize {
        usize::try_from(self.allowance.segment).unwrap_or(usize::MAX)
    }

    /// How many documents make a reply of one segment, by what the server says of their number and size.
    pub(super) fn documents_per_reply(&self, collection: &Collection) -> u32 {
        u32::try_from(self.allowance.segment / collection.average_bytes()).unwrap_or(u32::MAX)
    }

    /// Room for the first reply: of most collections of most databases it is all there is.
    pub(super) async fn first(&mut self, collection: &Collection) -> OwnedSemaphorePermit {
        // As much again, for growth.
        let all = collection
            .bytes
            .map_or(LONGEST_REPLY, |bytes| bytes.saturating_mul(2).saturating_add(64 << 10));
        let bytes = self.reply(collection).min(all);
        self.take(bytes).await
    }

    /// Room for the next reply.
    pub(super) async fn next(&mut self, collection: &Collection) -> OwnedSemaphorePermit {
        let bytes = self.reply(collection);
        self.take(bytes).await
    }

    /// What a reply of so many bytes costs.
    pub(super) fn cost(&self, bytes: usize) -> usize {
        bytes.saturating_mul(usize::try_from(self.allowance.cost).unwrap_or(1))
    }

    /// Waits until an encoder is free.
    pub(super) async fn worker(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.allowance.workers)
            .acquire_owned()
            .await
            .expect("no semaphore of the pipeline is ever closed")
    }

    /// What a reply may come to: documents are not all alike.
    fn reply(&self, collection: &Collection) -> u64 {
        let expected = self.allowance.segment.max(collection.average_bytes());
        (expected + expected / 4).min(LONGEST_REPLY) * self.allowance.cost
    }

    /// Out of the allowance for those ahead, or, when it is this collection's turn, out of its own.
    async fn take(&mut self, bytes: u64) -> OwnedSemaphorePermit {
        let (ahead, current) = (self.allowance.ahead.clone(), self.allowance.current.clone());
        tokio::select! {
            biased;
            () = self.its_turn() => current.take(bytes).await,
            permit = ahead.take(bytes) => permit,
        }
    }

    async fn its_turn(&mut self) {
        let index = self.index;
        // An error means that the pipeline is gone; the next send then ends this reader.
        let _ = self.turn.wait_for(|&turn| turn >= index).await;
    }
}

/// Gives back what of a permit is more than so many bytes need.
pub(super) fn give_back(permit: &mut OwnedSemaphorePermit, bytes: usize) {
    let needed = (bytes as u64).div_ceil(UNIT).max(1);
    let surplus = (permit.num_permits() as u64).saturating_sub(needed);
    drop(permit.split(usize::try_from(surplus).unwrap_or(0)));
}

/// Takes so many bytes' worth out of a permit; what is there, where that is less.
pub(super) fn part_of(permit: &mut OwnedSemaphorePermit, bytes: usize) -> OwnedSemaphorePermit {
    let units = (bytes / UNIT as usize).min(permit.num_permits());
    permit.split(units).expect("no more than there is")
}
