//! A database goes out and comes back; what it held is compared byte by byte, by the driver and not by the report
//! alone.

use std::collections::BTreeMap;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupJob, RunStatus, Tools, backup};
use mongotar::catalog::Kind;
use mongotar::mongo::{InsertBatch, Order, Validation};
use mongotar::restore::{RestoreReport, VerifiedCollection};
use mongotar::store::Location;
use serde_json::{Value, json};

use crate::support;

/// The contents of a database: for every name its kind, options, indexes (by name) and documents.
pub type Held = BTreeMap<String, (String, Vec<Vec<u8>>)>;

/// What a database holds, read by the driver. Documents are sorted but for those of capped collections, whose order
/// counts; the fields of measurements, and of what a view may show of them, are sorted, since their order is the
/// server's.
pub async fn held(client: &mongodb::Client, tools: &Tools, database: &str) -> Held {
    let mut held = Held::new();
    for collection in tools.mongo.survey(database).await.expect("a survey").collections {
        let mut documents = natural(client, database, &collection.name).await;
        if collection.kind == Kind::Timeseries || collection.kind == Kind::View {
            documents.iter_mut().for_each(|document| *document = by_key(document));
        }
        if !collection.is_capped() {
            documents.sort_unstable();
        }
        let mut indexes: Vec<String> = collection.indexes.iter().map(ToString::to_string).collect();
        indexes.sort_unstable();
        let definition = format!("{} {} {indexes:#?}", collection.kind, collection.options);
        held.insert(collection.name, (definition, documents));
    }
    held
}

/// The documents of a collection in natural order.
pub async fn natural(client: &mongodb::Client, database: &str, collection: &str) -> Vec<Vec<u8>> {
    let collection = client.database(database).collection::<RawDocumentBuf>(collection);
    let cursor = collection.find(doc! {}).await.expect("a cursor");
    cursor
        .map_ok(RawDocumentBuf::into_bytes)
        .try_collect()
        .await
        .expect("documents")
}

fn by_key(document: &[u8]) -> Vec<u8> {
    let raw = RawDocumentBuf::from_bytes(document.to_vec()).expect("a document");
    let mut fields: Vec<_> = raw.iter().map(|field| field.expect("valid BSON")).collect();
    fields.sort_by_key(|(key, _)| key.as_str().to_owned());
    let mut sorted = RawDocumentBuf::new();
    fields.into_iter().for_each(|(key, value)| sorted.append(key, value));
    sorted.into_bytes()
}

/// Names what differs, since two databases do not fit a failure message.
pub fn assert_same(source: &Held, target: &Held, what: &str) {
    let names = |held: &Held| held.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(source), names(target), "{what}: the collections");
    for (name, (definition, documents)) in source {
        let (other_definition, others) = &target[name];
        assert_eq!(definition, other_definition, "{what}: the definition of {name:?}");
        assert_documents(&format!("{what}: {name:?}"), documents, others);
    }
}

