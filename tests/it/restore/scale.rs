//! Batches, large documents, and many collections.

use std::time::{Duration, Instant};

use bson::{Binary, doc, spec::BinarySubtype};
use mongotar::backup::RunStatus;
use serde_json::json;

use super::{numbered, of, place};
use crate::rig;

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

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_small_collections_do_not_take_for_ever() {
    let place = place().await;
    let began = Instant::now();
    for chunk in (0..2_000).collect::<Vec<i32>>().chunks(50) {
        let inserts = chunk.iter().map(|n| {
            let (place, name) = (&place, format!("c{n:04}"));
            async move { place.insert(&name, numbered(0..3, &name)).await }
        });
        futures_util::future::join_all(inserts).await;
    }
    eprintln!("inserted after {:?}", began.elapsed());
    let archive = place.archive().await;
    eprintln!("archived after {:?}", began.elapsed());
    place.db().drop().await.expect("dropped");
    let restoring = Instant::now();
    let report = place.restore(&archive, json!({})).await.expect("a report");
    eprintln!("restored in {:?}", restoring.elapsed());
    assert_eq!(report.status, RunStatus::Complete);
    assert_eq!(report.verification.expect("one").collections.len(), 2_000);
    // One after the other they took twice as long as it takes the server to create them; several at a time, the server alone sets the pace.
    assert!(
        restoring.elapsed() < Duration::from_secs(80),
        "{:?}",
        restoring.elapsed()
    );
    place.db().drop().await.expect("dropped");
}
