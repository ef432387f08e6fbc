//! A tar of a `mongodump` folder, and files of `mongoexport`.

use std::io::Write as _;

use bson::{Bson, DateTime, doc};
use flate2::Compression;
use flate2::write::GzEncoder;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::inspect::{self, Shown};
use mongotar::open::Source;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::Location;
use mongotar::verify::verify;
use serde_json::json;

use super::{bson_of, few, of, place};

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn documents_options_and_indexes_of_a_dump_come_back() {
    let place = place().await;
    let documents = vec![
        doc! {"_id": 1_i64, "$odd": {"$oid": "x"}, "a.b": 1.0, "at": DateTime::from_millis(5)},
        doc! {"_id": 2, "undefined": Bson::Undefined, "symbol": Bson::Symbol("s".to_owned())},
    ];
    let orders = bson_of(&documents);
    let metadata = br#"{"options":{"validator":{"_id":{"$exists":true}}},"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"},{"v":{"$numberInt":"2"},"unique":true,"key":{"at":{"$numberDouble":"-1.0"},"_id":{"$numberInt":"1"}},"name":"at"}],"uuid":"c0ffee","collectionName":"orders","type":"collection"}"#;
    let view = br#"{"options":{"viewOn":"orders","pipeline":[]},"indexes":[],"collectionName":"seen","type":"view"}"#;
    let odd = bson_of(&few("odd"));
    for packed in [false, true] {
        let pack = |content: &[u8]| if packed { gzipped(content) } else { content.to_vec() };
        let gz = if packed { ".gz" } else { "" };
        let name = |path: &str| format!("{path}{gz}");
        let entries = [
            (name("dump/shop/orders.bson"), pack(&orders)),
            (name("dump/shop/orders.metadata.json"), pack(metadata)),
            (name("dump/shop/seen.metadata.json"), pack(view)),
            (name("dump/shop/a%2Fb+c.bson"), pack(&odd)),
            (
                name("dump/shop/a%2Fb+c.metadata.json"),
                pack(br#"{"options":{},"indexes":[],"collectionName":"a/b c"}"#),
            ),
            (
                "dump/shop/prelude.json".to_owned(),
                br#"{"ServerVersion":"6.0.5"}"#.to_vec(),
            ),
        ];
        let entries: Vec<(&str, &[u8])> = entries
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
            .collect();
        let archive = place.tar("dump.tar", &entries);
        place.drop_target().await;
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        assert_eq!(report.plan.source_database.as_deref(), Some("shop"));
        let mut expected: Vec<Vec<u8>> = documents
            .iter()
            .map(|document| bson_of(std::slice::from_ref(document)))
            .collect();
        expected.sort_unstable();
        assert_eq!(place.raw(&place.target, "orders").await, expected);
        assert_eq!(place.raw(&place.target, "a/b c").await.len(), 5);
        assert_eq!(place.raw(&place.target, "seen").await.len(), 2);
        let catalog = place.tools.mongo.survey(&place.target).await.expect("a survey");
        let index = &catalog.get("orders").expect("there").indexes[1];
        assert_eq!(
            (index.get_str("name"), index.get_bool("unique")),
            (Some("at"), Some(true))
        );
        assert_eq!(
            place.options("orders").await.get_document("validator").ok(),
            Some(&doc! {"_id": {"$exists": true}})
        );
    }
}

/// They were refused, or what a server made of them counted as a difference.
#[tokio::test]
async fn what_old_servers_took_comes_back_equal_or_is_left_out_by_name() {
    let place = place().await;
    let metadata =
        br#"{"options":{"usePowerOf2Sizes":true,"temp":true,"capped":false,"size":4096,"flags":1},"indexes":[
        {"v":1,"key":{"_id":1},"name":"_id_"},
        {"v":1,"key":{"a":true},"name":"a_true","sparse":0},
        {"v":1,"key":{"a":1},"name":"a_1"},
        {"v":1,"key":{"b":1},"name":"b","sparse":1,"unique":0},
        {"v":1,"key":{"c":1},"name":"c","expireAfterSeconds":{"$numberDouble":"NaN"}},
        {"v":1,"key":{"d":1},"name":"d","expireAfterSeconds":1.5e9},
        {"v":1,"key":{"e":1},"name":"e","expireAfterSeconds":1000000000.5},
        {"v":1,"key":{"f":1,"g":-1}}]}"#;
    let documents = bson_of(&few("old"));
    let entries: [(&str, &[u8]); 2] = [
        ("dump/shop/c.bson", &documents),
        ("dump/shop/c.metadata.json", metadata),
    ];
    let archive = place.tar("dump.tar", &entries);
    for _ in 0..2 {
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        let warnings = &report.plan.get("c").expect("a row").warnings;
        assert!(
            warnings
                .iter()
                .any(|said| said.contains("\"a_true\"") && said.contains("left out")),
            "{warnings:?}"
        );
    }
    let catalog = place.tools.mongo.survey(&place.target).await.expect("a survey");
    let indexes = &catalog.get("c").expect("there").indexes;
    let mut names: Vec<&str> = indexes.iter().filter_map(|index| index.get_str("name")).collect();
    names.sort_unstable();
    assert_eq!(names, ["_id_", "a_1", "b", "c", "d", "e", "f_1_g_-1"]);
}

