//! Where a chain cannot be continued, a full backup begins the next one, and says why.

use bson::doc;
use mongotar::archive::ArchiveKind;
use mongotar::backup::{BackupJob, backup};
use mongotar::failure::FailureKind;

use super::{base, comes_back, content, increment, incremental};
use crate::rig;
use crate::support::{folder, insert, job, tools, tools_for};

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_begins_a_chain_of_its_own() {
    let (tools, client, name) = (
        tools().await,
        rig::shared_replica_set().client().await,
        rig::fresh_database_name("it"),
    );
    let destination = folder();
    insert(&client, &name, "a", vec![doc! {"_id": 1}]).await;
    insert(&client, &name, "b", vec![doc! {"_id": 1}]).await;
    let first = base(&tools, &name, &destination).await;
    assert!(
        first
            .warnings
            .iter()
            .any(|said| said.contains("there is no archive in")),
        "{:?}",
        first.warnings
    );

    // Another selection of collections is another chain.
    let mut part: BackupJob = incremental(&name, &destination);
    part.selection.include = vec!["a".to_owned()];
    let other = backup(&part, &tools).await.expect("a backup");
    assert_eq!(other.kind, ArchiveKind::Full);
    assert!(
        other.warnings.iter().any(|said| said.contains("another selection")),
        "{:?}",
        other.warnings
    );
    // The first chain is gone on with, though the other archive is newer.
    let second = increment(&tools, &name, &destination).await;
    assert_eq!(second.parent.as_deref(), Some(first.name.as_str()));

    // Where no full backup is wanted, what cannot be continued is a failure.
    let nothing = BackupJob {
        no_full: true,
        ..incremental(&name, &folder())
    };
    let failed = backup(&nothing, &tools).await.expect_err("nothing to continue");
    assert_eq!(failed.kind, FailureKind::NoChain, "{failed}");
    assert!(failed.message.contains("there is no archive in"), "{failed}");

    // A full backup that nobody called incremental begins a chain, too.
    let full = backup(&job(&name, &destination), &tools).await.expect("a backup");
    insert(&client, &name, "a", vec![doc! {"_id": 2}]).await;
    let third = increment(&tools, &name, &destination).await;
    assert_eq!(third.parent.as_deref(), Some(full.name.as_str()));
    comes_back(&client, &tools, &third.archive, &content(&client, &tools, &name).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_changes_is_refused_before_anything_is_read() {
    let mongod = rig::Mongod::standalone();
    let (client, name, destination) = (mongod.client().await, rig::fresh_database_name("it"), folder());
    insert(&client, &name, "a", vec![doc! {"_id": 1}]).await;
    let tools = tools_for(&mongod.uri(), mongotar::store::Store::new()).await;
    let refused = backup(&incremental(&name, &destination), &tools)
        .await
        .expect_err("refused");
    assert_eq!(refused.kind, FailureKind::InvalidRequest);
    assert!(
        refused.message.contains("standalone") && refused.message.contains("--incremental"),
        "{refused}"
    );
    assert!(tools.store.list(&destination, "").await.expect("a listing").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_changes_is_told_which_role_may() {
    let mongod = rig::Mongod::builder().authentication().start();
    let (client, destination) = (mongod.client().await, folder());
    insert(&client, "shop", "a", vec![doc! {"_id": 1}]).await;
    let reader = mongod.create_user("reader", vec![doc! {"role": "read", "db": "shop"}]);
    let backer = mongod.create_user("backer", vec![doc! {"role": "backup", "db": "admin"}]);
    let store = mongotar::store::Store::new;
    let refused = backup(&incremental("shop", &destination), &tools_for(&backer, store()).await).await;
    let refused = refused.expect_err("refused");
    assert_eq!(refused.kind, FailureKind::DatabaseUnauthorized, "{refused}");
    assert!(refused.message.contains("Grant the user read on shop"), "{refused}");
    let tools = tools_for(&reader, store()).await;
    base(&tools, "shop", &destination).await;
    insert(&client, "shop", "a", vec![doc! {"_id": 2}]).await;
    let report = increment(&tools, "shop", &destination).await;
    assert_eq!(report.collections[0].changed, Some(1));
}
