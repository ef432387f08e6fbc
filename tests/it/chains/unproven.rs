//! Chains of which it could not be proven that their first archive is of one moment.

use bson::doc;
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::backup;
use mongotar::inspect::coverage;
use mongotar::store::Store;

use super::{Beginning, increment, incremental};
use crate::rig::{self, Passage, Wire, WireCommand};
use crate::support::{insert, tools_for};

/// A server whose log says that nothing was inserted lately.
fn quiet(command: &WireCommand) -> Passage {
    match command.database.as_str() {
        "local" => Passage::Answered(doc! {
            "ok": 1.0, "cursor": {"id": 0_i64, "ns": "local.oplog.rs", "firstBatch": []},
        }),
        _ => Passage::Through,
    }
}

/// An increment that an honest server gave was called proven, whatever it continued, and could not be restored.
#[tokio::test(flavor = "multi_thread")]
async fn what_continues_an_unproven_archive_is_not_proven_either() {
    let begun = Beginning::new().await;
    let (tools, client, name, destination) = begun.parts();
    insert(client, name, "orders", vec![doc! {"_id": 1}]).await;
    let wire = Wire::start(rig::shared_replica_set().port(), quiet);
    let through = tools_for(&wire.uri(), Store::with_client(rig::shared_s3().client().await)).await;
    let base = backup(&incremental(name, destination), &through)
        .await
        .expect("a full one");
    assert!(base.consistency.unproven.is_some(), "{:?}", base.consistency);
    for id in 2..4 {
        insert(client, name, "orders", vec![doc! {"_id": id}]).await;
        let report = increment(tools, name, destination).await;
        assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
        let why = report.consistency.unproven.expect("it rests on the first");
        assert!(why.starts_with(&format!("of its chain, {}: ", base.name)), "{why}");
    }
    let covered = coverage(&tools.store, destination).await.expect("a report");
    assert_eq!((covered.chains[0].boundaries, covered.chains[0].unproven), (3, 3));
    let opened = mongotar::open::open(&tools.store, &covered.chains[0].last, mongotar::run::Memory::default()).await;
    let warnings = opened.expect("opened").warnings();
    assert!(
        warnings.iter().any(|warning| warning.contains("rests on the word")),
        "{warnings:?}"
    );
}
