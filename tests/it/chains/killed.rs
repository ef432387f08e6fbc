//! Increments that are killed: nothing half made is seen, and the next one has everything.

use std::time::Duration;

use bson::doc;

use super::{comes_back, content, increment};
use crate::cli::Shell;
use crate::rig;
use crate::support::{insert, tools, visible};
use mongotar::store::{Location, Store};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_killed_is_in_the_next_one() {
    let documents = (0..3_000).map(|id| doc! {"_id": id, "text": "some words"}).collect();
    let (shell, database) = Shell::with_orders(documents).await;
    let (tools, client) = (tools().await, rig::shared_replica_set().client().await);
    let orders = client.database(&database).collection::<bson::Document>("orders");
    let first = shell.json(0, &["backup", "--to", "backups", "--incremental"]);
    let name = first["name"].as_str().expect("a name");
    let folder = Location::Local(shell.path("backups"));
    let chain = Location::Local(shell.path("backups").join(format!("{name}.chain")));
    for seed in 0..6_u64 {
        orders
            .update_many(doc! {}, doc! {"$set": {"seed": i64::try_from(seed).expect("small")}})
            .await
            .expect("updated");
        let mut running = shell
            .command(&["backup", "--to", "backups", "--incremental"])
            .spawn()
            .expect("it starts");
        tokio::time::sleep(Duration::from_millis(40 + seed * 45)).await;
        running.kill().expect("killed");
        running.wait().expect("ended");
        let seen = visible(&Store::new(), &chain).await;
        let archives = seen.iter().filter(|name| name.contains(".tar")).count();
        let manifests = seen.iter().filter(|name| name.ends_with(".json")).count();
        // The manifest beside an archive follows it.
        assert!(archives == manifests || archives == manifests + 1, "{seen:?}");
    }
    insert(&client, &database, "orders", vec![doc! {"_id": "last"}]).await;
    let report = increment(&tools, &database, &folder).await;
    comes_back(
        &client,
        &tools,
        &report.archive,
        &content(&client, &tools, &database).await,
    )
    .await;
    // What the dead ones began is swept by the next.
    let left = std::fs::read_dir(shell.path("backups").join(format!("{name}.chain"))).expect("a folder");
    let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().ends_with(".unfinished")),
        "{left:?}"
    );
}
