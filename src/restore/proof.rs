//! Whether the final names stand for the collections that were read back and proven.
//!
//! A server's `ok` to a rename is no proof: a primary that is cut off says it, and rolls the rename back when it
//! rejoins the others. So after the renames the lock is written again with `majority`: then everything that the same
//! primary did before is durable. The catalog read after that holds: each name must stand for the proven collection, by
//! its UUID, and have as many documents.
//!
//! Nothing is dropped, and no view replaces a collection, before all of that is known and equal, including options and
//! indexes.

use futures_util::{StreamExt as _, stream};

use super::outcome::{Outcome, Outcomes};
use super::verification::{Expiry, is_as_planned};
use super::work::Restoring;
use crate::catalog::Kind;
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::plan::{Action, Method, Planned};

/// How many collections are counted at a time.
const AT_ONCE: usize = 32;

/// Whether everything that was restored so far is equal to the archive. An outcome that is not what was proven gets the
/// error.
pub(super) async fn prove(run: &Restoring<'_>, outcomes: &mut Outcomes) -> bool {
    let now = match settled(run).await {
        Ok(now) => now,
        Err(failure) => {
            for outcome in outcomes.values_mut().filter(|outcome| outcome.error.is_none()) {
                outcome.error = Some(failure.clone());
            }
            return false;
        }
    };
    let rows = &run.prepared.plan.collections;
    let placed = outcomes.iter_mut().filter(|(_, outcome)| is_placed(outcome));
    stream::iter(placed)
        .for_each_concurrent(AT_ONCE, |(place, outcome)| {
            let now = &now;
            async move {
                if let Err(failure) = is_proven(run, &rows[*place], outcome, now).await {
                    outcome.error = Some(failure.at(&rows[*place].name));
                }
            }
        })
        .await;
    let good = outcomes.values().all(Outcome::may_replace);
    if !good || !depends_on_it(run) {
        return good;
    }
    match run.mongo().survey_definitions(run.database()).await {
        Ok(now) => outcomes
            .iter()
            .filter(|(_, outcome)| is_placed(outcome))
            .all(|(place, outcome)| {
                // An invocation that was killed may have begun it.
                let is_so = |expiry| is_as_planned(&rows[*place], outcome, &now, expiry);
                is_so(Expiry::ToCome) || is_so(Expiry::Begun)
            }),
        Err(error) => {
            tracing::error!(%error, "options and indexes could not be compared: nothing is dropped");
            false
        }
    }
}

type Uuids = std::collections::BTreeMap<String, Option<String>>;

/// What the names stand for, when a majority has what was done.
async fn settled(run: &Restoring<'_>) -> Result<Uuids, Failure> {
    run.lock.confirm().await?;
    Ok(run.mongo().uuids(run.database()).await?)
}

/// Under its final name, and not known to be wrong.
fn is_placed(outcome: &Outcome) -> bool {
    outcome.error.is_none() && outcome.temporary.is_none()
}

/// Whether the plan has anything that waits for the proof.
fn depends_on_it(run: &Restoring<'_>) -> bool {
    run.rows().any(|(_, row)| {
        row.action == Action::Drop
            || row.method == Method::AsideAfterDrop && row.action.restores()
            || row.kind == Kind::View && row.action.restores() && run.replaces_documents(row)
    })
}

async fn is_proven(run: &Restoring<'_>, row: &Planned, outcome: &Outcome, now: &Uuids) -> Result<(), Failure> {
    let expected = match row.action {
        Action::Merge => run.prepared.target.get(&row.name).and_then(|there| there.uuid.clone()),
        _ => outcome.uuid.clone(),
    };
    let Some(there) = now.get(&row.name) else {
        return Err(other(
            "it is gone: the change was undone, or somebody dropped it. Restore again",
        ));
    };
    if expected.is_some() && *there != expected {
        return Err(other(
            "its name belongs to another collection than the one loaded and proven: the change was undone, or somebody recreated it. Restore again",
        ));
    }
    // What is merged into has documents of its own, and of measurements a server knows no number.
    if row.action == Action::Merge || row.kind == Kind::Timeseries {
        return Ok(());
    }
    let proven = outcome.database.map_or(0, |database| database.documents());
    let counted = count(run, row, proven).await?;
    match counted == proven {
        true => Ok(()),
        false => Err(other(&format!(
            "it has {counted} documents, but {proven} were loaded and proven: somebody has written to it since"
        ))),
    }
}

/// A server's quick answer can be wrong after a crash, and on a cluster that moves documents.
async fn count(run: &Restoring<'_>, row: &Planned, proven: u64) -> Result<u64, MongoError> {
    match run.mongo().quick_count(run.database(), &row.name).await? {
        counted if counted == proven => Ok(counted),
        _ => run.mongo().exact_count(run.database(), &row.name).await,
    }
}

fn other(what: &str) -> Failure {
    Failure::new(FailureKind::Database, what)
}
