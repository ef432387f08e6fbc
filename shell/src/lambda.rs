//! What both Lambda functions share: logs as JSON, clients made once per cold start, errors with a stable type.

mod answers;
mod carrier;
mod connection;
mod event;
mod invocation;
mod told;

use std::sync::Arc;
use std::time::Instant;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::logging;
use crate::runtime::runtime;
use connection::Connection;
use event::{has_no_dry_run, is_thrifty, only_in_s3};
use invocation::Invocation;
use mongotar::backup::{
    BackupAnswer, BackupRequest, CompactJob, CompactTools, CompactedReport, DatabaseChoice, PlanAnswer, Tools,
    abort_run, backup_run, backup_several, compact_below, compose, jobs, lane, plan_lanes,
};
use mongotar::config::{Environment, read_action};
use mongotar::drill::{DrillReport, DrillRequest, drill_run};
use mongotar::failure::Failure;
use mongotar::progress::Progress;
use mongotar::restore::{Begun, RestoreJob, RestoreReport, RestoreRequest, begin, finish, load, prepare, restore_run};
use mongotar::run::Answer;
use mongotar::run::{Deadline, Memory, Run};
use mongotar::store::Store;
use mongotar::verify::{VerifyReport, VerifyRequest, verify_run};
use told::{Listeners, of_topic};

use answers::diagnostic;
pub use answers::{BackedUp, ListedDatabase, ListedDatabases, Restored};
pub use carrier::AnswerPlace;
pub use event::RestoreEvent;
pub use invocation::Measured;

/// How many workers may write an archive or load one, where the event does not say.
const DEFAULT_LANES: u32 = 8;
/// How many at the most: an account has no more concurrent invocations, unless it asked for them.
const MOST_LANES: u32 = 1_000;

/// Answers the events of the backup function, until the execution environment ends.
///
/// Here and not in the program, since code that awaits a future is compiled like its package: here for size, like the
/// library.
///
/// # Errors
/// If the runtime cannot start, or its interface does not answer.
pub fn serve_backups() -> Result<(), Error> {
    serve(|function, event| async move { function.answer_backup(event).await })
}

/// As [`serve_backups`], for the restore function.
///
/// # Errors
/// As there.
pub fn serve_restores() -> Result<(), Error> {
    serve(|function, event| async move { function.answer_restore(event).await })
}

fn serve<A>(answer: impl Fn(Arc<Function>, LambdaEvent<Value>) -> A) -> Result<(), Error>
where
    A: Future<Output = Result<Value, Failure>>,
{
    runtime()?.block_on(async {
        let function = Arc::new(Function::start().await);
        let answered = |event| {
            let answered = answer(Arc::clone(&function), event);
            async { answered.await.map_err(diagnostic) }
        };
        lambda_runtime::run(service_fn(answered)).await
    })
}

/// What an invocation may take.
#[derive(Clone, Copy, Debug)]
pub struct InvocationLimits {
    /// When it has to have come to an end.
    pub deadline: Deadline,
    /// How much memory it has.
    pub memory: Memory,
}

/// One function's execution environment.
#[derive(Debug, Default)]
pub struct Function {
    connection: Connection,
    store: Store,
    listeners: Listeners,
}

impl Function {
    /// Sets up logging and the S3 client, in the init phase. The database is connected to with the first event, so that
    /// a database that is away is an error with a name and no crash in a loop.
    pub async fn start() -> Self {
        logging::hide_in_panics();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(logging::Hiding(std::io::stdout))
            .json()
            .with_current_span(true)
            .with_span_list(false);
        // The runtime repeats every failure in a form of its own, without the run that it belongs to.
        logging::start(layer, "info,aws=warn,hyper=warn", &["lambda_runtime::layers::panic"]);
        let store = Store::new();
        store.warm_up().await;
        let environment = Environment::read();
        Self {
            listeners: Listeners::new(&environment),
            connection: Connection::new(environment),
            store,
        }
    }

