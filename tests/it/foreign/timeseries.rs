//! Time series in archives that do not know what they are: by metadata, by buckets, by sample, or not at all.

use bson::oid::ObjectId;
use bson::{DateTime, Document, doc};
use mongotar::backup::RunStatus;
use mongotar::catalog::Kind;
use mongotar::plan::{Action, Signal};
use mongotar::restore::Changed;
use serde_json::json;

use super::mongodump::Archive;
use super::{Place, bson_of, of, place};
use crate::cli::{Shell, archive};
use crate::support;

/// Readings as the ancestor's users have them. The keys of `meta` are not in the order in which a time series keeps
/// them.
fn readings() -> Vec<Document> {
    let reading = |n: i64| {
        doc! {"_id": n, "ts": DateTime::from_millis(1_700_000_000_000 + n * 60_000), "meta": {"station": {"uid": n % 4, "name": "s"}, "city": "c"}, "aqi": 0.5 + n as f64}
    };
    (0..250).map(reading).collect()
}

impl Place {
    /// What a collection of the source holds.
    async fn documents(&self, collection: &str) -> Vec<Document> {
        let raw = self.raw(&self.source, collection).await;
        raw.iter()
            .map(|raw| bson::deserialize_from_slice(raw).expect("a document"))
            .collect()
    }
}

