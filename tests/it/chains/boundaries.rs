//! What a writer does between two increments: documents in every way, transactions, and definitions.

use bson::{Bson, Document, doc, oid::ObjectId};
use mongodb::options::{CreateCollectionOptions, TimeseriesOptions};
use mongodb::{Client, Collection, Database};
use mongotar::backup::BackupReport;

use super::{Beginning, base, comes_back, content, increment};
use crate::support::insert;

/// Random numbers that are the same in each run.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// One of some `_id`s of all kinds, some of which a server takes for the same.
    pub fn id(&mut self) -> Bson {
        let number = i32::try_from(self.roll(60)).expect("small");
        match self.roll(8) {
            0 => Bson::Int32(number),
            1 => Bson::Int64(number.into()),
            2 => Bson::Double(number.into()),
            3 => Bson::String(format!("s{number}")),
            4 => Bson::Document(doc! {"a": number, "b": "x"}),
            5 => Bson::ObjectId(ObjectId::from_bytes([u8::try_from(number).expect("small"); 12])),
            6 => Bson::DateTime(bson::DateTime::from_millis(number.into())),
            _ => Bson::Binary(bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: vec![u8::try_from(number).expect("small"); 3],
            }),
        }
    }

    fn document(&mut self) -> Document {
        let mut document =
            doc! {"n": i64::try_from(self.roll(1 << 30)).expect("small"), "list": [1, 2, {"x": self.roll(9) as i32}]};
        if self.roll(3) == 0 {
            document.insert("text", "word ".repeat(usize::try_from(self.roll(40)).expect("small")));
        }
        document
    }
}

/// Changes some documents of a collection, in one way or another.
pub async fn change(dice: &mut Dice, collection: &Collection<Document>) {
    for _ in 0..=dice.roll(30) {
        let filter = doc! {"_id": dice.id()};
        let done = match dice.roll(9) {
            0 | 1 => collection
                .replace_one(filter, dice.document())
                .upsert(true)
                .await
                .map(drop),
            2 => collection
                .update_one(filter, doc! {"$inc": {"n": 1}})
                .upsert(true)
                .await
                .map(drop),
            3 => collection
                .update_one(filter, doc! {"$set": {"deep.er": dice.document()}})
                .await
                .map(drop),
            4 => collection
                .update_one(filter, doc! {"$unset": {"n": ""}, "$push": {"list": 7}})
                .await
                .map(drop),
            5 => collection
                .update_one(filter, vec![doc! {"$set": {"first": "$n"}}, doc! {"$unset": "list"}])
                .await
                .map(drop),
            6 | 7 => collection.delete_one(filter).await.map(drop),
            _ => collection
                .update_many(
                    doc! {"n": {"$lt": 1 << 20}},
                    doc! {"$set": {"many": dice.roll(99) as i32}},
                )
                .await
                .map(drop),
        };
        done.expect("changed");
    }
}

/// Changes documents of two collections at once, and takes it back now and then.
pub async fn transact(dice: &mut Dice, client: &Client, database: &Database) {
    let mut session = client.start_session().await.expect("a session");
    session.start_transaction().await.expect("begun");
    for name in ["orders", "people"] {
        let collection = database.collection::<Document>(name);
        for _ in 0..5 {
            let (id, document) = (dice.id(), dice.document());
            let replaced = collection.replace_one(doc! {"_id": id}, document).upsert(true);
            if replaced.session(&mut session).await.is_err() {
                // Somebody else has just written it.
                return session.abort_transaction().await.unwrap_or_default();
            }
        }
    }
    match dice.roll(4) {
        0 => session.abort_transaction().await.expect("aborted"),
        _ => session.commit_transaction().await.expect("committed"),
    }
}

async fn rename(client: &Client, database: &Database, from: &str, to: &str) {
    let name = |collection: &str| format!("{}.{collection}", database.name());
    let command = doc! {"renameCollection": name(from), "to": name(to), "dropTarget": true};
    client.database("admin").run_command(command).await.expect("renamed");
}

