//! Functions of the engine: a real binary, or one whose answers the test gives.

use super::super::background::background;
use super::super::http_server::{HttpServer, answer};
use super::super::python::python;
use super::StepFunctions;
use super::api::Api;
use super::zip::package;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::BodyExt;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A deployed function. It is deleted, and its processes end, when this drops.
#[derive(Debug)]
pub struct Function {
    name: String,
    arn: String,
    api: Api,
}

impl Function {
    pub fn arn(&self) -> &str {
        &self.arn
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let (api, path) = (self.api.clone(), format!("/2015-03-31/functions/{}", self.name));
        // Nobody waits for it: where the engine is gone already, so is the function.
        background().spawn(async move { api.send("lambda", "DELETE", &path, &[], String::new()).await });
    }
}

/// What a scripted function answers: a value, or an error's type and message.
pub type Answered = Result<Value, (&'static str, &'static str)>;

/// A function whose answers are given in this process, event by event.
pub struct Scripted {
    function: Function,
    events: Arc<Mutex<Vec<Value>>>,
    _server: HttpServer,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

impl Scripted {
    pub fn arn(&self) -> &str {
        self.function.arn()
    }

    /// The events so far, in the order in which they arrived.
    pub fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Speaks the Runtime API by hand and hands every event on.
const RELAY: &str = r#"
import http.client, os, sys
api, script = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"]), http.client.HTTPConnection(sys.argv[1])
def ask(server, method, path, body=None):
    server.request(method, path, body)
    answer = server.getresponse()
    return answer, answer.read()
base = "/2018-06-01/runtime/invocation/"
while True:
    next, event = ask(api, "GET", base + "next")
    answer, text = ask(script, "POST", "/", event)
    kind = "/response" if answer.status == 200 else "/error"
    ask(api, "POST", base + next.headers["Lambda-Runtime-Aws-Request-Id"] + kind, text)
"#;

/// A text as one word of a shell's script.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl StepFunctions {
    /// Deploys a bootstrap binary with these environment variables. The package holds a shell script that becomes the
    /// binary: a debug build has 170 MB, and would be read, encoded and unpacked again for every test. The script also
    /// sets what begins with `AWS_`, since the engine gives a function credentials of its own, as AWS does, and those
    /// are good for the engine only.
    pub async fn function(
        &self,
        name: &str,
        binary: &Path,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Function {
        assert!(
            binary.is_file(),
            "{} is no file: build the function first",
            binary.display()
        );
        let (aws, own): (Vec<_>, Vec<_>) = env.into_iter().partition(|(name, _)| name.starts_with("AWS_"));
        let mut script = "#!/bin/sh\nunset AWS_SESSION_TOKEN\n".to_owned();
        for (name, value) in aws {
            script += &format!("export {name}={}\n", quoted(&value));
        }
        script += &format!("exec {}\n", quoted(&binary.display().to_string()));
        self.deploy(name, script.as_bytes(), own).await
    }

    /// Deploys a function that answers what `answers` says, of the event and of how many have come before it.
    pub async fn scripted(
        &self,
        name: &str,
        answers: impl Fn(&Value, usize) -> Answered + Send + Sync + 'static,
    ) -> Scripted {
        let (answers, events) = (Arc::new(answers), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&events);
        let server = HttpServer::start(move |request| {
            let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let event: Value = serde_json::from_slice(&body)?;
                let before = {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push(event.clone());
                    seen.len() - 1
                };
                let (status, said) = match answers(&event, before) {
                    Ok(value) => (StatusCode::OK, value),
                    Err((kind, message)) => (
                        StatusCode::INTERNAL_SERVER_ERROR,
                        json!({"errorType": kind, "errorMessage": message}),
                    ),
                };
                Ok(answer(status, "application/json", said.to_string()))
            }
        });
        let script = format!(
            "#!/bin/sh\nexec {} -I -c {} {}\n",
            quoted(&python().interpreter().display().to_string()),
            quoted(RELAY),
            server.address()
        );
        let function = self.deploy(name, script.as_bytes(), []).await;
        Scripted {
            function,
            events,
            _server: server,
        }
    }

    async fn deploy(&self, name: &str, script: &[u8], env: impl IntoIterator<Item = (String, String)>) -> Function {
        let variables: serde_json::Map<String, Value> = env
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        let request = json!({
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": "arn:aws:iam::000000000000:role/rig",
            "Timeout": 900,
            "MemorySize": 1024,
            "Code": {"ZipFile": BASE64_STANDARD.encode(package("bootstrap", script))},
            "Environment": {"Variables": variables},
        });
        let created = self.api.lambda("POST", "", &request).await;
        let arn = created["FunctionArn"].as_str().expect("a created function has an ARN");
        let function = Function {
            name: name.to_owned(),
            arn: arn.to_owned(),
            api: self.api.clone(),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let now = self
                .api
                .lambda("GET", &format!("/{name}/configuration"), &Value::Null)
                .await;
            if now["State"] == "Active" {
                return function;
            }
            assert!(Instant::now() < deadline, "{name} does not become active: {now}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
