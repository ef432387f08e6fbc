//! A chain that is kept, and what it has always held.

use std::path::{Path, PathBuf};

use bson::doc;
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupJob, RunStatus, backup};
use mongotar::inspect::cat;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::verify;

use super::{Beginning, base, incremental};
use crate::support::insert;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1.1/chain")
}

/// The archives of a folder, oldest first.
async fn archives(folder: &Path) -> Vec<Location> {
    let listed = Store::new()
        .list(&Location::Local(folder.to_owned()), "backup_")
        .await
        .expect("a listing");
    let archives = listed.into_iter().map(|object| object.location);
    archives
        .filter(|location| location.to_string().contains(".tar"))
        .collect()
}

#[tokio::test]
async fn a_golden_chain_holds_what_it_always_held() {
    let base = archives(&golden()).await;
    assert_eq!(base.len(), 1);
    let name = base[0].file_name().trim_end_matches(".tar.zst").to_owned();
    let mut chain = base;
    chain.extend(archives(&golden().join(format!("{name}.chain"))).await);
    let expected = [
        (
            "{\"_id\":{\"$numberInt\":\"1\"},\"n\":{\"$numberInt\":\"1\"}}\n{\"_id\":{\"$numberInt\":\"2\"},\"n\":{\"$numberInt\":\"2\"}}\n",
            0,
        ),
        (
            "{\"_id\":{\"$numberInt\":\"1\"},\"n\":{\"$numberInt\":\"10\"}}\n{\"_id\":{\"$numberInt\":\"2\"},\"n\":{\"$numberInt\":\"2\"}}\n",
            1,
        ),
        (
            "{\"_id\":\"new\"}\n{\"_id\":{\"$numberInt\":\"1\"},\"n\":{\"$numberInt\":\"10\"}}\n",
            1,
        ),
    ];
    assert_eq!(chain.len(), expected.len());
    for (archive, (orders, fresh)) in chain.iter().zip(expected) {
        let (store, memory) = (Store::new(), Memory::default());
        let report = verify(&store, archive, memory, &Progress::default())
            .await
            .expect("verified");
        assert_eq!(report.status, RunStatus::Complete, "{archive}: {:?}", report.damaged);
        assert_eq!(
            report.collections.iter().filter(|row| row.name == "fresh").count(),
            fresh
        );
        let mut text = Vec::new();
        cat(&store, archive, memory, "orders", &mut text)
            .await
            .expect("written");
        let text = String::from_utf8(text).expect("text");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines.join("\n") + "\n", orders, "{archive}");
    }
}

/// Makes it, in three forms: `cargo test --test it -- --ignored a_golden_chain_is_made`.
#[tokio::test]
#[ignore = "writes into the source folder"]
async fn a_golden_chain_is_made() {
    if golden().exists() {
        return;
    }
    let Beginning {
        tools, client, name, ..
    } = Beginning::new().await;
    let destination = Location::Local(golden());
    let orders = client.database(&name).collection::<bson::Document>("orders");
    insert(
        &client,
        &name,
        "orders",
        vec![doc! {"_id": 1, "n": 1}, doc! {"_id": 2, "n": 2}],
    )
    .await;
    let forms = [
        (Payload::Jsonl, Compression::Zstd),
        (Payload::Bson, Compression::Gzip),
        (Payload::Jsonl, Compression::None),
    ];
    for (number, (payload, compression)) in forms.into_iter().enumerate() {
        match number {
            1 => {
                let changed = orders.update_one(doc! {"_id": 1}, doc! {"$set": {"n": 10}}).await;
                changed.expect("changed");
                insert(&client, &name, "fresh", vec![doc! {"_id": 1}]).await;
            }
            2 => {
                orders.delete_one(doc! {"_id": 2}).await.expect("deleted");
                insert(&client, &name, "orders", vec![doc! {"_id": "new"}]).await;
            }
            _ => {}
        }
        let job = BackupJob {
            payload,
            compression,
            ..incremental(&name, &destination)
        };
        backup(&job, &tools).await.expect("a backup");
    }
}