#[tokio::test]
async fn one_database_of_several_is_named() {
    // There was no way to name it: such a dump could not be restored.
    let place = place().await;
    let (shop, blog) = (bson_of(&few("shop")), bson_of(&few("blog")));
    let archive = place.tar(
        "dump.tar",
        &[
            ("dump/shop/c.bson", &shop),
            ("dump/blog/c.bson", &blog),
            ("dump/admin/system.users.bson", b""),
        ],
    );
    let failure = place.restore(&archive, json!({})).await.expect_err("ambiguous");
    assert_eq!(failure.kind, FailureKind::InvalidRequest);
    for word in ["shop", "blog", "source_database"] {
        assert!(failure.message.contains(word), "{word}: {failure}");
    }
    let failure = place
        .restore(&archive, json!({"source_database": "shpo"}))
        .await
        .expect_err("not there");
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");

    for name in ["shop", "dump/blog"] {
        let report = place
            .restore(&archive, json!({"source_database": name, "replace_existing": true}))
            .await
            .expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        let found = place
            .client
            .database(&place.target)
            .collection::<bson::Document>("c")
            .find_one(doc! {})
            .await;
        let text = found
            .expect("found")
            .expect("there")
            .get_str("text")
            .expect("text")
            .to_owned();
        assert!(name.ends_with(&text), "{name}: {text}");
    }

    let location: Location = archive.parse().expect("a location");
    let blog = Source {
        location: &location,
        database: Some("blog"),
    };
    let store = &place.tools.store;
    assert_eq!(
        verify(store, blog, Memory::default(), &Progress::default())
            .await
            .expect("a report")
            .status,
        RunStatus::Complete
    );
    let Shown::Foreign(shown) = inspect::show(store, blog, Memory::default()).await.expect("shown") else {
        panic!("it is no archive of ours");
    };
    assert_eq!(shown.database.as_deref(), Some("blog"));
    let mut text = Vec::new();
    assert_eq!(
        inspect::cat(store, blog, Memory::default(), "c", &mut text)
            .await
            .expect("written"),
        5
    );
    assert!(String::from_utf8(text).expect("UTF-8").contains("blog"));
}

#[tokio::test]
async fn an_archive_of_ours_has_one_database_and_no_other_can_be_named() {
    let place = place().await;
    place.insert("c", few("x")).await;
    let to: Location = place.path("ours").to_str().expect("UTF-8").parse().expect("a location");
    let archive = crate::support::back_up(&place.tools, &place.source, &to)
        .await
        .archive
        .to_string();
    let failure = place
        .restore(&archive, json!({"source_database": "another"}))
        .await
        .expect_err("refused");
    assert_eq!(failure.kind, FailureKind::InvalidRequest);
    let report = place
        .restore(&archive, json!({"source_database": place.source}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete);
}

#[tokio::test]
async fn files_of_mongoexport_are_restored() {
    let place = place().await;
    let array = br#"[{"_id":{"$oid":"65a000000000000000000001"},"n":{"$numberLong":"5"}},
{"_id":{"$oid":"65a000000000000000000002"},"at":{"$date":"2023-11-14T22:13:20Z"}}]"#;
    let archive = place.tar(
        "export.tar",
        &[("orders.json", array), ("users.jsonl", b"{\"_id\":1}\n{\"_id\":2.5}\n")],
    );
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!((of(&report, "orders").db_count, of(&report, "users").db_count), (2, 2));
    assert!(
        report
            .plan
            .warnings
            .iter()
            .any(|warning| warning.contains("no definitions")),
        "{:?}",
        report.plan.warnings
    );
    let orders = place
        .client
        .database(&place.target)
        .collection::<bson::Document>("orders");
    let found = orders.find_one(doc! {"n": 5}).await.expect("found").expect("there");
    assert_eq!(found.get("n"), Some(&Bson::Int64(5)));
}
