//! Can the whole request be planned? And what should people know about it?

use std::collections::{BTreeMap, BTreeSet};

use super::conflicts::Conflict;
use super::names::{check_database, is_reserved, nearest};
use super::policy::excludes;
use super::{Contents, Coverage, Extra, Policy, TEMPORARY_PREFIX};
use crate::archive::{ArchiveKind, Saved, Status};
use crate::catalog::{Catalog, hint};

/// What is wrong with the request, apart from single collections.
pub(super) fn check(contents: &Contents, target: &Catalog, policy: &Policy) -> Vec<Conflict> {
    let mut conflicts: Vec<Conflict> = check_database(&policy.database).into_iter().collect();
    if target.database != policy.database {
        conflicts.push(Conflict::general(
            format!(
                "the target that was surveyed is {:?}, not {:?}",
                target.database, policy.database
            ),
            "survey the database to restore into",
        ));
    }
    if let Some(namesake) = &target.namesake {
        conflicts.push(Conflict::general(
            format!(
                "the server has a database {namesake:?}, and refuses one whose name differs only in case, such as {:?}",
                policy.database
            ),
            format!("restore into {namesake:?}, or into a database with another name"),
        ));
    }
    check_renames(contents, policy, &mut conflicts);
    check_selection(contents, policy, &mut conflicts);
    check_collisions(contents, policy, &mut conflicts);
    check_emptiness(contents, target, policy, &mut conflicts);
    conflicts
}

fn check_renames(contents: &Contents, policy: &Policy, conflicts: &mut Vec<Conflict>) {
    let mut seen = BTreeSet::new();
    for rename in &policy.rename {
        let problem = if !seen.insert(&rename.from) {
            "it is renamed twice".to_owned()
        } else if !contents.collections.iter().any(|saved| saved.name == rename.from) {
            "it is renamed, but is not in the archive".to_owned()
        } else if !policy.selection.selects(&rename.from) {
            "it is renamed, but is not selected".to_owned()
        } else {
            continue;
        };
        let way_out = format!("correct the renaming {rename}; {}", available(&rename.from, contents));
        conflicts.push(Conflict::of(&rename.from, problem, way_out));
    }
}

/// Every name or pattern that was asked for must be there: restoring less than that in silence is no restore.
fn check_selection(contents: &Contents, policy: &Policy, conflicts: &mut Vec<Conflict>) {
    let names = names(contents);
    for glob in policy.selection.idle_includes(&names) {
        let problem = format!("nothing in the archive matches {glob:?}{}", hint([glob]));
        conflicts.push(Conflict::general(
            problem,
            format!("correct what is included; {}", available(glob, contents)),
        ));
    }
    for excluded in &policy.exclude_indexes {
        let is_there = |saved: &&Saved| {
            let names = saved.indexes.iter().filter_map(|index| index.get_str("name"));
            names
                .into_iter()
                .any(|index| excludes(excluded, &format!("{}.{index}", saved.name)))
        };
        if contents.collections.iter().find(is_there).is_none() {
            let problem = format!("the archive has no index {excluded:?}");
            let way_out =
                "name the index to leave out as collection.index, with the archive's names, or by a glob: 'places.*'";
            conflicts.push(Conflict::general(problem, way_out));
        }
    }
    let all_gone = !names.is_empty() && !names.iter().any(|name| policy.selection.selects(name));
    if all_gone && conflicts.is_empty() {
        let problem = "the selection leaves nothing of the archive: everything included is excluded, too";
        conflicts.push(Conflict::general(problem, "exclude less"));
    }
}

fn check_collisions(contents: &Contents, policy: &Policy, conflicts: &mut Vec<Conflict>) {
    let mut sources: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names(contents)
        .into_iter()
        .filter(|name| policy.selection.selects(name))
    {
        sources.entry(policy.restored_name(name)).or_default().push(name);
    }
    for (name, sources) in sources.into_iter().filter(|(_, sources)| sources.len() > 1) {
        let problem = format!("{} of the archive would be restored under this name", quoted(&sources));
        conflicts.push(Conflict::of(name, problem, "rename or exclude all but one of them"));
    }
}

