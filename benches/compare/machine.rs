//! On what, when and of which state of the code something was measured.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

/// The circumstances of a run.
#[derive(Debug)]
pub struct Machine {
    /// `2026-11-21 07:00`, UTC.
    pub date: String,
    cpu: String,
    cores: usize,
    memory_gb: f64,
    kernel: String,
    /// The commit, with a mark where files differ from it.
    pub commit: String,
    /// Runnable processes when the run began: others share the machine.
    load: String,
}

impl Machine {
    pub fn now() -> Self {
        let date = OffsetDateTime::now_utc()
            .format(format_description!("[year]-[month]-[day] [hour]:[minute]"))
            .expect("a date can be formatted");
        let load = read("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned();
        Self {
            date,
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: field("/proc/meminfo", "MemTotal")
                .split(' ')
                .next()
                .and_then(|kib| kib.parse::<f64>().ok())
                .map_or(0.0, |kib| kib * 1024.0 / 1e9),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit(),
            load,
        }
    }

    pub fn json(&self) -> Value {
        json!({"cpu": self.cpu, "cores": self.cores, "memory_gb": self.memory_gb, "kernel": self.kernel, "load": self.load})
    }

    pub fn line(&self) -> String {
        let Self {
            cpu,
            cores,
            memory_gb,
            kernel,
            load,
            ..
        } = self;
        format!("{cpu}, {cores} cores, {memory_gb:.1} GB, Linux {kernel}; load {load} at the start")
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A line `name : value` of a file under /proc.
fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output();
        output.ok().filter(|output| output.status.success())
    };
    let Some(head) = git(&["rev-parse", "--short=10", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let head = String::from_utf8_lossy(&head.stdout).trim().to_owned();
    // Only what is measured counts: a record of another mode does not make the code another.
    match git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock"]) {
        Some(status) if status.stdout.is_empty() => head,
        _ => format!("{head} (with changes)"),
    }
}
