//! Users and roles, reduced to what is known here. Those from an archive are untrusted, and their hashed credentials
//! are shown nowhere.
//!
//! `customData` stays raw bytes: as a tree it would take twenty times the memory.

use std::fmt;

use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};

use crate::archive::MAX_USERS_BYTES;

/// How many users, and how many roles, a database may have.
const MOST_USERS: usize = 10_000;
const MOST_ROLES: usize = 1_000;
/// The longest name, and the longest text of a credential.
const LONGEST: usize = 1_000;
/// What passwords are kept for, by every server that is supported.
pub(super) const MECHANISMS: [&str; 2] = ["SCRAM-SHA-1", "SCRAM-SHA-256"];

/// Users and roles of one database.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Users {
    pub(super) users: Vec<KnownUser>,
    pub(super) roles: Vec<KnownRole>,
}

/// A user, without the database.
#[derive(Clone, PartialEq)]
pub(super) struct KnownUser {
    pub(super) name: String,
    /// By mechanism, as the server keeps them.
    pub(super) credentials: Vec<(&'static str, RawDocumentBuf)>,
    /// Credentials for other mechanisms: kept in an archive, and restored nowhere.
    pub(super) unknown: RawDocumentBuf,
    pub(super) roles: Vec<Granted>,
    pub(super) custom_data: Option<RawDocumentBuf>,
    pub(super) restrictions: Vec<RawDocumentBuf>,
}

/// A role, without the database.
#[derive(Clone, PartialEq)]
pub(super) struct KnownRole {
    pub(super) name: String,
    pub(super) privileges: Vec<Privilege>,
    pub(super) roles: Vec<Granted>,
    pub(super) restrictions: Vec<RawDocumentBuf>,
}

/// A role that is granted to a user or a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Granted {
    pub(super) role: String,
    pub(super) database: String,
}

/// Actions on a resource.
#[derive(Clone, PartialEq)]
pub(super) struct Privilege {
    pub(super) resource: RawDocumentBuf,
    pub(super) actions: Vec<String>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users, {} roles", self.users.len(), self.roles.len())
    }
}

impl Users {
    /// Adds a user of `database`, as a server or an archive gives it.
    ///
    /// # Errors
    /// What is not as it should be, or too much.
    pub(super) fn add_user(&mut self, database: &str, given: &RawDocument) -> Result<(), String> {
        self.users.push(KnownUser::of(database, given)?);
        within(self.users.len(), MOST_USERS, "users")
    }

    /// Adds a role.
    ///
    /// # Errors
    /// As [`Self::add_user`].
    pub(super) fn add_role(&mut self, database: &str, given: &RawDocument) -> Result<(), String> {
        self.roles.push(KnownRole::of(database, given)?);
        within(self.roles.len(), MOST_ROLES, "roles")
    }
}

fn within(count: usize, most: usize, what: &str) -> Result<(), String> {
    match count <= most {
        true => Ok(()),
        false => Err(format!("there are more than {most} {what}")),
    }
}

/// How much there is so far, of what may be read.
#[derive(Debug, Default)]
pub(super) struct RoomForUsers(u64);

impl RoomForUsers {
    /// Counts what was read.
    ///
    /// # Errors
    /// If it is more than an archive has room for.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), String> {
        self.0 += bytes as u64;
        match self.0 <= MAX_USERS_BYTES {
            true => Ok(()),
            false => Err(format!(
                "users and roles take more than {} MiB, the most that an archive has room for",
                MAX_USERS_BYTES >> 20
            )),
        }
    }
}

impl KnownUser {
    fn of(database: &str, given: &RawDocument) -> Result<Self, String> {
        let name = name_of(database, given, "user")?;
        let (mut credentials, mut unknown) = (Vec::new(), RawDocumentBuf::new());
        if let Ok(all) = given.get_document("credentials") {
            for (mechanism, credential) in all.iter().flatten() {
                match MECHANISMS.iter().find(|known| **known == mechanism.as_str()) {
                    Some(known) => {
                        let credential = credential.as_document().and_then(scram);
                        credentials.push((*known, credential.ok_or("an invalid credential")?));
                    }
                    None => unknown.append(mechanism, credential),
                }
            }
        }
        credentials.sort_unstable_by_key(|(mechanism, _)| *mechanism);
        Ok(Self {
            name,
            credentials,
            unknown,
            roles: granted(given)?,
            custom_data: given.get_document("customData").ok().map(RawDocument::to_owned),
            restrictions: restrictions(given)?,
        })
    }

    /// As `admin.system.users` has it, for a database.
    pub(super) fn to_document(&self, database: &str) -> RawDocumentBuf {
        let mut credentials = RawDocumentBuf::new();
        for (mechanism, credential) in &self.credentials {
            match *mechanism {
                "SCRAM-SHA-1" => credentials.append(cstr!("SCRAM-SHA-1"), credential.clone()),
                _ => credentials.append(cstr!("SCRAM-SHA-256"), credential.clone()),
            }
        }
        for (mechanism, credential) in self.unknown.iter().flatten() {
            credentials.append(mechanism, credential);
        }
        let mut document = rawdoc! {
            "_id": format!("{database}.{}", self.name), "user": self.name.as_str(), "db": database,
            "credentials": credentials, "roles": list(&self.roles, Granted::to_document),
        };
        if let Some(data) = &self.custom_data {
            document.append(cstr!("customData"), data.clone());
        }
        append_restrictions(&mut document, &self.restrictions);
        document
    }
}

