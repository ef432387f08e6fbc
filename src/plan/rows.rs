//! The rows of a plan: one for each collection of the archive, and one for each that only the target has.

use std::collections::BTreeSet;

use super::conflicts::Conflict;
use super::decide::{Decision, Wanted, check_indexes, decide};
use super::infer::{infer, without_time};
use super::names::{check_collection, is_reserved};
use super::{
    Action, Contents, Coverage, Diff, Extra, Fingerprint, Inferred, Method, Planned, PlannedBuckets, Policy, Signal,
    Ttl, Validators, off_there, parked,
};
use crate::archive::foreign::Buckets;
use crate::archive::{Saved, SavedStatus, Status};
use crate::catalog::{
    BUCKETS, Catalog, Collection, Definition, Kind, STORED_FUNCTIONS, expires, first_with_buckets, is_constraint,
    modern_indexes, without_expiry,
};
use crate::digest::Hashing;

/// One row for each collection of the archive.
pub(super) fn of_archive(
    contents: &Contents,
    target: &Catalog,
    policy: &Policy,
    conflicts: &mut Vec<Conflict>,
) -> Vec<Planned> {
    let rows = contents.collections.iter().map(|saved| {
        let name = policy.restored_name(&saved.name);
        match why_left_out(saved, policy) {
            Some(decision) => Ok(left_out(saved, name, decision, target)),
            None => restored(saved, name, contents, target, policy),
        }
    });
    let mut planned = Vec::new();
    for row in rows {
        match row {
            Ok(row) => planned.push(row),
            Err(conflict) => conflicts.push(conflict),
        }
    }
    planned
}

fn why_left_out(saved: &Saved, policy: &Policy) -> Option<Decision> {
    if is_reserved(&saved.name) {
        return Some(Decision::skip(
            "the name belongs to the server or to mongotar itself: it is never restored",
        ));
    }
    if !policy.selection.selects(&saved.name) {
        return Some(Decision::skip("not selected"));
    }
    let error = saved.error.as_deref().unwrap_or("no reason is recorded");
    match saved.status {
        SavedStatus::Complete => None,
        SavedStatus::Failed => Some(Decision::skip(format!(
            "its backup failed ({error}): what the target has stays"
        ))),
        SavedStatus::Partial => Some(Decision::skip(format!(
            "it was not saved whole ({error}): what the target has stays; `mongotar cat` gives the {} documents that were saved",
            saved.documents
        ))),
    }
}

fn left_out(saved: &Saved, name: &str, decision: Decision, target: &Catalog) -> Planned {
    Planned {
        source: Some(saved.name.clone()),
        documents: saved.documents,
        bytes: saved.bytes,
        documents_present: target.get(name).and_then(|present| present.documents),
        ..row(name, saved.kind, decision)
    }
}

