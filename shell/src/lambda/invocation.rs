//! One invocation: its run, its logs and metrics, and what its answer's carrier can hold.

use std::any::Any;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use lambda_runtime::{Context, LambdaEvent};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::Instrument as _;

use crate::metrics::{Dimensions, Metric, Metrics, flag};
use mongotar::backup::{BackupAnswer, DatabaseReport, Retention, RunStatus};
use mongotar::choice::folder_for;
use mongotar::config::{Environment, as_json};
use mongotar::failure::Failure;
use mongotar::hidden::{hidden, holds_one, misplaced};
use mongotar::run::{Answer, Unfinished};
use mongotar::run::{Deadline, Run};
use mongotar::store::{Location, Store, Tags};

use super::answers::{BackedUp, Restored};
use super::carrier::{AnswerPlace, fit};

/// Who pauses with less than this share of the time left (10 s of 15 minutes) nearly came too late. A run that ends by
/// then was merely in luck, and loses nothing without.
const NEAR: f64 = 1.0 / 90.0;

/// What a function answers with.
pub trait Measured: Serialize {
    /// What it amounts to, and whose data it is about; nothing if no run ended and none is to be continued.
    fn measured(&self, now: OffsetDateTime) -> Vec<(Option<&str>, Metrics)>;
    /// Where it is stored, if it is too large to be answered with. `unique` is of this invocation alone.
    fn place(&self, unique: &str) -> Option<AnswerPlace>;
}

impl Measured for BackedUp {
    fn measured(&self, now: OffsetDateTime) -> Vec<(Option<&str>, Metrics)> {
        match self {
            Self::One(answer) => of_answer(answer, now).into_iter().collect(),
            Self::Several(report) => report
                .databases
                .iter()
                .filter_map(|report| of_database(report, now))
                .collect(),
            Self::Lane(report) if report.status == RunStatus::Continue => vec![(None, Metrics::continued())],
            // Whoever called has given up: only now is it a loss.
            Self::Aborted {
                status: RunStatus::Aborted,
            } => vec![(None, Metrics::lost())],
            Self::Databases(_) | Self::Planned(_) | Self::Lane(_) | Self::Compacted(_) | Self::Aborted { .. } => {
                Vec::new()
            }
        }
    }

    fn place(&self, unique: &str) -> Option<AnswerPlace> {
        match self {
            Self::One(BackupAnswer::Finished(report)) => Some(AnswerPlace {
                folder: report.archive.parent(),
                names: vec![
                    format!("{}.report.json", report.name),
                    format!("{}_{unique}.report.json", report.name),
                ],
                tags: report.retention.map(Retention::tags).unwrap_or_default(),
            }),
            // Of several, each folder has one archive; the whole lies above the first of them.
            Self::Several(report) => report.databases.iter().find_map(|report| match report {
                DatabaseReport::Answer(BackupAnswer::Finished(report)) => Some(AnswerPlace {
                    folder: report.archive.parent(),
                    names: vec![format!("databases_{unique}.report.json")],
                    tags: report.retention.map(Retention::tags).unwrap_or_default(),
                }),
                _ => None,
            }),
            _ => None,
        }
    }
}

fn of_database(report: &DatabaseReport, now: OffsetDateTime) -> Option<(Option<&str>, Metrics)> {
    match report {
        DatabaseReport::Answer(answer) => of_answer(answer, now),
        DatabaseReport::Failed(failed) => Some((Some(failed.database.as_str()), Metrics::lost())),
    }
}

fn of_answer(answer: &BackupAnswer, now: OffsetDateTime) -> Option<(Option<&str>, Metrics)> {
    let metrics = match answer {
        BackupAnswer::Finished(report) => Metrics::of_backup(report, now),
        BackupAnswer::Unfinished(unfinished) if unfinished.status == RunStatus::Continue => Metrics::continued(),
        BackupAnswer::Unfinished(_) => return None,
    };
    Some((Some(answer.database()), metrics))
}

/// Of a run that is only being waited for nothing is measured.
fn of_unfinished(unfinished: &Unfinished) -> Vec<(Option<&str>, Metrics)> {
    match unfinished.status {
        RunStatus::Continue => vec![(unfinished.database.as_deref(), Metrics::continued())],
        _ => Vec::new(),
    }
}

