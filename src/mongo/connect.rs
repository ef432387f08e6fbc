//! One client for a deployment, made once per process.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::future::BoxFuture;
use mongodb::options::{ClientOptions, SelectionCriteria};
use mongodb::{Client, Database};

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::asked::SILENCE;
use super::concern::Concern;
use super::found_out::FoundOut;
use super::seen::SeenServers;
use super::{MongoError, MongoUri, ReadAt, engine, tls_files};
use crate::catalog::{Engine, Server, Topology};
use crate::deadline::Deadline;
use crate::patience::Patience;
use crate::progress::Progress;

/// How long to look for a server before saying that there is none, where the connection string has no
/// `serverSelectionTimeoutMS`.
const SERVER_SELECTION: Duration = Duration::from_secs(15);

/// How many connections there may be, and how many may be set up at a time, where the connection string does not say.
/// They are made as they are needed: a thousand small collections, each a few round trips, would wait for the driver's
/// 10.
const CONNECTIONS: u32 = 64;
const CONNECTING: u32 = 8;
/// What is tried, in errors.
const CONNECTING_TO: &str = "connecting to MongoDB";
/// For how long members are waited for of which nothing has been heard yet.
const HEARING: Duration = Duration::from_secs(2);
/// For how long the end of a connection is waited for.
const ENDING: Duration = Duration::from_secs(5);

/// A connection to a deployment and what is known of it.
#[derive(Clone, Debug)]
pub struct Mongo {
    client: Client,
    pub(super) uri: MongoUri,
    server: Server,
    /// The read preference of the connection string.
    pub(super) selection: Option<SelectionCriteria>,
    /// Whether the connection string names one server, which is to be asked whatever it is.
    pub(super) direct: bool,
    /// The only member of the replica set that may be read from.
    pub(super) member: Option<Arc<str>>,
    /// What writes are asked to reach.
    concern: Arc<Concern>,
    /// The driver's calls that are on their way.
    pub(super) calls: TaskTracker,
    /// For how long a server may say nothing.
    pub(super) silence: Duration,
    /// How failures that pass are waited out.
    pub(super) patience: Patience,
    /// Where it is said what is being waited for.
    pub(super) progress: Option<Arc<Progress>>,
    /// What the driver has seen of the servers.
    seen: Arc<SeenServers>,
    /// What was found out of its snapshot reads.
    pub(super) found_out: Arc<FoundOut>,
    /// What speaks TLS where host names are not to be checked, for as long as it is asked to.
    _proxy: Option<Arc<DropGuard>>,
}

