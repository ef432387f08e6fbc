//! What fails before the commit leaves the target as it was, to the byte.

use std::fs;

use bson::{DateTime, doc};
use futures_util::TryStreamExt as _;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use serde_json::json;

use super::{Place, numbered, of, place};
use crate::{rig, support};

/// An archive on disk with three collections and a time series, and a target that has changed since.
async fn changed_since_the_backup() -> (Place, rig::ScratchDir) {
    let scratch = rig::ScratchDir::new("restore");
    let folder: Location = scratch.path().to_str().expect("UTF-8").parse().expect("a location");
    let place = Place {
        to: folder,
        ..place().await
    };
    for name in ["a", "b", "c"] {
        place.insert(name, numbered(0..500, name)).await;
    }
    place
        .run(doc! {"create": "series", "timeseries": {"timeField": "ts"}})
        .await;
    place
        .insert(
            "series",
            (0..50)
                .map(|n| doc! {"_id": n, "ts": DateTime::from_millis(n * 1000)})
                .collect(),
        )
        .await;
    (place, scratch)
}

async fn change(place: &Place) {
    for name in ["a", "b"] {
        place.insert(name, numbered(1000..1010, "newer")).await;
    }
    place.run(doc! {"drop": "c"}).await;
    place.insert("extra", numbered(0..3, "newer")).await;
    place
        .insert("series", vec![doc! {"_id": 99, "ts": DateTime::now()}])
        .await;
}

