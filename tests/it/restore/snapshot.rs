//! The way back: taken before the first change, and good.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::progress::Progress;
use mongotar::restore::Changed;
use mongotar::run::Memory;
use mongotar::store::Store;
use mongotar::verify::verify;
use serde_json::json;

use super::{numbered, place, place_in_bucket};
use crate::{rig, support};

#[tokio::test]
async fn the_undo_event_brings_everything_back() {
    let place = place_in_bucket().await;
    place.insert("c", numbered(0..20, "archived")).await;
    place.insert("only_archived", numbered(0..3, "archived")).await;
    let archive = place.archive().await;

    place.run(doc! {"drop": "only_archived"}).await;
    place.run(doc! {"drop": "c"}).await;
    place.insert("c", numbered(10..40, "newer")).await;
    place
        .run(doc! {"createIndexes": "c", "indexes": [{"key": {"text": 1}, "name": "newer", "unique": false}]})
        .await;
    place.insert("dropped", numbered(0..5, "newer")).await;
    place.run(doc! {"create": "capped", "capped": true, "size": 4096}).await;
    place
        .run(doc! {"create": "series", "timeseries": {"timeField": "ts", "metaField": "meta"}})
        .await;
    place
        .insert("series", vec![doc! {"ts": bson::DateTime::now(), "meta": 1, "v": 2}])
        .await;
    place
        .run(doc! {"create": "seen", "viewOn": "dropped", "pipeline": [{"$match": {"_id": 1}}]})
        .await;
    let before = place.state().await;

    for more in [json!({}), json!({"replace_existing": true})] {
        let report = place.restore(&archive, more).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        assert_eq!(place.names().await, ["c", "only_archived"]);
        let snapshot = report.snapshot.expect("a way back");
        assert!(
            snapshot.archive.to_string().contains("/nightly/pre-restore/backup_"),
            "{}",
            snapshot.archive
        );
        assert!(snapshot.verified);
        let checked = verify(
            &place.tools.store,
            &snapshot.archive,
            Memory::default(),
            &Progress::default(),
        )
        .await;
        assert_eq!(checked.expect("it opens").status, RunStatus::Complete);

        // The event as it stands, and nothing more than consent.
        let undone = support::restore(&place.tools, snapshot.undo).await.expect("a report");
        assert_eq!(undone.status, RunStatus::Complete, "{:?}", undone.verification);
        assert_eq!(place.state().await, before);
        let again = undone
            .snapshot
            .expect("a way back from the way back")
            .archive
            .to_string();
        assert!(!again.contains("pre-restore/pre-restore"), "{again}");
    }
}

#[tokio::test]
async fn it_goes_where_it_is_told_or_is_waived() {
    let place = place().await;
    place.insert("c", numbered(0..3, "x")).await;
    let archive = place.archive().await;
    let elsewhere = support::folder();
    let told = place
        .restore(&archive, json!({"snapshot_to": elsewhere.to_string()}))
        .await
        .expect("a report");
    let snapshot = told.snapshot.expect("a way back");
    assert!(
        snapshot.archive.to_string().starts_with(&elsewhere.to_string()),
        "{}",
        snapshot.archive
    );

    let waived = place
        .restore(&archive, json!({"snapshot": false}))
        .await
        .expect("a report");
    assert!(waived.snapshot.is_none());
    let beside = place
        .tools
        .store
        .list(&place.to.join("pre-restore"), "")
        .await
        .expect("a listing");
    assert!(beside.is_empty(), "{beside:?}");

    let fresh = rig::fresh_database_name("fresh");
    let first = place.restore_into(&fresh, &archive, json!({})).await.expect("a report");
    assert!(first.snapshot.is_none(), "there was nothing to save");
}

#[tokio::test]
async fn without_a_way_back_nothing_is_changed() {
    let place = place().await;
    place.insert("c", numbered(0..3, "x")).await;
    let archive = place.archive().await;
    place.insert("extra", numbered(0..3, "x")).await;
    let before = place.state().await;
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    // (The rig's S3 makes a bucket that is not there, so one is refused instead.)
    proxy.inject(
        rig::Rule::on("*", "undo/backup_")
            .times(usize::MAX)
            .then(rig::Fault::Status(403)),
    );
    let client = rig::shared_s3().client_at(&proxy.endpoint());
    let tools = support::tools_for(&rig::shared_replica_set().uri(), Store::with_client(client)).await;
    for nowhere in ["s3://bucket/undo/", "/proc/no-such-folder/undo"] {
        let event =
            json!({"archive": archive, "database": place.database, "replace_existing": true, "snapshot_to": nowhere});
        let failure = support::restore(&tools, event)
            .await
            .expect_err("no way back, no restore");
        assert_eq!(failure.kind, FailureKind::SnapshotFailed, "{failure}");
        assert!(failure.message.contains("nothing was changed"), "{failure}");
    }
    assert_eq!(place.state().await, before);
}

