//! A user who may not see everything.

use bson::{Document, doc};
use mongotar::archive::{ConsistencyLevel, SavedStatus};
use mongotar::backup::{RunStatus, backup};
use mongotar::store::{Location, Store};

use crate::rig::{Mongod, ScratchDir};
use crate::support::{insert, job, tools_for};

/// A collection whose indexes could not be listed, and a first one that could not be read, spoiled the backup of all
/// the others.
#[tokio::test]
async fn a_collection_that_may_not_be_read_does_not_stop_the_others() {
    let mongod = Mongod::builder().authentication().start();
    let client = mongod.client().await;
    for collection in ["a_secret", "b_unlisted", "c_sizeless", "d_orders"] {
        insert(&client, "shop", collection, vec![doc! {"_id": 1}]).await;
    }
    let may = |collection: &str, actions: &[&str]| -> Document {
        doc! {"resource": {"db": "shop", "collection": collection}, "actions": actions.to_vec()}
    };
    let privileges = [
        may("", &["listCollections"]),
        may("a_secret", &["listIndexes", "collStats"]),
        may("b_unlisted", &["find", "collStats"]),
        may("c_sizeless", &["find", "listIndexes"]),
        may("d_orders", &["find", "listIndexes", "collStats"]),
    ];
    // A resource without a collection stands for each of them, but only for the action on the database as a whole.
    let role = doc! {"createRole": "some", "privileges": privileges.to_vec(), "roles": []};
    client.database("admin").run_command(role).await.expect("a role");
    let uri = mongod.create_user("clerk", vec![doc! {"role": "some", "db": "admin"}]);

    let scratch = ScratchDir::new("denied");
    let folder = Location::Local(scratch.path().to_owned());
    let nobody = format!("mongodb://127.0.0.1:{}/?directConnection=true", mongod.port());
    let refused = backup(&job("shop", &folder), &tools_for(&nobody, Store::new()).await).await;
    let refused = refused.expect_err("nobody may").message;
    assert!(
        refused.contains("Write a user and a password") && !refused.contains("Grant"),
        "{refused}"
    );
    let tools = tools_for(&uri, Store::new()).await;
    let report = backup(&job("shop", &folder), &tools).await.expect("a backup");
    assert_eq!(report.status, RunStatus::Partial);
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
    let failed: Vec<&str> = report.failed.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, ["a_secret", "b_unlisted"]);
    assert!(
        report.failed[0].error.contains("reading shop.a_secret"),
        "{:?}",
        report.failed
    );
    assert!(
        report.failed[1].error.contains("the indexes of shop.b_unlisted"),
        "{:?}",
        report.failed
    );
    for failed in &report.failed {
        assert!(failed.error.contains("Grant the user read on shop"), "{}", failed.error);
    }
    for saved in &report.collections[..2] {
        assert_eq!((saved.status, saved.entry_bytes), (SavedStatus::Failed, 0), "{saved:?}");
    }
    for saved in &report.collections[2..] {
        assert_eq!((saved.status, saved.documents), (SavedStatus::Complete, 1), "{saved:?}");
    }
}

/// Neither role reads the server's log and change streams both; each is enough.
#[tokio::test]
async fn the_roles_of_a_backup_are_enough_to_prove_its_snapshot() {
    let mongod = Mongod::builder().authentication().start();
    insert(&mongod.client().await, "shop", "orders", vec![doc! {"_id": 1}]).await;
    let scratch = ScratchDir::new("proven");
    for (name, role) in [
        ("guard", doc! {"role": "backup", "db": "admin"}),
        ("reader", doc! {"role": "read", "db": "shop"}),
    ] {
        let tools = tools_for(&mongod.create_user(name, vec![role]), Store::new()).await;
        let folder = Location::Local(scratch.path().join(name));
        let report = backup(&job("shop", &folder), &tools).await.expect("a backup");
        let consistency = report.consistency;
        assert_eq!(consistency.level, ConsistencyLevel::Snapshot, "{name}: {consistency:?}");
        assert_eq!(consistency.unproven, None, "{name}");
    }
}