impl Measured for Restored {
    fn measured(&self, _now: OffsetDateTime) -> Vec<(Option<&str>, Metrics)> {
        match self {
            Self::Archive(Answer::Finished(report)) => Metrics::of_restore(report)
                .map(|metrics| (Some(report.database.as_str()), metrics))
                .into_iter()
                .collect(),
            // A scratch database has a new name each time.
            Self::Drill(Answer::Finished(report)) => vec![(None, Metrics::of_drill(report))],
            Self::Verified(Answer::Finished(report)) => vec![(None, Metrics::of_verification(report))],
            Self::Load(report) if report.status == RunStatus::Continue => vec![(None, Metrics::continued())],
            Self::Loads(_) | Self::Load(_) => Vec::new(),
            Self::Archive(Answer::Unfinished(unfinished))
            | Self::Drill(Answer::Unfinished(unfinished))
            | Self::Verified(Answer::Unfinished(unfinished)) => of_unfinished(unfinished),
        }
    }

    fn place(&self, unique: &str) -> Option<AnswerPlace> {
        let (folder, what) = match self {
            Self::Archive(Answer::Finished(report)) => {
                let snapshot = report.snapshot.as_ref().map(|snapshot| snapshot.archive.parent());
                let beside = || report.archive.parse().ok().map(|archive| folder_for(&archive));
                (snapshot.or_else(beside)?, "restore")
            }
            Self::Drill(Answer::Finished(report)) => {
                (folder_for(&report.archive.as_ref()?.parse::<Location>().ok()?), "drill")
            }
            Self::Verified(Answer::Finished(report)) => (folder_for(&report.archive.parse().ok()?), "verify"),
            Self::Loads(_)
            | Self::Load(_)
            | Self::Archive(Answer::Unfinished(_))
            | Self::Drill(Answer::Unfinished(_))
            | Self::Verified(Answer::Unfinished(_)) => return None,
        };
        Some(AnswerPlace {
            folder,
            names: vec![format!("{what}_{unique}.report.json")],
            tags: Tags::default(),
        })
    }
}

/// What is known of an invocation before it is looked into.
#[derive(Debug)]
pub(super) struct Invocation {
    function: &'static str,
    stack: Option<String>,
    request_id: String,
    run: Run,
    database: Option<String>,
    began: OffsetDateTime,
    /// In milliseconds of Unix time.
    deadline: u64,
}

impl Invocation {
    pub(super) fn of(function: &'static str, event: &LambdaEvent<Value>, environment: &Environment) -> Self {
        let LambdaEvent { payload, context } = event;
        // An event that holds a connection string is refused, and nothing of it is logged.
        let (payload, is_refused) = match misplaced(payload) {
            None => (payload, false),
            Some(_) => (&Value::Null, true),
        };
        let given = |name: &str| payload.get(name).or_else(|| payload.get("detail")?.get(name));
        let database = match given("database") {
            _ if is_refused => None,
            None | Some(Value::Null) => environment.database(None).ok(),
            Some(Value::String(name)) => environment.database(Some(name.clone())).ok(),
            Some(_) => None,
        };
        Self {
            function,
            stack: environment.stack.clone(),
            request_id: context.request_id.clone(),
            run: run_of(payload, context),
            database,
            began: OffsetDateTime::now_utc(),
            deadline: context.deadline,
        }
    }

    /// Which run it belongs to.
    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// When it has to come to an end.
    pub(super) fn deadline(&self, margin: Option<Duration>) -> Deadline {
        Deadline::within(self.left(), margin)
    }

    /// How much time it still has.
    pub(super) fn left(&self) -> Duration {
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        Duration::from_millis(u64::try_from(i128::from(self.deadline) - now).unwrap_or(0))
    }

