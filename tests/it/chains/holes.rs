//! Where a chain cannot be continued, a full backup begins the next one, and says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bson::doc;
use mongotar::archive::ArchiveKind;
use mongotar::backup::{BackupJob, backup};
use mongotar::failure::FailureKind;
use mongotar::store::Location;

use super::{Beginning, base, comes_back, content, increment, incremental};
use crate::rig::{self, Passage, Wire};
use crate::support::{eventually, folder, insert, job, tools, tools_for};

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_begins_a_chain_of_its_own() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
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

/// A new full backup leads the chain before on to its own moment, and compares.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_backup_proves_the_chain_before_it() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    let full_again = BackupJob {
        full_every: Some(std::time::Duration::ZERO),
        ..incremental(&name, &destination)
    };
    for collection in ["a", "b"] {
        insert(&client, &name, collection, (0..50).map(|id| doc! {"_id": id}).collect()).await;
    }
    base(&tools, &name, &destination).await;
    insert(&client, &name, "a", vec![doc! {"_id": "more"}]).await;
    let last = increment(&tools, &name, &destination).await;
    let a = client.database(&name).collection::<bson::Document>("a");
    a.delete_many(doc! {"_id": {"$lt": 10}}).await.expect("deleted");
    insert(&client, &name, "fresh", vec![doc! {"_id": 1}]).await;
    let second = backup(&full_again, &tools).await.expect("a backup");
    assert_eq!(second.kind, ArchiveKind::Full);
    let proof = second.proof.expect("compared");
    assert_eq!((proof.last.as_str(), proof.equal), (last.name.as_str(), 2));
    assert_eq!(
        (proof.different, proof.not_compared, proof.reason),
        (vec![], vec![], None)
    );

    // A chain that says something else is found out, by the collection.
    let beside = second.manifest.expect("beside it").to_string();
    let text = std::fs::read_to_string(&beside).expect("a manifest");
    let mut manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    manifest["collections"][1]["digest"] = "00000000000000000000000000000001".into();
    assert_eq!(manifest["collections"][1]["name"], "b");
    std::fs::write(&beside, manifest.to_string()).expect("written");
    let third = backup(&full_again, &tools).await.expect("a backup");
    let proof = third.proof.expect("compared");
    assert_eq!((proof.equal, proof.different), (2, vec!["b".to_owned()]));
    assert!(
        third.warnings.iter().any(|said| said.starts_with("b: the chain of")),
        "{:?}",
        third.warnings
    );
}

/// The server's log is shorter than the pause: what happened in between is not to be had.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_changes_are_gone_a_new_chain_begins() {
    let (client, name) = (rig::shared_replica_set().client().await, rig::fresh_database_name("it"));
    let destination = folder();
    insert(&client, &name, "a", vec![doc! {"_id": 1}]).await;
    let lost = Wire::start(rig::shared_replica_set().port(), |sent| {
        let stage = sent
            .body
            .get_array("pipeline")
            .ok()
            .and_then(|stages| stages.first()?.as_document());
        let begin = stage.and_then(|stage| stage.get_document("$changeStream").ok());
        match begin.is_some_and(|begin| begin.contains_key("startAtOperationTime")) {
            true => Passage::Answered(doc! {
                "ok": 0.0, "code": 286, "codeName": "ChangeStreamHistoryLost",
                "errmsg": "Resume of change stream was not possible, as the resume point may no longer be in the oplog.",
            }),
            false => Passage::Through,
        }
    });
    let tools = tools_for(&lost.uri(), mongotar::store::Store::new()).await;
    let first = base(&tools, &name, &destination).await;
    let nothing = BackupJob {
        no_full: true,
        ..incremental(&name, &destination)
    };
    let failed = backup(&nothing, &tools).await.expect_err("a hole");
    assert_eq!(failed.kind, FailureKind::NoChain, "{failed}");
    let second = backup(&incremental(&name, &destination), &tools)
        .await
        .expect("a backup");
    assert_eq!(second.kind, ArchiveKind::Full);
    let said = second.warnings.join("; ");
    assert!(
        said.contains("the server no longer has the changes") && said.contains(&first.name),
        "{said}"
    );
}

