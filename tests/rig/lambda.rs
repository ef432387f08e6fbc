//! A Lambda function without AWS: the real bootstrap binary behind the real Runtime API protocol.
//!
//! As on AWS: the environment is the function's own and nothing else, the process is started at the first
//! invocation and stays warm for the next, an invocation past its deadline is killed with its process, payloads
//! end at 6 MB. Unlike on AWS: a function here is *one* execution environment (invocations queue up; start several
//! functions for concurrency), it is not frozen between invocations, memory is not limited, and a streamed answer
//! is collected whole.

mod runtime_api;
mod sandbox;

use super::background::background;
use super::process::Process;
use sandbox::Sandbox;
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lambda's limit for the event of a synchronous invocation.
const LARGEST_EVENT: usize = 6 * 1024 * 1024;

/// What Lambda reports instead of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionError {
    /// `errorType`: the function's own, or Lambda's `Sandbox.Timedout`, `Runtime.ExitError`, ….
    pub error_type: String,
    /// `errorMessage`.
    pub error_message: String,
    /// The whole error document.
    pub raw: Value,
}

impl FunctionError {
    /// An error that Lambda itself reports.
    fn of_lambda(error_type: &str, error_message: String) -> Self {
        let raw = json!({"errorType": error_type, "errorMessage": error_message});
        FunctionError {
            error_type: error_type.to_owned(),
            error_message,
            raw,
        }
    }

    /// An error document that the function's runtime has posted.
    fn of_function(raw: Value) -> Self {
        let text = |name: &str| raw[name].as_str().unwrap_or_default().to_owned();
        FunctionError {
            error_type: text("errorType"),
            error_message: text("errorMessage"),
            raw,
        }
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.error_message)
    }
}

impl std::error::Error for FunctionError {}

/// A function about to be deployed.
#[derive(Clone, Debug)]
pub struct LambdaBuilder {
    binary: PathBuf,
    name: String,
    memory_mb: u32,
    env: Vec<(String, String)>,
}

impl LambdaBuilder {
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// What the function is told it has; nothing enforces it.
    pub fn memory_mb(mut self, memory_mb: u32) -> Self {
        self.memory_mb = memory_mb;
        self
    }

    /// Environment variables; a later one of the same name rules.
    pub fn env(mut self, env: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        self.env
            .extend(env.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    pub fn start(self) -> LambdaFunction {
        LambdaFunction {
            settings: Arc::new(self),
            sandbox: Arc::default(),
            busy: Arc::default(),
            logs: Arc::default(),
        }
    }

    fn arn(&self) -> String {
        format!("arn:aws:lambda:us-east-1:123456789012:function:{}", self.name)
    }
}

type Logs = Arc<Mutex<Vec<String>>>;

/// A deployed function. Its process is killed when this drops.
#[derive(Debug)]
pub struct LambdaFunction {
    settings: Arc<LambdaBuilder>,
    sandbox: Arc<tokio::sync::Mutex<Option<Sandbox>>>,
    /// The process that is at an invocation.
    busy: Arc<Mutex<Option<Arc<Process>>>>,
    logs: Logs,
}

impl LambdaFunction {
    /// A function named after its binary, with 1,024 MB.
    pub fn builder(binary: &Path) -> LambdaBuilder {
        assert!(
            binary.is_file(),
            "{} is no file: build the function first",
            binary.display()
        );
        let name = binary
            .file_stem()
            .expect("a file has a name")
            .to_string_lossy()
            .into_owned();
        LambdaBuilder {
            binary: binary.to_owned(),
            name,
            memory_mb: 1024,
            // Tests keep archives where this machine's file system is.
            env: vec![("MONGOTAR_MOUNT".to_owned(), std::env::temp_dir().display().to_string())],
        }
    }

    pub fn start(binary: &Path, env: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        LambdaFunction::builder(binary).env(env).start()
    }

    /// Invokes the function and waits for its answer. Dropping this future does not stop the invocation, as on AWS.
    pub async fn invoke(&self, event: Value, timeout: Duration) -> Result<Value, FunctionError> {
        let event = event.to_string();
        assert!(
            event.len() <= LARGEST_EVENT,
            "Lambda takes events up to 6 MB, this has {} bytes",
            event.len()
        );
        let (settings, sandbox, logs) = (self.settings.clone(), self.sandbox.clone(), self.logs.clone());
        let busy = self.busy.clone();
        let invocation = background().spawn(async move {
            let mut slot = sandbox.lock().await;
            if slot.as_ref().is_none_or(|warm| !warm.is_alive()) {
                *slot = Some(Sandbox::start(&settings, &logs));
            }
            let warm = slot.as_mut().expect("it has just been filled");
            *busy.lock().unwrap_or_else(PoisonError::into_inner) = Some(warm.process());
            let (answer, fate) = warm.invoke(event, timeout).await;
            *busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if fate == sandbox::Fate::Ended {
                *slot = None;
            }
            answer
        });
        invocation.await.expect("an invocation reports failures as values")
    }

    /// Kills the process that is at an invocation (SIGKILL); says whether there is one. The invocation fails with
    /// `Runtime.ExitError`, and the next one starts another process.
    pub fn kill(&self) -> bool {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        busy.is_some_and(|process| {
            process.kill();
            true
        })
    }

    /// The process id of the warm process, if there is one and it is idle.
    pub fn warm_pid(&self) -> Option<u32> {
        let slot = self.sandbox.try_lock().ok()?;
        slot.as_ref().filter(|warm| warm.is_alive()).map(Sandbox::pid)
    }

    /// The lines written to standard output and standard error so far, over all processes of the function. Lines
    /// written just before the answer may still be under way: see [`wait_for_log`](LambdaFunction::wait_for_log).
    pub fn logs(&self) -> Vec<String> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first log line that contains the text, or a panic with the whole log where it never comes.
    pub async fn wait_for_log(&self, contains: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let logs = self.logs();
            if let Some(line) = logs.iter().find(|line| line.contains(contains)) {
                return line.clone();
            }
            assert!(
                Instant::now() < deadline,
                "no log line with {contains:?}; the log:\n{}",
                logs.join("\n")
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
