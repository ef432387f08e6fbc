//! Restore policies end to end: what is planned, what is changed, what is left alone, and the way back.

pub mod atomic;
mod consent;
mod definitions;
mod durability;
mod extras;
pub mod failpoints;
mod failures;
mod held_back;
mod killed;
mod merge;
mod one_at_a_time;
mod rehearsal;
mod replace;
mod roles;
mod rollback;
mod scale;
mod silence;
mod snapshot;
mod space;
mod twice;
mod users;
mod validators;

use std::collections::BTreeMap;

use bson::{Document, doc};
use mongotar::backup::Tools;
use mongotar::catalog::Kind;
use mongotar::config::Environment;
use mongotar::failure::Failure;
use mongotar::restore::{RestoreJob, RestoreReport, RestoreRequest, VerifiedCollection};
use mongotar::store::Location;
use serde_json::{Value, json};

use crate::{rig, support};

/// A database of its own, and a folder for its archives.
pub struct Place {
    pub tools: Tools,
    pub client: mongodb::Client,
    pub to: Location,
    pub database: String,
}

/// Everything that a restore could change: documents byte by byte, and definitions.
pub type State = (BTreeMap<String, Vec<Vec<u8>>>, Vec<String>);

pub async fn place() -> Place {
    Place {
        tools: support::tools().await,
        client: rig::shared_replica_set().client().await,
        to: support::folder(),
        database: rig::fresh_database_name("restore"),
    }
}

/// As [`place`], for what is about requests to S3.
pub async fn place_in_bucket() -> Place {
    Place {
        to: support::bucket().await,
        ..place().await
    }
}

impl Place {
    pub fn db(&self) -> mongodb::Database {
        self.client.database(&self.database)
    }

    pub async fn insert(&self, collection: &str, documents: Vec<Document>) {
        support::insert(&self.client, &self.database, collection, documents).await;
    }

    pub async fn run(&self, command: Document) -> Document {
        self.db().run_command(command).await.expect("the command succeeds")
    }

    /// Backs the database up; gives the archive's place.
    pub async fn archive(&self) -> String {
        let report = support::back_up(&self.tools, &self.database, &self.to).await;
        report.archive.to_string()
    }

    /// Restores `archive` into the database; `more` are further fields of the event.
    pub async fn restore(&self, archive: &str, more: Value) -> Result<RestoreReport, Failure> {
        self.restore_into(&self.database, archive, more).await
    }

    pub async fn restore_into(&self, database: &str, archive: &str, more: Value) -> Result<RestoreReport, Failure> {
        let mut event = json!({"archive": archive, "database": database});
        for (field, value) in more.as_object().expect("an event's fields") {
            event[field] = value.clone();
        }
        support::restore(&self.tools, event).await
    }

    pub async fn state(&self) -> State {
        self.state_of(&self.database).await
    }

    /// The state of any database. The order of a time series' fields and of a collection's indexes is the server's, and
    /// no part of it.
    pub async fn state_of(&self, database: &str) -> State {
        let mut catalog = self.tools.mongo.survey(database).await.expect("a survey");
        let mut documents = support::raw_database(&self.client, &self.tools, database).await;
        for collection in &mut catalog.collections {
            collection.indexes.sort_by_key(|index| index.to_json());
            if collection.kind == Kind::Timeseries {
                let documents = documents.get_mut(&collection.name).expect("it was listed");
                documents.iter_mut().for_each(|document| *document = sorted(document));
                documents.sort_unstable();
            }
        }
        (documents, support::definitions(&catalog))
    }

    /// The UUID of a collection; of a time series that of its buckets.
    pub async fn uuid_of(&self, name: &str) -> Option<bson::Bson> {
        let buckets = format!("system.buckets.{name}");
        let listed = self
            .run(doc! {"listCollections": 1, "filter": {"name": {"$in": [name, buckets]}}})
            .await;
        let first = listed.get_document("cursor").ok()?.get_array("firstBatch").ok()?;
        let uuid = |listed: &bson::Bson| listed.as_document()?.get_document("info").ok()?.get("uuid").cloned();
        first.iter().find_map(uuid)
    }

    pub async fn names(&self) -> Vec<String> {
        let mut names = self.db().list_collection_names().await.expect("names");
        names.retain(|name| !name.starts_with("system."));
        names.sort_unstable();
        names
    }
}

fn sorted(document: &[u8]) -> Vec<u8> {
    let document: Document = bson::deserialize_from_slice(document).expect("a document of the server");
    let fields: BTreeMap<String, bson::Bson> = document.into_iter().collect();
    bson::serialize_to_vec(&fields).expect("BSON")
}

/// Documents with the `_id`s from `from` up to `to`, and a text.
pub fn numbered(ids: std::ops::Range<i32>, text: &str) -> Vec<Document> {
    ids.map(|id| doc! {"_id": id, "text": text}).collect()
}

/// What a report says of one collection.
pub fn of<'a>(report: &'a RestoreReport, name: &str) -> &'a VerifiedCollection {
    let verification = report.verification.as_ref().expect("a restore verifies");
    verification
        .collections
        .iter()
        .find(|collection| collection.name == name)
        .unwrap_or_else(|| panic!("{name} is not in the report"))
}

/// The job of an event, with consent to whatever the plan is.
pub fn job_of(mut event: Value) -> RestoreJob {
    event["yes"] = true.into();
    let request = RestoreRequest::from_event(event).expect("an event");
    request.into_job(&Environment::default()).expect("nothing is missing")
}

/// What of a state is data: without what mongotar makes for itself.
pub fn data((documents, definitions): State) -> State {
    let ours = |name: &str| name.starts_with("mongotar.");
    (
        documents.into_iter().filter(|(name, _)| !ours(name)).collect(),
        definitions.into_iter().filter(|definition| !ours(definition)).collect(),
    )
}

impl Place {
    /// What mongotar has made for itself and not removed.
    pub async fn internals(&self) -> Vec<String> {
        let mut names = self.names().await;
        names.retain(|name| name.starts_with("mongotar."));
        names
    }

    /// Lets the lease of a restore run out that is dead or stands still, as it would by itself in 30 seconds.
    pub async fn let_the_lease_run_out(&self) {
        let locks = self.db().collection::<Document>("mongotar.lock");
        let past = doc! {"$set": {"expiresAt": bson::DateTime::from_millis(0)}};
        let aged = locks
            .update_one(doc! {"_id": "restore"}, past)
            .await
            .expect("an update");
        assert_eq!(aged.matched_count, 1, "there is a lock");
    }
}

/// A process that does not outlive the test.
pub struct Running(pub std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // fails only when it has ended by itself
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn start(mut command: std::process::Command) -> Self {
        let piped = std::process::Stdio::piped;
        Self(
            command
                .stdout(piped())
                .stderr(piped())
                .spawn()
                .expect("the program starts"),
        )
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(mut self) {
        self.0.kill().expect("it was running");
        self.0.wait().expect("a child of ours can be waited for");
    }

    pub fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.0.id());
        let status = std::process::Command::new("/bin/sh").args(["-c", &script]).status();
        assert!(status.expect("the rig needs /bin/sh").success(), "`{script}` failed");
    }

    /// How it ended, and the one JSON document that it wrote.
    pub fn ended(mut self) -> (Option<i32>, Value) {
        use std::io::Read as _;
        let mut out = String::new();
        let stdout = self.0.stdout.as_mut().expect("piped");
        stdout.read_to_string(&mut out).expect("UTF-8");
        let code = self.0.wait().expect("a child of ours can be waited for").code();
        (
            code,
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}")),
        )
    }
}
