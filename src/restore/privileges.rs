//! May the user do what was planned? Checked before the first change, not found out in the middle.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Document, doc};

use super::request::RestoreJob;
use crate::catalog::{BUCKETS, Kind, is_constraint, says_expiry};
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Mongo, MongoError};
use crate::plan::{Action, LOCK_COLLECTION, Method, Planned, RestorePlan, TEMPORARY_PREFIX, Validators};

/// Refuses where the user is not allowed something that the plan needs, judged as the server judges it: a right to one
/// collection is none to another, nor to the temporary ones.
///
/// A server without authentication, or one that does not say, is believed to allow everything: it is the one who
/// refuses in the end.
///
/// # Errors
/// [`FailureKind::DatabaseUnauthorized`], with the actions that are missing, and on what.
pub(super) async fn check(plan: &RestorePlan, job: &RestoreJob, mongo: &Mongo) -> Result<(), Failure> {
    let database = &job.policy.database;
    let missing = lacking(plan, job, mongo).await;
    if missing.is_empty() {
        return Ok(());
    }
    let buckets = match missing.iter().any(|missing| missing.contains(BUCKETS)) {
        true => ". The buckets of a time series take the roles restore and backup",
        false => "",
    };
    Err(Failure::new(
        FailureKind::DatabaseUnauthorized,
        format!(
            "the user may not {}, and nothing was changed: grant readWrite and dbAdmin on {database}, or readWrite on it and the role restore{buckets}",
            missing.join("; ")
        ),
    ))
}

/// What to say where the user may not see all of the target: that, and what else is missing for a plan that is made of
/// what can be seen.
pub(super) async fn unseen(
    mut error: MongoError,
    plan: Option<&RestorePlan>,
    job: &RestoreJob,
    mongo: &Mongo,
) -> MongoError {
    if let Some(plan) = plan {
        let missing = lacking(plan, job, mongo).await;
        if !missing.is_empty() {
            error.reason += &format!(". Nor may the user {}", missing.join("; "));
        }
    }
    granting(error, &job.policy.database)
}

/// The same, with the roles to grant.
pub(super) fn granting(error: MongoError, database: &str) -> MongoError {
    error.granting(&format!(
        "readWrite and dbAdmin on {database}, or readWrite on it and the role restore on admin"
    ))
}

async fn lacking(plan: &RestorePlan, job: &RestoreJob, mongo: &Mongo) -> Vec<String> {
    let command = doc! {"connectionStatus": 1, "showPrivileges": true};
    let Ok(status) = mongo
        .command("admin", command, "asking for the user's privileges")
        .await
    else {
        return Vec::new();
    };
    let Some(privileges) = privileges_of(&status) else {
        return Vec::new();
    };
    let database = &job.policy.database;
    let mut needed = needed(plan, job);
    if !privileges.iter().any(|privilege| renames(privilege, database)) {
        add_parts_of_renaming(&mut needed, plan);
    }
    missing(&privileges, database, &needed)
}

/// `None` if nobody has logged in, or the server does not say.
pub(crate) fn privileges_of(status: &Document) -> Option<Vec<&Document>> {
    let info = status.get_document("authInfo").ok()?;
    let nobody = info.get_array("authenticatedUsers").ok()?.is_empty();
    let privileges = info.get_array("authenticatedUserPrivileges").ok()?;
    (!nobody).then(|| privileges.iter().filter_map(bson::Bson::as_document).collect())
}

/// Actions, each with the collections that it is needed on.
type Needs<'a> = BTreeMap<&'static str, BTreeSet<&'a str>>;

