//! Moments between two archives: each comes back as it was, byte for byte, or it is said what does not.

use bson::{Document, Timestamp, doc};
use mongodb::Client;
use mongotar::backup::RunStatus;
use mongotar::progress::Progress;
use mongotar::restore::RestoreReport;
use mongotar::run::Memory;
use mongotar::store::Location;
use mongotar::verify::verify;
use serde_json::json;

use super::boundaries::{Dice, change, transact};
use super::{Beginning, Content, base, content, increment};
use crate::rig;
use crate::support::{insert, restore};

/// The cluster time now: everything that was written is up to it, and everything later is after it.
async fn now(client: &Client) -> Timestamp {
    let hello = client.database("admin").run_command(doc! {"hello": 1}).await;
    hello
        .expect("an answer")
        .get_timestamp("operationTime")
        .expect("a time")
}

fn text(time: Timestamp) -> String {
    format!("{}.{}", time.time, time.increment)
}

impl Beginning {
    async fn restored(&self, at: &str) -> (RestoreReport, Content) {
        let target = rig::fresh_database_name("it");
        let event = json!({"archive": {"latest": self.destination, "at": at}, "database": target});
        let report = restore(&self.tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
        let found = content(&self.client, &self.tools, &target).await;
        self.client.database(&target).drop().await.expect("dropped");
        (report, found)
    }

    async fn hot(&self, times: i32) {
        let one = doc! {"q": {"_id": "hot"}, "u": {"$inc": {"n": 1}}};
        let many: Vec<Document> = (0..times).map(|_| one.clone()).collect();
        let command = doc! {"update": "orders", "updates": many};
        self.client
            .database(&self.name)
            .run_command(command)
            .await
            .expect("updated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_between_two_archives_comes_back_byte_for_byte() {
    let begun = Beginning::new().await;
    let (tools, client, name, destination) = begun.parts();
    let (database, mut dice) = (client.database(name), Dice(1_118));
    for collection in ["orders", "people", "quiet"] {
        let documents = (0..50).map(|n| doc! {"n": n}).collect();
        insert(client, name, collection, documents).await;
    }
    base(tools, name, destination).await;
    let mut moments: Vec<(Timestamp, Content)> = Vec::new();
    for _ in 0..2 {
        for _ in 0..4 {
            change(&mut dice, &database.collection("orders")).await;
            transact(&mut dice, client, &database).await;
            change(&mut dice, &database.collection("people")).await;
            let orders = database.collection::<Document>("orders");
            for n in 0..5 {
                // There, changed, gone, and there again; of the last round, gone for good.
                let id = doc! {"_id": {"again": n}};
                let replaced = orders.replace_one(id.clone(), doc! {"n": dice.id()}).upsert(true);
                replaced.await.expect("replaced");
                orders
                    .update_one(id.clone(), doc! {"$set": {"m": n}})
                    .await
                    .expect("updated");
                if n > 1 {
                    orders.delete_one(id).await.expect("deleted");
                }
            }
            moments.push((now(client).await, content(client, tools, name).await));
        }
        insert(client, name, "quiet", vec![doc! {"one": "more"}]).await;
        increment(tools, name, destination).await;
    }
    for (time, expected) in &moments {
        let (report, found) = begun.restored(&text(*time)).await;
        assert!(found.0 == expected.0, "the documents at {} are others", text(*time));
        assert_eq!(found.1, expected.1);
        let said = report.plan.warnings.join("\n");
        assert!(!said.contains("earlier"), "{said}");
    }
}

/// What changes too often for each time to be kept is there at the ends of seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_changes_all_the_time_is_kept_by_seconds() {
    let begun = Beginning::new().await;
    let (tools, client, name, destination) = begun.parts();
    insert(client, name, "orders", vec![doc! {"_id": "hot", "n": 0}]).await;
    base(tools, name, destination).await;
    begun.hot(10_000).await;
    let (time, then) = (now(client).await, content(client, tools, name).await);
    // The rest is of later seconds.
    while now(client).await.time == time.time {
        insert(client, name, "ticks", vec![doc! {}]).await;
    }
    begun.hot(10_002).await;
    increment(tools, name, destination).await;
    let at = time::OffsetDateTime::from_unix_timestamp(time.time.into()).expect("a time");
    let at = at
        .format(&time::format_description::well_known::Rfc3339)
        .expect("a time");
    let (_, found) = begun.restored(&at).await;
    assert!(found.0["orders"] == then.0["orders"], "the end of a second");
    let (report, _) = begun.restored(&text(time)).await;
    let said = report.plan.warnings.join("\n");
    assert!(said.contains("orders") && said.contains("ends of seconds"), "{said}");
}

/// What a journal cannot tell is told in its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_there_at_boundaries_is_named() {
    let begun = Beginning::new().await;
    let (tools, client, name, destination) = begun.parts();
    let database = client.database(name);
    for collection in ["kept", "dropped", "again"] {
        insert(client, name, collection, vec![doc! {"_id": 1}]).await;
    }
    base(tools, name, destination).await;
    let before = content(client, tools, name).await;
    database
        .collection::<Document>("dropped")
        .drop()
        .await
        .expect("dropped");
    database.collection::<Document>("again").drop().await.expect("dropped");
    insert(client, name, "again", vec![doc! {"_id": 2}]).await;
    insert(client, name, "made", vec![doc! {"_id": 1}]).await;
    insert(client, name, "kept", vec![doc! {"_id": 2}]).await;
    let index = doc! {"createIndexes": "kept", "indexes": [{"key": {"n": 1}, "name": "by_n"}]};
    database.run_command(index).await.expect("an index");
    let time = now(client).await;
    insert(client, name, "kept", vec![doc! {"_id": 3}]).await;
    let report = increment(tools, name, destination).await;
    let (restored, found) = begun.restored(&text(time)).await;
    let said = restored.plan.warnings.join("\n");
    for (collection, part) in [
        ("dropped", "dropped or renamed"),
        ("again", "has all of it"),
        ("made", "left out"),
        ("kept", "indexes were changed"),
    ] {
        let is_it = |line: &&str| line.contains(collection) && line.contains(part);
        assert!(said.lines().any(|line| is_it(&line)), "{collection} in {said}");
    }
    assert_eq!(found.0["kept"].len(), 2);
    assert!(found.0["dropped"] == before.0["dropped"] && found.0["again"] == before.0["again"]);
    assert!(!found.0.contains_key("made"));
    // Named as it is found, it can be asked for, too; what is before or is no increment cannot.
    let within = |time: &str| -> Location {
        let named = format!("{}@{time}", report.archive);
        named.parse().expect("a place")
    };
    let progress = Progress::default();
    let verified = verify(&tools.store, &within(&text(time)), Memory::default(), &progress).await;
    let verified = verified.expect("read");
    assert_eq!(verified.status, RunStatus::Complete, "{:?}", verified.damaged);
    let rows = verified.collections;
    assert_eq!(rows.iter().map(|row| row.documents_read).sum::<u64>(), 4);
    let early = verify(&tools.store, &within("1.1"), Memory::default(), &progress).await;
    assert!(early.expect_err("before").message.contains("is before that"));
}
