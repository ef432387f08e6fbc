//! Many small collections, and many small databases: what each costs beside its documents, near the server and far
//! from it.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::Scale;
use crate::child;
use crate::dataset::{self, Planned, Shape};
use crate::delay;
use crate::measure::{self, Sample, Series, Variant};
use crate::record::Record;
use crate::servers::Servers;

const DATABASE: &str = "many";
const COLLECTIONS: u64 = 5_000;
const DELAY: Duration = Duration::from_millis(20);
/// How many collections' definitions and sizes must be had in a second, near the server.
const A_SECOND: f64 = 1_000.0;
/// How much of one round trip each collection may cost where the server is far.
const ROUND_TRIPS: f64 = 0.25;

/// How many databases, of how many collections.
const DATABASES: u64 = 500;
const OF_EACH: u64 = 4;
/// How many round trips each database may cost where the server is far. It has eight, one after the other: who answers,
/// what there is, the time, whether it can be read then, what there is by then, indexes and sizes, the documents, and
/// what there is in the end.
const FOR_A_DATABASE: f64 = 9.0;

const NEAR: &str = "backup, discarded";
const FAR: &str = "backup, discarded, 20 ms away";
const CATALOG_NEAR: &str = "catalog";
const CATALOG_FAR: &str = "catalog, 20 ms away";

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("many");
    let servers = Servers::start();
    servers.describe(&mut record);
    let count = scale.amount(COLLECTIONS);
    eprintln!("filling {count} collections");
    let planned: Vec<Planned> = (0..count)
        .map(|number| Planned::new(format!("collection_{number:04}"), Shape::Event, 10))
        .collect();
    let bytes = servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, DATABASE, &planned));
    servers.settle();
    record.condition("database", format!("{count} collections of 10 documents"));
    record.condition(
        "20 ms away",
        "through a relay that hands on what the client sends 20 ms later",
    );

    let pid = servers.mongod.pid();
    let relay = servers.runtime.block_on(delay::relay(servers.mongod.port(), DELAY));
    let far = format!("mongodb://127.0.0.1:{relay}/?directConnection=true");
    let measured = |mut command: Command| move || -> Sample { measure::program(&mut command, pid).0 };
    let near = servers.mongod.uri();
    let backup = |uri: &str| child::discarding_backup(uri, DATABASE, "jsonl", "zstd");
    let variants: Vec<Variant<'_>> = vec![
        (
            CATALOG_NEAR.to_owned(),
            Box::new(measured(child::catalog(&near, DATABASE))),
        ),
        (
            CATALOG_FAR.to_owned(),
            Box::new(measured(child::catalog(&far, DATABASE))),
        ),
        (NEAR.to_owned(), Box::new(measured(backup(&near)))),
        (FAR.to_owned(), Box::new(measured(backup(&far)))),
    ];
    let series = measure::interleaved(scale.repetitions(3), bytes, variants);
    let wall = |name: &str| wall_of(&series, name);
    let count = count as f64;
    let a_second = count / wall(CATALOG_NEAR);
    let each = (wall(FAR) - wall(NEAR)) / count;
    let round_trips = each / DELAY.as_secs_f64();
    record.costs("Many small collections", &series);
    record.value(json!({"name": "per collection", "catalog_per_s": a_second, "extra_s": each}));
    record.target(
        a_second >= A_SECOND,
        format!("the catalog gives {a_second:.0} collections a second; {A_SECOND:.0} are demanded"),
    );
    record.target(
        round_trips <= ROUND_TRIPS,
        format!(
            "20 ms more cost a collection {:.2} ms, {round_trips:.2} of one round trip; {ROUND_TRIPS} are allowed",
            each * 1e3
        ),
    );
    databases(scale, &servers, &far, &mut record);
    record
}

/// Backups of many databases in one go.
fn databases(scale: Scale, servers: &Servers, far: &str, record: &mut Record) {
    let names: Vec<String> = (0..scale.amount(DATABASES))
        .map(|number| format!("tenant_{number:03}"))
        .collect();
    eprintln!("filling {} databases", names.len());
    let planned: Vec<Planned> = (0..OF_EACH)
        .map(|number| Planned::new(format!("collection_{number}"), Shape::Event, 10))
        .collect();
    let filling = names
        .iter()
        .map(|name| servers.runtime.block_on(dataset::fill(&servers.mongod, name, &planned)));
    let bytes = filling.sum();
    servers.settle();
    let pid = servers.mongod.pid();
    let near = servers.mongod.uri();
    let backup = |uri: &str| {
        let mut command = child::discarding_backup(uri, &names.join(","), "jsonl", "zstd");
        move || -> Sample { measure::program(&mut command, pid).0 }
    };
    let variants: Vec<Variant<'_>> = vec![
        (NEAR.to_owned(), Box::new(backup(&near))),
        (FAR.to_owned(), Box::new(backup(far))),
    ];
    let series = measure::interleaved(scale.repetitions(3), bytes, variants);
    let each = (wall_of(&series, FAR) - wall_of(&series, NEAR)) / names.len() as f64;
    let round_trips = each / DELAY.as_secs_f64();
    record.costs(&format!("{} databases of {OF_EACH} collections", names.len()), &series);
    record.value(json!({"name": "per database", "extra_s": each}));
    record.target(
        round_trips <= FOR_A_DATABASE,
        format!(
            "20 ms more cost a database {:.1} ms, {round_trips:.1} round trips; {FOR_A_DATABASE} are allowed",
            each * 1e3
        ),
    );
}

fn wall_of(series: &[Series], name: &str) -> f64 {
    let found = series.iter().find(|series| series.name == name);
    found.map_or(f64::MAX, Series::wall)
}
