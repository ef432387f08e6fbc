//! Which privileges restoring users takes, judged as the server does.

use bson::{Document, doc};

use super::known::Users;
use crate::mongo::Mongo;
use crate::restore::{grants, privileges_of};

/// The actions that are missing to make these users and roles, each with what it is needed on. A server without
/// authentication, or one that does not say, is believed to allow everything.
pub(super) async fn missing(mongo: &Mongo, database: &str, made: &Users) -> Vec<String> {
    let command = doc! {"connectionStatus": 1, "showPrivileges": true};
    let status = mongo
        .command("admin", command, "asking for the user's privileges")
        .await;
    let Ok(status) = status else { return Vec::new() };
    match privileges_of(&status) {
        Some(privileges) => of(&privileges, database, made),
        None => Vec::new(),
    }
}

fn of(privileges: &[&Document], database: &str, made: &Users) -> Vec<String> {
    let mut needed = Vec::new();
    if !made.users.is_empty() {
        needed.push(("insert", "admin", "system.users"));
    }
    if !made.roles.is_empty() {
        needed.extend([("createRole", database, ""), ("grantRole", database, "")]);
    }
    if made.roles.iter().any(|role| !role.restrictions.is_empty()) {
        needed.push(("setAuthenticationRestriction", database, ""));
    }
    let lacks = |&(action, database, collection): &(&str, &str, &str)| {
        let granted = |privilege: &&Document| grants(privilege, database, collection, action);
        !privileges.iter().any(granted)
    };
    let missing = needed.into_iter().filter(lacks);
    let named = missing.map(|(action, database, collection)| match collection {
        "" => format!("{action} on {database}"),
        collection => format!("{action} on {database}.{collection}"),
    });
    named.collect()
}
