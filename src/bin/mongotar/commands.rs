//! Each command: put the job together, call the library, print what it says.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mongotar::backup::{BackupOrder, DatabaseChoice, RunStatus, Tools, backup, backup_several};
use mongotar::catalog::Selection;
use mongotar::config::Environment;
use mongotar::counts::Counts;
use mongotar::drill::drill;
use mongotar::failure::{Failure, FailureKind};
use mongotar::mongo::{Mongo, MongoUri};
use mongotar::open::Source;
use mongotar::plan::RestorePlan;
use mongotar::progress::Progress;
use mongotar::restore::{Consent, RestoreReport, carry_out, prepare};
use mongotar::run::{Deadline, Memory};
use mongotar::secrets::Secrets;
use mongotar::store::{Location, Store};
use mongotar::verify::AgainstJob;
use mongotar::{inspect, verify};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::arguments::{
    Arguments, Backup, Cat, Command, Connection, Drill, Folder, OneArchive, Restore, SourceDatabase, Verify,
};
use crate::counts_to::{Output, counted};
use crate::show_progress::Shown;
use crate::{ask, signals, text};

/// The connections that were made.
static OPEN: Mutex<Vec<Mongo>> = Mutex::new(Vec::new());

fn open() -> MutexGuard<'static, Vec<Mongo>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the command; the exit code says how it ended.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let ended = chosen(arguments).await;
    // Before the runtime goes: a driver's task that outlives its pool panics.
    let connections = std::mem::take(&mut *open());
    for connection in connections {
        connection.shut_down().await;
    }
    ended
}

async fn chosen(arguments: Arguments) -> Result<ExitCode, Failure> {
    let json = arguments.json;
    match arguments.command {
        Command::Backup(arguments) => run_backup(&arguments, json).await,
        Command::Restore(arguments) if !arguments.dry_run => run_restore(&arguments, json).await,
        Command::Restore(arguments) | Command::Plan(arguments) => run_plan(&arguments, json).await,
        Command::Drill(arguments) => run_drill(&arguments, json).await,
        Command::Verify(arguments) if arguments.against.is_none() => run_verify(&arguments, json).await,
        Command::Verify(arguments) => run_against(&arguments, json).await,
        Command::List(arguments) => run_list(arguments, json).await,
        Command::Show(arguments) => run_show(&arguments, json).await,
        Command::Cat(arguments) => run_cat(&arguments, json).await,
    }
}

async fn run_backup(arguments: &Backup, json: bool) -> Result<ExitCode, Failure> {
    let environment = environment(&arguments.connection).await?;
    let order = arguments.request().into_order(&environment)?;
    if !matches!(order.databases, DatabaseChoice::One(_)) {
        return run_backups(arguments, &order, &environment, json).await;
    }
    let job = order.single()?;
    let output = Output::begin(json, &arguments.output)?;
    let report = counted(output, Counts::of_backup, text::backup, async {
        let tools = tools(&environment).await?;
        let shown = Shown::start(&tools.progress);
        let report = Box::pin(backup(&job, &tools)).await;
        shown.stop();
        report
    })
    .await?;
    Ok(code(report.status))
}

/// Several databases, one archive each.
async fn run_backups(
    arguments: &Backup,
    order: &BackupOrder,
    environment: &Environment,
    json: bool,
) -> Result<ExitCode, Failure> {
    if arguments.output.counts.is_some() {
        return Err(Failure::invalid(
            "--counts is for one database: name one, or leave --counts out",
        ));
    }
    let tools = tools(environment).await?;
    let shown = Shown::start(&tools.progress);
    let report = Box::pin(backup_several(order, None, &tools)).await;
    shown.stop();
    let report = report?;
    print(json, &report, text::backups)?;
    Ok(code(report.status))
}

async fn run_plan(arguments: &Restore, json: bool) -> Result<ExitCode, Failure> {
    if arguments.output.counts.is_some() {
        return Err(Failure::invalid("a plan counts nothing: leave --counts out"));
    }
    let environment = environment(&arguments.connection).await?;
    let job = arguments.request().into_job(&environment)?;
    let tools = tools(&environment).await?;
    let shown = Shown::start(&tools.progress);
    let prepared = Box::pin(prepare(&job, &tools)).await;
    shown.stop();
    let report = RestoreReport::planned(prepared?);
    print(json, &report, |report| {
        format!("{}\nTo carry it out: --confirm {}\n", report.plan, report.confirm)
    })?;
    Ok(code(report.status))
}