#[tokio::test]
async fn a_damaged_segment_changes_nothing_whatever_the_policy() {
    for damaged in ["b", "series"] {
        let (place, _scratch) = changed_since_the_backup().await;
        let archive = place.archive().await;
        let location: Location = archive.parse().expect("a location");
        let opened = open(&place.tools.store, &location, Memory::default())
            .await
            .expect("it is whole");
        let saved = opened.manifest().expect("ours").get(damaged).expect("saved").clone();
        let extent = saved.entry.expect("an entry").segments[0].extent;
        let mut bytes = fs::read(&archive).expect("the archive");
        bytes[usize::try_from(extent.offset + extent.length / 2).expect("small")] ^= 0x40;
        fs::write(&archive, bytes).expect("written");
        change(&place).await;
        let before = place.state().await;

        // In place as well: a merge, and a time series, were half changed by the time the damage showed.
        for more in [
            json!({"replace_existing": true}),
            json!({"replace_existing": true, "snapshot": false}),
            json!({}),
        ] {
            let report = place.restore(&archive, more.clone()).await.expect("a report");
            assert_eq!(report.status, RunStatus::Failed, "{more}: {:?}", report.verification);
            let broken = of(&report, damaged);
            assert!(
                broken.error.as_deref().is_some_and(|error| error.contains("segment 0")),
                "{broken:?}"
            );
            let verification = report.verification.as_ref().expect("one");
            assert!(
                !verification.equal
                    && verification
                        .collections
                        .iter()
                        .all(|one| !one.equal && one.error.is_some())
            );
            assert_eq!(
                place.state().await,
                before,
                "{damaged}, {more}: nothing is changed, and nothing is left beside"
            );
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_half_way_changes_nothing() {
    let (place, _scratch) = changed_since_the_backup().await;
    let to = support::bucket().await;
    let archive = support::back_up(&place.tools, &place.database, &to)
        .await
        .archive
        .to_string();
    change(&place).await;
    let before = place.state().await;
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    let tools = support::tools_for(
        &rig::shared_replica_set().uri(),
        Store::with_client(rig::shared_s3().client_at(&proxy.endpoint())),
    )
    .await;
    let name = archive.rsplit('/').next().expect("a name").to_owned();
    for (fault, nth) in [
        (rig::Fault::Status(403), 3),
        (rig::Fault::Status(500), 4),
        (rig::Fault::CutAnswerAfter(100), 3),
    ] {
        proxy.reset();
        proxy.inject(rig::Rule::on("GET", &name).nth(nth).times(usize::MAX).then(fault));
        let event =
            json!({"archive": archive, "database": place.database, "replace_existing": true, "snapshot": false});
        let report = support::restore(&tools, event).await.expect("a report");
        assert_eq!(report.status, RunStatus::Failed, "{fault:?}: {:?}", report.verification);
        assert_eq!(place.state().await, before, "{fault:?}");
    }
}

#[tokio::test]
async fn a_cancelled_restore_changes_nothing() {
    let (place, _scratch) = changed_since_the_backup().await;
    let archive = place.archive().await;
    change(&place).await;
    let before = place.state().await;
    place.tools.cancel.cancel();
    let report = place
        .restore(&archive, json!({"replace_existing": true, "snapshot": false}))
        .await;
    match report {
        Ok(report) => assert_eq!(report.status, RunStatus::Failed, "{:?}", report.verification),
        Err(failure) => assert_eq!(failure.kind, FailureKind::Cancelled),
    }
    assert_eq!(place.state().await, before);
}

#[tokio::test]
async fn an_index_that_cannot_be_built_does_not_lose_the_others() {
    let place = place().await;
    place
        .insert("c", vec![doc! {"_id": 1, "k": 1}, doc! {"_id": 2, "k": 2}])
        .await;
    let unique = doc! {"createIndexes": "c", "indexes": [
        {"key": {"k": 1}, "name": "unique", "unique": true}, {"key": {"other": 1}, "name": "other"},
    ]};
    place.run(unique).await;
    let archive = place.archive().await;
    // The target's own document breaks the archive's index.
    place.run(doc! {"dropIndexes": "c", "index": ["unique", "other"]}).await;
    place.insert("c", vec![doc! {"_id": 3, "k": 1}]).await;
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    assert_eq!((c.rejected, c.db_count), (0, 2));
    let failed: Vec<&str> = c.failed_indexes.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, ["unique"]);
    assert_eq!(c.index_diff.added, ["unique"]);
}

/// A server reads a whole command before it inserts anything, and refuses it for one document that it takes for none:
/// here by a limit of its own on how deeply documents are nested.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_for_which_a_whole_batch_is_refused_costs_only_itself() {
    let place = place().await;
    let deep = |levels: usize| (0..levels).fold(doc! {"end": 1}, |inner, _| doc! {"a": inner});
    let documents = |count: i32| {
        (0..count).map(|id| match id {
            100 | 333 => doc! {"_id": id, "deep": deep(60)},
            _ => doc! {"_id": id, "deep": deep(2)},
        })
    };
    place.insert("c", documents(500).collect()).await;
    place.run(doc! {"create": "log", "capped": true, "size": 1 << 20}).await;
    place.insert("log", documents(200).collect()).await;
    let archive = place.archive().await;

    let shallow = rig::Mongod::builder().parameter("maxBSONDepth", "32").start();
    let tools = support::tools_for(&shallow.uri(), Store::with_client(rig::shared_s3().client().await)).await;
    let event = json!({"archive": archive, "database": "shop"});
    let report = support::restore(&tools, event).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial, "{:?}", report.verification);
    for (name, ids, count) in [("c", &["100", "333"][..], 498), ("log", &["100"], 199)] {
        let verified = of(&report, name);
        assert_eq!(
            (verified.rejected, verified.db_count),
            (ids.len() as u64, count),
            "{verified:?}"
        );
        let mut named: Vec<&str> = verified.rejections.iter().map(|one| one.id.as_str()).collect();
        named.sort_unstable();
        assert!(named.iter().zip(ids).all(|(shown, id)| shown.contains(id)), "{named:?}");
        let why = &verified.rejections[0].message;
        assert!(why.contains("maximum nested object depth"), "{why}");
    }
    let log = shallow
        .client()
        .await
        .database("shop")
        .collection::<bson::Document>("log");
    let found: Vec<bson::Document> = log
        .find(doc! {})
        .await
        .expect("a cursor")
        .try_collect()
        .await
        .expect("read");
    let ids = found.iter().map(|document| document.get_i32("_id").expect("a number"));
    assert!(ids.eq((0..200).filter(|id| *id != 100)), "in another order: {found:?}");
}