/// Shows the first document that is another.
pub fn assert_documents(what: &str, documents: &[Vec<u8>], others: &[Vec<u8>]) {
    assert_eq!(documents.len(), others.len(), "{what}: how many documents there are");
    for (document, other) in documents.iter().zip(others) {
        let shown = (hex(document), hex(other));
        assert!(
            document == other,
            "{what}: a document came back as another:\n{}\n{}",
            shown.0,
            shown.1
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(300).map(|byte| format!("{byte:02x}")).collect()
}

/// Puts documents in as they are, all of which the server must take.
pub async fn put(tools: &Tools, database: &str, collection: &str, documents: &[Vec<u8>]) {
    let mut batch = InsertBatch::default();
    for document in documents {
        if !batch.has_room(document.len()) {
            put_batch(tools, database, collection, &batch).await;
            batch.clear();
        }
        batch.push(document);
    }
    put_batch(tools, database, collection, &batch).await;
}

async fn put_batch(tools: &Tools, database: &str, collection: &str, batch: &InsertBatch<'_>) {
    let outcome = tools
        .mongo
        .insert(database, collection, batch, Order::Kept, Validation::Bypassed, &|| {
            Box::pin(async { Ok(()) })
        })
        .await;
    let outcome = outcome.expect("the server answers");
    let refused = outcome.rejected.first();
    assert!(
        refused.is_none(),
        "{refused:?}: {}",
        refused.map_or(String::new(), |r| hex(batch.document(r.index)))
    );
}

/// Runs a command, its fields in order.
pub async fn run(client: &mongodb::Client, database: &str, command: Document) -> Document {
    let text = command.to_string();
    client
        .database(database)
        .run_command(command)
        .await
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Builds indexes.
pub async fn index(client: &mongodb::Client, database: &str, collection: &str, indexes: Vec<Document>) {
    run(client, database, doc! {"createIndexes": collection, "indexes": indexes}).await;
}

/// How an archive is written.
pub const FORMS: [(Payload, Compression, bool); 8] = [
    (Payload::Jsonl, Compression::None, false),
    (Payload::Jsonl, Compression::Gzip, false),
    (Payload::Jsonl, Compression::Zstd, false),
    (Payload::Bson, Compression::None, false),
    (Payload::Bson, Compression::Gzip, false),
    (Payload::Bson, Compression::Zstd, false),
    (Payload::Jsonl, Compression::None, true),
    (Payload::Jsonl, Compression::Zstd, true),
];

/// Backs up in one form; the backup must be complete.
pub async fn back_up_as(
    tools: &Tools,
    database: &str,
    to: &Location,
    (payload, compression, pretty): (Payload, Compression, bool),
) -> Location {
    let job = BackupJob {
        payload,
        compression,
        pretty,
        ..support::job(database, to)
    };
    let report = backup(&job, tools).await.expect("a backup");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    report.archive
}

/// Restores with these fields in the event, without a snapshot unless it asks for one.
pub async fn restore_with(tools: &Tools, archive: &Location, database: &str, fields: Value) -> RestoreReport {
    let mut event = json!({"archive": archive.to_string(), "database": database, "snapshot": false});
    for (key, value) in fields.as_object().expect("an event's fields") {
        event[key] = value.clone();
    }
    support::restore(tools, event).await.expect("a restore")
}

/// A restore that must be complete.
pub async fn restore_whole(tools: &Tools, archive: &Location, database: &str, fields: Value) -> RestoreReport {
    let report = restore_with(tools, archive, database, fields).await;
    let differing: Vec<_> = verified(&report)
        .iter()
        .filter(|collection| !collection.equal)
        .collect();
    assert_eq!(report.status, RunStatus::Complete, "{differing:#?}");
    report
}

pub fn verified(report: &RestoreReport) -> &[VerifiedCollection] {
    &report
        .verification
        .as_ref()
        .expect("the restore was carried out")
        .collections
}

/// One collection of a report.
pub fn of<'a>(report: &'a RestoreReport, name: &str) -> &'a VerifiedCollection {
    verified(report)
        .iter()
        .find(|collection| collection.name == name)
        .expect("a row of the report")
}

/// A database of these documents, through S3 in both payloads and back.
pub async fn round_trip(documents: &[Vec<u8>]) {
    let tools = support::tools().await;
    let client = crate::rig::shared_replica_set().client().await;
    let source = crate::rig::fresh_database_name("fidelity");
    put(&tools, &source, "c", documents).await;
    let before = held(&client, &tools, &source).await;
    // What the server holds must be what was meant, or the test proves nothing.
    let mut meant = documents.to_vec();
    meant.sort_unstable();
    assert!(
        before["c"].1 == meant,
        "the server changed a document when it was put in"
    );
    for payload in [Payload::Jsonl, Payload::Bson] {
        let archive = back_up_as(&tools, &source, &support::folder(), (payload, Compression::Zstd, false)).await;
        let target = crate::rig::fresh_database_name("fidelity");
        restore_whole(&tools, &archive, &target, json!({})).await;
        assert_same(&before, &held(&client, &tools, &target).await, &format!("{payload:?}"));
        // Restoring once more meets every document under its _id, and finds it unchanged.
        let again = restore_whole(&tools, &archive, &target, json!({})).await;
        let merged = of(&again, "c").merged.expect("a merge");
        assert_eq!(
            (merged.unchanged, merged.replaced),
            (documents.len() as u64, 0),
            "{payload:?}"
        );
        assert_same(
            &before,
            &held(&client, &tools, &target).await,
            &format!("{payload:?}, merged"),
        );
    }
}
