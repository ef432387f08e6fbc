//! Compares two databases with the driver alone: raw documents, options, indexes.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, doc};

/// Whether two databases hold the same; says so for each collection.
pub async fn databases(client: &Client, one: &str, other: &str) -> bool {
    let (first, second) = (definitions(client, one).await, definitions(client, other).await);
    let mut equal = first.keys().eq(second.keys());
    for (name, definition) in &first {
        let (a, b) = (documents(client, one, name).await, documents(client, other, name).await);
        let same_definition = second.get(name) == Some(definition);
        let verdict = if a == b && same_definition {
            "equal"
        } else {
            "DIFFERENT"
        };
        println!(
            "  {name:<24}{:>10} documents here, {:>10} there: {verdict}",
            a.len(),
            b.len()
        );
        equal &= a == b && same_definition;
    }
    equal
}

/// Options and indexes by name, without what differs between any two collections: UUIDs.
async fn definitions(client: &Client, database: &str) -> BTreeMap<String, (Document, Vec<Document>)> {
    let db = client.database(database);
    let listed = db
        .run_cursor_command(doc! {"listCollections": 1})
        .await
        .expect("a list of collections");
    let listed: Vec<Document> = listed.try_collect().await.expect("a list of collections");
    let mut found = BTreeMap::new();
    for entry in listed {
        let name = entry.get_str("name").expect("a collection has a name").to_owned();
        if name.starts_with("system.") {
            continue;
        }
        let indexes = match entry.get_str("type") {
            Ok("view") => Vec::new(),
            _ => {
                let cursor = db
                    .run_cursor_command(doc! {"listIndexes": &name})
                    .await
                    .expect("indexes");
                cursor.try_collect().await.expect("indexes")
            }
        };
        let options = entry.get_document("options").cloned().unwrap_or_default();
        found.insert(name, (options, indexes));
    }
    found
}

/// Every document as raw BSON, sorted. The server may order the fields of measurements anew, so those are compared
/// field by field.
async fn documents(client: &Client, database: &str, collection: &str) -> Vec<Vec<u8>> {
    let cursor = client
        .database(database)
        .collection::<RawDocumentBuf>(collection)
        .find(doc! {})
        .await;
    let mut documents: Vec<Vec<u8>> = cursor
        .expect("documents")
        .map_ok(|document| match collection.ends_with("_readings") {
            true => sorted_fields(&document),
            false => document.into_bytes(),
        })
        .try_collect()
        .await
        .expect("documents");
    documents.sort_unstable();
    documents
}

fn sorted_fields(document: &RawDocumentBuf) -> Vec<u8> {
    let mut fields: Vec<_> = document.iter().map(|field| field.expect("a field")).collect();
    fields.sort_by_key(|(key, _)| key.as_str());
    let mut sorted = RawDocumentBuf::new();
    for (key, value) in fields {
        sorted.append(key, value);
    }
    sorted.into_bytes()
}
