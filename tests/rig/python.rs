//! Python as the independent oracle: PyMongo for Extended JSON and raw BSON, `tarfile`, zstandard, libarchive.

use super::binaries::given;
use super::cache::fetched_once;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;

/// Bump the name when the pins change: it is the cache's key.
const ENVIRONMENT: &str = "python-1";
const PACKAGES: [&str; 4] = [
    "pymongo==4.20.0",
    "zstandard==0.25.0",
    "libarchive-c==5.3",
    "extractcode-libarchive==3.5.1.210531",
];

/// A virtual environment with pinned packages.
#[derive(Debug)]
pub struct Python {
    interpreter: PathBuf,
}

/// The rig's Python, set up at the first call on a machine.
pub fn python() -> &'static Python {
    static PYTHON: OnceLock<Python> = OnceLock::new();
    PYTHON.get_or_init(|| environment(ENVIRONMENT, &PACKAGES))
}

/// A virtual environment with these packages, made at the first call on a machine and kept under that name.
pub fn environment(name: &str, packages: &[&str]) -> Python {
    let folder = fetched_once(name, |folder| {
        let base = given("PYTHON", "python3")
            .expect("the rig needs Python 3: install python3 with venv and pip, or set PYTHON=/path/to/python3");
        let venv = Command::new(&base).args(["-m", "venv", "--clear"]).arg(folder).output();
        let venv = venv.unwrap_or_else(|e| panic!("cannot run {}: {e}", base.display()));
        assert!(
            venv.status.success(),
            "`{} -m venv` failed (on Debian and Ubuntu: apt install python3-venv):\n{}{}",
            base.display(),
            String::from_utf8_lossy(&venv.stdout),
            String::from_utf8_lossy(&venv.stderr)
        );
        let fresh = Python {
            interpreter: folder.join("bin/python"),
        };
        let mut pip = vec!["install", "--only-binary=:all:"];
        pip.extend(packages);
        fresh.pip(&pip, "The rig's Python packages come from the package registry, once.");
    });
    Python {
        interpreter: folder.join("bin/python"),
    }
}

impl Python {
    /// The environment's interpreter.
    pub fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    /// Runs a script (`python -c`) with `sys.argv[1:] = args` and the bytes on standard input, to its end.
    pub fn run(&self, script: &str, args: &[impl AsRef<OsStr>], stdin: &[u8]) -> Output {
        let mut command = self.command();
        command.args(["-c", script]).args(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", self.interpreter.display()));
        let mut input = child.stdin.take().expect("standard input is piped");
        thread::scope(|scope| {
            // On a thread: a script that prints before it has read everything must not block us. One that does
            // not read to the end is free not to.
            scope.spawn(move || input.write_all(stdin));
            child.wait_with_output().expect("a child of ours can be waited for")
        })
    }

    /// What the script prints. Panics with its standard error when it fails.
    pub fn stdout(&self, script: &str, args: &[impl AsRef<OsStr>], stdin: &[u8]) -> Vec<u8> {
        let output = self.run(script, args, stdin);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the Python script failed ({}):\n{complaint}\nscript:\n{script}",
            output.status
        );
        output.stdout
    }

    /// The prebuilt libarchive of the environment, for libarchive-c.
    pub fn libarchive_library(&self) -> PathBuf {
        // Found, not imported: its own module needs packages that have no part in this.
        let script = "from importlib.util import find_spec as f; print(f('extractcode_libarchive').submodule_search_locations[0], end='')";
        let path = self.stdout(script, &[] as &[&str], b"");
        PathBuf::from(String::from_utf8(path).expect("the target directory's path is UTF-8")).join("lib/libarchive.so")
    }

    /// Runs pip, or panics with what it said and what `advice` adds.
    pub fn pip(&self, args: &[&str], advice: &str) {
        let mut command = self.command();
        command
            .args(["-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(args);
        let output = command
            .output()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", self.interpreter.display()));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "`pip {}` failed:\n{complaint}\n{advice}",
            args.join(" ")
        );
    }

    /// UTF-8 whatever the locale, and nothing of the caller's own Python set-up.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command
            .env("PYTHONUTF8", "1")
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME");
        command
    }
}