async fn series() -> Place {
    let place = place().await;
    place
        .run(doc! {"create": "waqi", "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "hours"}})
        .await;
    place.insert("waqi", readings()).await;
    place
        .insert("other", vec![doc! {"_id": 1, "ts": DateTime::now()}])
        .await;
    place
}

#[tokio::test]
async fn each_signal_makes_a_time_series_and_says_so() {
    let place = series().await;
    for (more, signal) in [
        (json!({"metadata": "options", "buckets": true}), Signal::Metadata),
        (json!({"buckets": true}), Signal::Buckets),
        (json!({}), Signal::Sample),
        (json!({"mode": "legacy", "gzip": true}), Signal::Sample),
    ] {
        let archive = place.export("series.tar", more.clone());
        place.drop_target().await;
        for replace in [false, true] {
            let report = place
                .restore(&archive, json!({"replace_existing": replace}))
                .await
                .expect("a report");
            assert_eq!(report.status, RunStatus::Complete, "{more}: {:?}", report.verification);
            assert_eq!(
                report.plan.to_restore,
                ["other", "waqi"],
                "buckets are never restored themselves"
            );
            let row = report.plan.get("waqi").expect("a row");
            let inferred = row.timeseries.as_ref().expect("a time series");
            assert_eq!((row.kind, inferred.signal), (Kind::Timeseries, signal), "{more}");
            assert!(!inferred.evidence.is_empty());
            assert_eq!(of(&report, "waqi").db_count, 250);
        }
        let options = place.options("waqi").await;
        let timeseries = options.get_document("timeseries").expect("a time series");
        assert_eq!(
            (
                timeseries.get_str("timeField").ok(),
                timeseries.get_str("metaField").ok(),
                timeseries.get_str("granularity").ok()
            ),
            (Some("ts"), Some("meta"), Some("hours"))
        );
        assert_eq!(place.options("other").await, doc! {});
    }
}

#[tokio::test]
async fn readings_of_an_ordinary_collection_become_a_time_series_that_is_equal() {
    // A time series sorts the fields within meta: the restored readings were called different, though the server had
    // them all.
    let place = place().await;
    place.insert("waqi", readings()).await;
    let archive = place.export("plain.tar", json!({}));
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    let waqi = of(&report, "waqi");
    assert_eq!((waqi.kind, waqi.db_count, waqi.equal), (Kind::Timeseries, 250, true));
    assert_eq!(waqi.sample_hash_archive, waqi.sample_hash_database);
}

#[tokio::test]
async fn inference_can_be_switched_off() {
    let place = series().await;
    let archive = place.export("series.tar", json!({"buckets": true}));
    let report = place
        .restore(&archive, json!({"infer_timeseries": false}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(of(&report, "waqi").kind, Kind::Collection);
    assert_eq!(place.options("waqi").await, doc! {});
    assert_eq!(place.raw(&place.target, "waqi").await.len(), 250);

    // What metadata says is no inference.
    let archive = place.export("described.tar", json!({"metadata": "list"}));
    place.drop_target().await;
    let report = place
        .restore(&archive, json!({"infer_timeseries": false}))
        .await
        .expect("a report");
    assert_eq!(of(&report, "waqi").kind, Kind::Timeseries);
}

#[tokio::test]
async fn an_ordinary_collection_that_is_there_stays_one_unless_it_is_replaced() {
    let place = series().await;
    let archive = place.export("series.tar", json!({"metadata": "options"}));
    let there = place.client.database(&place.target).collection::<Document>("waqi");
    there.insert_one(doc! {"_id": "own"}).await.expect("inserted");
    for _ in 0..2 {
        let report = place.restore(&archive, json!({})).await.expect("a report");
        // The documents are there; the time series of the archive is not.
        assert_eq!(report.status, RunStatus::Partial, "{:?}", report.verification);
        assert_eq!(of(&report, "waqi").options_diff.added, ["timeseries"]);
        assert_eq!(of(&report, "waqi").digest_archive, of(&report, "waqi").digest_database);
        let row = report.plan.get("waqi").expect("a row");
        assert_eq!((row.action, row.kind), (Action::Merge, Kind::Collection));
        assert!(
            row.warnings.iter().any(|warning| warning.contains("time series")),
            "{:?}",
            row.warnings
        );
        assert_eq!(place.raw(&place.target, "waqi").await.len(), 251);
    }
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(of(&report, "waqi").kind, Kind::Timeseries);
    assert_eq!(place.raw(&place.target, "waqi").await.len(), 250);
}

#[tokio::test]
async fn a_reading_without_a_date_is_refused_by_name() {
    let place = place().await;
    let lines = (0..120)
        .map(|n| match n {
            110 => "{\"_id\": 110, \"meta\": {}}\n".to_owned(),
            n => format!(
                "{{\"_id\": {n}, \"ts\": {{\"$date\": {}}}, \"meta\": {{\"s\": 1}}}}\n",
                1_700_000_000_000_i64 + n
            ),
        })
        .collect::<String>();
    let archive = place.tar("undated.tar", &[("backup_1/r.jsonl", lines.as_bytes())]);
    let report = place.restore(&archive, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    let r = of(&report, "r");
    assert_eq!(
        (r.kind, r.file_count, r.db_count, r.rejected),
        (Kind::Timeseries, 120, 119, 1)
    );
    assert_eq!(r.rejections[0].id, r#"{"_id":{"$numberInt":"110"}}"#);
}

/// A dump of `mongodump` has a time series as its buckets. They were named as left out, and all measurements missing.
#[tokio::test]
async fn the_buckets_of_a_dump_come_back_as_the_time_series_that_it_was() {
    let place = series().await;
    let buckets = place.raw(&place.source, "system.buckets.waqi").await.concat();
    let measurements = place.raw(&place.source, "waqi").await;
    let definition = br#"{"options":{"timeseries":{"timeField":"ts","metaField":"meta","granularity":"hours","bucketMaxSpanSeconds":{"$numberInt":"2592000"}}},"indexes":[{"v":{"$numberInt":"2"},"key":{"meta.city":{"$numberInt":"1"},"ts":{"$numberInt":"1"}},"name":"city"}],"type":"timeseries","collectionName":"waqi"}"#;
    let of_dump: [(&str, &[u8]); 2] = [
        ("shop/waqi.metadata.json", definition),
        ("shop/system.buckets.waqi.bson", &buckets),
    ];
    let tar = place.tar("dump.tar", &of_dump);
    std::fs::create_dir_all(place.path("shop")).expect("made");
    for (path, content) in of_dump {
        std::fs::write(place.path(path), content).expect("written");
    }
    let folder = format!("{}/", place.path("shop").display());
    let documents = place.documents("system.buckets.waqi").await;
    let metadata = std::str::from_utf8(definition).expect("text");
    let interleaved = Archive::of(&[("shop", "waqi", metadata)])
        .block("shop", "system.buckets.waqi", &documents)
        .end("shop", "system.buckets.waqi", &documents);
    let archive = place.file("mongodump.archive", &interleaved.0);
    for archive in [&tar, &folder, &archive] {
        for more in [json!({}), json!({"replace_existing": true})] {
            let report = place.restore(archive, more).await.expect("a report");
            assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
            let row = report.plan.get("waqi").expect("a row");
            let planned = row.buckets.as_ref().expect("buckets");
            assert_eq!(
                (planned.collection.as_str(), planned.measurements),
                ("system.buckets.waqi", 250)
            );
            assert_eq!(of(&report, "waqi").digest_archive, of(&report, "waqi").digest_database);
            assert!(of(&report, "waqi").index_diff.is_empty());
            assert_eq!(place.raw(&place.target, "system.buckets.waqi").await.concat(), buckets);
        }
        let compared = support::against(&place.tools, archive, &place.target).await;
        assert_eq!(compared.status, RunStatus::Complete, "{compared:?}");
        let mut back = place.raw(&place.target, "waqi").await;
        let mut measurements = measurements.clone();
        back.sort_unstable();
        measurements.sort_unstable();
        assert_eq!(back, measurements);
        place.drop_target().await;
    }
    // Under another name, into the buckets of that one.
    let report = place
        .restore(&tar, json!({"rename": ["waqi=air"]}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(place.raw(&place.target, "air").await.len(), 250);

    // A bucket that says that it holds more than the server finds.
    let lying = doc! {"_id": ObjectId::new(), "meta": 1, "control": {
        "version": 1, "count": 9, "min": {"ts": DateTime::from_millis(0)}, "max": {"ts": DateTime::from_millis(0)},
    }, "data": {"ts": {"0": DateTime::from_millis(0)}}};
    let lies = place.tar(
        "lies.tar",
        &[of_dump[0], ("shop/system.buckets.waqi.bson", &bson_of(&[lying]))],
    );
    place.drop_target().await;
    let report = place.restore(&lies, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial, "{:?}", report.verification);
    let error = of(&report, "waqi").error.clone().unwrap_or_default();
    assert!(error.contains("1 measurements in them instead of 9"), "{error}");
}

/// Told as `complete`, and what only the target had was dropped.
#[tokio::test]
async fn buckets_that_the_target_cannot_take_leave_the_restore_partial_and_nothing_is_dropped() {
    let place = series().await;
    let buckets = place.raw(&place.source, "system.buckets.waqi").await.concat();
    let definition = br#"{"options":{"timeseries":{"timeField":"ts","metaField":"meta"}},"indexes":[],"type":"timeseries","collectionName":"waqi"}"#;
    let dump = place.tar(
        "dump.tar",
        &[
            ("shop/waqi.metadata.json", definition),
            ("shop/system.buckets.waqi.bson", &buckets),
            ("shop/orders.bson", &bson_of(&[doc! {"_id": 1}])),
        ],
    );
    let target = place.client.database(&place.target);
    for name in ["waqi", "extra"] {
        let there = target.collection::<Document>(name);
        there.insert_one(doc! {"_id": "own"}).await.expect("inserted");
    }
    let everything = json!({"drop_missing": true});
    let report = place.restore(&dump, everything).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial, "{:?}", report.verification);
    assert!(
        report.summary.contains("of 2 collections, 1 is not equal: waqi"),
        "{}",
        report.summary
    );
    assert!(of(&report, "orders").equal);
    let left = of(&report, "waqi");
    assert_eq!((left.equal, left.changed, left.file_count), (false, Changed::No, 0));
    assert_eq!(place.raw(&place.target, "extra").await.len(), 1, "it was dropped");
    let row = report.plan.get("extra").expect("a row");
    assert_eq!(row.action, Action::Skip, "{}", row.reason);

    // Also where nothing else is restored.
    let alone = json!({"include": ["waqi"]});
    let report = place.restore(&dump, alone).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial, "{:?}", report.verification);
    assert_eq!(place.raw(&place.target, "waqi").await.len(), 1);
}

/// Which buckets the server refused stood on standard error alone.
#[tokio::test]
async fn buckets_that_the_server_refuses_are_in_the_report_by_their_ids() {
    let place = series().await;
    let mut buckets = place.documents("system.buckets.waqi").await;
    let refused = buckets[0].clone();
    let control = buckets[0].get_document_mut("control").expect("a bucket");
    control.insert("min", "no document");
    let definition = br#"{"options":{"timeseries":{"timeField":"ts","metaField":"meta"}},"indexes":[],"type":"timeseries","collectionName":"waqi"}"#;
    let dump = place.tar(
        "dump.tar",
        &[
            ("shop/waqi.metadata.json", definition),
            ("shop/system.buckets.waqi.bson", &bson_of(&buckets)),
        ],
    );
    let shell = Shell::new().set("MONGO_DB", &place.target);
    let id = refused.get_object_id("_id").expect("an id").to_hex();
    let restore = ["restore", &dump, "--yes", "--no-snapshot"];
    let report = shell.json(3, &restore);
    let waqi = &report["verification"]["collections"][0];
    assert_eq!(waqi["rejected"], json!(1), "{waqi}");
    assert!(waqi["rejections"][0]["id"].to_string().contains(&id), "{waqi}");
    let of_all = format!("refused 1 of its {} buckets", buckets.len());
    assert!(waqi["error"].to_string().contains(&of_all), "{waqi}");
    place.drop_target().await;
    let said = shell.run(&restore).expect(3).out;
    assert!(said.contains(&of_all) && said.contains(&id), "{said}");
}

/// `show` listed the number of buckets as that of documents, and `cat` wrote them without a word.
#[tokio::test]
async fn show_and_cat_say_that_a_dump_has_buckets() {
    let place = series().await;
    let buckets = place.raw(&place.source, "system.buckets.waqi").await;
    let definition = br#"{"options":{"timeseries":{"timeField":"ts","metaField":"meta"}},"indexes":[],"type":"timeseries","collectionName":"waqi"}"#;
    let entries: [(&str, &[u8]); 3] = [
        ("shop/waqi.metadata.json", definition),
        ("shop/system.buckets.waqi.bson", &buckets.concat()),
        ("shop/orders.bson", &bson_of(&[doc! {"_id": 1}])),
    ];
    let dump = place.tar("dump.tar", &entries);
    let shell = Shell::new().set("MONGO_DB", &place.source);
    let shown = shell.run(&["show", &dump]).expect(0).out;
    let row = shown
        .lines()
        .find(|line| line.trim_start().starts_with("waqi"))
        .expect("a row");
    assert!(row.contains(&format!("250 in {} buckets", buckets.len())), "{shown}");
    let shown = shell.json(0, &["show", &dump]);
    assert_eq!(shown["measurements"], json!({"waqi": 250}), "{shown}");
    // The plan had the number of buckets as that of documents.
    let plan = shell
        .copy()
        .set("MONGO_DB", &place.target)
        .run(&["plan", &dump])
        .expect(0)
        .out;
    let row = plan.lines().find(|line| line.contains(" waqi ")).expect("a row");
    assert!(row.contains(&format!(" 250 in {} buckets ", buckets.len())), "{plan}");
    let sum = format!(
        "{} documents ({} of them buckets of time series)",
        buckets.len() + 1,
        buckets.len()
    );
    assert!(plan.contains(&sum), "{plan}");
    let cat = shell.run(&["cat", &dump, "waqi"]).expect(0);
    assert_eq!(cat.out.lines().count(), buckets.len());
    assert!(
        cat.err.contains("250 measurements") && cat.err.contains("what follows are buckets"),
        "{}",
        cat.err
    );
    let cat = shell.run(&["cat", &dump, "orders"]).expect(0);
    assert_eq!((cat.out.lines().count(), cat.err.as_str()), (1, ""));
    // An archive of ours has measurements.
    let own = archive(&shell.backed_up(&[]));
    let cat = shell.run(&["cat", &own, "waqi"]).expect(0);
    assert_eq!((cat.out.lines().count(), cat.err.as_str()), (250, ""));
    assert!(!shell.run(&["show", &own]).expect(0).out.contains("buckets"));
}
