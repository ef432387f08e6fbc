//! What a backup of this database will take and cost, before it is made: from the catalog, and a minute of reading.
//!
//! Documents are read, encoded and compressed as a backup does it, and thrown away: each collection for its share of
//! the time, the largest first. What was not read is taken to be like what was. Nothing is written anywhere.
//!
//! What this machine reads in a second a function need not: it has a processor for each 1769 MB
//! (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>), and stands elsewhere. So its time is
//! given as if processors were all that counts, which is the most that it can come to on the same network.

mod cost;
mod job;
mod prices;
mod report;

use std::time::{Duration, Instant};

use super::head::TakenMoment;
use super::piece::{CollectionPiece, Task};
use super::pipeline::Pipeline;
use super::tools::Tools;
use super::write::{reading, schedule};
use crate::catalog::{Collection, Kind};
use crate::failure::Failure;
use crate::mongo::Moment;

use cost::{SampledCollection, costs};
pub use job::{EstimateJob, FunctionSize};
pub use prices::Prices;
pub use report::{CostOfBackup, CostOfMonth, EstimateReport, EstimatedCollection, KeptArchives};

/// The least time for a collection.
const LEAST: Duration = Duration::from_millis(200);

/// Reads for a while, and tells what the whole would come to.
///
/// # Errors
/// If the database cannot be read, or there is nothing in it.
pub async fn estimate(job: &EstimateJob, tools: &Tools) -> Result<EstimateReport, Failure> {
    tools.progress.step("looking at the database");
    let taken = TakenMoment::of(&job.backup, tools).await?;
    let catalog = taken.catalog;
    let mut collections: Vec<&Collection> = catalog.collections.iter().collect();
    collections.retain(|collection| collection.kind != Kind::View);
    collections.sort_by_key(|collection| std::cmp::Reverse(collection.bytes.unwrap_or(0)));
    let all: u64 = collections.iter().filter_map(|collection| collection.bytes).sum();
    let (began, mut measured) = (Instant::now(), Vec::new());
    for collection in collections {
        let left = job.reading.saturating_sub(began.elapsed());
        let share = collection.bytes.unwrap_or(0) as f64 / all.max(1) as f64;
        let within = job.reading.mul_f64(share.min(1.0)).max(LEAST).min(left);
        measured.push(match within.is_zero() {
            true => SampledCollection::unread(collection),
            false => read_for(job, &taken.moment, collection, within, tools).await?,
        });
    }
    let parts = schedule(&catalog, &job.backup.destination, tools.memory);
    Ok(costs(job, &measured, parts))
}

/// Reads a collection to its end, or for so long.
async fn read_for(
    job: &EstimateJob,
    moment: &Moment,
    collection: &Collection,
    within: Duration,
    tools: &Tools,
) -> Result<SampledCollection, Failure> {
    let mut measured = SampledCollection::unread(collection);
    if let Some(reason) = moment.undefined.get(&collection.name) {
        measured.failed = Some(reason.clone());
        return Ok(measured);
    }
    tools.progress.step(format!("reading some of {}", collection.name));
    let settings = reading(&job.backup, tools, moment, false).await?;
    let tasks = vec![Task::whole(collection.clone())];
    let mut pipeline = Pipeline::start(settings, tasks, (tools.memory, 0), &tools.cancel);
    let began = Instant::now();
    if let Some(mut pieces) = pipeline.pieces_of(&collection.name) {
        loop {
            if began.elapsed() >= within {
                break;
            }
            match pieces.next().await {
                Ok(Some(CollectionPiece::Segment(pending, _))) => match pending.ready().await {
                    Ok(segment) => {
                        measured.documents += segment.documents;
                        measured.bytes += segment.digest.bytes();
                        measured.archive_bytes += segment.frame.stored.len() as u64;
                        tools.progress.add(segment.documents, segment.digest.bytes());
                    }
                    Err(error) => {
                        measured.failed = Some(error.to_string());
                        break;
                    }
                },
                Ok(Some(CollectionPiece::Exception(_))) => {}
                Ok(Some(CollectionPiece::Anew)) => measured = SampledCollection::unread(collection),
                Ok(None) => {
                    measured.is_whole = true;
                    break;
                }
                Err(error) => {
                    measured.failed = Some(error.to_string());
                    break;
                }
            }
        }
    }
    measured.seconds = began.elapsed().as_secs_f64();
    pipeline.stop().await;
    match tools.cancel.is_cancelled() {
        true => Err(super::tools::cancelled()),
        false => Ok(measured),
    }
}
