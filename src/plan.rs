//! The **plan**: what a restore will do, as a value, before anything is done.
//!
//! [`plan`] compares an archive's [`Contents`] with the target's [`Catalog`] under a [`Policy`]. A dry run prints the
//! [`RestorePlan`], a person or a program consents to it, and the restore obeys it; none of them decides anew. If there
//! can be no plan, the answer is all [`Conflicts`] at once.
//!
//! Pure: no server, no clock, no randomness. The same three values give the same plan, so its
//! [`confirm`](RestorePlan::confirm) token says which of the archive, the policy, the target's collections and the
//! cluster has changed since.
//!
//! What a plan never does:
//!
//! - drop a collection that the archive names, whatever became of its backup;
//! - drop anything if only part of the archive was asked for, or if the archive may not name everything its database
//!   had;
//! - drop anything for an archive that does not claim to be whole ([`Coverage`]), unless asked to
//!   ([`Extra::DropMissing`]);
//! - drop anything if some of the archive cannot be restored ([`Planned::not_taken`]);
//! - touch the server's own collections (`system.`; [`belongs`](crate::catalog::belongs) says which), or mongotar's
//!   ([`INTERNAL_PREFIX`]);
//! - drop stored functions (`system.js`), which archives of earlier versions lack;
//! - replace or fill a collection from one that was not saved whole.
//!
//! Not promised: that the counts of a live target still hold, or that the server accepts every option, index and view.
//! Only the server knows that, and asking it takes an empty collection: the restore does so before its first change,
//! and reports all refusals at once. A dry run only reads, so it cannot.

mod conflicts;
mod consent;
mod contents;
mod decide;
mod diff;
mod expiring;
#[cfg(test)]
mod fixture;
mod infer;
mod names;
mod parked;
mod policy;
mod rename;
mod render;
mod request;
mod restore_plan;
mod rows;
mod space;
#[cfg(test)]
mod tests;
mod views;

pub use crate::archive::Coverage;
pub use crate::catalog::Selection;
pub use conflicts::{Conflict, Conflicts};
pub use consent::{NotAToken, Token, TokenPart};
pub use contents::{ArchiveIdentity, Contents};
pub use diff::Diff;
pub(crate) use diff::without_own;
pub use infer::{Inferred, Signal};
pub(crate) use names::check_database;
pub use names::{INTERNAL_PREFIX, LOCK_COLLECTION, TEMPORARY_PREFIX};
pub use parked::Parked;
pub(crate) use parked::off_there;
pub use policy::{Existing, Extra, Inference, Policy, Ttl, Validators};
pub use rename::{NotARename, Rename};
pub(crate) use restore_plan::is_zero;
pub use restore_plan::{Action, Fingerprint, Method, PlanTotals, Planned, PlannedBuckets, RestorePlan};
pub(crate) use views::reading_from as view_reading_from;

use crate::catalog::{Catalog, Kind};
use crate::ordered::map;

/// Plans the restore of an archive into a database.
///
/// # Errors
/// Every obstacle. Then there is no plan, not even for a part.
pub fn plan(contents: &Contents, target: &Catalog, policy: &Policy) -> Result<RestorePlan, Conflicts> {
    let mut conflicts = request::check(contents, target, policy);
    let mut rows = rows::of_archive(contents, target, policy, &mut conflicts);
    rows.extend(rows::of_extras(&rows, contents, target, policy));
    follow_renames(&mut rows);
    conflicts.extend(views_in_circles(&rows, target));
    if !conflicts.is_empty() {
        return Err(Conflicts(conflicts));
    }
    warn_of_dangling_views(&mut rows, target);
    let rows = in_order_of_execution(rows);
    let drops = rows.iter().any(|row| row.action == Action::Drop);
    let mut warnings = request::warnings(contents, target, policy, drops);
    warnings.extend(rows::skipped(&rows));
    let totals = totals(&rows, target);
    warnings.extend(space::warning(&totals, target.disk));
    Ok(RestorePlan {
        archive: contents.archive.clone(),
        status: contents.status,
        source_database: contents.database.clone(),
        database: policy.database.clone(),
        policy: policy.clone(),
        confirm: Token::new(contents, target, policy),
        to_drop: names(&rows, |row| row.action == Action::Drop),
        to_create: names(&rows, |row| row.action == Action::Create),
        to_restore: names(&rows, |row| row.action.restores()),
        totals,
        warnings,
        collections: rows,
    })
}

