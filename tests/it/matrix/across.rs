//! An archive of one release into another. Into a newer one everything comes back. What an older one does not have is
//! named before the first change, and everything else comes back without it.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::restore::RestoreReport;
use serde_json::{Value, json};

use super::releases::{the_rigs, v4_4_2, v5_0_32, v6_0_27};
use super::{Knows, place_at, shop};
use crate::fidelity::harness::{Held, assert_documents, held, of, restore_whole, verified};
use crate::restore::Place;
use crate::rig::Mongod;
use crate::support;

/// An archive of everything that a release knows.
struct Archived {
    location: mongotar::store::Location,
    knows: Knows,
    held: Held,
}

async fn archived(from: &Mongod) -> Archived {
    let (place, knows) = place_at(&from.uri()).await;
    shop::fill(&place, knows).await;
    let report = support::back_up(&place.tools, &place.database, &place.to).await;
    Archived {
        location: report.archive,
        knows,
        held: held(&place.client, &place.tools, &place.database).await,
    }
}

/// The documents are what they were, but for those collections. (Definitions are compared by `against`: releases do not
/// agree on the order of an index's fields.)
async fn documents_are_back(archived: &Archived, into: &Place, but: &[&str]) {
    let after = held(&into.client, &into.tools, &into.database).await;
    for (name, (_, documents)) in archived.held.iter().filter(|(name, _)| !but.contains(&name.as_str())) {
        let (_, there) = after.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        assert_documents(name, documents, there);
    }
}

async fn into_newer(from: &Mongod, to: &Mongod) {
    let archived = archived(from).await;
    let (into, knows) = place_at(&to.uri()).await;
    let tools = &into.tools;
    for replace in [false, false, true] {
        let event = json!({"force": true, "replace_existing": replace});
        restore_whole(tools, &archived.location, &into.database, event).await;
        documents_are_back(&archived, &into, &[]).await;
        let compared = support::against(tools, &archived.location.to_string(), &into.database).await;
        assert_eq!(compared.status, RunStatus::Complete, "false drift: {compared:#?}");
    }
    if !archived.knows.time_series && knows.time_series {
        what_only_4_4_has(from, &into).await;
    }
}

/// An index that no newer release builds is named with its collection, and the rest comes back without it.
async fn what_only_4_4_has(from: &Mongod, into: &Place) {
    let (place, _) = place_at(&from.uri()).await;
    let haystack = doc! {"key": {"at": "geoHaystack", "kind": 1}, "bucketSize": 1.0, "name": "near"};
    place.run(doc! {"create": "kept", "recordPreImages": true}).await;
    place.insert("kept", vec![doc! {"_id": 1}]).await;
    place
        .insert("places", vec![doc! {"_id": 1, "at": [1.0, 2.0], "kind": 3}])
        .await;
    place.run(doc! {"createIndexes": "places", "indexes": [haystack]}).await;
    let archive = place.archive().await;
    let database = crate::rig::fresh_database_name("matrix");
    let refused = into
        .restore_into(&database, &archive, json!({}))
        .await
        .expect_err("it is not built");
    assert_eq!(refused.kind, FailureKind::PlanConflicts, "{refused}");
    let told = ["\"places\"", "\"near\"", "geoHaystack", "--exclude-index"];
    assert!(told.iter().all(|told| refused.message.contains(told)), "{refused}");
    let without = json!({"exclude_indexes": ["places.near"]});
    let report = into
        .restore_into(&database, &archive, without)
        .await
        .expect("a restore");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!((of(&report, "places").db_count, of(&report, "kept").db_count), (1, 1));
}

async fn into_older(from: &Mongod, to: &Mongod) {
    let archived = archived(from).await;
    let (into, knows) = place_at(&to.uri()).await;
    let missing = missing(archived.knows, knows);
    let restored = async |more: Value| -> Result<RestoreReport, mongotar::failure::Failure> {
        let mut event = json!({"force": true, "snapshot": false});
        event
            .as_object_mut()
            .expect("fields")
            .extend(more.as_object().expect("fields").clone());
        into.restore(&archived.location.to_string(), event).await
    };
    for dry_run in [true, false] {
        let refused = restored(json!({"dry_run": dry_run}))
            .await
            .expect_err("not all can come along");
        assert_eq!(refused.kind, FailureKind::PlanConflicts, "{refused}");
        assert_eq!(refused.message.matches("Way out: ").count(), missing.len(), "{refused}");
        for (name, needs) in &missing {
            let line = refused
                .message
                .lines()
                .find(|line| line.contains(&format!("{name:?}: it is ")));
            assert!(line.is_some_and(|line| line.contains(needs)), "{name}: {refused}");
        }
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    assert_eq!(into.names().await, Vec::<String>::new(), "nothing was done");

    let planned = restored(json!({"exclude": names, "dry_run": true}))
        .await
        .expect("a plan");
    let dollars = archived.knows.dollar_keys && !knows.dollar_keys;
    let told = serde_json::to_string(&planned).expect("JSON");
    assert_eq!(
        told.contains("refuses documents with a field that begins with $"),
        dollars,
        "{told}"
    );
    let report = restored(json!({"exclude": names})).await.expect("a restore");
    let unequal: Vec<&str> = verified(&report)
        .iter()
        .filter(|one| !one.equal)
        .map(|one| one.name.as_str())
        .collect();
    match dollars {
        true => {
            let every = of(&report, "every type");
            assert_eq!((report.status, unequal), (RunStatus::Partial, vec!["every type"]));
            assert_eq!((every.rejected, every.rejections.len()), (2, 2), "{every:?}");
            assert!(
                every.rejections.iter().all(|one| one.message.contains('$')),
                "{every:?}"
            );
        }
        false => assert_eq!((report.status, unequal), (RunStatus::Complete, vec![])),
    }
    let but: Vec<&str> = names
        .iter()
        .copied()
        .chain(["every type", "a view on series"])
        .collect();
    documents_are_back(&archived, &into, &but).await;
    let compared = support::against(&into.tools, &archived.location.to_string(), &into.database).await;
    let drifted: &[&str] = if dollars { &["every type"] } else { &[] };
    assert_eq!(
        (compared.drifted.as_slice(), compared.extra.as_slice()),
        (
            &drifted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..],
            &[][..]
        )
    );
}

