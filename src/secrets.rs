//! The connection string from AWS Secrets Manager, so that no function's configuration has it.
//!
//! A secret is the connection string itself, or a JSON object: with `uri` (or `MONGO_URI`), or as RDS and DocumentDB
//! keep and rotate theirs (`username`, `password`, `host`, `port`, `ssl`, …). Its content is never shown: not in
//! errors, not in logs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::Region;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_secretsmanager::operation::RequestId as _;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::aws;
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoUri;

/// Where a Lambda layer puts the certificates of DocumentDB and RDS, which no system trusts by itself.
const CA_BUNDLE: &str = "/opt/global-bundle.pem";
/// The setting that names the secret with the connection string.
const URI_SECRET: &str = "MONGO_URI_SECRET";
/// Options of a connection that such a secret may name.
const OPTIONS: [&str; 3] = ["authSource", "replicaSet", "readPreference"];

/// Why a secret is of no use.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is no such secret, or it may not be read.
    #[error("the secret {id} ({setting}) cannot be read: {reason}")]
    Refused {
        /// Its name or ARN.
        id: String,
        /// The setting that names it.
        setting: &'static str,
        /// What the service answered.
        reason: String,
    },
    /// It is there, and is not what it is meant to be.
    #[error("the secret {id} ({setting}) cannot be used: {reason}")]
    Unusable {
        /// Its name or ARN.
        id: String,
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong, without a word of what it holds.
        reason: String,
    },
    /// The service was not reached, or failed.
    #[error(
        "Secrets Manager does not answer for {id} ({setting}): {reason}. A function in a VPC needs an endpoint for it, or a route out"
    )]
    Failed {
        /// Its name or ARN.
        id: String,
        /// The setting that names it.
        setting: &'static str,
        /// What happened.
        reason: String,
    },
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let kind = match error {
            SecretError::Refused { .. } => FailureKind::ConfigurationMissing,
            SecretError::Unusable { .. } => FailureKind::InvalidRequest,
            // Without it the database cannot be reached, and the next try may get it.
            SecretError::Failed { .. } => FailureKind::Database,
        };
        Self::new(kind, error.to_string())
    }
}

/// Access to Secrets Manager. Cheap to clone; the client is built when it is first needed.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    client: Arc<OnceCell<Client>>,
}

impl Secrets {
    /// Reads the connection string in a secret, which `MONGO_URI_SECRET` names.
    ///
    /// # Errors
    /// If it cannot be read, or is not one.
    pub async fn connection_string(&self, id: &str) -> Result<MongoUri, SecretError> {
        let text = self.text(id, URI_SECRET).await?;
        let unusable = |reason: String| SecretError::Unusable {
            id: id.to_owned(),
            setting: URI_SECRET,
            reason,
        };
        let bundle = Some(CA_BUNDLE).filter(|path| Path::new(path).is_file());
        let uri = MongoUri::new(in_secret(&text, bundle).map_err(unusable)?);
        uri.check().map_err(unusable)?;
        Ok(uri)
    }

    /// Reads a secret's text. `setting` is what names it, for errors.
    ///
    /// # Errors
    /// If it cannot be read, or is binary.
    pub async fn text(&self, id: &str, setting: &'static str) -> Result<String, SecretError> {
        let client = self
            .client
            .get_or_try_init(|| Box::pin(client_for(id, setting)))
            .await?;
        let answered = Box::pin(client.get_secret_value().secret_id(id).send()).await;
        let id = id.to_owned();
        let value = answered.map_err(|error| {
            let id = id.clone();
            match error.as_service_error().and_then(|service| service.code()) {
                Some(code @ ("ResourceNotFoundException" | "AccessDeniedException" | "DecryptionFailure")) => {
                    let message = error.as_service_error().and_then(|service| service.message());
                    let reason = format!("{code}: {}", message.unwrap_or("no reason was given"));
                    SecretError::Refused { id, setting, reason }
                }
                _ => SecretError::Failed {
                    id,
                    setting,
                    reason: why(&error),
                },
            }
        })?;
        let reason = || "it is binary".to_owned();
        let text = value.secret_string().map(str::to_owned);
        text.ok_or_else(|| SecretError::Unusable {
            id,
            setting,
            reason: reason(),
        })
    }
}

/// Why there is no answer that is understood. Nothing of what was answered is shown, since that may be the secret, but
/// what an error says of itself.
fn why(error: &SdkError<GetSecretValueError>) -> String {
    let Some(answer) = error.raw_response() else {
        return aws::why_unreached(error, aws::Service::SecretsManager);
    };
    let status = answer.status().as_u16();
    let service = error.as_service_error().filter(|_| !answer.status().is_success());
    let Some((service, code)) = service.and_then(|service| Some((service, service.code()?))) else {
        return format!(
            "what it answered (status {status}) is no answer of Secrets Manager: check AWS_ENDPOINT_URL and proxies on the way"
        );
    };
    let message = service.message().unwrap_or("no reason was given");
    let request = service
        .request_id()
        .map(|id| format!(", request {id}"))
        .unwrap_or_default();
    format!("{code}: {message} (status {status}{request})")
}

