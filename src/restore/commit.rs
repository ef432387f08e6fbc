//! The commit: renames loaded collections into place, and restores the rest in place.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};

use super::collections::AfterFailure;
use super::create::{InTheWay, create, drop_collection, redefine_view, rename};
use super::expired::let_expire;
use super::outcome::{Committed, Outcome, Outcomes};
use super::proof::prove;
use super::work::{Restoring, Stop};
use crate::catalog::{Catalog, Definition, Kind};
use crate::failure::{Failure, FailureKind};
use crate::plan::{Action, Method, Planned};

/// How many collections are renamed at a time.
const AT_ONCE: usize = 8;

/// Carries out everything that follows the load, and adds to the outcomes what came of it.
///
/// Where a load failed as such (the archive is damaged, the connection is gone), the lock was lost, or the very first
/// change is refused, nothing is committed: the target is what it was.
///
/// Whatever takes something away comes last, and only if everything before it was [proven](super::proof): collections
/// that replace a view or a time series, which the server does not rename over, views that replace documents, drops.
///
/// A commit that an earlier invocation began is resumed: finished parts are recognised. If this run can be resumed and
/// the database is no longer reached, the commit is left as it is, for the next one.
pub(super) async fn commit(run: &Restoring<'_>, outcomes: &mut Outcomes) -> Result<Committed, Stop> {
    run.is_ours()?;
    let begun = run.record.committing();
    let now = match &begun {
        None => {
            if let MayBegin::No(why) = begin(run, outcomes).await? {
                return Ok(give_up(run, outcomes, &why).await);
            }
            None
        }
        Some(uuids) => {
            run.lock.confirm().await?;
            let now = run
                .mongo()
                .survey_definitions(run.database())
                .await
                .map_err(Failure::from)?;
            recognise(run, outcomes, uuids, &now);
            Some(now)
        }
    };
    run.tools.progress.step("committing");
    let mut changed = begun.is_some();
    let placed = put_into_place(run, outcomes, Method::Aside, &mut changed).await;
    run.keep_what_passes(outcomes)?;
    if placed == Placed::No {
        return Ok(give_up(run, outcomes, FIRST_REFUSED).await);
    }
    let in_place = |row: &Planned| row.kind != Kind::View && row.method == Method::InPlace;
    changed |= !run.chosen(in_place).is_empty();
    outcomes.append(&mut run.load_all(AfterFailure::GoOn, in_place).await?);
    run.tools.progress.step("proving the collections put into place");
    // What the target cannot take is not equal, so nothing is taken away beside it.
    let mut good = prove(run, outcomes).await && run.rows().all(|(_, row)| !row.not_taken);
    run.keep_what_passes(outcomes)?;
    if good {
        let placed = put_into_place(run, outcomes, Method::AsideAfterDrop, &mut changed).await;
        run.keep_what_passes(outcomes)?;
        if placed == Placed::No {
            return Ok(give_up(run, outcomes, FIRST_REFUSED).await);
        }
    }
    let waiting = outcomes.values_mut().filter(|outcome| outcome.temporary.is_some());
    for outcome in waiting.filter(|outcome| outcome.error.is_none()) {
        good = false;
        outcome.error = Some(held_back("not put into its place"));
    }
    good = good && (!has(run, Method::AsideAfterDrop) || prove(run, outcomes).await);
    views(run, outcomes, now.as_ref(), good).await;
    drops(run, outcomes, now.as_ref(), good).await;
    let_expire(run, outcomes).await;
    run.keep_what_passes(outcomes)?;
    run.is_ours()?;
    remove_temporaries(run, outcomes).await;
    Ok(Committed::Something)
}

const FIRST_REFUSED: &str = "the first collection could not be put into its place";

/// Whether the target may be changed.
enum MayBegin {
    Yes,
    /// Why not.
    No(String),
}

/// Everything before the first change: a cancelled run ends here, and so does one whose lock another restore has taken
/// over. Why nothing may be changed is told.
async fn begin(run: &Restoring<'_>, outcomes: &mut Outcomes) -> Result<MayBegin, Failure> {
    if outcomes.values().any(|outcome| outcome.error.is_some()) {
        return Ok(MayBegin::No("another collection could not be loaded".to_owned()));
    }
    let ready = async {
        run.may_go_on()?;
        run.lock.confirm().await?;
        temporaries(run, outcomes).await
    };
    let uuids = match ready.await {
        Ok(uuids) => uuids,
        Err(failure) => {
            run.is_ours()?;
            if run.record.is_kept() && failure.passes() {
                return Err(failure);
            }
            return Ok(MayBegin::No(failure.to_string()));
        }
    };
    for (place, uuid) in &uuids {
        if let Some(outcome) = outcomes.get_mut(place) {
            outcome.uuid = Some(uuid.clone());
        }
    }
    run.record.begin_commit(uuids).await?;
    Ok(MayBegin::Yes)
}

