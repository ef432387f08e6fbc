//! From what was measured to the whole, and from there to what it costs.

use super::job::EstimateJob;
use super::prices::Prices;
use super::report::{CostOfBackup, CostOfMonth, EstimateReport, EstimatedCollection, KeptArchives};
use crate::archive::PartSchedule;
use crate::backup::report::Totals;
use crate::catalog::{Collection, Kind};
use crate::wording::{count, duration, size};

/// How much of a function's memory comes with one processor, MB.
const PER_PROCESSOR: f64 = 1769.0;
/// How long an invocation writes, of the 900 s that it has: it pauses before its deadline.
const INVOCATION: f64 = 860.0;
/// What of S3 a backup asks beside its parts: the upload's begin and end, the manifest's copy, the lists.
const AROUND: u64 = 8;
/// How often a state is written down that another invocation goes on from.
const STATE_EVERY: f64 = 20.0;
/// State transitions of one backup with its verification, and of each further invocation.
const TRANSITIONS: (f64, f64) = (25.0, 4.0);
/// Backups in a month, one each night.
const PER_MONTH: u64 = 30;
const DAYS_OF_A_YEAR: f64 = 365.25;
/// Days that the classes keep an archive, by the defaults of `template.yaml`, and those that it can be brought back.
const CLASSES: [(&str, f64); 4] = [
    ("daily", 14.0),
    ("weekly", 60.0),
    ("monthly", 400.0),
    ("yearly", 2557.0),
];
const NONCURRENT: f64 = 7.0;

/// What was read of a collection, and how long that took.
#[derive(Clone, Debug)]
pub(super) struct SampledCollection {
    name: String,
    /// What the server says of it.
    said: (Option<u64>, Option<u64>),
    is_series: bool,
    pub(super) documents: u64,
    pub(super) bytes: u64,
    pub(super) archive_bytes: u64,
    pub(super) seconds: f64,
    pub(super) is_whole: bool,
    pub(super) failed: Option<String>,
}

impl SampledCollection {
    pub(super) fn unread(collection: &Collection) -> Self {
        Self {
            name: collection.name.clone(),
            said: (collection.documents, collection.bytes),
            is_series: collection.kind == Kind::Timeseries,
            documents: 0,
            bytes: 0,
            archive_bytes: 0,
            seconds: 0.0,
            is_whole: false,
            failed: None,
        }
    }

    /// How much it has in all.
    fn all(&self) -> u64 {
        match self.is_whole {
            true => self.bytes,
            false => self.said.1.unwrap_or(0).max(self.bytes),
        }
    }
}

/// The rates of what was read, for what was not.
#[derive(Clone, Copy, Debug)]
struct Rates {
    /// Bytes of BSON in a second.
    speed: f64,
    /// Bytes of the archive for each.
    ratio: f64,
}

impl Rates {
    fn of<'a>(measured: impl Iterator<Item = &'a SampledCollection>) -> Option<Self> {
        let (mut bytes, mut archive, mut seconds) = (0, 0, 0.0);
        for one in measured {
            bytes += one.bytes;
            archive += one.archive_bytes;
            seconds += one.seconds;
        }
        (bytes > 0 && seconds > 0.0).then(|| Self {
            speed: bytes as f64 / seconds,
            ratio: archive as f64 / bytes as f64,
        })
    }
}

/// The whole of what was measured.
pub(super) fn costs(job: &EstimateJob, measured: &[SampledCollection], parts: PartSchedule) -> EstimateReport {
    let on_average = Rates::of(measured.iter());
    let (mut collections, mut seconds, mut archive_bytes) = (Vec::new(), 0.0, 0);
    let (mut totals, mut read) = (Totals::default(), Totals::default());
    for one in measured {
        let rates = Rates::of(std::iter::once(one)).or(on_average);
        let bytes = one.all();
        let left = bytes - one.bytes;
        let archive = one.archive_bytes + rates.map_or(left, |rates| (left as f64 * rates.ratio) as u64);
        seconds += one.seconds + rates.map_or(0.0, |rates| left as f64 / rates.speed);
        archive_bytes += archive;
        let documents = if one.is_whole { Some(one.documents) } else { one.said.0 };
        totals.collections += 1;
        totals.documents += documents.unwrap_or(one.documents);
        totals.bytes += bytes;
        read.collections += u64::from(one.is_whole);
        read.documents += one.documents;
        read.bytes += one.bytes;
        collections.push(EstimatedCollection {
            name: one.name.clone(),
            documents,
            bytes,
            archive_bytes: archive,
            is_whole: one.is_whole,
            failed: one.failed.clone(),
        });
    }
    let read_seconds = measured.iter().map(|one| one.seconds).sum();
    let backup = by_function(job, seconds, archive_bytes, parts);
    let month = of_month(&job.prices, &backup, archive_bytes);
    let currency = &job.prices.currency;
    EstimateReport {
        database: job.backup.database.clone(),
        summary: format!(
            "{}: {} in {}, {} in the archive; about {} here, {} by a function of {} MB; {:.4} {currency} a backup, {:.2} \
             {currency} a month with what is kept",
            job.backup.database,
            size(totals.bytes),
            count(totals.collections, "collection"),
            size(archive_bytes),
            duration(seconds),
            duration(backup.seconds),
            backup.memory,
            backup.cost,
            month.cost,
        ),
        collections,
        totals,
        read,
        read_seconds,
        archive_bytes,
        seconds_here: seconds,
        backup,
        month,
        prices: format!("{}, {}, as of {}", job.prices.region, currency, job.prices.as_of),
        notes: notes(measured),
    }
}

