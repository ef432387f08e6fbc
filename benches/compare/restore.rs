//! The speed of a restore with its verification, beside `mongorestore`, which verifies nothing.

use crate::Scale;
use crate::dataset;
use crate::measure::{self, Series};
use crate::programs;
use crate::record::Record;
use crate::rig::ScratchDir;
use crate::servers::Servers;

const SOURCE: &str = "shop";
const TARGET: &str = "shop_restored";
/// What is demanded of a restore with verification, over the time of one without: as much as of a load alone.
const LIMIT: f64 = 0.6;

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("restore");
    let servers = Servers::start();
    servers.describe(&mut record);
    eprintln!("filling {SOURCE}");
    let planned = dataset::mixed(scale);
    servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, SOURCE, &planned));

    let mut series = Vec::new();
    let (_, report) = servers.run(&["backup"], SOURCE);
    let bytes = report["totals"]["bytes"].as_u64().expect("a size");
    let archive = report["archive"].as_str().expect("a location").to_owned();
    record.condition(
        "database",
        format!(
            "{:.0} MB of BSON, {} documents, 2 secondary indexes on the largest collection, a time series; the target is empty",
            bytes as f64 / 1e6,
            report["totals"]["documents"]
        ),
    );
    let name = "mongotar, jsonl + zstd, from S3, verified";
    series.push(Series::take(name, bytes, scale.repetitions(2), || {
        empty_target(&servers);
        servers.run(&["restore", &archive, "--yes", "--no-snapshot"], TARGET).0
    }));
    series.extend(mongorestore(&servers, scale, bytes, &mut record));
    if let [ours, theirs] = &series[..] {
        let ratio = ours.wall() / theirs.wall();
        record.target(
            ratio <= LIMIT,
            format!(
                "with verification it takes {ratio:.2} of the time of {}; {LIMIT} are allowed",
                theirs.name
            ),
        );
    }
    record.costs("Restores of the same database", &series);
    record
}

fn empty_target(servers: &Servers) {
    servers.drop_database(TARGET);
    servers.settle();
}

fn mongorestore(servers: &Servers, scale: Scale, bytes: u64, record: &mut Record) -> Option<Series> {
    let dump = programs::tool("MONGODUMP", "mongodump", record)?;
    let restore = programs::tool("MONGORESTORE", "mongorestore", record)?;
    let folder = ScratchDir::new("dump");
    let archive = format!("--archive={}", folder.path().join("dump").display());
    let pid = servers.mongod.pid();
    let mut dumping = programs::mongo_tool(&dump, &servers.mongod, &["--db", SOURCE, &archive]);
    measure::program(&mut dumping, pid);
    let (from, to) = (format!("{SOURCE}.*"), format!("{TARGET}.*"));
    let arguments = [archive.as_str(), "--nsFrom", &from, "--nsTo", &to];
    let name = "mongorestore --archive, from a folder, not verified";
    Some(Series::take(name, bytes, scale.repetitions(2), || {
        empty_target(servers);
        let mut command = programs::mongo_tool(&restore, &servers.mongod, &arguments);
        measure::program(&mut command, pid).0
    }))
}
