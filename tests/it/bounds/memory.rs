//! Memory is bounded by constants: the real program against far more data than it may hold.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bson::doc;
use futures_util::TryStreamExt as _;
use mongotar::store::Location;

use crate::rig::{self, ScratchDir};
use crate::support::{all_is_tried, bucket, incompressible};

/// In kB, as the kernel counts: for documents as large as they may be.
const LIMIT: u64 = 256 << 10;
/// What two cores are given by default, and the least there is, in MB; and what a restore of documents of 15 MB may
/// take within them: one is held at a time at the least.
const BUDGETS: [(u64, u64); 2] = [(190, 190), (64, 150)];

/// The budgets that are tried.
fn budgets() -> &'static [(u64, u64)] {
    match all_is_tried() {
        true => &BUDGETS,
        false => &BUDGETS[1..],
    }
}

/// Makes `seeds * copies` documents out of a few on the server itself, which is far quicker than sending them.
async fn fill(database: &str, seeds: u32, bytes: usize, copies: i32) {
    fill_as(database, "many", seeds, bytes, copies).await;
}

async fn fill_as(database: &str, name: &str, seeds: u32, bytes: usize, copies: i32) {
    let client = rig::shared_replica_set().client().await;
    let database = client.database(database);
    let seed = database.collection::<bson::Document>("seed");
    for number in 0..seeds {
        let bytes = bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: incompressible(number.into(), bytes),
        };
        seed.insert_one(doc! {"bytes": bytes}).await.expect("a seed");
    }
    let copies = [
        doc! {"$set": {"copy": {"$range": [0, copies]}}},
        doc! {"$unwind": "$copy"},
        doc! {"$project": {"_id": 0}},
        doc! {"$out": name},
    ];
    let out = seed.aggregate(copies).await.expect("copied");
    let _: Vec<bson::Document> = out.try_collect().await.expect("no results");
    seed.drop().await.expect("dropped");
}

/// Documents as large as they get: of bytes, whose text is a third longer, and of numbers, whose text is twice as long.
async fn fill_with_large(database: &str) {
    fill_as(database, "bytes", 2, 15 << 20, if all_is_tried() { 8 } else { 4 }).await;
    let client = rig::shared_replica_set().client().await;
    let one = client.database(database).collection::<bson::Document>("one");
    one.insert_one(doc! {}).await.expect("a seed");
    let numbers = [
        doc! {"$project": {"_id": 0, "copy": {"$range": [0, 4]}}},
        doc! {"$unwind": "$copy"},
        doc! {"$set": {"numbers": {"$range": [0, 1_200_000]}}},
        doc! {"$out": "numbers"},
    ];
    let out = one.aggregate(numbers).await.expect("made");
    let _: Vec<bson::Document> = out.try_collect().await.expect("no results");
    one.drop().await.expect("dropped");
}

/// Gives the disk back.
async fn forget(database: &str) {
    let client = rig::shared_replica_set().client().await;
    client.database(database).drop().await.expect("dropped");
}

/// What the code of a program that ships takes at the most, in kB: a function may have 14 MB (`.ci/run`).
const CODE: u64 = 14_000;

/// The program's peak resident memory, in kB, looked at until it ends.
///
/// Code that was compiled for working, and not for what ships, is several times as large. What such a program has
/// mapped of its file beyond [`CODE`] is not counted; all else is.
pub(super) async fn peak(child: &mut Child) -> u64 {
    let (peak, ended) = peak_and_end(child).await;
    assert!(ended.success(), "{ended}");
    peak
}