/// What an older release lacks, and what it is told to need.
fn missing(source: Knows, target: Knows) -> Vec<(&'static str, &'static str)> {
    let mut missing = Vec::new();
    if source.clustered && !target.clustered {
        missing.push(("clustered", "needs MongoDB 5.3"));
    }
    if source.images && !target.images {
        missing.push(("images", "needs MongoDB 6.0"));
    }
    if source.time_series && !target.time_series {
        let series = [
            "series",
            "series without meta",
            "series that expires",
            "collated series",
            "empty series",
        ];
        missing.extend(series.map(|name| (name, "needs MongoDB 5.0")));
    }
    missing
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_4_4_into_5_0() {
    into_newer(v4_4_2::server(), v5_0_32::server()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_4_4_into_6_0() {
    into_newer(v4_4_2::server(), v6_0_27::server()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_5_0_into_6_0() {
    into_newer(v5_0_32::server(), v6_0_27::server()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_5_0_into_the_rigs() {
    into_newer(v5_0_32::server(), the_rigs::server()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_5_0_into_4_4() {
    into_older(v5_0_32::server(), v4_4_2::server()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_6_0_into_4_4() {
    into_older(v6_0_27::server(), v4_4_2::server()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_6_0_into_5_0() {
    into_older(v6_0_27::server(), v5_0_32::server()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn from_the_rigs_into_5_0() {
    into_older(the_rigs::server(), v5_0_32::server()).await;
}

/// A release takes no buckets of a version that is newer than its own. They are then told as unequal, and what would take
/// documents away is held back.
async fn buckets_that_are_too_new(from: &Mongod, to: &Mongod) {
    let (place, _) = place_at(&from.uri()).await;
    place
        .run(doc! {"create": "series", "timeseries": {"timeField": "t"}})
        .await;
    // Whenever time goes on by more than an hour, the server closes a bucket, and compresses it.
    for hour in (0..8).step_by(2) {
        let at = |minute: i64| bson::DateTime::from_millis((hour * 60 + minute) * 60_000);
        let measured = (0..20).map(|minute| doc! {"t": at(minute), "v": minute}).collect();
        place.insert("series", measured).await;
    }
    let buckets = support::raw_documents(&place.client, &place.database, "system.buckets.series").await;
    let definition = br#"{"options":{"timeseries":{"timeField":"t"}},"indexes":[],"type":"timeseries"}"#;
    let view = br#"{"options":{"viewOn":"orders","pipeline":[]},"indexes":[],"type":"view"}"#;
    let orders = bson::serialize_to_vec(&doc! {"_id": 1}).expect("BSON");
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in [
        ("shop/series.metadata.json", &definition[..]),
        ("shop/system.buckets.series.bson", &buckets.concat()),
        ("shop/seen.metadata.json", view),
        ("shop/orders.bson", &orders),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content).expect("memory");
    }
    let scratch = crate::rig::ScratchDir::new("buckets");
    let archive = scratch.path().join("dump.tar");
    std::fs::write(&archive, tar.into_inner().expect("memory")).expect("written");
    let (into, _) = place_at(&to.uri()).await;
    into.insert("seen", vec![doc! {"_id": "own"}]).await;
    into.insert("extra", vec![doc! {"_id": "own"}]).await;
    let event = json!({"replace_existing": true, "drop_missing": true});
    let archive = archive.to_str().expect("UTF-8");
    let report = into.restore(archive, event).await.expect("a restore");
    assert_eq!(report.status, RunStatus::Partial, "{:?}", report.verification);
    let series = of(&report, "series").error.clone().unwrap_or_default();
    assert!(series.contains("it takes 5.2 or newer"), "{series}");
    assert!(of(&report, "orders").equal);
    let seen = of(&report, "seen").error.clone().unwrap_or_default();
    assert!(seen.contains("the collection that has the name was kept"), "{seen}");
    for kept in ["seen", "extra"] {
        let there = support::raw_documents(&into.client, &into.database, kept).await;
        assert_eq!(there.len(), 1, "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn buckets_of_6_0_are_not_taken_by_5_0() {
    buckets_that_are_too_new(v6_0_27::server(), v5_0_32::server()).await;
}
