//! `--run NAME`: the same command resumes what was begun under a name, after a kill, a reboot or an interrupt.

use std::time::Duration;

use mongotar::failure::Failure;
use mongotar::run::{Answer, Ended, LEASE, Named, Run, RunStatus};
use mongotar::store::{Location, Store};

use crate::printed::tell;

/// How often to check whether a run's holder is gone.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// Runs the command as the run of that name. Waits until a dead process's lease has ended; a live holder is an error.
///
/// # Errors
/// [`RunPaused`](mongotar::failure::FailureKind::RunPaused) if it was interrupted: progress is kept.
pub async fn as_named<R, U: Ended>(
    (store, folder): (&Store, &Location),
    name: &str,
    mut carry_on: impl AsyncFnMut(&Run) -> Result<Answer<R, U>, Failure>,
) -> Result<R, Failure> {
    let named = Named::find(store, folder, name).await?;
    let answer = carried_on(&named.run, &mut carry_on).await;
    named.let_go().await;
    answer?.report()
}

async fn carried_on<R, U: Ended>(
    run: &Run,
    carry_on: &mut impl AsyncFnMut(&Run) -> Result<Answer<R, U>, Failure>,
) -> Result<Answer<R, U>, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let answer = Box::pin(carry_on(run)).await?;
        let is_elsewhere =
            matches!(&answer, Answer::Unfinished(unfinished) if unfinished.status() == RunStatus::Running);
        if !is_elsewhere || waited >= 2 * LEASE {
            return Ok(answer);
        }
        if waited.is_zero() {
            tell("mongotar: waiting until the process that held this run is certainly gone\n");
        }
        tokio::time::sleep(ASKED_EVERY).await;
        waited += ASKED_EVERY;
    }
}