/// Changes what there is.
async fn redefine(round: u64, client: &Client, database: &Database) {
    let one =
        |n: u64| vec![doc! {"_id": i64::try_from(n).expect("small"), "round": i64::try_from(round).expect("small")}];
    match round {
        1 => insert(client, database.name(), "fresh", one(1)).await,
        2 => {
            // Another one of the same name, with fewer documents.
            let fresh = database.collection::<Document>("fresh");
            fresh.drop().await.expect("dropped");
            insert(client, database.name(), "fresh", one(2)).await;
        }
        3 => {
            rename(client, database, "fresh", "renamed").await;
            let index = doc! {"createIndexes": "orders", "indexes": [{"key": {"n": 1}, "name": "by_n"}]};
            database.run_command(index).await.expect("an index");
        }
        4 => {
            // Away and back: changes in between were seen under another name.
            rename(client, database, "people", "elsewhere").await;
            insert(client, database.name(), "elsewhere", vec![doc! {"_id": "while away"}]).await;
            rename(client, database, "elsewhere", "people").await;
            database.create_collection("empty").await.expect("created");
        }
        5 => {
            let out = vec![doc! {"$match": {}}, doc! {"$limit": 20}, doc! {"$out": "renamed"}];
            let cursor = database.collection::<Document>("orders").aggregate(out).await;
            drop(cursor.expect("written"));
            database.collection::<Document>("empty").drop().await.expect("dropped");
        }
        6 => {
            let validator = doc! {"collMod": "orders", "validator": {"n": {"$ne": "never"}}};
            database.run_command(validator).await.expect("modified");
            let view = CreateCollectionOptions::builder()
                .view_on("orders".to_owned())
                .pipeline(vec![doc! {"$match": {"n": 1}}]);
            database
                .create_collection("seen")
                .with_options(view.build())
                .await
                .expect("a view");
        }
        _ => {
            let emptied = database.collection::<Document>("orders").delete_many(doc! {}).await;
            emptied.expect("emptied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_boundary_comes_back_byte_for_byte() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    let (database, mut dice) = (client.database(&name), Dice(18));
    let series = TimeseriesOptions::builder()
        .time_field("at")
        .meta_field(Some("of".to_owned()))
        .build();
    database
        .create_collection("readings")
        .timeseries(series)
        .await
        .expect("a time series");
    database
        .create_collection("log")
        .capped(true)
        .size(1 << 20)
        .await
        .expect("capped");
    for collection in ["orders", "people", "quiet"] {
        let documents = (0..200).map(|_| dice.document()).collect();
        insert(&client, &name, collection, documents).await;
    }
    let mut boundaries: Vec<(BackupReport, super::Content)> = Vec::new();
    let first = base(&tools, &name, &destination).await;
    boundaries.push((first, content(&client, &tools, &name).await));
    for round in 1..=7 {
        change(&mut dice, &database.collection("orders")).await;
        change(&mut dice, &database.collection("people")).await;
        transact(&mut dice, &client, &database).await;
        let reading = doc! {"at": bson::DateTime::from_millis(i64::try_from(round).expect("small") * 60_000), "of": {"b": 1, "a": 2}, "v": 1.5};
        insert(&client, &name, "readings", vec![reading]).await;
        insert(&client, &name, "log", vec![dice.document()]).await;
        redefine(round, &client, &database).await;
        let report = increment(&tools, &name, &destination).await;
        let (before, _) = boundaries.last().expect("one");
        assert_eq!(report.parent.as_deref(), Some(before.name.as_str()));
        assert_eq!(report.from, before.consistency.cluster_time);
        let quiet = report
            .collections
            .iter()
            .find(|row| row.name == "quiet")
            .expect("listed");
        assert_eq!((quiet.changed, quiet.removed, quiet.documents), (Some(0), Some(0), 200));
        boundaries.push((report, content(&client, &tools, &name).await));
    }
    // A later increment has not changed what was said before.
    for (report, expected) in &boundaries {
        comes_back(&client, &tools, &report.archive, expected).await;
    }
}

/// More of what changed than a lookup holds: documents of megabytes among thousands of small ones.
#[tokio::test(flavor = "multi_thread")]
async fn large_documents_among_small_ones_come_back() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    insert(&client, &name, "mixed", (0..4_000).map(|id| doc! {"_id": id}).collect()).await;
    base(&tools, &name, &destination).await;
    let mixed = client.database(&name).collection::<Document>("mixed");
    for id in 0..9 {
        let large = doc! {"_id": id, "text": "x".repeat(2 << 20), "n": id};
        mixed.replace_one(doc! {"_id": id}, large).await.expect("replaced");
    }
    mixed
        .update_many(doc! {"_id": {"$gte": 3_000}}, doc! {"$set": {"n": 1}})
        .await
        .expect("updated");
    mixed
        .delete_many(doc! {"_id": {"$gte": 9, "$lt": 40}})
        .await
        .expect("deleted");
    let report = increment(&tools, &name, &destination).await;
    assert_eq!(
        (report.collections[0].changed, report.collections[0].removed),
        (Some(1_009), Some(31))
    );
    comes_back(&client, &tools, &report.archive, &content(&client, &tools, &name).await).await;
}
