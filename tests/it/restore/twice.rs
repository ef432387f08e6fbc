//! The same archive once more, as a merge: nothing is changed, and the report says so.

use bson::{Bson, doc};
use mongotar::backup::RunStatus;
use mongotar::plan::Action;
use mongotar::restore::MergeCounts;
use serde_json::json;

use super::{numbered, of, place};

#[tokio::test]
async fn the_second_time_nothing_is_inserted_and_nothing_replaced() {
    let place = place().await;
    place.insert("plain", numbered(0..2_500, "x")).await;
    place
        .run(doc! {"create": "capped", "capped": true, "size": 1 << 20})
        .await;
    let ids = (0..300).map(|n| (n * 77) % 300);
    place
        .insert("capped", ids.map(|id| doc! {"_id": id, "text": "x"}).collect())
        .await;
    // Equal across number types for the server, and other bytes: those of the archive are what must be there in the
    // end.
    let of_all_types = vec![
        doc! {"_id": 1_i32},
        doc! {"_id": 2_i64},
        doc! {"_id": 3.0},
        doc! {"_id": {"a": 4_i32, "b": [5_i64, 6.0]}},
        doc! {"_id": Bson::Decimal128("7.0".parse().expect("a decimal"))},
    ];
    place.insert("numbers", of_all_types).await;
    place
        .run(doc! {"create": "collated", "collation": {"locale": "de", "strength": 1}})
        .await;
    place
        .insert("collated", vec![doc! {"_id": "a"}, doc! {"_id": "B"}])
        .await;
    place
        .run(doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true}})
        .await;
    place.insert("clustered", numbered(0..20, "x")).await;
    let archived = place.state().await;
    let archive = place.archive().await;

    place.run(doc! {"drop": "numbers"}).await;
    let others = vec![
        doc! {"_id": 1.0},
        doc! {"_id": 2_i32},
        doc! {"_id": 3_i64},
        doc! {"_id": {"a": 4_i64, "b": [5.0, 6_i32]}},
        doc! {"_id": 7_i32},
    ];
    place.insert("numbers", others).await;
    let counts = |replaced, unchanged| Some(MergeCounts { replaced, unchanged });
    for (time, replaced) in [("first", 5), ("second", 0), ("third", 0)] {
        let report = place
            .restore(&archive, json!({"batch_size": 70}))
            .await
            .expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{time}: {:?}", report.verification);
        for (name, documents) in [("plain", 2_500), ("capped", 300), ("collated", 2), ("clustered", 20)] {
            let merged = of(&report, name);
            assert_eq!((merged.action, merged.inserted), (Action::Merge, 0), "{time}: {name}");
            assert_eq!(merged.merged, counts(0, documents), "{time}: {name}");
        }
        let numbers = of(&report, "numbers");
        assert_eq!(
            (numbers.inserted, numbers.rejected, numbers.merged),
            (0, 0, counts(replaced, 5 - replaced)),
            "{time}"
        );
        assert_eq!(place.state().await, archived, "{time}");
    }
}
