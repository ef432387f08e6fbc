//! A chain as one archive: looked at, checked, restored in part, within its memory; and what is wrong with it found.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::inspect::cat;
use mongotar::open::open;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::Location;
use mongotar::verify::verify;
use serde_json::json;

use super::{Beginning, base, content, increment};
use crate::rig;
use crate::support::{against, folder, insert, restore};

fn path(location: &Location) -> &std::path::Path {
    match location {
        Location::Local(path) => path,
        Location::S3 { .. } => panic!("a local archive"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_archives_reads_chains() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    let documents = (0..5_000).map(|id| doc! {"_id": id, "text": "some words"}).collect();
    insert(&client, &name, "orders", documents).await;
    insert(&client, &name, "other", vec![doc! {"_id": "x"}]).await;
    let full = base(&tools, &name, &destination).await;
    let orders = client.database(&name).collection::<bson::Document>("orders");
    orders
        .update_many(doc! {"_id": {"$lt": 100}}, doc! {"$set": {"new": true}})
        .await
        .expect("updated");
    increment(&tools, &name, &destination).await;
    orders
        .delete_many(doc! {"_id": {"$gte": 50, "$lt": 70}})
        .await
        .expect("deleted");
    let last = increment(&tools, &name, &destination).await;
    let row = last
        .collections
        .iter()
        .find(|row| row.name == "orders")
        .expect("listed");
    assert_eq!((row.documents, row.changed, row.removed), (4_980, Some(0), Some(20)));

    // By itself, and against what is there.
    let report = verify(&tools.store, &last.archive, Memory::default(), &Progress::default())
        .await
        .expect("verified");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.damaged);
    assert_eq!(
        report.collections.iter().map(|row| row.documents_read).sum::<u64>(),
        4_981
    );
    assert_eq!(
        against(&tools, &last.archive.to_string(), &name).await.status,
        RunStatus::Complete
    );
    // As text.
    let mut text = Vec::new();
    let written = cat(&tools.store, &last.archive, Memory::default(), "orders", &mut text)
        .await
        .expect("written");
    let lines = String::from_utf8(text).expect("text");
    assert_eq!((written, lines.lines().count()), (4_980, 4_980));
    assert_eq!(lines.lines().filter(|line| line.contains("\"new\"")).count(), 80);

    // The newest moment in a folder is that of the last increment; one collection of it comes by itself.
    let target = rig::fresh_database_name("it");
    let event = json!({"archive": {"latest": destination}, "database": target, "include": ["orders"]});
    let restored = restore(&tools, event).await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete, "{}", restored.summary);
    assert_eq!(restored.archive, last.archive.to_string());
    let (here, there) = (
        content(&client, &tools, &target).await,
        content(&client, &tools, &name).await,
    );
    assert_eq!(here.0.len(), 1);
    assert!(here.0["orders"] == there.0["orders"]);

    // With another archive under the name of what it continues, nothing is read.
    let moved = path(&full.archive).with_extension("moved");
    std::fs::rename(path(&full.archive), &moved).expect("moved");
    let missing = open(&tools.store, &last.archive, Memory::default())
        .await
        .expect_err("missing");
    assert_eq!(missing.kind, FailureKind::ArchiveNotFound, "{missing}");
    assert!(missing.message.contains(&full.name), "{missing}");
    let another = folder();
    let other = base(&tools, &name, &another).await;
    std::fs::copy(path(&other.archive), path(&full.archive)).expect("copied");
    let wrong = open(&tools.store, &last.archive, Memory::default())
        .await
        .expect_err("another");
    assert_eq!(wrong.kind, FailureKind::ArchiveDamaged, "{wrong}");
    assert!(wrong.message.contains("not the archive that it continues"), "{wrong}");
}
