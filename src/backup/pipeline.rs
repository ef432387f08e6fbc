//! Reading ahead within a fixed memory budget.
//!
//! One task per collection reads its cursor; worker threads, one per core, encode slices of the replies; the archive's
//! writer takes the results in order. Back-pressure runs the other way: the upload takes a part when it has room, the
//! writer a segment when it is that segment's turn, and a reader asks for the next reply when there is room for it.
//!
//! **The budget.** A collection's replies are requested one ahead of their use, and paid for out of an [`Allowance`]:
//! before the request what a reply may come to, then what it came to, and once encoded what the segment takes until it
//! is laid out. The current collection has one allowance, and, if several cursors read it
//! ([`abreast`](super::abreast)), another for those beside the foremost. Later collections share a third, so that a
//! thousand small ones do not each pay a round trip, and the server has work while one of its cursors waits. The three
//! are separate, so waiting collections can never starve the one everybody waits for.
//!
//! **Replies are small**, one segment each: a server fills a reply, then sends it, so smaller replies let more of both,
//! and of our own work, happen at the same time; and buffers of that size are reused without asking the kernel. Replies
//! of 2 MiB are a fifth faster than those of 8; 1 MiB is slower again (`docs/PERFORMANCE.md`).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::allowance::Allowance;
use super::collection::read_collection;
use super::piece::{CollectionPieces, ReadSettings, Task};
use super::reader::Reader;
use crate::run::{Deadline, Memory};

/// How many collections are read ahead.
const LOOKAHEAD: usize = 32;
/// How many segments of one collection may wait. Memory limits them long before.
const WAITING: usize = 256;
/// For how long calls are waited for that a server is at, where the process is about to end.
const ENDING: Duration = Duration::from_secs(1);

/// The collections of a backup, read one after the other, with a few ahead.
#[derive(Debug)]
pub(super) struct Pipeline {
    waiting: VecDeque<(usize, Task)>,
    streams: VecDeque<(usize, String, CollectionPieces)>,
    readers: TaskTracker,
    reading: ReadSettings,
    turn: watch::Sender<usize>,
    allowance: Allowance,
    /// Ends the waiting for what passes.
    stopped: CancellationToken,
    /// Whoever is told to end waits for no server.
    cancelled: CancellationToken,
}

impl Pipeline {
    /// Begins to read, for an archive that has so many segments already. Every collection must have documents: no
    /// views.
    ///
    /// A reader waits out passing faults even near an invocation's deadline: whoever takes its pieces knows whether it
    /// can be resumed, and stops it then.
    pub(super) fn start(
        mut reading: ReadSettings,
        tasks: Vec<Task>,
        (memory, segments): (Memory, u64),
        cancel: &CancellationToken,
    ) -> Self {
        let form = reading.encoders.form();
        let stopped = cancel.child_token();
        reading.mongo = reading.mongo.until(Deadline::never(), &stopped);
        Self {
            waiting: tasks.into_iter().enumerate().collect(),
            streams: VecDeque::new(),
            readers: TaskTracker::new(),
            reading,
            turn: watch::Sender::new(0),
            allowance: Allowance::of(memory, form, segments),
            stopped,
            cancelled: cancel.clone(),
        }
    }

    /// The pieces of a collection; none if nothing is to be read of it. To be asked in the order of the tasks, and
    /// when those of the one before were taken to their end.
    pub(super) fn pieces_of(&mut self, collection: &str) -> Option<CollectionPieces> {
        while self.streams.len() < LOOKAHEAD
            && let Some((index, task)) = self.waiting.pop_front()
        {
            let (sender, receiver) = mpsc::channel(WAITING);
            let name = task.collection.name.clone();
            let reader = Reader {
                task,
                reading: self.reading.clone(),
                room: self.allowance.room(index, self.turn.subscribe()),
                sender,
                attempts: self.reading.mongo.attempts(),
                until: None,
            };
            let reading = self.readers.spawn(read_collection(reader));
            self.streams
                .push_back((index, name, CollectionPieces::new(receiver, reading)));
        }
        let (index, _, pieces) = self.streams.pop_front_if(|(_, name, _)| name == collection)?;
        self.turn.send_replace(index);
        Some(pieces)
    }

    /// Lets every reader come to an end. No driver call is cut short, unless the process is about to end.
    pub(super) async fn stop(mut self) {
        self.streams.clear();
        self.stopped.cancel();
        self.turn.send_replace(usize::MAX);
        self.readers.close();
        let told_to_end = async {
            self.cancelled.cancelled().await;
            tokio::time::sleep(ENDING).await;
        };
        tokio::select! {
            () = self.readers.wait() => {}
            () = told_to_end => {}
        }
    }
}
