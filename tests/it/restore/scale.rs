//! Batches, large documents, and many collections.

use bson::{Binary, doc, spec::BinarySubtype};
use mongotar::backup::RunStatus;
use serde_json::json;

use super::failpoints::Failing;
use super::{numbered, of, place};
use crate::{rig, support};

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_one_and_of_five_thousand_give_the_same() {
    let place = place().await;
    place.insert("c", numbered(0..12_001, "x")).await;
    place.insert("few", numbered(0..40, "x")).await;
    let archived = place.state().await;
    let archive = place.archive().await;
    for (size, include, sample) in [(1, "few", 7_u32), (5_000, "*", 10_000), (100_000, "*", 0)] {
        let fresh = rig::fresh_database_name("fresh");
        let more = json!({"batch_size": size, "include": [include], "verify_sample_size": sample});
        let report = place
            .restore_into(&fresh, &archive, more.clone())
            .await
            .expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        let few = of(&report, "few");
        assert_eq!(few.sample_hash_archive, few.sample_hash_database);
        assert_eq!(few.sample_hash_archive.is_some(), sample > 0);
        if sample == 7 {
            assert_ne!(
                few.sample_hash_archive.as_deref(),
                Some(few.digest_archive.to_string().as_str()),
                "seven of forty"
            );
        }
        assert_eq!(place.state_of(&fresh).await.0["few"], archived.0["few"]);
        // A merge by batches of that size changes nothing.
        let merged = place.restore_into(&fresh, &archive, more).await.expect("a report");
        assert_eq!(of(&merged, "few").merged.map(|merged| merged.unchanged), Some(40));
    }
    for size in [0, 100_001] {
        let refused = place
            .restore(&archive, json!({"batch_size": size}))
            .await
            .expect_err("refused");
        assert!(refused.message.contains("batch_size"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_fifteen_mebibytes_come_back() {
    let place = place().await;
    for id in 0..3 {
        let bytes = (0..15 << 20)
            .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let blob = Binary {
            subtype: BinarySubtype::Generic,
            bytes,
        };
        place.insert("large", vec![doc! {"_id": id, "blob": blob}]).await;
    }
    let archived = place.state().await;
    let archive = place.archive().await;
    for more in [json!({"replace_existing": true}), json!({})] {
        let report = place.restore(&archive, more).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        assert!(place.state().await == archived);
    }
}

/// The commands that data and definitions take.
const COMMANDS: [&str; 15] = [
    "aggregate",
    "collMod",
    "collStats",
    "count",
    "create",
    "createIndexes",
    "drop",
    "find",
    "findAndModify",
    "getMore",
    "insert",
    "listCollections",
    "listIndexes",
    "renameCollection",
    "update",
];
/// How many of them one more small collection may cost a restore: it is created, filled, read back, renamed, and looked
/// at.
const EACH: i64 = 7;

/// How many of them a server has had.
async fn commands(failing: &Failing) -> i64 {
    let status = failing.place.run(doc! {"serverStatus": 1}).await;
    let metrics = status.get_document("metrics").expect("metrics");
    let counted = metrics.get_document("commands").expect("commands");
    let total = |name: &str| counted.get_document(name)?.get_i64("total");
    COMMANDS.iter().map(|name| total(name).unwrap_or(0)).sum()
}

/// So many collections of three documents go into an archive, and out of the database.
async fn archived(failing: &Failing, count: u32) -> String {
    let inserts = (0..count).map(|n| async move {
        let name = format!("c{n:04}");
        failing.place.insert(&name, numbered(0..3, &name)).await;
    });
    futures_util::future::join_all(inserts).await;
    // Two archives of one folder are at least a second apart.
    let folder = failing.place.to.join(&rig::unique_name("many"));
    let report = support::back_up(&failing.place.tools, &failing.place.database, &folder).await;
    failing.place.db().drop().await.expect("dropped");
    report.archive.to_string()
}

/// A limit in seconds would say more of the machine than of the restore.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_collection_costs_a_restore_few_commands_and_several_are_made_at_a_time() {
    let failing = Failing::start().await;
    let event = |archive: &str| json!({"archive": archive, "database": failing.place.database, "snapshot": false});
    let mut costs = Vec::new();
    for count in [20, 80] {
        let archive = archived(&failing, count).await;
        let before = commands(&failing).await;
        let report = support::restore(&failing.tools, event(&archive))
            .await
            .expect("a report");
        costs.push(commands(&failing).await - before);
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        failing.place.db().drop().await.expect("dropped");
    }
    let more = costs[1] - costs[0];
    assert!(more >= 60 * 3, "{costs:?}: they are counted");
    assert!(more <= 60 * EACH, "{costs:?}: too many for 60 more");

    let archive = archived(&failing, 40).await;
    let blocks = doc! {"blockConnection": true, "blockTimeMS": 1_000};
    failing.arm(doc! {"times": 40}, "create", blocks).await;
    let (report, ()) = tokio::join!(
        support::restore(&failing.tools, event(&archive)),
        support::eventually_so("several are made at a time", async || {
            failing.at_once("create").await >= 4
        })
    );
    assert_eq!(report.expect("a report").status, RunStatus::Complete);
}
