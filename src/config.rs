//! What the environment says, for every shell alike.
//!
//! `MONGO_URI` and `MONGO_DB` are the ancestor's names. An option of the command line or a field of the event overrides the environment, which
//! overrides `.env` (read by the command line only).

use serde_json::Value;

use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoUri;

/// Settings that a request can leave out.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `MONGO_URI`.
    pub uri: Option<MongoUri>,
    /// `MONGO_DB`, or the database that `MONGO_URI` names.
    pub database: Option<String>,
    /// `MONGOTAR_TO`: where archives go.
    pub destination: Option<String>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads variables from wherever they are.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let uri = set("MONGO_URI").map(MongoUri::new);
        Self {
            database: set("MONGO_DB").or_else(|| uri.as_ref().and_then(MongoUri::database)),
            uri,
            destination: set("MONGOTAR_TO"),
        }
    }

    /// The connection string.
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`].
    pub fn uri(&self) -> Result<&MongoUri, Failure> {
        self.uri.as_ref().ok_or_else(|| {
            Failure::new(
                FailureKind::ConfigurationMissing,
                "no connection string: set MONGO_URI (in the environment or in .env), or give --mongo-uri",
            )
        })
    }

    /// The database, given or from the environment.
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`], or [`FailureKind::InvalidRequest`] for a name that no server takes.
    pub fn database(&self, given: Option<String>) -> Result<String, Failure> {
        let name = given.or_else(|| self.database.clone()).ok_or_else(|| {
            Failure::new(
                FailureKind::ConfigurationMissing,
                "no database: set MONGO_DB (in the environment or in .env), name one in MONGO_URI, or give \"database\" (--mongo-db)",
            )
        })?;
        if name.is_empty() || name.len() > 63 || name.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
            return Err(Failure::invalid(format!(
                "{name:?} is not a database name that a server takes"
            )));
        }
        Ok(name)
    }
}

/// The request within an event: the event itself, or the `detail` of an EventBridge event (empty for a schedule).
pub(crate) fn request_in(event: Value) -> Value {
    let is_eventbridge = event.get("detail-type").is_some() && event.get("source").is_some();
    let mut request = match event {
        Value::Object(mut fields) if is_eventbridge => fields.remove("detail").unwrap_or_default(),
        other => other,
    };
    if request.is_null() {
        request = Value::Object(serde_json::Map::new());
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_variables(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_given_database_overrides_the_environment_and_that_the_connection_string() {
        let both = environment(&[("MONGO_URI", "mongodb://h/from_uri"), ("MONGO_DB", "from_env")]);
        assert_eq!(both.database(None).ok().as_deref(), Some("from_env"));
        assert_eq!(both.database(Some("given".to_owned())).ok().as_deref(), Some("given"));
        let only_uri = environment(&[("MONGO_URI", "mongodb://h/from_uri?w=1")]);
        assert_eq!(only_uri.database(None).ok().as_deref(), Some("from_uri"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let nothing = environment(&[("MONGO_URI", "")]);
        assert!(
            nothing
                .uri()
                .is_err_and(|failure| failure.message.contains("MONGO_URI"))
        );
        assert!(
            nothing
                .database(None)
                .is_err_and(|failure| failure.message.contains("MONGO_DB"))
        );
        assert!(
            nothing
                .database(Some("a.b".to_owned()))
                .is_err_and(|failure| failure.kind == FailureKind::InvalidRequest)
        );
    }
}
