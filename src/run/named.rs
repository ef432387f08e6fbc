//! Runs that a person names: `--run nightly`. The same name again resumes what was begun under it, or begins anew if
//! that has ended.
//!
//! An event carries the time of its run, which leads to its state; a repeated command does not. So one object beside
//! the states records which run was begun under a name. It is believed only if that run has left a state. A run without
//! one never began, or has ended, and its result must not be taken for the next one's: so a run's id is the name and
//! something unique, for two of one name may begin within a second.

use bytes::Bytes;

use serde::{Deserialize, Serialize};

use super::identity::{IN_PROGRESS, Run};
use super::journal::Journal;
use super::lease::{Lease, Taken};
use super::left::is_index;
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store, StoreError};

/// How often somebody else may be faster.
const TRIES: u32 = 5;

/// What the object says.
#[derive(Debug, Serialize, Deserialize)]
struct NameGiven {
    name: String,
    run: Run,
}

/// A run under its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// The run.
    pub run: Run,
    name: String,
    store: Store,
    folder: Location,
}

impl NameGiven {
    fn anew(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            run: Run::now(format!("{name}/{}", Run::nameless().id)),
        }
    }
}

impl Named {
    /// The run begun under a name, below a folder; or one that begins now.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] if the name is empty; [`FailureKind::StoreDenied`] if nothing can be kept
    /// there; what the store answered.
    pub async fn find(store: &Store, folder: &Location, name: &str) -> Result<Self, Failure> {
        if name.is_empty() {
            return Err(Failure::invalid("--run: the name is empty; give the run a name"));
        }
        for _ in 0..TRIES {
            let location = place_of(folder, name);
            let known = store.load(&location).await?;
            let etag = known.as_ref().map(|(_, etag)| etag.clone());
            let given = known.and_then(|(text, _)| serde_json::from_slice::<NameGiven>(&text).ok());
            if let Some(given) = given.filter(|given| given.name == name)
                && left_something(store, &given.run.folder(folder)?).await?
            {
                return Ok(Self::of(given, store, folder));
            }
            let given = NameGiven::anew(name);
            let text = serde_json::to_vec(&given).expect("it has text keys only");
            match store.swap(&location, Bytes::from(text), etag.as_deref()).await {
                Ok(_) => return Ok(Self::of(given, store, folder)),
                Err(StoreError::Exists(..) | StoreError::NotFound(..)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(
            FailureKind::Store,
            format!("others are starting runs named {name:?}: give each its own name"),
        ))
    }

    fn of(NameGiven { name, run }: NameGiven, store: &Store, folder: &Location) -> Self {
        Self {
            run,
            name,
            store: store.clone(),
            folder: folder.clone(),
        }
    }

    /// Lets go of the name: if the run has left nothing to resume, it is forgotten.
    pub async fn let_go(self) {
        if let Err(error) = self.forget_if_ended().await {
            tracing::warn!(%error, "the run's name could not be removed; the next run of that name ignores it");
        }
    }

    async fn forget_if_ended(&self) -> Result<(), Failure> {
        if !left_something(&self.store, &self.run.folder(&self.folder)?).await? {
            self.store.remove(&place_of(&self.folder, &self.name)).await?;
            // Other runs may have theirs there.
            let _ = self.store.remove_folder(&self.folder.join(IN_PROGRESS)).await;
        }
        Ok(())
    }
}

/// Whether a run has a state, or somebody is about to write one. What one has left that died before it did is removed.
async fn left_something(store: &Store, folder: &Location) -> Result<bool, Failure> {
    let left = store.list(folder, "").await?;
    if left.is_empty() {
        return Ok(false);
    }
    if left.iter().any(|object| is_index(&object.location)) {
        return Ok(true);
    }
    match Lease::take(store, folder).await? {
        Taken::Running => Ok(true),
        Taken::Ours(lease) => {
            Journal::new(store, folder.clone(), lease).end().await;
            Ok(false)
        }
    }
}

fn place_of(folder: &Location, name: &str) -> Location {
    let hash = blake3::hash(name.as_bytes()).to_hex();
    folder
        .join(IN_PROGRESS)
        .join(&format!("run-{}.json", &hash.as_str()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(folder: &Location, name: &str) -> Named {
        Named::find(&Store::new(), folder, name).await.expect("a run")
    }

    async fn journal(folder: &Location, run: &Run) -> Journal {
        let folder = run.folder(folder).expect("a folder");
        match Lease::take(&Store::new(), &folder).await.expect("a lease") {
            Taken::Ours(lease) => Journal::new(&Store::new(), folder, lease),
            Taken::Running => panic!("nobody else is at it"),
        }
    }

    /// A name that was given to a run of long ago.
    async fn begun_long_ago(folder: &Location, name: &str) -> Run {
        let mut given = NameGiven::anew(name);
        given.run.time = "2026-01-02T03:04:05Z".to_owned();
        let run = given.run.clone();
        let text = serde_json::to_vec(&given).expect("JSON");
        let save = Store::new().save(&place_of(folder, name), Bytes::from(text)).await;
        save.expect("saved");
        run
    }

    fn names_in(scratch: &tempfile::TempDir) -> usize {
        std::fs::read_dir(scratch.path()).expect("a folder").count()
    }

    #[tokio::test]
    async fn a_name_is_believed_where_there_is_a_state_and_begins_anew_where_there_is_none() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = Location::Local(scratch.path().to_owned());
        let first = begun_long_ago(&folder, "nightly").await;
        let held = journal(&folder, &first).await;
        assert_eq!(find(&folder, "nightly").await.run, first, "somebody is at it");
        held.write("step", &"a place", &[]).await.expect("written");
        held.pause().await;
        assert_eq!(find(&folder, "nightly").await.run, first, "it is to be gone on with");
        assert_ne!(find(&folder, "weekly").await.run.id, first.id);

        journal(&folder, &first).await.end().await;
        assert_ne!(find(&folder, "nightly").await.run, first, "it is at its end");
        Named::find(&Store::new(), &folder, "").await.expect_err("no name");
    }

    /// Both were known by the name and the second, so that the second one was answered with what the first had come to.
    #[tokio::test]
    async fn two_runs_of_one_name_within_a_second_are_two() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = Location::Local(scratch.path().to_owned());
        let first = find(&folder, "nightly").await;
        let run = first.run.clone();
        first.let_go().await;
        assert_ne!(find(&folder, "nightly").await.run.id, run.id);
    }

    #[tokio::test]
    async fn what_died_with_nothing_but_its_lease_is_removed() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = Location::Local(scratch.path().to_owned());
        let died = begun_long_ago(&folder, "nightly").await;
        journal(&folder, &died).await.pause().await;
        assert_ne!(find(&folder, "nightly").await.run, died);
        let left = Store::new().list(&died.folder(&folder).expect("a folder"), "").await;
        assert_eq!(left.expect("listed"), []);
    }

    #[tokio::test]
    async fn a_name_is_let_go_of_where_nothing_is_left_and_kept_where_something_is() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = Location::Local(scratch.path().to_owned());
        find(&folder, "nightly").await.let_go().await;
        assert_eq!(names_in(&scratch), 0);

        let paused = find(&folder, "nightly").await;
        let held = journal(&folder, &paused.run).await;
        held.write("step", &"a place", &[]).await.expect("written");
        held.pause().await;
        let run = paused.run.clone();
        paused.let_go().await;
        assert_eq!(find(&folder, "nightly").await.run, run);
    }
}