impl KnownRole {
    fn of(database: &str, given: &RawDocument) -> Result<Self, String> {
        let mut privileges = Vec::new();
        for privilege in array(given, "privileges") {
            let privilege = privilege?.as_document().ok_or("an invalid privilege")?;
            // What it is on is said in texts and flags; anything deeper no server would take.
            let resource = privilege.get_document("resource").ok().filter(|resource| {
                let mut values = resource.iter();
                values.all(|element| {
                    element.is_ok_and(|(_, value)| matches!(value, RawBsonRef::String(_) | RawBsonRef::Boolean(_)))
                })
            });
            let mut actions = Vec::new();
            for action in array(privilege, "actions") {
                actions.push(action?.as_str().ok_or("an invalid action")?.to_owned());
            }
            actions.sort_unstable();
            privileges.push(Privilege {
                resource: resource.ok_or("a privilege without a resource")?.to_owned(),
                actions,
            });
        }
        privileges.sort_unstable_by(|a, b| a.resource.as_bytes().cmp(b.resource.as_bytes()));
        Ok(Self {
            name: name_of(database, given, "role")?,
            privileges,
            roles: granted(given)?,
            restrictions: restrictions(given)?,
        })
    }

    /// As `admin.system.roles` has it, for a database.
    pub(super) fn to_document(&self, database: &str) -> RawDocumentBuf {
        let mut document = rawdoc! {
            "_id": format!("{database}.{}", self.name), "role": self.name.as_str(), "db": database,
            "privileges": list(&self.privileges, Privilege::to_document),
            "roles": list(&self.roles, Granted::to_document),
        };
        append_restrictions(&mut document, &self.restrictions);
        document
    }
}

impl Granted {
    pub(super) fn to_document(&self) -> RawDocumentBuf {
        rawdoc! {"role": self.role.as_str(), "db": self.database.as_str()}
    }
}

impl Privilege {
    pub(super) fn to_document(&self) -> RawDocumentBuf {
        let mut actions = bson::RawArrayBuf::new();
        for action in &self.actions {
            actions.push(action.as_str());
        }
        rawdoc! {"resource": self.resource.clone(), "actions": actions}
    }
}

/// Documents in a list.
pub(super) fn list<T>(all: &[T], of: impl Fn(&T) -> RawDocumentBuf) -> bson::RawArrayBuf {
    let mut list = bson::RawArrayBuf::new();
    for one in all {
        list.push(of(one));
    }
    list
}

fn append_restrictions(document: &mut RawDocumentBuf, restrictions: &[RawDocumentBuf]) {
    if !restrictions.is_empty() {
        document.append(
            cstr!("authenticationRestrictions"),
            list(restrictions, RawDocumentBuf::clone),
        );
    }
}

/// Only what a server needs of it.
fn scram(given: &RawDocument) -> Option<RawDocumentBuf> {
    let text = |key: &str| given.get_str(key).ok().filter(|text| text.len() <= LONGEST);
    let iterations = given.get_i32("iterationCount").ok();
    let iterations = iterations.filter(|count| (1..10_000_000).contains(count))?;
    Some(rawdoc! {
        "iterationCount": iterations, "salt": text("salt")?, "storedKey": text("storedKey")?,
        "serverKey": text("serverKey")?,
    })
}

fn name_of(database: &str, given: &RawDocument, key: &str) -> Result<String, String> {
    let name = given.get_str(key).unwrap_or_default();
    let is_name = !name.is_empty() && name.len() <= LONGEST && !name.contains('\0');
    match is_name && given.get_str("db").is_ok_and(|db| db == database) {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "a {key} without a name, or of another database than {database}"
        )),
    }
}

fn granted(given: &RawDocument) -> Result<Vec<Granted>, String> {
    let mut roles = Vec::new();
    for role in array(given, "roles") {
        let role = role?.as_document().ok_or("an invalid granted role")?;
        let (Ok(name), Ok(database)) = (role.get_str("role"), role.get_str("db")) else {
            return Err("a granted role without a name".to_owned());
        };
        roles.push(Granted {
            role: name.to_owned(),
            database: database.to_owned(),
        });
    }
    roles.sort_unstable();
    Ok(roles)
}

