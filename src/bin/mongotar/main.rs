//! The command line: everything that the Lambda functions do, by hand. See `mongotar --help`.
//!
//! Results go to standard output (`--json`: one JSON document, for failures too), progress and questions to standard
//! error. Exit codes: 0 done, 1 failed, 2 configuration or usage, 3 finished, but partial or not equal.

mod arguments;
mod ask;
mod commands;
mod compacting;
mod counts_to;
mod dotenv;
mod failed;
mod misplaced;
mod plain;
mod printed;
mod restoring;
mod runs;
mod session;
mod show_progress;
mod signals;
mod table;
mod telling;
mod text;
mod watching;

use std::process::ExitCode;

use arguments::Arguments;
use clap::Parser as _;
use mongotar::failure::{Failure, FailureKind};

fn main() -> ExitCode {
    mongotar_shell::runtime::with_one_arena();
    mongotar_shell::logging::hide_in_panics();
    if let Err(failure) = misplaced::check(std::env::args_os()) {
        return failed::failure(&failure, failed::wants_json());
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return failed::usage(&error),
    };
    let json = arguments.json;
    run(arguments).unwrap_or_else(|failure| failed::failure(&dotenv::blame(failure), json))
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    // What is set already wins over `.env`; no `.env` is no error.
    dotenv::load()?;
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(mongotar_shell::logging::Hiding(|| plain::PlainError));
    // What the SDK warns of, an error says in words for people.
    mongotar_shell::logging::start(layer, "warn,aws=off", &[]);
    let runtime = mongotar_shell::runtime::runtime()
        .map_err(|error| Failure::new(FailureKind::Store, format!("the runtime cannot start: {error}")))?;
    let ended = runtime.block_on(Box::pin(commands::run(arguments)));
    // A thread that still waits for an answer at the terminal must not keep an interrupted run from ending, and a task
    // that finds another one gone while the runtime ends would panic: so the process ends, and its runtime with it.
    std::mem::forget(runtime);
    ended
}
