//! Validators: enforced unless forced, and on again afterwards.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::plan::Action;
use serde_json::json;

use super::{Place, of, place};
use crate::support;

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
        assert_eq!(place.state().await, archived);
        let refused = c.insert_one(doc! {"_id": 9}).await;
        assert!(refused.is_err(), "the validator is on");
    }
}
