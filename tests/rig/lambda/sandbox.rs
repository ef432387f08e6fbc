//! One execution environment: a process, its Runtime API, and the clock over both.

use super::super::process::{Launch, Process};
use super::runtime_api::{Invocation, Report, RuntimeApi};
use super::{FunctionError, LambdaBuilder, Logs};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, sleep, timeout_at};

/// From the start of the process to its first request for an event. Lambda allows 10 seconds; a busy machine takes
/// longer.
const INIT_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// Whether the environment can serve again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Warm,
    Ended,
}

#[derive(Debug)]
pub struct Sandbox {
    process: Option<Arc<Process>>,
    api: RuntimeApi,
    readers: Vec<JoinHandle<()>>,
    invocations: u64,
}

impl Sandbox {
    /// Starts the process, with the environment that Lambda gives it and nothing inherited.
    pub fn start(settings: &LambdaBuilder, logs: &Logs) -> Self {
        let api = RuntimeApi::start(settings.arn());
        let folder = settings.binary.parent().expect("a file lies in a folder");
        let root = folder.display().to_string();
        let fixed = [
            ("AWS_LAMBDA_RUNTIME_API", api.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", settings.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", settings.memory_mb.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", settings.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]rig".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
            ("LAMBDA_TASK_ROOT", root.clone()),
            ("LAMBDA_RUNTIME_DIR", root),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value));
        let env = fixed.into_iter().chain(settings.env.iter().cloned());
        let (process, out, err) = Launch::new(&settings.binary)
            .only_env(env)
            .directory(folder)
            .spawn_captured();
        let readers = vec![collect_lines(out, logs), collect_lines(err, logs)];
        Sandbox {
            process: Some(Arc::new(process)),
            api,
            readers,
            invocations: 0,
        }
    }

    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    pub fn is_alive(&self) -> bool {
        self.process().exit_status().is_none()
    }

    /// Delivers one event and waits for what becomes of it.
    pub async fn invoke(&mut self, event: String, timeout: Duration) -> (Result<Value, FunctionError>, Fate) {
        self.invocations += 1;
        let id = format!(
            "00000000-0000-4000-8000-{:04x}{:08x}",
            self.pid() & 0xffff,
            self.invocations
        );
        let (reports, mut incoming) = mpsc::unbounded_channel();
        self.api.queue(Invocation {
            id: id.clone(),
            event: event.into(),
            timeout,
            reports,
        });

        let mut deadline = Instant::now() + INIT_LIMIT;
        let mut allowed = INIT_LIMIT;
        loop {
            let next = timeout_at(deadline, self.next_report(&mut incoming)).await;
            match next {
                Ok(Report::Delivered) => (allowed, deadline) = (timeout, Instant::now() + timeout),
                Ok(Report::Answered(answer)) => return (answer, Fate::Warm),
                Ok(Report::InitFailed(error)) => return (Err(error), Fate::Ended),
                Ok(Report::Exited(status)) => {
                    let message = format!("RequestId: {id} Error: {}", describe(status));
                    return (Err(FunctionError::of_lambda("Runtime.ExitError", message)), Fate::Ended);
                }
                Err(_) => {
                    self.process().kill();
                    let message = format!(
                        "RequestId: {id} Error: Task timed out after {:.2} seconds",
                        allowed.as_secs_f64()
                    );
                    return (Err(FunctionError::of_lambda("Sandbox.Timedout", message)), Fate::Ended);
                }
            }
        }
    }

    /// What the function posts, or else its end. What it posted before its end comes first.
    async fn next_report(&self, incoming: &mut UnboundedReceiver<Report>) -> Report {
        loop {
            let ended = self.process().exit_status();
            if let Ok(report) = incoming.try_recv() {
                return report;
            }
            if let Some(status) = ended {
                return Report::Exited(status);
            }
            tokio::select! {
                Some(report) = incoming.recv() => return report,
                () = sleep(POLL) => {}
            }
        }
    }

    pub fn process(&self) -> Arc<Process> {
        Arc::clone(self.process.as_ref().expect("it is taken only on drop"))
    }
}

impl Drop for Sandbox {
    /// Kills the process group and reads its logs to their end.
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

fn collect_lines(pipe: impl Read + Send + 'static, logs: &Logs) -> JoinHandle<()> {
    let logs = logs.clone();
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            logs.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}

/// In Lambda's words.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(9)) => "Runtime exited with error: signal: killed".to_owned(),
        (None, signal) => format!("Runtime exited with error: signal: {}", signal.unwrap_or_default()),
    }
}
