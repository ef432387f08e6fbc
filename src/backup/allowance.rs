//! How much of the memory budget the pipeline may hold at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::growth::Growth;
use crate::archive::{Compression, Payload};
use crate::catalog::Collection;
use crate::run::{Memory, POOL_UNIT as UNIT, Pool};

/// The longest reply there is, with the server's own fields.
const LONGEST_REPLY: u64 = 17 << 20;
/// What encoding a segment takes beside the segment: its text, and what the codec may write. Text is about twice as
/// long as BSON.
const ENCODING: u64 = 5;

/// What those ahead have together where memory is scarce. A third of what there is more goes to them, without the
/// parts.
const LEAST_AHEAD: u64 = 2 << 20;
/// The part that is being filled, and the one that waits for its entry's header: they are on their way to nowhere yet,
/// so the upload does not count them.
const PARTS: u64 = 2 * (8 << 20);
/// How many cursors read one collection at the most.
const MOST_ABREAST: usize = 4;
/// How many segments a stretch has at the most, and at the least: shorter ones are not worth a cursor.
const STRETCH: std::ops::RangeInclusive<u64> = 4..=8;
/// Shares of the memory budget, in hundredths.
const CURRENT: u64 = 14;
const WORKERS: u64 = 22;

/// The allowances of all readers.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    segment: Growth,
    /// What a byte of BSON costs until it is laid out.
    cost: u64,
    current: Pool,
    /// For what one collection's cursors read beside the foremost of them.
    beside: Pool,
    ahead: Pool,
    abreast: usize,
    workers: Arc<Semaphore>,
    /// How many encoders there are.
    most_workers: u64,
    /// What they may take together.
    encoding: u64,
}

impl Allowance {
    /// Where so many segments are made already.
    pub(super) fn of(memory: Memory, form: (Payload, Compression), made: u64) -> Self {
        let segment = Growth::of(memory, made);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let surplus = memory.bytes().saturating_sub(Memory::LEAST);
        let encoding = memory.share(WORKERS);
        let affordable = usize::try_from(encoding / (ENCODING * segment.first())).unwrap_or(usize::MAX);
        let workers = affordable.clamp(1, cores);
        Self {
            segment,
            cost: match form {
                // Beside its text, which is about twice as long and stays.
                (Payload::Jsonl, Compression::None) => 3,
                _ => 1,
            },
            current: Pool::of(memory.share(CURRENT)),
            beside: Pool::of(surplus / 6),
            ahead: Pool::of(LEAST_AHEAD + (surplus / 3).saturating_sub(PARTS)),
            abreast: cores.clamp(1, MOST_ABREAST),
            workers: Arc::new(Semaphore::new(workers)),
            most_workers: workers as u64,
            encoding,
        }
    }

    /// The room of one reader.
    pub(super) fn room(&self, index: usize, turn: watch::Receiver<usize>) -> Room {
        Room {
            index,
            turn,
            stretch: None,
            allowance: self.clone(),
        }
    }
}

/// One reader's view of the allowances.
#[derive(Clone, Debug)]
pub(super) struct Room {
    index: usize,
    turn: watch::Receiver<usize>,
    /// Which of the collection's stretches, and the one that is handed on.
    stretch: Option<(usize, watch::Receiver<usize>)>,
    allowance: Allowance,
}

impl Room {
    /// How many cursors may read the collection.
    pub(super) fn abreast(&self) -> usize {
        self.allowance.abreast
    }

    /// How many documents are to be in a stretch, so that those beside the foremost one fit into memory; `None` if
    /// it is too scarce for that.
    pub(super) fn documents_per_stretch(&self, collection: &Collection) -> Option<u64> {
        let (beside, segment) = (&self.allowance.beside, self.allowance.segment.size());
        let others = (self.allowance.abreast as u64)
            .checked_sub(1)
            .filter(|&others| others > 0)?;
        // A reply is paid for with a quarter more.
        let affordable = beside.bytes() / others / (segment + segment / 4) / self.allowance.cost;
        let segments = affordable.min(*STRETCH.end());
        // Where a document takes more than a segment, a stretch has fewer documents than that.
        let documents = segments * segment / collection.average_bytes();
        (segments >= *STRETCH.start() && documents >= *STRETCH.start()).then_some(documents)
    }

    /// The room of the cursor that reads a stretch of the collection.
    pub(super) fn of_stretch(&self, index: usize, turn: watch::Receiver<usize>) -> Self {
        Self {
            stretch: Some((index, turn)),
            ..self.clone()
        }
    }

