//! Validators: enforced unless forced, and on again afterwards.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::plan::Action;
use mongotar::store::Store;
use serde_json::json;

use super::{Place, of, place, place_in_bucket};
use crate::{rig, support};

/// Four documents, two of which a validator that came later refuses.
async fn with_violations() -> (Place, String) {
    let place = place().await;
    let documents = vec![
        doc! {"_id": 1, "n": 1},
        doc! {"_id": 2, "n": "text"},
        doc! {"_id": 3, "n": 3},
        doc! {"_id": 4},
    ];
    place.insert("c", documents).await;
    place.run(doc! {"collMod": "c", "validator": {"$jsonSchema": {"required": ["n"], "properties": {"n": {"bsonType": "int"}}}}, "validationLevel": "moderate"}).await;
    let archive = place.archive().await;
    (place, archive)
}

#[tokio::test]
async fn refused_documents_are_named_and_the_old_collection_stays() {
    let (place, archive) = with_violations().await;
    place.insert("c", vec![doc! {"_id": 5, "n": 5}]).await;
    let before = place.state().await;
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    assert_eq!((c.equal, c.file_count, c.rejected), (false, 4, 2));
    let mut refused: Vec<(&str, i32)> = c
        .rejections
        .iter()
        .map(|refused| (refused.id.as_str(), refused.code))
        .collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            (r#"{"_id":{"$numberInt":"2"}}"#, 121),
            (r#"{"_id":{"$numberInt":"4"}}"#, 121)
        ]
    );
    assert!(
        c.error.as_deref().is_some_and(|error| error.contains("has been kept")),
        "{c:?}"
    );
    assert_eq!(
        place.state().await,
        before,
        "nothing less is put in the place of more; nothing is left beside"
    );
}

#[tokio::test]
async fn a_collection_that_is_not_there_gets_what_the_validator_takes() {
    let (place, archive) = with_violations().await;
    place.run(doc! {"drop": "c"}).await;
    place.insert("extra", vec![doc! {"_id": 1}]).await;
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    assert_eq!((c.inserted, c.rejected, c.db_count, c.equal), (2, 2, 2, false));
    assert_eq!(
        support::raw_documents(&place.client, &place.database, "c").await.len(),
        2
    );
    assert!(
        place.names().await.contains(&"extra".to_owned()),
        "nothing is dropped when something went wrong"
    );
}

