//! What is saved and restored into, and what a killed program may leave of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bson::{DateTime, Document, doc};
use bytes::Bytes;
use mongotar::inspect::{ListedStatus, list};
use mongotar::store::Location;

use super::super::Draw;
use super::order::Operation;
use crate::rig::{self, ScratchDir};
use crate::support;

/// Documents by collection, in no particular order.
pub type Documents = BTreeMap<String, Vec<Vec<u8>>>;

/// What is loaded in place, since no server renames it, and what shows another collection.
const NOT_AT_ONCE: [&str; 2] = ["series", "view"];

pub struct Scene {
    pub client: mongodb::Client,
    pub tools: mongotar::backup::Tools,
    pub source: String,
    pub folder: Location,
    _local: Option<ScratchDir>,
}

impl Scene {
    /// A database of every kind of collection, as large as the seed says, and a folder for archives.
    pub async fn new(draw: &mut Draw) -> Self {
        let client = rig::shared_replica_set().client().await;
        let source = rig::fresh_database_name("kill");
        let db = client.database(&source);
        support::insert_mebibytes(&client, &source, "large", 4 + draw.below(16)).await;
        for name in ["a", "b", "c"] {
            let ids = 0..1 + i64::try_from(draw.below(400)).expect("few");
            let documents = ids.map(|id| doc! {"_id": id, "n": id % 7, "text": "archived"});
            support::insert(&client, &source, name, documents.collect()).await;
        }
        let index = doc! {"createIndexes": "a", "indexes": [{"key": {"n": 1, "_id": -1}, "name": "by_n"}]};
        let capped = doc! {"create": "ring", "capped": true, "size": 1 << 20};
        let series = doc! {"create": "series", "timeseries": {"timeField": "t", "metaField": "m"}};
        let view = doc! {"create": "view", "viewOn": "a", "pipeline": [{"$match": {"n": 1}}]};
        for command in [index, capped, series, view] {
            db.run_command(command).await.expect("created");
        }
        let ring = (0..50).map(|id| doc! {"_id": id});
        support::insert(&client, &source, "ring", ring.collect()).await;
        let series = (0..200).map(|at| doc! {"_id": at, "t": DateTime::from_millis(at * 1_000), "m": at % 3});
        support::insert(&client, &source, "series", series.collect()).await;
        let local = (draw.below(2) == 0).then(|| ScratchDir::new("kill"));
        let folder = match &local {
            Some(local) => Location::Local(local.path().join("archives")),
            None => support::bucket().await,
        };
        Self {
            client,
            tools: support::tools().await,
            source,
            folder,
            _local: local,
        }
    }

    /// A target with what is replaced or merged into, and what is dropped.
    pub async fn target(&self, label: &str) -> String {
        let into = rig::fresh_database_name(label);
        for name in ["a", "b", "too many"] {
            let newer = vec![
                doc! {"_id": 3, "text": "newer"},
                doc! {"_id": "only here", "text": "newer"},
            ];
            support::insert(&self.client, &into, name, newer).await;
        }
        into
    }

    /// What a database holds, without what is ours. Asked again where the server is still at what a dead program has
    /// asked it for.
    pub async fn held(&self, database: &str) -> Documents {
        let mut before = None;
        loop {
            let mut now = support::raw_database(&self.client, &self.tools, database).await;
            now.retain(|name, _| !name.starts_with("mongotar."));
            now.values_mut().for_each(|documents| documents.sort_unstable());
            if before.as_ref() == Some(&now) {
                return now;
            }
            before = Some(now);
        }
    }

    async fn definitions(&self, database: &str) -> Vec<String> {
        let mut catalog = self.tools.mongo.survey(database).await.expect("a survey");
        catalog
            .collections
            .retain(|collection| !collection.name.starts_with("mongotar."));
        for collection in &mut catalog.collections {
            collection.indexes.sort_by_key(|index| index.to_json());
        }
        support::definitions(&catalog)
    }

    /// What there was and what is archived, as a merge leaves it.
    fn merged(old: &Documents, new: &Documents) -> Documents {
        let mut merged = new.clone();
        for (name, documents) in &mut merged {
            let id = |document: &Vec<u8>| {
                let document: Document = bson::deserialize_from_slice(document).expect("BSON");
                document.get("_id").map(ToString::to_string)
            };
            let ids: BTreeSet<_> = documents.iter().map(id).collect();
            let kept = old.get(name).into_iter().flatten();
            let kept: Vec<_> = kept.filter(|document| !ids.contains(&id(document))).cloned().collect();
            documents.extend(kept);
            documents.sort_unstable();
        }
        merged
    }