fn restored(
    saved: &Saved,
    name: &str,
    contents: &Contents,
    target: &Catalog,
    policy: &Policy,
) -> Result<Planned, Conflict> {
    let seen = contents.signals.collections.get(&saved.name);
    let timeseries = infer(saved, seen, policy.inference);
    let kind = if timeseries.is_some() {
        Kind::Timeseries
    } else {
        saved.kind
    };
    let options = options_to_create(saved, timeseries.as_ref());
    let decision = decide(
        Wanted {
            name,
            kind,
            options: &options,
        },
        target,
        policy.existing,
    )?;
    if decision.action == Action::Create
        && let Some(conflict) = check_collection(&policy.database, name)
    {
        return Err(conflict);
    }
    let held = seen.and_then(|seen| seen.held).filter(|_| kind == Kind::Timeseries);
    if let Some(reason) = held.and_then(|held| why_not_taken(held, decision.action, target)) {
        return Ok(Planned {
            not_taken: true,
            ..left_out(saved, name, Decision::skip(reason), target)
        });
    }
    let present = target.get(name);
    // Where a time series goes into an ordinary collection, it ends up as one.
    let kind = match (decision.action, present) {
        (Action::Merge, Some(present)) => present.kind,
        _ => kind,
    };
    let mut planned = Planned {
        source: Some(saved.name.clone()),
        documents: saved.documents,
        bytes: saved.bytes,
        documents_present: present.and_then(|present| present.documents),
        ..row(name, kind, decision)
    };
    let wanted = |index: &Definition| policy.wants_index(&saved.name, index.get_str("name").unwrap_or_default());
    let (indexes, _) = modern_indexes(&saved.indexes);
    // What is left out is not converted either.
    let of_those: Vec<Definition> = saved.indexes.iter().filter(|index| wanted(index)).cloned().collect();
    planned.warnings.extend(modern_indexes(&of_those).1);
    planned.fingerprint = (kind != Kind::View).then(|| fingerprint(saved, &planned, timeseries.as_ref(), contents));
    let parks = policy.ttl == Ttl::Parked;
    if let Some(present) = present {
        if parks
            && planned.action == Action::Merge
            && let Some(conflict) = parked::conflict(present, target)
        {
            return Err(conflict);
        }
        planned.options_diff = match parks && !expires(&present.options) {
            true => Diff::of_options(&without_expiry(&options), &without_expiry(&present.options)),
            false => Diff::of_options(&options, &present.options),
        };
        planned.index_diff = match off_there((&indexes, &present.indexes)) {
            (indexes, present, _) if parks => Diff::of_indexes(&indexes, &present),
            (.., off) => {
                for off in off.iter().filter(|_| planned.action == Action::Merge) {
                    let off = parked::Parked::new(off, &planned.name, target);
                    planned.warnings.push(format!(
                        "expiry is off here, and a merge leaves it so, which counts as a difference: {off}. Switch it on first, or give park_ttl (--park-ttl)"
                    ));
                }
                Diff::of_indexes(&indexes, &present.indexes)
            }
        };
        // Whoever leaves an index out does not mind that another has its name.
        planned
            .index_diff
            .changed
            .retain(|index| policy.wants_index(&saved.name, index));
        planned.lost = (planned.action == Action::Replace)
            .then(|| lost_by_replacing(kind, present))
            .flatten();
    }
    let archived = indexes.iter().filter(|index| wanted(index)).chain([&options]);
    let archived: Vec<Definition> = archived.cloned().collect();
    planned.indexes = indexes_to_build(indexes, &planned, wanted);
    if let Some(conflict) = check_indexes(name, &saved.name, &planned.indexes, target) {
        return Err(conflict);
    }
    if planned.action != Action::Merge {
        planned.options = options;
    }
    if parks {
        planned.park(&archived, target);
    }
    if policy.validators == Validators::Bypass {
        let there = present.filter(|_| planned.action == Action::Merge);
        let options = there.map_or(&planned.options, |there| &there.options);
        planned.warnings.extend(on_bypassing(options, there.is_some()));
    }
    warn(&mut planned, timeseries.as_ref(), contents);
    planned.timeseries = timeseries;
    planned.buckets = held.map(|held| PlannedBuckets {
        collection: format!("{BUCKETS}{name}"),
        measurements: held.measurements,
    });
    Ok(planned)
}

/// Why a target does not take a time series' buckets as they are.
fn why_not_taken(held: Buckets, action: Action, target: &Catalog) -> Option<String> {
    let (version, taken) = (&target.server.version, target.server.features.bucket_version);
    let what = "the archive has this time series as buckets, ";
    if action == Action::Merge {
        Some(format!(
            "{what}which an ordinary collection cannot take: replace it (replace_existing, --replace-existing)"
        ))
    } else if taken >= held.version.max(1) {
        None
    } else if taken == 0 {
        Some(format!(
            "{what}which a server {version} takes from nobody: restore it with mongorestore, or into a server before 8.3 and back that up with mongotar"
        ))
    } else {
        let which = match first_with_buckets(held.version) {
            Some((first, minor)) => format!("it takes {first}.{minor} or newer"),
            None => format!(
                "they are of version {}, and which server takes that is not known here",
                held.version
            ),
        };
        Some(format!("{what}which a server {version} cannot read: {which}"))
    }
}

