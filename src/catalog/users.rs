//! Users and roles of a database, as a server keeps them. They are untrusted where they come out of an archive, and
//! their credentials, hashed as they are, are shown nowhere.

use std::fmt;

use bson::{Bson, Document, RawBsonRef, RawDocument, doc};

use crate::failure::Failure;

/// Whether this program is built with all of it: the functions are not, for its size.
pub(crate) const USERS_BUILT_IN: bool = cfg!(feature = "users");

/// Refuses where it is not.
pub(crate) fn users_built_in() -> Result<(), Failure> {
    match USERS_BUILT_IN {
        true => Ok(()),
        false => Err(Failure::invalid(
            "users (--users): this program is built without them; use a command line that is built with --features users",
        )),
    }
}

/// How long the users, and the roles, of an archive may be, in bytes of BSON.
pub(crate) const MAX_USERS_BYTES: u64 = 16 << 20;
/// How many there may be of each.
const MOST: usize = 10_000;
/// The longest name, and the longest text of a credential.
const LONGEST: usize = 1_000;
/// Where users belong to the cluster.
const OF_THE_CLUSTER: [&str; 4] = ["admin", "config", "local", "$external"];

/// Users and roles of one database, each reduced to what is known here.
#[derive(Clone, Default, PartialEq)]
pub struct Users {
    /// As in `admin.system.users`.
    pub users: Vec<Document>,
    /// As in `admin.system.roles`.
    pub roles: Vec<Document>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users, {} roles", self.users.len(), self.roles.len())
    }
}

/// Whether users of a database can be taken along: not those that are the cluster's.
pub(crate) fn has_own_users(database: &str) -> bool {
    !OF_THE_CLUSTER.contains(&database)
}

impl Users {
    /// Those of `database` among what a server gave, or an archive.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(crate) fn of(database: &str, users: &[Document], roles: &[Document]) -> Result<Self, String> {
        if users.len() > MOST || roles.len() > MOST {
            return Err(format!("more than {MOST} users or roles"));
        }
        Ok(Self {
            users: users
                .iter()
                .map(|user| known_user(database, user))
                .collect::<Result<_, _>>()?,
            roles: roles
                .iter()
                .map(|role| known_role(database, role))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// How deep a server's documents may be.
const MAX_DEPTH: usize = 200;

/// A document of an archive, unless it is deeper than any server has one: to read it would take too much.
pub(crate) fn user_of_archive(bytes: &[u8]) -> Option<Document> {
    let raw = RawDocument::from_bytes(bytes).ok()?;
    is_shallow(RawBsonRef::Document(raw), MAX_DEPTH).then(|| Document::try_from(raw).ok())?
}

fn is_shallow(value: RawBsonRef<'_>, depth: usize) -> bool {
    match value {
        RawBsonRef::Document(document) => {
            depth > 0
                && document
                    .iter()
                    .all(|one| one.is_ok_and(|(_, value)| is_shallow(value, depth - 1)))
        }
        RawBsonRef::Array(array) => {
            depth > 0
                && array
                    .into_iter()
                    .all(|one| one.is_ok_and(|value| is_shallow(value, depth - 1)))
        }
        RawBsonRef::JavaScriptCodeWithScope(_) => false,
        _ => true,
    }
}

/// The name of a user (`user`) or role (`role`).
pub(crate) fn name_in<'a>(document: &'a Document, key: &str) -> &'a str {
    document.get_str(key).unwrap_or_default()
}

fn known_user(database: &str, user: &Document) -> Result<Document, String> {
    let name = checked_name(database, user, "user")?;
    let mut credentials = Document::new();
    for (mechanism, given) in user.get_document("credentials").into_iter().flatten() {
        if let ("SCRAM-SHA-1" | "SCRAM-SHA-256", Bson::Document(given)) = (mechanism.as_str(), given) {
            credentials.insert(mechanism, known_credential(given).ok_or("a credential that is none")?);
        }
    }
    let mut known = doc! {
        "_id": format!("{database}.{name}"), "user": name, "db": database, "credentials": credentials,
        "roles": known_roles(user)?,
    };
    if let Ok(data) = user.get_document("customData") {
        known.insert("customData", data.clone());
    }
    add_restrictions(&mut known, user)?;
    Ok(known)
}

fn known_credential(given: &Document) -> Option<Document> {
    let text = |key: &str| given.get_str(key).ok().filter(|text| text.len() <= LONGEST);
    let iterations = given
        .get_i32("iterationCount")
        .ok()
        .filter(|count| (1..10_000_000).contains(count))?;
    Some(doc! {
        "iterationCount": iterations, "salt": text("salt")?, "storedKey": text("storedKey")?,
        "serverKey": text("serverKey")?,
    })
}

fn known_role(database: &str, role: &Document) -> Result<Document, String> {
    let name = checked_name(database, role, "role")?;
    let mut privileges = Vec::new();
    for privilege in role.get_array("privileges").into_iter().flatten() {
        let privilege = privilege.as_document().ok_or("a privilege that is none")?;
        let resource = privilege
            .get_document("resource")
            .map_err(|_| "a privilege without a resource")?;
        let actions = privilege
            .get_array("actions")
            .map_err(|_| "a privilege without actions")?;
        let mut actions: Vec<&str> = actions.iter().filter_map(Bson::as_str).collect();
        actions.sort_unstable();
        privileges.push(doc! {"resource": resource.clone(), "actions": actions});
    }
    privileges.sort_unstable_by_key(ToString::to_string);
    let mut known = doc! {
        "_id": format!("{database}.{name}"), "role": name, "db": database, "privileges": privileges,
        "roles": known_roles(role)?,
    };
    add_restrictions(&mut known, role)?;
    Ok(known)
}

fn checked_name<'a>(database: &str, document: &'a Document, key: &str) -> Result<&'a str, String> {
    let name = name_in(document, key);
    let is_name = !name.is_empty() && name.len() <= LONGEST && !name.contains('\0');
    match is_name && document.get_str("db").is_ok_and(|db| db == database) {
        true => Ok(name),
        false => Err(format!(
            "a {key} without a name, or of another database than {database}"
        )),
    }
}

