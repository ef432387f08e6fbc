//! Where results go: the report to standard output, its counts to a file or, instead of the report, to standard output.

use mongotar::failure::Failure;
use mongotar::store::Replacement;
use mongotar_shell::counts::Counts;
use serde::Serialize;

use crate::arguments::CountsTo;
use crate::plain::plain;
use crate::printed::{print, print_raw, tell};

/// What is to be written when an operation is done.
#[derive(Debug)]
pub enum Output {
    /// The report alone, as JSON or text.
    Report { json: bool },
    /// The report, and the counts in a file.
    File { json: bool, file: Replacement },
    /// The counts on standard output, the report as text on standard error.
    Counts,
}

impl Output {
    /// Makes sure that what was asked for can be written.
    pub fn begin(json: bool, to: &CountsTo) -> Result<Self, Failure> {
        match to.counts.as_deref() {
            None => Ok(Self::Report { json }),
            Some("-") if json => Err(Failure::invalid(
                "--counts - and --json both want standard output: name a file for the counts",
            )),
            Some("-") => Ok(Self::Counts),
            Some(path) => Ok(Self::File {
                json,
                file: Replacement::begin(path, "the counts")?,
            }),
        }
    }
}

/// Does the work and writes what it gave. Where it gave nothing, there are no counts either.
pub async fn counted<T: Serialize>(
    output: Output,
    counts: impl FnOnce(&T) -> Counts,
    text: impl FnOnce(&T) -> String,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let worked = work.await;
    match (output, worked) {
        (Output::Report { json }, Ok(report)) => {
            print(json, &report, text)?;
            Ok(report)
        }
        (Output::File { json, file }, Ok(report)) => {
            // The report is printed in any case: it says what was done.
            let written = file.finish(counts(&report).to_csv().as_bytes());
            print(json, &report, text)?;
            written.map(|()| report)
        }
        (Output::Counts, Ok(report)) => {
            tell(&plain(&text(&report)));
            print_raw(&counts(&report).to_csv())?;
            Ok(report)
        }
        (Output::File { file, .. }, Err(failure)) => {
            file.abandon();
            Err(failure)
        }
        (_, Err(failure)) => Err(failure),
    }
}
