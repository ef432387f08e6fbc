//! The state of a run: what it has come to, as one object for each epoch, and a few large runs of bytes beside it.
//!
//! A state is a line of JSON, and behind it bytes that belong to it, so that one write replaces both. It is sealed with a checksum: what is read back is what was written, or
//! the run does not go on from it.
//!
//! A run that is done by one process, or whose state nobody may keep, has a journal all the same: one that [keeps nothing](Journal::nowhere), is nobody else's, and never pauses. So
//! there is one way through an operation, and not one for those that can be gone on with and another one for those that cannot.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Deadline, Lease};
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store, StoreError};

/// How the objects of states are called, before the number of their epoch.
const STATE: &str = "state-";
/// The checksum at the end of each object, BLAKE3.
const SEAL: usize = 32;

/// A run that is being carried out: its folder, its lease and its state.
#[derive(Debug)]
pub struct Journal {
    place: Option<Place>,
    /// Whether the run is another's than this invocation was asked for.
    refused: AtomicBool,
}

/// Where a journal is kept.
#[derive(Debug)]
struct Place {
    store: Store,
    folder: Location,
    lease: Lease,
    /// Bytes that are kept beside the state already.
    kept: BTreeSet<String>,
}

/// A state as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<S> {
    /// What was written.
    pub state: S,
    /// The bytes behind it.
    pub bytes: Bytes,
}

impl Journal {
    /// The journal of a run that is ours.
    pub fn new(store: &Store, folder: Location, lease: Lease) -> Self {
        Self {
            place: Some(Place {
                store: store.clone(),
                folder,
                lease,
                kept: BTreeSet::new(),
            }),
            refused: AtomicBool::new(false),
        }
    }

    /// The journal of a run that nobody will go on with.
    pub fn nowhere() -> Self {
        Self {
            place: None,
            refused: AtomicBool::new(false),
        }
    }

    /// Whether what is written here is there for another invocation.
    pub fn is_kept(&self) -> bool {
        self.place.is_some()
    }

    /// Whether it is time to pause: where nothing is kept, there is nothing to go on from.
    pub fn must_pause(&self, deadline: Deadline) -> bool {
        self.is_kept() && deadline.is_near()
    }

    /// How often the run was taken up, this time included.
    pub fn epoch(&self) -> u64 {
        self.place.as_ref().map_or(1, |place| place.lease.epoch())
    }

    /// Whether the run is still ours, as far as the heartbeat knows.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] where it is not.
    pub fn check(&self) -> Result<(), Failure> {
        self.place.as_ref().map_or(Ok(()), |place| place.lease.check())
    }

    /// Asks the store whether the run is still ours, and renews the lease.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] where it is not, or what kept the store from saying so.
    pub async fn confirm(&self) -> Result<(), Failure> {
        match &self.place {
            Some(place) => place.lease.confirm().await,
            None => Ok(()),
        }
    }

    /// The state that an earlier invocation left, if there is one.
    ///
    /// # Errors
    /// As [`peek`].
    pub async fn read<S: DeserializeOwned>(&self) -> Result<Option<Recorded<S>>, Failure> {
        match &self.place {
            Some(Place { store, folder, .. }) => peek(store, folder).await,
            None => Ok(None),
        }
    }

    /// Writes the state, in the place of the one before.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] where the run is no longer ours, or what the store answered.
    pub async fn write<S: Serialize>(&self, state: &S, bytes: &[u8]) -> Result<(), Failure> {
        let Some(place) = &self.place else { return Ok(()) };
        place.lease.check()?;
        let mut content = serde_json::to_vec(state).expect("a state has text keys only");
        content.push(b'\n');
        content.extend_from_slice(bytes);
        let name = format!("{STATE}{:08}", place.lease.epoch());
        place.store.save(&place.folder.join(&name), sealed(content)).await?;
        Ok(())
    }

