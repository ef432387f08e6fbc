//! The check of an archive as a step of a run: a verification, a restore's way back, a drill.

use super::regions::Checked;
use super::report::VerifyReport;
use crate::failure::Failure;
use crate::open::ArchiveFile;
use crate::progress::Progress;
use crate::run::{Deadline, Journal, SAVED_EVERY, Went};

/// The name of the step.
const CHECK: &str = "check";

/// The step: checks what is left of an archive; or says how many segments were checked, where the time was up.
///
/// # Errors
/// If the journal cannot be written. What is wrong with the archive is in the report.
pub(crate) async fn check(
    file: &ArchiveFile,
    progress: &Progress,
    deadline: Deadline,
    journal: &Journal,
) -> Result<Went<u64, VerifyReport>, Failure> {
    let mut checked = journal.found(CHECK)?.unwrap_or_else(|| Checked::nothing_of(file));
    while checked.go_on(file, progress, deadline.or_in(SAVED_EVERY)).await == Went::Paused(()) {
        journal.write(CHECK, &checked, &[]).await?;
        if journal.must_pause(deadline) {
            return Ok(Went::Paused(checked.segments()));
        }
    }
    Ok(Went::Done(checked.report(file)))
}
