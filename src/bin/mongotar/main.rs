//! The command line: everything that the Lambda functions do, by hand. See `mongotar --help`.
//!
//! Results go to standard output (`--json`: one JSON document), progress and questions to standard error. Exit codes: 0 done, 1 failed, 2 configuration or
//! usage, 3 finished, but partial.

mod arguments;
mod ask;
mod commands;
mod show_progress;
mod text;

use std::process::ExitCode;

use clap::Parser as _;
use mongotar::failure::FailureKind;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // What is set already wins over `.env`; no `.env` is no error, a broken one is.
    match dotenvy::dotenv() {
        Err(error) if !error.not_found() => {
            eprintln!("mongotar: .env cannot be read: {error}");
            return ExitCode::from(2);
        }
        _ => {}
    }
    let arguments = arguments::Arguments::parse();
    let filter = EnvFilter::try_from_env("MONGOTAR_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mongotar: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(Box::pin(commands::run(arguments))) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("mongotar: {failure}");
            match failure.kind {
                FailureKind::ConfigurationMissing => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