/// The saved options, and what was inferred where they do not say which time series it is.
fn options_to_create(saved: &Saved, timeseries: Option<&Inferred>) -> Definition {
    match timeseries {
        Some(inferred) if saved.options.get_document("timeseries").is_none() => {
            let mut options = inferred.options().as_raw().to_owned();
            let others = saved
                .options
                .as_raw()
                .iter()
                .map_while(Result::ok)
                .filter(|(key, _)| key.as_str() != "timeseries");
            others.for_each(|(key, value)| options.append(key, value));
            Definition::new(options)
        }
        _ => saved.options.clone(),
    }
}

fn fingerprint(saved: &Saved, planned: &Planned, timeseries: Option<&Inferred>, contents: &Contents) -> Fingerprint {
    let inferred = timeseries.is_some_and(|inferred| inferred.signal != Signal::Metadata);
    let seen = contents.signals.collections.get(&saved.name);
    match seen.filter(|_| inferred && planned.kind == Kind::Timeseries) {
        Some(seen) => Fingerprint {
            digest: seen.digest_by_fields,
            hashing: Hashing::SortedFields,
        },
        None => Fingerprint {
            digest: saved.digest,
            hashing: saved.hashing,
        },
    }
}

fn indexes_to_build(
    indexes: Vec<Definition>,
    planned: &Planned,
    is_wanted: impl Fn(&Definition) -> bool,
) -> Vec<Definition> {
    let comes_along =
        |index: &Definition| index.get_str("name") == Some("_id_") || index.get_bool("clustered") == Some(true);
    let wanted = |index: &Definition| match planned.action {
        // An index that is there with another definition stays as it is: it may be what the application now needs.
        Action::Merge => index
            .get_str("name")
            .is_some_and(|name| planned.index_diff.added.iter().any(|added| added == name)),
        _ => true,
    };
    indexes
        .into_iter()
        .filter(|index| !comes_along(index))
        .filter(wanted)
        .filter(is_wanted)
        .collect()
}

fn lost_by_replacing(kind: Kind, present: &Collection) -> Option<String> {
    match (kind, present.kind) {
        (Kind::View, Kind::View) => None,
        (_, Kind::View) => Some("the definition of the view present is lost".to_owned()),
        (Kind::View, _) => Some(format!("all documents present ({}) are lost", estimate(present))),
        (_, _) => Some(format!(
            "documents present ({}) that the archive does not hold are lost",
            estimate(present)
        )),
    }
}

fn estimate(present: &Collection) -> String {
    present.documents.map_or_else(
        || "of unknown number".to_owned(),
        |documents| format!("about {documents}"),
    )
}

/// What comes of bypassing the validator of a collection that has these options, and is there already or not.
fn on_bypassing(options: &Definition, is_there: bool) -> Option<String> {
    options.get_document("validator")?;
    let comes_of_it = match (is_constraint(options), is_there) {
        (true, true) => "its validator is a constraint, which nothing bypasses: documents that break it are refused",
        (true, false) => {
            "its documents bypass its validator, which must hold for all of them at the end: it is a constraint"
        }
        (false, _) => "its documents bypass its validator, which stays on for everybody else",
    };
    Some(comes_of_it.to_owned())
}

fn warn(planned: &mut Planned, timeseries: Option<&Inferred>, contents: &Contents) {
    if planned.action == Action::Merge {
        let Diff {
            added,
            removed,
            changed,
        } = &planned.options_diff;
        let differing: Vec<&str> = [added, removed, changed]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if !differing.is_empty() {
            planned.warnings.push(format!(
                "its options stay as they are on the target; the archive's differ in {}",
                differing.join(", ")
            ));
        }
        if !planned.index_diff.changed.is_empty() {
            let changed = planned.index_diff.changed.join(", ");
            planned.warnings.push(format!(
                "these indexes stay as they are on the target; the archive's differ: {changed}"
            ));
        }
    }
    let source = planned.source.as_deref().unwrap_or(&planned.name);
    let seen = contents.signals.collections.get(source);
    if let (Some(inferred), Some(seen), Kind::Timeseries) = (timeseries, seen, planned.kind)
        && seen.held.is_none()
    {
        let undated = without_time(seen, inferred);
        if undated > 0 {
            let (all, field) = (seen.outline.documents(), &inferred.time_field);
            planned.warnings.push(format!(
                "{undated} of {all} sampled documents have no date `{field}`: a time series refuses such documents"
            ));
        }
    }
}

