//! How every command begins and ends: the environment, the connections, the exit code.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mongotar::backup::{RunStatus, Tools};
use mongotar::config::Environment;
use mongotar::failure::{Failure, FailureKind};
use mongotar::mongo::{Mongo, MongoUri};
use mongotar::progress::Progress;
use mongotar::run::{Deadline, Memory};
use mongotar::secrets::Secrets;
use mongotar::store::{Location, Store};
use tokio_util::sync::CancellationToken;

use crate::arguments::{ConnectionArguments, FolderArguments};
use crate::signals::{self, First};

/// The connections that were made.
static OPEN: Mutex<Vec<Mongo>> = Mutex::new(Vec::new());

fn open() -> MutexGuard<'static, Vec<Mongo>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends all connections. Before the runtime goes: a driver's task that outlives its pool panics.
pub async fn close() {
    let connections = std::mem::take(&mut *open());
    for connection in connections {
        connection.shut_down().await;
    }
}

/// The memory budget: what was given, else what the environment says.
pub fn memory(given: Option<&String>) -> Result<Memory, Failure> {
    let mut environment = Environment::read();
    environment.memory = given.cloned().or(environment.memory);
    environment.memory()
}

/// The folder that is named, or the environment's.
pub fn folder(arguments: FolderArguments) -> Result<Location, Failure> {
    let environment = Environment::read();
    environment.check()?;
    let folder = arguments.folder.or(environment.destination).ok_or_else(|| {
        Failure::new(
            FailureKind::ConfigurationMissing,
            "no folder: name one, or set MONGOTAR_TO to s3://bucket/prefix/ or a path",
        )
    })?;
    Ok(folder.parse()?)
}

/// The environment, overridden by what was given.
pub async fn environment(connection: &ConnectionArguments) -> Result<Environment, Failure> {
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

/// Connects; a signal cancels the run, which then undoes what it began, or pauses a named run.
pub async fn tools(environment: &Environment, name: Option<&str>) -> Result<Tools, Failure> {
    let progress = Arc::new(Progress::default());
    let (cancel, waits) = (CancellationToken::new(), CancellationToken::new());
    let (deadline, first, store) = match name {
        None => (Deadline::never(), First::Cancels(cancel.clone()), Store::until(&cancel)),
        Some(_) => (signals::pause(), First::Pauses(waits.clone()), Store::until(&waits)),
    };
    // What is wrong with the settings is said before anybody is asked.
    let memory = environment.memory()?;
    let mongo = Mongo::connect(environment.uri()?).await?.telling(&progress);
    let tools = Tools {
        mongo: mongo.until(deadline, &cancel),
        store,
        progress,
        cancel,
        deadline,
        memory,
    };
    signals::listen_for(first);
    open().push(tools.mongo.clone());
    Ok(tools)
}

pub fn code(status: RunStatus) -> ExitCode {
    match status {
        RunStatus::Complete | RunStatus::Planned => ExitCode::SUCCESS,
        RunStatus::Partial => ExitCode::from(3),
        RunStatus::Failed | RunStatus::Continue | RunStatus::Running | RunStatus::Loading | RunStatus::Aborted => {
            ExitCode::FAILURE
        }
    }
}