/// The same of a program that may fail, and how it ended.
async fn peak_and_end(child: &mut Child) -> (u64, ExitStatus) {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kilobytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
        };
        let (most, mapped) = (kilobytes("VmHWM:").unwrap_or(0), kilobytes("RssFile:").unwrap_or(0));
        peak = peak.max(most.saturating_sub(mapped.saturating_sub(CODE)));
        if let Some(ended) = child.try_wait().expect("ours") {
            return (peak, ended);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn stays_within_the_limit(database: &str, folder: &Location) {
    let arguments = ["backup", "--mongo-db", database, "--to", &folder.to_string()];
    let peak = peak_of(&arguments).await;
    assert!((1..LIMIT).contains(&peak), "{folder}: {} MB", peak >> 10);
}

/// The peak of a run that must succeed, in kB.
pub(super) async fn peak_of(arguments: &[&str]) -> u64 {
    let scratch = ScratchDir::new("memory");
    let mut child = Command::new(rig::program(env!("CARGO_BIN_EXE_mongotar")))
        .args(arguments)
        .arg("--json")
        .env_clear()
        .envs(rig::shared_s3().env())
        .env("MONGO_URI", rig::shared_replica_set().uri())
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let peak = peak(&mut child).await;
    println!("{arguments:?}: {} MB at most", peak >> 10);
    peak
}

#[tokio::test(flavor = "multi_thread")]
async fn large_documents_take_bounded_memory() {
    let database = rig::fresh_database_name("it");
    fill(&database, 4, 1 << 20, 75).await;
    let scratch = ScratchDir::new("large");
    if all_is_tried() {
        stays_within_the_limit(&database, &Location::Local(scratch.path().to_owned())).await;
    }
    stays_within_the_limit(&database, &bucket().await).await;
    forget(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: with the programs that ship, in CI"]
async fn many_small_documents_take_bounded_memory() {
    let database = rig::fresh_database_name("it");
    fill(&database, 100, 200, 8_000).await;
    let scratch = ScratchDir::new("small");
    stays_within_the_limit(&database, &Location::Local(scratch.path().to_owned())).await;
    if all_is_tried() {
        stays_within_the_limit(&database, &bucket().await).await;
    }
    forget(&database).await;
}

/// Every form, several collections one after the other, and back. The default has tests of its own below.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_kept_to_by_backups_and_restores() {
    let database = rig::fresh_database_name("it");
    let copies = if all_is_tried() { 600 } else { 350 };
    for name in ["first", "second", "third"] {
        fill_as(&database, name, 100, 900, copies).await;
    }
    let folder = bucket().await.to_string();
    for (budget, _) in budgets() {
        let memory = budget.to_string();
        let within = |peak: u64| (1..=budget * 1_000_000 / 1024).contains(&peak);
        for (payload, compression) in [("jsonl", "zstd"), ("jsonl", "none"), ("bson", "gzip"), ("bson", "none")] {
            let form = ["--payload", payload, "--compression", compression];
            let common = ["backup", "--mongo-db", &database, "--to", &folder, "--memory", &memory];
            let peak = peak_of(&[&common[..], &form].concat()).await;
            assert!(within(peak), "{form:?} takes {peak} kB of {budget} MB");
        }
        let target = rig::fresh_database_name("it");
        let restore = [
            "restore",
            "--latest",
            &folder,
            "--mongo-db",
            &target,
            "--memory",
            &memory,
        ];
        let peak = peak_of(&[&restore[..], &["--yes", "--no-snapshot"]].concat()).await;
        assert!(within(peak), "a restore takes {peak} kB of {budget} MB");
        forget(&target).await;
    }
    forget(&database).await;
}

/// What is not compressed is largest where it waits: the text beside the documents, the part that is filled, and the
/// one that waits for its header took 183 MB here, and 205 of 190 where it ships.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: with the programs that ship, in CI"]
async fn what_is_not_compressed_keeps_to_the_default_budget() {
    let database = rig::fresh_database_name("it");
    fill_as(&database, "large", 100, 900, if all_is_tried() { 6_000 } else { 3_500 }).await;
    for name in ["second", "third"] {
        fill_as(&database, name, 100, 900, 400).await;
    }
    let scratch = ScratchDir::new("uncompressed");
    let folders = [Location::Local(scratch.path().to_owned()), bucket().await];
    let [local, s3] = folders.map(|folder| folder.to_string());
    let mut forms = vec![(&local, "bson"), (&s3, "jsonl")];
    if all_is_tried() {
        forms.extend([(&local, "jsonl"), (&s3, "bson")]);
    }
    for (folder, payload) in forms {
        let form = ["--payload", payload, "--compression", "none", "--memory", "190"];
        let backup = ["backup", "--mongo-db", &database, "--to", folder];
        let peak = peak_of(&[&backup[..], &form].concat()).await;
        assert!(
            (1..=190_000_000 / 1024).contains(&peak),
            "{payload} to {folder} takes {peak} kB"
        );
    }
    forget(&database).await;
}

/// Larger ones are read in larger ranges, and no more of them is on its way.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: with the programs that ship, in CI"]
async fn restores_and_merges_of_a_foreign_archive_keep_to_the_budget() {
    let text = "t".repeat(1_000);
    let documents_each = if all_is_tried() { 20_000 } else { 10_000 };
    let documents = |collection: i32| {
        let document = |id: i32| bson::rawdoc! {"_id": id, "of": collection, "text": text.as_str()}.into_bytes();
        (0..documents_each).flat_map(document).collect::<Vec<u8>>()
    };
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..4 {
        let content = documents(number);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let path = format!("dump/shop/collection_{number}.bson");
        tar.append_data(&mut header, path, &content[..]).expect("memory");
    }
    let location = bucket().await.join("others.tar");
    let store = mongotar::store::Store::with_client(rig::shared_s3().client().await);
    let tar = tar.into_inner().expect("memory").into();
    store.put(&location, tar, "application/x-tar").await.expect("put");
    let client = rig::shared_replica_set().client().await;
    for (budget, _) in budgets() {
        let target = rig::fresh_database_name("it");
        let memory = budget.to_string();
        let archive = location.to_string();
        let restore = [
            "restore",
            &archive,
            "--mongo-db",
            &target,
            "--memory",
            &memory,
            "--yes",
            "--no-snapshot",
        ];
        for what in ["restore", "merge"] {
            let peak = peak_of(&restore).await;
            assert!(
                (1..=budget * 1_000_000 / 1024).contains(&peak),
                "a {what} takes {peak} kB of {budget} MB"
            );
            for number in 0..4 {
                let there = client.database(&target);
                let there = there.collection::<bson::Document>(&format!("collection_{number}"));
                there.insert_one(doc! {"mine": true}).await.expect("one more");
            }
        }
        forget(&target).await;
    }
}

/// A tar with so many collections of one document each.
fn tar_of(members: u32) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..members {
        let line = format!(
            "{{\"_id\": {number}, \"at\": {{\"$date\": {number}}}, \"meta\": {{\"n\": {number}}}, \"text\": \"some words\"}}\n"
        );
        let mut header = tar::Header::new_gnu();
        header.set_size(line.len() as u64);
        header.set_mode(0o644);
        let path = format!("backup_20260101_000000/a_collection_with_a_name_{number}.jsonl");
        tar.append_data(&mut header, path, line.as_bytes()).expect("memory");
    }
    tar.into_inner().expect("memory")
}

/// Of each member something was kept that grew with its documents, whatever the budget.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: with the programs that ship, in CI"]
async fn a_foreign_archive_of_a_hundred_thousand_members_keeps_to_its_budget_or_is_refused() {
    let scratch = ScratchDir::new("members");
    let path = scratch.path().join("members.tar");
    let mut written = 0;
    for (members, budget, fits) in [
        (5_000, 64, true),
        (100_000, 64, false),
        (100_000, 190, false),
        (100_000, 400, true),
    ] {
        if members != written {
            std::fs::write(&path, tar_of(members)).expect("written");
            written = members;
        }
        let mut child = Command::new(rig::program(env!("CARGO_BIN_EXE_mongotar")))
            .arg("verify")
            .arg(&path)
            .args(["--memory", &budget.to_string()])
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (peak, ended) = peak_and_end(&mut child).await;
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("piped"), &mut said).expect("text");
        println!("{members} members within {budget} MB: {} MB at most", peak >> 10);
        assert_eq!(ended.success(), fits, "{members} within {budget} MB: {said}");
        assert_eq!(said.contains("MONGOTAR_MEMORY"), !fits, "{said}");
        assert!(
            (1..=budget * 1_000_000 / 1024).contains(&peak),
            "{members}: {peak} kB of {budget} MB"
        );
    }
}

