//! Is the user allowed to do what was planned? Asked before the first change, not found out in the middle of it.

use bson::{Document, doc};

use super::prepare::Prepared;
use super::request::RestoreJob;
use crate::catalog::Kind;
use crate::failure::{Failure, FailureKind};
use crate::mongo::Mongo;
use crate::plan::{Action, Method, Planned, RestorePlan, Validators};

/// Refuses where the user holds no privilege at all for something that the plan needs.
///
/// A server without authentication, or one that does not say, is believed to allow everything: it is the one who refuses in the end. So is one
/// that grants an action on some collections only.
///
/// # Errors
/// [`FailureKind::DatabaseUnauthorized`], with the actions that are missing.
pub(super) async fn check(prepared: &Prepared, job: &RestoreJob, mongo: &Mongo) -> Result<(), Failure> {
    let command = doc! {"connectionStatus": 1, "showPrivileges": true};
    let Ok(status) = mongo
        .command("admin", command, "asking for the user's privileges")
        .await
    else {
        return Ok(());
    };
    let Some(privileges) = privileges_of(&status) else {
        return Ok(());
    };
    let database = &job.policy.database;
    let missing: Vec<&str> = needed(&prepared.plan, job)
        .into_iter()
        .filter(|action| !privileges.iter().any(|privilege| grants(privilege, database, action)))
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(Failure::new(
            FailureKind::DatabaseUnauthorized,
            format!(
                "the user may not {} on {database}, and nothing was changed: grant the roles readWrite and dbAdmin on it, or restore",
                missing.join(", ")
            ),
        )),
    }
}

/// `None` where nobody has logged in, or the server does not say.
fn privileges_of(status: &Document) -> Option<Vec<&Document>> {
    let info = status.get_document("authInfo").ok()?;
    let nobody = info.get_array("authenticatedUsers").ok()?.is_empty();
    let privileges = info.get_array("authenticatedUserPrivileges").ok()?;
    (!nobody).then(|| privileges.iter().filter_map(bson::Bson::as_document).collect())
}

fn grants(privilege: &Document, database: &str, action: &str) -> bool {
    let granted = privilege.get_array("actions").is_ok_and(|actions| {
        actions
            .iter()
            .any(|granted| matches!(granted.as_str(), Some(name) if name == action || name == "anyAction"))
    });
    let covers = privilege.get_document("resource").is_ok_and(|resource| {
        resource.get_bool("anyResource").unwrap_or(false)
            || resource.get_str("db").is_ok_and(|db| db.is_empty() || db == database)
    });
    granted && covers
}

/// What the server asks for, as far as there is no other way to be allowed it.
fn needed(plan: &RestorePlan, job: &RestoreJob) -> Vec<&'static str> {
    let any = |which: &dyn Fn(&Planned) -> bool| plan.collections.iter().any(which);
    let restores = |row: &Planned| row.action.restores() && row.kind != Kind::View;
    let mut needed = Vec::new();
    let mut need = |action, is_needed: bool| {
        if is_needed {
            needed.push(action);
        }
    };
    // The lock is a document: put in, renewed, and looked at.
    need("find", true);
    need("insert", true);
    need("update", true);
    need("createIndex", any(&|row| restores(row) && !row.indexes.is_empty()));
    need(
        "dropCollection",
        any(&|row| {
            matches!(row.action, Action::Drop | Action::Replace)
                || matches!(row.method, Method::Aside | Method::AsideAfterDrop)
        }),
    );
    need(
        "collMod",
        any(&|row| restores(row) && matches!(row.options.as_raw().get("expireAfterSeconds"), Ok(Some(_)))),
    );
    need(
        "bypassDocumentValidation",
        job.policy.validators == Validators::Bypass && any(&|row| restores(row) && row.kind == Kind::Collection),
    );
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_covers_its_database_or_all() {
        let on = |resource: Document| doc! {"resource": resource, "actions": ["find", "insert"]};
        for covering in [
            doc! {"db": "shop", "collection": ""},
            doc! {"db": "shop", "collection": "orders"},
            doc! {"db": "", "collection": ""},
            doc! {"anyResource": true},
        ] {
            assert!(grants(&on(covering.clone()), "shop", "insert"), "{covering}");
            assert!(!grants(&on(covering), "shop", "dropCollection"));
        }
        for other in [doc! {"db": "other", "collection": ""}, doc! {"cluster": true}] {
            assert!(!grants(&on(other), "shop", "insert"));
        }
    }

    #[test]
    fn nobody_logged_in_means_that_everything_is_allowed() {
        let open = doc! {"authInfo": {"authenticatedUsers": [], "authenticatedUserPrivileges": []}};
        assert!(privileges_of(&open).is_none());
        assert!(privileges_of(&doc! {"ok": 1}).is_none());
    }
}
