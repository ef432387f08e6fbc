//! Peak memory: the same whatever the data.

use bson::doc;

use crate::Scale;
use crate::dataset::{self, Planned, Shape};
use crate::measure::Series;
use crate::record::Record;
use crate::servers::Servers;

/// What a run may take at most by default on two cores, and what it is given where memory is scarce, bytes.
const LIMIT: u64 = 190_000_000;
const SCARCE: u64 = 64_000_000;
const GIGABYTE: u64 = 1_000_000_000;

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("memory");
    let servers = Servers::start();
    servers.describe(&mut record);
    let fill = |database: &str, shape, bytes| {
        let bytes = scale.amount(bytes);
        let planned = Planned::of_size("only", shape, bytes);
        eprintln!("filling {database}: {} MB", bytes / 1_000_000);
        let bytes = servers
            .runtime
            .block_on(dataset::fill(&servers.mongod, database, &[planned]));
        servers.settle();
        bytes
    };
    record.condition(
        "database",
        "one collection of orders (1.1 KB each), and one of documents of 15 MB that cannot be compressed",
    );

    let mut two = Vec::new();
    let bytes = fill("two", Shape::Order, 2 * GIGABYTE);
    for payload in ["jsonl", "bson"] {
        for compression in ["zstd", "gzip", "none"] {
            let name = format!("backup, {payload} + {compression}");
            let arguments = ["backup", "--payload", payload, "--compression", compression];
            two.push(Series::take(&name, bytes, 1, || servers.run(&arguments, "two").0));
        }
    }
    let (_, report) = servers.run(&["backup"], "two");
    let archive = report["archive"].as_str().expect("a location").to_owned();
    servers.drop_database("two");
    let restore = Series::take("restore of 2 GB, jsonl + zstd, verified", bytes, 1, || {
        servers.run(&["restore", &archive, "--yes", "--no-snapshot"], "two").0
    });
    servers.drop_database("two");

    let mut scarce = Vec::new();
    let within = ["restore", &archive, "--yes", "--no-snapshot", "--memory", "64"];
    scarce.push(Series::take("restore of 2 GB within 64 MB", bytes, 1, || {
        servers.run(&within, "two").0
    }));
    for (payload, compression) in [("jsonl", "zstd"), ("jsonl", "none"), ("bson", "none")] {
        let name = format!("backup of 2 GB within 64 MB, {payload} + {compression}");
        let arguments = [
            "backup",
            "--payload",
            payload,
            "--compression",
            compression,
            "--memory",
            "64",
        ];
        scarce.push(Series::take(&name, bytes, 1, || servers.run(&arguments, "two").0));
    }
    servers.drop_database("two");

    let mut sizes = Vec::new();
    for (gigabytes, database) in [(1, "one"), (4, "four")] {
        let bytes = fill(database, Shape::Order, gigabytes * GIGABYTE);
        let mut archive = String::new();
        let name = format!("backup of {gigabytes} GB, jsonl + zstd");
        sizes.push(Series::take(&name, bytes, 1, || {
            let (run, report) = servers.run(&["backup"], database);
            report["archive"].as_str().expect("a location").clone_into(&mut archive);
            run
        }));
        servers.drop_database(database);
        let name = format!("restore of {gigabytes} GB, jsonl + zstd, verified");
        let arguments = ["restore", &archive, "--yes", "--no-snapshot"];
        sizes.push(Series::take(&name, bytes, 1, || servers.run(&arguments, database).0));
        servers.drop_database(database);
    }
    let bytes = fill("blobs", Shape::Blob, GIGABYTE / 2);
    let mut blobs = Vec::new();
    for (payload, compression) in [("jsonl", "zstd"), ("jsonl", "none"), ("bson", "none")] {
        let name = format!("backup of documents of 15 MB, {payload} + {compression}");
        let arguments = ["backup", "--payload", payload, "--compression", compression];
        blobs.push(Series::take(&name, bytes, 1, || servers.run(&arguments, "blobs").0));
    }

    let changes = changes(&servers, scale);

    let worst = two
        .iter()
        .chain(&sizes)
        .chain(&blobs)
        .chain([&restore, &changes[0]])
        .max_by_key(|series| series.peak())
        .expect("some runs");
    record.target(
        worst.peak() <= LIMIT,
        format!(
            "the largest of these runs takes {:.0} MB ({}); {:.0} MB are allowed",
            worst.peak() as f64 / 1e6,
            worst.name,
            LIMIT as f64 / 1e6
        ),
    );
    for (one, four) in [(0, 2), (1, 3)].map(|(one, four)| (&sizes[one], &sizes[four])) {
        record.target(
            four.peak() <= one.peak() / 4 * 5,
            format!(
                "{} takes {:.0} MB, where {} takes {:.0}; a quarter more is allowed",
                four.name,
                four.peak() as f64 / 1e6,
                one.name,
                one.peak() as f64 / 1e6
            ),
        );
    }
    let worst = scarce
        .iter()
        .chain(&changes[1..])
        .max_by_key(|series| series.peak())
        .expect("some runs");
    record.target(
        worst.peak() <= SCARCE,
        format!(
            "the largest within 64 MB takes {:.1} MB ({})",
            worst.peak() as f64 / 1e6,
            worst.name
        ),
    );
    record.costs("Within 64 MB", &scarce);
    record.costs("Backups of one collection of 2 GB to S3", &two);
    record.costs("Other sizes", &sizes);
    record.costs("Restore", &[restore]);
    record.costs(
        "Increments, each after ten million documents of ten million were changed or removed",
        &changes,
    );
    record.costs("The largest documents there are", &blobs);
    record
}

/// Increments of a collection of ten million documents, half of which are changed and the others removed.
fn changes(servers: &Servers, scale: Scale) -> [Series; 2] {
    const DATABASE: &str = "changes";
    let documents = i32::try_from(scale.amount(10_000_000)).expect("a number");
    [("by default", vec![]), ("within 64 MB", vec!["--memory", "64"])].map(|(name, memory)| {
        eprintln!("{documents} small documents");
        let small = async {
            let client = servers.mongod.client().await;
            let collection = client.database(DATABASE).collection("small");
            for from in (0..documents).step_by(100_000) {
                let some = (from..from + 100_000).map(|id| doc! {"_id": id, "n": 0});
                collection.insert_many(some).ordered(false).await.expect("inserted");
            }
        };
        servers.runtime.block_on(small);
        let (_, full) = servers.run(&["backup"], DATABASE);
        let half = async {
            let client = servers.mongod.client().await;
            let collection = client.database(DATABASE).collection::<bson::Document>("small");
            let even = |rest: i32| doc! {"_id": {"$mod": [2, rest]}};
            let changed = collection.update_many(even(0), doc! {"$inc": {"n": 1}}).await;
            changed.expect("changed");
            collection.delete_many(even(1)).await.expect("removed");
        };
        servers.runtime.block_on(half);
        servers.settle();
        let arguments = [&["backup", "--incremental", "--no-full"], memory.as_slice()].concat();
        let (sample, report) = servers.run(&arguments, DATABASE);
        assert_eq!(report["kind"], "increment");
        servers.drop_database(DATABASE);
        let bytes = full["totals"]["bytes"].as_u64().expect("a size");
        let mut series = Series::new(format!("an increment {name}"), bytes);
        series.add(sample);
        series
    })
}
