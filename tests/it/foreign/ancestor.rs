//! The archives of the scripts that this project replaces, made by PyMongo.

use bson::{Binary, Bson, DateTime, Document, Regex, Timestamp, doc, oid::ObjectId, spec::BinarySubtype};
use mongotar::backup::RunStatus;
use mongotar::plan::Action;
use serde_json::json;

use super::{few, of, place};

/// Types that all three dialects carry exactly.
fn carried_by_all() -> Vec<Document> {
    let binary = |subtype| Binary {
        subtype,
        bytes: (0..=255).collect(),
    };
    vec![
        doc! {"_id": ObjectId::parse_str("65a000000000000000000001").expect("hex"), "at": DateTime::from_millis(1_700_000_000_123)},
        doc! {"_id": 2, "early": DateTime::from_millis(-1), "text": "größe\n\"quoted\" \u{1F600}", "no": Bson::Null, "yes": true},
        doc! {"_id": 3, "double": 0.1, "large": 9_007_199_254_740_993_i64, "nested": {"array": [1, "two", {"three": 3}]}},
        doc! {"_id": 4, "generic": binary(BinarySubtype::Generic), "user": binary(BinarySubtype::UserDefined(0x80))},
        doc! {"_id": 5, "regex": Regex { pattern: bson::raw::CString::try_from("^a.b$".to_owned()).expect("no NUL"), options: bson::raw::CString::try_from("im".to_owned()).expect("no NUL") }},
        doc! {"_id": 6, "time": Timestamp { time: 5, increment: 6 }, "min": Bson::MinKey, "max": Bson::MaxKey},
        doc! {"_id": {"compound": 1, "key": "x"}, "code": Bson::JavaScriptCode("return 1".to_owned())},
        doc! {"_id": 8, "uuid": Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] }},
    ]
}

#[tokio::test]
async fn every_dialect_and_form_comes_back_equal() {
    let place = place().await;
    place.insert("all", carried_by_all()).await;
    place.insert("few", few("x")).await;
    place.run(doc! {"create": "empty"}).await;
    for (n, more) in [
        json!({"mode": "legacy"}),
        json!({"mode": "relaxed"}),
        json!({"mode": "canonical"}),
        json!({"mode": "legacy", "indent": 2}),
        json!({"mode": "relaxed", "indent": 4, "gzip": true}),
        json!({"mode": "canonical", "metadata": "options", "gzip": true}),
        json!({"mode": "relaxed", "metadata": "entries"}),
        json!({"mode": "legacy", "metadata": "list"}),
    ]
    .into_iter()
    .enumerate()
    {
        let ending = if more["gzip"] == true { "tar.gz" } else { "tar" };
        let archive = place.export(&format!("{n}.{ending}"), more.clone());
        place.drop_target().await;
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{more}: {:?}", report.verification);
        assert_eq!(report.plan.to_restore, ["all", "empty", "few"]);
        for name in ["all", "few", "empty"] {
            assert_eq!(
                place.raw(&place.target, name).await,
                place.raw(&place.source, name).await,
                "{more}: {name}"
            );
        }
        // R7: once more, and nothing changes.
        let again = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(again.status, RunStatus::Complete, "{more}");
        let all = of(&again, "all");
        assert_eq!(
            (all.action, all.inserted, all.merged.map(|merged| merged.unchanged)),
            (Action::Merge, 0, Some(8))
        );
    }
}

