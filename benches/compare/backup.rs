//! The speed of a backup, beside `mongodump`, the script that it replaces, and a drain that does nothing with what it
//! reads.

use std::process::Command;

use serde_json::{Value, json};

use crate::Scale;
use crate::child;
use crate::dataset;
use crate::measure::{self, Sample, Series, Variant};
use crate::programs;
use crate::record::Record;
use crate::rig::ScratchDir;
use crate::servers::Servers;

const DATABASE: &str = "shop";
const ROUNDS: usize = 5;

const FORMS: [(&str, &str); 6] = [
    ("jsonl", "zstd"),
    ("jsonl", "gzip"),
    ("jsonl", "none"),
    ("bson", "zstd"),
    ("bson", "gzip"),
    ("bson", "none"),
];
const DUMP: &str = "mongodump --archive > /dev/null";
const DUMP_GZIP: &str = "mongodump --archive --gzip > /dev/null";
const ANCESTOR: &str = "ancestor: PyMongo, json_util.dumps, tarfile, to a folder";

/// What is demanded: the one row's wall time over the other's.
const TARGETS: [(&str, &str, f64); 4] = [
    ("mongotar, bson + none, discarded", DUMP, 0.7),
    ("mongotar, bson + zstd, discarded", DUMP_GZIP, 0.4),
    ("mongotar, jsonl + zstd, discarded", DUMP_GZIP, 0.6),
    ("mongotar, jsonl + zstd, discarded", ANCESTOR, 1.0 / 20.0),
];

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("backup");
    let servers = Servers::start();
    servers.describe(&mut record);
    eprintln!("filling {DATABASE}");
    let planned = dataset::mixed(scale);
    servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, DATABASE, &planned));
    servers.settle();

    // Once, unrecorded: what is to come finds mongod's cache as it will stay.
    let (_, report) = servers.run(&["backup"], DATABASE);
    let bytes = report["totals"]["bytes"].as_u64().expect("a size");
    record.condition(
        "database",
        format!(
            "{:.0} MB of BSON, {} documents, {} collections: events (180 B), orders (1.1 KB), articles (56 KB), readings as a time series, 30 tiny ones",
            bytes as f64 / 1e6,
            report["totals"]["documents"],
            report["totals"]["collections"]
        ),
    );
    record.condition(
        "discarded",
        "to an S3 within the program that keeps nothing; digests and checksums as always",
    );

    let mut variants = ours(&servers, &report["totals"]["documents"]);
    variants.extend(mongodump(&servers, &mut record));
    variants.push(("a drain: all documents read, nothing done".to_owned(), drain(&servers)));
    let mut series = measure::interleaved(scale.repetitions(ROUNDS), bytes, variants);
    series.push(ancestor(&servers, bytes, &report["totals"]["documents"], &mut record));
    // Some more after the ancestor: what disturbs the machine changes in the minutes that it takes.
    for _ in 0..scale.repetitions(3) {
        let mut run = discarding(&servers, ("jsonl", "zstd"), report["totals"]["documents"].clone());
        series[0].add(run());
    }
    record.costs("Backups of the same database", &series);
    compare(&series, &mut record);
    record
}

/// The rows that targets are set for, and what there is to compare besides.
fn compare(series: &[Series], record: &mut Record) {
    let wall = |name: &str| series.iter().find(|series| series.name == name).map(Series::wall);
    let mut rows = Vec::new();
    for row in series.iter().filter(|row| row.name.starts_with("mongotar")) {
        let over = |other: &str| wall(other).map_or("–".to_owned(), |other| format!("{:.2}", row.wall() / other));
        let ancestor = wall(ANCESTOR).map_or(0.0, |ancestor| ancestor / row.wall());
        rows.push(vec![
            row.name.clone(),
            over(DUMP),
            over(DUMP_GZIP),
            format!("{ancestor:.1} ×"),
        ]);
    }
    let columns = [
        "wall time of",
        "over mongodump's",
        "over mongodump --gzip's",
        "as fast as the ancestor",
    ];
    record.table("Ratios of the medians", &columns, rows);
    for (ours, theirs, limit) in TARGETS {
        if let (Some(mine), Some(other)) = (wall(ours), wall(theirs)) {
            let ratio = mine / other;
            record.value(json!({"name": "ratio", "of": ours, "over": theirs, "wall": ratio, "target": limit}));
            record.target(
                ratio <= limit,
                format!("{ours}: {ratio:.3} of the time of {theirs}; {limit:.3} are allowed"),
            );
        }
    }
}

