//! How old the newest moment is that can be restored, while a watch makes increments of a database that is written to.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bson::doc;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Scale;
use crate::dataset;
use crate::record::Record;
use crate::servers::Servers;

const DATABASE: &str = "shop";
/// How often the watch makes an increment.
const EVERY: &str = "30s";
/// For how many seconds it is looked at.
const LOOKED_AT: u64 = 300;
/// The oldest that the newest moment may be, in seconds.
const OLDEST: f64 = 60.0;

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("rpo");
    let servers = Servers::start();
    servers.describe(&mut record);
    eprintln!("filling {DATABASE}");
    let planned = dataset::mixed(scale);
    servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, DATABASE, &planned));
    servers.settle();
    let (_, full) = servers.run(&["backup"], DATABASE);
    let bytes = full["totals"]["bytes"].as_u64().expect("a size");
    let load = Load::begin(&servers);
    let mut watch = watch(&servers);
    let (began, mut ages) = (Instant::now(), Vec::new());
    let looked_at = Duration::from_secs(scale.amount(LOOKED_AT).max(90));
    while began.elapsed() < looked_at {
        if let Some(age) = age(&servers) {
            ages.push(age);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let written = load.end();
    let _ = watch.kill();
    let _ = watch.wait();
    ages.sort_by(f64::total_cmp);
    let oldest = ages.last().copied().expect("it was looked at");
    let median = ages[ages.len() / 2];
    record.condition(
        "database",
        format!("{:.0} MB of BSON, as for the mode backup", bytes as f64 / 1e6),
    );
    record.condition(
        "load",
        format!(
            "four writers, one document each time: {:.0} insertions, changes and removals a second",
            written as f64 / began.elapsed().as_secs_f64()
        ),
    );
    record.condition(
        "watch",
        format!("watch --every {EVERY}, into S3, for {} s", looked_at.as_secs()),
    );
    record.table(
        "The age of the newest moment that can be restored, s",
        &["looked at", "median", "oldest"],
        vec![vec![
            ages.len().to_string(),
            format!("{median:.0}"),
            format!("{oldest:.0}"),
        ]],
    );
    record.value(json!({"name": "age", "median": median, "oldest": oldest, "target": OLDEST}));
    record.target(
        oldest <= OLDEST,
        format!("the newest restorable moment is at most {oldest:.0} s old; {OLDEST:.0} are allowed"),
    );
    record
}

fn watch(servers: &Servers) -> Child {
    let mut command = servers.mongotar(&["watch", "--every", EVERY], DATABASE);
    command.stdout(Stdio::null()).spawn().expect("it starts")
}

/// How old the end of the newest chain is, in seconds.
fn age(servers: &Servers) -> Option<f64> {
    let said = servers.mongotar(&["coverage"], DATABASE).output().expect("it runs");
    let report: Value = serde_json::from_slice(&said.stdout).ok()?;
    let now = OffsetDateTime::now_utc();
    let ends = report["chains"].as_array()?.iter().filter_map(|chain| {
        let end = OffsetDateTime::parse(chain["to"].as_str()?, &Rfc3339).ok()?;
        Some((now - end).as_seconds_f64())
    });
    ends.min_by(f64::total_cmp)
}

/// Writers that go on until they are told to end.
struct Load {
    stopped: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl Load {
    fn begin(servers: &Servers) -> Self {
        let load = Self {
            stopped: Arc::default(),
            written: Arc::default(),
        };
        for writer in 0..4_i64 {
            let (stopped, written) = (Arc::clone(&load.stopped), Arc::clone(&load.written));
            let uri = servers.mongod.uri();
            servers.runtime.spawn(async move {
                let client = mongodb::Client::with_uri_str(uri).await.expect("it answers");
                let written_to = client.database(DATABASE).collection::<bson::Document>("written");
                let mut number = 0_i64;
                while !stopped.load(Ordering::Relaxed) {
                    let id = writer * 1_000_000_000 + number;
                    let document = doc! {"_id": id, "text": "x".repeat(200), "n": 0};
                    written_to.insert_one(document).await.expect("inserted");
                    let one = doc! {"_id": id - number % 50};
                    match number % 10 {
                        0 => drop(written_to.delete_one(one).await.expect("removed")),
                        _ => drop(
                            written_to
                                .update_one(one, doc! {"$inc": {"n": 1}})
                                .await
                                .expect("updated"),
                        ),
                    }
                    written.fetch_add(2, Ordering::Relaxed);
                    number += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
        }
        load
    }

    fn end(self) -> u64 {
        self.stopped.store(true, Ordering::Relaxed);
        self.written.load(Ordering::Relaxed)
    }
}