async fn run_restore(arguments: &Restore, json: bool) -> Result<ExitCode, Failure> {
    let environment = environment(&arguments.connection).await?;
    let mut job = arguments.request().into_job(&environment)?;
    let output = Output::begin(json, &arguments.output)?;
    let report = counted(output, Counts::of_restore, text::restore, async {
        let tools = tools(&environment).await?;
        let shown = Shown::start(&tools.progress);
        let prepared = Box::pin(prepare(&job, &tools)).await;
        shown.stop();
        let prepared = prepared?;
        if job.consent == Consent::None && asked(&prepared.plan, &tools.cancel).await? {
            job.consent = Consent::Token(prepared.plan.confirm.to_string());
        }
        let shown = Shown::start(&tools.progress);
        let report = Box::pin(carry_out(prepared, &job, &tools)).await;
        shown.stop();
        report
    })
    .await?;
    Ok(code(report.status))
}

/// Asks on a thread of its own, so that an interrupt ends the question too.
async fn asked(plan: &RestorePlan, cancel: &CancellationToken) -> Result<bool, Failure> {
    let plan = plan.clone();
    let answer = tokio::task::spawn_blocking(move || ask::consents(&plan));
    tokio::select! {
        answer = answer => Ok(answer.unwrap_or(false)),
        () = cancel.cancelled() => Err(Failure::new(FailureKind::Cancelled, "interrupted before anything was changed")),
    }
}

async fn run_drill(arguments: &Drill, json: bool) -> Result<ExitCode, Failure> {
    let environment = environment(&Connection {
        mongo_uri: arguments.mongo_uri.clone(),
        mongo_db: None,
        memory: arguments.memory.clone(),
    })
    .await?;
    let job = arguments.request().into_job(&environment)?;
    let tools = tools(&environment).await?;
    let shown = Shown::start(&tools.progress);
    let report = Box::pin(drill(&job, &tools)).await;
    shown.stop();
    let report = report?;
    print(json, &report, |report| report.markdown.clone())?;
    Ok(code(report.status))
}

async fn run_verify(arguments: &Verify, json: bool) -> Result<ExitCode, Failure> {
    let memory = memory(arguments.memory.as_ref())?;
    let location: Location = arguments.archive.archive.parse()?;
    let output = Output::begin(json, &arguments.output)?;
    let report = counted(output, Counts::of_verify, text::verify, async {
        let progress = Arc::new(Progress::default());
        let shown = Shown::start(&progress);
        let source = of(&location, &arguments.archive.source);
        let report = verify::verify(&Store::new(), source, memory, &progress).await;
        shown.stop();
        report
    })
    .await?;
    Ok(code(report.status))
}

async fn run_against(arguments: &Verify, json: bool) -> Result<ExitCode, Failure> {
    let (mut environment, database) = live(arguments.against.as_deref().unwrap_or_default()).await?;
    environment.memory = arguments.memory.clone().or(environment.memory);
    let job = AgainstJob {
        archive: arguments.archive.archive.parse()?,
        source_database: arguments.archive.source.source_database.clone(),
        database,
        selection: Selection {
            include: arguments.include.clone(),
            exclude: arguments.exclude.clone(),
        },
    };
    let output = Output::begin(json, &arguments.output)?;
    let report = counted(output, Counts::of_against, text::against, async {
        let tools = tools(&environment).await?;
        let shown = Shown::start(&tools.progress);
        let report = Box::pin(verify::against(&job, &tools)).await;
        shown.stop();
        report
    })
    .await?;
    Ok(code(report.status))
}

/// The database that is meant by a connection string with its name, or by its name where the environment has the connection string.
async fn live(against: &str) -> Result<(Environment, String), Failure> {
    let mut environment = Environment::read();
    environment.check()?;
    if !against.contains("://") {
        environment = environment.with_secret(&Secrets::default()).await?;
        let database = environment.database(Some(against.to_owned()))?;
        return Ok((environment, database));
    }
    let uri = MongoUri::new(against);
    let database = uri.database().ok_or_else(|| {
        Failure::invalid(
            "the connection string names no database to compare with: write it after the hosts, as in mongodb://host:27017/shop?authSource=admin",
        )
    })?;
    environment.uri = Some(uri);
    environment.uri_secret = None;
    let database = environment.database(Some(database))?;
    Ok((environment, database))
}