/// One row for each collection that only the target has.
pub(super) fn of_extras(rows: &[Planned], contents: &Contents, target: &Catalog, policy: &Policy) -> Vec<Planned> {
    let named: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let archived: BTreeSet<&str> = contents.collections.iter().map(|saved| saved.name.as_str()).collect();
    let extras = target.collections.iter().filter(|present| !is_reserved(&present.name));
    let extras = extras.filter(|present| !named.contains(present.name.as_str()));
    extras
        .map(|present| {
            let decision = if policy.is_selective() {
                Decision::skip(match archived.contains(present.name.as_str()) {
                    true => "the archive's collection of that name is restored under another",
                    false => "only a part of the archive is restored, or under other names: nothing is dropped",
                })
            } else if present.name == STORED_FUNCTIONS {
                Decision::skip("not in the archive, which may have been made before stored functions were saved: they are never dropped")
            } else if policy.extra == Extra::Keep {
                Decision::skip("not in the archive; extra collections are kept")
            } else if contents.status == Status::Partial {
                Decision::skip("not in the archive, which is partial: nothing is dropped")
            } else if let Coverage::Part(reason) = &contents.coverage {
                Decision::skip(format!(
                    "not in the archive, which may not name everything that its database had ({reason})"
                ))
            } else if let Some(row) = rows.iter().find(|row| row.not_taken) {
                Decision::skip(format!(
                    "not in the archive, but not everything in the archive can be restored ({:?}): nothing is dropped",
                    row.name
                ))
            } else {
                match (&contents.coverage, policy.extra) {
                    (Coverage::Unsaid(_), Extra::DropMissing) => Decision::new(
                        Action::Drop,
                        Method::None,
                        "not in the archive, which does not claim to be whole; drop_missing asks for the drop",
                    ),
                    (Coverage::Unsaid(_), _) => Decision::skip(
                        "not in the archive, which does not claim to be whole: it stays, unless drop_missing (--drop-missing) asks for the drop",
                    ),
                    _ => Decision::new(Action::Drop, Method::None, "not in the archive"),
                }
            };
            let lost = (decision.action == Action::Drop).then(|| match present.kind {
                Kind::View => "its definition is lost".to_owned(),
                _ => format!("all documents present ({}) are lost", estimate(present)),
            });
            Planned {
                documents_present: present.documents,
                lost,
                ..row(&present.name, present.kind, decision)
            }
        })
        .collect()
}

fn row(name: &str, kind: Kind, decision: Decision) -> Planned {
    Planned {
        name: name.to_owned(),
        source: None,
        kind,
        action: decision.action,
        method: decision.method,
        reason: decision.reason,
        not_taken: false,
        lost: None,
        documents: 0,
        bytes: 0,
        documents_present: None,
        fingerprint: None,
        timeseries: None,
        buckets: None,
        options: Definition::empty(),
        indexes: Vec::new(),
        parked: Vec::new(),
        options_diff: Diff::default(),
        index_diff: Diff::default(),
        warnings: decision.warnings,
    }
}

/// A warning for each collection that was asked for and is not restored.
pub(super) fn skipped(rows: &[Planned]) -> Vec<String> {
    let skipped = rows
        .iter()
        .filter(|row| row.action == Action::Skip && row.source.is_some() && row.reason != "not selected");
    skipped
        .map(|row| format!("{:?} is not restored: {}", row.name, row.reason))
        .collect()
}
