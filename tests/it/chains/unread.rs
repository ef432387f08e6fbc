//! Collections that can only be read whole are not read where nothing in them changed.

use bson::{Document, doc};
use mongodb::options::TimeseriesOptions;
use mongotar::backup::BackupReport;

use super::{Beginning, base, comes_back, content, increment};
use crate::support::insert;

fn changed(report: &BackupReport, name: &str) -> Option<u64> {
    let row = report.collections.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("{name} is not listed")).changed
}

#[tokio::test(flavor = "multi_thread")]
async fn series_and_capped_collections_are_read_only_if_they_changed() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    let database = client.database(&name);
    for series in ["quiet", "busy", "emptied"] {
        let of = TimeseriesOptions::builder()
            .time_field("at")
            .meta_field(Some("of".to_owned()))
            .build();
        database
            .create_collection(series)
            .timeseries(of)
            .await
            .expect("a time series");
        let readings = (0..100_i64).map(|n| doc! {"at": bson::DateTime::from_millis(n * 1_000), "of": "a", "v": n});
        insert(&client, &name, series, readings.collect()).await;
    }
    for capped in ["full", "log"] {
        database
            .create_collection(capped)
            .capped(true)
            .size(1 << 20)
            .await
            .expect("capped");
        insert(&client, &name, capped, (0..10).map(|id| doc! {"_id": id}).collect()).await;
    }
    base(&tools, &name, &destination).await;
    let reading = doc! {"at": bson::DateTime::from_millis(50_500), "of": "a", "v": 1};
    insert(&client, &name, "busy", vec![reading]).await;
    let emptied = database
        .collection::<Document>("emptied")
        .delete_many(doc! {"of": "a"})
        .await;
    emptied.expect("deleted");
    insert(&client, &name, "log", vec![doc! {"_id": "more"}]).await;
    let report = increment(&tools, &name, &destination).await;
    for (collection, expected) in [
        ("quiet", Some(0)),
        ("busy", None),
        ("emptied", None),
        ("full", Some(0)),
        ("log", None),
    ] {
        assert_eq!(changed(&report, collection), expected, "{collection}");
    }
    comes_back(&client, &tools, &report.archive, &content(&client, &tools, &name).await).await;
    // And the next time nothing at all.
    let report = increment(&tools, &name, &destination).await;
    assert!(
        report.collections.iter().all(|row| row.changed == Some(0)),
        "{report:?}"
    );
    comes_back(&client, &tools, &report.archive, &content(&client, &tools, &name).await).await;
}
