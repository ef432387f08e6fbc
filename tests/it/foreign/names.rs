//! Names that other tools give to their files, and how these are compressed.

use std::fs;
use std::io::Write as _;

use bson::{Document, doc};
use mongotar::backup::RunStatus;
use mongotar::config::Environment;
use mongotar::drill::{DrillRequest, DrillVerdict, drill};
use mongotar::failure::FailureKind;
use mongotar::inspect;
use mongotar::progress::Progress;
use mongotar::run::Memory;
use mongotar::store::Location;
use mongotar::verify::verify;
use serde_json::json;

use super::{Place, bson_of, few, place};
use crate::{rig, support};

/// As Python's standard library compresses it.
fn compressed(how: &str, content: &[u8]) -> Vec<u8> {
    let script = "import sys, bz2, lzma\n\
                  how = {'bz2': bz2.compress, 'xz': lzma.compress}[sys.argv[1]]\n\
                  sys.stdout.buffer.write(how(sys.stdin.buffer.read()))";
    rig::python().stdout(script, &[how], content)
}

const LINES: &[u8] = b"{\"_id\":1,\"a\":1}\n{\"_id\":2,\"a\":2}\n";

impl Place {
    async fn index_names(&self, collection: &str) -> Vec<String> {
        let catalog = self.tools.mongo.survey(&self.target).await.expect("a survey");
        let indexes = &catalog.get(collection).expect("it is there").indexes;
        let names = indexes.iter().filter_map(|index| index.get_str("name"));
        names.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn members_and_archives_may_be_compressed_with_bzip2_and_xz() {
    let place = place().await;
    let (notes, tags) = (compressed("bz2", LINES), compressed("xz", LINES));
    let items = compressed("xz", &bson_of(&few("x")));
    let entries: [(&str, &[u8]); 3] = [
        ("notes.json.bz2", &notes),
        ("tags.jsonl.xz", &tags),
        ("items.bson.xz", &items),
    ];
    let tar = place.tar("members.tar", &entries);
    for how in ["", "bz2", "xz"] {
        let archive = match how {
            "" => tar.clone(),
            how => {
                let path = place.path(&format!("members.tar.{how}"));
                fs::write(&path, compressed(how, &fs::read(&tar).expect("the tar"))).expect("written");
                path.to_str().expect("UTF-8").to_owned()
            }
        };
        place.drop_target().await;
        let report = place.restore(&archive, json!({})).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{how}: {:?}", report.plan.warnings);
        assert_eq!(place.raw(&place.target, "notes").await.len(), 2);
        assert_eq!(place.raw(&place.target, "tags").await.len(), 2);
        assert_eq!(place.raw(&place.target, "items").await.len(), 5);
    }
    let path = place.path("cut.tar.xz");
    let whole = compressed("xz", &fs::read(&tar).expect("the tar"));
    fs::write(&path, &whole[..whole.len() - 20]).expect("written");
    let cut = place.restore(path.to_str().expect("UTF-8"), json!({})).await;
    assert_eq!(cut.expect_err("cut").kind, FailureKind::ArchiveDamaged);
}

#[tokio::test]
async fn indexes_of_a_dump_by_an_old_mongodump_come_back_and_are_converted() {
    // They were in `system.indexes.bson` alone, and named as left out; and no server of today took `safe` or such
    // directions.
    let place = place().await;
    let orders = bson_of(&[doc! {"_id": 1, "email": "a"}]);
    let of = |collection: &str, mut index: Document| {
        index.insert("ns", format!("shop.{collection}"));
        index
    };
    let indexes = bson_of(&[
        of("orders", doc! {"v": 1, "key": {"_id": 1}, "name": "_id_"}),
        of(
            "orders",
            doc! {"v": 1, "key": {"email": 1}, "unique": true, "name": "email_1", "safe": null},
        ),
        of(
            "orders",
            doc! {"v": 0, "key": {"a": true, "b": "", "c": "1"}, "name": "odd", "dropDups": true, "sparse": "true"},
        ),
        of("orders", doc! {"v": 1, "key": {"left": 1}, "name": "left_1"}),
        of("gone", doc! {"v": 1, "key": {"x": 1}, "name": "x_1"}),
        of("system.users", doc! {"v": 1, "key": {"user": 1}, "name": "user_1"}),
    ]);
    let entries: [(&str, &[u8]); 2] = [
        ("dump/shop/orders.bson", &orders),
        ("dump/shop/system.indexes.bson", &indexes),
    ];
    let archive = place.tar("old.tar", &entries);
    let report = place
        .restore(&archive, json!({"exclude_indexes": ["*.lef?_1"]}))
        .await
        .expect("a report");
    assert_eq!(
        report.status,
        RunStatus::Complete,
        "{:?} {:?}",
        report.plan.warnings,
        report.verification
    );
    assert_eq!(place.index_names("orders").await, ["_id_", "email_1", "odd"]);
    // The index on `_id` is of another version than the dump's, and no difference.
    let merged = place.restore(&archive, json!({"exclude_indexes": ["*.lef?_1"]})).await;
    let merged = merged.expect("a report");
    assert_eq!(merged.status, RunStatus::Complete, "{:?}", merged.verification);
    // Nor is one that was converted.
    place.drop_target().await;
    place.restore(&archive, json!({})).await.expect("a report");
    let compared = support::against(&place.tools, &archive, &place.target).await;
    assert_eq!(compared.status, RunStatus::Complete, "{compared:?}");
    assert!(compared.drifted.is_empty());
    place.drop_target().await;
    let without = place.restore(&archive, json!({"exclude_indexes": ["orders.*"]})).await;
    let without = without.expect("a report").plan.to_string();
    assert!(
        !without.contains("of an old server"),
        "what is left out is not converted: {without}"
    );
    place.drop_target().await;
    place
        .restore(&archive, json!({"exclude_indexes": ["*.lef?_1"]}))
        .await
        .expect("a report");
    let plan = report.plan.to_string();
    for part in [
        "\"email_1\" is of an old server, and converted as mongorestore --convertLegacyIndexes does: option \"safe\" left out",
        "direction of \"a\": 1, direction of \"b\": 1, direction of \"c\": 1",
        "option \"dropDups\" left out, sparse: true",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let catalog = place.tools.mongo.survey(&place.target).await.expect("a survey");
    let email = &catalog.get("orders").expect("there").indexes[1];
    assert_eq!(email.get_bool("unique"), Some(true));
    assert!(catalog.get("gone").is_none(), "an index alone is no collection");
    // A definition may know fewer of them.
    place.drop_target().await;
    let definition = br#"{"options":{},"indexes":[{"v":1,"key":{"_id":1},"name":"_id_"}]}"#;
    let both = [
        entries[0],
        entries[1],
        ("dump/shop/orders.metadata.json", &definition[..]),
    ];
    let report = place
        .restore(&place.tar("both.tar", &both), json!({}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(place.index_names("orders").await, ["_id_", "email_1", "odd", "left_1"]);
}

#[tokio::test]
async fn a_drill_leaves_out_the_indexes_that_globs_name() {
    let place = place().await;
    let metadata =
        br#"{"options":{},"indexes":[{"v":{"$numberInt":"2"},"key":{"a":"asc"},"name":"odd_1"}],"type":"collection"}"#;
    let entries: [(&str, &[u8]); 2] = [
        ("shop/orders.bson", &bson_of(&few("x"))),
        ("shop/orders.metadata.json", metadata),
    ];
    let archive = place.tar("odd.tar", &entries);
    for (excluded, verdict) in [
        (json!([]), DrillVerdict::Failed),
        (json!(["ord*.odd?1"]), DrillVerdict::Passed),
    ] {
        let event = json!({"archive": archive, "exclude_indexes": excluded});
        let job = DrillRequest::from_event(event).expect("a request");
        let job = job.into_job(&Environment::default()).expect("a job");
        let drilled = drill(&job, &place.tools).await.expect("a drill");
        assert_eq!(drilled.verdict, verdict, "{drilled:?}");
    }
}

/// Of the folder of one database it was not said that the dump was made with `--oplog`, which puts that beside it.
#[tokio::test]
async fn an_oplog_beside_the_folder_of_one_database_is_told_as_one_within() {
    let place = place().await;
    let shop = place.path("dump/shop");
    fs::create_dir_all(&shop).expect("made");
    fs::write(shop.join("orders.bson"), bson_of(&few("x"))).expect("written");
    let path = shop.to_str().expect("UTF-8").to_owned();
    let told = async || {
        let report = place.restore(&path, json!({})).await.expect("a report");
        let text = report.plan.to_string();
        assert_eq!(report.plan.to_restore, ["orders"]);
        (text.contains("oplog is not replayed"), text.contains("oplog.bson"))
    };
    assert_eq!(told().await, (false, false));
    fs::write(
        place.path("dump/oplog.bson"),
        bson_of(&[doc! {"op": "n", "ns": "", "o": {}}]),
    )
    .expect("written");
    assert_eq!(told().await, (true, true));
}

/// `mongodump --oplog` leaves an empty one where nothing was changed meanwhile. It became a collection, `complete`.
#[tokio::test]
async fn an_oplog_is_never_a_collection_and_plan_and_report_say_that_it_is_not_replayed() {
    let place = place().await;
    let change = bson_of(&[doc! {"op": "n", "ns": "", "o": {}}]);
    // With --gzip it is compressed, and has no ending that says so.
    let gzip = |content: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content).expect("memory");
        gzip.finish().expect("memory")
    };
    for oplog in [&[][..], &change, &gzip(&[]), &gzip(&change.repeat(500))] {
        let dump = place.path("dump");
        let _ = fs::remove_dir_all(&dump);
        fs::create_dir_all(dump.join("shop")).expect("made");
        fs::write(dump.join("oplog.bson"), oplog).expect("written");
        let folder = format!("{}/", dump.display());
        let failure = place.restore(&folder, json!({})).await.expect_err("nothing in it");
        assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
        assert!(failure.message.contains("oplog"), "{failure}");
        fs::write(dump.join("shop/orders.bson"), bson_of(&few("x"))).expect("written");
        let tar = place.tar(
            "dump.tar",
            &[
                ("dump/oplog.bson", oplog),
                ("dump/shop/orders.bson", &bson_of(&few("x"))),
            ],
        );
        for archive in [&folder, &tar] {
            let report = place.restore(archive, json!({})).await.expect("a report");
            assert_eq!(report.plan.to_restore, ["orders"]);
            let said = |text: &str| {
                text.contains("oplog is not replayed") && text.contains("as of the time at which it was read")
            };
            assert!(said(&report.plan.to_string()), "{}", report.plan);
            assert!(
                report.plan.warnings.iter().any(|warning| said(warning)),
                "{:?}",
                report.plan.warnings
            );
        }
    }
    // What is only called like it may be data, and nobody takes the dump for whole; with a definition it is a
    // collection.
    let (orders, called) = (bson_of(&few("x")), bson_of(&few("y")));
    let definition = br#"{"options":{},"indexes":[],"type":"collection"}"#;
    for called in [&called, &gzip(&called)] {
        place.drop_target().await;
        let mut entries: Vec<(&str, &[u8])> = vec![("dump/oplog.bson", called), ("dump/shop/orders.bson", &orders)];
        let report = place
            .restore(&place.tar("called.tar", &entries), json!({}))
            .await
            .expect("a report");
        assert_eq!(
            (report.status, report.plan.to_restore.as_slice()),
            (RunStatus::Partial, &["orders".to_owned()][..])
        );
        assert!(
            report.plan.to_string().contains("oplog.metadata.json"),
            "{}",
            report.plan
        );
        place.drop_target().await;
        let name = if called == &bson_of(&few("y")) {
            "dump/shop/oplog.bson"
        } else {
            "dump/shop/oplog.bson.gz"
        };
        entries[0].0 = name;
        entries.push(("dump/shop/oplog.metadata.json", definition));
        let report = place
            .restore(&place.tar("with.tar", &entries), json!({}))
            .await
            .expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.plan.warnings);
        assert_eq!(place.raw(&place.target, "oplog").await.len(), 5);
    }
}

#[tokio::test]
async fn backslashes_are_folders_where_there_are_no_slashes() {
    let place = place().await;
    let orders = bson_of(&few("x"));
    let metadata = br#"{"options":{},"indexes":[],"collectionName":"orders","type":"collection"}"#;
    // The builder would take a backslash for what it is here, too; and so does every tar that was packed elsewhere.
    let entries: [(&str, &[u8]); 2] = [
        ("dump\\shop\\orders.bson", &orders),
        ("dump\\shop\\orders.metadata.json", metadata),
    ];
    let report = place
        .restore(&place.tar("w.tar", &entries), json!({}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(report.plan.source_database.as_deref(), Some("shop"));
    assert_eq!(place.raw(&place.target, "orders").await.len(), 5);
}

#[tokio::test]
async fn a_folder_is_an_archive() {
    let place = place().await;
    let dump = place.path("dump");
    for (database, text) in [("shop", "s"), ("blog", "b")] {
        let folder = dump.join(database);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("orders.bson"), bson_of(&few(text))).expect("written");
        let metadata = br#"{"options":{},"indexes":[{"v":2,"key":{"text":1},"name":"text_1"}],"type":"collection"}"#;
        fs::write(folder.join("orders.metadata.json"), metadata).expect("written");
    }
    let at = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (whole, shop) = (at(&dump), format!("{}/", at(&dump.join("shop"))));
    let ambiguous = place.restore(&whole, json!({})).await.expect_err("two databases");
    assert!(ambiguous.message.contains("--source-database"), "{ambiguous}");
    for (archive, more) in [(&shop, json!({})), (&whole, json!({"source_database": "shop"}))] {
        place.drop_target().await;
        let report = place.restore(archive, more).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        assert_eq!(report.plan.source_database.as_deref(), Some("shop"));
        assert_eq!(place.raw(&place.target, "orders").await.len(), 5);
        assert_eq!(place.index_names("orders").await, ["_id_", "text_1"]);
    }
    let location: Location = shop.parse().expect("a location");
    let store = &place.tools.store;
    let sound = verify(store, &location, Memory::default(), &Progress::default())
        .await
        .expect("a report");
    assert_eq!(sound.status, RunStatus::Complete);
    let mut text = Vec::new();
    let count = inspect::cat(store, &location, Memory::default(), "orders", &mut text).await;
    assert_eq!(count.expect("written"), 5);

    fs::write(dump.join("shop/WiredTiger.wt"), b"x").expect("written");
    let refused = place
        .restore(&shop, json!({}))
        .await
        .expect_err("a server's own folder");
    assert!(refused.message.contains("data file of a server"), "{refused}");
    let missing = place
        .restore(&at(&place.path("dmup")), json!({}))
        .await
        .expect_err("not there");
    assert_eq!(missing.kind, FailureKind::ArchiveNotFound);
    fs::create_dir(place.path("empty")).expect("made");
    let empty = place
        .restore(&at(&place.path("empty")), json!({}))
        .await
        .expect_err("empty");
    assert_eq!(empty.kind, FailureKind::InvalidRequest, "{empty}");
}
