//! What a failed command says, and its exit code.

use std::process::ExitCode;

use mongotar::failure::{Failure, FailureKind};
use mongotar::hidden::{HIDDEN, hidden, holds_one};
use serde_json::json;

use crate::plain::{items, one_line, plain, plain_json};
use crate::printed::tell;

/// For people on standard error; with `--json` for machines on standard output as well, where they look for the result.
pub fn failure(failure: &Failure, json: bool) -> ExitCode {
    tell(&format!("mongotar: {}\n", told(failure)));
    if json {
        print_json(failure.kind, &hidden(&failure.message));
    }
    match failure.kind {
        FailureKind::ConfigurationMissing | FailureKind::InvalidRequest => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// A failure on one line, apart from the conflicts of a plan: they are a list.
pub fn told(failure: &Failure) -> String {
    let said = failure.to_string();
    let said = hidden(&said);
    match failure.kind {
        FailureKind::PlanConflicts => items(&said),
        _ => one_line(&said).into_owned(),
    }
}

/// What the argument parser says: help, the version, or what is wrong with the command line.
pub fn usage(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if !error.use_stderr() {
        // Help and version, and nobody may be reading them to their end.
        let _ = error.print();
        return code;
    }
    let said = without_credentials(error.render().to_string());
    tell(&plain(&said));
    if wants_json() {
        print_json(FailureKind::InvalidRequest, said.trim());
    }
    code
}

/// Whether to print JSON if the command line was not understood.
pub fn wants_json() -> bool {
    std::env::args_os().any(|argument| argument == "--json")
}

/// The parser quotes what it did not expect, and that may be a connection string.
fn without_credentials(mut said: String) -> String {
    for argument in std::env::args_os() {
        let argument = argument.to_string_lossy();
        if holds_one(&argument) {
            said = said.replace(&*argument, HIDDEN);
        }
    }
    hidden(&said).into_owned()
}

fn print_json(kind: FailureKind, message: &str) {
    use std::io::Write as _;
    let document = json!({"status": "failed", "error_type": kind, "message": message});
    // The exit code and standard error say it as well, so a closed pipe loses nothing.
    let _ = writeln!(std::io::stdout(), "{}", plain_json(&format!("{document:#}")));
}
