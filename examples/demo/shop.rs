//! A database as shops have them: orders, users, an air-quality time series, a view, indexes, a validator.

use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, doc};

const ORDERS: i64 = 200_000;
const USERS: i64 = 30_000;
const READINGS: i64 = 150_000;
/// Documents of one insert command.
const BATCH: i64 = 5_000;
/// 2026-01-01T00:00:00Z in milliseconds.
const NEW_YEAR: i64 = 1_767_225_600_000;

/// Makes the database.
pub async fn fill(client: &Client, database: &str) {
    let db = client.database(database);
    let command = async |command: Document| db.run_command(command).await.expect("a command of the demo");
    command(doc! {"create": "users", "validator": {"$jsonSchema": {"required": ["name", "email"]}}}).await;
    command(doc! {
        "create": "waqi_station_readings",
        "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "hours"},
    })
    .await;
    command(doc! {
        "create": "large_orders", "viewOn": "orders",
        "pipeline": [{"$match": {"total": {"$gt": Decimal128::from_bytes(decimal(50_000))}}}],
    })
    .await;
    insert(client, database, "users", USERS, user).await;
    insert(client, database, "orders", ORDERS, order).await;
    insert(client, database, "waqi_station_readings", READINGS, reading).await;
    command(doc! {"createIndexes": "users", "indexes": [{"key": {"email": 1}, "name": "email_1", "unique": true}]})
        .await;
    command(doc! {"createIndexes": "orders", "indexes": [
        {"key": {"customer": 1, "placed": -1}, "name": "by_customer"},
        {"key": {"status": 1}, "name": "open_orders", "partialFilterExpression": {"status": "open"}},
    ]})
    .await;
}

async fn insert(client: &Client, database: &str, collection: &str, count: i64, make: fn(i64) -> Document) {
    let collection = client.database(database).collection::<Document>(collection);
    for start in (0..count).step_by(BATCH as usize) {
        let documents = (start..(start + BATCH).min(count)).map(make);
        collection
            .insert_many(documents)
            .ordered(false)
            .await
            .expect("documents are inserted");
    }
}

/// A number that looks random and is the same in every run (SplitMix64).
fn noise(seed: i64) -> u64 {
    let mut z = (seed as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn id(kind: u8, n: i64) -> ObjectId {
    let mut bytes = [kind; 12];
    bytes[4..].copy_from_slice(&n.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

/// An amount in cents as Decimal128 (IEEE 754-2008, BID: coefficient, exponent -2).
fn decimal(cents: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&cents.to_le_bytes());
    bytes[8..].copy_from_slice(&((6176_u64 - 2) << 49).to_le_bytes());
    bytes
}

fn user(n: i64) -> Document {
    doc! {
        "_id": id(1, n),
        "name": format!("Käufer {n}"),
        "email": format!("user{n}@example.org"),
        "joined": DateTime::from_millis(NEW_YEAR - n * 60_000),
        "newsletter": n % 3 == 0,
        "address": {"street": format!("{} Main Street", noise(n) % 200), "city": "Wien", "zip": format!("{:04}", noise(n) % 10_000)},
    }
}

fn order(n: i64) -> Document {
    let status = ["open", "paid", "shipped", "returned"][(noise(n) % 4) as usize];
    let lines: Vec<Bson> = (0..1 + noise(n) % 4)
        .map(|line| {
            let item = noise(n * 7 + line as i64);
            Bson::Document(doc! {"sku": format!("SKU-{:05}", item % 20_000), "quantity": (1 + item % 5) as i32, "price": (item % 10_000) as f64 / 100.0})
        })
        .collect();
    doc! {
        "_id": id(2, n),
        "customer": id(1, (noise(n) % USERS as u64) as i64),
        "placed": DateTime::from_millis(NEW_YEAR + n * 10_000),
        "status": status,
        "total": Decimal128::from_bytes(decimal(noise(n) % 100_000)),
        "lines": lines,
        "note": if n % 10 == 0 { Bson::String("please ring twice \u{1f514}".to_owned()) } else { Bson::Null },
    }
}

fn reading(n: i64) -> Document {
    let value = |salt: i64| (noise(n + salt) % 2_000) as f64 / 10.0;
    doc! {
        "ts": DateTime::from_millis(NEW_YEAR + (n / 50) * 3_600_000),
        "meta": {"city": "Wien", "station": (n % 50) as i32},
        "_id": id(3, n),
        "pm25": value(1),
        "pm10": value(2),
        "o3": value(3),
        "temperature": value(4) - 40.0,
    }
}
