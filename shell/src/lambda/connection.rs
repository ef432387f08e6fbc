//! The way to the database: found once per cold start, and again if it no longer lets us in.
//!
//! A connection string in the function's configuration changes only with the function. One from a secret is rotated
//! while the function is warm: open connections may live on while every new one is refused. So such a client is checked
//! before each invocation; after a failed one, it and the secret are forgotten.

use serde_json::Value;
use tokio::sync::Mutex;

use mongotar::config::Environment;
use mongotar::failure::{Failure, FailureKind};
use mongotar::mongo::{Mongo, code};
use mongotar::secrets::Secrets;

#[derive(Debug, Default)]
pub(super) struct Connection {
    configured: Environment,
    secrets: Secrets,
    found: Mutex<FoundSecret>,
}

#[derive(Debug, Default)]
struct FoundSecret {
    /// With the connection string out of the secret.
    environment: Option<Environment>,
    mongo: Option<Mongo>,
}

impl Connection {
    pub(super) fn new(configured: Environment) -> Self {
        Self {
            configured,
            ..Self::default()
        }
    }

    /// The environment as it is configured, without what stands in a secret.
    pub(super) fn configured(&self) -> &Environment {
        &self.configured
    }

    /// The environment with the connection string.
    pub(super) async fn environment(&self) -> Result<Environment, Failure> {
        self.found.lock().await.environment(self).await
    }

    pub(super) async fn mongo(&self) -> Result<Mongo, Failure> {
        let mut found = self.found.lock().await;
        match &found.mongo {
            Some(mongo) if !self.is_secret() || !is_shut_out(mongo).await => return Ok(mongo.clone()),
            Some(_) => {
                tracing::info!("the credentials were refused: reading the secret again");
                *found = FoundSecret::default();
            }
            None => {}
        }
        let environment = found.environment(self).await?;
        match Mongo::connect(environment.uri()?).await {
            Ok(mongo) => {
                found.mongo = Some(mongo.clone());
                Ok(mongo)
            }
            Err(error) => {
                *found = FoundSecret::default();
                Err(error.into())
            }
        }
    }

    /// Looks at how an invocation ended.
    pub(super) async fn after(&self, answered: &Result<Value, Failure>) {
        let went_wrong = match answered {
            Ok(answer) => matches!(answer["status"].as_str(), Some("partial" | "failed")),
            Err(failure) => matches!(failure.kind, FailureKind::Database | FailureKind::DatabaseUnauthorized),
        };
        if went_wrong && self.is_secret() {
            *self.found.lock().await = FoundSecret::default();
        }
    }

    fn is_secret(&self) -> bool {
        self.configured.uri_secret.is_some()
    }
}

impl FoundSecret {
    async fn environment(&mut self, connection: &Connection) -> Result<Environment, Failure> {
        if let Some(environment) = &self.environment {
            return Ok(environment.clone());
        }
        let environment = connection.configured.clone().with_secret(&connection.secrets).await?;
        self.environment = Some(environment.clone());
        Ok(environment)
    }
}

/// A user who was dropped, or whose password expired, is not told so before the first command that needs a privilege. A
/// connection string without a user is read again each time.
async fn is_shut_out(mongo: &Mongo) -> bool {
    let status = bson::rawdoc! {"connectionStatus": 1};
    match mongo.once("admin", status, "asking who we are").await {
        Ok(status) => {
            let users = status
                .get_document("authInfo")
                .and_then(|info| info.get_array("authenticatedUsers"));
            !users.is_ok_and(|users| !users.is_empty())
        }
        Err(error) => error.is(code::AUTHENTICATION_FAILED),
    }
}
