//! A replica set whose members number their records differently, as all do that were not there from the beginning: a
//! place in a collection is one at the member that gave it, and nowhere else.

use bson::{Document, doc};
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{RunStatus, backup};
use mongotar::run::Memory;
use mongotar::store::{Location, Store};

use crate::rig::{Mongod, ScratchDir, unique_name};
use crate::support::{self, insert};

const DOCUMENTS: i32 = 14_000;
const KEPT: i32 = 9_000;

/// The number of a member's first record.
async fn first_record(member: &Mongod) -> i64 {
    let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", member.port());
    let client = mongodb::Client::with_uri_str(uri).await.expect("a client");
    let find = doc! {"find": "large", "limit": 1, "showRecordId": true, "projection": {"_id": 1}};
    let reply = client.database("shop").run_command(find).await.expect("a reply");
    let first = reply
        .get_document("cursor")
        .and_then(|cursor| cursor.get_array("firstBatch"));
    let first = first
        .ok()
        .and_then(|batch| batch.first())
        .and_then(|document| document.as_document());
    first
        .and_then(|document| document.get_i64("$recordId").ok())
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_number_records_differently_cost_no_document() {
    let primary = Mongod::replica_set();
    let client = primary.client().await;
    let document = |id: i32| doc! {"_id": id, "text": "abc".repeat(1_000)};
    for first in (0..DOCUMENTS).step_by(2_000) {
        insert(&client, "shop", "large", (first..first + 2_000).map(document).collect()).await;
    }
    let large = client.database("shop").collection::<Document>("large");
    let early = doc! {"_id": {"$lt": DOCUMENTS - KEPT}};
    large.delete_many(early).await.expect("deleted");
    let other = Mongod::builder().join(&primary);
    assert_ne!(
        first_record(&primary).await,
        first_record(&other).await,
        "they number alike"
    );

    let folder = ScratchDir::new("members");
    let mut digests = Vec::new();
    for preference in [
        "primary",
        "nearest",
        "nearest",
        "nearest",
        "secondary",
        "secondaryPreferred",
    ] {
        let uri = format!(
            "mongodb://127.0.0.1:{},127.0.0.1:{}/?replicaSet=rig&readPreference={preference}",
            primary.port(),
            other.port()
        );
        let mut tools = support::tools_for(&uri, Store::new()).await;
        // Little enough for several stretches.
        tools.memory = Memory::of(110_000_000).expect("enough");
        let to = Location::Local(folder.path().join(unique_name("to")));
        let report = backup(&support::job("shop", &to), &tools).await.expect("an archive");
        assert_eq!(report.status, RunStatus::Complete, "{preference}: {:?}", report.failed);
        assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot, "{preference}");
        assert_eq!(report.totals.documents, u64::from(KEPT.unsigned_abs()), "{preference}");
        digests.push(report.collections.iter().map(|saved| saved.digest).collect::<Vec<_>>());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}
