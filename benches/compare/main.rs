//! Comparisons on real servers: `cargo bench --bench compare -- [backup] [restore] [memory] [codec] [--quick]`.
//!
//! Each mode sets up what it needs, prints its tables, and writes a record into `benches/runs/`; without a mode all of them run. The program fails
//! when a target is missed. `--quick` works on a tenth of the data, once, and keeps no record. What the numbers mean is in `benches/README.md`.

mod backup;
mod codec;
mod dataset;
mod machine;
mod measure;
mod memory;
mod programs;
mod record;
mod restore;
mod servers;

#[path = "../../tests/rig/mod.rs"]
mod rig;

use std::process::ExitCode;

use record::Record;

type Mode = fn(Scale) -> Record;

const MODES: [(&str, Mode); 4] = [
    ("codec", codec::run),
    ("backup", backup::run),
    ("restore", restore::run),
    ("memory", memory::run),
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
    fn bytes(self, full: u64) -> u64 {
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
    let mut scale = Scale::Full;
    let mut chosen = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--quick" => scale = Scale::Quick,
            mode if MODES.iter().any(|(name, _)| *name == mode) => chosen.push(mode.to_owned()),
            other => {
                eprintln!("unknown argument {other:?}: use backup, restore, memory, codec, --quick");
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
