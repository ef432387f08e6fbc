//! The environment's settings, for every shell.
//!
//! `MONGO_URI` and `MONGO_DB` are the ancestor's names. An option of the command line or a field of the event overrides
//! the environment, which overrides `.env` (read by the command line only).

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::failure::{Failure, FailureKind};
use crate::hidden::{holds_one, misplaced};
use crate::mongo::MongoUri;
use crate::run::Memory;
use crate::secrets::Secrets;

/// The only variable that may hold a connection string.
const URI: &str = "MONGO_URI";

/// Settings that a request can leave out.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `MONGO_URI`.
    pub uri: Option<MongoUri>,
    /// `MONGO_URI_SECRET`: the name or ARN of the secret that has the connection string.
    pub uri_secret: Option<String>,
    /// `MONGO_DB`, or the database that `MONGO_URI` names.
    pub database: Option<String>,
    /// `MONGOTAR_TO`: where archives go.
    pub destination: Option<String>,
    /// `MONGOTAR_RETENTION`: the class that archives are tagged with.
    pub retention: Option<String>,
    /// `MONGOTAR_DEADLINE_MARGIN`: how many seconds before its deadline a function begins to end.
    pub deadline_margin: Option<String>,
    /// `MONGOTAR_STACK`: the stack that a function belongs to, by which its metrics are told from those of others.
    pub stack: Option<String>,
    /// `MONGOTAR_NOTIFY_SECRET`: the name or ARN of the secret that has the addresses of those who are told of runs.
    pub notify_secret: Option<String>,
    /// `MONGOTAR_MOUNT`: where a file system is mounted that outlives a function. Below it, local paths are taken.
    pub mount: Option<String>,
    /// `MONGOTAR_MEMORY`: how much memory a run may take, MB.
    pub memory: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`: how much the function has that this runs in, MB.
    pub function_memory: Option<String>,
    /// Which of them holds a connection string that belongs elsewhere. It is not kept.
    misplaced: Option<&'static str>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads variables from wherever they are.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut misplaced = None;
        let mut set = |name: &'static str| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            let belongs = name == URI || !holds_one(&value);
            if !belongs {
                misplaced = Some(name);
            }
            belongs.then_some(value)
        };
        let uri = set(URI).map(MongoUri::new);
        Self {
            database: set("MONGO_DB").or_else(|| uri.as_ref().and_then(MongoUri::database)),
            uri,
            uri_secret: set("MONGO_URI_SECRET"),
            destination: set("MONGOTAR_TO"),
            retention: set("MONGOTAR_RETENTION"),
            deadline_margin: set("MONGOTAR_DEADLINE_MARGIN"),
            stack: set("MONGOTAR_STACK"),
            notify_secret: set("MONGOTAR_NOTIFY_SECRET"),
            mount: set("MONGOTAR_MOUNT"),
            memory: set("MONGOTAR_MEMORY"),
            function_memory: set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
            misplaced,
        }
    }

    /// Checks what each variable holds.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`], with the name of the one that holds a connection string.
    pub fn check(&self) -> Result<(), Failure> {
        match self.misplaced {
            None => Ok(()),
            Some(name) => Err(Failure::invalid(format!(
                "{name} holds a connection string, which is not shown here: it belongs in MONGO_URI"
            ))),
        }
    }

    /// The same, with the connection string read from its secret, if it is in one.
    ///
    /// # Errors
    /// If the secret cannot be read or is none; [`FailureKind::InvalidRequest`] if there is another connection
    /// string besides.
    pub async fn with_secret(mut self, secrets: &Secrets) -> Result<Self, Failure> {
        self.check()?;
        let Some(secret) = self.uri_secret.take() else {
            return Ok(self);
        };
        if self.uri.is_some() {
            return Err(Failure::invalid(
                "MONGO_URI and MONGO_URI_SECRET are both set, and may mean two databases: unset one of them",
            ));
        }
        let uri = secrets.connection_string(&secret).await?;
        self.database = self.database.or_else(|| uri.database());
        self.uri = Some(uri);
        Ok(self)
    }

    /// How long before its deadline a function begins to end, if set.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] for anything but a number of seconds.
    pub fn margin(&self) -> Result<Option<Duration>, Failure> {
        let Some(text) = &self.deadline_margin else {
            return Ok(None);
        };
        let seconds = text.parse().map_err(|_| {
            Failure::invalid(format!(
                "MONGOTAR_DEADLINE_MARGIN is {text:?}, not a whole number of seconds"
            ))
        })?;
        Ok(Some(Duration::from_secs(seconds)))
    }

    /// How much memory a run may take: as requested, else what the function has, else what keeps this machine's cores
    /// busy.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] for an invalid budget, or too small a one.
    pub fn memory(&self) -> Result<Memory, Failure> {
        let function = self.function_memory.as_ref().and_then(|text| text.parse().ok());
        match (&self.memory, function) {
            (Some(text), _) => Memory::parse(text)
                .map_err(|failure| Failure::invalid(format!("MONGOTAR_MEMORY, --memory: {}", failure.message))),
            (None, Some(megabytes)) => Ok(Memory::of_function(megabytes)),
            (None, None) => Ok(Memory::default()),
        }
    }

    /// The connection string.
    ///
    /// # Errors
    /// [`FailureKind::ConfigurationMissing`], or [`FailureKind::InvalidRequest`] for an invalid one.
    pub fn uri(&self) -> Result<&MongoUri, Failure> {
        let uri = self.uri.as_ref().ok_or_else(|| {
            Failure::new(
                FailureKind::ConfigurationMissing,
                "no connection string: set MONGO_URI or MONGO_URI_SECRET (in the environment or in .env), or give --mongo-uri",
            )
        })?;
        uri.check().and_then(|()| uri.check_files()).map_err(|reason| {
            Failure::invalid(format!(
                "the connection string (MONGO_URI, --mongo-uri) is wrong: {reason}. It looks like mongodb://user:password@host:27017/?replicaSet=name"
            ))
        })?;
        Ok(uri)
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
        if name.split_once(':').is_some_and(|(_, rest)| rest.contains('@')) {
            return Err(Failure::invalid(
                "what is given as the database (MONGO_DB, \"database\", --mongo-db) has a user and a password, as connection strings do: give those as MONGO_URI (--mongo-uri), from mongodb:// on",
            ));
        }
        if name.is_empty() || name.len() > 63 || name.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
            return Err(Failure::invalid(format!(
                "{name:?} (MONGO_DB, \"database\", --mongo-db) is not a valid database name: it must not be empty, contain / \\ . \" $ or a space, or be longer than 63 bytes"
            )));
        }
        Ok(name)
    }
}