fn by_function(job: &EstimateJob, seconds: f64, archive_bytes: u64, parts: PartSchedule) -> CostOfBackup {
    let here = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let there = f64::from(job.function.memory) / PER_PROCESSOR;
    let seconds = seconds * (here / there).max(1.0);
    let invocations = (seconds / INVOCATION).ceil().max(1.0);
    let gb_seconds = seconds * f64::from(job.function.memory) / 1024.0;
    let states = if invocations > 1.0 {
        (seconds / STATE_EVERY) as u64
    } else {
        0
    };
    let requests = parts_of(archive_bytes, parts) + AROUND + states;
    let prices = &job.prices;
    let per_second = prices.lambda_gb_second.get(&job.function.architecture);
    let transitions = TRANSITIONS.0 + TRANSITIONS.1 * (invocations - 1.0);
    let cost = gb_seconds * per_second.copied().unwrap_or(0.0)
        + invocations * prices.lambda_request
        + requests as f64 * prices.s3_write
        + transitions * prices.state_transition;
    CostOfBackup {
        memory: job.function.memory,
        seconds,
        invocations: invocations as u64,
        gb_seconds,
        requests,
        cost,
    }
}

/// How many parts so many bytes are sent in.
fn parts_of(bytes: u64, schedule: PartSchedule) -> u64 {
    let (mut number, mut sent) = (0, 0_u64);
    while sent < bytes {
        number += 1;
        sent += schedule.size(number);
    }
    number.into()
}

fn of_month(prices: &Prices, backup: &CostOfBackup, archive_bytes: u64) -> CostOfMonth {
    let kept: Vec<KeptArchives> = CLASSES
        .iter()
        .map(|&(class, days)| {
            let archives = ((days + NONCURRENT) * per_day(class)).round() as u64;
            KeptArchives {
                class: class.to_owned(),
                archives,
                bytes: archives * archive_bytes,
            }
        })
        .collect();
    let price = |class: &str| prices.storage_gb_month.get(class).copied().unwrap_or(0.0);
    let cost_of = |bytes: u64, class: &str| bytes as f64 / f64::from(1 << 30) * price(class);
    let storage_cost = kept.iter().map(|kept| cost_of(kept.bytes, "STANDARD")).sum();
    let is_cold = |kept: &KeptArchives| matches!(kept.class.as_str(), "monthly" | "yearly");
    let in_classes = kept.iter().map(|kept| {
        let class = if is_cold(kept) { "GLACIER_IR" } else { "STANDARD" };
        cost_of(kept.bytes, class)
    });
    let backups_cost = backup.cost * PER_MONTH as f64;
    CostOfMonth {
        backups: PER_MONTH,
        backups_cost,
        storage_cost_glacier_ir: in_classes.sum(),
        kept,
        storage_cost,
        cost: backups_cost + storage_cost,
    }
}

/// How many archives of a class a backup each night makes in a day, on average
/// ([`Retention::Auto`](crate::backup::Retention)).
fn per_day(class: &str) -> f64 {
    let (yearly, monthly) = (1.0 / DAYS_OF_A_YEAR, 11.0 / DAYS_OF_A_YEAR);
    let weekly = (1.0 - yearly - monthly) / 7.0;
    match class {
        "yearly" => yearly,
        "monthly" => monthly,
        "weekly" => weekly,
        _ => 1.0 - yearly - monthly - weekly,
    }
}

fn notes(measured: &[SampledCollection]) -> Vec<String> {
    let mut notes = vec![
        "sending the archive was not measured: a slower way to the store takes longer".to_owned(),
        "each night one backup, kept for as long as template.yaml says by default; the key, alarms, metrics and logs \
         are not in it (docs/DEPLOY.md)"
            .to_owned(),
    ];
    for one in measured {
        if let Some(reason) = &one.failed {
            notes.push(format!("{} cannot be read, and is not in it: {reason}", one.name));
        } else if one.is_series && !one.is_whole {
            notes.push(format!(
                "{} was not read to its end: its size is that of its buckets",
                one.name
            ));
        } else if !one.is_whole && one.said.1.is_none() {
            notes.push(format!("{}: the server does not say how large it is", one.name));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