impl Mongo {
    /// Connects, and asks the server who it is.
    ///
    /// # Errors
    /// If the string is wrong, no server answers, or the credentials are refused.
    pub async fn connect(uri: &MongoUri) -> Result<Self, MongoError> {
        // What the parser says of a wrong one may hold a piece of a password.
        let (parsed, understood) = uri
            .understood()
            .map_err(|reason| MongoError::unexpected(CONNECTING_TO, format!("the connection string: {reason}")))?;
        for warning in &understood.warnings {
            tracing::warn!("the connection string: {warning}");
        }
        let seen = Arc::new(SeenServers::of(&parsed));
        let failed = |error: mongodb::error::Error| MongoError::new(CONNECTING_TO, &error, uri, &seen);
        let mut options = ClientOptions::parse(parsed).await.map_err(failed)?;
        options.sdam_event_handler = Some(seen.watch());
        options.app_name.get_or_insert_with(|| "mongotar".to_owned());
        // With 0, the driver gives up before anybody can have answered.
        let selecting = options.server_selection_timeout.filter(|limit| !limit.is_zero());
        let selecting = selecting.unwrap_or(SERVER_SELECTION);
        let selecting = understood
            .selection_limit
            .map_or(selecting, |limit| selecting.min(limit));
        options.server_selection_timeout = Some(selecting);
        options.max_pool_size.get_or_insert(CONNECTIONS);
        options.max_connecting.get_or_insert(CONNECTING);
        let selection = options.selection_criteria.clone();
        let direct = options.direct_connection == Some(true);
        let concern = Arc::new(Concern::of(options.write_concern.as_ref()));
        tls_files::check(options.tls.as_ref())
            .map_err(|reason| MongoError::unexpected(CONNECTING_TO, format!("the connection string: {reason}")))?;
        let proxy: Option<DropGuard> = match understood.any_host {
            #[cfg(feature = "tls-invalid-hostnames")]
            true => {
                let started = super::any_host::speak_tls_for(&mut options, &seen).await;
                let unusable =
                    |reason| MongoError::unexpected(CONNECTING_TO, format!("the connection string: {reason}"));
                Some(started.map_err(unusable)?)
            }
            _ => None,
        };
        let addresses: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
        let client = Client::with_options(options).map_err(failed)?;
        let silence = understood.call_limit.unwrap_or(SILENCE);
        let mut mongo = Self {
            client,
            uri: uri.clone(),
            // Not known yet.
            server: Server::new(Engine::Mongodb, String::new(), Topology::Standalone),
            selection,
            direct,
            member: None,
            concern,
            calls: TaskTracker::new(),
            // The first one is asked when it is found.
            silence: silence + selecting,
            patience: Patience::by(selecting),
            progress: None,
            seen: Arc::clone(&seen),
            found_out: Arc::default(),
            _proxy: proxy.map(Arc::new),
        };
        // A wrong name does not become right by waiting. Nothing has been sent yet that would be left half-way.
        let hello = tokio::select! {
            answered = mongo.asked_first(doc! {"hello": 1}) => answered?,
            () = seen.another_set(&addresses) => {
                return Err(MongoError::unexpected(CONNECTING_TO, uri.redact(&seen.why())));
            }
        };
        mongo.silence = silence;
        let asked = |command| mongo.asked_first(command);
        let build = asked(doc! {"buildInfo": 1}).await?;
        let engine = match engine::told(&addresses, &hello, &build) {
            Some(engine) => engine,
            None => engine::by_refusal(&asked(engine::ask_for_options()).await),
        };
        let version = build.get_str("version").unwrap_or_default().to_owned();
        let mut server = Server::new(engine, version, engine::topology(engine, &hello));
        server.replica_set = hello.get_str("setName").ok().map(str::to_owned);
        if engine == Engine::AmazonDocumentdb && engine::is_elastic(&asked(engine::rename_nothing()).await) {
            (server.features.rename, server.features.id_ranges) = (false, false);
        }
        if engine == Engine::Mongodb
            && let Ok(answer) = asked(engine::ask_for_compatibility()).await
            && let Some(compatibility) = engine::compatibility(&answer)
        {
            server.keep_to(compatibility);
        }
        server.hosts = members(&hello).unwrap_or_else(|| sorted(addresses));
        mongo.server = server;
        Ok(mongo)
    }

