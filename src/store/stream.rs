//! An object from its beginning to its end, as a sequence of ranged reads.
//!
//! A single request would hold one connection for as long as the reader takes, and a break would end the pass. So the
//! object is fetched in ranges, each pinned to the same ETag and retried like every other read ([`Store::read`]): a
//! break costs one range. The next range is fetched while one is worked on; two are in memory at a time.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Object, Store, StoreError};
use crate::archive::Extent;

impl Store {
    /// Reads an object from beginning to end, in ranges of so many bytes, two in memory at a time. An error takes a
    /// range's place, as from [`Self::read`]. Only within a runtime.
    pub fn stream(&self, object: &Object, range: u64) -> Stream {
        Stream::begin(self.clone(), object.clone(), range)
    }
}

/// The bytes of an object, in order.
#[derive(Debug)]
pub struct Stream {
    ranges: mpsc::Receiver<Result<Bytes, StoreError>>,
}

impl Stream {
    /// Begins to read, in ranges of so many bytes. Only within a runtime.
    fn begin(store: Store, object: Object, range: u64) -> Self {
        let (sender, ranges) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut offset = 0;
            while offset < object.bytes {
                // Not before there is a place for it.
                let Ok(place) = sender.reserve().await else { return };
                let extent = Extent {
                    offset,
                    length: range.max(1).min(object.bytes - offset),
                };
                let read = tokio::select! {
                    read = store.read(&object, extent) => read,
                    () = sender.closed() => return,
                };
                let failed = read.is_err();
                place.send(read);
                if failed {
                    return;
                }
                offset += extent.length;
            }
        });
        Self { ranges }
    }

    /// The next bytes; none at the end, and behind an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        self.ranges.recv().await
    }

    /// The same, for a thread that is no runtime's.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Bytes, StoreError>> {
        self.ranges.blocking_recv()
    }
}
