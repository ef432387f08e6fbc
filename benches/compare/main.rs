//! Comparisons on real servers: `cargo bench --bench compare -- [backup] [folder] [restore] [memory] [many] [chains] [rpo]
//! [codec] [start] [--quick]`.
//!
//! Each mode sets up what it needs, prints its tables, and writes a record into `benches/runs/`; without a mode all of
//! them run. The program fails when a target is missed. `--quick` works on a tenth of the data, once, and keeps no
//! record. What the numbers mean is in `benches/README.md`.

mod backup;
mod chains;
mod child;
mod codec;
mod dataset;
mod delay;
mod discard;
mod folder;
mod machine;
mod many;
mod measure;
mod memory;
mod programs;
mod record;
mod restore;
mod rpo;
mod servers;
mod start;

#[path = "../../tests/rig/mod.rs"]
mod rig;

use std::process::ExitCode;

use record::Record;

type Mode = fn(Scale) -> Record;

const MODES: [(&str, Mode); 9] = [
    ("codec", codec::run),
    ("backup", backup::run),
    ("folder", folder::run),
    ("restore", restore::run),
    ("memory", memory::run),
    ("many", many::run),
    ("chains", chains::run),
    ("rpo", rpo::run),
    ("start", start::run),
];

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// What records are made of.
    Full,
    /// Whether it works at all.
    Quick,
}

impl Scale {
    /// How many of what there is.
    fn amount(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / 10,
        }
    }

    fn repetitions(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => 1,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((child::CHILD, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return child::run(rest);
    }
    let mut scale = Scale::Full;
    let mut chosen = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "serve" => return serve(),
            "--quick" => scale = Scale::Quick,
            mode if MODES.iter().any(|(name, _)| *name == mode) => chosen.push(mode.to_owned()),
            other => {
                eprintln!(
                    "unknown argument {other:?}: use backup, folder, restore, memory, many, chains, rpo, codec, start, serve, --quick"
                );
                return ExitCode::from(2);
            }
        }
    }
    let mut reached = true;
    for (name, run) in MODES {
        if chosen.is_empty() || chosen.iter().any(|mode| mode == name) {
            let record = run(scale);
            print!("{}", record.markdown());
            if scale == Scale::Full {
                println!("\nrecorded in {}", record.save().display());
            }
            reached &= record.reached();
        }
    }
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Servers with the database of all comparisons, for a profiler: prints how to reach them, until the standard input
/// ends.
fn serve() -> ExitCode {
    let servers = servers::Servers::start();
    let planned = dataset::mixed(Scale::Full);
    servers
        .runtime
        .block_on(dataset::fill(&servers.mongod, "shop", &planned));
    servers.settle();
    let command = servers.mongotar(&["backup"], "shop");
    for (name, value) in command.get_envs() {
        println!("export {}='{}'", name.display(), value.unwrap_or_default().display());
    }
    println!("export MONGOD_PID={}", servers.mongod.pid());
    let _ = std::io::stdin().read_line(&mut String::new());
    ExitCode::SUCCESS
}
