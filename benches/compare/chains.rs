//! What an increment costs beside a full backup of the same database, and beside the change stream that it rests on; and
//! what a restore of a long chain costs beside one of a full archive; and how much of a full archive of a chain is copied.

use bson::{Timestamp, doc};
use serde_json::json;

use crate::Scale;
use crate::child;
use crate::dataset;
use crate::measure::{self, Sample, Series};
use crate::record::Record;
use crate::servers::Servers;

const DATABASE: &str = "shop";
const TARGET: &str = "shop_restored";
const ROUNDS: usize = 5;
/// Of how many documents one changes before an increment, and what share of a full backup's time and CPU it may take.
const CHANGED: [(f64, f64); 3] = [(0.001, 0.06), (0.01, 0.25), (0.1, 0.0)];
/// How many times the bare change stream's time an increment of one percent may take.
const OVER_STREAM: f64 = 2.5;
/// What share of a full archive of such a chain S3 is to copy.
const COPIED: f64 = 0.9;
const INCREMENTS: usize = 100;
/// What a restore of a chain may take over that of a full archive.
const OVER_FULL: f64 = 1.15;

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("chains");
    let servers = Servers::start();
    servers.describe(&mut record);
    eprintln!("filling {DATABASE}");
    let planned = dataset::mixed(scale);
    servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, DATABASE, &planned));
    servers.settle();
    let (_, report) = servers.run(&["backup"], DATABASE);
    let bytes = report["totals"]["bytes"].as_u64().expect("a size");
    record.condition(
        "database",
        format!(
            "{:.0} MB of BSON, as for the mode backup; what changes is a field of events and orders",
            bytes as f64 / 1e6
        ),
    );
    record.condition(
        "change stream",
        "the same events, whole, read by the driver in replies of 10,000 and thrown away",
    );
    costs(&servers, scale, bytes, &mut record);
    compactions(&servers, scale, bytes, &mut record);
    restores(&servers, scale, bytes, &mut record);
    record
}

fn costs(servers: &Servers, scale: Scale, bytes: u64, record: &mut Record) {
    let full = || servers.run(&["backup"], DATABASE).0;
    let mut series = vec![Series::new("a full backup, jsonl + zstd, to S3", bytes)];
    for (share, _) in CHANGED {
        series.push(Series::new(format!("an increment, {} % changed", share * 100.0), bytes));
    }
    series.push(Series::new("the change stream of 1 %, thrown away", bytes));
    for _ in 0..scale.repetitions(ROUNDS) {
        series[0].add(full());
        for (row, (share, _)) in CHANGED.into_iter().enumerate() {
            let (since, changed) = change(servers, share);
            let (sample, report) = servers.run(&["backup", "--incremental", "--no-full"], DATABASE);
            assert_eq!(report["kind"], "increment");
            series[row + 1].add(sample);
            if row == 1 {
                series[CHANGED.len() + 1].add(streamed(servers, since, changed));
            }
        }
    }
    record.costs("Increments of the same database", &series);
    let cpu = |series: &Series| series.median(|sample| sample.cpu + sample.mongod);
    for (row, (share, limit)) in CHANGED.into_iter().enumerate() {
        let (wall, cpu) = (
            series[row + 1].wall() / series[0].wall(),
            cpu(&series[row + 1]) / cpu(&series[0]),
        );
        record.value(json!({"name": "increment", "changed": share, "wall": wall, "cpu": cpu, "target": limit}));
        let percent = share * 100.0;
        if limit > 0.0 {
            record.target(
                wall <= limit && cpu <= limit,
                format!("{percent} % changed: {wall:.3} of a full backup's time and {cpu:.3} of its CPU time, that of mongod with it; {limit} are allowed"),
            );
        }
    }
    let over = series[2].wall() / series[CHANGED.len() + 1].wall();
    record.value(json!({"name": "over the change stream", "wall": over, "target": OVER_STREAM}));
    record.target(
        over <= OVER_STREAM,
        format!("1 % changed: {over:.2} of the time of the change stream alone; {OVER_STREAM} are allowed"),
    );
}

