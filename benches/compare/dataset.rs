//! Databases made of realistic documents, the same in every run, put in as fast as the server takes them.

mod documents;
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::{RawDocumentBuf, doc};
use mongotar::mongo::{InsertBatch, Mongo, MongoUri, Order, Validation};

pub use documents::Shape;
use random::Random;

use crate::Scale;
use crate::rig::Mongod;

/// What one insert command holds, bytes: enough for the server, little enough to make several at a time.
const CHUNK: u64 = 4 << 20;
const WORKERS: usize = 3;

/// A collection: its name, what its documents look like, and how many there are.
#[derive(Clone, Debug)]
pub struct Planned {
    pub name: String,
    pub shape: Shape,
    pub documents: u64,
}

impl Planned {
    pub fn new(name: impl Into<String>, shape: Shape, documents: u64) -> Self {
        Self {
            name: name.into(),
            shape,
            documents,
        }
    }

    /// About so many bytes.
    pub fn of_size(name: impl Into<String>, shape: Shape, bytes: u64) -> Self {
        Self::new(name, shape, bytes / shape.typical_bytes())
    }
}

/// The mixed database that backups and restores are measured on: 0.9 GB when it is full.
pub fn mixed(scale: Scale) -> Vec<Planned> {
    let mut planned = vec![
        Planned::new("events", Shape::Event, scale.amount(2_000_000)),
        Planned::new("orders", Shape::Order, scale.amount(300_000)),
        Planned::new("articles", Shape::Article, scale.amount(2_000)),
        Planned::new("readings", Shape::Reading, scale.amount(500_000)),
    ];
    planned.extend((0..30).map(|number| Planned::new(format!("tiny_{number:02}"), Shape::User, 10)));
    planned
}

/// So many documents of one shape: chunk `number` of a collection.
pub fn chunk(shape: Shape, number: u64, documents: u64) -> Vec<RawDocumentBuf> {
    let mut random = Random::new(number);
    (0..documents)
        .map(|index| shape.document(&mut random, number, index))
        .collect()
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
            let series = doc! {"create": &planned.name, "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "seconds"}};
            client
                .database(database)
                .run_command(series)
                .await
                .expect("a time series");
        }
        total += fill_collection(&mongo, database, planned).await;
        if planned.shape == Shape::Order {
            let indexes = doc! {"createIndexes": &planned.name, "indexes": [
                {"key": {"user": 1, "placed": -1}, "name": "user_placed"},
                {"key": {"status": 1}, "name": "status"},
            ]};
            client.database(database).run_command(indexes).await.expect("indexes");
        }
    }
    total
}

async fn fill_collection(mongo: &Mongo, database: &str, planned: &Planned) -> u64 {
    let each = (CHUNK / planned.shape.typical_bytes()).max(1);
    let chunks = planned.documents.div_ceil(each);
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (mongo, database, planned, next) = (mongo.clone(), database.to_owned(), planned.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut made = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= chunks {
                    return made;
                }
                let documents = each.min(planned.documents - number * each);
                let shape = planned.shape;
                let made_of = move || chunk(shape, number, documents).into_iter().collect::<Vec<_>>();
                let chunk = tokio::task::spawn_blocking(made_of).await;
                let chunk = chunk.expect("documents are made");
                let mut batch = InsertBatch::default();
                chunk.iter().for_each(|document| batch.push(document.as_bytes()));
                let inserted = mongo
                    .insert(
                        &database,
                        &planned.name,
                        &batch,
                        Order::Free,
                        Validation::Enforced,
                        &|| Box::pin(async { Ok(()) }),
                    )
                    .await
                    .expect("an insert");
                assert_eq!(inserted.inserted, batch.len() as u64, "the server refuses documents");
                made += (0..batch.len())
                    .map(|index| batch.document(index).len() as u64)
                    .sum::<u64>();
            }
        });
    }
    let made: u64 = workers.join_all().await.into_iter().sum();
    let (mean, typical) = (made / planned.documents, planned.shape.typical_bytes());
    let few = planned.documents < 1_000;
    assert!(
        few || mean.abs_diff(typical) <= typical / 10,
        "{}: {mean} bytes each, and not {typical}",
        planned.name
    );
    made
}
