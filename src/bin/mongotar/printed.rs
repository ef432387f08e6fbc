//! What goes to standard output.

use mongotar::failure::{Failure, FailureKind};
use serde::Serialize;

/// A result, as text or as JSON.
pub fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let mut printed = if json {
        serde_json::to_string_pretty(value).map_err(|error| Failure::invalid(error.to_string()))?
    } else {
        text(value)
    };
    if !printed.ends_with('\n') {
        printed.push('\n');
    }
    print_raw(&printed)
}

/// What is text already.
pub fn print_raw(printed: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    match std::io::stdout().write_all(printed.as_bytes()) {
        // Whoever reads has seen enough, as in `mongotar list … | head`; what was done is done.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(FailureKind::Store, format!("standard output: {error}"))),
    }
}