/// An archive without a single collection restores nothing, which nobody may take for a success; and it could empty the
/// target. If that is meant, it is quicker done by hand. In a chain it is a state like others: the archives before it
/// have what was there, and its increment what became of that.
fn check_emptiness(contents: &Contents, target: &Catalog, policy: &Policy, conflicts: &mut Vec<Conflict>) {
    if !contents.collections.is_empty() || contents.kind == ArchiveKind::Increment {
        return;
    }
    let asked_for = match &contents.coverage {
        Coverage::Whole | Coverage::WholeByLayout => policy.extra != Extra::Keep,
        Coverage::Unsaid(_) => policy.extra == Extra::DropMissing,
        Coverage::Part(_) => false,
    };
    let drops = asked_for && !policy.is_selective() && !target.collections.is_empty();
    let then = match drops {
        true => "everything on the target would be dropped",
        false => "there is nothing to restore",
    };
    conflicts.push(Conflict::general(
        format!("the archive holds no collection at all, and {then}"),
        "choose another archive",
    ));
}

fn names(contents: &Contents) -> Vec<&str> {
    contents.collections.iter().map(|saved| saved.name.as_str()).collect()
}

/// What may have been meant by `wanted`.
fn available(wanted: &str, contents: &Contents) -> String {
    const SHOWN: usize = 20;
    let names = names(contents);
    match nearest(wanted, &names) {
        near if !near.is_empty() => format!("did you mean {}?", quoted(&near)),
        _ if names.is_empty() => "the archive is empty".to_owned(),
        _ if names.len() > SHOWN => format!(
            "the archive has {} and {} more",
            quoted(&names[..SHOWN]),
            names.len() - SHOWN
        ),
        _ => format!("the archive has {}", quoted(&names)),
    }
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

/// What is dropped, or not, where the archive does not say that it is whole; and why a drop that was asked for is not
/// done.
fn on_coverage(contents: &Contents, policy: &Policy, drops: bool) -> Vec<String> {
    let asked_for = policy.extra == Extra::DropMissing;
    let mut warnings = Vec::new();
    match &contents.coverage {
        Coverage::Whole => {}
        Coverage::WholeByLayout => {
            if drops {
                warnings.push("the archive has no manifest, and is taken for a whole backup of the old scripts because it lies like one (backup_YYYYmmdd_HHMMSS, {collection}.jsonl): what only the target has is dropped. Keep extra collections (--keep-extra) unless it is one".to_owned());
            }
        }
        Coverage::Unsaid(reason) => {
            let then = match asked_for {
                _ if policy.is_selective() => "",
                true if !drops => "",
                true => ": what only the target has is dropped anyway, since drop_missing (--drop-missing) asks for it",
                false => ": what only the target has stays; drop_missing (--drop-missing) drops it",
            };
            warnings.push(format!("the archive does not claim to be whole ({reason}){then}"));
        }
        Coverage::Part(reason) => {
            let although = if asked_for {
                ", although drop_missing (--drop-missing) asks for it"
            } else {
                ""
            };
            warnings.push(format!("the archive may not name everything that its database had ({reason}): nothing counts as extra, nothing is dropped{although}"));
        }
    }
    if asked_for && policy.is_selective() {
        warnings.push(
            "drop_missing (--drop-missing) has no effect: only a part of the archive is restored, or under other names, and then nothing is dropped".to_owned(),
        );
    }
    warnings
}

/// From 5.0 on, a field of a document's own may begin with a dollar. Which documents have one is not known before they
/// are read.
fn on_dollars(contents: &Contents, target: &Catalog) -> Option<String> {
    let (source, there) = (contents.server.as_ref()?, &target.server);
    (source.features.dollar_fields && !there.features.dollar_fields).then(|| {
        format!(
            "the archive is of MongoDB {}, and the target is {}: it refuses documents with a field that begins with $; the report names each",
            source.version,
            there.full_version()
        )
    })
}

/// What a person should know before consenting, apart from single collections. `drops` where anything is dropped.
pub(super) fn warnings(contents: &Contents, target: &Catalog, policy: &Policy, drops: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if contents.status == Status::Partial {
        warnings
            .push("the archive is partial: it does not hold everything it should, so nothing is dropped".to_owned());
    }
    warnings.extend(on_coverage(contents, policy, drops));
    warnings.extend(on_dollars(contents, target));
    for glob in policy.selection.idle_excludes(&names(contents)) {
        warnings.push(format!(
            "nothing in the archive matches the excluded {glob:?}{}",
            hint([glob])
        ));
    }
    let leftovers = target
        .collections
        .iter()
        .filter(|collection| collection.name.starts_with(TEMPORARY_PREFIX));
    match leftovers.count() {
        0 => {}
        count => warnings.push(format!(
            "the target has {count} temporary collections ({TEMPORARY_PREFIX}*) of an unfinished restore: they are no data, left out of this plan, and removed if that restore is dead"
        )),
    }
    if target
        .collections
        .iter()
        .any(|collection| is_reserved(&collection.name) && collection.name.starts_with("system."))
    {
        warnings.push("the target's system collections are left alone".to_owned());
    }
    warnings
}