#[tokio::test]
async fn what_a_dialect_cannot_say_comes_back_as_an_equal_value() {
    let place = place().await;
    let decimal: bson::Decimal128 = "1.50".parse().expect("a decimal");
    place
        .insert(
            "c",
            vec![doc! {"_id": 5_i64, "long": 7_i64, "whole": 3.0, "decimal": decimal}],
        )
        .await;
    for (mode, long_is_kept) in [("canonical", true), ("legacy", false), ("relaxed", false)] {
        let archive = place.export(&format!("{mode}.tar"), json!({"mode": mode}));
        place.drop_target().await;
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        let c = place.client.database(&place.target).collection::<Document>("c");
        let equal = doc! {"_id": 5, "long": 7, "whole": 3, "decimal": decimal};
        let found = c.find_one(equal).await.expect("found").expect("equal for the server");
        assert_eq!(found.get("whole"), Some(&Bson::Double(3.0)), "{mode}");
        assert_eq!(found.get("decimal"), Some(&Bson::Decimal128(decimal)), "{mode}");
        let widths = (
            matches!(found.get("_id"), Some(Bson::Int64(5))),
            matches!(found.get("long"), Some(Bson::Int64(7))),
        );
        assert_eq!(widths, (long_is_kept, long_is_kept), "{mode}");
    }

    // Merged into its own database, where the same _id is an int64.
    let archive = place.export("relaxed.tar", json!({}));
    let report = place
        .restore(&archive, json!({"database": place.source, "keep_extra": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(of(&report, "c").merged.map(|merged| merged.replaced), Some(1));
}

#[tokio::test]
async fn definitions_come_along_in_all_three_shapes() {
    let place = place().await;
    place.insert("plain", few("x")).await;
    place
        .run(doc! {"create": "validated", "validator": {"n": {"$gt": 0}}, "validationAction": "warn"})
        .await;
    place.run(doc! {"create": "capped", "capped": true, "size": 5000}).await;
    place
        .run(doc! {"create": "collated", "collation": {"locale": "de"}})
        .await;
    place.run(doc! {"create": "series", "timeseries": {"timeField": "at", "metaField": "who"}, "expireAfterSeconds": 3_000_000_i64}).await;
    place
        .insert(
            "series",
            vec![doc! {"at": DateTime::now(), "who": {"b": 1, "a": 2}, "v": 1.5}],
        )
        .await;
    place
        .run(doc! {"create": "seen", "viewOn": "plain", "pipeline": [{"$match": {"_id": 1}}]})
        .await;
    let source = place.tools.mongo.survey(&place.source).await.expect("a survey");
    for shape in ["options", "entries", "list"] {
        let archive = place.export(&format!("{shape}.tar"), json!({"metadata": shape}));
        place.drop_target().await;
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{shape}: {:?}", report.verification);
        let target = place.tools.mongo.survey(&place.target).await.expect("a survey");
        for (ours, theirs) in target.collections.iter().zip(&source.collections) {
            assert_eq!(
                (&ours.name, ours.kind, &ours.options),
                (&theirs.name, theirs.kind, &theirs.options),
                "{shape}"
            );
        }
        assert_eq!(target.collections.len(), source.collections.len());
        let again = place
            .restore(&archive, json!({"replace_existing": true}))
            .await
            .expect("a report");
        assert_eq!(again.status, RunStatus::Complete, "{shape}: {:?}", again.verification);
    }
}

#[tokio::test]
async fn documents_without_an_id_are_restored_once_however_often() {
    // The server made up a new _id each time: never equal to the archive, and twice as many after the second restore.
    let place = place().await;
    let lines = b"{\"n\": 1}\n{\"n\": 1}\n{\"n\": 2, \"_id\": 7}\n";
    let archive = place.tar("export.tar", &[("backup_1/c.jsonl", lines)]);
    let first = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(first.status, RunStatus::Complete, "{:?}", first.verification);
    let c = of(&first, "c");
    assert_eq!(
        (c.file_count, c.db_count, c.inserted, c.ids_given, c.equal),
        (3, 3, 3, 2, true)
    );
    let raw = place.raw(&place.target, "c").await;
    let again = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(of(&again, "c").merged.map(|merged| merged.unchanged), Some(3));
    let replaced = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(replaced.status, RunStatus::Complete);
    assert_eq!(place.raw(&place.target, "c").await, raw);
}