/// `rolesInfo` gives them in a list of their own.
fn restrictions(given: &RawDocument) -> Result<Vec<RawDocumentBuf>, String> {
    let mut restrictions = Vec::new();
    let mut add = |restriction: RawBsonRef<'_>| {
        let known = ["clientSource", "serverAddress"];
        let restriction = restriction.as_document().filter(|restriction| {
            let mut keys = restriction.iter();
            keys.all(|element| {
                element.is_ok_and(|(key, value)| known.contains(&key.as_str()) && is_list_of_texts(value))
            })
        });
        restrictions.push(restriction.ok_or("an unknown authentication restriction")?.to_owned());
        Ok::<_, String>(())
    };
    for restriction in array(given, "authenticationRestrictions") {
        match restriction? {
            RawBsonRef::Array(nested) => {
                for restriction in nested {
                    add(restriction.map_err(|error| error.to_string())?)?;
                }
            }
            other => add(other)?,
        }
    }
    Ok(restrictions)
}

fn is_list_of_texts(value: RawBsonRef<'_>) -> bool {
    let mut texts = value.as_array().into_iter().flat_map(<&RawArray>::into_iter);
    value.as_array().is_some() && texts.all(|text| text.is_ok_and(|text| text.as_str().is_some()))
}

/// The values of a list, which may be missing.
fn array<'a>(given: &'a RawDocument, key: &str) -> impl Iterator<Item = Result<RawBsonRef<'a>, String>> {
    let list = given.get_array(key).ok();
    let values = list.into_iter().flat_map(<&RawArray>::into_iter);
    values.map(|value| value.map_err(|error| format!("BSON that cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> RawDocumentBuf {
        let scram = rawdoc! {"iterationCount": 15000, "salt": "a", "storedKey": "b", "serverKey": "c", "more": 1};
        rawdoc! {
            "_id": "admin.root", "user": "app", "db": "shop",
            "credentials": {"SCRAM-SHA-256": scram, "MONGODB-CR": "x"},
            "roles": [{"role": "read", "db": "shop", "more": 1}], "more": 1,
        }
    }

    #[test]
    fn what_comes_out_of_an_archive_is_reduced_to_what_is_known() {
        let mut users = Users::default();
        users.add_user("shop", &app()).expect("known");
        let known = rawdoc! {
            "_id": "copy.app", "user": "app", "db": "copy",
            "credentials": {"SCRAM-SHA-256": {"iterationCount": 15000, "salt": "a", "storedKey": "b", "serverKey": "c"}},
            "roles": [{"role": "read", "db": "shop"}],
        };
        let mut user = users.users[0].clone();
        assert_eq!(user.unknown, rawdoc! {"MONGODB-CR": "x"});
        user.unknown = RawDocumentBuf::new();
        assert_eq!(user.to_document("copy"), known);
        assert_eq!(format!("{users:?}"), "1 users, 0 roles");
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let with = |key: &bson::raw::CStr, value: bson::RawBson| {
            let mut user = RawDocumentBuf::new();
            for (name, value) in app().iter().flatten().filter(|(name, _)| *name != key) {
                user.append(name, value);
            }
            user.append(key, value);
            Users::default().add_user("shop", &user)
        };
        assert!(with(cstr!("more"), bson::RawBson::Int32(2)).is_ok());
        for (key, wrong) in [
            (cstr!("db"), bson::RawBson::from("admin")),
            (cstr!("user"), "".into()),
            (cstr!("credentials"), rawdoc! {"SCRAM-SHA-1": {"salt": "a"}}.into()),
            (
                cstr!("roles"),
                bson::RawBson::Array(bson::RawArrayBuf::from_iter(["root"])),
            ),
            (
                cstr!("authenticationRestrictions"),
                bson::RawBson::Array(bson::RawArrayBuf::from_iter([rawdoc! {"x": 1}])),
            ),
        ] {
            assert!(with(key, wrong).is_err(), "{key:?}");
        }
    }

    /// As a tree, what a person puts into a user took twenty times its bytes.
    #[test]
    fn what_there_is_of_users_is_bounded() {
        let mut room = RoomForUsers::default();
        assert!(room.add(4 << 20).is_ok());
        let refused = room.add(1).expect_err("too much");
        assert!(refused.contains("4 MiB"), "{refused}");
    }

    #[test]
    fn a_role_is_the_same_however_a_server_gives_it() {
        let stored = rawdoc! {
            "_id": "shop.r", "role": "r", "db": "shop", "roles": [], "authenticationRestrictions": [{"clientSource": ["::1"]}],
            "privileges": [{"resource": {"db": "shop", "collection": "a"}, "actions": ["insert", "find"]}],
        };
        let told = rawdoc! {
            "role": "r", "db": "shop", "isBuiltin": false, "roles": [], "inheritedRoles": [],
            "authenticationRestrictions": [[{"clientSource": ["::1"]}]],
            "privileges": [{"resource": {"db": "shop", "collection": "a"}, "actions": ["find", "insert"]}],
        };
        let (mut a, mut b) = (Users::default(), Users::default());
        a.add_role("shop", &stored).expect("known");
        b.add_role("shop", &told).expect("known");
        assert_eq!(a, b);
        let mut again = Users::default();
        again.add_role("copy", &a.roles[0].to_document("copy")).expect("known");
        assert_eq!(again, a);
    }
}
