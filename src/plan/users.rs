//! What becomes of an archive's users and roles on the target.

use std::collections::BTreeMap;

use bson::{Bson, Document};
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::policy::{Grants, Policy};
use crate::catalog::{Users, name_in};
use crate::wording::shown;

/// How many names a warning has room for; the plan has all of them.
const NAMED: usize = 20;

/// What becomes of users and roles, by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlannedUsers {
    /// `create`, or `skip`: one that is there stays as it is.
    pub users: BTreeMap<String, Action>,
    /// The same of roles.
    pub roles: BTreeMap<String, Action>,
    /// Roles and privileges on other databases, which nobody asked for: they are not granted.
    pub left_out: Vec<String>,
}

impl PlannedUsers {
    /// Plans the restore of an archive's users, given those that are there; gives them as they are to be, too.
    pub(crate) fn plan(archived: &Users, source: &str, there: &Users, policy: &Policy) -> (Self, Users) {
        let mut grant = Granting {
            source,
            policy,
            left_out: Vec::new(),
        };
        let wanted = Users {
            users: archived.users.iter().map(|user| grant.moved(user, "user")).collect(),
            roles: archived.roles.iter().map(|role| grant.moved(role, "role")).collect(),
        };
        let actions = |wanted: &[Document], there: &[Document], key: &str| {
            let action = |document: &Document| {
                let name = name_in(document, key);
                let action = match there.iter().any(|there| name_in(there, key) == name) {
                    false => Action::Create,
                    true => Action::Skip,
                };
                (name.to_owned(), action)
            };
            wanted.iter().map(action).collect()
        };
        let planned = Self {
            users: actions(&wanted.users, &there.users, "user"),
            roles: actions(&wanted.roles, &there.roles, "role"),
            left_out: grant.left_out,
        };
        (planned, wanted)
    }

    /// In words, what a person should know of it.
    pub(crate) fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (what, all) in [("users", &self.users), ("roles", &self.roles)] {
            for (action, then) in [
                (Action::Create, "to be made"),
                (
                    Action::Skip,
                    "that are there and stay as they are (drop one first to have it restored)",
                ),
            ] {
                let names = all.iter().filter(|(_, planned)| **planned == action);
                let mut names: Vec<String> = names.map(|(name, _)| shown(name)).collect();
                let more = names.len().saturating_sub(NAMED);
                names.truncate(NAMED);
                match (names.is_empty(), more) {
                    (true, _) => {}
                    (false, 0) => said.push(format!("{what} {then}: {}", names.join(", "))),
                    (false, more) => said.push(format!("{what} {then}: {} and {more} more", names.join(", "))),
                }
            }
        }
        let left_out = self.left_out.iter();
        said.extend(
            left_out.map(|left| format!("{left} is not granted; grant_elsewhere (--grant-elsewhere) grants it")),
        );
        said
    }
}

struct Granting<'a> {
    source: &'a str,
    policy: &'a Policy,
    left_out: Vec<String>,
}

impl Granting<'_> {
    /// A user or role as it is to be in the target's database, without what it may not have.
    fn moved(&mut self, document: &Document, key: &str) -> Document {
        let (name, database) = (name_in(document, key), &self.policy.database);
        let whom = format!("{key} {}", shown(name));
        let mut moved = document.clone();
        moved.insert("_id", format!("{database}.{name}"));
        moved.insert("db", database);
        for list in ["roles", "privileges"] {
            let Ok(given) = document.get_array(list) else { continue };
            let kept: Vec<Bson> = given.iter().filter_map(|one| self.granted(one, &whom)).collect();
            moved.insert(list, kept);
        }
        moved
    }

    /// A role, or a privilege by its resource, if it may be granted.
    fn granted(&mut self, given: &Bson, whom: &str) -> Option<Bson> {
        let mut granted = given.as_document()?.clone();
        let (what, place) = match granted.get_document_mut("resource") {
            Ok(resource) => (format!("a privilege on {resource}"), resource),
            Err(_) => (
                format!(
                    "role {} on {}",
                    shown(name_in(&granted, "role")),
                    shown(name_in(&granted, "db"))
                ),
                &mut granted,
            ),
        };
        if place.get_str("db").is_ok_and(|db| db == self.source) {
            place.insert("db", &self.policy.database);
        } else if self.policy.grants == Grants::Within {
            self.left_out.push(format!("{whom}: {what}"));
            return None;
        }
        Some(granted.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::UserPolicy;
    use bson::doc;

    #[test]
    fn nobody_gets_rights_elsewhere_and_nobody_is_replaced_unasked() {
        let archived = Users {
            users: vec![
                doc! {"_id": "shop.app", "user": "app", "db": "shop", "roles": [{"role": "readWrite", "db": "shop"}, {"role": "root", "db": "admin"}]},
                doc! {"_id": "shop.old", "user": "old", "db": "shop", "roles": []},
            ],
            roles: vec![
                doc! {"_id": "shop.r", "role": "r", "db": "shop", "roles": [], "privileges": [
                    {"resource": {"db": "shop", "collection": "a"}, "actions": ["find"]},
                    {"resource": {"db": "", "collection": ""}, "actions": ["find"]},
                    {"resource": {"anyResource": true}, "actions": ["anyAction"]},
                ]},
            ],
        };
        let there = Users {
            users: vec![doc! {"user": "old"}],
            roles: Vec::new(),
        };
        let mut policy = Policy::new("copy");
        policy.users = UserPolicy::Add;
        let (planned, wanted) = PlannedUsers::plan(&archived, "shop", &there, &policy);
        assert_eq!(
            (planned.users["app"], planned.users["old"]),
            (Action::Create, Action::Skip)
        );
        assert_eq!(planned.left_out.len(), 3, "{planned:?}");
        assert_eq!(
            wanted.users[0],
            doc! {"_id": "copy.app", "user": "app", "db": "copy", "roles": [{"role": "readWrite", "db": "copy"}]}
        );
        let privileges = wanted.roles[0].get_array("privileges").expect("a list");
        let resource = doc! {"db": "copy", "collection": "a"};
        assert_eq!(
            privileges[..],
            [Bson::from(doc! {"resource": resource, "actions": ["find"]})]
        );
        assert!(
            planned
                .said()
                .iter()
                .any(|said| said.contains("role root on admin is not granted")),
            "{planned:?}"
        );

        policy.grants = Grants::Elsewhere;
        let (planned, wanted) = PlannedUsers::plan(&archived, "shop", &there, &policy);
        assert_eq!((planned.users["old"], planned.left_out.len()), (Action::Skip, 0));
        assert_eq!(wanted.roles[0].get_array("privileges").expect("a list").len(), 3);
    }
}