fn golden_journal() -> PathBuf {
    golden().with_file_name("journal")
}

/// What `cat` gives of the collection, in order.
async fn orders_of(archive: &Location) -> String {
    let mut text = Vec::new();
    let read = cat(&Store::new(), archive, Memory::default(), "orders", &mut text).await;
    read.expect("written");
    let text = String::from_utf8(text).expect("text");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[tokio::test]
async fn the_moments_of_a_golden_chain_are_what_they_always_were() {
    let moments = std::fs::read_to_string(golden_journal().join("moments.json")).expect("a file");
    let moments: Vec<(String, String)> = serde_json::from_str(&moments).expect("JSON");
    assert_eq!(moments.len(), 8);
    for (at, expected) in moments {
        let archive = Location::Local(golden_journal().join(&at));
        assert_eq!(orders_of(&archive).await, expected, "{at}");
        let report = verify(&Store::new(), &archive, Memory::default(), &Progress::default()).await;
        let report = report.expect("verified");
        assert_eq!(report.status, RunStatus::Complete, "{at}: {:?}", report.damaged);
    }
}

/// Makes it, in two forms: `cargo test --test it -- --ignored a_golden_journal_is_made`.
#[tokio::test]
#[ignore = "writes into the source folder"]
async fn a_golden_journal_is_made() {
    if golden_journal().exists() {
        return;
    }
    let Beginning {
        tools, client, name, ..
    } = Beginning::new().await;
    let destination = Location::Local(golden_journal());
    let orders = client.database(&name).collection::<bson::Document>("orders");
    insert(
        &client,
        &name,
        "orders",
        vec![doc! {"_id": 1, "n": 1}, doc! {"_id": 2, "n": 2}],
    )
    .await;
    base(&tools, &name, &destination).await;
    let mut moments: Vec<(String, String)> = Vec::new();
    for (payload, compression) in [(Payload::Jsonl, Compression::Zstd), (Payload::Bson, Compression::Gzip)] {
        let mut seen = Vec::new();
        for step in 0..4 {
            match step {
                0 => drop(
                    orders
                        .update_one(doc! {"_id": 1}, doc! {"$inc": {"n": 1}})
                        .await
                        .expect("updated"),
                ),
                1 => drop(orders.delete_one(doc! {"_id": 2}).await.expect("deleted")),
                2 => drop(
                    orders
                        .update_one(doc! {"_id": 1}, doc! {"$inc": {"n": 10}})
                        .await
                        .expect("updated"),
                ),
                _ => insert(&client, &name, "orders", vec![doc! {"_id": 2, "n": 3}]).await,
            }
            let hello = client
                .database("admin")
                .run_command(doc! {"hello": 1})
                .await
                .expect("an answer");
            let at = hello.get_timestamp("operationTime").expect("a time");
            let documents = crate::support::raw_database(&client, &tools, &name).await;
            let mut lines: Vec<String> = Vec::new();
            for document in &documents["orders"] {
                let document: bson::Document = bson::deserialize_from_slice(document).expect("BSON");
                let number = |name: &str| document.get_i32(name).expect("a number");
                let (id, n) = (number("_id"), number("n"));
                lines.push(format!(
                    "{{\"_id\":{{\"$numberInt\":\"{id}\"}},\"n\":{{\"$numberInt\":\"{n}\"}}}}"
                ));
            }
            lines.sort_unstable();
            seen.push((format!("{}.{}", at.time, at.increment), lines.join("\n")));
        }
        let job = BackupJob {
            payload,
            compression,
            ..incremental(&name, &destination)
        };
        let report = backup(&job, &tools).await.expect("a backup");
        let (file, chain) = (report.archive.file_name(), report.archive.parent().file_name());
        moments.extend(
            seen.into_iter()
                .map(|(at, lines)| (format!("{chain}/{file}@{at}"), lines)),
        );
    }
    let text = serde_json::to_string_pretty(&moments).expect("JSON") + "\n";
    std::fs::write(golden_journal().join("moments.json"), text).expect("written");
}
