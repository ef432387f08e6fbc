//! What a chain has of a database that was emptied, and of one of which very much changed.

use bson::{Document, doc};
use mongotar::archive::ArchiveKind;
use mongotar::backup::{BackupJob, RunStatus, backup};
use mongotar::failure::FailureKind;
use serde_json::json;

use super::{Beginning, base, comes_back, content, increment, incremental};
use crate::rig;
use crate::support::{folder, insert, job, restore};

/// Everything was dropped: that is a moment like others, and can be gone back to.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_a_moment_of_its_chain() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    for collection in ["a", "b"] {
        insert(&client, &name, collection, vec![doc! {"_id": 1}]).await;
    }
    base(&tools, &name, &destination).await;
    let before = content(&client, &tools, &name).await;
    for collection in ["a", "b"] {
        let dropped = client.database(&name).collection::<Document>(collection).drop().await;
        dropped.expect("dropped");
    }
    let empty = increment(&tools, &name, &destination).await;
    assert!(empty.collections.is_empty());
    // Once more, with nothing before it, and by dropping the database.
    let again = increment(&tools, &name, &destination).await;
    insert(&client, &name, "a", vec![doc! {"_id": 2}]).await;
    let refilled = increment(&tools, &name, &destination).await;
    client.database(&name).drop().await.expect("dropped");
    let last = increment(&tools, &name, &destination).await;

    // A target that has something loses it.
    let target = rig::fresh_database_name("it");
    insert(&client, &target, "a", vec![doc! {"_id": "other"}]).await;
    for archive in [&empty.archive, &again.archive] {
        let event = json!({"archive": archive, "database": target});
        let report = restore(&tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
        let there = content(&client, &tools, &target).await;
        assert!(there.0.is_empty(), "{:?}", there.0.keys());
    }
    let latest = json!({"archive": {"latest": destination}, "database": target});
    let report = restore(&tools, latest).await.expect("a restore");
    assert_eq!(
        (report.status, report.archive),
        (RunStatus::Complete, last.archive.to_string())
    );
    comes_back(
        &client,
        &tools,
        &last.archive,
        &(std::collections::BTreeMap::new(), Vec::new()),
    )
    .await;
    let parent = refilled.parent.as_deref();
    assert_eq!(parent, Some(again.name.as_str()));
    // What was before it comes back as ever.
    let first = backup_of(&destination);
    comes_back(&client, &tools, &first, &before).await;

    // Without a chain, the name is doubted.
    for job in [incremental(&name, &folder()), job(&name, &folder())] {
        let failed = backup(&job, &tools).await.expect_err("nothing there");
        assert_eq!(failed.kind, FailureKind::InvalidRequest, "{failed}");
        assert!(failed.message.contains("correct the name"), "{failed}");
    }
}

/// The full archive in a folder.
fn backup_of(folder: &mongotar::store::Location) -> mongotar::store::Location {
    let path = folder.to_string();
    let entries = std::fs::read_dir(&path).expect("a folder").flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let name = names.find(|name| name.contains(".tar")).expect("an archive");
    folder.join(&name)
}

/// Nothing that happened shows that the collections were dropped: it is another database, or another server.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_that_nobody_emptied_is_not_believed() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    insert(&client, &name, "a", vec![doc! {"_id": 1}]).await;
    let full = base(&tools, &name, &destination).await;
    // The chain of a database that never was.
    let other = rig::fresh_database_name("it");
    let beside = full.manifest.expect("beside it").to_string();
    let text = std::fs::read_to_string(&beside).expect("a manifest");
    std::fs::write(&beside, text.replace(&name, &other)).expect("written");
    let failed = backup(&incremental(&other, &destination), &tools)
        .await
        .expect_err("doubted");
    assert_eq!(failed.kind, FailureKind::InvalidRequest, "{failed}");
    assert!(failed.message.contains("is this the server"), "{failed}");
}

/// Looking up most of a collection, now and then, costs more than reading it.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_which_much_changed_is_read_whole() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    for collection in ["much", "little"] {
        insert(
            &client,
            &name,
            collection,
            (0..5_000).map(|id| doc! {"_id": id}).collect(),
        )
        .await;
    }
    base(&tools, &name, &destination).await;
    for (collection, from) in [("much", 2_000), ("little", 4_000)] {
        let changed = client.database(&name).collection::<Document>(collection);
        let changed = changed
            .update_many(doc! {"_id": {"$gte": from}}, doc! {"$set": {"n": 1}})
            .await;
        changed.expect("updated");
    }
    let report = increment(&tools, &name, &destination).await;
    let rows: Vec<_> = report
        .collections
        .iter()
        .map(|row| (row.name.as_str(), row.changed))
        .collect();
    assert_eq!(rows, [("little", Some(1_000)), ("much", None)]);
    let warned = report.warnings.join("; ");
    assert!(
        warned.contains("much is in the increment whole: so much of it changed"),
        "{warned}"
    );
    comes_back(&client, &tools, &report.archive, &content(&client, &tools, &name).await).await;
    let next = BackupJob {
        no_full: true,
        ..incremental(&name, &destination)
    };
    let next = backup(&next, &tools).await.expect("an increment");
    assert_eq!(
        (next.kind, next.collections[1].changed),
        (ArchiveKind::Increment, Some(0))
    );
}
