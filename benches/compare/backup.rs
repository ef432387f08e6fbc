//! The speed of a backup, beside the script that it replaces and beside `mongodump`.

use serde_json::json;

use crate::Scale;
use crate::dataset;
use crate::measure::{self, Series};
use crate::programs;
use crate::record::Record;
use crate::rig::ScratchDir;
use crate::servers::Servers;

const DATABASE: &str = "shop";
const OURS: &str = "mongotar, jsonl + zstd, to S3";
/// How many times as fast as the ancestor a backup must be.
const TARGET: f64 = 10.0;

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("backup");
    let servers = Servers::start();
    servers.describe(&mut record);
    let bytes = scale.bytes(1_000_000_000);
    eprintln!("filling {} MB", bytes / 1_000_000);
    servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, DATABASE, &dataset::mixed(bytes)));
    servers.settle();

    // Once, unrecorded: what is to come finds mongod's cache as it will stay.
    let (_, report) = servers.run(&["backup"], DATABASE);
    let bytes = report["totals"]["bytes"].as_u64().expect("a size");
    record.condition(
        "database",
        format!(
            "{:.0} MB of BSON, {} documents, {} collections: orders, events, users, articles, and readings as a time series",
            bytes as f64 / 1e6,
            report["totals"]["documents"],
            report["totals"]["collections"]
        ),
    );
    let mut series = ours(&servers, scale, bytes);
    series.extend(mongodump(&servers, scale, bytes, &mut record));
    let (ancestor, gzip) = ancestor(&servers, bytes, &report["totals"]["documents"], &mut record);
    // Some more after the ancestor: what disturbs the machine changes in the minutes that it takes.
    let again = Series::take(OURS, bytes, scale.repetitions(4), || {
        servers.run(&["backup"], DATABASE).0
    });
    series[0].samples.extend(again.samples);

    let ratio = ancestor.wall() / series[0].wall();
    let zipped = (ancestor.wall() + gzip.wall()) / series[0].wall();
    let cpu = ancestor.median(|sample| sample.cpu) / series[0].median(|sample| sample.cpu);
    series.extend([ancestor, gzip]);
    record.costs("Backups of the same database", &series);
    let rows = vec![
        vec!["wall time, ancestor's .tar".to_owned(), format!("{ratio:.1}")],
        vec![
            "wall time, ancestor's .tar gzipped afterwards".to_owned(),
            format!("{zipped:.1}"),
        ],
        vec![
            "CPU time of the two programs, ancestor's .tar".to_owned(),
            format!("{cpu:.1}"),
        ],
    ];
    record.table(
        "The ancestor's cost over that of mongotar (jsonl, zstd, to S3)",
        &["medians of", "ratio"],
        rows,
    );
    record.value(json!({"name": "ratios", "wall": ratio, "wall_gzipped": zipped, "cpu": cpu}));
    record.target(
        ratio >= TARGET,
        format!("jsonl + zstd to S3 is {ratio:.1} times as fast as the ancestor by wall time; {TARGET} are demanded"),
    );
    record
}

/// Ours; the first is the one that counts.
fn ours(servers: &Servers, scale: Scale, bytes: u64) -> Vec<Series> {
    let folder = ScratchDir::new("archives");
    let folder = folder.path().to_str().expect("scratch paths are UTF-8");
    let variants: [(&str, usize, &[&str]); 5] = [
        (OURS, 5, &[]),
        ("mongotar, jsonl + gzip, to S3", 3, &["--compression", "gzip"]),
        ("mongotar, bson + zstd, to S3", 3, &["--payload", "bson"]),
        ("mongotar, jsonl + zstd, to a folder", 3, &["--to", folder]),
        (
            "mongotar, bson + none, to a folder",
            3,
            &["--payload", "bson", "--compression", "none", "--to", folder],
        ),
    ];
    variants
        .into_iter()
        .map(|(name, repetitions, options)| {
            let arguments = [&["backup"], options].concat();
            Series::take(name, bytes, scale.repetitions(repetitions), || {
                servers.run(&arguments, DATABASE).0
            })
        })
        .collect()
}

fn mongodump(servers: &Servers, scale: Scale, bytes: u64, record: &mut Record) -> Vec<Series> {
    let Some(path) = programs::tool("MONGODUMP", "mongodump", record) else {
        return Vec::new();
    };
    let folder = ScratchDir::new("dump");
    let archive = format!("--archive={}", folder.path().join("dump").display());
    let variants: [(&str, &[&str]); 2] = [
        ("mongodump --archive, to a folder", &[&archive]),
        ("mongodump --archive --gzip, to a folder", &[&archive, "--gzip"]),
    ];
    variants
        .into_iter()
        .map(|(name, options)| {
            let arguments = [&["--db", DATABASE], options].concat();
            Series::take(name, bytes, scale.repetitions(3), || {
                let mut command = programs::mongo_tool(&path, &servers.mongod, &arguments);
                measure::program(&mut command, servers.mongod.pid()).0
            })
        })
        .collect()
}

/// The ancestor, once: it is slow. And gzip on its tar, which some did by hand.
fn ancestor(servers: &Servers, bytes: u64, documents: &serde_json::Value, record: &mut Record) -> (Series, Series) {
    let folder = ScratchDir::new("ancestor");
    let pid = servers.mongod.pid();
    let dumped = Series::take(
        "ancestor: PyMongo, json_util.dumps, tarfile, to a folder",
        bytes,
        1,
        || {
            let mut command = programs::ancestor(&servers.mongod, DATABASE, folder.path());
            let (sample, printed) = measure::program(&mut command, pid);
            let printed: serde_json::Value = serde_json::from_str(&printed).expect("the script prints JSON");
            assert_eq!(&printed["documents"], documents, "both must have saved the same");
            sample
        },
    );
    let tar = programs::file_with_ending(folder.path(), ".tar");
    record.condition(
        "ancestor",
        format!(
            "PyMongo 4.20.0 with its C extension, batch_size 1000, {:.0} MB of tar; it writes no snapshot, no checksums, and to no S3",
            tar.metadata().map_or(0.0, |file| file.len() as f64 / 1e6)
        ),
    );
    let gzip = Series::take("gzip on the ancestor's tar", bytes, 1, || {
        measure::program(std::process::Command::new("gzip").arg(&tar), pid).0
    });
    (dumped, gzip)
}
