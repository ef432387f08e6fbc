//! What a campaign leaves behind, in `benches/runs/`: its seeds, the version that they were tried with, and every seed
//! that broke the promise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::campaigns::Campaign;
use crate::machine::Machine;

/// What came of one seed.
pub struct Trial {
    pub seed: u64,
    pub seconds: f64,
    /// In a few words; or how the promise was broken.
    pub came_to: Result<String, String>,
}

/// What came of all.
pub struct Record {
    campaign: &'static Campaign,
    seeds: Range<u64>,
    machine: Machine,
    trials: Vec<Trial>,
}

impl Record {
    pub fn begin(campaign: &'static Campaign, seeds: Range<u64>) -> Self {
        Self {
            campaign,
            seeds,
            machine: Machine::now(),
            trials: Vec::new(),
        }
    }

    pub fn add(&mut self, trial: Trial) {
        self.trials.push(trial);
    }

    /// Whether no seed broke the promise.
    pub fn kept(&self) -> bool {
        self.trials.iter().all(|trial| trial.came_to.is_ok())
    }

    fn version() -> String {
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        format!("{}, {profile}", env!("CARGO_PKG_VERSION"))
    }

    fn broken(&self) -> impl Iterator<Item = (u64, &String)> {
        self.trials
            .iter()
            .filter_map(|trial| Some((trial.seed, trial.came_to.as_ref().err()?)))
    }

    pub fn markdown(&self) -> String {
        let mut out = format!(
            "\n# Campaign {} — {} UTC\n\n{}.\n\n",
            self.campaign.name, self.machine.date, self.campaign.promise
        );
        let _ = writeln!(out, "- machine: {}", self.machine.line());
        let _ = writeln!(out, "- version: {}; commit: {}", Self::version(), self.machine.commit);
        let _ = writeln!(out, "- seeds: {} to {}", self.seeds.start, self.seeds.end - 1);
        let _ = writeln!(
            out,
            "- kept: {} of {}",
            self.trials.len() - self.broken().count(),
            self.trials.len()
        );
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for text in self.trials.iter().filter_map(|trial| trial.came_to.as_ref().ok()) {
            *kinds.entry(text).or_default() += 1;
        }
        out.push_str("\n| what came of it | seeds |\n|---|---:|\n");
        for (kind, count) in kinds {
            let _ = writeln!(out, "| {kind} | {count} |");
        }
        for (seed, text) in self.broken() {
            let _ = writeln!(out, "\n**Seed {seed} broke it:**\n\n```\n{text}\n```");
        }
        out
    }

    /// Writes the page and the same as JSON, and gives the page's path.
    pub fn save(&self) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .with_file_name("benches")
            .join("runs");
        let date = self.machine.date.replace(' ', "_").replace(':', "");
        let page = folder.join(format!("{date}_campaign-{}.md", self.campaign.name));
        let trials = self.trials.iter().map(|trial| {
            json!({"seed": trial.seed, "seconds": trial.seconds, "came_to": trial.came_to.as_ref().ok(), "broken": trial.came_to.as_ref().err()})
        });
        let whole = json!({
            "campaign": self.campaign.name,
            "date_utc": self.machine.date,
            "machine": self.machine.json(),
            "version": Self::version(),
            "commit": self.machine.commit,
            "seeds": [self.seeds.start, self.seeds.end],
            "trials": trials.collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&whole).expect("a record is JSON");
        fs::write(page.with_extension("json"), text + "\n").expect("benches/runs is writable");
        fs::write(&page, self.markdown().trim_start()).expect("benches/runs is writable");
        page
    }
}
