//! Databases made of realistic documents, the same in every run, put in as fast as the server takes them.

mod documents;
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::{RawDocumentBuf, doc};
use mongotar::mongo::{InsertBatch, Mongo, MongoUri, Order, Validation};

pub use documents::Shape;
use random::Random;

use crate::rig::Mongod;

/// What one insert command holds: enough for the server, little enough to make several at a time.
const CHUNK: u64 = 4 << 20;
const WORKERS: usize = 3;

/// A collection: its name, what its documents look like, and how many bytes of them there are.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub name: &'static str,
    pub shape: Shape,
    pub bytes: u64,
}

/// The mixed database that backups and restores are measured on: one large collection and several smaller ones.
pub fn mixed(bytes: u64) -> Vec<Planned> {
    let part = |name, shape, percent| Planned {
        name,
        shape,
        bytes: bytes / 100 * percent,
    };
    vec![
        part("orders", Shape::Order, 60),
        part("events", Shape::Event, 17),
        part("users", Shape::User, 12),
        part("articles", Shape::Article, 6),
        part("readings", Shape::Reading, 5),
    ]
}

/// Documents of one shape, at least so many bytes: chunk `number` of a collection.
pub fn chunk(shape: Shape, number: u64, bytes: u64) -> Vec<RawDocumentBuf> {
    let mut random = Random::new(number);
    let mut documents = Vec::new();
    let mut made = 0;
    while made < bytes {
        let document = shape.document(&mut random, number, documents.len() as u64);
        made += document.as_bytes().len() as u64;
        documents.push(document);
    }
    documents
}

/// Fills a database; gives the bytes of BSON that it holds.
pub async fn fill(mongod: &Mongod, database: &str, collections: &[Planned]) -> u64 {
    let client = mongod.client().await;
    let mongo = Mongo::connect(&MongoUri::new(mongod.uri()))
        .await
        .expect("the rig's mongod answers");
    let mut total = 0;
    for planned in collections {
        if planned.shape == Shape::Reading {
            let series = doc! {"create": planned.name, "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "seconds"}};
            client
                .database(database)
                .run_command(series)
                .await
                .expect("a time series");
        }
        total += fill_collection(&mongo, database, *planned).await;
        if planned.shape == Shape::Order {
            let indexes = doc! {"createIndexes": planned.name, "indexes": [
                {"key": {"user": 1, "placed": -1}, "name": "user_placed"},
                {"key": {"status": 1}, "name": "status"},
            ]};
            client.database(database).run_command(indexes).await.expect("indexes");
        }
    }
    total
}

async fn fill_collection(mongo: &Mongo, database: &str, planned: Planned) -> u64 {
    let chunks = planned.bytes.div_ceil(CHUNK);
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (mongo, database, next) = (mongo.clone(), database.to_owned(), Arc::clone(&next));
        workers.spawn(async move {
            let mut made = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= chunks {
                    return made;
                }
                let bytes = CHUNK.min(planned.bytes - number * CHUNK);
                let batch = tokio::task::spawn_blocking(move || batch(planned.shape, number, bytes)).await;
                let batch = batch.expect("documents are made");
                let inserted = mongo
                    .insert(&database, planned.name, &batch, Order::Free, Validation::Enforced)
                    .await
                    .expect("an insert");
                assert_eq!(inserted.inserted, batch.len() as u64, "the server refuses documents");
                made += (0..batch.len())
                    .map(|index| batch.document(index).len() as u64)
                    .sum::<u64>();
            }
        });
    }
    workers.join_all().await.into_iter().sum()
}

fn batch(shape: Shape, number: u64, bytes: u64) -> InsertBatch {
    let mut batch = InsertBatch::default();
    for document in chunk(shape, number, bytes) {
        batch.push(document.as_bytes());
    }
    batch
}