    /// Keeps bytes beside the state under a name, unless they are there already: the same name always stands for the same bytes.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(place) = &mut self.place
            && !place.kept.contains(name)
        {
            let location = place.folder.join(name);
            place.store.save(&location, sealed(bytes.to_vec())).await?;
            place.kept.insert(name.to_owned());
        }
        Ok(())
    }

    /// The same of what is JSON.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn keep_as<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), Failure> {
        match self.is_kept() {
            true => {
                let text = serde_json::to_vec(value).expect("what is kept has text keys only");
                self.keep(name, &text).await
            }
            false => Ok(()),
        }
    }

    /// Bytes that were kept beside the state.
    ///
    /// # Errors
    /// Where they are not there, or not what was written.
    pub async fn kept(&mut self, name: &str) -> Result<Bytes, Failure> {
        let Some(place) = &mut self.place else {
            return Err(Failure::new(
                FailureKind::RunUnusable,
                format!("{name} is not there: nothing is kept of this run"),
            ));
        };
        let bytes = kept_beside(&place.store, &place.folder, name).await?;
        place.kept.insert(name.to_owned());
        Ok(bytes)
    }

    /// Where it is kept, if it is.
    pub fn folder(&self) -> Option<&Location> {
        self.place.as_ref().map(|place| &place.folder)
    }

    /// The same of what is JSON.
    ///
    /// # Errors
    /// As [`Self::kept`]; [`FailureKind::RunUnusable`] where another version wrote it.
    pub async fn kept_as<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Failure> {
        parsed(&self.kept(name).await?, name)
    }

    /// What was asked for is refused: it is not what the run is about, which goes on all the same.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// Whether it was.
    pub fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Ends this invocation's part; the run goes on in another one.
    pub async fn pause(self) {
        if let Some(place) = self.place {
            place.lease.release().await;
        }
    }

    /// Ends the run: nothing of it stays.
    pub async fn end(self) {
        let Some(Place {
            store, folder, lease, ..
        }) = self.place
        else {
            return;
        };
        // A renewal that comes late must not make the folder anew.
        lease.stop_renewing().await;
        // The lease goes last, and as long as it is there nobody begins anew.
        if let Err(error) = remove_run(&store, &folder).await {
            tracing::warn!(%error, "what a run has left behind could not be removed; the bucket's lifecycle rule will");
        }
    }
}

fn parsed<T: DeserializeOwned>(text: &[u8], name: &str) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        unusable_because(&format!(
            "{name} cannot be read ({error}): it was written by another version"
        ))
    })
}

/// The newest state of a run, whoever is at it; `None` where there is none.
///
/// # Errors
/// Where it cannot be read, or is not what was written.
pub async fn peek<S: DeserializeOwned>(store: &Store, folder: &Location) -> Result<Option<Recorded<S>>, Failure> {
    let mut newest: Option<(u64, Location)> = None;
    for object in store.list(folder, STATE).await? {
        let name = object.location.file_name();
        let epoch = name.strip_prefix(STATE).and_then(|epoch| epoch.parse().ok());
        if let Some(epoch) = epoch.filter(|epoch| newest.as_ref().is_none_or(|(newest, _)| epoch > newest)) {
            newest = Some((epoch, object.location));
        }
    }
    let Some((_, location)) = newest else { return Ok(None) };
    let Some(content) = unsealed(store, &location).await? else {
        return Ok(None);
    };
    let end = memchr::memchr(b'\n', &content).unwrap_or(content.len());
    let state = serde_json::from_slice(&content[..end]).map_err(|error| {
        unusable(
            &location,
            &format!("cannot be read ({error}): it was written by another version"),
        )
    })?;
    let bytes = content.slice((end + 1).min(content.len())..);
    Ok(Some(Recorded { state, bytes }))
}

/// What is kept beside a run's state as JSON, whoever is at it.
///
/// # Errors
/// Where it is not there, or not what was written.
pub async fn peek_kept<T: DeserializeOwned>(store: &Store, folder: &Location, name: &str) -> Result<T, Failure> {
    parsed(&kept_beside(store, folder, name).await?, name)
}

async fn kept_beside(store: &Store, folder: &Location, name: &str) -> Result<Bytes, Failure> {
    let location = folder.join(name);
    let bytes = unsealed(store, &location).await?;
    bytes.ok_or_else(|| unusable(&location, "is not there"))
}

async fn unsealed(store: &Store, location: &Location) -> Result<Option<Bytes>, Failure> {
    let Some((content, _)) = store.load(location).await? else {
        return Ok(None);
    };
    let damaged = || unusable(location, "is not what was written");
    let end = content.len().checked_sub(SEAL).ok_or_else(damaged)?;
    match blake3::hash(&content[..end]).as_bytes() == &content[end..] {
        true => Ok(Some(content.slice(..end))),
        false => Err(damaged()),
    }
}

/// What a run has left, and cannot be gone on from.
pub(crate) fn unusable(location: &Location, why: &str) -> Failure {
    unusable_because(&format!("{location} {why}"))
}

fn unusable_because(why: &str) -> Failure {
    Failure::new(
        FailureKind::RunUnusable,
        format!("what this run has left cannot be gone on from: {why}. Begin a new run"),
    )
}

fn sealed(mut content: Vec<u8>) -> Bytes {
    let seal = blake3::hash(&content);
    content.extend_from_slice(seal.as_bytes());
    Bytes::from(content)
}

/// Removes the objects of a run, or of a part of it, states before leases.
///
/// # Errors
/// What prevented it.
pub async fn remove_run(store: &Store, folder: &Location) -> Result<(), StoreError> {
    let mut objects = store.list(folder, "").await?;
    objects.sort_by_key(|object| object.location.file_name().starts_with("lease"));
    for object in objects {
        store.remove(&object.location).await?;
    }
    store.remove_folder(folder).await
}
