//! Which names are the server's or our own, and which a server refuses.

use super::conflicts::Conflict;
pub use crate::catalog::INTERNAL_PREFIX;
use crate::catalog::{SERVER_DATABASES, is_system};

/// The prefix of a collection's name while it is loaded beside the one that it will replace.
pub const TEMPORARY_PREFIX: &str = "mongotar.tmp.";
/// Where the lock of a restore is, in the database that it restores into.
pub const LOCK_COLLECTION: &str = "mongotar.lock";

/// The longest `database.collection`, in bytes, since MongoDB 4.4.
const MAX_NAMESPACE: usize = 255;
/// The longest database name, in bytes.
const MAX_DATABASE: usize = 63;

/// Whether a name is outside of every restore: the server's own, or ours.
pub(super) fn is_reserved(name: &str) -> bool {
    is_system(name) || name.starts_with(INTERNAL_PREFIX)
}

/// Why a server would refuse the database's name, or we would.
pub(crate) fn check_database(name: &str) -> Option<Conflict> {
    let conflict = |problem: String| Conflict::general(problem, "name another database");
    if name.is_empty() {
        return Some(conflict("the database name is empty".to_owned()));
    }
    if name.len() > MAX_DATABASE {
        let length = name.len();
        return Some(conflict(format!(
            "the database name {name:?} has {length} bytes, {MAX_DATABASE} are allowed"
        )));
    }
    if let Some(refused) = name.chars().find(|c| "/\\. \"$\0".contains(*c)) {
        return Some(conflict(format!(
            "the database name {name:?} contains {refused:?}, which a server refuses"
        )));
    }
    // Their collections are users, replication and sharding themselves.
    if SERVER_DATABASES.contains(&name) {
        return Some(Conflict::general(
            format!("{name:?} holds the server's own data"),
            "name the database that the archive is to go into (--mongo-db, \"database\"): no restore changes the server's own. \
             Users and roles come back with --users",
        ));
    }
    None
}

/// Why a server would refuse to create a collection of that name.
pub(super) fn check_collection(database: &str, name: &str) -> Option<Conflict> {
    let conflict = |problem: String| Conflict::of(name, problem, "give it another name with a renaming, or exclude it");
    if name.is_empty() {
        return Some(conflict("a collection's name cannot be empty".to_owned()));
    }
    if is_reserved(name) {
        return Some(conflict(
            "the name is reserved: system. is the server's, mongotar. is this program's".to_owned(),
        ));
    }
    if name.contains(['$', '\0']) {
        return Some(conflict(
            "the name contains a $ or a NUL, which a server refuses".to_owned(),
        ));
    }
    // One that ends with a dot is taken.
    if name.starts_with('.') {
        return Some(conflict(
            "the name begins with a dot, which a server refuses".to_owned(),
        ));
    }
    let length = database.len() + 1 + name.len();
    if length > MAX_NAMESPACE {
        return Some(conflict(format!(
            "database and collection together have {length} bytes, a server takes {MAX_NAMESPACE}"
        )));
    }
    None
}

/// The names of `all` that `wanted` may have meant, best first, for an error message; empty where nothing is near.
pub(super) fn nearest<'a>(wanted: &str, all: &[&'a str]) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut near: Vec<(usize, &str)> = all
        .iter()
        .map(|&name| (distance(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count().min(wanted.chars().count()) / 3)
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How many insertions, deletions and substitutions lie between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names() {
        assert_eq!(check_database("shop"), None);
        for bad in [
            "",
            "a.b",
            "a b",
            "a/b",
            "a$b",
            "admin",
            "local",
            "config",
            &"x".repeat(64),
        ] {
            assert!(check_database(bad).is_some(), "{bad:?}");
        }
        for name in SERVER_DATABASES {
            let conflict = check_database(name).expect(name).to_string();
            assert!(
                conflict.contains("no restore changes the server's own") && conflict.contains("--mongo-db"),
                "{conflict}"
            );
        }
    }

    #[test]
    fn collection_names() {
        assert_eq!(check_collection("shop", "größe 😀/..\n%"), None);
        assert_eq!(check_collection("shop", "a."), None);
        for bad in [
            "",
            "system.users",
            "mongotar.tmp.1",
            "a$b",
            "a\0b",
            ".a",
            &"x".repeat(251),
        ] {
            assert!(check_collection("shop", bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn the_nearest_names_come_first() {
        assert_eq!(nearest("order", &["users", "orders", "Orders2"]), ["orders", "Orders2"]);
        assert!(nearest("zebra", &["users", "orders"]).is_empty());
    }
}
