//! Child processes that never outlive this one.
//!
//! Every child is started through a shell that leaves a reader behind and then becomes the program (`exec`). The
//! reader waits for the end of a pipe that only we hold open, its *lifeline*; when it ends (the guard dropped, or
//! this process died, even by SIGKILL) the reader kills the process group it shares with the program.

use super::background::waiting;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const GUARD: &str = r#"
exec 3<&0 </dev/null
( read -r never <&3; kill -KILL 0 ) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// A program about to be started under the guard.
#[derive(Debug)]
pub struct Launch(Command);

impl Launch {
    pub fn new(program: &Path) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", GUARD, "rig-guard"])
            .arg(program)
            .process_group(0)
            .stdin(Stdio::piped());
        Launch(command)
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    /// Adds to the environment of the program, and of nothing else.
    pub fn env(mut self, env: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        self.0.envs(env);
        self
    }

    /// The whole environment of the program: nothing is inherited. (The shell may add `PWD` and the like.)
    pub fn only_env(mut self, env: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        self.0.env_clear().envs(env);
        self
    }

    pub fn directory(mut self, directory: &Path) -> Self {
        self.0.current_dir(directory);
        self
    }

    /// Appends standard output and standard error to one file.
    pub fn log_to(mut self, path: &Path) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(path)
            .expect("the log lies in a scratch directory");
        let copy = log.try_clone().expect("a file handle can be duplicated");
        self.0.stdout(log).stderr(copy);
        self
    }

    pub fn spawn(mut self) -> Process {
        let mut child = self
            .0
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {:?}: {e}", self.0));
        Process {
            pid: child.id(),
            lifeline: child.stdin.take(),
            child: Mutex::new(child),
        }
    }

    /// Starts the program with its standard output and standard error as pipes for the caller to read.
    pub fn spawn_captured(mut self) -> (Process, ChildStdout, ChildStderr) {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = self.spawn();
        let mut child = process.child();
        let out = child.stdout.take().expect("standard output is piped");
        let err = child.stderr.take().expect("standard error is piped");
        drop(child);
        (process, out, err)
    }
}

/// A running program. Dropping it kills the program and its process group.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    child: Mutex<Child>,
    lifeline: Option<ChildStdin>,
}

impl Process {
    /// The program's process id, not the shell's: the shell became the program.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How the program ended; `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child().try_wait().expect("a child of ours can be waited for")
    }

    /// Kills the program at once (SIGKILL) and waits until it is gone.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill(); // fails only when it has ended by itself
        child.wait().expect("a child of ours can be waited for");
    }

    /// Freezes the program (SIGSTOP): its connections stay open and answer nothing. Returns when every thread of
    /// it stands still: the signal alone may leave one enough time for an answer.
    pub fn pause(&self) {
        self.signal("STOP");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.stands_still() {
            assert!(Instant::now() < deadline, "process {} does not stop", self.pid);
            waiting(|| thread::sleep(Duration::from_millis(1)));
        }
    }

    /// All threads are in state `T`. (The state follows the name, which is in parentheses.)
    fn stands_still(&self) -> bool {
        let stopped = |stat: String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).expect("the rig runs on Linux");
        let mut stats = threads
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        stats.all(stopped)
    }

    /// Lets a paused program go on (SIGCONT).
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let child = self.child(); // held, so that the process id stays ours
        let script = format!("kill -{name} {}", child.id());
        let status = Command::new("/bin/sh")
            .args(["-c", &script])
            .status()
            .expect("the rig needs /bin/sh");
        assert!(status.success(), "`{script}` failed: has the process ended?");
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        drop(self.lifeline.take());
    }
}

/// The last lines of a log, for the message of a panic.
pub fn log_tail(path: &Path) -> String {
    let text = fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!(
        "the last lines of its log:\n{}",
        lines[lines.len().saturating_sub(25)..].join("\n")
    )
}