/// Connections that break and elections, at every command that an increment sends: it comes to its end, and is right.
#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_are_waited_out() {
    let (client, name) = (rig::shared_replica_set().client().await, rig::fresh_database_name("it"));
    let (destination, direct) = (folder(), tools().await);
    insert(&client, &name, "a", (0..300).map(|id| doc! {"_id": id}).collect()).await;
    base(&direct, &name, &destination).await;
    let a = client.database(&name).collection::<bson::Document>("a");
    for (nth, turn) in [(5, 0), (6, 1), (7, 2)] {
        a.update_many(doc! {"_id": {"$gte": turn}}, doc! {"$inc": {"n": 1}})
            .await
            .expect("updated");
        let counted = AtomicUsize::new(0);
        let faulty = Wire::start(rig::shared_replica_set().port(), move |sent| {
            let is_meant = ["aggregate", "getMore", "find", "listCollections", "ping"].contains(&sent.name.as_str());
            let count = is_meant.then(|| counted.fetch_add(1, Ordering::Relaxed));
            match count.is_some_and(|count| count % nth == nth - 1) {
                true if turn == 1 => Passage::Answered(doc! {
                    "ok": 0.0, "code": 11602, "codeName": "InterruptedDueToReplStateChange", "errmsg": "operation was interrupted",
                }),
                true if turn == 2 => Passage::ThroughAndCut,
                true => Passage::Cut,
                false => Passage::Through,
            }
        });
        let tools = tools_for(&faulty.uri(), mongotar::store::Store::new()).await;
        let report = increment(&tools, &name, &destination).await;
        comes_back(
            &client,
            &direct,
            &report.archive,
            &content(&client, &direct, &name).await,
        )
        .await;
    }
}

/// At a cluster time, a collection that was dropped since has no documents: what was inserted would be lost in silence.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_while_its_changes_are_read_is_no_increment() {
    let (client, name) = (rig::shared_replica_set().client().await, rig::fresh_database_name("it"));
    let (destination, direct) = (folder(), tools().await);
    for collection in ["dropped", "stays"] {
        insert(&client, &name, collection, vec![doc! {"_id": 1}]).await;
    }
    base(&direct, &name, &destination).await;
    insert(&client, &name, "dropped", vec![doc! {"_id": 2}]).await;
    let (held, goes_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (holds, may) = (Arc::clone(&held), Arc::clone(&goes_on));
    let wire = Wire::start(rig::shared_replica_set().port(), move |sent| {
        let by_id = sent
            .body
            .get_document("filter")
            .is_ok_and(|filter| filter.get_document("_id").is_ok_and(|id| id.contains_key("$in")));
        if sent.name == "find" && sent.target() == "dropped" && by_id {
            holds.store(true, Ordering::Release);
            while !may.load(Ordering::Acquire) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        Passage::Through
    });
    let held_up = tools_for(&wire.uri(), mongotar::store::Store::new()).await;
    let job = incremental(&name, &destination);
    let backing_up = tokio::spawn(async move { backup(&job, &held_up).await });
    eventually("the changes are asked for", || held.load(Ordering::Acquire)).await;
    client
        .database(&name)
        .collection::<bson::Document>("dropped")
        .drop()
        .await
        .expect("dropped");
    goes_on.store(true, Ordering::Release);
    let failed = backing_up.await.expect("it ends").expect_err("no increment");
    assert!(
        failed.message.contains("dropped") && failed.message.contains("The next increment"),
        "{failed}"
    );
    let report = increment(&direct, &name, &destination).await;
    assert_eq!(report.collections.len(), 1);
    comes_back(
        &client,
        &direct,
        &report.archive,
        &content(&client, &direct, &name).await,
    )
    .await;
}

/// The stream ends with its database; the increment has what was made after that.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_dropped_and_made_again_is_continued() {
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
    insert(&client, &name, "a", vec![doc! {"_id": 2}]).await;
    client.database(&name).drop().await.expect("dropped");
    insert(&client, &name, "a", vec![doc! {"_id": 3}]).await;
    let report = increment(&tools, &name, &destination).await;
    assert_eq!((report.collections.len(), report.collections[0].changed), (1, None));
    comes_back(&client, &tools, &report.archive, &content(&client, &tools, &name).await).await;
    // By itself in another folder, an increment is nothing to continue.
    let Location::Local(from) = &report.archive else {
        panic!("a local archive")
    };
    let apart = folder();
    let Location::Local(to) = &apart else {
        panic!("a local folder")
    };
    std::fs::create_dir_all(to).expect("a folder");
    for file in [report.archive.file_name(), format!("{}.manifest.json", report.name)] {
        std::fs::copy(from.with_file_name(&file), to.join(&file)).expect("copied");
    }
    let full = base(&tools, &name, &apart).await;
    assert!(
        full.warnings.join("; ").contains("apart from its chain"),
        "{:?}",
        full.warnings
    );
}
