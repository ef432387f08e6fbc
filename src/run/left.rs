//! What a run left in its folder, whoever works on it now.
//!
//! Every object is sealed with a checksum: it is read back as written, or nobody resumes from it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::unusable::{unusable, unusable_because};
use crate::failure::Failure;
use crate::store::{Location, Object, Store, StoreError};

/// The name of an index, before the number of its epoch.
const INDEX: &str = "state-";
/// The head is written as a step is.
pub(super) const HEAD: &str = "head";
/// The checksum at the end of each object, BLAKE3.
const SEAL: usize = 32;

/// Which objects count, as one epoch of the lease knows it. What a dead epoch writes later is named by no index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    /// Each step, and the epoch that wrote it last.
    pub(super) steps: BTreeMap<String, u64>,
    /// Whether nothing was done after what is written.
    pub(super) paused: bool,
}

/// What a run has left.
#[derive(Debug)]
pub struct Left {
    store: Store,
    folder: Location,
    epoch: u64,
    pub(super) index: Index,
    /// What each step's object holds.
    contents: BTreeMap<String, Bytes>,
}

/// A step's place as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<S> {
    /// What was written.
    pub state: S,
    /// The bytes behind it.
    pub bytes: Bytes,
}

impl Left {
    /// What is in a run's folder; `None` if there is no state.
    ///
    /// # Errors
    /// If it cannot be read, or is not as written.
    pub async fn find(store: &Store, folder: &Location) -> Result<Option<Self>, Failure> {
        let indexes = store.list(folder, INDEX).await?.into_iter();
        let of = |location: &Location| location.file_name().strip_prefix(INDEX)?.parse::<u64>().ok();
        let newest = indexes.filter_map(|object| Some((of(&object.location)?, object.location)));
        let Some((epoch, location)) = newest.max_by_key(|(epoch, _)| *epoch) else {
            return Ok(None);
        };
        let Some(text) = unsealed(store, &location).await? else {
            return Ok(None);
        };
        let mut left = Self {
            store: store.clone(),
            folder: folder.clone(),
            epoch,
            index: parsed(&text, &location)?,
            contents: BTreeMap::new(),
        };
        for (step, epoch) in &left.index.steps {
            let content = left.kept(&object(step, *epoch)).await?;
            left.contents.insert(step.clone(), content);
        }
        Ok(Some(left))
    }

    /// What was decided when the run began.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn head<H: DeserializeOwned>(&self) -> Result<H, Failure> {
        self.place(HEAD)?.ok_or_else(|| unusable(&self.folder, "has no head"))
    }

    /// Whether a step was begun.
    pub fn has(&self, step: &str) -> bool {
        self.contents.contains_key(step)
    }

    /// Where a step is, with the bytes behind it; `None` if it was not begun.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn step<P: DeserializeOwned>(&self, step: &str) -> Result<Option<Recorded<P>>, Failure> {
        let Some(content) = self.contents.get(step) else {
            return Ok(None);
        };
        let end = memchr::memchr(b'\n', content).unwrap_or(content.len());
        let state = parsed(&content[..end], &self.folder.join(step))?;
        let bytes = content.slice((end + 1).min(content.len())..);
        Ok(Some(Recorded { state, bytes }))
    }

    /// The same, without bytes behind it.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn place<P: DeserializeOwned>(&self, step: &str) -> Result<Option<P>, Failure> {
        Ok(self.step(step)?.map(|Recorded { state, .. }| state))
    }

    /// Writes it down once more under an epoch of its own: what a holder writes that was only frozen changes nothing of
    /// it then. The head is written once.
    pub(super) async fn adopt(&self, epoch: u64) -> Result<Index, Failure> {
        let mut index = Index {
            paused: false,
            ..self.index.clone()
        };
        for (step, content) in self.contents.iter().filter(|(step, _)| *step != HEAD) {
            let location = self.folder.join(&object(step, epoch));
            self.store.save(&location, sealed(content.to_vec())).await?;
            index.steps.insert(step.clone(), epoch);
        }
        put_index(&self.store, &self.folder, epoch, &index).await?;
        Ok(index)
    }

    /// Bytes that were kept under a name.
    ///
    /// # Errors
    /// If they are missing, or not as written.
    pub async fn kept(&self, name: &str) -> Result<Bytes, Failure> {
        let location = self.folder.join(name);
        let bytes = unsealed(&self.store, &location).await?;
        bytes.ok_or_else(|| unusable(&location, "is not there"))
    }

    /// The same for JSON.
    ///
    /// # Errors
    /// As [`Self::kept`]; if another version wrote it.
    pub async fn kept_as<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        parsed(&self.kept(name).await?, &self.folder.join(name))
    }

    /// Whether the invocation before this epoch ended by itself, and did nothing that it did not write.
    pub(super) fn was_paused_before(&self, epoch: u64) -> bool {
        self.index.paused && self.epoch + 1 == epoch
    }
}

