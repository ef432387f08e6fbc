//! Each command: put the job together, call the library, print what it says.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mongotar::backup::{BackupOrder, DatabaseChoice, RunStatus, Tools, backup, backup_run, backup_several};
use mongotar::catalog::Selection;
use mongotar::choice::ArchiveChoice;
use mongotar::config::Environment;
use mongotar::drill::{drill, drill_run};
use mongotar::failure::{Failure, FailureKind};
use mongotar::mongo::{Mongo, MongoUri};
use mongotar::open::Source;
use mongotar::plan::{RestorePlan, Ttl};
use mongotar::progress::Progress;
use mongotar::restore::{Consent, RestoreJob, RestoreReport, begun_plan, carry_out, prepare, restore_run};
use mongotar::run::{Deadline, Memory};
use mongotar::secrets::Secrets;
use mongotar::store::{Location, Store};
use mongotar::verify::{AgainstJob, VerifyJob, verify_run};
use mongotar::{inspect, verify};
use mongotar_shell::counts::Counts;
use tokio_util::sync::CancellationToken;

use crate::arguments::{
    Arguments, Backup, Cat, Command, ConnectionArguments, Drill, FolderArguments, OneArchive, Restore, SourceDatabase,
    Verify,
};
use crate::counts_to::{Output, counted};
use crate::printed::print;
use crate::runs::as_named;
use crate::show_progress::ShownProgress;
use crate::signals::First;
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
        let name = arguments.name.run.as_deref();
        let tools = tools(&environment, name).await?;
        let shown = ShownProgress::start(&tools.progress);
        let report = match name {
            None => Box::pin(backup(&job, &tools)).await,
            Some(name) => {
                let place = (&tools.store, &job.destination);
                as_named(place, name, async |run| backup_run(&job, run, &tools).await).await
            }
        };
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
    if arguments.name.run.is_some() {
        return Err(Failure::invalid(
            "--run is for one database: give each database a command, and a run, of its own",
        ));
    }
    let tools = tools(environment, None).await?;
    let shown = ShownProgress::start(&tools.progress);
    let report = backup_several(order, None, &tools).await;
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
    let tools = tools(&environment, None).await?;
    let shown = ShownProgress::start(&tools.progress);
    let prepared = prepare(&job, &tools).await;
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
        let name = arguments.name.run.as_deref();
        let tools = tools(&environment, name).await?;
        if let Some(name) = name {
            return restore_named(job, name, &tools).await;
        }
        let shown = ShownProgress::start(&tools.progress);
        let prepared = prepare(&job, &tools).await;
        shown.stop();
        let prepared = prepared?;
        ask_for_consent(&mut job, &prepared.plan, &tools).await?;
        let shown = ShownProgress::start(&tools.progress);
        let report = carry_out(prepared, &job, &tools).await;
        shown.stop();
        report
    })
    .await?;
    Ok(code(report.status))
}

/// A restore that goes on under its name. It is asked for consent to the plan that it was begun with.
async fn restore_named(mut job: RestoreJob, name: &str, tools: &Tools) -> Result<RestoreReport, Failure> {
    let folder = job.folder()?;
    as_named((&tools.store, &folder), name, async move |run| {
        if job.consent == Consent::None {
            let plan = match begun_plan(&job, run, tools).await? {
                Some(plan) => plan,
                None => prepare(&job, tools).await?.plan,
            };
            ask_for_consent(&mut job, &plan, tools).await?;
        }
        let shown = ShownProgress::start(&tools.progress);
        let answer = restore_run(&job, run, tools).await;
        shown.stop();
        answer
    })
    .await
}

/// Where none was given, and somebody is there to be asked.
async fn ask_for_consent(job: &mut RestoreJob, plan: &RestorePlan, tools: &Tools) -> Result<(), Failure> {
    if job.consent == Consent::None && asked(plan, tools).await? {
        job.consent = Consent::Token(plan.confirm.to_string());
    }
    Ok(())
}

/// Asks on a thread of its own, so that an interrupt ends the question too.
async fn asked(plan: &RestorePlan, tools: &Tools) -> Result<bool, Failure> {
    let plan = plan.clone();
    let answer = tokio::task::spawn_blocking(move || ask::consents(&plan));
    tokio::select! {
        answer = answer => Ok(answer.unwrap_or(false)),
        () = signals::interrupted(tools) => Err(Failure::new(FailureKind::Cancelled, "interrupted before anything was changed")),
    }
}

async fn run_drill(arguments: &Drill, json: bool) -> Result<ExitCode, Failure> {
    let environment = environment(&ConnectionArguments {
        mongo_uri: arguments.mongo_uri.clone(),
        mongo_db: None,
        memory: arguments.memory.clone(),
    })
    .await?;
    let job = arguments.request().into_job(&environment)?;
    let name = arguments.name.run.as_deref();
    let tools = tools(&environment, name).await?;
    let shown = ShownProgress::start(&tools.progress);
    let report = match name {
        None => Box::pin(drill(&job, &tools)).await,
        Some(name) => {
            let place = (&tools.store, &job.folder()?);
            as_named(place, name, async |run| drill_run(&job, run, &tools).await).await
        }
    };
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
        let shown = ShownProgress::start(&progress);
        let store = Store::new();
        let report = match &arguments.run {
            None => verify::verify(&store, of(&location, &arguments.archive.source), memory, &progress).await,
            Some(name) => {
                signals::listen_for(First::Pauses);
                let job = VerifyJob {
                    archive: ArchiveChoice::At(location.to_string()),
                    source_database: arguments.archive.source.source_database.clone(),
                };
                let with = (&store, memory, &*progress);
                let place = (&store, &job.folder()?);
                as_named(place, name, async |run| {
                    verify_run(&job, run, with, signals::pause()).await
                })
                .await
            }
        };
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
        ttl: match arguments.park_ttl {
            true => Ttl::Parked,
            false => Ttl::On,
        },
    };
    let output = Output::begin(json, &arguments.output)?;
    let report = counted(output, Counts::of_against, text::against, async {
        let tools = tools(&environment, None).await?;
        let shown = ShownProgress::start(&tools.progress);
        let report = Box::pin(verify::against(&job, &tools)).await;
        shown.stop();
        report
    })
    .await?;
    Ok(code(report.status))
}

/// The database that is meant by a connection string with its name, or by its name where the environment has the
/// connection string.
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

async fn run_list(arguments: FolderArguments, json: bool) -> Result<ExitCode, Failure> {
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
async fn environment(connection: &ConnectionArguments) -> Result<Environment, Failure> {
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

/// Connects; a signal cancels the run, which then undoes what it began, or has a run that has a name pause.
async fn tools(environment: &Environment, name: Option<&str>) -> Result<Tools, Failure> {
    let progress = Arc::new(Progress::default());
    let cancel = CancellationToken::new();
    let (deadline, first) = match name {
        None => (Deadline::never(), First::Cancels(cancel.clone())),
        Some(_) => (signals::pause(), First::Pauses),
    };
    let mongo = Mongo::connect(environment.uri()?).await?.telling(&progress);
    let tools = Tools {
        mongo: mongo.until(deadline, &cancel),
        store: Store::new(),
        progress,
        cancel,
        deadline,
        memory: environment.memory()?,
    };
    signals::listen_for(first);
    open().push(tools.mongo.clone());
    Ok(tools)
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
