//! What goes to standard output, and what is said beside it, on standard error.

use std::borrow::Cow;

use mongotar::failure::{Failure, FailureKind};
use serde::Serialize;

use crate::plain::{plain, plain_json};

/// A result, as text or as JSON.
pub fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let mut printed = if json {
        let document = serde_json::to_string_pretty(value).map_err(|error| Failure::invalid(error.to_string()))?;
        plain_json(&document).into_owned()
    } else {
        plain(&text(value)).into_owned()
    };
    if !printed.ends_with('\n') {
        printed.push('\n');
    }
    print_raw(&printed)
}

/// What is text already.
pub fn print_raw(printed: &str) -> Result<(), Failure> {
    use std::io::{IsTerminal as _, Write as _};
    let mut out = std::io::stdout();
    let shown = match out.is_terminal() {
        // A table of counts ends its lines as RFC 4180 says, and a terminal needs less.
        true => Cow::from(plain(&printed.replace("\r\n", "\n")).into_owned()),
        false => printed.into(),
    };
    match out.write_all(shown.as_bytes()) {
        // Whoever reads has seen enough, as in `mongotar list … | head`; what was done is done.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(FailureKind::Store, format!("standard output: {error}"))),
    }
}

/// Says something beside the result, as it is. Whether anybody reads it or not, the work goes on.
pub fn tell(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}