    /// How much BSON is to go into a segment.
    pub(super) fn segment(&self) -> usize {
        usize::try_from(self.allowance.segment.size()).unwrap_or(usize::MAX)
    }

    /// How many documents make a reply of one segment, by what the server says of their number and size.
    pub(super) fn documents_per_reply(&self, collection: &Collection) -> u32 {
        u32::try_from(self.allowance.segment.size() / collection.average_bytes()).unwrap_or(u32::MAX)
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

    /// Waits until an encoder is free, for the next segment. Large segments take the place of more than one.
    pub(super) async fn worker(&self) -> OwnedSemaphorePermit {
        let allowance = &self.allowance;
        let taken = allowance.most_workers * ENCODING * allowance.segment.size() / allowance.encoding.max(1);
        let taken = u32::try_from(taken.clamp(1, allowance.most_workers)).unwrap_or(1);
        allowance.segment.made_one();
        Arc::clone(&allowance.workers)
            .acquire_many_owned(taken)
            .await
            .expect("no semaphore of the pipeline is ever closed")
    }

    /// What a reply may come to: documents are not all alike.
    fn reply(&self, collection: &Collection) -> u64 {
        let expected = self.allowance.segment.size().max(collection.average_bytes());
        (expected + expected / 4).min(LONGEST_REPLY) * self.allowance.cost
    }

    /// As the collection's foremost cursor does, or, when it is the collection's turn, out of the allowance for the
    /// others.
    async fn take(&mut self, bytes: u64) -> OwnedSemaphorePermit {
        if let Some((stretch, foremost)) = &mut self.stretch {
            let beside = &self.allowance.beside;
            tokio::select! {
                biased;
                () = comes_to(foremost, *stretch) => {}
                permit = async {
                    comes_to(&mut self.turn, self.index).await;
                    beside.take(bytes).await
                } => return permit,
            }
        }
        self.take_as_foremost(bytes).await
    }

    /// Out of the allowance for those ahead, or, when it is this collection's turn, out of its own.
    async fn take_as_foremost(&mut self, bytes: u64) -> OwnedSemaphorePermit {
        let Allowance { ahead, current, .. } = &self.allowance;
        tokio::select! {
            biased;
            () = comes_to(&mut self.turn, self.index) => current.take(bytes).await,
            permit = ahead.take(bytes) => permit,
        }
    }
}

/// Waits for a turn.
async fn comes_to(turn: &mut watch::Receiver<usize>, index: usize) {
    // An error means that the pipeline is gone; the next send then ends this reader.
    let _ = turn.wait_for(|&turn| turn >= index).await;
}

/// Takes so many bytes' worth out of a permit; what is there, where that is less.
pub(super) fn part_of(permit: &mut OwnedSemaphorePermit, bytes: usize) -> OwnedSemaphorePermit {
    let units = (bytes / UNIT as usize).min(permit.num_permits());
    permit.split(units).expect("no more than there is")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Definition, Kind};

    fn collection(average: u64) -> Collection {
        Collection {
            name: "a".to_owned(),
            kind: Kind::Collection,
            options: Definition::default(),
            uuid: None,
            renamable: true,
            indexes: Vec::new(),
            documents: Some(1_000),
            bytes: Some(average * 1_000),
        }
    }

    #[test]
    fn a_stretch_is_some_segments_long_or_there_is_none() {
        let room = |megabytes: u64, compression| {
            let memory = Memory::of(megabytes * 1_000_000).expect("enough");
            let allowance = Allowance {
                abreast: 2,
                ..Allowance::of(memory, (Payload::Jsonl, compression), 0)
            };
            allowance.room(0, watch::channel(0).1)
        };
        let roomy = room(250, Compression::Zstd);
        let small = roomy.documents_per_stretch(&collection(1_024)).expect("memory for it");
        assert_eq!(small, 8 * (roomy.segment() as u64) / 1_024);
        assert_eq!(roomy.documents_per_stretch(&collection(3 << 20)), Some(5));
        assert_eq!(
            roomy.documents_per_stretch(&collection(15 << 20)),
            None,
            "each as long as a stretch"
        );
        assert_eq!(
            room(64, Compression::Zstd).documents_per_stretch(&collection(1_024)),
            None
        );
        assert_eq!(
            room(190, Compression::None).documents_per_stretch(&collection(1_024)),
            None,
            "text is held, too"
        );
    }
}
