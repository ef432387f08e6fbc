//! Increments, full archives made of chains, and watches, killed at any moment while the database is written to.
//!
//! Afterwards an increment is made, undisturbed. What the folder then shows must be so: every archive of every chain is
//! whole, the newest moment is the database, and what belongs to no chain is named. Of a killed process an archive may
//! be left whose manifest did not come to lie beside it; that is said.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::doc;
use mongotar::backup::{BackupJob, RunStatus, backup};
use mongotar::inspect::coverage;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::verify;
use serde_json::json;

use super::moments::write;
use super::{Campaign, Draw, MONGOTAR};
use crate::rig::{self, ScratchDir};
use crate::support;

pub const CAMPAIGN: Campaign = Campaign {
    name: "chains",
    promise: "an increment, a full archive of a chain, or a watch that is killed at any moment leaves no hole that is not told, and no moment that is not what it says; the next increment has everything",
    sample: &[4],
    trial: |seed| Box::pin(trial(seed)),
};

/// How often one of them is killed.
const KILLS: u64 = 3;

/// What is killed: the words of its command, and within how many milliseconds.
const VICTIMS: [(&[&str], u64); 3] = [
    (&["backup", "--incremental", "--to"], 400),
    (&["compact"], 130),
    (&["watch", "--every", "1s", "--compact-every", "2s", "--to"], 4_000),
];

async fn trial(seed: u64) -> String {
    let server = rig::shared_replica_set();
    let (client, name) = (server.client().await, rig::fresh_database_name("chains"));
    let tools = support::tools_for(&server.uri(), Store::new()).await;
    let folder = ScratchDir::new("chains");
    let archives = folder.path().join("archives");
    let destination = Location::Local(archives.clone());
    let orders = (0..400).map(|id| doc! {"_id": id, "n": id, "text": "some words of an order"});
    support::insert(&client, &name, "orders", orders.collect()).await;
    support::insert(&client, &name, "people", vec![doc! {"_id": 1}]).await;
    let job = BackupJob {
        incremental: true,
        ..support::job(&name, &destination)
    };
    backup(&job, &tools).await.expect("a full backup");

    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (client, name, is_over) = (client.clone(), name.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut draw = Draw::of(seed * 2 + 1);
            while !is_over.load(Ordering::Relaxed) {
                write(&mut draw, &client, &client.database(&name)).await;
            }
        })
    };
    let mut draw = Draw::of(seed * 2);
    let (words, within) = VICTIMS[usize::try_from(seed % 3).expect("few")];
    let mut killed = 0;
    for _ in 0..KILLS {
        if words == ["compact"] {
            // There is a chain to put together.
            made(&job, &tools).await;
        }
        let mut running = Command::new(MONGOTAR)
            .args(words)
            .arg(&archives)
            .env("MONGO_URI", server.uri())
            .env("MONGO_DB", &name)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        tokio::time::sleep(Duration::from_millis(draw.below(within))).await;
        killed += u64::from(running.try_wait().expect("asked").is_none());
        running.kill().expect("killed");
        running.wait().expect("ended");
    }
    is_over.store(true, Ordering::Relaxed);
    writer.await.expect("written");
    made(&job, &tools).await;
    // What a dead process has left goes with the next archive in its folder: there, full ones lie.
    let compacted = Command::new(MONGOTAR)
        .arg("compact")
        .arg(&archives)
        .current_dir(folder.path())
        .output();
    let compacted = compacted.expect("it runs");
    let said = String::from_utf8_lossy(&compacted.stderr);
    assert!(compacted.status.success() || said.contains("NoChain"), "{said}");

    let report = coverage(&tools.store, &destination).await.expect("a report");
    assert!(report.holes.is_empty(), "{:?}", report.holes);
    let is_told = |apart: &&String| !apart.contains("its manifest is not beside it");
    let apart: Vec<&String> = report.apart.iter().filter(is_told).collect();
    assert!(apart.is_empty(), "{apart:?}");
    for archive in all_below(&archives) {
        let (archive, progress) = (Location::Local(archive.into()), Progress::default());
        let checked = verify(&tools.store, &archive, Memory::default(), &progress).await;
        let checked = checked.expect("it can be read");
        assert_eq!(checked.status, RunStatus::Complete, "{:?}", checked.damaged);
    }
    let target = rig::fresh_database_name("chains");
    let event = json!({"archive": {"latest": destination}, "database": target});
    let restored = support::restore(&tools, event).await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete, "{}", restored.summary);
    for collection in ["orders", "people"] {
        let [was, is] = [&name, &target].map(|database| support::raw_documents(&client, database, collection));
        assert!(was.await == is.await, "{collection} is another");
    }
    for database in [&name, &target] {
        client.database(database).drop().await.expect("dropped");
    }
    let (chains, moments) = (
        report.chains.len(),
        report.chains.iter().map(|chain| chain.boundaries).sum::<u64>(),
    );
    let what = words.first().copied().unwrap_or_default();
    format!(
        "{what}, killed {killed} of {KILLS} times: {chains} chains, {} moments",
        moments.min(9)
    )
}

/// An increment, or the full backup that begins a chain. A collection that is dropped meanwhile may keep one from being
/// written, and it says so.
async fn made(job: &BackupJob, tools: &mongotar::backup::Tools) {
    while let Err(failure) = backup(job, tools).await {
        assert!(failure.passes(), "{failure}");
    }
}

/// Every archive in a folder and those in it; nothing unfinished is among the files.
fn all_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        assert!(!name.ends_with(".unfinished"), "{name} is left");
        match path.is_dir() {
            true => found.extend(all_below(&path)),
            false if name.contains(".tar") => found.push(path.to_string_lossy().into_owned()),
            false => {}
        }
    }
    found
}
