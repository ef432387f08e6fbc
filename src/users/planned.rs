//! What becomes of an archive's users and roles on the target. Pure: all servers were asked before.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bson::{RawDocumentBuf, cstr};
use serde::Serialize;

use super::known::{Granted, KnownRole, KnownUser, MECHANISMS, Privilege, Users};
use crate::wording::{first_few, shown};

/// What restored users may be granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grants {
    /// Roles on their own database alone.
    #[default]
    Within,
    /// Roles on other databases, too.
    Elsewhere,
}

/// What becomes of one user or role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserAction {
    /// It is made.
    Create,
    /// It is there, and stays: it is as in the archive.
    KeepEqual,
    /// It is there, and stays, though it is not as in the archive.
    KeepDifferent,
    /// It cannot be restored: `notes` says why.
    LeaveOut,
}

/// What becomes of users and roles, by their names. Without credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PlannedUsers {
    /// Each user.
    pub users: BTreeMap<String, UserAction>,
    /// Each role.
    pub roles: BTreeMap<String, UserAction>,
    /// Rights that are not granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_granted: Vec<String>,
    /// Who cannot be restored, or cannot log in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What of the target matters.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) database: &'a str,
    pub(super) users: &'a Users,
    /// Roles that can be granted, where that could be found out.
    pub(super) roles: Option<&'a BTreeSet<Granted>>,
    /// How users can log in, where the server says.
    pub(super) mechanisms: Option<&'a [String]>,
}

/// The archive's users and roles as they are to be in a database: what belonged to the archive's belongs to that one.
pub(super) fn moved(users: &Users, from: &str, to: &str) -> Users {
    let granted = |roles: &[Granted]| {
        let moved = roles.iter().map(|granted| match granted.database == from {
            true => Granted {
                database: to.to_owned(),
                ..granted.clone()
            },
            false => granted.clone(),
        });
        let mut moved: Vec<Granted> = moved.collect();
        moved.sort_unstable();
        moved.dedup();
        moved
    };
    let privileges = |all: &[Privilege]| {
        let moved = all.iter().map(|privilege| Privilege {
            resource: resource_moved(&privilege.resource, from, to),
            ..privilege.clone()
        });
        let mut moved: Vec<Privilege> = moved.collect();
        moved.sort_unstable_by(|a, b| a.resource.as_bytes().cmp(b.resource.as_bytes()));
        moved
    };
    let user = |user: &KnownUser| KnownUser {
        roles: granted(&user.roles),
        ..user.clone()
    };
    let role = |role: &KnownRole| KnownRole {
        roles: granted(&role.roles),
        privileges: privileges(&role.privileges),
        ..role.clone()
    };
    Users {
        users: users.users.iter().map(user).collect(),
        roles: users.roles.iter().map(role).collect(),
    }
}

fn resource_moved(resource: &RawDocumentBuf, from: &str, to: &str) -> RawDocumentBuf {
    let mut moved = RawDocumentBuf::new();
    for (key, value) in resource.iter().flatten() {
        match key.as_str() == "db" && value.as_str() == Some(from) {
            true => moved.append(cstr!("db"), to),
            false => moved.append(key, value),
        }
    }
    moved
}

/// All roles that are granted, each with its database.
pub(super) fn all_granted(users: &Users) -> BTreeSet<Granted> {
    let of_users = users.users.iter().flat_map(|user| &user.roles);
    let of_roles = users.roles.iter().flat_map(|role| &role.roles);
    of_users.chain(of_roles).cloned().collect()
}

/// Plans the restore of users and roles that were [`moved`]; gives those that are to be made, as they are to be, roles
/// that others are granted first.
pub(super) fn planned(wanted: Users, target: &Target<'_>, grants: Grants) -> (PlannedUsers, Users) {
    let mut plan = PlannedUsers::default();
    let mut made = Users::default();
    let there: BTreeMap<&str, &KnownRole> = target
        .users
        .roles
        .iter()
        .map(|role| (role.name.as_str(), role))
        .collect();
    let (mut ordered, circular) = in_order(wanted.roles);
    for role in circular {
        plan.notes
            .push(format!("role {} is granted to itself", shown(&role.name)));
        plan.roles.insert(role.name, UserAction::LeaveOut);
    }
    let mut known: BTreeSet<Granted> = target.roles.cloned().unwrap_or_default();
    for role in &mut ordered {
        if let Some(there) = there.get(role.name.as_str()) {
            plan.roles.insert(role.name.clone(), kept(*there == role));
            continue;
        }
        let whom = format!("role {}", shown(&role.name));
        // The server allows a role of a database nothing on another one.
        role.privileges.retain(|privilege| {
            let within = privilege.resource.get_str("db").is_ok_and(|db| db == target.database);
            if !within {
                let on: Vec<String> = privilege
                    .resource
                    .iter()
                    .flatten()
                    .map(|(key, value)| format!("{}: {}", shown(key.as_str()), shown(value.as_str().unwrap_or("true"))))
                    .collect();
                plan.not_granted
                    .push(format!("{whom}: a privilege beyond its database ({})", on.join(", ")));
            }
            within
        });
        let grants = Grants::Within;
        let granted = std::mem::take(&mut role.roles);
        role.roles = plan.granted(granted, &whom, grants, &known, target);
        known.insert(Granted {
            role: role.name.clone(),
            database: target.database.to_owned(),
        });
        plan.roles.insert(role.name.clone(), UserAction::Create);
    }
    ordered.retain(|role| plan.roles.get(&role.name) == Some(&UserAction::Create));
    made.roles = ordered;

    let there: BTreeMap<&str, &KnownUser> = target
        .users
        .users
        .iter()
        .map(|user| (user.name.as_str(), user))
        .collect();
    for mut user in wanted.users {
        let whom = format!("user {}", shown(&user.name));
        if let Some(there) = there.get(user.name.as_str()) {
            // As an earlier restore has made it, it may lack rights elsewhere.
            let mut within = user.clone();
            within.roles.retain(|granted| granted.database == target.database);
            plan.users
                .insert(user.name.clone(), kept(*there == &user || *there == &within));
            continue;
        }
        if user.credentials.is_empty() {
            plan.notes.push(format!(
                "{whom} has no credentials that a server takes ({}){}: create it by hand",
                MECHANISMS.join(", "),
                others(&user)
            ));
            plan.users.insert(user.name, UserAction::LeaveOut);
            continue;
        }
        if let Some(offered) = target.mechanisms {
            let of_user: Vec<&str> = user.credentials.iter().map(|(mechanism, _)| *mechanism).collect();
            if !of_user
                .iter()
                .any(|mechanism| offered.iter().any(|offered| offered == mechanism))
            {
                plan.notes.push(format!(
                    "{whom} will not be able to log in: its password is kept for {}, and the target offers {}",
                    of_user.join(", "),
                    offered.join(", ")
                ));
            }
        }
        if !user.unknown.is_empty() {
            plan.notes.push(format!(
                "{whom} is made without some of its credentials{}",
                others(&user)
            ));
            user.unknown = RawDocumentBuf::new();
        }
        let granted = std::mem::take(&mut user.roles);
        user.roles = plan.granted(granted, &whom, grants, &known, target);
        plan.users.insert(user.name.clone(), UserAction::Create);
        made.users.push(user);
    }
    (plan, made)
}