    /// Answers an invocation of the backup function: [`Self::backup`] with its log, its metrics, and an answer that its
    /// carrier can hold. If a topic calls, what it has is handed on to those who are told.
    ///
    /// # Errors
    /// As [`Self::backup`].
    pub async fn answer_backup(&self, event: LambdaEvent<Value>) -> Result<Value, Failure> {
        if let Some(messages) = of_topic(&event.payload) {
            return self.listeners.hand_on(&messages).await.inspect_err(|failure| {
                tracing::error!(error_type = %failure.kind, reason = failure.message, "failed");
            });
        }
        let invocation = Invocation::of("backup", &event, self.connection.configured());
        let mut event = event.payload;
        let (run, limits) = (invocation.run().clone(), self.limits(&invocation, &mut event));
        let end = Instant::now() + invocation.left();
        let work = async {
            let answer = self.backup(event, run, limits?).await?;
            let left = end.saturating_duration_since(Instant::now());
            self.listeners.ping(&answer.backups(), left).await;
            Ok(answer)
        };
        let answered = Box::pin(invocation.answer(work, &self.store)).await;
        self.connection.after(&answered).await;
        answered
    }

    /// Answers an invocation of the restore function, in the same way.
    ///
    /// # Errors
    /// As [`Self::restore`].
    pub async fn answer_restore(&self, event: LambdaEvent<Value>) -> Result<Value, Failure> {
        let invocation = Invocation::of("restore", &event, self.connection.configured());
        let mut event = event.payload;
        let (run, limits) = (invocation.run().clone(), self.limits(&invocation, &mut event));
        let work = async { self.restore(event, run, limits?).await };
        let answered = Box::pin(invocation.answer(work, &self.store)).await;
        self.connection.after(&answered).await;
        answered
    }

    fn limits(&self, invocation: &Invocation, event: &mut Value) -> Result<InvocationLimits, Failure> {
        let environment = self.connection.configured();
        let memory = environment.memory()?;
        Ok(InvocationLimits {
            deadline: invocation.deadline(environment.margin()?),
            memory: if is_thrifty(event)? { memory.halved() } else { memory },
        })
    }

    /// Answers an event of the backup function, as the `run` that it belongs to.
    ///
    /// # Errors
    /// As [`backup_run`], and what is wrong with the event.
    pub async fn backup(&self, event: Value, run: Run, limits: InvocationLimits) -> Result<BackedUp, Failure> {
        let in_s3 = only_in_s3(&event, self.connection.configured());
        let (action, mut request) = read_action(event)?;
        let after = match action.as_deref() {
            Some("databases") => request.as_object_mut().and_then(|fields| fields.remove("after")),
            _ => None,
        };
        has_no_dry_run(&request, "a backup changes no database")?;
        let request = BackupRequest::from_event(request)?;
        in_s3?;
        if action.as_deref() == Some("compact") {
            return self.compact(request, limits).await.map(BackedUp::Compacted);
        }
        let (lanes, lane_number) = (request.lanes, request.lane);
        let order = request.into_order(&Box::pin(self.connection.environment()).await?)?;
        let tools = self.tools(limits).await?;
        match action.as_deref() {
            None | Some("backup") => {}
            Some("databases") => {
                let after = after.as_ref().and_then(Value::as_str);
                let listed = ListedDatabases::of(jobs(&order, &tools).await?, after);
                return Ok(BackedUp::Databases(listed));
            }
            Some("plan") => {
                let (job, most) = (order.single()?, how_many("lanes", lanes)?);
                let answer = plan_lanes(&job, &run, most, &tools).await?;
                return Ok(match answer {
                    PlanAnswer::Answer(answer) => BackedUp::One(answer),
                    PlanAnswer::Planned(report) => BackedUp::Planned(report),
                });
            }
            Some("lane") => {
                let number = lane_number.ok_or_else(|| Failure::invalid("\"lane\": its number is missing"))?;
                let job = order.single()?;
                let report = lane(&job, &run, number, &tools).await?;
                tracing::info!(lane = number, status = ?report.status, documents = report.totals.documents, "lane ends");
                return Ok(BackedUp::Lane(report));
            }
            Some("compose") => {
                let answer = compose(&order.single()?, &run, &tools).await?;
                tell(&answer);
                return Ok(BackedUp::One(answer));
            }
            Some("abort") => {
                let status = abort_run(&order.single()?, &run, &tools).await?;
                return Ok(BackedUp::Aborted { status });
            }
            Some(other) => {
                return Err(Failure::invalid(format!(
                    "unknown action {other:?}: use \"backup\" (or leave it out), \"databases\", \"plan\", \"lane\", \"compose\", \"abort\" or \"compact\""
                )));
            }
        }
        if !matches!(order.databases, DatabaseChoice::One(_)) {
            let report = backup_several(&order, Some(&run), &tools).await?;
            tracing::info!(status = ?report.status, databases = report.databases.len(), "backups end");
            return Ok(BackedUp::Several(report));
        }
        let job = order.single()?;
        tracing::info!(database = job.database, destination = %job.destination, "backup begins");
        let answer = backup_run(&job, &run, &tools).await?;
        tell(&answer);
        Ok(BackedUp::One(answer))
    }