    /// Asks something before it is known who answers.
    fn asked_first(&self, command: Document) -> BoxFuture<'_, Result<Document, MongoError>> {
        Box::pin(async move {
            let command = RawDocumentBuf::try_from(&command)
                .map_err(|error| MongoError::unexpected(CONNECTING_TO, error.to_string()))?;
            let mut attempts = self.attempts();
            loop {
                let failed = match self.reply(None, "admin", command.clone(), CONNECTING_TO).await {
                    Ok(Ok(reply)) => return Ok(reply),
                    // Where none can be found, that has been waited for.
                    Ok(Err(error)) if is_none_there(&error) => return Err(self.error(CONNECTING_TO, &error)),
                    Ok(Err(error)) => self.error(CONNECTING_TO, &error),
                    Err(silent) => silent,
                };
                if !attempts.again_after(&failed).await {
                    return Err(failed);
                }
            }
        })
    }

    /// Ends the connection, of which this and all others are copies. Waits only a moment for what is on its way.
    pub async fn shut_down(self) {
        self.calls.close();
        let ended = async {
            self.calls.wait().await;
            self.client.shutdown().await;
        };
        if tokio::time::timeout(ENDING, ended).await.is_err() {
            tracing::debug!("the driver did not shut down in time");
        }
    }

    /// What of the connection string is left out, or not done as it asks.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.uri.warnings().into_iter();
        warnings
            .map(|warning| format!("the connection string: {warning}"))
            .collect()
    }

    /// Ends early where it is certain that no member is what the read preference asks for: the driver looks for one
    /// until its limit.
    pub(super) async fn some_member_fits(&self, database: &str) -> Result<(), MongoError> {
        let heard = async || tokio::time::timeout(HEARING, self.seen.all_members()).await.is_ok();
        match self.selection.is_some() && heard().await && self.seen.none_will_fit() {
            true => Err(MongoError::unexpected(
                format!("reading {database}"),
                self.uri.redact(&self.seen.why()),
            )),
            false => Ok(()),
        }
    }

    /// The option of the connection string that limits how long a server may say nothing, if one does.
    pub(super) fn limited_by(&self) -> Option<&'static str> {
        let (_, understood) = self.uri.understood().ok()?;
        let by = understood.selection_limit.map_or("socketTimeoutMS", |_| "timeoutMS");
        understood.call_limit.map(|_| by)
    }

    /// What answered.
    pub fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn database(&self, name: &str) -> Database {
        self.client.database(name)
    }

    /// The same connection, with all requests to the primary: proof of a write must not come from a member that lags.
    #[must_use]
    pub fn on_primary(&self) -> Self {
        Self {
            selection: None,
            member: None,
            ..self.clone()
        }
    }

    /// The same connection, reporting there what it waits for.
    #[must_use]
    pub fn telling(self, progress: &Arc<Progress>) -> Self {
        Self {
            progress: Some(Arc::clone(progress)),
            ..self
        }
    }

    /// The same connection, for an invocation that has to end at some time and a run that may be cancelled: neither
    /// waits longer for what passes.
    #[must_use]
    pub fn until(self, deadline: Deadline, cancel: &CancellationToken) -> Self {
        Self {
            patience: self.patience.until(deadline, cancel),
            ..self
        }
    }

    /// How documents are read for a proof: as the majority has them, if there is one.
    pub fn proving(&self) -> ReadAt {
        match self.server.topology {
            Topology::Standalone => ReadAt::Local,
            Topology::ReplicaSet | Topology::Sharded => ReadAt::Majority,
        }
    }

    /// How many members an index build waits for: as many as a write does. `None` if no such number can be given: a
    /// single server, or one before 4.4.
    pub fn index_quorum(&self) -> Option<&bson::Bson> {
        self.server.features.index_quorum.then(|| self.concern.quorum())
    }

    /// Whether an acknowledged write has reached the majority, so that a read that proves something sees it at once.
    pub fn writes_reach_majority(&self) -> bool {
        self.server.topology == Topology::Standalone || self.concern.is_majority()
    }

    /// The write concern of the connection.
    pub(super) fn concern(&self) -> &Concern {
        &self.concern
    }

    pub(super) fn error(&self, action: impl Into<String>, error: &mongodb::error::Error) -> MongoError {
        MongoError::new(action, error, &self.uri, &self.seen)
    }
}

/// Whether no server was found at all.
fn is_none_there(error: &mongodb::error::Error) -> bool {
    matches!(*error.kind, mongodb::error::ErrorKind::ServerSelection { .. })
}

/// The members as the replica set's configuration names them, which is the same whichever of them answers.
fn members(hello: &Document) -> Option<Vec<String>> {
    let hosts = hello.get_array("hosts").ok()?.iter();
    let hosts: Vec<String> = hosts.filter_map(|host| host.as_str().map(str::to_owned)).collect();
    (!hosts.is_empty()).then(|| sorted(hosts))
}

fn sorted(mut hosts: Vec<String>) -> Vec<String> {
    hosts.sort_unstable();
    hosts
}
