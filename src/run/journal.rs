//! A run's state: its progress, written down in its folder.
//!
//! * The **head** has the decisions from the run's beginning, which hold to its end. It is written once.
//! * Each **step** says where it is: a line of JSON, then its bytes. Only a step that got further is written.
//! * Large data that never changes is **kept** beside them under a name.
//!
//! An index, one for each epoch of the lease, names what counts. So nobody reads what a holder writes after it lost the
//! run without noticing.
//!
//! A run that cannot be resumed has a journal, too: one that [keeps nothing](Journal::nowhere), is nobody else's, and
//! never pauses. So there is one way through every operation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lease::Lease;
use super::left::{HEAD, Index, Left, object, put_index, remove_run, sealed};
use crate::deadline::Deadline;
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store, StoreError};

/// A run that is being carried out: its folder, its lease and its state.
#[derive(Debug)]
pub struct Journal {
    place: Option<KeptAt>,
    /// Whether the run is another's than this invocation was asked for.
    refused: AtomicBool,
}

/// Where a journal is kept.
#[derive(Debug)]
struct KeptAt {
    store: Store,
    folder: Location,
    lease: Lease,
    /// What an earlier invocation has left.
    left: OnceLock<Left>,
    /// What counts by now.
    index: Mutex<Index>,
}

impl Journal {
    /// The journal of a run that is ours.
    pub fn new(store: &Store, folder: Location, lease: Lease) -> Self {
        Self::at(Some(KeptAt {
            store: store.clone(),
            folder,
            lease,
            left: OnceLock::new(),
            index: Mutex::default(),
        }))
    }

    /// The journal of a run that nobody will resume.
    pub fn nowhere() -> Self {
        Self::at(None)
    }

    fn at(place: Option<KeptAt>) -> Self {
        Self {
            place,
            refused: AtomicBool::new(false),
        }
    }

    /// Whether another invocation can read what is written here.
    pub fn is_kept(&self) -> bool {
        self.place.is_some()
    }

    /// Whether it is time to pause: if nothing is kept, there is nothing to resume from.
    pub fn must_pause(&self, deadline: Deadline) -> bool {
        self.is_kept() && deadline.is_near()
    }

    /// How often the run was taken up, this time included.
    pub fn epoch(&self) -> u64 {
        self.place.as_ref().map_or(1, |place| place.lease.epoch())
    }

    /// The same, as it is reported.
    pub fn invocations(&self) -> u32 {
        u32::try_from(self.epoch()).unwrap_or(u32::MAX)
    }

    /// Whether the run is still ours, as far as the heartbeat knows.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] if it is not.
    pub fn check(&self) -> Result<(), Failure> {
        self.place.as_ref().map_or(Ok(()), |place| place.lease.check())
    }

    /// Asks the store whether the run is still ours, and renews the lease.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] if it is not, or what kept the store from saying so.
    pub async fn confirm(&self) -> Result<(), Failure> {
        match &self.place {
            Some(place) => place.lease.confirm().await,
            None => Ok(()),
        }
    }

    /// What an earlier invocation left; `None` if the run begins.
    ///
    /// # Errors
    /// If it cannot be read, is not as written, or was written by another version.
    pub async fn open(&self) -> Result<Option<&Left>, Failure> {
        let Some(place) = &self.place else { return Ok(None) };
        let Some(left) = Left::find(&place.store, &place.folder).await? else {
            return Ok(None);
        };
        place.lease.check()?;
        *place.index() = left.adopt(place.lease.epoch()).await?;
        Ok(Some(place.left.get_or_init(|| left)))
    }

    /// Whether an earlier invocation has left something.
    pub fn is_resumed(&self) -> bool {
        self.left().is_some()
    }

    /// Whether there is a state to resume from.
    pub fn has_state(&self) -> bool {
        self.place.as_ref().is_some_and(|place| !place.index().steps.is_empty())
    }

