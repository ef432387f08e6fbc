//! Archives that others wrote, restored into a real server and read back.
//!
//! What can be expected of a dialect: **canonical** JSON carries every BSON type. **Relaxed** does not tell an `int64`
//! that fits in 32 bits from an `int32`; nor does **legacy**. Neither loses a value: what comes back is equal for the
//! server, and may be of a narrower type. That is the exporter's loss, made when the archive was written.

mod ancestor;
mod claims;
mod damage;
mod dump;
pub mod mongodump;
mod names;
mod streams;
mod timeseries;

use std::path::PathBuf;

use bson::{Document, doc};
use mongotar::backup::Tools;
use mongotar::failure::Failure;
use mongotar::restore::{RestoreReport, VerifiedCollection};
use serde_json::{Value, json};

use crate::{rig, support};

/// A source database, a folder for archives of it, and a database to restore into.
pub struct Place {
    pub tools: Tools,
    pub client: mongodb::Client,
    pub scratch: rig::ScratchDir,
    pub source: String,
    pub target: String,
}

pub async fn place() -> Place {
    Place {
        tools: support::tools().await,
        client: rig::shared_replica_set().client().await,
        scratch: rig::ScratchDir::new("foreign"),
        source: rig::fresh_database_name("foreign"),
        target: rig::fresh_database_name("target"),
    }
}

impl Place {
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub async fn insert(&self, collection: &str, documents: Vec<Document>) {
        support::insert(&self.client, &self.source, collection, documents).await;
    }

    pub async fn run(&self, command: Document) -> Document {
        self.client
            .database(&self.source)
            .run_command(command)
            .await
            .expect("the command succeeds")
    }

    /// Exports the source with PyMongo, as the ancestor did; `more` overrides the script's options.
    pub fn export(&self, name: &str, more: Value) -> String {
        let mut options =
            json!({"mode": "relaxed", "indent": null, "metadata": "none", "buckets": false, "gzip": false});
        for (option, value) in more.as_object().expect("options") {
            options[option] = value.clone();
        }
        let path = self.path(name).to_str().expect("UTF-8").to_owned();
        let uri = rig::shared_replica_set().uri();
        let options = options.to_string();
        rig::python().stdout(
            include_str!("foreign/script.py"),
            &[&uri, &self.source, &path, &options],
            b"",
        );
        path
    }

    /// Writes a plain tar of these entries; gives its path.
    pub fn tar(&self, name: &str, entries: &[(&str, &[u8])]) -> String {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, *content).expect("memory");
        }
        let path = self.path(name);
        std::fs::write(&path, tar.into_inner().expect("memory")).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    pub async fn restore(&self, archive: &str, more: Value) -> Result<RestoreReport, Failure> {
        let mut event = json!({"archive": archive, "database": self.target, "snapshot": false});
        for (field, value) in more.as_object().expect("fields") {
            event[field] = value.clone();
        }
        support::restore(&self.tools, event).await
    }

    pub async fn raw(&self, database: &str, collection: &str) -> Vec<Vec<u8>> {
        support::raw_documents(&self.client, database, collection).await
    }

    pub async fn drop_target(&self) {
        self.client.database(&self.target).drop().await.expect("dropped");
    }

    /// The options that the server reports for a collection of the target.
    pub async fn options(&self, collection: &str) -> Document {
        let catalog = self.tools.mongo.survey(&self.target).await.expect("a survey");
        let options = &catalog.get(collection).expect("it is there").options;
        bson::deserialize_from_slice(options.as_raw().as_bytes()).expect("options")
    }
}

/// What a report says of one collection.
pub fn of<'a>(report: &'a RestoreReport, name: &str) -> &'a VerifiedCollection {
    let verification = report.verification.as_ref().expect("a restore verifies");
    let found = verification
        .collections
        .iter()
        .find(|collection| collection.name == name);
    found.unwrap_or_else(|| panic!("{name} is not in the report"))
}

/// Raw BSON of documents, one behind the other.
pub fn bson_of(documents: &[Document]) -> Vec<u8> {
    let raw = documents
        .iter()
        .map(|document| bson::serialize_to_vec(document).expect("BSON"));
    raw.collect::<Vec<_>>().concat()
}

pub fn few(text: &str) -> Vec<Document> {
    (0..5).map(|id| doc! {"_id": id, "text": text}).collect()
}
