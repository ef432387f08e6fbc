//! Full archives made of chains, without the database.

use bson::{Document, doc};
use mongotar::archive::{ArchiveKind, Payload};
use mongotar::backup::{BackupJob, BackupReport, CompactJob, CompactTools, RunStatus, backup, compact};
use mongotar::failure::{Failure, FailureKind};
use mongotar::open::open;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::Location;
use mongotar::verify::verify;
use tokio_util::sync::CancellationToken;

use super::boundaries::{Dice, change};
use super::{Beginning, base, comes_back, content, increment, incremental};
use crate::support::{bucket, insert};

impl Beginning {
    async fn compacted(&self) -> Result<BackupReport, Failure> {
        self.compacted_within(Memory::default()).await
    }

    async fn compacted_within(&self, memory: Memory) -> Result<BackupReport, Failure> {
        let tools = CompactTools {
            store: self.tools.store.clone(),
            progress: std::sync::Arc::new(Progress::default()),
            cancel: CancellationToken::new(),
            memory,
        };
        let folder = self.destination.clone();
        compact(
            &CompactJob {
                folder,
                retention: None,
            },
            &tools,
        )
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_becomes_a_full_archive_that_increments_continue() {
    for (payload, destination) in [(Payload::Jsonl, None), (Payload::Bson, Some(bucket().await))] {
        let mut begun = Beginning::new().await;
        begun.destination = destination.unwrap_or(begun.destination);
        let (tools, client, name, destination) = begun.parts();
        let (database, mut dice) = (client.database(name), Dice(7));
        insert(
            client,
            name,
            "orders",
            (0..300).map(|id| doc! {"_id": id, "n": id}).collect(),
        )
        .await;
        insert(client, name, "quiet", vec![doc! {"_id": 1}]).await;
        database.create_collection("empty").await.expect("created");
        let job = BackupJob {
            payload,
            ..incremental(name, destination)
        };
        backup(&job, tools).await.expect("a full backup");
        let alone = begun.compacted().await.expect_err("no chain");
        assert_eq!(alone.kind, FailureKind::NoChain, "{alone}");
        for round in 0..3 {
            change(&mut dice, &database.collection("orders")).await;
            insert(client, name, "fresh", vec![doc! {"_id": round}]).await;
            increment(tools, name, destination).await;
        }
        let last = content(client, tools, name).await;
        let report = begun.compacted().await.expect("a full archive");
        assert_eq!((report.kind, report.status), (ArchiveKind::Full, RunStatus::Complete));
        assert_eq!(
            report.archive.parent().to_string(),
            destination.join("x").parent().to_string()
        );
        let verified = verify(&tools.store, &report.archive, Memory::default(), &Progress::default()).await;
        assert_eq!(verified.expect("verified").status, RunStatus::Complete);
        comes_back(client, tools, &report.archive, &last).await;
        // What comes next continues it, and it alone is read.
        change(&mut dice, &database.collection("orders")).await;
        let next = increment(tools, name, destination).await;
        assert_eq!(next.parent.as_deref(), Some(report.name.as_str()));
        comes_back(client, tools, &next.archive, &content(client, tools, name).await).await;
        // There is nothing to put together twice.
        let again = begun.compacted().await.expect("of one increment");
        assert_eq!(again.name, next.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_not_what_it_says_becomes_nothing() {
    let begun = Beginning::new().await;
    let (tools, client, name, destination) = begun.parts();
    insert(
        client,
        name,
        "orders",
        (0..300).map(|id| doc! {"_id": id, "n": id}).collect(),
    )
    .await;
    base(tools, name, destination).await;
    let orders = client.database(name).collection::<Document>("orders");
    orders
        .update_many(doc! {}, doc! {"$inc": {"n": 1}})
        .await
        .expect("updated");
    let report = increment(tools, name, destination).await;
    let Location::Local(path) = &report.archive else {
        panic!("a local archive")
    };
    let whole = std::fs::read(path).expect("read");
    let mut damaged = whole.clone();
    let opened = open(&tools.store, &report.archive, Memory::default())
        .await
        .expect("opened");
    let saved = opened
        .manifest()
        .and_then(|manifest| manifest.get("orders"))
        .expect("listed");
    let extent = saved.entry.as_ref().expect("an entry").segments[0].extent;
    let middle = usize::try_from(extent.offset + extent.length / 2).expect("small");
    damaged[middle..middle + 40].fill(0xA5);
    std::fs::write(path, &damaged).expect("written");
    let failed = begun.compacted().await.expect_err("damaged");
    assert_eq!(failed.kind, FailureKind::ArchiveDamaged, "{failed}");
    let listed = tools
        .store
        .list(destination, report.name.as_str())
        .await
        .expect("a listing");
    assert!(listed.is_empty(), "{listed:?}");
    std::fs::write(path, &whole).expect("written");
    begun.compacted().await.expect("a full archive");
    let taken = begun.compacted().await.expect_err("it is there");
    assert_eq!(taken.kind, FailureKind::NoChain, "{taken}");
}

/// Two archives made of chains, one behind the other: what did not change is copied within S3 each time.
#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_copied_within_the_store() {
    let mut begun = Beginning::new().await;
    begun.destination = bucket().await;
    let (tools, client, name, destination) = begun.parts();
    // Text that no compressor makes much shorter, in documents of 100 KB.
    let mut noise = blake3::Hasher::new().update(b"noise").finalize_xof();
    let documents = (0..200).map(|id| {
        let mut bytes = vec![0; 100_000];
        noise.fill(&mut bytes);
        let bytes = bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes,
        };
        doc! {"_id": id, "noise": bytes, "n": 0}
    });
    insert(client, name, "orders", documents.collect()).await;
    insert(client, name, "small", vec![doc! {"_id": 1}]).await;
    base(tools, name, destination).await;
    let orders = client.database(name).collection::<Document>("orders");
    for round in 0..2 {
        let last = doc! {"_id": {"$gte": 185 + 5 * round}};
        orders
            .update_many(last, doc! {"$inc": {"n": 1}})
            .await
            .expect("updated");
        orders.delete_one(doc! {"_id": 195 + round}).await.expect("deleted");
        increment(tools, name, destination).await;
        let now = content(client, tools, name).await;
        // Its parts are small.
        let scarce = Memory::of(Memory::LEAST).expect("enough");
        let report = begun.compacted_within(scarce).await.expect("a full archive");
        let copied = report.copied_bytes.expect("in S3");
        assert!(
            copied * 2 > report.archive_bytes,
            "{copied} of {}",
            report.archive_bytes
        );
        let verified = verify(&tools.store, &report.archive, Memory::default(), &Progress::default()).await;
        assert_eq!(verified.expect("verified").status, RunStatus::Complete);
        comes_back(client, tools, &report.archive, &now).await;
    }
}