fn ours<'a>(servers: &'a Servers, documents: &Value) -> Vec<Variant<'a>> {
    let mut variants: Vec<Variant<'a>> = Vec::new();
    for form in FORMS {
        let name = format!("mongotar, {} + {}, discarded", form.0, form.1);
        variants.push((name, discarding(servers, form, documents.clone())));
    }
    for (payload, compression) in [("jsonl", "zstd"), ("bson", "zstd")] {
        let run = move || {
            let arguments = ["backup", "--payload", payload, "--compression", compression];
            servers.run(&arguments, DATABASE).0
        };
        variants.push((format!("mongotar, {payload} + {compression}, to S3"), Box::new(run)));
    }
    variants
}

fn discarding<'a>(
    servers: &'a Servers,
    (payload, compression): (&'static str, &'static str),
    documents: Value,
) -> Box<dyn FnMut() -> Sample + 'a> {
    Box::new(move || {
        let uri = servers.mongod.uri();
        let mut command = child::discarding_backup(&uri, DATABASE, payload, compression);
        let (sample, printed) = measure::program(&mut command, servers.mongod.pid());
        let report: Value = serde_json::from_str(&printed).expect("a report");
        assert_eq!(report["totals"]["documents"], documents, "all of them are read");
        sample
    })
}

fn drain(servers: &Servers) -> Box<dyn FnMut() -> Sample + '_> {
    Box::new(|| {
        let mut command = child::drain(&servers.mongod.uri(), DATABASE);
        measure::program(&mut command, servers.mongod.pid()).0
    })
}

fn mongodump<'a>(servers: &'a Servers, record: &mut Record) -> Vec<Variant<'a>> {
    let Some(path) = programs::tool("MONGODUMP", "mongodump", record) else {
        return Vec::new();
    };
    let variants: [(&str, &[&str]); 2] = [
        (DUMP, &["--archive=/dev/null"]),
        (DUMP_GZIP, &["--archive=/dev/null", "--gzip"]),
    ];
    variants
        .into_iter()
        .map(|(name, options)| {
            let path = path.clone();
            let run = move || {
                let arguments = [&["--db", DATABASE], options].concat();
                let mut command: Command = programs::mongo_tool(&path, &servers.mongod, &arguments);
                measure::program(&mut command, servers.mongod.pid()).0
            };
            (name.to_owned(), Box::new(run) as Box<dyn FnMut() -> Sample>)
        })
        .collect()
}

/// The ancestor, once: it is slow.
fn ancestor(servers: &Servers, bytes: u64, documents: &Value, record: &mut Record) -> Series {
    let folder = ScratchDir::new("ancestor");
    let pid = servers.mongod.pid();
    let dumped = Series::take(ANCESTOR, bytes, 1, || {
        let mut command = programs::ancestor(&servers.mongod, DATABASE, folder.path());
        let (sample, printed) = measure::program(&mut command, pid);
        let printed: Value = serde_json::from_str(&printed).expect("the script prints JSON");
        assert_eq!(&printed["documents"], documents, "both must have saved the same");
        sample
    });
    let tar = programs::file_with_ending(folder.path(), ".tar");
    record.condition(
        "ancestor",
        format!(
            "PyMongo 4.20.0 with its C extension, batch_size 1000, {:.0} MB of tar; it writes no snapshot, no checksums, and to no S3",
            tar.metadata().map_or(0.0, |file| file.len() as f64 / 1e6)
        ),
    );
    dumped
}