/// The mechanisms of a user that are not known here.
fn others(user: &KnownUser) -> String {
    let names: Vec<String> = user
        .unknown
        .iter()
        .flatten()
        .map(|(name, _)| shown(name.as_str()))
        .collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(", but for {}", names.join(", ")),
    }
}

fn kept(equal: bool) -> UserAction {
    match equal {
        true => UserAction::KeepEqual,
        false => UserAction::KeepDifferent,
    }
}

/// Roles behind those that they are granted, and those that are granted to themselves by some way.
fn in_order(roles: Vec<KnownRole>) -> (Vec<KnownRole>, Vec<KnownRole>) {
    let (mut ordered, mut left) = (Vec::new(), roles);
    loop {
        let names: BTreeSet<String> = left.iter().map(|role| role.name.clone()).collect();
        // A name may also be that of a role of another database: then the order is only stricter than it need be.
        let waits = |role: &KnownRole| role.roles.iter().any(|granted| names.contains(&granted.role));
        let (waiting, ready): (Vec<KnownRole>, Vec<KnownRole>) = left.into_iter().partition(waits);
        if ready.is_empty() {
            return (ordered, waiting);
        }
        ordered.extend(ready);
        left = waiting;
    }
}

impl PlannedUsers {
    /// Which of these roles are granted; the others are named.
    fn granted(
        &mut self,
        roles: Vec<Granted>,
        whom: &str,
        grants: Grants,
        known: &BTreeSet<Granted>,
        target: &Target<'_>,
    ) -> Vec<Granted> {
        let mut kept = Vec::new();
        for granted in roles {
            let what = format!("{whom}: role {} on {}", shown(&granted.role), shown(&granted.database));
            if granted.database != target.database && grants == Grants::Within {
                self.not_granted.push(what);
            } else if target.roles.is_some() && !known.contains(&granted) {
                self.not_granted.push(format!("{what}, which the target does not have"));
            } else {
                kept.push(granted);
            }
        }
        kept
    }

    /// Of how many users and roles that becomes.
    pub(super) fn how_many(&self, action: UserAction) -> usize {
        let all = self.users.values().chain(self.roles.values());
        all.filter(|planned| **planned == action).count()
    }

    /// Who is there and not as in the archive.
    pub(super) fn kept_different(&self) -> Vec<String> {
        let of = |what: &str, all: &BTreeMap<String, UserAction>| {
            let names = Self::of(all, UserAction::KeepDifferent).into_iter();
            names.map(|name| format!("{what} {name}")).collect::<Vec<_>>()
        };
        [of("user", &self.users), of("role", &self.roles)].concat()
    }

    /// Those of which something becomes.
    fn of(all: &BTreeMap<String, UserAction>, action: UserAction) -> Vec<String> {
        let some = all.iter().filter(|(_, planned)| **planned == action);
        some.map(|(name, _)| shown(name)).collect()
    }

    /// In words, a line each.
    pub fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (what, all) in [("users", &self.users), ("roles", &self.roles)] {
            for (action, then) in [
                (UserAction::Create, "are made"),
                (UserAction::KeepEqual, "are there already, and as in the archive"),
                (
                    UserAction::KeepDifferent,
                    "are there, not as in the archive, and stay as they are (drop one first to have it restored)",
                ),
            ] {
                let names = Self::of(all, action);
                if !names.is_empty() {
                    said.push(format!("{what} that {then}: {}", first_few(names)));
                }
            }
        }
        if self.users.is_empty() && self.roles.is_empty() {
            said.push("there are no users or roles to restore".to_owned());
        }
        let elsewhere = self.not_granted.iter().any(|what| what.starts_with("user "));
        said.extend(self.not_granted.iter().map(|what| format!("not granted: {what}")));
        if elsewhere {
            said.push("--grant-elsewhere grants users roles on other databases".to_owned());
        }
        said.extend(self.notes.iter().cloned());
        said
    }
}
