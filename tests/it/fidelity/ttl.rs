//! FIELD 3, case 7: what has expired is restored all the same, counted, and only then left to the server.

use std::time::{Duration, Instant};

use bson::doc;
use mongotar::store::Store;
use serde_json::json;

use super::documents::identified;
use super::harness::{FORMS, back_up_as, of, put, restore_whole, run};
use super::raw::Raw;
use crate::{rig, support};

/// 2001: long expired.
const LONG_AGO: i64 = 1_000_000_000_000;
/// So many that the monitor, which comes round every second, is busy in some while others are being verified.
const COLLECTIONS: usize = 25;

/// The sample was compared after the TTL indexes had been built, in a race against the server's monitor.
#[tokio::test(flavor = "multi_thread")]
async fn ttl_does_not_eat_what_was_just_restored() {
    let server = rig::Mongod::builder().parameter("ttlMonitorSleepSecs", "1").start();
    let (client, destination) = (server.client().await, support::bucket().await);
    let tools = support::tools_for(&server.uri(), Store::with_client(rig::shared_s3().client().await)).await;
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    // The source's own monitor must not have begun: it is switched off until the archive is there.
    run(&client, "admin", doc! {"setParameter": 1, "ttlMonitorEnabled": false}).await;
    let old: Vec<_> = (0..200)
        .map(|id| identified(id, &Raw::new().date("at", LONG_AGO).text("x", "y")))
        .collect();
    let name = |n: usize| format!("sessions {n}");
    for n in 0..COLLECTIONS {
        put(&tools, &source, &name(n), &old).await;
        let expiring = doc! {"key": {"at": 1}, "name": "expiring", "expireAfterSeconds": 1};
        run(&client, &source, doc! {"createIndexes": name(n), "indexes": [expiring]}).await;
    }
    run(
        &client,
        &source,
        doc! {"create": "series", "timeseries": {"timeField": "at"}, "expireAfterSeconds": 1},
    )
    .await;
    let tree = doc! {"key": {"_id": 1}, "unique": true};
    run(
        &client,
        &source,
        doc! {"create": "clustered", "clusteredIndex": tree, "expireAfterSeconds": 1},
    )
    .await;
    put(&tools, &source, "series", &old).await;
    let dated: Vec<_> = (0..200).map(|n| Raw::new().date("_id", LONG_AGO + n).bytes()).collect();
    put(&tools, &source, "clustered", &dated).await;
    let archive = back_up_as(&tools, &source, &destination, FORMS[2]).await;
    run(&client, &source, doc! {"dropDatabase": 1}).await;
    run(&client, "admin", doc! {"setParameter": 1, "ttlMonitorEnabled": true}).await;

    let report = restore_whole(&tools, &archive, &target, json!({"verify_sample_size": 200})).await;
    for collection in (0..COLLECTIONS)
        .map(name)
        .chain(["series".to_owned(), "clustered".to_owned()])
    {
        let verified = of(&report, &collection);
        assert_eq!((verified.file_count, verified.db_count), (200, 200), "{collection}");
        assert!(verified.sample_hash_archive.is_some(), "{collection}");
    }
    // And from now on they expire, which shows that nothing is left switched off. (A server of this version lets old
    // measurements be, however its time series came by the option; that the option is there is part of the
    // verification.)
    let deadline = Instant::now() + Duration::from_secs(600);
    for collection in (0..COLLECTIONS).map(name).chain(["clustered".to_owned()]) {
        while client
            .database(&target)
            .collection::<bson::Document>(&collection)
            .count_documents(doc! {})
            .await
            .expect("a count")
            > 0
        {
            assert!(Instant::now() < deadline, "{collection} does not expire");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
