//! What a program costs: wall time, its CPU time, that of mongod and of the rest of the machine, and its peak memory.
//!
//! All of it is read from /proc. A program that has ended, but has not been waited for, still shows its CPU time there;
//! its peak memory (`VmHWM`) only grows, so asking for it every few milliseconds misses no more than the last of them.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::ScratchDir;

/// The kernel's `USER_HZ`, the unit of CPU time in /proc: 100 on every architecture that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const POLL: Duration = Duration::from_millis(4);

/// One run of a program.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub wall: f64,
    pub cpu: f64,
    /// CPU time of mongod meanwhile.
    pub mongod: f64,
    /// CPU time of everything else on the machine meanwhile: the S3 server, and whatever disturbs.
    pub elsewhere: f64,
    /// Peak resident memory, bytes.
    pub peak: u64,
}

impl Sample {
    pub fn json(&self) -> Value {
        json!({"wall_s": self.wall, "cpu_s": self.cpu, "mongod_cpu_s": self.mongod, "elsewhere_cpu_s": self.elsewhere, "peak_bytes": self.peak})
    }
}

/// Several runs of the same.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    /// How much BSON each run moved.
    pub bytes: u64,
    pub samples: Vec<Sample>,
}

impl Series {
    pub fn new(name: impl Into<String>, bytes: u64) -> Self {
        Self {
            name: name.into(),
            bytes,
            samples: Vec::new(),
        }
    }

    /// Measures `run` some times.
    pub fn take(name: &str, bytes: u64, repetitions: usize, mut run: impl FnMut() -> Sample) -> Self {
        let mut series = Self::new(name, bytes);
        (0..repetitions).for_each(|_| series.add(run()));
        series
    }

    /// One more run.
    pub fn add(&mut self, sample: Sample) {
        eprintln!(
            "  {}: {:.2} s, CPU {:.2} s, mongod {:.2} s, elsewhere {:.2} s, peak {:.0} MB",
            self.name,
            sample.wall,
            sample.cpu,
            sample.mongod,
            sample.elsewhere,
            sample.peak as f64 / 1e6
        );
        self.samples.push(sample);
    }

    pub fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of).collect())
    }

    pub fn wall(&self) -> f64 {
        self.median(|sample| sample.wall)
    }

    /// The largest of all runs: a limit holds always, and not in the median.
    pub fn peak(&self) -> u64 {
        self.samples.iter().map(|sample| sample.peak).max().unwrap_or(0)
    }

    pub fn json(&self) -> Value {
        let samples: Vec<Value> = self.samples.iter().map(Sample::json).collect();
        json!({"name": self.name, "bson_bytes": self.bytes, "median_wall_s": self.wall(), "runs": samples})
    }
}

/// What is measured: a name, and how it is run once.
pub type Variant<'a> = (String, Box<dyn FnMut() -> Sample + 'a>);

/// Measures several things in turns, so that what disturbs the machine for a while disturbs all of them.
pub fn interleaved(rounds: usize, bytes: u64, mut variants: Vec<Variant<'_>>) -> Vec<Series> {
    let mut series: Vec<Series> = variants.iter().map(|(name, _)| Series::new(name, bytes)).collect();
    for _ in 0..rounds {
        for (series, (_, run)) in series.iter_mut().zip(&mut variants) {
            series.add(run());
        }
    }
    series
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match values.is_empty() {
        true => 0.0,
        false => f64::midpoint(values[low], values[high]),
    }
}

/// Runs a program to its end; what it printed comes with its cost. Panics when it fails.
pub fn program(command: &mut Command, mongod: u32) -> (Sample, String) {
    let scratch = ScratchDir::new("bench");
    let path = |name: &str| scratch.path().join(name);
    let create = |name: &str| File::create(path(name)).expect("a fresh scratch directory is writable");
    command.stdin(Stdio::null()).stdout(create("out")).stderr(create("err"));
    let before = (process_ticks(mongod), machine_ticks());
    let started = Instant::now();
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut peak = 0;
    while state(child.id()) != 'Z' {
        peak = peak_memory(child.id()).unwrap_or(peak);
        std::thread::sleep(POLL);
    }
    let wall = started.elapsed().as_secs_f64();
    let cpu = process_ticks(child.id());
    let mongod = process_ticks(mongod) - before.0;
    let busy = machine_ticks() - before.1;
    let status = child.wait().expect("a child of ours can be waited for");
    let printed = |name: &str| String::from_utf8_lossy(&fs::read(path(name)).unwrap_or_default()).into_owned();
    assert!(status.success(), "{command:?} failed ({status}):\n{}", printed("err"));
    let sample = Sample {
        wall,
        cpu,
        mongod,
        elsewhere: (busy - cpu - mongod).max(0.0),
        peak,
    };
    (sample, printed("out"))
}

/// The fields of a process's `stat` that come after its name, which may hold anything.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().map(str::to_owned).collect()
}

fn state(pid: u32) -> char {
    // A process that is gone has ended.
    stat(pid).first().and_then(|state| state.chars().next()).unwrap_or('Z')
}

/// User and system time of all its threads, in seconds.
fn process_ticks(pid: u32) -> f64 {
    let ticks: f64 = stat(pid)
        .iter()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<f64>().ok())
        .sum();
    ticks / TICKS_PER_SECOND
}

/// Busy time of all cores: everything but idle and waiting for disks (guests are counted as users already).
fn machine_ticks() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks = first.split_whitespace().skip(1).take(8).enumerate();
    let busy = ticks.filter(|(index, _)| *index != 3 && *index != 4);
    busy.filter_map(|(_, n)| n.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

fn peak_memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel with scheduler statistics");
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.expect("schedstat begins with the time on a CPU"))
}