/// What an object of a step is called.
pub(super) fn object(step: &str, epoch: u64) -> String {
    format!("{step}-{epoch:08}")
}

/// Writes an index.
pub(super) async fn put_index(store: &Store, folder: &Location, epoch: u64, index: &Index) -> Result<(), StoreError> {
    let text = serde_json::to_vec(index).expect("an index has text keys only");
    let location = folder.join(&format!("{INDEX}{epoch:08}"));
    store.save(&location, sealed(text)).await
}

fn parsed<T: DeserializeOwned>(text: &[u8], location: &Location) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        unusable_because(&format!(
            "{location} cannot be read ({error}): another version wrote it"
        ))
    })
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

pub(super) fn sealed(mut content: Vec<u8>) -> Bytes {
    let seal = blake3::hash(&content);
    content.extend_from_slice(seal.as_bytes());
    Bytes::from(content)
}

/// Whether a run has left a state among these objects.
pub(super) fn is_index(location: &Location) -> bool {
    location.file_name().starts_with(INDEX)
}

/// Removes the objects of a run, or of a part of it.
///
/// # Errors
/// What prevented it.
pub async fn remove_run(store: &Store, folder: &Location) -> Result<(), StoreError> {
    for object in in_the_order_of_removal(store.list(folder, "").await?) {
        store.remove(&object).await?;
    }
    store.remove_folder(folder).await
}

/// Indexes go first, the newest last of them: whoever comes after a removal that was cut short finds a whole state, or
/// none. Leases go last: as long as one is there, nobody begins anew.
fn in_the_order_of_removal(objects: Vec<Object>) -> impl Iterator<Item = Location> {
    let mut locations: Vec<Location> = objects.into_iter().map(|object| object.location).collect();
    locations.sort_by_cached_key(|location| {
        let name = location.file_name();
        let rank = match is_index(location) {
            true => 0,
            false if !name.starts_with("lease") => 1,
            false => 2,
        };
        (rank, name)
    });
    locations.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps went first, and what was left of the run could not be gone on from: campaign `kill`, seed 36.
    #[tokio::test]
    async fn a_removal_that_is_cut_short_leaves_a_whole_state_or_none() {
        let scratch = tempfile::tempdir().expect("a folder");
        let (store, folder) = (Store::new(), Location::Local(scratch.path().join("run")));
        let save = async |name: &str| {
            let saved = store.save(&folder.join(name), sealed(b"1\n".to_vec())).await;
            saved.expect("saved");
        };
        save("lease.json").await;
        save(&object(HEAD, 1)).await;
        for epoch in [1, 2] {
            save(&object("commit", epoch)).await;
            let steps = BTreeMap::from([(HEAD.to_owned(), 1), ("commit".to_owned(), epoch)]);
            let index = Index { steps, paused: false };
            put_index(&store, &folder, epoch, &index).await.expect("written");
        }
        let objects = store.list(&folder, "").await.expect("listed");
        let mut was_whole = true;
        for removed in in_the_order_of_removal(objects) {
            let left = Left::find(&store, &folder).await.expect("whole or none");
            let newest = left.as_ref().map(|left| left.index.steps["commit"]);
            assert!(newest == Some(2) && was_whole || newest.is_none(), "{newest:?}");
            was_whole = newest.is_some();
            store.remove(&removed).await.expect("removed");
        }
        assert!(Left::find(&store, &folder).await.expect("none").is_none());
        remove_run(&store, &folder).await.expect("removed");
    }
}