#[tokio::test]
async fn force_puts_them_in_counts_them_and_leaves_the_validator_on() {
    for (more, action) in [
        (json!({"force": true, "replace_existing": true}), Action::Replace),
        (json!({"force": true}), Action::Merge),
    ] {
        let (place, archive) = with_violations().await;
        let archived = place.state().await;
        let c = place.db().collection::<bson::Document>("c");
        c.delete_one(doc! {"_id": 4}).await.expect("deleted");
        place
            .run(doc! {"update": "c", "updates": [{"q": {"_id": 2}, "u": {"$set": {"n": 2}}}]})
            .await;
        let report = place.restore(&archive, more).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        let verified = of(&report, "c");
        assert_eq!((verified.action, verified.equal, verified.rejected), (action, true, 0));
        assert_eq!(verified.validator_violations, Some(2), "{action:?}");
        let mut ids = verified.validator_violation_ids.clone();
        ids.sort_unstable();
        assert_eq!(
            ids,
            [r#"{"_id":{"$numberInt":"2"}}"#, r#"{"_id":{"$numberInt":"4"}}"#],
            "{action:?}"
        );
        assert_eq!(place.state().await, archived);
        let refused = c.insert_one(doc! {"_id": 9}).await;
        assert!(refused.is_err(), "the validator is on");
    }
}

/// What `listCollections` says of a collection.
async fn options_of(place: &Place, name: &str) -> bson::Document {
    let listed = place.run(doc! {"listCollections": 1, "filter": {"name": name}}).await;
    let listed = listed
        .get_document("cursor")
        .and_then(|cursor| cursor.get_array("firstBatch"));
    let entry = listed.expect("a reply").first().and_then(bson::Bson::as_document);
    entry
        .expect("it is there")
        .get_document("options")
        .expect("options")
        .clone()
}

/// Forty documents of a mebibyte, which are several segments, and a validator that refuses all of them; a target that
/// lacks some.
async fn large_with_violations() -> (Place, String) {
    let place = place_in_bucket().await;
    support::insert_mebibytes(&place.client, &place.database, "c", 40).await;
    place.insert("d", vec![doc! {"_id": 1}]).await;
    place
        .run(doc! {"collMod": "c", "validator": {"never": {"$exists": true}}})
        .await;
    let archive = place.archive().await;
    let c = place.db().collection::<bson::Document>("c");
    c.delete_many(doc! {"_id": {"$gte": 5}}).await.expect("deleted");
    (place, archive)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_validator_is_never_off_not_even_for_a_moment() {
    // The ancestor switched it off and on again: whoever was killed in between left it off. What is never off needs
    // nobody to switch it on.
    let (place, archive) = large_with_violations().await;
    let before = options_of(&place, "c").await;
    for more in [json!({"force": true}), json!({"force": true, "replace_existing": true})] {
        let mut looked = 0;
        let restoring = place.restore(&archive, more);
        tokio::pin!(restoring);
        let report = loop {
            let look = async {
                // Polled in turn with the restore, which therefore goes on while it waits.
                options_of(&place, "c").await
            };
            tokio::select! {
                biased;
                report = &mut restoring => break report.expect("a report"),
                now = look => {
                    assert_eq!(now, before);
                    looked += 1;
                }
            }
        };
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        assert_eq!(of(&report, "c").validator_violations, Some(40));
        assert_eq!(of(&report, "c").validator_violation_ids.len(), 20);
        assert!(looked > 3, "{looked} looks while it ran");
        assert_eq!(options_of(&place, "c").await, before);
        let refused = place.db().collection("c").insert_one(doc! {"_id": -1}).await;
        assert!(refused.is_err(), "and it rules");
        let c = place.db().collection::<bson::Document>("c");
        c.delete_many(doc! {"_id": {"$gte": 5}}).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_merge_that_breaks_off_leaves_the_validator_on() {
    let (place, archive) = large_with_violations().await;
    let before = options_of(&place, "c").await;
    let name = archive.rsplit('/').next().expect("a name").to_owned();
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    let store = Store::with_client(rig::shared_s3().client_at(&proxy.endpoint()));
    let tools = support::tools_for(&rig::shared_replica_set().uri(), store).await;
    let event = |dry_run: bool| json!({"archive": archive, "database": place.database, "force": true, "snapshot": false, "dry_run": dry_run});
    support::restore(&tools, event(true)).await.expect("a plan");
    let to_open = proxy.count("GET", &name);
    let opened = mongotar::open::open(
        &place.tools.store,
        &archive.parse::<mongotar::store::Location>().expect("a location"),
        place.tools.memory,
    )
    .await
    .expect("it is whole");
    let segments = |name: &str| {
        let saved = opened.manifest().expect("ours").get(name).expect("saved");
        saved.entry.as_ref().expect("an entry").segments.len()
    };
    assert!(segments("c") > 4, "{} segments", segments("c"));
    // What is changed in place is read through first; the store fails when some of it has been put in.
    let checked = segments("c") + segments("d");
    proxy.reset();
    proxy.inject(
        rig::Rule::on("GET", &name)
            .nth(to_open + checked + 4)
            .times(usize::MAX)
            .then(rig::Fault::Status(403)),
    );
    let report = support::restore(&tools, event(false)).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial, "{:?}", report.verification);
    assert!(of(&report, "c").error.is_some(), "{:?}", of(&report, "c"));
    assert_eq!(options_of(&place, "c").await, before);
    let refused = place.db().collection("c").insert_one(doc! {"_id": -1}).await;
    assert!(refused.is_err(), "the validator rules");

    // Nor does it matter when it is cancelled: here before it begins with the second half.
    tools.cancel.cancel();
    proxy.reset();
    let report = support::restore(&tools, event(false)).await;
    assert!(report.is_err() || report.is_ok_and(|report| report.status != RunStatus::Complete));
    assert_eq!(options_of(&place, "c").await, before);
}

#[tokio::test]
async fn each_refused_document_is_named_and_not_only_the_first() {
    // Only the first twenty were: the others could not be found without comparing the database with the archive.
    let place = place().await;
    let documents =
        (0..600).map(|id| doc! {"_id": id, "n": if id % 2 == 0 { "text".into() } else { bson::Bson::Int32(id) }});
    place.insert("c", documents.collect()).await;
    place
        .run(doc! {"collMod": "c", "validator": {"n": {"$type": "int"}}})
        .await;
    let archive = place.archive().await;
    place.run(doc! {"drop": "c"}).await;
    let report = place
        .restore(&archive, json!({"batch_size": 70}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    assert_eq!((c.inserted, c.rejected, c.rejections.len()), (300, 300, 300));
    let mut named: Vec<&str> = c.rejections.iter().map(|refused| refused.id.as_str()).collect();
    named.sort_unstable();
    let mut expected: Vec<String> = (0..300)
        .map(|n| format!(r#"{{"_id":{{"$numberInt":"{}"}}}}"#, n * 2))
        .collect();
    expected.sort_unstable();
    assert_eq!(named, expected);
}