/// A request or a report as JSON. By way of its text: `serde_json::to_value` would put the code that writes each of
/// these types into the functions a second time.
///
/// # Panics
/// If the keys of a map are not text.
pub fn as_json(content: &impl Serialize) -> serde_json::Value {
    let text = serde_json::to_vec(content).expect("requests and reports have text keys only");
    serde_json::from_slice(&text).expect("what was just written as JSON")
}

/// Refuses a request that holds a connection string: no field is meant for one, and whatever quotes the field would
/// show it.
///
/// # Errors
/// [`FailureKind::InvalidRequest`], with the name of the field.
pub(crate) fn check_request(request: &impl Serialize) -> Result<(), Failure> {
    let request = as_json(request);
    let Some(field) = misplaced(&request) else {
        return Ok(());
    };
    Err(Failure::invalid(format!(
        "{} holds a connection string, which is not shown here: it belongs in MONGO_URI",
        match field.as_str() {
            "" => "the event".to_owned(),
            field => format!("{field:?}"),
        }
    )))
}

/// Reads the request within an event.
///
/// # Errors
/// [`FailureKind::InvalidRequest`], with the name of the field that is not known or of the wrong type.
pub(crate) fn read_request<T: DeserializeOwned>(event: Value, what: &str) -> Result<T, Failure> {
    check_request(&event)?;
    let request = request_in(event);
    if !request.is_object() {
        // A derived reader would take a list for the fields in their order.
        return Err(Failure::invalid(format!(
            "the event is not a {what} request: a JSON object is expected"
        )));
    }
    T::deserialize(&request).map_err(|error| {
        // The error of a field's value does not name the field. Every field can be left out, so each can be tried by
        // itself.
        let wrong = request
            .as_object()
            .into_iter()
            .flatten()
            .find(|(name, value)| T::deserialize(json!({*name: value})).is_err());
        let place = wrong.map(|(name, _)| format!("{name:?}: ")).unwrap_or_default();
        Failure::invalid(format!("the event is not a {what} request: {place}{error}"))
    })
}

/// Takes the `action` out of an event that one of several is meant by.
///
/// # Errors
/// [`FailureKind::InvalidRequest`] if it is no text.
pub fn read_action(event: Value) -> Result<(Option<String>, Value), Failure> {
    check_request(&event)?;
    let mut request = request_in(event);
    match request.as_object_mut().and_then(|fields| fields.remove("action")) {
        None => Ok((None, request)),
        Some(Value::String(action)) => Ok((Some(action), request)),
        Some(other) => Err(Failure::invalid(format!("\"action\" is {other}, not a string"))),
    }
}

/// The request within an event: the event itself, or the `detail` of an EventBridge event (empty for a schedule).
fn request_in(event: Value) -> Value {
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

    #[tokio::test]
    async fn two_connection_strings_are_one_too_many() {
        let both = environment(&[("MONGO_URI", "mongodb://h/"), ("MONGO_URI_SECRET", "shop/mongo")]);
        let refused = both.with_secret(&Secrets::default()).await.expect_err("refused");
        assert_eq!(refused.kind, FailureKind::InvalidRequest);
        assert!(refused.message.contains("MONGO_URI and MONGO_URI_SECRET"), "{refused}");
        let one = environment(&[("MONGO_URI", "mongodb://h/shop")]);
        let same = one.with_secret(&Secrets::default()).await.expect("nothing to read");
        assert_eq!(same.database.as_deref(), Some("shop"));
    }

    #[test]
    fn memory_is_what_was_asked_for_or_what_there_is() {
        let memory = |variables: &[(&str, &str)]| environment(variables).memory().map(Memory::bytes);
        let function = ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        assert_eq!(memory(&[]).ok(), Some(Memory::default().bytes()));
        assert_eq!(memory(&[function]).ok(), Some(Memory::of_function(256).bytes()));
        assert_eq!(memory(&[function, ("MONGOTAR_MEMORY", "100")]).ok(), Some(100_000_000));
        assert!(memory(&[("MONGOTAR_MEMORY", "12")]).is_err_and(|failure| failure.message.contains("MONGOTAR_MEMORY")));
    }

    #[test]
    fn a_margin_is_a_number_of_seconds() {
        let margin = |text| environment(&[("MONGOTAR_DEADLINE_MARGIN", text)]).margin();
        assert_eq!(margin("").ok(), Some(None));
        assert_eq!(margin("45").ok(), Some(Some(Duration::from_secs(45))));
        assert!(margin("1m").is_err_and(|failure| failure.message.contains("\"1m\"")));
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