    /// Whether that one died, and may have done more than it wrote.
    pub fn has_died(&self) -> bool {
        self.left().is_some_and(|left| !left.was_paused_before(self.epoch()))
    }

    fn left(&self) -> Option<&Left> {
        self.place.as_ref().and_then(|place| place.left.get())
    }

    /// What an earlier invocation has left of a step.
    ///
    /// # Errors
    /// If another version wrote it.
    pub fn found<P: DeserializeOwned>(&self, step: &str) -> Result<Option<P>, Failure> {
        self.left().map_or(Ok(None), |left| left.place(step))
    }

    /// Writes what is decided once. It counts as soon as the first step is written.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn begin<H: Serialize>(&self, head: &H) -> Result<(), Failure> {
        self.put(HEAD, head, &[]).await?;
        Ok(())
    }

    /// Writes where a step is, replacing where it was.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] if the run is no longer ours, or what the store answered.
    pub async fn write<P: Serialize>(&self, step: &str, place: &P, bytes: &[u8]) -> Result<(), Failure> {
        if self.put(step, place, bytes).await? {
            self.put_index(|index| index.paused = false).await?;
        }
        Ok(())
    }

    /// The object; whether the index has to say so.
    async fn put<P: Serialize>(&self, step: &str, state: &P, bytes: &[u8]) -> Result<bool, Failure> {
        let Some(place) = &self.place else { return Ok(false) };
        place.lease.check()?;
        let mut content = serde_json::to_vec(state).expect("a state has text keys only");
        content.push(b'\n');
        content.extend_from_slice(bytes);
        let epoch = place.lease.epoch();
        let location = place.folder.join(&object(step, epoch));
        place.store.save(&location, sealed(content)).await?;
        let mut index = place.index();
        Ok(index.steps.insert(step.to_owned(), epoch) != Some(epoch) || index.paused)
    }

    async fn put_index(&self, change: impl FnOnce(&mut Index)) -> Result<(), Failure> {
        let Some(place) = &self.place else { return Ok(()) };
        let index = {
            let mut index = place.index();
            change(&mut index);
            index.clone()
        };
        place.lease.check()?;
        put_index(&place.store, &place.folder, place.lease.epoch(), &index).await?;
        Ok(())
    }

    /// Says that this invocation does nothing more than it has written.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn rest(&self) -> Result<(), Failure> {
        self.put_index(|index| index.paused = true).await
    }

    /// Keeps bytes beside the state under a name. The same name always stands for the same bytes.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match &self.place {
            Some(place) => {
                let location = place.folder.join(name);
                place.store.save(&location, sealed(bytes.to_vec())).await
            }
            None => Ok(()),
        }
    }

    /// Refuses this request: it is not the run's, which continues anyway.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// Whether another invocation can resume after this failure: nothing was wrong with the run as such.
    pub fn outlives(&self, failure: &Failure) -> bool {
        let is_refused = self.refused.load(Ordering::Acquire);
        let is_ours = failure.kind != FailureKind::RunTakenOver;
        self.is_kept() && (is_refused || !is_ours || failure.is_worth_another_try())
    }

    /// Ends this invocation's part; the run continues in another one.
    pub async fn pause(self) {
        // One that was refused has done nothing, and the run is as it was.
        let is_refused = self.refused.load(Ordering::Acquire);
        if is_refused && self.is_resumed() && !self.has_died() {
            let _ = self.rest().await;
        }
        if let Some(place) = self.place {
            place.lease.release().await;
        }
    }

    /// Ends the run: nothing of it stays.
    pub async fn end(self) {
        let Some(KeptAt {
            store, folder, lease, ..
        }) = self.place
        else {
            return;
        };
        // A renewal that comes late must not make the folder anew.
        lease.stop_renewing().await;
        // The lease goes last, and as long as it is there nobody begins anew.
        if let Err(error) = remove_run(&store, &folder).await {
            tracing::warn!(%error, "a run's state could not be removed; the bucket's lifecycle rule will");
        }
    }
}

impl KeptAt {
    /// Never held over a wait.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
