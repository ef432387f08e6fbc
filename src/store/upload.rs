//! An object being written: parts in flight, then one commit or one abort.

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::receipt::Receipt;
use super::{Location, Object, StoreError, local, s3};
use crate::archive::{Extent, MAX_PARTS, Part};

#[derive(Clone, Debug)]
pub(super) enum Sink {
    S3(s3::Multipart),
    Local(local::Temporary),
}

/// What another invocation must know to resume an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadState {
    /// The object that is being written.
    pub location: Location,
    /// S3's upload id, or the temporary file.
    pub(super) id: String,
    pub(super) receipts: Vec<Receipt>,
}

/// Writes one object. See [`super`] for what it promises.
///
/// The first error is reported: after it [`send`](Self::send) refuses, [`commit`](Self::commit) fails, and the caller
/// aborts.
#[derive(Debug)]
pub struct Upload {
    sink: Sink,
    in_flight: JoinSet<Result<Receipt, StoreError>>,
    limit: usize,
    /// How many bytes may be on their way, and how many are, each part with its number.
    room: u64,
    on_their_way: Vec<(u32, u64)>,
    receipts: Vec<Receipt>,
    /// Why a part is missing, where one is.
    broken: Option<String>,
}

impl Upload {
    pub(super) fn new(sink: Sink, limit: usize) -> Self {
        let limit = match sink {
            Sink::S3(_) => limit.max(1),
            // A file has one lock for whoever writes to it: a second writer waits for the first, and burns a core doing
            // so.
            Sink::Local(_) => 1,
        };
        Self {
            sink,
            in_flight: JoinSet::new(),
            limit,
            room: u64::MAX,
            on_their_way: Vec::new(),
            receipts: Vec::new(),
            broken: None,
        }
    }

    /// The same, with no more bytes on their way than that; but always one part, however large.
    #[must_use]
    pub fn within(mut self, room: u64) -> Self {
        self.room = room;
        self
    }

    pub(super) fn with_receipts(mut self, receipts: Vec<Receipt>) -> Self {
        self.receipts = receipts;
        self
    }

    /// Waits for all parts.
    ///
    /// # Errors
    /// The first failure of any part.
    pub async fn settle(&mut self) -> Result<(), StoreError> {
        self.check()?;
        while !self.in_flight.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }

    /// Waits for all parts, and says what was sent.
    ///
    /// # Errors
    /// The first failure of any part.
    pub async fn state(&mut self) -> Result<UploadState, StoreError> {
        self.settle().await?;
        if let Sink::Local(file) = &self.sink {
            file.arrive().await?;
        }
        Ok(UploadState {
            location: self.location().clone(),
            id: match &self.sink {
                Sink::S3(upload) => upload.id().to_owned(),
                Sink::Local(file) => file.temporary().to_string_lossy().into_owned(),
            },
            receipts: self.receipts.clone(),
        })
    }

    /// Where the object will be.
    pub fn location(&self) -> &Location {
        match &self.sink {
            Sink::S3(upload) => upload.location(),
            Sink::Local(file) => file.location(),
        }
    }

    /// Sends a part, when there is room for it and fewer than the limit are on their way. Awaiting this is the
    /// back-pressure that bounds memory.
    ///
    /// # Errors
    /// The first failure of any part.
    pub async fn send(&mut self, part: Part) -> Result<(), StoreError> {
        self.check()?;
        if part.number > MAX_PARTS {
            let at = self.location();
            let reason = format!(
                "{at} needs more than {MAX_PARTS} parts, and S3 takes no more: the database has grown, or its size was not known. Set MONGOTAR_S3_PART_SIZE to more MiB and start again"
            );
            self.broken = Some(reason.clone());
            return Err(StoreError::Misconfigured(reason));
        }
        let length = part.bytes.len() as u64;
        while self.in_flight.len() >= self.limit || !self.has_room_for(length) {
            self.settle_one().await?;
        }
        self.on_their_way.push((part.number, length));
        let sink = self.sink.clone();
        self.in_flight.spawn(async move {
            match sink {
                Sink::S3(upload) => Box::pin(upload.send(part)).await,
                Sink::Local(file) => file.send(part).await,
            }
        });
        Ok(())
    }

