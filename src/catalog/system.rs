//! Names that are not the database's own: our own, and those that begin with `system.`. [`belongs`] decides whose those
//! are.

use serde::{Deserialize, Serialize};

/// Collections that mongotar makes for itself in a target database (temporary ones, the lock). They are never data.
pub const INTERNAL_PREFIX: &str = "mongotar.";

/// Functions that are stored in a database. To a server they are a collection like any other, but for one thing: it
/// refuses to drop it or to rename another over it.
pub const STORED_FUNCTIONS: &str = "system.js";

/// What the server's own collection behind a time series is called, before the time series' name.
pub(crate) const BUCKETS: &str = "system.buckets.";

/// Whose a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Belongs {
    /// The database's own data: saved, restored and compared.
    Data,
    /// It shows through something saved, which the text names. Never read, written or dropped directly.
    Through(&'static str),
    /// The server's, and why: left out and named. Never written or dropped.
    Server(&'static str),
    /// The server's by its name, and nothing else is known of it: left out and named, too.
    Unknown,
}

/// Why that is left out of which nothing is known but its name.
pub(crate) const UNKNOWN: &str = "the server's name, unknown to this program";

/// A collection of the database that an archive leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why it is left out.
    pub reason: String,
}

/// Whose the collection of that name is.
pub fn belongs(name: &str) -> Belongs {
    if name == STORED_FUNCTIONS {
        // As people wrote them; mongodump keeps them, too.
        return Belongs::Data;
    }
    let Some(rest) = name.strip_prefix("system.") else {
        return Belongs::Data;
    };
    match rest {
        "views" => Belongs::Through("the views themselves"),
        _ if rest.starts_with("buckets.") => Belongs::Through("the time series"),
        "profile" => Belongs::Server("the server's profiler writes it"),
        "indexes" | "namespaces" => Belongs::Server("servers before 3.0 kept their own lists in it"),
        "users" | "roles" | "version" | "new_users" | "backup_users" => {
            Belongs::Server("the server keeps users and roles in it")
        }
        "keys" | "sessions" | "preimages" | "healthlog" | "replset" => Belongs::Server("the server runs on it"),
        _ if rest.starts_with("resharding.") || rest.starts_with("drop.") => {
            Belongs::Server("the server keeps it while it reshards or drops a collection")
        }
        _ => Belongs::Unknown,
    }
}

/// Databases that a server keeps for itself.
pub const SERVER_DATABASES: [&str; 3] = ["admin", "config", "local"];

/// Whose the collection of that name is in that database: a server also keeps collections of plain names in its own.
pub fn belongs_in(database: &str, name: &str) -> Belongs {
    let is_of_replication = || {
        let named = ["startup_log", "me", "slaves", "sources", "clustermanager", "temp_oplog"];
        named.contains(&name)
            || ["oplog.", "replset.", "replication."]
                .iter()
                .any(|of| name.starts_with(of))
    };
    match (belongs(name), database) {
        (Belongs::Data, "config") => Belongs::Server("the server keeps sessions, transactions and shards in it"),
        (Belongs::Data, "local") if is_of_replication() => Belongs::Server("the server's replication keeps it"),
        (whose, _) => whose,
    }
}

/// Whether a name is outside of every backup and restore: the server's own, or what shows through something else.
pub fn is_system(name: &str) -> bool {
    belongs(name) != Belongs::Data
}

/// Those of a database's `names` that an archive leaves out, with the reasons, sorted.
pub fn left_out<'a>(database: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<LeftOut> {
    let servers = names.into_iter().filter_map(|name| {
        let reason = match belongs_in(database, name) {
            Belongs::Server(reason) => reason,
            Belongs::Unknown => UNKNOWN,
            Belongs::Data | Belongs::Through(_) => return None,
        };
        Some(LeftOut {
            name: name.to_owned(),
            reason: reason.to_owned(),
        })
    });
    let mut left_out: Vec<LeftOut> = servers.collect();
    left_out.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_functions_are_data_and_the_rest_is_not() {
        for (name, is_data) in [
            ("orders", true),
            ("systematic", true),
            ("a.system.js", true),
            ("system.js", true),
            ("system.js2", false),
            ("system.views", false),
            ("system.buckets.readings", false),
            ("system.profile", false),
            ("system.", false),
            ("system.tomorrow", false),
        ] {
            assert_eq!(!is_system(name), is_data, "{name}");
        }
    }

    #[test]
    fn what_shows_elsewhere_is_not_left_out() {
        let names = [
            "system.views",
            "system.tomorrow",
            "orders",
            "system.js",
            "system.profile",
        ];
        let left_out = left_out("shop", names);
        let names: Vec<&str> = left_out.iter().map(|left| left.name.as_str()).collect();
        assert_eq!(names, ["system.profile", "system.tomorrow"]);
    }

    /// The oplog of a server came as data of a database, and a backup of it as complete.
    #[test]
    fn what_a_server_keeps_in_its_own_databases_is_no_data() {
        for (database, name, is_data) in [
            ("local", "oplog.rs", false),
            ("local", "startup_log", false),
            ("local", "replset.minvalid", false),
            ("local", "system.replset", false),
            ("local", "cache_of_mine", true),
            ("config", "transactions", false),
            ("config", "anything", false),
            ("admin", "system.users", false),
            ("admin", "notes", true),
            ("shop", "oplog.rs", true),
            ("shop", "transactions", true),
        ] {
            assert_eq!(
                belongs_in(database, name) == Belongs::Data,
                is_data,
                "{database}.{name}"
            );
        }
    }
}
