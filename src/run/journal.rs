//! The state of a run: what it has come to, as one object for each epoch, and a few large runs of bytes beside it.
//!
//! A state is a line of JSON, and behind it bytes that belong to it, so that one write replaces both. It is sealed with a checksum: what is read back is what was written, or
//! the run does not go on from it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Lease;
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store, StoreError};

/// How the objects of states are called, before the number of their epoch.
const STATE: &str = "state-";
/// The checksum at the end of each object, BLAKE3.
const SEAL: usize = 32;

/// A run that is being carried out: its folder, its lease and its state.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    folder: Location,
    lease: Lease,
    /// Bytes that are kept beside the state already.
    kept: BTreeSet<String>,
    /// Whether the run is another's than this invocation was asked for.
    refused: AtomicBool,
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
            store: store.clone(),
            folder,
            lease,
            kept: BTreeSet::new(),
            refused: AtomicBool::new(false),
        }
    }

    /// The lease.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The state that an earlier invocation left, if there is one.
    ///
    /// # Errors
    /// As [`peek`].
    pub async fn read<S: DeserializeOwned>(&self) -> Result<Option<Recorded<S>>, Failure> {
        peek(&self.store, &self.folder).await
    }

    /// Writes the state, in the place of the one before.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] where the run is no longer ours, or what the store answered.
    pub async fn write<S: Serialize>(&self, state: &S, bytes: &[u8]) -> Result<(), Failure> {
        self.lease.check()?;
        let mut content = serde_json::to_vec(state).expect("a state has text keys only");
        content.push(b'\n');
        content.extend_from_slice(bytes);
        let name = format!("{STATE}{:08}", self.lease.epoch());
        self.store.save(&self.folder.join(&name), sealed(content)).await?;
        Ok(())
    }

    /// Keeps bytes beside the state under a name, unless they are there already: the same name always stands for the same bytes.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        if !self.kept.contains(name) {
            self.store.save(&self.folder.join(name), sealed(bytes.to_vec())).await?;
            self.kept.insert(name.to_owned());
        }
        Ok(())
    }

    /// Bytes that were kept beside the state.
    ///
    /// # Errors
    /// Where they are not there, or not what was written.
    pub async fn kept(&mut self, name: &str) -> Result<Bytes, Failure> {
        let bytes = kept_beside(&self.store, &self.folder, name).await?;
        self.kept.insert(name.to_owned());
        Ok(bytes)
    }

    /// Where it is.
    pub fn folder(&self) -> &Location {
        &self.folder
    }

    /// Where bytes are kept under a name.
    pub fn place(&self, name: &str) -> Location {
        self.folder.join(name)
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
        self.lease.release().await;
    }

    /// Ends the run: nothing of it stays.
    pub async fn end(self) {
        let Self {
            store, folder, lease, ..
        } = self;
        // A renewal that comes late must not make the folder anew.
        lease.stop_renewing().await;
        // The lease goes last, and as long as it is there nobody begins anew.
        if let Err(error) = remove_run(&store, &folder).await {
            tracing::warn!(%error, "what a run has left behind could not be removed; the bucket's lifecycle rule will");
        }
    }
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

/// Bytes that were kept beside a run's state, whoever is at it.
///
/// # Errors
/// Where they are not there, or not what was written.
pub async fn kept_beside(store: &Store, folder: &Location, name: &str) -> Result<Bytes, Failure> {
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
    Failure::new(
        FailureKind::RunUnusable,
        format!("what this run has left cannot be gone on from: {location} {why}. Begin a new run"),
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
