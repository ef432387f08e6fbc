//! Each command: build the job, call the library, print the result.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use mongotar::archive::SavedStatus;
use mongotar::backup::{
    BackupOrder, BackupReport, DatabaseChoice, RunStatus, backup, backup_run, backup_several, estimate,
};
use mongotar::catalog::Selection;
use mongotar::choice::ArchiveChoice;
use mongotar::config::Environment;
use mongotar::drill::{drill, drill_run};
use mongotar::failure::Failure;
use mongotar::mongo::MongoUri;
use mongotar::open::{Source, open};
use mongotar::plan::Ttl;
use mongotar::progress::Progress;
use mongotar::secrets::Secrets;
use mongotar::store::{Location, Store};
use mongotar::users::take;
use mongotar::verify::{AgainstJob, VerifyJob, verify_run};
use mongotar::{inspect, verify};
use mongotar_shell::counts::Counts;
use mongotar_shell::metrics::Metrics;
use mongotar_shell::notify::Notice;
use tokio_util::sync::CancellationToken;

use crate::arguments::{
    Arguments, Backup, Cat, Command, ConnectionArguments, Drill, Estimate, FolderArguments, OneArchive, SourceDatabase,
    Verify,
};
use crate::compacting::run_compact;
use crate::counts_to::{Output, counted};
use crate::plain::PlainJson;
use crate::printed::{print, tell};
use crate::restoring::{run_plan, run_restore};
use crate::runs::as_named;
use crate::session::{close, code, environment, folder, memory, tools};
use crate::show_progress::ShownProgress;
use crate::signals::First;
use crate::telling::{CommandEnd, Telling, Told};
use crate::text::{Along, HowMany};
use crate::watching::run_watch;
use crate::{signals, text};

/// Runs the command; the exit code says how it ended.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let telling = Telling::of(&arguments.command)?;
    let ended = chosen(arguments, telling.as_ref()).await;
    close().await;
    if let Some(telling) = telling {
        telling.of_end(&ended).await;
    }
    ended.map(|ended| ended.code)
}

async fn chosen(arguments: Arguments, telling: Option<&Telling>) -> Result<CommandEnd, Failure> {
    let json = arguments.json;
    match arguments.command {
        Command::Backup(arguments) => run_backup(&arguments, json).await,
        Command::Restore(arguments) if !arguments.dry_run => run_restore(&arguments, json).await,
        Command::Restore(arguments) | Command::Plan(arguments) => {
            run_plan(&arguments, json).await.map(CommandEnd::from)
        }
        Command::Drill(arguments) => run_drill(&arguments, json).await,
        Command::Verify(arguments) if arguments.against.is_none() => run_verify(&arguments, json).await,
        Command::Verify(arguments) => run_against(&arguments, json).await,
        Command::List(arguments) => run_list(arguments, json).await.map(CommandEnd::from),
        Command::Coverage(arguments) => run_coverage(arguments, json).await.map(CommandEnd::from),
        Command::Compact(arguments) => run_compact(arguments, json).await,
        Command::Watch(arguments) => run_watch(&arguments, json, telling).await,
        Command::Estimate(arguments) => run_estimate(&arguments, json).await.map(CommandEnd::from),
        Command::Show(arguments) => run_show(&arguments, json).await.map(CommandEnd::from),
        Command::Cat(arguments) => run_cat(&arguments, json).await.map(CommandEnd::from),
    }
}

async fn run_backup(arguments: &Backup, json: bool) -> Result<CommandEnd, Failure> {
    let environment = environment(&arguments.connection).await?;
    let order = arguments.request().into_order(&environment)?;
    if !matches!(order.databases, DatabaseChoice::One(_)) {
        return run_backups(arguments, &order, &environment, json).await;
    }
    let mut job = order.single()?;
    let output = Output::begin(json, &arguments.output)?;
    let counts = |made: &Along<BackupReport, HowMany>| Counts::of_backup(&made.report);
    let made = counted(output, counts, text::backup_along, async {
        let name = arguments.name.run.as_deref();
        let tools = tools(&environment, name).await?;
        if arguments.users {
            job.users = Some(take(&tools.mongo, &job.database).await?);
        }
        let shown = ShownProgress::start(&tools.progress);
        let report = match name {
            None => Box::pin(backup(&job, &tools)).await,
            Some(name) => {
                let place = (&tools.store, &job.destination);
                as_named(place, name, async |run| backup_run(&job, run, &tools).await).await
            }
        };
        shown.stop();
        Ok(Along {
            report: report?,
            users: job.users.as_ref().map(HowMany::from),
        })
    })
    .await?;
    Ok(CommandEnd {
        code: code(made.report.status),
        told: Some(Told::of_backup("backup", &made.report)),
    })
}