    /// Makes full archives of chains. It needs no database.
    async fn compact(&self, request: BackupRequest, limits: InvocationLimits) -> Result<CompactedReport, Failure> {
        let environment = self.connection.configured();
        let job = CompactJob::of(request, environment)?;
        let tools = CompactTools {
            store: self.store.clone(),
            progress: Arc::new(Progress::default()),
            cancel: CancellationToken::new(),
            memory: limits.memory,
        };
        let report = Box::pin(compact_below(&job, &tools, limits.deadline)).await?;
        tracing::info!(status = ?report.status, made = report.made.len(), failed = report.failed.len(), "chains are put together");
        // Nobody reads the answer of a function that a schedule calls; a failure is told.
        match report.failed.first() {
            None => Ok(report),
            Some(first) => Err(Failure::new(first.error_type, report.summary)),
        }
    }

    /// Answers an event of the restore function, as the `run` that it belongs to.
    ///
    /// # Errors
    /// As [`prepare`], [`restore_run`], [`drill_run`] and [`verify_run`], and what is wrong with the event.
    pub async fn restore(&self, event: Value, run: Run, limits: InvocationLimits) -> Result<Restored, Failure> {
        let in_s3 = only_in_s3(&event, self.connection.configured());
        let event = RestoreEvent::read(event)?;
        in_s3?;
        match event {
            RestoreEvent::Verify(request) => self.verify(request, &run, limits).await.map(Restored::Verified),
            RestoreEvent::Plan(request) => self.plan(request, limits).await.map(Restored::Archive),
            RestoreEvent::Restore(request) => self.restore_archive(request, &run, limits).await.map(Restored::Archive),
            RestoreEvent::Drill(request) => self.drill(request, &run, limits).await.map(Restored::Drill),
            RestoreEvent::Begin(request) => {
                let workers = how_many("workers", request.workers)?;
                let (job, tools) = self.restoring(request, limits).await?;
                match begin(&job, &run, workers, &tools).await? {
                    Begun::Loads(report) => Ok(Restored::Loads(report)),
                    Begun::Answer(answer) => Ok(Restored::Archive(answer)),
                }
            }
            RestoreEvent::Load(request) => {
                let number = request
                    .load
                    .ok_or_else(|| Failure::invalid("\"load\": its number is missing"))?;
                let (job, tools) = self.restoring(request, limits).await?;
                let report = load(&job, &run, number, &tools).await?;
                tracing::info!(load = number, status = ?report.status, documents = report.documents, "load ends");
                Ok(Restored::Load(report))
            }
            RestoreEvent::Finish(request) => {
                let (job, tools) = self.restoring(request, limits).await?;
                let answer = finish(&job, &run, &tools).await?;
                tracing::info!(status = ?answer.status(), "the restore of several workers ends");
                Ok(Restored::Archive(answer))
            }
        }
    }

    async fn restoring(
        &self,
        request: RestoreRequest,
        limits: InvocationLimits,
    ) -> Result<(RestoreJob, Tools), Failure> {
        let job = request.into_job(&Box::pin(self.connection.environment()).await?)?;
        Ok((job, self.tools(limits).await?))
    }

