//! Backups that do not come to their end, and two that begin together.

use std::process::{Command, Stdio};

use mongotar::archive::Compression;
use mongotar::backup::backup;
use mongotar::failure::FailureKind;
use mongotar::store::{Location, Store};

use crate::rig::{self, Fault, Proxy, Rule, ScratchDir};
use crate::support::{
    bucket, eventually, insert, insert_mebibytes, job, store_through, tools, tools_for, unfinished, visible,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_sends_nothing_more_and_leaves_nothing() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let mongod = rig::shared_replica_set();
    let database = rig::fresh_database_name("it");
    insert_mebibytes(&mongod.client().await, &database, "large", 64).await;
    let folder = bucket().await;
    let mut job = job(&database, &folder);
    job.compression = Compression::None;
    // The backup cannot get past its first parts before it is cancelled.
    let parts = Rule::on("PUT", "partNumber=").times(usize::MAX);
    proxy.inject(parts.then(Fault::Hold));

    let tools = tools_for(&mongod.uri(), store_through(&proxy)).await;
    let running = tokio::spawn({
        let (job, tools) = (job.clone(), tools.clone());
        async move { backup(&job, &tools).await }
    });
    eventually("documents are read", || tools.progress.now().0 > 0).await;
    tools.cancel.cancel();
    let sent = proxy.count("PUT", "partNumber=");
    proxy.release();
    let failure = running.await.expect("no panic").expect_err("cancelled");
    assert_eq!(failure.kind, FailureKind::Cancelled, "{failure}");
    // It waits for what is on its way, and sends nothing more.
    let most = sent + 1;
    assert!(proxy.count("PUT", "partNumber=") <= most, "{most}");
    assert_eq!(unfinished(&folder).await, [""; 0]);
    assert_eq!(visible(&tools.store, &folder).await, [""; 0]);
}

/// Nobody asked between collections that have no documents.
#[tokio::test]
async fn a_backup_of_empty_collections_can_be_cancelled_too() {
    let tools = tools().await;
    let database = rig::fresh_database_name("it");
    let client = rig::shared_replica_set().client().await;
    client
        .database(&database)
        .create_collection("empty")
        .await
        .expect("created");
    let folder = bucket().await;
    tools.cancel.cancel();
    let failure = backup(&job(&database, &folder), &tools).await.expect_err("cancelled");
    assert_eq!(failure.kind, FailureKind::Cancelled, "{failure}");
    assert_eq!(unfinished(&folder).await, [""; 0]);
}

/// Nobody cleans up after a killed process: what it leaves is an upload that only a lifecycle rule ends, or a file
/// whose name begins with a dot.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backup_leaves_nothing_that_can_be_seen() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let mongod = rig::shared_replica_set();
    let database = rig::fresh_database_name("it");
    insert_mebibytes(&mongod.client().await, &database, "large", 24).await;
    let folder = bucket().await;
    let endless = Rule::on("PUT", "partNumber=").nth(2).times(usize::MAX);
    proxy.inject(endless.then(Fault::Hold));
    let scratch = ScratchDir::new("killed");
    let mut child = Command::new(crate::rig::program(env!("CARGO_BIN_EXE_mongotar")))
        .args([
            "backup",
            "--mongo-db",
            &database,
            "--to",
            &folder.to_string(),
            "--compression",
            "none",
        ])
        .env_clear()
        .envs(rig::shared_s3().env_at(&proxy.endpoint()))
        .env("MONGO_URI", mongod.uri())
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let arrived = || {
        let parts = proxy.matching("PUT", "partNumber=");
        parts.len() > 1 && parts.iter().any(|part| part.status == Some(200))
    };
    eventually("a part has arrived and others are on their way", arrived).await;
    child.kill().expect("ours to kill");
    child.wait().expect("it has ended");

    let store = Store::with_client(rig::shared_s3().client().await);
    assert_eq!(visible(&store, &folder).await, [""; 0]);
    assert_eq!(unfinished(&folder).await.len(), 1);
}

async fn two_at_once(folder: &Location) {
    let tools = tools().await;
    let client = rig::shared_replica_set().client().await;
    let mut jobs = Vec::new();
    for name in ["left", "right"] {
        let database = rig::fresh_database_name("it");
        insert(&client, &database, name, vec![bson::doc! {"_id": 1}]).await;
        jobs.push(job(&database, folder));
    }
    let (left, right) = tokio::join!(backup(&jobs[0], &tools), backup(&jobs[1], &tools));
    let (left, right) = (left.expect("a backup"), right.expect("a backup"));
    assert_ne!(left.archive, right.archive);
    assert_eq!(
        (left.collections[0].name.as_str(), right.collections[0].name.as_str()),
        ("left", "right")
    );
    assert_eq!(
        visible(&tools.store, folder).await.len(),
        4,
        "two archives and two manifests"
    );
    assert_eq!(unfinished(folder).await, [""; 0]);
}

/// Two schedules of one hour for one folder: the second lost all its work at the commit.
#[tokio::test]
async fn two_backups_that_begin_together_both_succeed_in_s3() {
    two_at_once(&bucket().await).await;
}

#[tokio::test]
async fn two_backups_that_begin_together_both_succeed_in_a_folder() {
    let scratch = ScratchDir::new("two");
    two_at_once(&Location::Local(scratch.path().to_owned())).await;
}