#[tokio::test]
async fn a_snapshot_that_is_not_what_was_written_refuses_the_restore() {
    let place = place_in_bucket().await;
    place.insert("c", numbered(0..300, "x")).await;
    let archive = place.archive().await;
    place.insert("extra", numbered(0..3, "x")).await;
    let before = place.state().await;
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    let tools = support::tools_for(&rig::shared_replica_set().uri(), support::store_through(&proxy)).await;
    // It was once believed to be a way back as soon as the upload was done. The footer is read first, and segments
    // later.
    let mut reads = 0;
    for nth in 1.. {
        proxy.reset();
        proxy.inject(
            rig::Rule::on("GET", "pre-restore/backup_")
                .nth(nth)
                .times(usize::MAX)
                .then(rig::Fault::FlipAnswer),
        );
        let event = json!({"archive": archive, "database": place.database, "replace_existing": true});
        let restored = support::restore(&tools, event).await;
        let was_read = |seen: &rig::Exchange| seen.fault.is_some() && seen.path.contains("pre-restore/backup_");
        if !proxy.matching("GET", "pre-restore/backup_").iter().any(was_read) {
            break;
        }
        reads += 1;
        let failure = restored.expect_err("no way back, no restore");
        assert_eq!(failure.kind, FailureKind::SnapshotFailed, "read {nth}: {failure}");
        assert!(failure.message.contains("nothing was changed"), "read {nth}: {failure}");
        assert_eq!(place.state().await, before, "read {nth}");
    }
    assert!(reads >= 3, "footer, manifest and documents are read: {reads}");
}

#[tokio::test]
async fn the_undo_event_brings_back_what_was_replaced_dropped_and_redefined() {
    let place = place().await;
    for command in [
        doc! {"create": "replaced"},
        doc! {"create": "series", "timeseries": {"timeField": "ts", "metaField": "meta"}},
        doc! {"create": "was_series", "timeseries": {"timeField": "ts"}},
        doc! {"create": "view", "viewOn": "replaced", "pipeline": [{"$match": {"_id": 1}}]},
        doc! {"create": "top_view", "viewOn": "view", "pipeline": []},
    ] {
        place.run(command).await;
    }
    place.insert("replaced", numbered(0..20, "archived")).await;
    place.insert("created", numbered(0..3, "archived")).await;
    let measured = |meta: &str| vec![doc! {"_id": meta, "ts": bson::DateTime::from_millis(1000), "meta": meta}];
    place.insert("series", measured("archived")).await;
    place.insert("was_series", measured("archived")).await;
    let archive = place.archive().await;

    for name in ["top_view", "view", "replaced", "created", "series", "was_series"] {
        place.run(doc! {"drop": name}).await;
    }
    let collation = doc! {"locale": "de", "strength": 1};
    for command in [
        doc! {"create": "replaced", "collation": collation, "validator": {"text": {"$type": "string"}}, "validationLevel": "moderate"},
        doc! {"create": "series", "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "hours"}},
        doc! {"create": "was_series", "capped": true, "size": 8192, "max": 50},
        doc! {"create": "view", "viewOn": "dropped", "pipeline": [{"$project": {"text": 1}}]},
        doc! {"create": "top_view", "viewOn": "view", "pipeline": [{"$limit": 3}]},
        doc! {"create": "dropped_series", "timeseries": {"timeField": "ts"}, "expireAfterSeconds": 1_000_000_i64},
        doc! {"createIndexes": "replaced", "indexes": [
            {"key": {"text": 1}, "name": "unique", "unique": true, "partialFilterExpression": {"_id": {"$gt": 3}}},
            {"key": {"$**": 1}, "name": "wild", "hidden": true},
        ]},
        doc! {"createIndexes": "dropped", "indexes": [{"key": {"at": 1}, "name": "ttl", "expireAfterSeconds": 1_000_000}]},
    ] {
        place.run(command).await;
    }
    place
        .insert(
            "replaced",
            (0..9).map(|n| doc! {"_id": n, "text": format!("newer {n}")}).collect(),
        )
        .await;
    place.insert("series", measured("newer")).await;
    place.insert("was_series", numbered(0..9, "newer")).await;
    place
        .insert("dropped_series", vec![doc! {"ts": bson::DateTime::now(), "v": 1}])
        .await;
    place
        .insert(
            "dropped",
            vec![doc! {"_id": {"b": 1, "a": 2}, "z": 1, "a": bson::Timestamp { time: 0, increment: 7 }}],
        )
        .await;
    let before = place.state().await;

    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    let verification = report.verification.expect("a restore verifies");
    assert!(
        verification.collections.iter().all(|one| one.changed == Changed::Yes),
        "{verification:?}"
    );
    assert_ne!(place.state().await, before);
    let undone = support::restore(&place.tools, report.snapshot.expect("a way back").undo).await;
    let undone = undone.expect("a report");
    assert_eq!(undone.status, RunStatus::Complete, "{:?}", undone.verification);
    assert_eq!(place.state().await, before);
}