    /// Looks and plans. No run is begun, so that nothing has to be kept of it.
    async fn plan(&self, request: RestoreRequest, limits: InvocationLimits) -> Result<Answer<RestoreReport>, Failure> {
        let (job, tools) = self.restoring(request, limits).await?;
        let prepared = prepare(&job, &tools).await?;
        tracing::info!(archive = %prepared.archive.object.location, database = job.policy.database, confirm = %prepared.plan.confirm, "planned");
        Ok(Answer::Finished(Box::new(RestoreReport::planned(prepared))))
    }

    async fn drill(
        &self,
        request: DrillRequest,
        run: &Run,
        limits: InvocationLimits,
    ) -> Result<Answer<DrillReport>, Failure> {
        let job = request.into_job(&Box::pin(self.connection.environment()).await?)?;
        let tools = self.tools(limits).await?;
        let drilled = drill_run(&job, run, &tools).await?;
        match &drilled {
            Answer::Finished(report) => {
                tracing::info!(status = ?report.status, verdict = ?report.verdict, archive = report.archive, "drill ends");
            }
            Answer::Unfinished(unfinished) => tracing::info!(status = ?unfinished.status, "drill continues later"),
        }
        Ok(drilled)
    }

    async fn restore_archive(
        &self,
        request: RestoreRequest,
        run: &Run,
        limits: InvocationLimits,
    ) -> Result<Answer<RestoreReport>, Failure> {
        let (job, tools) = self.restoring(request, limits).await?;
        let restored = restore_run(&job, run, &tools).await?;
        match &restored {
            Answer::Finished(report) => tracing::info!(status = ?report.status, "restore ends"),
            Answer::Unfinished(unfinished) => tracing::info!(status = ?unfinished.status, "restore continues later"),
        }
        Ok(restored)
    }

    /// Needs no database.
    async fn verify(
        &self,
        request: VerifyRequest,
        run: &Run,
        limits: InvocationLimits,
    ) -> Result<Answer<VerifyReport>, Failure> {
        let environment = self.connection.configured();
        let job = request.into_job(environment)?;
        let with = (&self.store, limits.memory, &Progress::default());
        let verified = verify_run(&job, run, with, limits.deadline).await?;
        tracing::info!(status = ?verified.status(), "verification ends");
        Ok(verified)
    }

    async fn tools(&self, limits: InvocationLimits) -> Result<Tools, Failure> {
        let progress = Arc::new(Progress::default());
        let cancel = CancellationToken::new();
        let mongo = Box::pin(self.connection.mongo()).await?.telling(&progress);
        Ok(Tools {
            mongo: mongo.until(limits.deadline, &cancel),
            store: self.store.clone(),
            progress,
            cancel,
            deadline: limits.deadline,
            memory: limits.memory,
        })
    }
}

/// What came of a backup, in the log.
fn tell(answer: &BackupAnswer) {
    match answer {
        BackupAnswer::Finished(report) => {
            tracing::info!(status = ?report.status, archive = %report.archive, documents = report.totals.documents, "backup ends");
        }
        BackupAnswer::Unfinished(unfinished) => {
            tracing::info!(status = ?unfinished.status, documents = unfinished.totals.documents, "backup continues later");
        }
    }
}

/// How many workers are asked for.
///
/// # Errors
/// If it is none, or more than there can be.
fn how_many(field: &str, asked: Option<u32>) -> Result<u32, Failure> {
    match asked.unwrap_or(DEFAULT_LANES) {
        some @ 1..=MOST_LANES => Ok(some),
        other => Err(Failure::invalid(format!(
            "{field} is {other}: give a number from 1 to {MOST_LANES}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_worker_at_least_and_there_are_not_too_many() {
        assert_eq!(how_many("lanes", None).ok(), Some(DEFAULT_LANES));
        assert_eq!(how_many("lanes", Some(MOST_LANES)).ok(), Some(MOST_LANES));
        for asked in [0, MOST_LANES + 1, u32::MAX] {
            let refused = how_many("workers", Some(asked)).expect_err("refused");
            assert!(refused.message.contains("from 1 to 1000"), "{}", refused.message);
        }
    }
}