/// Lets a view read from its source's new name. Sources named within a pipeline are left as they are, and said.
fn follow_renames(rows: &mut [Planned]) {
    let restored = rows.iter().filter(|row| row.action.restores());
    let renamed = restored
        .filter_map(|row| Some((row.source.clone()?, row.name.clone())))
        .filter(|(source, name)| source != name);
    let renamed = map(renamed);
    for view in rows
        .iter_mut()
        .filter(|row| row.kind == Kind::View && row.action.restores())
    {
        if let Some(name) = view.options.get_str("viewOn").and_then(|source| renamed.get(source)) {
            view.options = views::reading_from(&view.options, name);
            view.warnings
                .push(format!("it reads from {name:?}, the new name of its source"));
        }
        for source in views::pipeline_sources(&view.options) {
            if let Some(name) = renamed.get(&source) {
                let warning = format!(
                    "its pipeline names {source:?}, which is restored as {name:?}: the pipeline is not rewritten"
                );
                view.warnings.push(warning);
            }
        }
    }
}

/// Views that would read from themselves, by way of others or not: a server refuses the one that closes the circle. An
/// archive's own have none, but with new names, or with views that stay on the target, there can be one.
fn views_in_circles(rows: &[Planned], target: &Catalog) -> Vec<Conflict> {
    let is_view = |kind| kind == Kind::View;
    let stay = target.collections.iter().filter(|present| is_view(present.kind));
    let mut definitions = map(stay.map(|present| (present.name.as_str(), &present.options)));
    for row in rows.iter().filter(|row| row.action != Action::Skip) {
        match is_view(row.kind) && row.action.restores() {
            true => definitions.insert(&row.name, &row.options),
            false => definitions.remove(row.name.as_str()),
        };
    }
    let views = definitions
        .iter()
        .map(|(name, options)| ((*name).to_owned(), views::sources(options)));
    let views = map(views);
    let circles = views::circles(&views);
    circles
        .into_iter()
        .map(|circle| {
            let restored = |name: &&String| rows.iter().any(|row| row.name == **name && row.action.restores());
            let blamed = circle.iter().find(restored).unwrap_or(&circle[0]);
            Conflict::of(
                blamed,
                format!(
                    "views would read from each other in a circle, which a server refuses: {}",
                    circle.join(", ")
                ),
                "exclude one of them, drop the one on the target first, or restore one under another name",
            )
        })
        .collect()
}

/// A view without its source is legal, and seldom meant.
fn warn_of_dangling_views(rows: &mut [Planned], target: &Catalog) {
    let stays = |row: &&Planned| row.action != Action::Drop && target.get(&row.name).is_some();
    let there: Vec<String> = rows
        .iter()
        .filter(|row| row.action.restores() || stays(row))
        .map(|row| row.name.clone())
        .collect();
    for view in rows
        .iter_mut()
        .filter(|row| row.kind == Kind::View && row.action.restores())
    {
        for source in views::sources(&view.options) {
            if !there.contains(&source) {
                view.warnings
                    .push(format!("it reads from {source:?}, which will not exist"));
            }
        }
    }
}

fn in_order_of_execution(mut rows: Vec<Planned>) -> Vec<Planned> {
    let restored_views = rows
        .iter()
        .filter(|row| row.kind == Kind::View && row.action.restores());
    let views = map(restored_views.map(|row| (row.name.clone(), views::sources(&row.options))));
    let place = map(views::in_order(&views).into_iter().zip(1_usize..));
    rows.sort_by_cached_key(|row| {
        let (group, within) = match (row.action, row.kind) {
            (Action::Drop, Kind::View) => (4, 0),
            (Action::Drop, _) => (4, 1),
            (Action::Skip, _) => (3, 0),
            (_, Kind::Collection) => (0, 0),
            (_, Kind::Timeseries) => (1, 0),
            (_, Kind::View) => (2, place.get(&row.name).copied().unwrap_or(0)),
        };
        (group, within, row.name.clone(), row.source.clone())
    });
    rows
}

fn names(rows: &[Planned], which: impl Fn(&Planned) -> bool) -> Vec<String> {
    let mut names: Vec<String> = rows
        .iter()
        .filter(|row| which(row))
        .map(|row| row.name.clone())
        .collect();
    names.sort_unstable();
    names
}

fn totals(rows: &[Planned], target: &Catalog) -> PlanTotals {
    let mut totals = PlanTotals::default();
    for row in rows {
        let present = row.documents_present.unwrap_or(0);
        if row.action.restores() {
            totals.collections += 1;
            totals.documents = totals.documents.saturating_add(row.documents);
            totals.bytes = totals.bytes.saturating_add(row.bytes);
        }
        match row.action {
            Action::Drop => {
                totals.collections_to_drop += 1;
                totals.documents_to_drop = totals.documents_to_drop.saturating_add(present);
            }
            Action::Replace => totals.documents_to_replace = totals.documents_to_replace.saturating_add(present),
            _ => {}
        }
        let goes = matches!(row.action, Action::Drop | Action::Replace);
        let there = target.get(&row.name).filter(|present| present.kind != Kind::View);
        if goes && there.is_some_and(|present| present.documents.is_none()) {
            totals.uncounted_collections += 1;
        }
    }
    totals
}