async fn run_list(arguments: Folder, json: bool) -> Result<ExitCode, Failure> {
    let environment = Environment::read();
    environment.check()?;
    let folder = arguments.folder.or(environment.destination).ok_or_else(|| {
        Failure::new(
            FailureKind::ConfigurationMissing,
            "no folder: name one, or set MONGOTAR_TO to s3://bucket/prefix/ or a path",
        )
    })?;
    let archives = inspect::list(&Store::new(), &folder.parse()?).await?;
    print(json, &archives, |archives| text::list(archives))?;
    Ok(ExitCode::SUCCESS)
}

async fn run_show(arguments: &OneArchive, json: bool) -> Result<ExitCode, Failure> {
    let memory = memory(None)?;
    let location: Location = arguments.archive.parse()?;
    let shown = inspect::show(&Store::new(), of(&location, &arguments.source), memory).await?;
    print(json, &shown, text::show)?;
    Ok(ExitCode::SUCCESS)
}

async fn run_cat(arguments: &Cat, json: bool) -> Result<ExitCode, Failure> {
    if json {
        return Err(Failure::invalid(
            "cat writes one JSON document for each document, a line each: leave --json out",
        ));
    }
    let memory = memory(None)?;
    let mut out = tokio::io::stdout();
    let location: Location = arguments.archive.parse()?;
    let source = of(&location, &arguments.source);
    inspect::cat(&Store::new(), source, memory, &arguments.collection, &mut out).await?;
    Ok(ExitCode::SUCCESS)
}

fn of<'a>(location: &'a Location, source: &'a SourceDatabase) -> Source<'a> {
    Source {
        location,
        database: source.source_database.as_deref(),
    }
}

/// The memory budget: what was given, else what the environment says.
fn memory(given: Option<&String>) -> Result<Memory, Failure> {
    let mut environment = Environment::read();
    environment.memory = given.cloned().or(environment.memory);
    environment.memory()
}

/// The environment, overridden by what was given.
async fn environment(connection: &Connection) -> Result<Environment, Failure> {
    let mut environment = Environment::read();
    if let Some(uri) = &connection.mongo_uri {
        let uri = MongoUri::new(uri.as_str());
        if std::env::var_os("MONGO_DB").is_none_or(|name| name.is_empty()) {
            environment.database = uri.database();
        }
        environment.uri = Some(uri);
        environment.uri_secret = None;
    }
    environment.memory = connection.memory.clone().or(environment.memory);
    environment.with_secret(&Secrets::default()).await
}

/// Connects; a signal cancels the run, which then undoes what it began.
async fn tools(environment: &Environment) -> Result<Tools, Failure> {
    let progress = Arc::new(Progress::default());
    let (deadline, cancel) = (Deadline::never(), CancellationToken::new());
    let mongo = Mongo::connect(environment.uri()?).await?.telling(&progress);
    let tools = Tools {
        mongo: mongo.until(deadline, &cancel),
        store: Store::new(),
        progress,
        cancel,
        deadline,
        memory: environment.memory()?,
    };
    signals::cancel(tools.cancel.clone());
    open().push(tools.mongo.clone());
    Ok(tools)
}

pub fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let mut printed = if json {
        serde_json::to_string_pretty(value).map_err(|error| Failure::invalid(error.to_string()))?
    } else {
        text(value)
    };
    if !printed.ends_with('\n') {
        printed.push('\n');
    }
    print_raw(&printed)
}

pub fn print_raw(printed: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    match std::io::stdout().write_all(printed.as_bytes()) {
        // Whoever reads has seen enough, as in `mongotar list … | head`; what was done is done.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(FailureKind::Store, format!("standard output: {error}"))),
    }
}

fn code(status: RunStatus) -> ExitCode {
    match status {
        RunStatus::Complete | RunStatus::Planned => ExitCode::SUCCESS,
        RunStatus::Partial => ExitCode::from(3),
        RunStatus::Failed | RunStatus::Continue | RunStatus::Running | RunStatus::Loading | RunStatus::Aborted => {
            ExitCode::FAILURE
        }
    }
}