/// The UUIDs of temporary collections, by place.
async fn temporaries(run: &Restoring<'_>, outcomes: &Outcomes) -> Result<BTreeMap<usize, String>, Failure> {
    let now = run.mongo().uuids(run.database()).await?;
    let mut uuids = BTreeMap::new();
    for (place, outcome) in outcomes {
        let Some(temporary) = &outcome.temporary else { continue };
        let there = now.get(temporary).ok_or_else(|| {
            let name = &run.prepared.plan.collections[*place].name;
            Failure::new(
                FailureKind::Database,
                format!("{temporary}, into which {name} was loaded, is gone: somebody has dropped it. Restore again"),
            )
        })?;
        uuids.extend(there.clone().map(|uuid| (*place, uuid)));
    }
    Ok(uuids)
}

/// Renames the temporary collections that `method` puts into place. Only the very first change can be refused, so that
/// nothing has changed.
async fn put_into_place(run: &Restoring<'_>, outcomes: &mut Outcomes, method: Method, changed: &mut bool) -> Placed {
    let rows = &run.prepared.plan.collections;
    let mut waiting = outcomes.iter_mut().filter(|(place, _)| rows[**place].method == method);
    // The first goes alone: where it is refused, nothing has changed.
    while !*changed && let Some((place, outcome)) = waiting.next() {
        match into_place(run, &rows[*place], outcome).await {
            Placed::No => return Placed::No,
            Placed::Yes => *changed = true,
            Placed::Kept => {}
        }
    }
    // The others several at a time: each waits for the replica set, and the shorter this phase, the better.
    stream::iter(waiting.collect::<Vec<_>>())
        .for_each_concurrent(AT_ONCE, |(place, outcome)| async move {
            into_place(run, &rows[*place], outcome).await;
        })
        .await;
    Placed::Yes
}

fn has(run: &Restoring<'_>, method: Method) -> bool {
    run.rows().any(|(_, row)| row.method == method && row.action.restores())
}

fn held_back(what: &str) -> Failure {
    Failure::new(
        FailureKind::Database,
        format!("{what}, because the restore is not complete"),
    )
}

/// What an earlier invocation has renamed into its place is not there under its temporary name any more.
fn recognise(run: &Restoring<'_>, outcomes: &mut Outcomes, uuids: &BTreeMap<usize, String>, now: &Catalog) {
    for (place, outcome) in outcomes.iter_mut() {
        outcome.uuid = outcome.uuid.take().or_else(|| uuids.get(place).cloned());
        let Some(temporary) = outcome.temporary.as_ref().filter(|name| now.get(name).is_none()) else {
            continue;
        };
        let planned = &run.prepared.plan.collections[*place];
        let there = now.get(&planned.name);
        let is_ours = there.is_some_and(|there| there.uuid.as_ref() == uuids.get(place));
        if !is_ours {
            outcome.error = Some(Failure::new(
                FailureKind::Database,
                format!(
                    "{temporary}, meant for its place, is gone, and {} is another collection",
                    planned.name
                ),
            ));
        }
        outcome.temporary = None;
    }
}

/// Leaves the target as it is.
async fn give_up(run: &Restoring<'_>, outcomes: &mut Outcomes, why: &str) -> Committed {
    remove_temporaries(run, outcomes).await;
    if run.record.is_kept() {
        // Other invocations may have loaded what this one has not come to.
        for (place, _) in run.rows().filter(|(_, row)| is_beside(row)) {
            remove_temporary(run, &run.temporary(place)).await;
        }
    }
    let failed = || {
        Outcome::failed(Failure::new(
            FailureKind::Database,
            format!("not put into its place, and nothing was changed: {why}"),
        ))
    };
    for outcome in outcomes.values_mut().filter(|outcome| outcome.error.is_none()) {
        *outcome = failed();
    }
    // What has no beside was not begun, for the same reason.
    for (place, _) in run.rows().filter(|(_, planned)| planned.action != Action::Skip) {
        outcomes.entry(place).or_insert_with(failed);
    }
    Committed::Nothing
}

/// What became of a temporary collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placed {
    /// It is in its place.
    Yes,
    /// It was not to be: it is less than what it would replace.
    Kept,
    /// The server refused, and nothing changed.
    No,
}