fn known_roles(of: &Document) -> Result<Vec<Document>, String> {
    let mut roles = Vec::new();
    for role in of.get_array("roles").into_iter().flatten() {
        let role = role.as_document().ok_or("a role that is none")?;
        let (Ok(name), Ok(db)) = (role.get_str("role"), role.get_str("db")) else {
            return Err("a role without a name".to_owned());
        };
        roles.push(doc! {"role": name, "db": db});
    }
    roles.sort_unstable_by_key(ToString::to_string);
    Ok(roles)
}

/// `rolesInfo` gives them in a list of their own.
fn add_restrictions(known: &mut Document, of: &Document) -> Result<(), String> {
    let mut restrictions = Vec::new();
    for restriction in of.get_array("authenticationRestrictions").into_iter().flatten() {
        match restriction {
            Bson::Array(nested) => restrictions.extend(nested.iter().cloned()),
            other => restrictions.push(other.clone()),
        }
    }
    let are_known = |restriction: &Bson| {
        let keys = restriction.as_document().map(|restriction| restriction.keys());
        keys.is_some_and(|mut keys| keys.all(|key| ["clientSource", "serverAddress"].contains(&key.as_str())))
    };
    if !restrictions.iter().all(are_known) {
        return Err("an authentication restriction that is not known".to_owned());
    }
    if !restrictions.is_empty() {
        known.insert("authenticationRestrictions", restrictions);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_deep_to_be_read_is_no_user() {
        let nested = |depth: usize| {
            let mut document = bson::rawdoc! {};
            for _ in 0..depth {
                document = bson::rawdoc! {"a": document};
            }
            document
        };
        assert!(user_of_archive(nested(100).as_bytes()).is_some());
        assert!(user_of_archive(nested(20_000).as_bytes()).is_none());
        assert!(user_of_archive(b"nonsense").is_none());
    }

    #[test]
    fn what_comes_out_of_an_archive_is_reduced_to_what_is_known() {
        let scram = doc! {"iterationCount": 15000, "salt": "a", "storedKey": "b", "serverKey": "c", "more": 1};
        let user = doc! {
            "_id": "admin.root", "user": "app", "db": "shop", "credentials": {"SCRAM-SHA-256": scram, "MONGODB-CR": "x"},
            "roles": [{"role": "read", "db": "shop", "more": 1}], "more": 1,
        };
        let users = Users::of("shop", std::slice::from_ref(&user), &[]).expect("known");
        let known = doc! {
            "_id": "shop.app", "user": "app", "db": "shop",
            "credentials": {"SCRAM-SHA-256": {"iterationCount": 15000, "salt": "a", "storedKey": "b", "serverKey": "c"}},
            "roles": [{"role": "read", "db": "shop"}],
        };
        assert_eq!(users.users, [known]);
        assert_eq!(format!("{users:?}"), "1 users, 0 roles");
        for (key, wrong) in [
            ("db", Bson::from("admin")),
            ("user", Bson::from("")),
            ("credentials", doc! {"SCRAM-SHA-1": {"salt": "a"}}.into()),
            ("roles", vec![Bson::from("root")].into()),
            ("authenticationRestrictions", vec![Bson::from(doc! {"x": 1})].into()),
        ] {
            let mut user = user.clone();
            user.insert(key, wrong);
            assert!(Users::of("shop", &[user], &[]).is_err(), "{key}");
        }
    }
}