/// Thirty documents of 15 MB took 510 MB and killed a function: each was held five times, for each of four inserts,
/// whatever the budget.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: with the programs that ship, in CI"]
async fn restores_and_merges_of_the_largest_documents_keep_to_the_default_budget() {
    let database = rig::fresh_database_name("it");
    fill_with_large(&database).await;
    let folder = bucket().await.to_string();
    peak_of(&["backup", "--mongo-db", &database, "--to", &folder]).await;
    let client = rig::shared_replica_set().client().await;
    for (budget, limit) in budgets() {
        let target = rig::fresh_database_name("it");
        let memory = budget.to_string();
        let from_to = ["restore", "--latest", &folder, "--mongo-db", &target];
        let restore = [&from_to[..], &["--memory", &memory, "--yes", "--no-snapshot"]].concat();
        let within = |peak: u64| (1..=limit * 1_000_000 / 1024).contains(&peak);
        let restored = peak_of(&restore).await;
        assert!(within(restored), "a restore takes {restored} kB of {limit} MB");
        // Every other one is replaced.
        let there = client.database(&target).collection::<bson::Document>("bytes");
        let odd = doc! {"copy": {"$mod": [2, 1]}};
        there
            .update_many(odd, doc! {"$set": {"more": 1}})
            .await
            .expect("changed");
        let merged = peak_of(&restore).await;
        assert!(within(merged), "a merge takes {merged} kB of {limit} MB");
        forget(&target).await;
    }
    forget(&database).await;
}
