//! MongoDB 8.2 to 9.0, before an older server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mongodb::Client;
use mongodb::bson::{self, Bson, Document, RawDocumentBuf, doc};

use super::super::background::block_on;
use super::super::wire::{Passage, WireCommand};
use super::{changed, refusal};

const BUCKETS: &str = "system.buckets.";
const CONSTRAINT: &str = "constraint";

/// Release notes: `autoIndexId` is refused (8.2), buckets are for those who ask for raw data (8.3), and `listIndexes`
/// names the simple collation (9.0). A time series has no buckets beside it, but a UUID of its own, and can be renamed
/// (9.0). The server's own tests of the validation level `constraint` (9.0): it is prepared before it is set, and no
/// write bypasses it; the server behind has `moderate` instead.
pub(super) fn answer(command: &WireCommand, port: u16) -> Passage {
    let has = |field: &str| command.body.contains_key(field);
    match command.name.as_str() {
        "buildInfo" => changed(command, |answer| {
            answer.insert("version", "9.0.0");
            answer.insert("versionArray", vec![9, 0, 0, 0]);
        }),
        "create" if has("autoIndexId") => refusal(72, "The field 'autoIndexId' is no longer supported"),
        "create" if is_constraint(command) => {
            known().constraints.insert(command.namespace());
            Passage::Instead(with_level(command, "moderate"))
        }
        "create" if has("timeseries") => {
            known().uuids.insert(command.namespace(), bson::Uuid::new());
            Passage::Through
        }
        "drop" => {
            known().uuids.remove(&command.namespace());
            Passage::Through
        }
        "collMod" if has("prepareConstraintValidationLevel") => {
            known().prepared.insert(command.namespace());
            Passage::Answered(doc! {"ok": 1.0})
        }
        "collMod" if is_constraint(command) => {
            let mut known = known();
            if !known.prepared.remove(&command.namespace()) {
                return refusal(
                    72,
                    "the collection is not prepared for the validation level 'constraint'",
                );
            }
            known.constraints.insert(command.namespace());
            Passage::Instead(with_level(command, "moderate"))
        }
        "insert" if has("bypassDocumentValidation") && known().constraints.contains(&command.namespace()) => refusal(
            72,
            "bypassDocumentValidation is not allowed with the validation level 'constraint'",
        ),
        "renameCollection" => renamed(command, port),
        "listCollections" => {
            let database = command.database.clone();
            changed(command, move |answer| as_the_newest_lists(&database, answer))
        }
        "listIndexes" => changed(command, |answer| {
            for index in first_batch(answer).iter_mut().filter_map(Bson::as_document_mut) {
                if !index.contains_key("collation") {
                    index.insert("collation", doc! {"locale": "simple"});
                }
            }
        }),
        _ if command.target().starts_with(BUCKETS) && !has("rawData") => {
            refusal(166, "buckets are only for those who ask for raw data")
        }
        _ => Passage::Through,
    }
}

/// What the server behind does not know; collections by their namespaces.
struct Known {
    constraints: BTreeSet<String>,
    prepared: BTreeSet<String>,
    /// Of time series.
    uuids: BTreeMap<String, bson::Uuid>,
}

fn known() -> MutexGuard<'static, Known> {
    static KNOWN: Mutex<Known> = Mutex::new(Known {
        constraints: BTreeSet::new(),
        prepared: BTreeSet::new(),
        uuids: BTreeMap::new(),
    });
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_the_newest_lists(database: &str, answer: &mut Document) {
    let batch = first_batch(answer);
    batch.retain(|listed| {
        let name = listed.as_document().and_then(|listed| listed.get_str("name").ok());
        !name.is_some_and(|name| name.starts_with(BUCKETS))
    });
    for listed in batch.iter_mut().filter_map(Bson::as_document_mut) {
        let namespace = format!("{database}.{}", listed.get_str("name").unwrap_or_default());
        if known().constraints.contains(&namespace)
            && let Ok(options) = listed.get_document_mut("options")
        {
            options.insert("validationLevel", CONSTRAINT);
        }
        if matches!(listed.get_str("type"), Ok("timeseries")) {
            let uuid = *known().uuids.entry(namespace).or_default();
            listed.insert("info", doc! {"readOnly": false, "uuid": uuid});
        }
    }
}

/// An older server renames no time series: its buckets are put into a new one.
fn renamed(command: &WireCommand, port: u16) -> Passage {
    let name = |field| command.body.get_str(field).unwrap_or_default().to_owned();
    let (from, to) = (name("renameCollection"), name("to"));
    {
        let mut known = known();
        if known.constraints.remove(&from) {
            known.constraints.insert(to.clone());
        }
    }
    let Some(uuid) = known().uuids.get(&from).copied() else {
        return Passage::Through;
    };
    let replaces = command.body.get_bool("dropTarget").unwrap_or(false);
    match block_on(async move { moved(port, &from, &to, replaces).await.map(|()| (from, to)) }) {
        Ok((from, to)) => {
            let mut known = known();
            known.uuids.remove(&from);
            known.uuids.insert(to, uuid);
            Passage::Answered(doc! {"ok": 1.0})
        }
        Err(error) => refusal(8, &error),
    }
}

async fn moved(port: u16, from: &str, to: &str, replaces: bool) -> Result<(), String> {
    let said = |error: mongodb::error::Error| error.to_string();
    let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
    let client = Client::with_uri_str(uri).await.map_err(said)?;
    let (Some((database, from)), Some((_, to))) = (from.split_once('.'), to.split_once('.')) else {
        return Err("a namespace has a dot".to_owned());
    };
    let database = client.database(database);
    let list = doc! {"listCollections": 1, "filter": {"name": from}};
    let mut listed = database.run_command(list).await.map_err(said)?;
    let options = first_batch(&mut listed).first().and_then(Bson::as_document);
    let options = options.and_then(|listed| listed.get_document("options").ok()).cloned();
    if replaces {
        database.run_command(doc! {"drop": to}).await.map_err(said)?;
    }
    let mut create = doc! {"create": to};
    create.extend(options.unwrap_or_default());
    database.run_command(create).await.map_err(said)?;
    let mut indexes = database.run_command(doc! {"listIndexes": from}).await.map_err(said)?;
    let indexes = std::mem::take(first_batch(&mut indexes));
    if !indexes.is_empty() {
        let build = doc! {"createIndexes": to, "indexes": indexes};
        database.run_command(build).await.map_err(said)?;
    }
    let buckets = |of: &str| database.collection::<RawDocumentBuf>(&format!("{BUCKETS}{of}"));
    let mut cursor = buckets(from).find(doc! {}).await.map_err(said)?;
    while cursor.advance().await.map_err(said)? {
        let bucket = cursor.current().to_owned();
        buckets(to).insert_one(bucket).await.map_err(said)?;
    }
    database.run_command(doc! {"drop": from}).await.map(drop).map_err(said)
}

fn is_constraint(command: &WireCommand) -> bool {
    matches!(command.body.get_str("validationLevel"), Ok(CONSTRAINT))
}

fn with_level(command: &WireCommand, level: &str) -> Document {
    let mut body = command.body.clone();
    body.insert("validationLevel", level);
    body
}

fn first_batch(answer: &mut Document) -> &mut Vec<Bson> {
    let cursor = answer.get_document_mut("cursor").expect("the answer has a cursor");
    cursor.get_array_mut("firstBatch").expect("a cursor has a first batch")
}