async fn client_for(id: &str, setting: &'static str) -> Result<Client, SecretError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(10))
        .build();
    let environment = aws::from_environment().await.map_err(|reason| SecretError::Unusable {
        id: id.to_owned(),
        setting,
        reason,
    })?;
    // An ARN says where its secret is, which need not be where the function is.
    let of_arn = id.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
    let region = match of_arn.filter(|region| !region.is_empty()) {
        Some(region) => Region::new(region.to_owned()),
        None => aws::region_of(&environment),
    };
    let config = aws_sdk_secretsmanager::config::Builder::from(&environment)
        .region(region)
        .timeout_config(timeouts);
    Ok(Client::from_conf(config.build()))
}

/// The connection string that a secret's text means.
fn in_secret(text: &str, ca_bundle: Option<&str>) -> Result<String, String> {
    let text = text.trim();
    if !text.starts_with('{') {
        return match text.contains("://") {
            true => Ok(text.to_owned()),
            false => Err("it is neither a connection string nor a JSON object with one".to_owned()),
        };
    }
    // The parser's own message may hold a piece of what it read.
    let fields: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| format!("its JSON breaks off or is wrong at column {}", error.column()))?;
    let whole = ["uri", "MONGO_URI"].iter().find_map(|name| text_of(&fields, name));
    match whole {
        Some(uri) => Ok(uri),
        None => of_parts(&fields, ca_bundle),
    }
}

/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>
fn of_parts(fields: &Map<String, Value>, ca_bundle: Option<&str>) -> Result<String, String> {
    let given = |name: &str| text_of(fields, name);
    let needed = |name: &str| {
        given(name).ok_or_else(|| {
            format!("its JSON has neither \"uri\" nor all of username, password and host: there is no {name}")
        })
    };
    let (user, password, mut host) = (needed("username")?, needed("password")?, needed("host")?);
    // A host may be a list of them, or have its port already.
    if let Some(port) = given("port").filter(|_| !host.contains([',', ':'])) {
        host = format!("{host}:{port}");
    }
    let database = given("dbname").or_else(|| given("database")).unwrap_or_default();
    // DocumentDB knows no retryable writes, and refuses them. Its users, and mostly MongoDB's, are those of `admin`,
    // whatever database is named.
    let mut options = vec!["retryWrites=false".to_owned()];
    if !database.is_empty() && given("authSource").is_none() {
        options.push("authSource=admin".to_owned());
    }
    for name in OPTIONS {
        options.extend(given(name).map(|value| format!("{name}={}", escaped(&value))));
    }
    if given("ssl")
        .or_else(|| given("tls"))
        .is_some_and(|ssl| matches!(ssl.to_lowercase().as_str(), "true" | "1" | "yes"))
    {
        options.push("tls=true".to_owned());
        options.extend(ca_bundle.map(|path| format!("tlsCAFile={}", escaped(path))));
    }
    Ok(format!(
        "mongodb://{}:{}@{host}/{}?{}",
        escaped(&user),
        escaped(&password),
        escaped(&database),
        options.join("&")
    ))
}

fn text_of(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let text = match fields.get(name)? {
        Value::String(text) => text.clone(),
        Value::Null => return None,
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_form_of_a_secret_is_a_connection_string() {
        for (secret, expected) in [
            (json!(null).to_string().replace("null", " mongodb://u:p@h/ \n"), "mongodb://u:p@h/"),
            (json!({"uri": "mongodb+srv://u:p@h/shop"}).to_string(), "mongodb+srv://u:p@h/shop"),
            (json!({"MONGO_URI": "mongodb://h/"}).to_string(), "mongodb://h/"),
            (
                json!({"engine": "mongo", "username": "clerk", "password": "p@ss/w:rd%", "host": "h.example", "port": 27017, "ssl": true}).to_string(),
                "mongodb://clerk:p%40ss%2Fw%3Ard%25@h.example:27017/?retryWrites=false&tls=true&tlsCAFile=%2Fopt%2Fbundle.pem",
            ),
            (
                json!({"username": "u", "password": "p", "host": "a:1,b:2", "port": "27017", "dbname": "shop", "ssl": "false", "replicaSet": "rs0"}).to_string(),
                "mongodb://u:p@a:1,b:2/shop?retryWrites=false&authSource=admin&replicaSet=rs0",
            ),
            (
                json!({"username": "u", "password": "p", "host": "h", "dbname": "shop", "authSource": "shop", "readPreference": "secondaryPreferred"}).to_string(),
                "mongodb://u:p@h/shop?retryWrites=false&authSource=shop&readPreference=secondaryPreferred",
            ),
        ] {
            let uri = in_secret(&secret, Some("/opt/bundle.pem")).expect("a connection string");
            assert_eq!(uri, expected);
            assert_eq!(MongoUri::new(uri).check(), Ok(()), "{expected}");
        }
    }

    #[test]
    fn what_is_no_connection_string_is_refused_without_a_word_of_it() {
        for (secret, word) in [
            ("hunter2", "neither"),
            ("{\"uri\": \"hunter2\", ", "JSON"),
            ("{\"uri\": hunter2}", "JSON"),
            ("{\"username\": \"hunter2\", \"password\": \"hunter2\"}", "host"),
            ("{\"password\": \"hunter2\", \"host\": \"h\"}", "username"),
            ("{}", "uri"),
        ] {
            let reason = in_secret(secret, None).expect_err("refused");
            assert!(reason.contains(word) && !reason.contains("hunter2"), "{reason}");
        }
    }
}
