//! The commit: what was loaded beside comes into its place, and what has no beside is done in place.

use futures_util::{StreamExt as _, stream};

use super::collection::{AfterFailure, Outcome, Outcomes, Run};
use super::create::{InTheWay, create, drop_collection, redefine_view, rename, start_expiry};
use super::indexes::{self, Which};
use crate::catalog::{Definition, Kind};
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::plan::{Action, Method, Planned};

/// How many collections are renamed at a time.
const AT_ONCE: usize = 8;

/// Whether the target was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is what it was.
    Nothing,
    /// It may have changed.
    Something,
}

/// Carries out everything that follows the load, and adds to the outcomes what came of it.
///
/// Where a load failed as such (the archive is damaged, the connection is gone), nothing is committed: the target is what it was.
pub(super) async fn commit(run: &Run<'_>, outcomes: &mut Outcomes) -> Committed {
    if outcomes.values().any(|outcome| outcome.error.is_some()) {
        remove_temporaries(run, outcomes).await;
        for outcome in outcomes.values_mut().filter(|outcome| outcome.error.is_none()) {
            *outcome = Outcome::failed(Failure::new(
                FailureKind::Database,
                "not put into its place, because another collection could not be loaded",
            ));
        }
        return Committed::Nothing;
    }
    run.tools.progress.step("committing");
    // Several at a time: each waits for the replica set, and the shorter this phase, the better.
    stream::iter(outcomes.iter_mut())
        .for_each_concurrent(AT_ONCE, |(place, outcome)| {
            into_place(run, &run.prepared.plan.collections[*place], outcome)
        })
        .await;
    outcomes.append(
        &mut run
            .load_all(AfterFailure::GoOn, |planned| {
                planned.kind != Kind::View && planned.method == Method::InPlace
            })
            .await,
    );
    views(run, outcomes).await;
    drops(run, outcomes).await;
    expiry(run, outcomes).await;
    remove_temporaries(run, outcomes).await;
    Committed::Something
}

/// Renames one collection into its place, unless that would put less in the place of more.
async fn into_place(run: &Run<'_>, planned: &Planned, outcome: &mut Outcome) {
    let Some(temporary) = outcome.temporary.clone() else {
        return;
    };
    if planned.action == Action::Replace && !outcome.documents_are_equal() {
        outcome.error = Some(Failure::new(
            FailureKind::Database,
            format!(
                "{}: not all documents of the archive could be loaded, so the collection that was there has been kept",
                planned.name
            ),
        ));
        return;
    }
    let renamed = async {
        if planned.method == Method::AsideAfterDrop {
            drop_collection(run.mongo(), run.database(), &planned.name).await?;
        }
        let in_the_way = match planned.action {
            Action::Replace => InTheWay::Replaced,
            _ => InTheWay::Refused,
        };
        rename(run.mongo(), run.database(), &temporary, &planned.name, in_the_way).await
    };
    match renamed.await {
        Ok(()) => outcome.temporary = None,
        Err(error) => outcome.error = Some(error.into()),
    }
}

/// Creates views, those first that others read from.
async fn views(run: &Run<'_>, outcomes: &mut Outcomes) {
    for (place, planned) in run
        .rows()
        .filter(|(_, planned)| planned.kind == Kind::View && planned.action.restores())
    {
        let made = async {
            let present = run.prepared.target.get(&planned.name);
            if let Some(present) = present {
                if present.kind == Kind::View && present.options == planned.options {
                    return Ok::<(), MongoError>(());
                }
                if present.kind == Kind::View && same_collation(&present.options, &planned.options) {
                    return redefine_view(run.mongo(), run.database(), &planned.name, &planned.options).await;
                }
                drop_collection(run.mongo(), run.database(), &planned.name).await?;
            }
            create(run.mongo(), run.database(), &planned.name, &planned.options).await
        };
        let outcome = match made.await {
            Ok(()) => Outcome::default(),
            Err(error) => Outcome::failed(error),
        };
        outcomes.insert(place, outcome);
    }
}

/// As the server reports it, who fills in what was left out: a difference that is none costs a moment without the view, and no more.
fn same_collation(a: &Definition, b: &Definition) -> bool {
    a.get_document("collation") == b.get_document("collation")
}

/// Drops what only the target has, unless anything went wrong before.
async fn drops(run: &Run<'_>, outcomes: &mut Outcomes) {
    let mut good = outcomes
        .values()
        .all(|outcome| outcome.error.is_none() && outcome.loaded.rejected == 0);
    for (place, planned) in run.rows().filter(|(_, planned)| planned.action == Action::Drop) {
        let outcome = if good {
            drop_collection(run.mongo(), run.database(), &planned.name)
                .await
                .map_or_else(Outcome::failed, |()| Outcome::default())
        } else {
            Outcome::failed(Failure::new(
                FailureKind::Database,
                "not dropped, because the restore is not complete",
            ))
        };
        good &= outcome.error.is_none();
        outcomes.insert(place, outcome);
    }
}

/// Lets documents expire again, now that they have been counted.
async fn expiry(run: &Run<'_>, outcomes: &mut Outcomes) {
    let (mongo, database) = (run.mongo(), run.database());
    for (place, planned) in run.rows().filter(|(_, planned)| planned.action.restores()) {
        let Some(outcome) = outcomes.get_mut(&place).filter(|outcome| outcome.error.is_none()) else {
            continue;
        };
        let failed = indexes::build(
            mongo,
            (database, &planned.name),
            run.options_in_force(planned),
            &planned.indexes,
            Which::Expiring,
        )
        .await;
        outcome.failed_indexes.extend(failed);
        if planned.action != Action::Merge
            && let Err(error) = start_expiry(mongo, database, &planned.name, planned.kind, &planned.options).await
        {
            outcome.error = Some(error.into());
        }
    }
}

/// Removes what was loaded beside and did not come into its place.
async fn remove_temporaries(run: &Run<'_>, outcomes: &mut Outcomes) {
    for outcome in outcomes.values_mut() {
        if let Some(temporary) = outcome.temporary.take()
            && let Err(error) = drop_collection(run.mongo(), run.database(), &temporary).await
        {
            tracing::warn!(temporary, %error, "a temporary collection could not be removed: drop it by hand");
        }
    }
}
