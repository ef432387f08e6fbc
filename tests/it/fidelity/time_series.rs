//! FIELD 3, case 6: measurements come back as measurements.

use bson::doc;
use serde_json::json;

use super::documents::identified;
use super::harness::{FORMS, assert_same, back_up_as, held, index, of, put, restore_whole, run};
use super::raw::Raw;
use crate::{rig, support};
use mongotar::backup::Tools;

const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_795_226_400_000;

/// Time series of each sort.
pub async fn build(client: &mongodb::Client, tools: &Tools, database: &str) {
    for create in [
        doc! {"create": "series", "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "minutes"}},
        doc! {"create": "series without meta", "timeseries": {"timeField": "ts", "granularity": "hours"}},
        doc! {"create": "series that expires", "timeseries": {"timeField": "ts", "metaField": "m"}, "expireAfterSeconds": 1_000_000_000_i64},
        doc! {"create": "collated series", "timeseries": {"timeField": "ts", "metaField": "m"}, "collation": {"locale": "de"}},
        doc! {"create": "empty series", "timeseries": {"timeField": "ts"}},
        doc! {"create": "a view on series", "viewOn": "series", "pipeline": [{"$match": {"meta.station": 1}}]},
    ] {
        run(client, database, create).await;
    }
    let measurement = |n: i32| {
        let meta = Raw::new()
            .int32("station", n % 3)
            .document("place", Raw::new().int32("y", 1).int32("x", 2));
        Raw::new()
            .double_bits("value", f64::from(n).to_bits())
            .date("ts", NOW - i64::from(n) * HOUR)
            .document("meta", meta)
    };
    let rows: Vec<_> = (0..500).map(|n| identified(n, &measurement(n as i32))).collect();
    put(tools, database, "series", &rows).await;
    // Measurements need no _id, and those that have one may share it.
    let mut odd: Vec<_> = (0..5).map(|n| measurement(n).bytes()).collect();
    odd.extend((0..5).map(|n| identified(7, &measurement(n))));
    odd.push(identified(8, &measurement(8)));
    odd.push(identified(8, &measurement(8)));
    odd.push(identified(
        9,
        &measurement(9)
            .timestamp("stamp", 0)
            .text("a.b", "x")
            .element(0x06, "u", []),
    ));
    put(tools, database, "series without meta", &odd).await;
    for collection in ["series that expires", "collated series"] {
        put(tools, database, collection, &rows[..20]).await;
    }
    index(
        client,
        database,
        "series",
        vec![
            doc! {"key": {"meta.station": 1, "ts": -1}, "name": "by station"},
            doc! {"key": {"meta.place": "2dsphere"}, "name": "hidden", "hidden": true},
        ],
    )
    .await;
}

/// Documents without an `_id`, or with one that others have too, were not found again by the sample, which then
/// differed from itself.
#[tokio::test(flavor = "multi_thread")]
async fn measurements_come_back_once_each_however_they_are_identified() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build(&client, &tools, &source).await;
    let before = held(&client, &tools, &source).await;
    for form in [FORMS[2], FORMS[3]] {
        let archive = back_up_as(&tools, &source, &support::folder(), form).await;
        restore_whole(&tools, &archive, &target, json!({"replace_existing": true})).await;
        assert_same(&before, &held(&client, &tools, &target).await, &format!("{form:?}"));
        // A time series cannot be merged: restoring it again must not double it.
        let again = restore_whole(&tools, &archive, &target, json!({})).await;
        assert_eq!(of(&again, "series").inserted, 500);
        assert_same(
            &before,
            &held(&client, &tools, &target).await,
            &format!("{form:?}, again"),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_time_to_live_come_back() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    for create in [
        doc! {"create": "seconds", "timeseries": {"timeField": "ts", "granularity": "seconds"}, "expireAfterSeconds": 1_000_000_000_i64},
        doc! {"create": "minutes", "timeseries": {"timeField": "at", "metaField": "who", "granularity": "minutes"}},
        // Said explicitly, as far as this server lets it be said; a newer one takes other spans, too.
        doc! {"create": "spans", "timeseries": {"timeField": "ts", "granularity": "hours", "bucketMaxSpanSeconds": 2_592_000}, "expireAfterSeconds": 1_000_000_000_i64},
    ] {
        run(&client, &source, create).await;
    }
    let before = held(&client, &tools, &source).await;
    for (name, said) in [
        ("seconds", "bucketMaxSpanSeconds\":{\"$numberInt\":\"3600"),
        ("minutes", "\"granularity\":\"minutes"),
        ("spans", "2592000"),
    ] {
        assert!(before[name].0.contains(said), "{}", before[name].0);
    }
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    for replace in [false, true] {
        restore_whole(&tools, &archive, &target, json!({"replace_existing": replace})).await;
        assert_same(&before, &held(&client, &tools, &target).await, "restored");
    }
}

/// The names that a path, an operator or an array's index would have, where the server takes them.
#[tokio::test(flavor = "multi_thread")]
async fn odd_names_of_fields_come_back_also_within_arrays() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    let odd = |n: i32| {
        Raw::new()
            .int32("$set", n)
            .int32("a.b", n)
            .int32("", 1)
            .int32("0", 1)
            .text("meta", "not the meta field")
            .document("$oid", Raw::new().int32("z.y", 1).int32("$a", 2).int32("", 3))
    };
    let series = doc! {"timeField": "ts", "metaField": "m"};
    run(&client, &source, doc! {"create": "series", "timeseries": series}).await;
    let row = |n: i32| {
        let array = Raw::new()
            .document("0", odd(n))
            .document("1", Raw::new().document("0", odd(n)));
        let meta = Raw::new().element(0x04, "list", Raw::new().document("0", odd(n % 2)).bytes());
        identified(
            n.unsigned_abs() as usize,
            &Raw::new()
                .date("ts", NOW + i64::from(n))
                .document("m", meta)
                .element(0x04, "array", array.bytes())
                .document("sub", odd(n))
                .int32("a.b", n),
        )
    };
    put(&tools, &source, "series", &(0..50).map(row).collect::<Vec<_>>()).await;
    let before = held(&client, &tools, &source).await;
    assert_eq!(before["series"].1.len(), 50);
    for form in [FORMS[2], FORMS[3]] {
        let archive = back_up_as(&tools, &source, &support::folder(), form).await;
        restore_whole(&tools, &archive, &target, json!({"replace_existing": true})).await;
        assert_same(&before, &held(&client, &tools, &target).await, &format!("{form:?}"));
    }
}

/// Written past the validator of the buckets, a measurement without a time would be there and could never be read.
#[tokio::test(flavor = "multi_thread")]
async fn force_does_not_write_past_the_buckets_validator() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build(&client, &tools, &source).await;
    let before = held(&client, &tools, &source).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    run(&client, &target, doc! {"profile": 2}).await;
    restore_whole(&tools, &archive, &target, json!({"force": true})).await;
    run(&client, &target, doc! {"profile": 0}).await;
    assert_same(&before, &held(&client, &tools, &target).await, "forced");
    let profile = client.database(&target).collection::<bson::Document>("system.profile");
    let inserts = |more: bson::Document| {
        let mut filter = doc! {"op": "insert", "ns": format!("{target}.series")};
        filter.extend(more);
        profile.count_documents(filter)
    };
    assert!(
        inserts(doc! {}).await.expect("a count") > 0,
        "this is how they are found"
    );
    assert_eq!(
        inserts(doc! {"command.bypassDocumentValidation": true})
            .await
            .expect("a count"),
        0
    );
}