    /// Makes a part of an extent of another object of the same store, when fewer than the limit are on their way.
    ///
    /// # Errors
    /// The first failure of any part.
    pub async fn copy(&mut self, number: u32, offset: u64, source: &Object, extent: Extent) -> Result<(), StoreError> {
        self.check()?;
        while self.in_flight.len() >= self.limit {
            self.settle_one().await?;
        }
        let (sink, source) = (self.sink.clone(), source.clone());
        self.in_flight.spawn(async move {
            match (sink, &source.location) {
                (Sink::S3(upload), Location::S3 { bucket, key }) => {
                    Box::pin(upload.copy(number, (bucket, key, &source.etag), extent)).await
                }
                (Sink::Local(file), Location::Local(path)) => {
                    let bytes = local::read(path, &source.etag, extent).await?.to_vec();
                    file.send(Part { number, offset, bytes }).await
                }
                _ => Err(StoreError::Failed {
                    location: source.location.clone(),
                    action: "copying",
                    reason: "an object of another store cannot be copied".to_owned(),
                }),
            }
        });
        Ok(())
    }

    /// Whether a part of that number was sent.
    pub fn has(&self, number: u32) -> bool {
        self.receipts.iter().any(|receipt| receipt.number == number)
    }

    /// Waits for all parts, and makes the object visible, unless one of that name is there.
    ///
    /// # Errors
    /// The first failure of any part; [`StoreError::Exists`]. The upload is then still to be aborted.
    pub async fn commit(&mut self) -> Result<Object, StoreError> {
        self.settle().await?;
        self.receipts.sort_unstable_by_key(|receipt| receipt.number);
        match &self.sink {
            Sink::S3(upload) => Box::pin(upload.commit(&self.receipts)).await,
            Sink::Local(file) => file.commit(&self.receipts).await,
        }
    }

    /// Waits until no part is on its way, and removes what was sent. Nothing was visible before, and nothing is left.
    ///
    /// # Errors
    /// If what was sent could not be removed.
    pub async fn abort(mut self) -> Result<(), StoreError> {
        // A part that arrives after the abort would stay behind unseen, so all are awaited; their own errors no longer
        // matter.
        while self.in_flight.join_next().await.is_some() {}
        match &self.sink {
            Sink::S3(upload) => Box::pin(upload.abort()).await,
            Sink::Local(file) => file.abort().await,
        }
    }

    fn has_room_for(&self, length: u64) -> bool {
        let taken: u64 = self.on_their_way.iter().map(|(_, bytes)| bytes).sum();
        taken == 0 || taken.saturating_add(length) <= self.room
    }

    async fn settle_one(&mut self) -> Result<(), StoreError> {
        match self.in_flight.join_next().await {
            Some(Ok(Ok(receipt))) => {
                self.on_their_way.retain(|(number, _)| *number != receipt.number);
                self.receipts.push(receipt);
            }
            Some(Ok(Err(error))) => {
                self.broken = Some(error.to_string());
                return Err(error);
            }
            Some(Err(error)) => {
                self.broken = Some(error.to_string());
                return Err(StoreError::Failed {
                    location: self.location().clone(),
                    action: "sending a part of",
                    reason: error.to_string(),
                });
            }
            None => {}
        }
        Ok(())
    }

    /// A part is missing for good once one has failed: what follows it would make an object with a hole.
    fn check(&self) -> Result<(), StoreError> {
        match &self.broken {
            None => Ok(()),
            Some(reason) => Err(StoreError::Failed {
                location: self.location().clone(),
                action: "continuing",
                reason: format!("a part of it failed ({reason})"),
            }),
        }
    }
}
