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

use super::{Beginning, incremental};
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
