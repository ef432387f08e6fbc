//! Runs of the restore function in many invocations: what each leaves is enough for the next, whatever became of it.

mod away;
mod drill;
mod fan_out;
mod killed;
mod restore;
mod verify;

use std::collections::BTreeSet;

use mongotar::backup::{RunStatus, Tools};
use mongotar::failure::Failure;
use mongotar::run::{Answer, Ended};
use mongotar::run::{Deadline, Run};
use mongotar::store::Location;

use crate::{rig, support};

/// A run of its own.
pub fn run() -> Run {
    Run {
        id: rig::unique_name("run"),
        time: "2026-11-21T02:00:00Z".to_owned(),
    }
}

/// Tools of an invocation whose time is up as soon as it has come any further at all.
pub async fn hurried() -> Tools {
    Tools {
        deadline: Deadline::within(std::time::Duration::ZERO, None),
        ..support::tools().await
    }
}

/// Sends the same event until the run is at its end; gives how many invocations said `continue` before.
pub async fn to_its_end<R: Ended>(
    mut invoke: impl AsyncFnMut() -> Result<Answer<R>, Failure>,
) -> Result<(R, u32), Failure> {
    for before in 0..200 {
        match invoke().await? {
            Answer::Finished(report) => return Ok((*report, before)),
            Answer::Unfinished(unfinished) => {
                assert_eq!(unfinished.status, RunStatus::Continue, "{unfinished:?}");
                assert_eq!(unfinished.invocations, Some(before + 1));
            }
        }
    }
    panic!("it never comes to its end");
}

/// What runs have left in progress below a folder.
pub async fn in_progress(tools: &Tools, folder: &Location, run: &Run) -> BTreeSet<String> {
    let folder = run.folder(&folder.join("pre-restore")).expect("a folder");
    let left = tools.store.list(&folder, "").await.expect("a listing");
    left.iter().map(|object| object.location.file_name()).collect()
}
