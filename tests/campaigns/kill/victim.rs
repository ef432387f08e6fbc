//! The program that is killed: a function, or the command line.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::order::Order;
use crate::rig::{self, LambdaFunction, ScratchDir};

/// What AWS gives a function at the most.
const ENOUGH: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(2);

/// How an attempt ended.
#[derive(Debug)]
pub enum Ended {
    /// With this answer.
    Answered(Value),
    /// With this error, by its type, and whatever else is known of it.
    Failed(String, String),
    /// By the kill.
    Killed,
}

pub enum Victim {
    Function(Box<LambdaFunction>),
    Command {
        env: Vec<(String, String)>,
        folder: ScratchDir,
        /// Whether the same command goes on.
        is_named: bool,
    },
}

impl Victim {
    pub fn command(env: Vec<(String, String)>, is_named: bool) -> Self {
        Self::Command {
            env,
            is_named,
            folder: ScratchDir::new("killed"),
        }
    }

    /// Whether a run that was killed is known again by its name.
    pub fn knows_runs(&self) -> bool {
        matches!(self, Self::Function(_) | Self::Command { is_named: true, .. })
    }

    /// Has it done, and kills it after that time, where there is one and it is still at work.
    pub async fn attempt(&self, order: &Order, attempt: usize, kill_after: Option<Duration>) -> Ended {
        match self {
            Self::Function(function) => invoked(function, order, kill_after).await,
            Self::Command { env, folder, is_named } => {
                let arguments = order.arguments(attempt, *is_named);
                run(env, folder, &arguments, kill_after).await
            }
        }
    }
}

async fn invoked(function: &LambdaFunction, order: &Order, kill_after: Option<Duration>) -> Ended {
    let (answer, killed) = tokio::join!(function.invoke(order.event(), ENOUGH), async {
        let Some(moment) = kill_after else { return false };
        tokio::time::sleep(moment).await;
        function.kill()
    });
    match answer {
        Ok(answer) => Ended::Answered(answer),
        Err(error) if killed && error.error_type == "Runtime.ExitError" => Ended::Killed,
        Err(error) => Ended::Failed(
            error.error_type.clone(),
            format!("{error}\n{}", function.logs().join("\n")),
        ),
    }
}

/// A program that does not outlive the trial.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // fails only when it has ended by itself
        let _ = self.0.wait();
    }
}

async fn run(
    env: &[(String, String)],
    folder: &ScratchDir,
    arguments: &[String],
    kill_after: Option<Duration>,
) -> Ended {
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let file = |path| File::create(path).expect("a fresh scratch directory is writable");
    let child = Command::new(rig::program(super::super::MONGOTAR))
        .args(arguments)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(file(&out))
        .stderr(file(&err))
        .spawn();
    let mut running = Running(child.expect("the program starts"));
    let began = std::time::Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().expect("a child of ours can be waited for") {
            break status;
        }
        if kill_after.is_some_and(|moment| began.elapsed() >= moment) {
            drop(running);
            return Ended::Killed;
        }
        tokio::time::sleep(POLL).await;
    };
    let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let said: Value = serde_json::from_str(&text(&out)).unwrap_or_default();
    match status.success() {
        true => Ended::Answered(said),
        false => Ended::Failed(
            said["error_type"].as_str().unwrap_or_default().to_owned(),
            format!("{status}\n{said:#}\n{}", text(&err)),
        ),
    }
}
