//! A backup into a local folder, as raw BSON: how much of the time is the disk's, and what a plain copy of the same
//! bytes takes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::json;

use crate::Scale;
use crate::dataset;
use crate::measure::{self, Sample, Series, Variant};
use crate::programs;
use crate::record::Record;
use crate::rig::ScratchDir;
use crate::servers::Servers;

const DATABASE: &str = "shop";
const ROUNDS: usize = 7;
const OURS: &str = "mongotar, bson + none, into a folder";
const BEFORE: &str = "an earlier mongotar, the same";
const DUMP: &str = "mongodump --archive=FILE, then fsync";
const COPY: &str = "dd of the same bytes, then fsync";
/// What is demanded of the one's wall time over the other's.
const LIMIT: f64 = 0.9;

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("folder");
    let servers = Servers::start();
    servers.describe(&mut record);
    eprintln!("filling {DATABASE}");
    let planned = dataset::mixed(scale);
    servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, DATABASE, &planned));
    servers.settle();

    let kept = ScratchDir::new("kept");
    let mut command = ours(&servers, kept.path());
    let (_, printed) = measure::program(&mut command, servers.mongod.pid());
    let report: serde_json::Value = serde_json::from_str(&printed).expect("a report");
    let bytes = report["totals"]["bytes"].as_u64().expect("a size");
    record.condition(
        "database",
        format!("{:.0} MB of BSON, as for the mode backup", bytes as f64 / 1e6),
    );
    let archive = programs::file_with_ending(kept.path(), ".tar");

    let mut variants: Vec<Variant<'_>> = vec![(OURS.to_owned(), into_a_folder(&servers, ours))];
    if let Some(before) = env::var_os("MONGOTAR_BEFORE").map(PathBuf::from) {
        record.condition("earlier", "MONGOTAR_BEFORE names the program");
        let run = move |servers: &Servers, folder: &Path| {
            let mut command = Command::new(&before);
            let ours = ours(servers, folder);
            command.args(ours.get_args());
            let set = ours.get_envs().filter_map(|(name, value)| Some((name, value?)));
            command.envs(set);
            command
        };
        variants.push((BEFORE.to_owned(), into_a_folder(&servers, run)));
    }
    if let Some(dump) = programs::tool("MONGODUMP", "mongodump", &mut record) {
        let run = move |servers: &Servers, folder: &Path| {
            let script = r#""$0" --quiet --uri "$1" --db "$2" --archive="$3/dump" && sync "$3/dump""#;
            let mut command = Command::new("/bin/sh");
            command
                .args(["-c", script])
                .arg(&dump)
                .args([&servers.mongod.uri(), DATABASE])
                .arg(folder);
            command
        };
        variants.push((DUMP.to_owned(), into_a_folder(&servers, run)));
    }
    let copy = move |_: &Servers, folder: &Path| {
        let mut command = Command::new("dd");
        command.arg(format!("if={}", archive.display()));
        command.arg(format!("of={}", folder.join("copy").display()));
        command.args(["bs=1M", "conv=fsync", "status=none"]);
        command
    };
    variants.push((COPY.to_owned(), into_a_folder(&servers, copy)));
    let series = measure::interleaved(scale.repetitions(ROUNDS), bytes, variants);
    record.costs("Backups into a folder", &series);
    let wall = |name: &str| series.iter().find(|series| series.name == name).map(Series::wall);
    if let (Some(mine), Some(other)) = (wall(OURS), wall(DUMP)) {
        let ratio = mine / other;
        record.value(json!({"name": "ratio", "of": OURS, "over": DUMP, "wall": ratio, "target": LIMIT}));
        record.target(
            ratio <= LIMIT,
            format!("{OURS}: {ratio:.3} of the time of {DUMP}; {LIMIT:.3} are allowed"),
        );
    }
    record
}

fn ours(servers: &Servers, folder: &Path) -> Command {
    let mut command = servers.mongotar(&["backup", "--payload", "bson", "--compression", "none"], DATABASE);
    command.env("MONGOTAR_TO", folder);
    command
}

/// Runs a program on a fresh folder, which goes again when it has ended.
fn into_a_folder<'a>(
    servers: &'a Servers,
    command: impl Fn(&Servers, &Path) -> Command + 'a,
) -> Box<dyn FnMut() -> Sample + 'a> {
    let scratch = ScratchDir::new("folder");
    Box::new(move || {
        let folder = scratch.path().join("here");
        fs::create_dir(&folder).expect("a fresh folder");
        let (sample, _) = measure::program(&mut command(servers, &folder), servers.mongod.pid());
        fs::remove_dir_all(&folder).expect("removed");
        sample
    })
}