/// What is missing, in words: each action, and on which collections.
fn missing(privileges: &[&Document], database: &str, needed: &Needs<'_>) -> Vec<String> {
    const SHOWN: usize = 5;
    let lacks = |action: &str, collection: &str| {
        let granted = |privilege: &&Document| grants(privilege, database, collection, action);
        !privileges.iter().any(granted)
    };
    let mut missing = Vec::new();
    for (action, collections) in needed {
        let lacking: Vec<&str> = collections.iter().copied().filter(|one| lacks(action, one)).collect();
        let named: Vec<String> = lacking.iter().take(SHOWN).map(|name| shown(database, name)).collect();
        let more = lacking.len().saturating_sub(SHOWN);
        match (lacking.is_empty(), more) {
            (true, _) => {}
            (false, 0) => missing.push(format!("{action} on {}", named.join(", "))),
            (false, more) => missing.push(format!("{action} on {} and {more} more", named.join(", "))),
        }
    }
    missing
}

fn shown(database: &str, collection: &str) -> String {
    match collection {
        TEMPORARY => format!("{database}.{TEMPORARY_PREFIX}*"),
        name => format!("{database}.{}", name.escape_debug()),
    }
}

/// Whether a privilege allows an action on a collection (`resource_pattern` in the server): one without a collection's
/// name covers all but the server's own.
pub(crate) fn grants(privilege: &Document, database: &str, collection: &str, action: &str) -> bool {
    let granted = privilege.get_array("actions").is_ok_and(|actions| {
        actions
            .iter()
            .any(|granted| matches!(granted.as_str(), Some(name) if name == action || name == "anyAction"))
    });
    let covers = privilege.get_document("resource").is_ok_and(|resource| {
        let database_fits = |db: &str| db.is_empty() || db == database;
        let collection_fits = |name: &str| name == collection || name.is_empty() && !collection.starts_with("system.");
        let buckets_fit = |name: &str| {
            let of = collection.strip_prefix(BUCKETS);
            of.is_some_and(|of| name.is_empty() || name == of)
        };
        resource.get_bool("anyResource").unwrap_or(false)
            || resource.get_str("db").map_or(true, database_fits)
                && resource.get_str("system_buckets").is_ok_and(buckets_fit)
            || resource.get_str("db").is_ok_and(database_fits)
                && resource.get_str("collection").is_ok_and(collection_fits)
    });
    granted && covers
}

/// Whether a privilege allows renaming within the database, whatever the collection
/// (`checkAuthForRenameCollectionCommand` in the server).
fn renames(privilege: &Document, database: &str) -> bool {
    grants(privilege, database, "", "renameCollectionSameDB")
}

/// Who may not rename as such may, if he may do what a renaming amounts to.
fn add_parts_of_renaming<'a>(needed: &mut Needs<'a>, plan: &'a RestorePlan) {
    let aside = |row: &&Planned| matches!(row.method, Method::Aside | Method::AsideAfterDrop);
    for row in plan.collections.iter().filter(aside) {
        for (action, collection) in [
            ("find", TEMPORARY),
            ("dropCollection", TEMPORARY),
            ("insert", row.name.as_str()),
            ("createIndex", row.name.as_str()),
        ] {
            needed.entry(action).or_default().insert(collection);
        }
    }
}

/// Stands for the temporary collections: who may do something to one may do it to all that have no grant of their own.
const TEMPORARY: &str = TEMPORARY_PREFIX;