    /// Does the work, within a span that every line of its log carries.
    pub(super) async fn answer<A: Measured>(
        self,
        work: impl Future<Output = Result<A, Failure>>,
        store: &Store,
    ) -> Result<Value, Failure> {
        let span = tracing::info_span!("invocation", run = self.run.id, request_id = self.request_id);
        async {
            let answered = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
                self.measure::<A>(None);
                tracing::error!("a bug: the function panicked; standard error says more");
                resume_unwind(without_connection_string(panic))
            });
            self.measure(answered.as_ref().ok());
            match answered {
                Ok(answer) => {
                    let place = answer.place(&self.unique());
                    Ok(fit(as_json(&answer), place, store).await)
                }
                Err(failure) => {
                    tracing::error!(error_type = %failure.kind, reason = failure.message, "failed");
                    Err(failure)
                }
            }
        }
        .instrument(span)
        .await
    }

    /// Writes the metrics. A log that nobody takes is no reason to fail.
    fn measure<A: Measured>(&self, answered: Option<&A>) {
        let now = OffsetDateTime::now_utc();
        let measured = match answered {
            Some(answer) => answer.measured(now),
            None => vec![(None, Metrics::failed())],
        };
        for (database, metrics) in measured {
            let metrics = match metrics.is_of_a_pause() {
                Some(pause) => metrics.and(Metric::NearDeadline, flag(pause && self.is_near_its_deadline(now))),
                None => metrics,
            };
            let of = Dimensions {
                stack: self.stack.as_deref(),
                function: self.function,
                database: database.or(self.database.as_deref()),
            };
            let properties = [("run", self.run.id.as_str()), ("request_id", &self.request_id)];
            let line = metrics.line(of, now, &properties);
            let _ = std::io::stdout().write_all(line.as_bytes());
        }
    }

    /// What no other invocation can have: this one's time and request.
    fn unique(&self) -> String {
        let time = self
            .began
            .format(format_description!("[year][month][day]_[hour][minute][second]"));
        format!("{}_{}", time.unwrap_or_default(), self.request_id)
    }

    fn is_near_its_deadline(&self, now: OffsetDateTime) -> bool {
        let milliseconds = |time: OffsetDateTime| time.unix_timestamp_nanos() as f64 / 1e6;
        let deadline = self.deadline as f64;
        deadline - milliseconds(now) < NEAR * (deadline - milliseconds(self.began))
    }
}

/// The runtime answers with a panic's message.
fn without_connection_string(panic: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    match text.or_else(|| panic.downcast_ref::<&str>().copied()) {
        Some(text) if holds_one(text) => Box::new(hidden(text).into_owned()),
        _ => panic,
    }
}

/// What ties the invocations of one run together: the event's `run`, an EventBridge event's own `id` and `time`, or
/// else there is but this one.
fn run_of(event: &Value, context: &Context) -> Run {
    let run = event.get("run").or_else(|| event.get("detail")?.get("run"));
    let of_bridge = event.get("detail-type").map(|_| event);
    let text = |of: Option<&Value>, field: &str| {
        let text = of?.get(field)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let from = [run, of_bridge]
        .into_iter()
        .find(|&of| text(of, "id").is_some())
        .flatten();
    let id = text(from, "id").unwrap_or_else(|| context.request_id.clone());
    match text(from, "time") {
        Some(time) => Run { id, time },
        None => Run::now(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_events_run_comes_before_eventbridges_and_that_before_the_requests() {
        let mut context = Context::default();
        context.request_id = "request".to_owned();
        let bridge = |detail: Value| json!({"detail-type": "Scheduled Event", "source": "aws.events", "id": "bridge", "detail": detail});
        for (event, run) in [
            (json!({}), "request"),
            (json!(null), "request"),
            (json!({"id": "not EventBridge"}), "request"),
            (json!({"run": {"id": "mine", "time": "2026-11-21T02:00:00Z"}}), "mine"),
            (json!({"run": {"id": ""}}), "request"),
            (bridge(json!({})), "bridge"),
            (bridge(json!({"run": {"id": "mine"}})), "mine"),
        ] {
            assert_eq!(run_of(&event, &context).id, run, "{event}");
        }
    }

    #[test]
    fn a_pause_is_near_its_deadline_in_the_last_ninetieth_of_its_time() {
        let began = OffsetDateTime::UNIX_EPOCH;
        let invocation = Invocation {
            stack: None,
            function: "backup",
            request_id: String::new(),
            run: Run::now(""),
            database: None,
            began,
            deadline: 900_000,
        };
        for (seconds, near) in [(0, false), (870, false), (889, false), (891, true), (901, true)] {
            let now = began + std::time::Duration::from_secs(seconds);
            assert_eq!(invocation.is_near_its_deadline(now), near, "{seconds}");
        }
    }
}