/// Renames one collection into its place, unless that would put less in the place of more.
async fn into_place(run: &Restoring<'_>, planned: &Planned, outcome: &mut Outcome) -> Placed {
    let Some(temporary) = outcome.temporary.clone() else {
        return Placed::Kept;
    };
    if planned.action == Action::Replace && !outcome.may_replace() {
        outcome.error = Some(Failure::new(FailureKind::Database, why_kept(planned, outcome)));
        return Placed::Kept;
    }
    if let Err(failure) = run.lock.check() {
        outcome.error = Some(failure);
        return Placed::No;
    }
    let drops_first = planned.method == Method::AsideAfterDrop;
    if drops_first && let Err(error) = drop_collection(run.mongo(), run.database(), &planned.name).await {
        outcome.error = Some(error.into());
        return Placed::No;
    }
    let in_the_way = match planned.action {
        Action::Replace => InTheWay::Replaced,
        _ => InTheWay::Refused,
    };
    let (names, uuid) = ((&*temporary, &*planned.name), outcome.uuid.as_deref());
    match rename(run.mongo(), run.database(), names, in_the_way, uuid).await {
        Ok(()) => {
            outcome.temporary = None;
            Placed::Yes
        }
        Err(error) if drops_first => {
            // What had the name is gone, so this is all there is of it: it must not be cleaned up.
            outcome.temporary = None;
            outcome.error = Some(Failure::from(error).at(format!(
                "what was there was dropped, and {} holds its replacement: rename it by hand",
                temporary
            )));
            Placed::Yes
        }
        Err(error) => {
            outcome.error = Some(error.into());
            Placed::No
        }
    }
}

fn why_kept(planned: &Planned, outcome: &Outcome) -> String {
    let name = &planned.name;
    match outcome.failed_indexes.first() {
        Some((index, error)) if outcome.documents_are_equal() => format!(
            "{name}: its index {index} could not be built ({error}), so the old collection has been kept. Restore it under another name with a renaming, or drop it first, to have it without that index"
        ),
        _ => format!("{name}: not all documents of the archive could be loaded, so the old collection has been kept"),
    }
}

/// Creates views, those first that others read from.
///
/// `now` is what an earlier invocation has left; a view that it made is looked at as one that was there.
///
/// One that takes the place of documents is made only where everything before it is `good`.
async fn views(run: &Restoring<'_>, outcomes: &mut Outcomes, now: Option<&Catalog>, good: bool) {
    for (place, planned) in run
        .rows()
        .filter(|(_, planned)| planned.kind == Kind::View && planned.action.restores())
    {
        let made = async {
            run.lock.check()?;
            let before = run.prepared.target.get(&planned.name);
            let present = match now {
                Some(now) => now
                    .get(&planned.name)
                    .filter(|there| there.kind == Kind::View || before.is_some()),
                None => before,
            };
            if let Some(present) = present {
                if present.kind == Kind::View && present.options == planned.options {
                    return Ok::<(), Failure>(());
                }
                if present.kind == Kind::View && same_collation(&present.options, &planned.options) {
                    redefine_view(run.mongo(), run.database(), &planned.name, &planned.options).await?;
                    return Ok(());
                }
                if present.kind != Kind::View && !good {
                    return Err(held_back("the collection that has the name was kept"));
                }
                drop_collection(run.mongo(), run.database(), &planned.name).await?;
            }
            create(run.mongo(), run.database(), &planned.name, &planned.options).await?;
            Ok(())
        };
        let outcome = match made.await {
            Ok(()) => Outcome::default(),
            Err(error) => Outcome::failed(error),
        };
        outcomes.insert(place, outcome);
    }
}

/// As the server reports it, who fills in what was left out: a difference that is none costs a moment without the view,
/// and no more.
fn same_collation(a: &Definition, b: &Definition) -> bool {
    a.get_document("collation") == b.get_document("collation")
}

/// Drops what only the target has, unless anything went wrong before.
async fn drops(run: &Restoring<'_>, outcomes: &mut Outcomes, now: Option<&Catalog>, good: bool) {
    let mut good = good && run.lock.check().is_ok() && outcomes.values().all(|outcome| outcome.error.is_none());
    for (place, planned) in run.rows().filter(|(_, planned)| planned.action == Action::Drop) {
        // A collection created after an earlier invocation dropped its namesake is not ours to drop.
        let uuid = |catalog: &Catalog| catalog.get(&planned.name).and_then(|there| there.uuid.clone());
        let is_another = now.is_some_and(|now| uuid(now) != uuid(&run.prepared.target));
        let outcome = if good && is_another {
            Outcome::default()
        } else if good {
            drop_collection(run.mongo(), run.database(), &planned.name)
                .await
                .map_or_else(Outcome::failed, |()| Outcome::default())
        } else {
            Outcome::failed(held_back("not dropped"))
        };
        good &= outcome.error.is_none();
        outcomes.insert(place, outcome);
    }
}

/// Drops temporary collections that were never renamed into place.
async fn remove_temporaries(run: &Restoring<'_>, outcomes: &mut Outcomes) {
    for outcome in outcomes.values_mut() {
        if let Some(temporary) = outcome.temporary.take() {
            remove_temporary(run, &temporary).await;
        }
    }
}

async fn remove_temporary(run: &Restoring<'_>, temporary: &str) {
    if let Err(error) = drop_collection(run.mongo(), run.database(), temporary).await {
        tracing::warn!(temporary, %error, "a temporary collection could not be removed: drop it by hand");
    }
}

fn is_beside(row: &Planned) -> bool {
    matches!(row.method, Method::Aside | Method::AsideAfterDrop) && row.kind != Kind::View && row.action.restores()
}