/// Several databases, one archive each.
async fn run_backups(
    arguments: &Backup,
    order: &BackupOrder,
    environment: &Environment,
    json: bool,
) -> Result<CommandEnd, Failure> {
    if arguments.output.counts.is_some() {
        return Err(Failure::invalid(
            "--counts is for one database: name one, or leave --counts out",
        ));
    }
    if arguments.users {
        return Err(Failure::invalid(
            "--users is for one database: name one, or leave --users out",
        ));
    }
    if arguments.name.run.is_some() {
        return Err(Failure::invalid(
            "--run is for one database: give each database its own command and run",
        ));
    }
    let tools = tools(environment, None).await?;
    let shown = ShownProgress::start(&tools.progress);
    let report = backup_several(order, None, &tools).await;
    shown.stop();
    let report = report?;
    print(json, &report, text::backups)?;
    Ok(CommandEnd {
        code: code(report.status),
        told: Some(Told {
            notice: Notice::of_backups(&report),
            metrics: Metrics::of_backups(&report),
        }),
    })
}

async fn run_estimate(arguments: &Estimate, json: bool) -> Result<ExitCode, Failure> {
    let environment = environment(&arguments.connection).await?;
    let job = arguments.job(&environment)?;
    let tools = tools(&environment, None).await?;
    let shown = ShownProgress::start(&tools.progress);
    let report = Box::pin(estimate(&job, &tools)).await;
    shown.stop();
    print(json, &report?, text::estimate)?;
    Ok(ExitCode::SUCCESS)
}

async fn run_drill(arguments: &Drill, json: bool) -> Result<CommandEnd, Failure> {
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
    Ok(CommandEnd {
        code: code(report.status),
        told: Some(Told {
            notice: Notice::of_drill(&report),
            metrics: Metrics::of_drill(&report),
        }),
    })
}

async fn run_verify(arguments: &Verify, json: bool) -> Result<CommandEnd, Failure> {
    let memory = memory(arguments.memory.as_ref())?;
    let location: Location = arguments.archive.archive.parse()?;
    let output = Output::begin(json, &arguments.output)?;
    let report = counted(output, Counts::of_verify, text::verify, async {
        let progress = Arc::new(Progress::default());
        let shown = ShownProgress::start(&progress);
        let waits = CancellationToken::new();
        let store = Store::until(&waits);
        let report = match &arguments.run {
            None => verify::verify(&store, of(&location, &arguments.archive.source), memory, &progress).await,
            Some(name) => {
                signals::listen_for(First::Pauses(waits));
                let job = VerifyJob {
                    archive: ArchiveChoice::At(location.to_string()),
                    source_database: arguments.archive.source.source_database.clone(),
                    state_to: arguments.state_to.as_deref().map(str::parse).transpose()?,
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
    Ok(CommandEnd {
        code: code(report.status),
        told: Some(Told {
            notice: Notice::of_verification(&report),
            metrics: Metrics::of_verification(&report),
        }),
    })
}

async fn run_against(arguments: &Verify, json: bool) -> Result<CommandEnd, Failure> {
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
    Ok(CommandEnd {
        code: code(report.status),
        told: Some(Told {
            notice: Notice::of_comparison(&report),
            metrics: Metrics::of_comparison(&report),
        }),
    })
}

/// The database named by a connection string, or by its name alone if the environment has the connection string.
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

async fn run_coverage(arguments: FolderArguments, json: bool) -> Result<ExitCode, Failure> {
    let report = inspect::coverage(&Store::new(), &folder(arguments)?).await?;
    if report.chains.is_empty() && report.apart.is_empty() {
        nothing_in(&report.folder)?;
    }
    print(json, &report, text::coverage)?;
    Ok(code(match report.is_whole() {
        true => RunStatus::Complete,
        false => RunStatus::Partial,
    }))
}

/// Whether what is in a folder can be looked at: one that is not there is a mistake, and one with nothing in it is told.
fn nothing_in(folder: &Location) -> Result<(), Failure> {
    if let Some(gone) = mongotar::choice::gone(folder) {
        return Err(gone);
    }
    tell(&text::nothing_there(&folder.to_string()));
    Ok(())
}

async fn run_list(arguments: FolderArguments, json: bool) -> Result<ExitCode, Failure> {
    let folder = folder(arguments)?;
    let archives = inspect::list(&Store::new(), &folder).await?;
    if archives.is_empty() {
        nothing_in(&folder)?;
    }
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
            "cat writes JSON anyway, a document per line: leave --json out",
        ));
    }
    let memory = memory(None)?;
    let location: Location = arguments.archive.parse()?;
    let source = of(&location, &arguments.source);
    let file = open(&Store::new(), source, memory).await?;
    if let Some(buckets) = file.buckets(&arguments.collection) {
        tell(&text::buckets_follow(&arguments.collection, buckets.measurements));
    }
    match std::io::stdout().is_terminal() {
        true => inspect::cat_of(&file, &arguments.collection, &mut PlainJson).await?,
        false => inspect::cat_of(&file, &arguments.collection, &mut tokio::io::stdout()).await?,
    };
    let collections = file.contents().collections;
    let saved = collections.iter().find(|saved| saved.name == arguments.collection);
    match saved.filter(|saved| saved.status != SavedStatus::Complete) {
        Some(saved) => {
            tell(&text::cut_short(&saved.name, saved.error.as_deref()));
            Ok(code(RunStatus::Partial))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

fn of<'a>(location: &'a Location, source: &'a SourceDatabase) -> Source<'a> {
    Source {
        location,
        database: source.source_database.as_deref(),
    }
}
