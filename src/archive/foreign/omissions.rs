//! Unread members: names each, and says what may be missing.

use std::collections::BTreeMap;

use super::aside::{Aside, Bearing, OURS};
use super::found::{Found, SetAside};
use super::{Choice, ForeignError};
use crate::catalog::SERVER_DATABASES;
use crate::wording::{USERS_RESTORED, first_few};

/// How many members that are not read are named for each reason.
pub(super) const MAX_NAMED: usize = 20;

/// Names what is not read, and says what may be missing. The answer is why there may be more collections, where no data
/// is missing.
pub(super) fn note_set_aside(found: &mut Found, chosen: &str, choice: &Choice) -> Option<String> {
    let is_within = |inner: &str, outer: &str| {
        outer.is_empty() || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    let of_another = |folder: &str| {
        let known = found.folders.get(folder).is_some_and(|folder| !folder.is_empty());
        known || choice.database.is_some() || is_of_server(folder)
    };
    let mut more = None;
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for set_aside in &found.aside {
        let (folder, why) = (set_aside.folder.as_str(), set_aside.aside.why());
        let concerns = is_within(folder, chosen) || is_within(chosen, folder) || !of_another(folder);
        let reason = || format!("{:?} is not read", set_aside.path);
        match set_aside.aside.bearing() {
            Bearing::MayBeData if concerns => drop(found.incomplete.get_or_insert_with(reason)),
            Bearing::MayNameMore if concerns => drop(more.get_or_insert_with(reason)),
            _ => {}
        }
        by_reason.entry(why).or_default().push(format!("{:?}", set_aside.path));
    }
    // Those of other databases are not restored with this one.
    let users = std::mem::take(&mut found.users).into_iter();
    let mut users = users
        .filter(|(folder, _)| folder.is_empty() || folder == chosen)
        .peekable();
    if users.peek().is_some() {
        let users = first_few(users.map(|(_, name)| name));
        found
            .warnings
            .push(format!("the archive has {users}: {USERS_RESTORED}"));
    }
    for (why, paths) in by_reason {
        let (named, rest) = paths.split_at(paths.len().min(MAX_NAMED));
        let and_more = match rest.len() {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        found
            .warnings
            .push(format!("not read: {}{and_more}: {why}", named.join(", ")));
    }
    more
}

/// Whether a folder is that of a server's own database, which every dump of a whole server has, and nobody restores by
/// accident.
pub(super) fn is_of_server(folder: &str) -> bool {
    SERVER_DATABASES.contains(&folder.rsplit('/').next().unwrap_or_default())
}

/// The member that is most likely what was meant to be restored.
pub(super) fn example(found: &Found) -> Option<String> {
    let first = found.aside.iter().find(may_be_data).or(found.aside.first())?;
    Some(format!("{:?} ({})", first.path, first.aside.why()))
}

/// Why there are no collections, where what may have some is encrypted, or packed once more.
pub(super) fn packed(found: &Found) -> Option<ForeignError> {
    let first = found.aside.iter().find(may_be_data)?;
    match &first.aside {
        // That is told in its own way.
        Aside::Packed { what, .. } if *what == OURS => None,
        Aside::Packed { what, way_out } => {
            Some(ForeignError::Refused(format!("{:?} is {what}: {way_out}", first.path)))
        }
        _ => None,
    }
}

fn may_be_data(set_aside: &&SetAside) -> bool {
    set_aside.aside.bearing() == Bearing::MayBeData
}
