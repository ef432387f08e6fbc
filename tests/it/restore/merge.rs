//! The default: documents are put in by `_id`, what else is there stays.

use bson::{Bson, doc};
use mongotar::backup::RunStatus;
use mongotar::plan::Action;
use mongotar::restore::MergeCounts;
use serde_json::json;

use super::{numbered, of, place};
use crate::support;

#[tokio::test]
async fn documents_are_inserted_replaced_or_left_and_others_stay() {
    let place = place().await;
    place.insert("c", numbered(0..6, "archived")).await;
    let archive = place.archive().await;
    let db = place.db();
    let c = db.collection::<bson::Document>("c");
    c.delete_many(doc! {"_id": {"$in": [0, 1]}}).await.expect("deleted");
    c.update_one(doc! {"_id": 2}, doc! {"$set": {"text": "changed"}})
        .await
        .expect("updated");
    place.insert("c", numbered(100..103, "the target's own")).await;

    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    let c = of(&report, "c");
    assert_eq!((c.action, c.file_count, c.db_count), (Action::Merge, 6, 6));
    assert_eq!(c.inserted, 2);
    assert_eq!(
        c.merged,
        Some(MergeCounts {
            replaced: 1,
            unchanged: 3
        })
    );
    let there = support::raw_documents(&place.client, &place.database, "c").await;
    let mut expected: Vec<Vec<u8>> = [numbered(0..6, "archived"), numbered(100..103, "the target's own")]
        .concat()
        .iter()
        .map(|document| bson::serialize_to_vec(document).expect("BSON"))
        .collect();
    expected.sort_unstable();
    assert_eq!(there, expected);

    let before = place.state().await;
    let again = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(again.status, RunStatus::Complete);
    let c = of(&again, "c");
    assert_eq!(
        (c.inserted, c.merged),
        (
            0,
            Some(MergeCounts {
                replaced: 0,
                unchanged: 6
            })
        )
    );
    assert_eq!(place.state().await, before, "a second restore changes nothing");
}

#[tokio::test]
async fn an_id_that_is_equal_but_of_another_type_is_replaced_and_not_refused() {
    // Looked up by its bytes, a document of the same _id as another number was taken for another unique key's, and
    // refused: relaxed JSON does not keep the type of numbers, so an old archive could not be put back into its own
    // database.
    let place = place().await;
    place
        .insert(
            "c",
            vec![doc! {"_id": 5_i32, "n": 1}, doc! {"_id": {"a": 7_i32}, "n": 1}],
        )
        .await;
    let archive = place.archive().await;
    place.run(doc! {"drop": "c"}).await;
    place
        .insert("c", vec![doc! {"_id": 5_i64, "n": 2}, doc! {"_id": {"a": 7.0}, "n": 1}])
        .await;
    let report = place.restore(&archive, json!({})).await.expect("a report");
    let c = of(&report, "c");
    assert_eq!((c.rejected, c.equal), (0, true), "{c:?}");
    let first = place
        .db()
        .collection::<bson::Document>("c")
        .find_one(doc! {"n": 1, "_id": 5})
        .await;
    assert_eq!(first.expect("found").expect("there").get("_id"), Some(&Bson::Int32(5)));
}

#[tokio::test]
async fn another_unique_key_that_is_taken_is_reported_by_id() {
    let place = place().await;
    place
        .insert("c", vec![doc! {"_id": 1, "email": "a"}, doc! {"_id": 2, "email": "b"}])
        .await;
    let unique = doc! {"createIndexes": "c", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true}]};
    place.run(unique).await;
    let archive = place.archive().await;
    let c = place.db().collection::<bson::Document>("c");
    c.delete_one(doc! {"_id": 1}).await.expect("deleted");
    place.insert("c", vec![doc! {"_id": 3, "email": "a"}]).await;
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    assert_eq!((c.file_count, c.db_count, c.rejected, c.equal), (2, 1, 1, false));
    assert_eq!(c.rejections[0].id, r#"{"_id":{"$numberInt":"1"}}"#);
    assert_eq!(c.rejections[0].code, 11000);
}

#[tokio::test]
async fn a_capped_collection_keeps_its_order_also_when_it_is_merged_into() {
    let place = place().await;
    place
        .run(doc! {"create": "c", "capped": true, "size": 1 << 20, "max": 1000})
        .await;
    // Not in the order of _id, so that only natural order can give it back.
    let ids: Vec<i32> = (0..200).map(|n| (n * 77) % 200).collect();
    place.insert("c", ids.iter().map(|id| doc! {"_id": id}).collect()).await;
    let archive = place.archive().await;
    let natural = async || {
        let cursor = place
            .db()
            .collection::<bson::Document>("c")
            .find(doc! {})
            .await
            .expect("a cursor");
        let documents: Vec<bson::Document> = futures_util::TryStreamExt::try_collect(cursor)
            .await
            .expect("documents");
        documents
            .iter()
            .map(|document| document.get_i32("_id").expect("a number"))
            .collect::<Vec<_>>()
    };

    let unchanged = place
        .restore(&archive, json!({"batch_size": 7}))
        .await
        .expect("a report");
    assert_eq!(
        of(&unchanged, "c").merged,
        Some(MergeCounts {
            replaced: 0,
            unchanged: 200
        })
    );
    assert_eq!(unchanged.status, RunStatus::Complete);
    let replaced = place
        .restore(&archive, json!({"replace_existing": true, "batch_size": 7}))
        .await
        .expect("a report");
    assert_eq!(replaced.status, RunStatus::Complete, "{:?}", replaced.verification);
    assert_eq!(natural().await, ids);

    // Into an empty capped collection of the same name: merged, in order.
    place.run(doc! {"drop": "c"}).await;
    place
        .run(doc! {"create": "c", "capped": true, "size": 1 << 20, "max": 1000})
        .await;
    let merged = place
        .restore(&archive, json!({"batch_size": 7}))
        .await
        .expect("a report");
    assert_eq!(merged.status, RunStatus::Complete);
    assert_eq!((of(&merged, "c").action, natural().await), (Action::Merge, ids));
}