    /// After a kill: each collection is the old or the new one, and in a merge each document.
    pub async fn is_old_or_new(&self, operation: Operation, database: &str, old: &Documents, new: &Documents) {
        let now = self.held(database).await;
        for (name, documents) in now.iter().filter(|(name, _)| !NOT_AT_ONCE.contains(&name.as_str())) {
            let (old, new) = (old.get(name), new.get(name));
            match operation {
                Operation::Merge if old.is_some() => {
                    let is_known = |document: &&Vec<u8>| {
                        let known = |of: Option<&Vec<Vec<u8>>>| of.is_some_and(|of| of.contains(document));
                        known(old) || known(new)
                    };
                    assert!(
                        documents.iter().all(|document| is_known(&document)),
                        "{name} holds a third"
                    );
                }
                _ => assert!(
                    Some(documents) == old || Some(documents) == new,
                    "{name} is half made: {} documents",
                    documents.len()
                ),
            }
        }
        for name in old.keys().filter(|name| new.contains_key(*name)) {
            assert!(now.contains_key(name), "{name} is gone");
        }
    }

    /// At the end: documents and definitions, byte by byte, and nothing of ours.
    pub async fn is_restored(&self, operation: Operation, database: &str, old: &Documents, new: &Documents) {
        let wanted = match operation {
            Operation::Merge => Self::merged(old, new),
            _ => new.clone(),
        };
        let now = self.held(database).await;
        let counts = |of: &Documents| -> Vec<(String, usize)> {
            let of = of.iter();
            of.map(|(name, documents)| (name.clone(), documents.len())).collect()
        };
        assert!(
            now == wanted,
            "{database}: {:?}, not {:?}",
            counts(&now),
            counts(&wanted)
        );
        assert_eq!(self.definitions(database).await, self.definitions(&self.source).await);
        let names = self
            .client
            .database(database)
            .list_collection_names()
            .await
            .expect("names");
        assert!(!names.iter().any(|name| name.starts_with("mongotar.")), "{names:?}");
    }

    /// What a dead one holds runs out by itself; nobody waits for that here.
    pub async fn let_the_lock_run_out(&self, database: &str) {
        let locks = self.client.database(database).collection::<Document>("mongotar.lock");
        let past = doc! {"$set": {"expiresAt": DateTime::from_millis(0)}};
        locks
            .update_one(doc! {"_id": "restore"}, past)
            .await
            .expect("an update");
    }

    /// As if whoever asks next came later than the leases of the dead last.
    pub async fn let_the_leases_run_out(&self) {
        for lease in self.of_runs().await {
            if lease.file_name() != "lease.json" {
                continue;
            }
            let Some((text, _)) = self.tools.store.load(&lease).await.expect("an answer") else {
                continue;
            };
            let mut said: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            said["until"] = 0.into();
            let text = Bytes::from(said.to_string());
            self.tools.store.save(&lease, text).await.expect("written");
        }
    }

    /// What runs keep in the folder, and beside its archives.
    async fn of_runs(&self) -> Vec<Location> {
        let mut found = Vec::new();
        for folder in [self.folder.clone(), self.folder.join("pre-restore")] {
            match folder.join(".in-progress/") {
                Location::Local(folder) => {
                    let mut files = Vec::new();
                    collect(&folder, &mut files);
                    // A lock is nobody's, and stays while its folder does.
                    files.retain(|name| !name.ends_with(".lock"));
                    found.extend(files.into_iter().map(|name| Location::Local(name.into())));
                }
                s3 => {
                    let left = self.tools.store.list(&s3, "").await.expect("a listing");
                    found.extend(left.into_iter().map(|object| object.location));
                }
            }
        }
        found
    }

    /// Whatever is under the name of an archive is one, whole.
    pub fn no_archive_is_half_made(&self) {
        // Its future is not one that may wander between threads.
        let listed = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(list(&self.tools.store, &self.folder))
        });
        for listed in listed.expect("a listing") {
            assert_eq!(listed.status, ListedStatus::Complete, "{listed:?}");
        }
    }

    /// No state of a run, no file that a dead one was writing, and no more unfinished uploads than were killed.
    pub async fn nothing_is_left_in_the_folder(&self, killed: usize) {
        let left = self.of_runs().await;
        assert!(left.is_empty(), "{left:?}");
        match &self.folder {
            Location::Local(folder) => {
                let mut files = Vec::new();
                collect(folder, &mut files);
                let unfinished = |name: &&String| name.ends_with(".unfinished");
                assert_eq!(files.iter().filter(unfinished).count(), 0, "{files:?}");
            }
            // One that was killed before it could say which upload it had begun leaves that upload: invisible, and the
            // bucket's lifecycle rule removes it (docs/RELIABILITY.md).
            Location::S3 { .. } => {
                let unfinished = support::unfinished(&self.folder).await;
                assert!(unfinished.len() <= killed, "{unfinished:?}");
            }
        }
    }

    /// Many seeds must not fill the disk.
    pub async fn end(self, others: &[&String]) {
        for name in others.iter().copied().chain([&self.source]) {
            self.client.database(name).drop().await.expect("dropped");
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => collect(&entry.path(), files),
            false => files.push(entry.path().display().to_string()),
        }
    }
}
