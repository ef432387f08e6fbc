//! What a run leaves behind: a page to read and the same as JSON, in `benches/runs/`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::measure::Series;

/// A run of one mode.
#[derive(Debug)]
pub struct Record {
    mode: &'static str,
    machine: Machine,
    conditions: Vec<(&'static str, String)>,
    tables: Vec<Table>,
    series: Vec<Value>,
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Target {
    text: String,
    reached: bool,
}

impl Record {
    pub fn begin(mode: &'static str) -> Self {
        Self {
            mode,
            machine: Machine::now(),
            conditions: Vec::new(),
            tables: Vec::new(),
            series: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Something that the numbers depend on.
    pub fn condition(&mut self, name: &'static str, value: impl Into<String>) {
        self.conditions.push((name, value.into()));
    }

    pub fn table(&mut self, title: &str, columns: &[&'static str], rows: Vec<Vec<String>>) {
        self.tables.push(Table {
            title: title.to_owned(),
            columns: columns.to_vec(),
            rows,
        });
    }

    /// A number that belongs to no series of whole runs.
    pub fn value(&mut self, value: Value) {
        self.series.push(value);
    }

    /// Series of whole runs, each a row.
    pub fn costs(&mut self, title: &str, series: &[Series]) {
        let columns = [
            "what",
            "runs",
            "wall s",
            "each",
            "its CPU s",
            "mongod CPU s",
            "elsewhere CPU s",
            "BSON MB/s",
            "BSON MB per its CPU s",
            "BSON MB per mongod CPU s",
            "peak MB",
        ];
        self.table(title, &columns, series.iter().map(costs_row).collect());
        self.series.extend(series.iter().map(Series::json));
    }

    /// Something that must be so; the run fails where it is not.
    pub fn target(&mut self, reached: bool, text: String) {
        self.targets.push(Target { text, reached });
    }

    pub fn reached(&self) -> bool {
        self.targets.iter().all(|target| target.reached)
    }

    pub fn markdown(&self) -> String {
        let mut out = format!("\n# {} — {} UTC\n\n", self.mode, self.machine.date);
        let _ = writeln!(out, "- machine: {}", self.machine.line());
        let _ = writeln!(out, "- commit: {}", self.machine.commit);
        for (name, value) in &self.conditions {
            let _ = writeln!(out, "- {name}: {value}");
        }
        for table in &self.tables {
            let _ = writeln!(out, "\n## {}\n\n| {} |", table.title, table.columns.join(" | "));
            let _ = writeln!(out, "|---{}|", "|---:".repeat(table.columns.len() - 1));
            for row in &table.rows {
                let _ = writeln!(out, "| {} |", row.join(" | "));
            }
        }
        if !self.targets.is_empty() {
            out.push_str("\n## Targets\n\n");
        }
        for target in &self.targets {
            let word = if target.reached { "reached" } else { "**MISSED**" };
            let _ = writeln!(out, "- {word}: {}", target.text);
        }
        out
    }

    fn json(&self) -> Value {
        let conditions: serde_json::Map<_, _> = self
            .conditions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        let targets: Vec<Value> = self
            .targets
            .iter()
            .map(|target| json!({"target": target.text, "reached": target.reached}))
            .collect();
        json!({
            "mode": self.mode,
            "date_utc": self.machine.date,
            "machine": self.machine.json(),
            "commit": self.machine.commit,
            "conditions": conditions,
            "series": self.series,
            "targets": targets,
        })
    }

    /// Writes both files, named by date and mode, and gives the page's path.
    pub fn save(&self) -> PathBuf {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = programs.with_file_name("benches").join("runs");
        fs::create_dir_all(&folder).expect("benches/runs can be made");
        let date = self.machine.date.replace(' ', "_").replace(':', "");
        let page = folder.join(format!("{date}_{}.md", self.mode));
        let text = serde_json::to_string_pretty(&self.json()).expect("a record is JSON");
        fs::write(page.with_extension("json"), text + "\n").expect("benches/runs is writable");
        fs::write(&page, self.markdown().trim_start()).expect("benches/runs is writable");
        page
    }
}

fn costs_row(series: &Series) -> Vec<String> {
    let megabytes = series.bytes as f64 / 1e6;
    let cpu = series.median(|sample| sample.cpu);
    let mongod = series.median(|sample| sample.mongod);
    let each: Vec<String> = series
        .samples
        .iter()
        .map(|sample| format!("{:.2}", sample.wall))
        .collect();
    // A program that does not ask mongod says nothing about it.
    let per = |seconds: f64| match seconds < 0.05 {
        true => "–".to_owned(),
        false => format!("{:.0}", megabytes / seconds),
    };
    vec![
        series.name.clone(),
        series.samples.len().to_string(),
        format!("{:.2}", series.wall()),
        each.join(", "),
        format!("{cpu:.2}"),
        format!("{mongod:.2}"),
        format!("{:.2}", series.median(|sample| sample.elsewhere)),
        per(series.wall()),
        per(cpu),
        per(mongod),
        format!("{:.0}", series.peak() as f64 / 1e6),
    ]
}
