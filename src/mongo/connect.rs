//! One client for a deployment, made once per process.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{ClientOptions, SelectionCriteria};
use mongodb::{Client, Database};

use super::{MongoError, MongoUri};
use crate::catalog::{Server, Topology};

/// How long to look for a server before saying that there is none.
const SERVER_SELECTION: Duration = Duration::from_secs(15);

/// How many connections there may be, and how many may be set up at a time, where the connection string does not say. They are made as they are needed: a thousand small
/// collections, each a few round trips, would wait for the driver's 10.
const CONNECTIONS: u32 = 64;
const CONNECTING: u32 = 8;

/// A connection to a deployment and what is known of it.
#[derive(Clone, Debug)]
pub struct Mongo {
    client: Client,
    uri: MongoUri,
    server: Server,
    selection: Option<SelectionCriteria>,
}

impl Mongo {
    /// Connects, and asks the server who it is.
    ///
    /// # Errors
    /// Where the string is wrong, no server answers, or the credentials are refused.
    pub async fn connect(uri: &MongoUri) -> Result<Self, MongoError> {
        let failed = |error: mongodb::error::Error| MongoError::new(format!("connecting to {uri}"), &error, uri);
        let mut options = ClientOptions::parse(uri.expose()).await.map_err(failed)?;
        options.app_name.get_or_insert_with(|| "mongotar".to_owned());
        options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
        options.max_pool_size.get_or_insert(CONNECTIONS);
        options.max_connecting.get_or_insert(CONNECTING);
        let selection = options.selection_criteria.clone();
        let addresses = options.hosts.iter().map(ToString::to_string).collect();
        let client = Client::with_options(options).map_err(failed)?;
        let admin = client.database("admin");
        let hello = admin.run_command(doc! {"hello": 1}).await.map_err(failed)?;
        let build = admin.run_command(doc! {"buildInfo": 1}).await.map_err(failed)?;
        let replica_set = hello.get_str("setName").ok().map(str::to_owned);
        let topology = match hello.get_str("msg") {
            Ok("isdbgrid") => Topology::Sharded,
            _ if replica_set.is_some() => Topology::ReplicaSet,
            _ => Topology::Standalone,
        };
        Ok(Self {
            client,
            uri: uri.clone(),
            server: Server {
                version: build.get_str("version").unwrap_or_default().to_owned(),
                topology,
                replica_set,
                hosts: members(&hello).unwrap_or_else(|| sorted(addresses)),
            },
            selection,
        })
    }

    /// What answered.
    pub fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn database(&self, name: &str) -> Database {
        self.client.database(name)
    }

    /// The read preference of the connection string.
    pub(super) fn read_selection(&self) -> Option<SelectionCriteria> {
        self.selection.clone()
    }

    /// Runs a command on the primary. `action` names it in errors, with the namespace.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn command(&self, database: &str, command: Document, action: &str) -> Result<Document, MongoError> {
        self.database(database)
            .run_command(command)
            .await
            .map_err(|error| self.error(action, &error))
    }

    /// As [`Self::command`], for a command in raw BSON, whose fields keep their order and exact types.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn raw_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        action: &str,
    ) -> Result<Document, MongoError> {
        let answered = self.database(database).run_raw_command(command).await;
        answered.or_else(|error| self.readable(action, &error))
    }

    /// A reply can quote what no decoder takes: a duplicate key that is no UTF-8, say. The driver then reports that it could not read it, but it is
    /// a reply all the same, and most of it can be read.
    fn readable(&self, action: &str, error: &mongodb::error::Error) -> Result<Document, MongoError> {
        let reply = error
            .server_response()
            .filter(|_| !matches!(*error.kind, mongodb::error::ErrorKind::Command(_)))
            .and_then(|reply| bson::Utf8Lossy::<Document>::try_from(reply.as_ref()).ok());
        let unreadable = self.error(action, error);
        match reply {
            Some(bson::Utf8Lossy(reply)) if is_ok(&reply) => Ok(reply),
            Some(bson::Utf8Lossy(reply)) if reply.contains_key("errmsg") => Err(MongoError {
                reason: self.uri.redact(reply.get_str("errmsg").unwrap_or_default()),
                code: reply.get_i32("code").ok(),
                ..unreadable
            }),
            _ => Err(unreadable),
        }
    }

    pub(super) fn error(&self, action: impl Into<String>, error: &mongodb::error::Error) -> MongoError {
        MongoError::new(action, error, &self.uri)
    }
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

fn is_ok(reply: &Document) -> bool {
    match reply.get("ok") {
        Some(bson::Bson::Double(ok)) => *ok == 1.0,
        Some(bson::Bson::Int32(ok)) => *ok == 1,
        _ => false,
    }
}