/// What the server asks for, as far as there is no other way to be allowed it.
fn needed<'a>(plan: &'a RestorePlan, job: &RestoreJob) -> Needs<'a> {
    let mut needed = Needs::new();
    let mut need = |action, collection: &'a str| {
        needed.entry(action).or_default().insert(collection);
    };
    // The lock is a document: put in, renewed, and looked at.
    for action in ["find", "insert", "update"] {
        need(action, LOCK_COLLECTION);
    }
    for row in &plan.collections {
        let aside = matches!(row.method, Method::Aside | Method::AsideAfterDrop);
        let loaded = if aside { TEMPORARY } else { row.name.as_str() };
        let restores = row.action.restores() && row.kind != Kind::View;
        if let Some(buckets) = &row.buckets {
            need("find", &buckets.collection);
            need("insert", &buckets.collection);
        }
        if restores {
            need("find", loaded);
            need("find", &row.name);
            need("insert", loaded);
        }
        if restores && !row.indexes.is_empty() {
            need("createIndex", loaded);
        }
        if matches!(row.action, Action::Drop | Action::Replace) {
            need("dropCollection", &row.name);
        }
        if aside {
            need("dropCollection", TEMPORARY);
        }
        // Its readers see one step: it is not dropped and made again.
        if row.kind == Kind::View && row.method == Method::InPlace && !row.options_diff.is_empty() {
            need("collMod", &row.name);
        }
        if restores && says_expiry(&row.options) {
            need("collMod", &row.name);
        }
        if restores && row.action != Action::Merge && is_constraint(&row.options) {
            need("collMod", loaded);
        }
        if restores && job.policy.validators == Validators::Bypass && row.kind == Kind::Collection {
            need("bypassDocumentValidation", loaded);
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grant on one collection was taken for one on all, and a restore was refused in its middle.
    #[test]
    fn a_privilege_covers_its_collection_or_all_but_the_server_s_own() {
        let on = |resource: Document| doc! {"resource": resource, "actions": ["find", "insert"]};
        for (resource, orders, others, own) in [
            (doc! {"db": "shop", "collection": ""}, true, true, false),
            (doc! {"db": "shop", "collection": "orders"}, true, false, false),
            (doc! {"db": "", "collection": "orders"}, true, false, false),
            (doc! {"db": "", "collection": ""}, true, true, false),
            (doc! {"db": "shop", "collection": "system.js"}, false, false, true),
            (doc! {"anyResource": true}, true, true, true),
            (doc! {"db": "other", "collection": ""}, false, false, false),
            (doc! {"cluster": true}, false, false, false),
            (doc! {"system_buckets": ""}, false, false, false),
        ] {
            let privilege = on(resource.clone());
            let granted = ["orders", "users", "system.js"].map(|name| grants(&privilege, "shop", name, "insert"));
            assert_eq!(granted, [orders, others, own], "{resource}");
            assert!(!grants(&privilege, "shop", "orders", "dropCollection"), "{resource}");
        }
        for (resource, granted) in [
            (doc! {"system_buckets": ""}, true),
            (doc! {"db": "shop", "system_buckets": "readings"}, true),
            (doc! {"db": "shop", "system_buckets": "others"}, false),
            (doc! {"db": "other", "system_buckets": ""}, false),
            (doc! {"db": "shop", "collection": ""}, false),
            (doc! {"db": "shop", "collection": "system.buckets.readings"}, true),
        ] {
            let found = grants(&on(resource.clone()), "shop", "system.buckets.readings", "find");
            assert_eq!(found, granted, "{resource}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_the_collections() {
        let privilege = doc! {"resource": {"db": "shop", "collection": "orders"}, "actions": ["find", "insert"]};
        let mut needed = Needs::new();
        needed.insert("find", BTreeSet::from(["orders"]));
        needed.insert("insert", BTreeSet::from(["orders", "us\u{1b}ers", TEMPORARY]));
        assert_eq!(
            missing(&[&privilege], "shop", &needed),
            ["insert on shop.mongotar.tmp.*, shop.us\\u{1b}ers"]
        );
        needed.insert("insert", BTreeSet::from(["a", "b", "c", "d", "e", "f", "g"]));
        assert_eq!(
            missing(&[&privilege], "shop", &needed),
            ["insert on shop.a, shop.b, shop.c, shop.d, shop.e and 2 more"]
        );
    }

    #[test]
    fn nobody_logged_in_means_that_everything_is_allowed() {
        let open = doc! {"authInfo": {"authenticatedUsers": [], "authenticatedUserPrivileges": []}};
        assert!(privileges_of(&open).is_none());
        assert!(privileges_of(&doc! {"ok": 1}).is_none());
    }
}
