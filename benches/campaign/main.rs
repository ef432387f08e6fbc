//! Promises that hold for any seed, with many of them: `cargo bench --bench campaign -- kill --seeds 200`.
//!
//! The campaigns are in `tests/campaigns/`. Every seed is tried, also after one that failed; the program fails when a
//! promise was broken, and its record in `benches/runs/` names the seeds. `--from 1000` begins at another seed, so that
//! `--from 17 --seeds 1` tries one again. `--at-once 4` tries several at a time (2). `--no-record` keeps no record.

#[path = "../../tests/campaigns/mod.rs"]
mod campaigns;
#[path = "../compare/machine.rs"]
mod machine;
mod record;
#[path = "../../tests/rig/mod.rs"]
mod rig;
#[path = "../../tests/it/support.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use std::process::ExitCode;
use std::time::Instant;

use campaigns::{CAMPAIGNS, Campaign, tried};
use futures_util::{StreamExt as _, stream};
use record::{Record, Trial};

/// What is asked for.
struct Order {
    campaign: &'static Campaign,
    from: u64,
    seeds: u64,
    at_once: usize,
    keeps_record: bool,
}

fn main() -> ExitCode {
    let order = match order(std::env::args().skip(1)) {
        Ok(order) => order,
        Err(complaint) => {
            let names: Vec<&str> = CAMPAIGNS.iter().map(|campaign| campaign.name).collect();
            eprintln!(
                "{complaint}: use [{}] --seeds N [--from N] [--at-once N] [--no-record]",
                names.join("|")
            );
            return ExitCode::from(2);
        }
    };
    // The rig blocks while it starts servers, so it is not called on a runtime's thread.
    let (_mongod, _s3) = (rig::shared_replica_set(), rig::shared_s3());
    let record = tokio::runtime::Runtime::new().expect("a runtime").block_on(run(&order));
    print!("{}", record.markdown());
    if order.keeps_record {
        println!("\nrecorded in {}", record.save().display());
    }
    match record.kept() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn run(order: &Order) -> Record {
    let mut record = Record::begin(order.campaign, order.from..order.from + order.seeds);
    let trials = (order.from..order.from + order.seeds).map(|seed| async move {
        let began = Instant::now();
        let came_to = tried(order.campaign, seed).await;
        Trial {
            seed,
            seconds: began.elapsed().as_secs_f64(),
            came_to,
        }
    });
    let mut trials = stream::iter(trials).buffer_unordered(order.at_once);
    while let Some(trial) = trials.next().await {
        match &trial.came_to {
            Ok(text) => eprintln!("seed {}: {text}, {:.1} s", trial.seed, trial.seconds),
            Err(text) => eprintln!("seed {}: BROKEN: {text}", trial.seed),
        }
        record.add(trial);
    }
    record
}

fn order(mut arguments: impl Iterator<Item = String>) -> Result<Order, String> {
    let (mut campaign, mut from, mut seeds, mut at_once, mut keeps_record) = (None, 0, None, 2, true);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|text| text.parse::<u64>().ok());
            value.ok_or_else(|| format!("{argument} wants a number"))
        };
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--seeds" => seeds = Some(number()?.max(1)),
            "--from" => from = number()?,
            "--at-once" => at_once = usize::try_from(number()?.max(1)).unwrap_or(usize::MAX),
            "--no-record" => keeps_record = false,
            name => {
                let known = CAMPAIGNS.iter().find(|campaign| campaign.name == name);
                campaign = Some(known.ok_or_else(|| format!("there is no campaign {name:?}"))?);
            }
        }
    }
    Ok(Order {
        campaign: campaign.ok_or("which campaign?")?,
        from,
        seeds: seeds.ok_or("how many seeds?")?,
        at_once,
        keeps_record,
    })
}
