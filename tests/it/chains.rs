//! Chains of increments: each boundary is restored, and must be what was there, byte for byte.

mod between;
mod boundaries;
mod commands;
mod compacted;
mod emptied;
mod golden;
mod holes;
mod killed;
mod lacking;
mod many;
mod reading;
mod under_load;
mod unproven;
mod unread;

use mongotar::archive::ArchiveKind;
use mongotar::backup::{BackupJob, BackupReport, RunStatus, Tools, backup};
use mongotar::catalog::Kind;
use mongotar::store::Location;
use serde_json::json;

use crate::rig;
use crate::support::{definitions, folder, job, raw_database, restore, tools};

/// What a test of a chain begins with.
pub struct Beginning {
    pub tools: Tools,
    pub client: mongodb::Client,
    /// A database of its own, which is not there yet.
    pub name: String,
    /// A folder for its archives.
    pub destination: Location,
}

impl Beginning {
    pub async fn new() -> Self {
        Self {
            tools: tools().await,
            client: rig::shared_replica_set().client().await,
            name: rig::fresh_database_name("it"),
            destination: folder(),
        }
    }

    /// All of it, to work with.
    pub fn parts(&self) -> (&Tools, &mongodb::Client, &str, &Location) {
        (&self.tools, &self.client, &self.name, &self.destination)
    }
}

/// An incremental backup with the defaults.
pub fn incremental(database: &str, destination: &Location) -> BackupJob {
    BackupJob {
        incremental: true,
        ..job(database, destination)
    }
}

/// What changed since the last archive, as an increment.
pub async fn increment(tools: &Tools, database: &str, destination: &Location) -> BackupReport {
    let report = backup(&incremental(database, destination), tools)
        .await
        .expect("an increment");
    assert_eq!(report.kind, ArchiveKind::Increment, "{:?}", report.warnings);
    assert_eq!(report.status, RunStatus::Complete);
    report
}

/// The full backup that begins a chain.
pub async fn base(tools: &Tools, database: &str, destination: &Location) -> BackupReport {
    let report = backup(&incremental(database, destination), tools)
        .await
        .expect("a backup");
    assert_eq!(report.kind, ArchiveKind::Full);
    report
}

/// What a database is: its documents by collection, and its definitions.
pub type Content = (std::collections::BTreeMap<String, Vec<Vec<u8>>>, Vec<String>);

pub async fn content(client: &mongodb::Client, tools: &Tools, database: &str) -> Content {
    let catalog = tools.mongo.survey(database).await.expect("a survey");
    let mut documents = raw_database(client, tools, database).await;
    for series in catalog
        .collections
        .iter()
        .filter(|collection| collection.kind == Kind::Timeseries)
    {
        // A server may reorder their fields.
        let sorted = |document: &Vec<u8>| {
            let document: bson::Document = bson::deserialize_from_slice(document).expect("BSON");
            let mut fields: Vec<_> = document.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            bson::serialize_to_vec(&bson::Document::from_iter(fields)).expect("BSON")
        };
        let measurements = documents.get_mut(&series.name).expect("listed");
        *measurements = measurements.iter().map(sorted).collect();
        measurements.sort_unstable();
    }
    (documents, definitions(&catalog))
}

/// Restores an archive into a database of its own, and compares.
pub async fn comes_back(client: &mongodb::Client, tools: &Tools, archive: &Location, expected: &Content) {
    let target = rig::fresh_database_name("it");
    let event = json!({"archive": archive, "database": target});
    let report = restore(tools, event).await.expect("a restore");
    assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
    let restored = content(client, tools, &target).await;
    for (name, documents) in &expected.0 {
        let other = restored.0.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert!(
            other == documents,
            "{name} of {archive} is otherwise: {} documents of {}",
            other.len(),
            documents.len()
        );
    }
    assert_eq!(restored.0.len(), expected.0.len());
    assert_eq!(restored.1, expected.1);
    client.database(&target).drop().await.expect("dropped");
}