/// A full archive of a chain whose last increment has 1 % of the documents, those at the ends of the collections.
fn compactions(servers: &Servers, scale: Scale, bytes: u64, record: &mut Record) {
    let mut series = [
        Series::new("a full backup of the database", bytes),
        Series::new(
            "the same of a chain, 1 % changed at the end, without the database",
            bytes,
        ),
    ];
    let (mut copied, mut length) = (0, 0);
    for _ in 0..scale.repetitions(ROUNDS) {
        series[0].add(servers.run(&["backup"], DATABASE).0);
        servers.runtime.block_on(change_at_the_end(servers));
        servers.settle();
        servers.run(&["backup", "--incremental", "--no-full"], DATABASE);
        let (sample, report) = servers.run(&["compact"], DATABASE);
        series[1].add(sample);
        copied = report["copied_bytes"].as_u64().expect("a number");
        length = report["archive_bytes"].as_u64().expect("a number");
    }
    record.costs("Full archives", &series);
    let share = copied as f64 / length as f64;
    record.value(json!({"name": "copied", "share": share, "target": COPIED}));
    record.target(
        share >= COPIED,
        format!(
            "of a full archive of a chain, S3 copies {share:.2} of {:.0} MB; {COPIED} are asked for",
            length as f64 / 1e6
        ),
    );
}

async fn change_at_the_end(servers: &Servers) {
    let client = servers.mongod.client().await;
    let database = client.database(DATABASE);
    for name in ["events", "orders"] {
        let collection = database.collection::<bson::Document>(name);
        let all = collection.estimated_document_count().await.expect("a number");
        let found = collection
            .find_one(doc! {})
            .sort(doc! {"_id": -1})
            .skip(all / 100)
            .await;
        let first = found.expect("an answer").expect("a document").get("_id").cloned();
        let last = doc! {"_id": {"$gte": first}};
        let updated = collection.update_many(last, doc! {"$inc": {"changed": 1}}).await;
        updated.expect("updated");
    }
}

/// Changes a share of the documents; says since when, and how many.
fn change(servers: &Servers, share: f64) -> (Timestamp, i64) {
    let changed = servers.runtime.block_on(async {
        let client = servers.mongod.client().await;
        let database = client.database(DATABASE);
        let hello = database.run_command(doc! {"hello": 1}).await.expect("an answer");
        let since = hello.get_timestamp("operationTime").expect("a time");
        let mut changed = 0;
        for collection in ["events", "orders"] {
            let some = doc! {"$expr": {"$lt": [{"$rand": {}}, share]}};
            let update = doc! {"q": some, "u": {"$inc": {"changed": 1}}, "multi": true};
            let reply = database
                .run_command(doc! {"update": collection, "updates": [update]})
                .await;
            changed += i64::from(reply.expect("updated").get_i32("nModified").expect("a number"));
        }
        (since, changed)
    });
    servers.settle();
    changed
}

fn streamed(servers: &Servers, since: Timestamp, events: i64) -> Sample {
    let mut command = child::changes(&servers.mongod.uri(), DATABASE, since, events);
    measure::program(&mut command, servers.mongod.pid()).0
}

fn restores(servers: &Servers, scale: Scale, bytes: u64, record: &mut Record) {
    let (_, full) = servers.run(&["backup"], DATABASE);
    eprintln!("{INCREMENTS} increments");
    let mut last = full;
    for _ in 0..INCREMENTS {
        change(servers, 0.0005);
        last = servers.run(&["backup", "--incremental", "--no-full"], DATABASE).1;
    }
    let (_, full) = servers.run(&["backup"], DATABASE);
    let archives = [&full, &last].map(|report| report["archive"].as_str().expect("a location").to_owned());
    let names = [
        "a restore of a full archive",
        "a restore of a chain of it and 100 increments, 5 % changed in all",
    ];
    let mut series = names.map(|name| Series::new(name, bytes));
    for _ in 0..scale.repetitions(3) {
        for (series, archive) in series.iter_mut().zip(&archives) {
            servers.drop_database(TARGET);
            servers.settle();
            series.add(servers.run(&["restore", archive, "--yes", "--no-snapshot"], TARGET).0);
        }
    }
    record.costs("Restores of the same moment", &series);
    let over = series[1].wall() / series[0].wall();
    record.value(json!({"name": "chain over full", "wall": over, "target": OVER_FULL}));
    record.target(
        over <= OVER_FULL,
        format!(
            "a chain of {INCREMENTS} increments takes {over:.2} of the time of a full archive; {OVER_FULL} are allowed"
        ),
    );
}
